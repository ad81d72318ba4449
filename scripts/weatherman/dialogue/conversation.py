"""One conversation in the making: what the user asks, what the tools are called for, and what the assistant says."""
from dataclasses import dataclass, field
from datetime import timedelta

from weatherman.dialogue import world
from weatherman.dialogue.answers import Speaker, asked_facts, span_tags
from weatherman.dialogue.phrases import capital
from weatherman.dialogue.typist import Typist
from weatherman.dialogue.weather_api import MONTHS, TOOLS, WEEKDAYS, parse_current, parse_forecast, to_text

DAYS_ASKED = (2, 2, 3, 3, 3, 4, 4, 5, 5, 5, 6, 7, 7, 10, 14)    # each as likely as it is often here
WEEK, FARTHEST_DAY = 7, 6       # a weekday's name says which day is meant up to six days ahead
NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen".split()
CALL_ID_CHARS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
UNITS = ("fahrenheit", "fahrenheit", "celsius", None, None, None, None)


@dataclass
class Spot:
    """A place of the conversation. `texts`: what its slots say; `look_up`: arguments that find it, None for a point; `spell`: its weather;
    `current`, `forecast`: what the tools last said of it. A place that nobody knows has no city, coordinates or weather."""

    texts: dict
    look_up: dict | None = None
    city: object = None
    latitude: float | None = None
    longitude: float | None = None
    spell: object = None
    current: object = None
    forecast: object = None


@dataclass
class Question:
    """What is asked of a spot. `kind`: now, ahead (all of `days`) or day (that many days from today)."""

    kind: str
    days: int = 0
    unit: str | None = None
    asked: set = field(default_factory=set)


