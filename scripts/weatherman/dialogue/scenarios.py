"""The scenarios of the tool dialogues: each takes a Conversation and leads it from the first turn to the last."""
import re
from dataclasses import replace

from weatherman.dialogue import world
from weatherman.dialogue.conversation import FARTHEST_DAY, Question, count_texts, point_texts
from weatherman.dialogue.voices import words
from weatherman.dialogue.weather_api import MAX_LATITUDE, MAX_LONGITUDE

TOO_MANY_DAYS = (15, 15, 16, 18, 20, 20, 21, 25, 28, 30, 30, 45, 60, 90)
IMPOSSIBLE = ("past", "too_far", "control", "other_job", "no_data")
ENDING = re.compile(r"\b(?:thank|thanks|thx|cheers|obliged|grateful|bye|goodbye|farewell|good ?night|so long|see you|sign(?:ing)? off|"
                    r"must (?:go|be going)|that's all|that is all|that will be all|done)\b", re.I)
DETAILS = {"wind", "humidity", "feels"}
# How often a conversation goes on after it could have ended.
PLACE_NAMED, POSSIBLE_ASKED, WEATHER_ASKED, PLACE_MENDED, RETRIED = 0.6, 0.6, 0.65, 0.4, 0.4


def current(talk):
    """Coordinates are given: one call."""
    spot, question = talk.point(), Question("now")
    talk.ask(talk.asks["now_at"], question, spot.texts)
    talk.fetch(question, spot)
    talk.tell(question, spot)


def chain(talk):
    """A city is named: its coordinates, then the weather there."""
    talk.ask_and_tell(Question("now"), talk.city())


def forecast(talk):
    """Exactly the days asked for."""
    talk.ask_and_tell(talk.count_question(), talk.city())


def one_day(talk):
    """A forecast just long enough to reach the day, and an answer about that day alone."""
    talk.ask_and_tell(talk.day_question(), talk.city())


def compare(talk):
    """Two places: two look-ups at once, then two weather calls at once."""
    here, question = talk.city(), Question("now")
    there = talk.city(other_than=here)
    talk.ask(talk.asks["compare"], question, {**here.texts, "other_where": there.texts["where"]})
    talk.geocode(here, there)
    talk.fetch(question, here, there)
    talk.reply(talk.speaker.compare(here.current, there.current, (here.texts["place"], there.texts["place"])))


def follow_up(talk):
    """One or two further questions that only the context makes clear."""
    spot, question = talk.city(), talk.any_question()
    talk.ask_and_tell(question, spot, without={talk.some(sorted(DETAILS))})
    for _ in range(talk.some((1, 1, 2))):
        steps = [_next_place]
        if question.kind == "now" and DETAILS - talk.told:
            steps += [_next_fact, _next_fact]
        if _other_days(talk, spot, question):
            steps += [_next_day, _next_day]
        spot, question = talk.some(steps)(talk, spot, question)


def _other_days(talk, spot, question):
    """Return the days that may be asked for next; after a whole forecast, those it holds."""
    last = min(FARTHEST_DAY, talk.max_days - 1, len(spot.forecast.days) - 1 if question.kind == "ahead" else FARTHEST_DAY)
    return [day for day in range(1, last + 1) if question.kind != "day" or day != question.days]


def _next_day(talk, spot, question):
    """Another day: read off the forecast that is there, or got by a new call."""
    days = _other_days(talk, spot, question)
    later = replace(question, kind="day", days=days[0] if talk.rng.random() < 0.4 else talk.some(days), asked=set())
    talk.ask(talk.asks["next_day"], later, {})
    if spot.forecast is None or later.days >= len(spot.forecast.days):
        talk.fetch(later, spot)
    talk.tell(later, spot)
    return spot, later


def _next_place(talk, spot, question):
    """The same question about another place."""
    other, again = talk.city(other_than=spot), replace(question)
    talk.ask(talk.asks["next_place"], again, other.texts)
    talk.look_up_and_tell(again, other)
    return other, again


def _next_fact(talk, spot, question):
    """A detail of the weather that is there: no call."""
    fact = talk.some(sorted(DETAILS - talk.told))
    talk.user(talk.asks["next_fact"][fact])
    talk.reply(talk.speaker.fact(spot.current, fact))
    talk.told.add(fact)
    return spot, question


def missing_place(talk):
    """No place is named: ask for it. Where it is given then, the answer follows."""
    phrase = talk.some(talk.asks["no_place"])
    question = Question("now")
    if phrase.slots & {"n", "number"}:
        question = talk.count_question()
    elif phrase.slots & {"day", "on_day"}:
        question = talk.day_question()
    talk.ask([phrase], question, {})
    talk.needed |= {"geocode_location", "get_current_weather" if question.kind == "now" else "get_forecast"}
    talk.reply(talk.say("ask_place"))
    if talk.rng.random() < PLACE_NAMED:
        _name_place(talk, question)


def _name_place(talk, question):
    """Let the user say which place, and answer."""
    spot = talk.city()
    talk.user(talk.asks["names_place"], spot.texts)
    talk.look_up_and_tell(question, spot)


def impossible(talk):
    """Say so, and what is possible; often the user asks for that."""
    kind, spot = talk.some(IMPOSSIBLE), talk.city()
    texts = {**spot.texts, **(count_texts(talk.some(TOO_MANY_DAYS)) if kind == "too_far" else {})}
    talk.user(talk.asks["impossible"][kind], texts)
    talk.needed |= {"geocode_location", "get_forecast"}
    talk.reply(talk.say("impossible", kind, texts=texts))
    if talk.rng.random() < POSSIBLE_ASKED:
        talk.ask_and_tell(talk.any_question(), spot)


