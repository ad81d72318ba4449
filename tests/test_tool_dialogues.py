"""Tool dialogues: exact quotas, the same bytes for the same seed, the calls each scenario promises, answers composed from their results."""
import copy
import importlib
import json
import random
import re
from collections import Counter, defaultdict

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from paths import CONFIGS_DIR
from weatherman.dialogue import world
from weatherman.dialogue.answers import Speaker, asked_facts
from weatherman.dialogue.arguments import check_arguments
from weatherman.dialogue.facts import current_facts, day_facts, forecast_facts
from weatherman.dialogue.grounding import ungrounded
from weatherman.dialogue.leakage import conversation_key, skeleton, templates
from weatherman.dialogue.phrases import parse, slots
from weatherman.dialogue.scenarios import SCENARIOS, mistyped
from weatherman.dialogue.tool_dialogues import Writer, find_problem, plan
from weatherman.dialogue.typist import Typist, slip
from weatherman.dialogue.voices import Phrase, facts_of
from weatherman.dialogue.weather_api import Current, Day, Forecast
from weatherman.records import ChatRecord, check

SETTINGS = yaml.safe_load((CONFIGS_DIR / "data_config.yaml").read_text(encoding="utf-8"))["tool_use"]
COUNT, SEED = 900, 7
SCRIPT = importlib.import_module("07_generate_tool_use")
HABITS = dict.fromkeys(("greeting", "polite", "no_capitals", "no_stops", "slips", "chat_words"), 1.0)


@pytest.fixture(scope="module")
def writer():
    return Writer(SEED, SETTINGS)


@pytest.fixture(scope="module")
def dialogues(writer):
    return [writer.dialogue(number, *pair) for number, pair in enumerate(plan(SETTINGS, COUNT, SEED))]


@pytest.fixture(scope="module")
def of(dialogues):
    """Return the dialogues of a scenario."""
    found = defaultdict(list)
    for record in dialogues:
        found[record["tags"]["scenario"]].append(record)
    return found


def batches(record):
    """Return the names called, one tuple for each assistant message that calls."""
    return tuple(tuple(call["function"]["name"] for call in m["tool_calls"]) for m in record["messages"] if m.get("tool_calls"))


def calls(record):
    """Return [(name, arguments, result)] of a record in order."""
    bodies = {m["tool_call_id"]: json.loads(m["content"]) for m in record["messages"] if m["role"] == "tool"}
    return [(call["function"]["name"], json.loads(call["function"]["arguments"]), bodies[call["id"]])
            for m in record["messages"] for call in m.get("tool_calls") or []]


def said(record, role="assistant"):
    return [m["content"] for m in record["messages"] if m["role"] == role and m["content"]]


GEO, NOW, AHEAD = ("geocode_location",), ("get_current_weather",), ("get_forecast",)


# --- the whole set ----------------------------------------------------------------------------------------------------

def test_quotas_are_exact():
    pairs = plan(SETTINGS, 999, 1)
    assert Counter(persona for _, persona in pairs) == {"neutral": 599, "twain": 250, "franklin": 150}
    assert Counter(scenario for scenario, _ in pairs)["current"] == 80
    assert plan(SETTINGS, 999, 1) == pairs != plan(SETTINGS, 999, 2)


def test_the_config_knows_exactly_the_scenarios_that_exist():
    assert set(SETTINGS["scenarios"]) == set(SCENARIOS)


def test_the_same_seed_gives_the_same_record_whatever_was_written_before(writer):
    fresh = Writer(SEED, SETTINGS).dialogue(5, "follow_up", "twain")
    writer.dialogue(4, "error", "neutral")
    assert writer.dialogue(5, "follow_up", "twain") == fresh
    assert writer.dialogue(5, "follow_up", "twain", attempt=1)["messages"] != fresh["messages"]
    assert Writer(8, SETTINGS).dialogue(5, "follow_up", "twain")["messages"] != fresh["messages"]


def test_every_record_is_valid_grounded_and_calls_inside_the_schema(dialogues):
    for record in dialogues:
        check(ChatRecord, record)
        assert ungrounded(record["messages"], record["tools"]) == [], said(record)
        for name, arguments, _ in calls(record):
            check_arguments(name, json.dumps(arguments))