class Conversation:
    """Turns, calls and answers, drawn from `rng`. `messages` and `needed` (names of tools) are what comes of it."""

    def __init__(self, voice, cities, rng, persona, settings):
        self.voice, self.cities, self.rng, self.persona, self.max_days = voice, cities, rng, persona, settings["max_days"]
        self.asks = voice.phrases["user"]
        self.speaker = Speaker(voice.phrases["answers"][persona], rng, settings["remarks"][persona], plain=persona == "neutral")
        self.typist = Typist(rng, settings["typing"])
        self.today = world.FIRST_DAY + timedelta(days=rng.randrange(world.SPAN_DAYS))
        self.needed, self.told, self.called = set(), set(), False
        self.asked = set()  # the user's questions, by id: none is put twice in the same words
        self.now_gmt = world.draw_clock(rng)  # all places of a conversation are asked about at the same moment
        date = f"{WEEKDAYS[self.today.weekday()]}, {self.today.day} {MONTHS[self.today.month - 1]} {self.today.year}"
        system = self.some(voice.phrases["system"][persona]).say(rng, {"today": date})
        self.messages = [{"role": "system", "content": system}]

    # --- places and days ---

    def some(self, options):
        return options[self.rng.randrange(len(options))]

    def city(self, other_than=None):
        """Return a Spot in a city, named by the user with its country in some cases. `other_than`: a Spot it must differ from; the new one
        is then in some cases the nearest of several."""
        if other_than is None:
            city = self._known_city()
        else:
            drawn = [self._known_city() for _ in range(self.some((1, 1, 15)))]
            city = min(drawn, key=lambda city: abs(city.latitude - other_than.latitude) + abs(city.longitude - other_than.longitude))
            if city.name == other_than.texts["place"]:
                return self.city(other_than)
        fully = self.rng.random() < 0.3 and city.country != city.name
        look_up = {"city": city.name, **({"country": city.country} if fully else {})}
        return self._spot(city, city.latitude, city.longitude, city_texts(", ".join(look_up.values()), city.name), look_up)

    def _known_city(self):
        """Return a city; they stand best known first, and the better known are asked for more often."""
        return self.cities[int(len(self.cities) * self.rng.random() * self.rng.random())]

    def point(self):
        """Return a Spot given by its coordinates near a city, two decimals, as people paste them."""
        city = self._known_city()
        latitude, longitude = (round(value + (self.rng.random() - 0.5) / 10, 2) for value in (city.latitude, city.longitude))
        return self._spot(city, latitude, longitude, point_texts(latitude, longitude))

    def _spot(self, city, latitude, longitude, texts, look_up=None):
        spell = world.Spell(latitude, longitude, city.elevation, self.today, self.rng, city.timezone, self.now_gmt)
        return Spot(texts, look_up, city, latitude, longitude, spell)

    def unknown_place(self):
        """Return a Spot that no look-up finds."""
        name = self.some(world.UNKNOWN_PLACES)
        return Spot(city_texts(name, name), {"city": name})

    def count_question(self, most=DAYS_ASKED[-1]):
        """Return a Question for the days ahead, at most so many."""
        return Question("ahead", self.some([days for days in DAYS_ASKED if days <= min(most, self.max_days)]))

    def day_question(self):
        """Return a Question for one day ahead, tomorrow in half of the cases."""
        farthest = min(FARTHEST_DAY, self.max_days - 1)
        return Question("day", 1 if farthest == 1 or self.rng.random() < 0.5 else self.rng.randrange(2, farthest + 1))

    def any_question(self, most=WEEK):
        """Return a Question of any kind; for days ahead, at most so many: it may be asked of several places in one conversation."""
        kind = self.some(("now", "now", "ahead", "day"))
        return Question("now") if kind == "now" else self.count_question(most) if kind == "ahead" else self.day_question()

    def question_texts(self, question):
        """Return the texts of the days that are asked for."""
        if question.kind == "ahead":
            return count_texts(question.days)
        if question.kind == "day":
            name = "tomorrow" if question.days == 1 else WEEKDAYS[(self.today.weekday() + question.days) % 7]
            on_day = name if question.days == 1 else f"on {name}"
            return {"day": name, "on_day": on_day, "Day": capital(name), "On_day": capital(on_day)}
        return {}

    # --- turns ---

    def user(self, phrases, texts=None, tags=frozenset()):
        """Add the user's turn, one of `phrases`; return its words as they were meant, before they were typed."""
        texts = texts or {}
        text = self.some(phrases).say(self.rng, texts, tags)
        self.messages.append({"role": "user", "content": self.typist.type(text, texts.values())})
        return text

    def ask(self, phrases, question, texts):
        """Add the user's question, one of `phrases`, and note in `question` the unit and the facts it asks for.

        A phrase with room for a unit decides on it; another leaves the question's own.
        """
        phrase = self.some([phrase for phrase in phrases if id(phrase) not in self.asked] or phrases)
        self.asked.add(id(phrase))
        texts = {**texts, **self.question_texts(question)}
        wish = self.some(UNITS) if "in_unit" in phrase.slots else None
        texts["in_unit"] = f" in {wish.capitalize()}" if wish else ""
        text = self.user([phrase], texts, span_tags(question.days) if question.kind == "ahead" else frozenset())
        if "in_unit" in phrase.slots:
            question.unit = wish if wish and texts["in_unit"] in text else None
        for name in (texts.get("where"), texts.get("other_where")):
            text = text.replace(name, "") if name else text  # Windhoek is no question about the wind
        question.asked = asked_facts(question.kind, text) or question.asked

    def reply(self, text):
        self.messages.append({"role": "assistant", "content": text})

    def say(self, *keys, texts=None):
        """Return a phrase of the persona's answers."""
        return self.speaker.say(*keys, texts=texts or {})

    def call(self, *calls):
        """Add one assistant message with these calls (name, arguments, body of the answer) and the tools' answers."""
        made = [("".join(self.rng.choices(CALL_ID_CHARS, k=9)), *call) for call in calls]
        self.called = True
        self.needed.update(name for _, name, _, _ in made)
        self.messages.append({"role": "assistant", "content": "", "tool_calls": [
            {"id": call_id, "type": "function", "function": {"name": name, "arguments": to_text(arguments)}}
            for call_id, name, arguments, _ in made]})
        self.messages += [{"role": "tool", "content": to_text(body), "tool_call_id": call_id, "name": name}
                          for call_id, name, _, body in made]

    # --- tools ---

    def geocode(self, *spots):
        """Look up the coordinates of cities, in parallel."""
        self.call(*(("geocode_location", spot.look_up, world.geocoding_body(spot.city, self.rng)) for spot in spots))

    def weather_call(self, question, spot, body=None):
        """Return (name, arguments, body) of the call that answers `question`; the body is the weather there unless one is given."""
        arguments = {"latitude": spot.latitude, "longitude": spot.longitude}
        unit = {"unit": question.unit} if question.unit else {}
        if question.kind == "now":
            return "get_current_weather", {**arguments, **unit}, body or spot.spell.current(question.unit or "celsius")
        days = question.days + (question.kind == "day")
        return "get_forecast", {**arguments, "days": days, **unit}, body or spot.spell.forecast(days, question.unit or "celsius")

    def fetch(self, question, *spots):
        """Call for the weather of spots, in parallel, and keep what the answers say."""
        calls = [self.weather_call(question, spot) for spot in spots]
        self.call(*calls)
        for spot, (_, _, body) in zip(spots, calls):
            if question.kind == "now":
                spot.current = parse_current(body)
            else:
                spot.forecast = parse_forecast(body)

    # --- answers ---

    def tell(self, question, spot, without=frozenset(), first=""):
        """Answer `question` from what has been fetched; `first` is said before."""
        place, asked = spot.texts, question.asked
        if question.kind == "now":
            text, self.told = self.speaker.now(spot.current, place, asked, without)
        elif question.kind == "day":
            day = spot.forecast.days[question.days]
            text = self.speaker.day(day, spot.forecast, {**place, **self.question_texts(question)}, asked, without)
        else:
            text = self.speaker.ahead(spot.forecast, {**place, **self.question_texts(question)}, asked)
        self.reply(f"{first} {text}" if first else text)

    def look_up_and_tell(self, question, spot, without=frozenset(), first=""):
        self.geocode(spot)
        self.fetch(question, spot)
        self.tell(question, spot, without, first)

    def ask_and_tell(self, question, spot, without=frozenset()):
        """Let the user ask about a city and answer: look-up, weather, words."""
        self.ask(self.asks[question.kind], question, spot.texts)
        self.look_up_and_tell(question, spot, without - question.asked)

    def exchange(self, topic):
        """Add a question of small talk or general knowledge and its answer."""
        self.user(topic["user"])
        self.reply(self.some(topic[self.persona]).say(self.rng, {}))

    def tools(self):
        """Return the tools offered, in any order: those needed, and often others; where none is called, often all of them."""
        everything = not self.called and self.rng.random() < 0.5
        names = [name for name in TOOLS if everything or name in self.needed or self.rng.random() < 0.5]
        if self.rng.random() < 0.5:
            self.rng.shuffle(names)
        return [TOOLS[name] for name in names]


def city_texts(where, name):
    """Return the texts of a city: as the user names it and as answers do."""
    return {"where": where, "city": name, "place": name, "in_place": f"in {name}", "In_place": f"In {name}"}


def point_texts(latitude, longitude):
    """Return the texts of a point given by its coordinates."""
    at = f"{latitude}, {longitude}"
    return {"at": at, "lat": str(latitude), "lon": str(longitude), "place": f"the point {at}", "in_place": f"at {at}",
            "In_place": f"At {at}"}


def count_texts(days):
    """Return the texts of a number of days."""
    return {"n": str(days), "number": NUMBERS[days] if days < len(NUMBERS) else str(days)}