def no_tool(talk):
    """Questions about weather in general: known without a look."""
    talk.needed.add("get_forecast")  # the answers may say how far it reaches
    topics = talk.rng.sample(talk.voice.phrases["knowledge"], talk.some((1, 2, 2)))
    for topic in topics + talk.rng.sample(talk.voice.phrases["talk"], talk.some((0, 0, 1))):
        talk.exchange(topic)


def small_talk(talk):
    """Talk in persona; in most cases with a question about the weather, before any thanks or farewell."""
    talk.needed.add("get_forecast")
    topics = talk.rng.sample(talk.voice.phrases["talk"], talk.some((1, 1, 2)))
    farewells = [topic for topic in topics if _ends(topic)][:1]
    for topic in topics:
        if not _ends(topic):
            talk.exchange(topic)
    if farewells == topics or talk.rng.random() < WEATHER_ASKED:
        talk.ask_and_tell(talk.any_question(), talk.city())
    for topic in farewells:
        talk.exchange(topic)


def _ends(topic):
    """Return whether a topic is one of those that end a conversation: thanks, farewell."""
    return any(ENDING.search(" ".join(words(phrase.parts))) for phrase in topic["user"])


def error(talk):
    """A tool fails in a way that follows from its call."""
    talk.some((_not_found, _out_of_range, _rate_limit, _timeout, _empty))(talk)


def _not_found(talk):
    spot, question = talk.unknown_place(), talk.any_question()
    talk.ask(talk.asks[question.kind], question, spot.texts)
    talk.geocode(spot)
    _own_up(talk, "not_found", spot.texts)
    talk.needed.add("get_current_weather" if question.kind == "now" else "get_forecast")
    if talk.rng.random() < PLACE_MENDED:
        _name_place(talk, question)


def _out_of_range(talk):
    """The user's decimal point has slipped; the call is made as asked, and the service refuses it."""
    spot, question = talk.point(), Question("now")
    name, value = mistyped(spot.latitude, spot.longitude)
    setattr(spot, name, value)
    spot.texts = point_texts(spot.latitude, spot.longitude)
    talk.ask(talk.asks["now_at"], question, spot.texts)
    body = world.range_body(name, value)
    talk.call(talk.weather_call(question, spot, body))
    _own_up(talk, "out_of_range", {**spot.texts, **body})
    if talk.rng.random() < PLACE_MENDED:
        _name_place(talk, question)


def mistyped(latitude, longitude):
    """Return (name, value) of the coordinate that no longer is one when its decimal point slips to the right."""
    if abs(latitude) * 10 > MAX_LATITUDE:
        return "latitude", round(latitude * 10, 1)
    return ("longitude", round(longitude * 10, 1)) if abs(longitude) * 10 > MAX_LONGITUDE else ("latitude", round(latitude + 100, 2))


def _rate_limit(talk):
    body = world.limit_body(talk.rng)
    _refused(talk, "rate_limit", lambda weather: body, may_retry="minute" in body["reason"])


def _timeout(talk):
    _refused(talk, "timeout", lambda weather: world.timeout_body(), may_retry=True)


def _empty(talk):
    _refused(talk, "empty", world.empty_body, may_retry=False)


def _refused(talk, kind, spoil, may_retry):
    """The weather call is answered by spoil(its true answer); what may pass is tried once more in some cases, and told then."""
    if talk.rng.random() < 0.3:
        spot, question = talk.point(), Question("now")
        talk.ask(talk.asks["now_at"], question, spot.texts)
    else:
        spot, question = talk.city(), talk.any_question()
        talk.ask(talk.asks[question.kind], question, spot.texts)
        talk.geocode(spot)
    name, arguments, weather = talk.weather_call(question, spot)
    body = spoil(weather)
    talk.call((name, arguments, body))
    if may_retry and talk.rng.random() < RETRIED:
        talk.fetch(question, spot)
        talk.tell(question, spot)
    else:
        _own_up(talk, kind, {**spot.texts, "reason": str(body.get("reason"))})


def _own_up(talk, kind, texts):
    """Say what went wrong and what can be done about it."""
    talk.reply(f"{talk.say('error', kind, texts=texts)} {talk.say('way_on', kind, texts=texts)}")


def unit_change(talk):
    """The answer again in the other unit: the same call, the same weather."""
    spot, question = talk.city(), talk.any_question(most=5)
    talk.ask_and_tell(question, spot)
    again = replace(question, unit="celsius" if question.unit == "fahrenheit" else "fahrenheit",
                    asked={"now": {"temp"}, "day": {"high", "low"}, "ahead": set()}[question.kind])
    talk.user(talk.asks["unit"], {"Unit": again.unit.capitalize()})
    talk.fetch(again, spot)
    talk.tell(again, spot, without={"wind", "humidity", "chance", "rain"})


def correction(talk):
    """The user meant another place."""
    wrong, question = talk.city(), talk.any_question()
    right = talk.city(other_than=wrong)
    talk.ask_and_tell(question, wrong)
    talk.user(talk.asks["correction"], {**right.texts, "wrong": wrong.texts["place"]})
    talk.look_up_and_tell(question, right, first=talk.say("corrected", texts=right.texts))


SCENARIOS = {scenario.__name__: scenario for scenario in (
    current, chain, forecast, one_day, compare, follow_up, missing_place, impossible, no_tool, small_talk, error, unit_change, correction)}