def test_answers_differ(dialogues):
    skeletons = Counter(skeleton(said(record)[-1]) for record in dialogues)
    assert len(skeletons) > COUNT / 2 and skeletons.most_common(1)[0][1] <= 6


def test_no_sentence_template_stands_in_two_voices(dialogues):
    owner = {}
    for record in dialogues:
        for template in templates(record):
            voice = record["provenance"]["split_group"]
            assert owner.setdefault(template, voice) == voice, template


def test_every_record_names_its_voice(dialogues, writer):
    voices = {voice.name: voice for voice in writer.voices}
    for record in dialogues:
        provenance = record["provenance"]
        name = provenance["split_group"].removeprefix("voice:")
        assert provenance["documents"][0] == {"id": f"voice:{name}", "sha256": voices[name].sha256, "start": 0, "end": voices[name].size,
                                              "license": "CC0-1.0, written for Weatherman-LoRA; places from GeoNames, CC BY 4.0"}
        assert provenance["generator"] == f"07_generate_tool_use/{record['tags']['scenario']}"


def test_call_ids_are_unique_and_the_tools_offered_differ(dialogues):
    for record in dialogues:
        ids = [call["id"] for m in record["messages"] for call in m.get("tool_calls") or []]
        assert len(ids) == len(set(ids))
    offered = {tuple(tool["function"]["name"] for tool in record["tools"]) for record in dialogues}
    assert {len(names) for names in offered} >= {1, 2, 3} and len(offered) >= 10


def test_no_more_days_are_asked_than_configured():
    writer = Writer(SEED, {**SETTINGS, "max_days": 2})
    for number, pair in enumerate(plan(SETTINGS, 200, SEED)):
        for _, arguments, _ in calls(writer.dialogue(number, *pair)):
            assert arguments.get("days", 1) <= 2


@pytest.mark.parametrize("plant, reason", [
    (lambda record: record["messages"][-1].update(content="It is 99.5 °C in Lisbon."), "ungrounded: "),
    (lambda record: record["messages"][-1].update(content=""), "invalid_record: "),
    (lambda record: record["messages"].pop(-2), "invalid_record: "),
    (lambda record: record["tools"].clear(), "invalid_record: "),
    (lambda record: record["tags"].update(tone="loud"), "invalid_record: "),
    (lambda record: function_of(record).update(arguments='{"latitude": 1.5, "longitude": 2.5, "days": 15}'), "invalid_arguments: "),
    (lambda record: function_of(record).update(arguments='{"latitude": "north", "longitude": 2.5, "days": 5}'), "invalid_arguments: ")])
def test_each_gate_refuses_what_is_planted(of, plant, reason):
    record = copy.deepcopy(of["forecast"][0])
    assert find_problem(record) is None
    plant(record)
    assert find_problem(record).startswith(reason)


def function_of(record):
    return record["messages"][-3]["tool_calls"][0]["function"]


class Rejects(list):
    """The part of a Step that the generator of dialogues uses."""

    def seen(self):
        pass

    def reject(self, reason, **row):
        self.append((reason, row["id"]))


def test_what_was_said_before_is_rejected_and_drawn_anew():
    only = {**SETTINGS, "scenarios": {**dict.fromkeys(SETTINGS["scenarios"], 0.0), "no_tool": 1.0}, "count": 400}
    rejects = Rejects()
    records = list(SCRIPT.good_dialogues(rejects, only, SEED, workers=1))
    assert len(records) == 400 == len({conversation_key(record) for record in records})
    assert len(rejects) > 0 and {reason for reason, _ in rejects} == {"duplicate"}
    assert {name for _, name in rejects} < {record["id"] for record in records}


# --- each scenario ----------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("scenario, expected", [
    ("current", {(NOW,)}), ("chain", {(GEO, NOW)}), ("forecast", {(GEO, AHEAD)}), ("one_day", {(GEO, AHEAD)}),
    ("compare", {(GEO * 2, NOW * 2)}), ("no_tool", {()}), ("unit_change", {(GEO, NOW, NOW), (GEO, AHEAD, AHEAD)}),
    ("correction", {(GEO, NOW, GEO, NOW), (GEO, AHEAD, GEO, AHEAD)}), ("impossible", {(), (GEO, NOW), (GEO, AHEAD)}),
    ("small_talk", {(), (GEO, NOW), (GEO, AHEAD)})])
def test_scenarios_make_the_calls_they_promise(of, scenario, expected):
    assert {batches(record) for record in of[scenario]} == expected


def test_weather_is_asked_for_at_the_point_that_was_found(dialogues):
    for record in dialogues:
        found = [(body["results"][0]["latitude"], body["results"][0]["longitude"])
                 for name, _, body in calls(record) if name == "geocode_location" and "results" in body]
        asked = [(arguments["latitude"], arguments["longitude"]) for name, arguments, _ in calls(record) if name != "geocode_location"]
        told = " ".join(said(record, "user"))
        assert all(point in found or str(point[0]) in told and str(point[1]) in told for point in asked)


def test_a_forecast_has_exactly_the_days_asked_and_a_line_for_each(of):
    seen = set()
    for record in of["forecast"]:
        (_, _, _), (_, arguments, body) = calls(record)
        assert {len(series) for series in body["daily"].values()} == {arguments["days"]}
        words = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen".split()
        spans = {7: "week", 14: "fortnight|two.week"}
        asked = rf"(?<!\d){arguments['days']}(?!\d)|\b{words[arguments['days'] - 1]}\b|{spans.get(arguments['days'], '^$')}"
        assert re.search(asked, said(record, "user")[0]), said(record, "user")[0]
        listed = re.findall(r"^- ", said(record)[0], re.M)
        assert len(listed) in (0, arguments["days"]) and (listed or arguments["days"] <= 3)
        seen.add(arguments["days"])
    assert seen >= {2, 3, 5, 7, 14}


def test_one_day_is_reached_and_told_alone(of):
    for record in of["one_day"]:
        body = calls(record)[1][2]
        weekday = world.date.fromisoformat(body["daily"]["time"][-1]).strftime("%A")
        day = "tomorrow" if len(body["daily"]["time"]) == 2 else weekday
        assert day in said(record, "user")[0].replace("Tomorrow", "tomorrow") and day.lower() in said(record)[0].lower()
        others = {"Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"} - {day}
        assert not [name for name in others if name in said(record)[0]]


def test_a_unit_is_passed_on_when_and_only_when_the_user_asked_for_it(of):
    seen = set()
    for record in of["current"] + of["chain"] + of["forecast"] + of["one_day"] + of["compare"]:
        wish = next((unit for unit in ("Fahrenheit", "Celsius") if unit in said(record, "user")[0]), None)
        assert {a.get("unit") for name, a, _ in calls(record) if name != "geocode_location"} == {wish.lower() if wish else None}
        assert ("°F" in said(record)[0]) <= (wish == "Fahrenheit")
        seen.add(wish)
    assert seen == {"Fahrenheit", "Celsius", None}


def test_two_places_are_both_told(of):
    for record in of["compare"]:
        for _, arguments, _ in calls(record)[:2]:
            assert arguments["city"] in said(record)[0]


def test_all_places_of_a_conversation_are_asked_about_at_the_same_moment(of):
    """At 12:00 in Berlin it is 16:30 in Mumbai: clocks differ by their offsets."""
    for record in of["compare"]:
        moments = set()
        for _, _, body in calls(record)[2:]:
            hour, minute = map(int, body["current"]["time"][-5:].split(":"))
            moments.add((hour * 60 + minute - body["utc_offset_seconds"] // 60) % 1440)
        assert len(moments) == 1


def test_no_question_is_put_twice_in_the_same_words(writer):
    """Not even with another day in it: "And Friday?", then no "And Sunday?"."""
    for number in range(100):
        asked = [skeleton(text) for text in said(writer.dialogue(number, "follow_up", "twain"), "user")]
        assert len(set(asked)) == len(asked)


def test_another_unit_is_the_same_call_about_the_same_weather(of):
    for record in of["unit_change"]:
        (_, before, one), (_, after, other) = calls(record)[1:]
        assert {**before, "unit": 0} == {**after, "unit": 0} and before.get("unit", "celsius") != after["unit"]
        section = "current" if "current" in one else "daily"
        for key, value in one[section].items():
            if key.startswith(("temperature", "apparent")):
                pairs = zip(value, other[section][key]) if section == "daily" else [(value, other[section][key])]
                for a, b in pairs:
                    low, high = (a, b) if before.get("unit", "celsius") == "celsius" else (b, a)
                    assert abs(low * 9 / 5 + 32 - high) < 0.06
            else:
                assert other[section][key] == value


def test_a_correction_is_answered_for_the_right_place(of):
    for record in of["correction"]:
        wrong, right = (arguments["city"] for name, arguments, _ in calls(record) if name == "geocode_location")
        assert right in said(record, "user")[1] and right in said(record)[1] and wrong in said(record)[0]


def test_a_missing_place_is_asked_for_before_any_call(of):
    for record in of["missing_place"]:
        assert record["messages"][2]["content"].endswith(("?", ".", "!", "”"))
        assert len(said(record, "user")) == (2 if batches(record) else 1)
    assert {batches(record) for record in of["missing_place"]} >= {(), (GEO, NOW)}


def test_what_cannot_be_done_is_said_before_any_call(of):
    for record in of["impossible"]:
        assert record["messages"][2]["content"] and not record["messages"][2].get("tool_calls")
        assert any(tool["function"]["name"] == "get_forecast" for tool in record["tools"])
    assert {len(record["tools"]) for record in of["impossible"] + of["no_tool"] + of["small_talk"] if not batches(record)} >= {1, 3}


def test_follow_ups_call_only_for_what_is_not_there_yet(of):
    turns = Counter()
    for record in of["follow_up"]:
        kinds = []
        for message in record["messages"][1:]:
            if message["role"] == "user":
                kinds.append([])
            kinds[-1] += [call["function"]["name"] for call in message.get("tool_calls") or []]
        assert kinds[0][0] == "geocode_location" and len(kinds) in (2, 3)
        turns.update(tuple(kind) for kind in kinds[1:])
    assert set(turns) == {(), AHEAD, GEO + NOW, GEO + AHEAD} and turns[()] > 15 and turns[AHEAD] > 5


def test_a_day_of_a_forecast_that_is_there_needs_no_call(writer):
    found = 0
    for number in range(60):
        record = writer.dialogue(number, "follow_up", "neutral")
        reached = {}  # the longest forecast of each place so far
        for name, arguments, body in calls(record):
            if name == "get_forecast":
                place = arguments["latitude"], arguments["longitude"]
                assert len(body["daily"]["time"]) > reached.get(place, 0)  # asked again only where the day was beyond it
                reached[place] = len(body["daily"]["time"])
        found += len(reached) == 1 and len(said(record, "user")) > 1
    assert found > 10


def test_errors_follow_from_their_calls(of):
    kinds = Counter()
    for record in of["error"]:
        name, arguments, body = next(call for call in calls(record) if not is_good(call[2]))
        if name == "geocode_location":
            kinds["not_found"] += 1
            assert arguments["city"] in world.UNKNOWN_PLACES and arguments["city"] in said(record)[0] + said(record, "user")[0]
        elif "range" in body.get("reason", ""):
            kinds["out_of_range"] += 1
            key = body["reason"].split()[0].lower()
            assert str(arguments[key]) in body["reason"] and abs(arguments[key]) > (90 if key == "latitude" else 180)
            assert str(arguments[key]) in said(record, "user")[0]
        elif "limit" in body.get("reason", ""):
            kinds["rate_limit"] += 1
            again = [call for call in calls(record) if call[:2] == (name, arguments)]
            assert len(again) == 1 or "minute" in body["reason"] and is_good(again[1][2])
        else:
            kinds["timeout" if "reason" in body else "empty"] += 1
    assert set(kinds) == {"not_found", "out_of_range", "rate_limit", "timeout", "empty"} and min(kinds.values()) >= 5


def is_good(body):
    if "daily" in body:
        return None not in body["daily"]["weather_code"]
    return "results" in body or body.get("current", {}).get("weather_code") is not None


@pytest.mark.parametrize("point, expected", [
    ((40.71, -74.0), ("latitude", 407.1)), ((-33.87, 151.2), ("latitude", -338.7)), ((1.35, 103.82), ("longitude", 1038.2)),
    ((5.6, -0.19), ("latitude", 105.6))])
def test_a_mistyped_coordinate_is_none_any_more(point, expected):
    assert mistyped(*point) == expected


# --- facts and answers ------------------------------------------------------------------------------------------------

def forecast(*days):
    """Return a Forecast of (code, low, high, chance, wind) from Monday 3 March 2025 on."""
    return Forecast(tuple(Day(f"2025-03-{3 + i:02d}", code, high, low, 0.0 if code < 51 else 2.5, chance, wind)
                          for i, (code, low, high, chance, wind) in enumerate(days)), "°C", "mm", "km/h")


def test_facts_of_the_moment():
    now = Current("2025-03-03T12:00", 30.0, 33.5, 60, 28.1, 95, "°C", "km/h")
    assert current_facts(now) == ({"temp": "30.0 °C", "feels": "33.5 °C", "humidity": "60 %", "wind": "28.1 km/h", "sky": "a thunderstorm",
                                   "Sky": "A thunderstorm"}, {"wet", "windy"})
    for hour, code, tags in (("12", 2, {"hot"}), ("23", 2, set()), ("12", 80, {"wet"})):  # shade is for the day, and for dry heat
        assert current_facts(Current(f"2025-03-03T{hour}:00", 30.0, 33.5, 60, 8.1, code, "°C", "km/h"))[1] == tags
    bare = Current("2025-03-03T12:00", 40.0, None, None, None, 71, "°F", None)
    assert current_facts(bare) == ({"temp": "40.0 °F", "sky": "light snow", "Sky": "Light snow"}, {"cold", "snowy"})


def test_facts_of_a_day():
    dry = forecast((2, 4.0, 12.5, 10, 8.0))
    assert day_facts(dry.days[0], dry) == ({"low": "4.0 °C", "high": "12.5 °C", "sky": "a partly cloudy sky", "Sky": "A partly cloudy sky",
                                            "chance": "10 %", "wind": "8.0 km/h"}, {"cool"})
    wet = forecast((61, 4.0, 7.0, 80, 30.0))
    texts, tags = day_facts(wet.days[0], wet)
    assert texts["rain"] == "2.5 mm" and tags == {"wet", "cold", "windy"}
    assert forecast_facts(forecast((61, 4.0, 7.0, 80, 9.0), (73, -2.0, 1.0, 90, 9.0)))[1] == {"wet", "snowy", "cold"}


def test_extremes_are_left_out_where_they_are_shared_or_say_nothing():
    full = forecast((61, 3.0, 20.0, 70, 10.0), (2, 2.0, 21.0, 10, 26.0), (2, 5.0, 19.0, 5, 9.0))
    assert forecast_facts(full)[0] == {
        "warm_day": "Tuesday", "warm_high": "21.0 °C", "cold_day": "Tuesday", "cold_low": "2.0 °C", "wet_day": "Monday",
        "wet_chance": "70 %", "windy_day": "Tuesday", "windy_wind": "26.0 km/h"}
    assert forecast_facts(forecast((2, 2.0, 21.0, 30, 9.0), (2, 2.0, 21.0, 10, 8.0), (2, 5.0, 19.0, 5, 7.0))) == ({}, {"cold"})
    assert forecast_facts(forecast((61, 8.0, 21.0, 70, 30.0), (2, 2.0, 22.0, 10, 8.0)))[0] == {"wet_day": "Monday", "wet_chance": "70 %"}


def test_a_long_forecast_names_its_days_with_their_date():
    days = forecast(*[(2, 5.0 + i, 10.0 + i, 5, 9.0) for i in range(8)])
    assert forecast_facts(days)[0]["warm_day"] == "Monday 10 March"


@pytest.mark.parametrize("kind, question, facts", [
    ("now", "How windy is it in ?", {"wind"}), ("now", "Is it humid, and how does it feel?", {"humidity", "feels"}),
    ("now", "Do I need a coat?", {"temp"}), ("now", "What's the weather?", set()), ("day", "Will it be dry?", {"chance"}),
    ("day", "Can I hang washing out?", {"chance", "sky"}), ("ahead", "Which day is warmest, and is any wet?", {"warm", "wet"}),
    ("ahead", "Which day is best for the hay?", {"wet"})])
def test_what_a_question_asks_for(kind, question, facts):
    assert asked_facts(kind, question) == facts


def phrase(text):
    parts = parse(text)
    return Phrase(parts, frozenset(slots(parts)), facts_of(slots(parts)))


def test_an_answer_tells_each_fact_once_and_what_was_asked():
    phrases = {"now": {"open": [phrase("{In_place}: {temp}."), phrase("{In_place}: {temp}, {sky}.")],
                       "remark": [phrase("[?windy Hold on.|]")],
                       "tell": [phrase(f"{{{fact}}} {fact}.") for fact in ("temp", "feels", "sky", "wind", "humidity")]
                       + [phrase("Both {wind} and {feels}.")]}}
    now = Current("2025-03-03T12:00", 10.0, 8.5, 60, 28.1, 2, "°C", "km/h")
    for seed in range(200):
        speaker = Speaker(phrases, random.Random(seed), 0.5, plain=True)
        text, told = speaker.now(now, {"In_place": "In Rome"}, {"humidity"}, frozenset({"feels"}))
        assert text.startswith("In Rome: 10.0 °C") and "60 % humidity." in text and "8.5" not in text
        assert max(Counter(re.findall(r"10\.0|28\.1|60 %|cloudy", text)).values()) == 1
        assert "wind" in told or "28.1" not in text
        first = re.split(r"(?<=\.) ", text)[1]
        assert first == "60 % humidity."


# --- the user's hand --------------------------------------------------------------------------------------------------

def test_every_habit_changes_what_it_should():
    def typed(text, habit, **more):
        hand = Typist(random.Random(3), {**dict.fromkeys(HABITS, 0.0), habit: 1.0})
        return hand.type(text, **more)
    assert typed("What's up? I wonder.", "no_capitals") == "what's up? i wonder."
    assert typed("Lisbon is what? Rome it is.", "no_capitals", kept=["Lisbon", "Rome"]) == "Lisbon is what? Rome it is."
    assert typed("How are you?", "no_stops") == "How are you"
    assert typed("What's it like, are you sure?", "chat_words") == "whats it like, r u sure?"
    assert re.fullmatch(r"[HG][\w :)!.]+[!.)] Is it warm\?", typed("Is it warm?", "greeting"))
    assert typed("Hi, is it warm?", "greeting") == "Hi, is it warm?"
    assert "ank" in (text := typed("Tell me.", "polite")) or "please" in text or text[-1] in "x!"
    assert sorted(typed("weather", "slips")) != "" and typed("weather", "slips") != "weather" and typed("in it", "slips") == "in it"


NAME = st.text(alphabet=st.characters(whitelist_categories=["Lu", "Ll"], max_codepoint=0x24F), min_size=2, max_size=12)


@given(NAME, st.integers(-9000, 9000), st.sampled_from(["five", "tomorrow", "on Friday"]), st.integers())
def test_names_numbers_days_and_units_are_never_touched(name, number, day, seed):
    at = f"{number / 100}, 12.5"
    kept = [name, at, day, " in Fahrenheit"]
    typed = Typist(random.Random(seed), HABITS).type(f"{name} perhaps, what about {name} then, at {at} {day} in Fahrenheit?", kept)
    assert typed.count(name) >= 2 and all(text in typed for text in kept)


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz", min_size=5, max_size=12), st.integers())
def test_a_slip_is_one_slip(word, seed):
    typed = slip(word, random.Random(seed))
    assert typed[0] == word[0] and abs(len(typed) - len(word)) <= 1 and len(set(enumerate(typed)) - set(enumerate(word))) <= len(word)
