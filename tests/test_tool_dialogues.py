"""Tool dialogues: exact quotas, the same bytes for the same seed, calls inside their schemas, answers that follow from the calls."""
import json
from collections import Counter, defaultdict
from datetime import date

import pytest

from weatherman.cli import UserError
from weatherman.dialogue import world
from weatherman.dialogue.arguments import check_arguments
from weatherman.dialogue.grounding import ungrounded
from weatherman.dialogue.leakage import templates
from weatherman.dialogue.phrases import slots
from weatherman.dialogue.tool_dialogues import Writer, plan
from weatherman.dialogue.weather_api import TOOLS, WMO, current_facts, forecast_facts
from weatherman.records import ChatRecord, check

SHARES = {"scenarios": {"current": 0.25, "geocode_current": 0.2, "forecast": 0.25, "missing_place": 0.1, "error": 0.1,
                        "no_tool": 0.1},
          "personas": {"neutral": 0.6, "twain": 0.25, "franklin": 0.15}}
NOW = {"temp", "feels", "humidity", "wind", "sky", "Sky"}
SLOTS = {"current": NOW | {"at", "lat", "lon", "in_unit"}, "geocode_current": NOW | {"city", "where", "in_unit"},
         "forecast": {"city", "where", "n", "number", "list", "run", "warm_day", "warm_high", "cold_day", "cold_low", "wet_day",
                      "wet_chance", "in_unit"}, "missing_place": {"n"}, "no_tool": set(),
         "error": {"city", "where", "n", "at", "lat", "lon", "in_unit", "limit", "reason", "retry"}}


@pytest.fixture(scope="module")
def writer():
    return Writer(7, max_days=14)


@pytest.fixture(scope="module")
def dialogues(writer):
    return [writer.dialogue(number, *pair) for number, pair in enumerate(plan(SHARES, 900, 7))]


def calls(record):
    return [call["function"] for m in record["messages"] for call in m.get("tool_calls") or []]


def results(record):
    return [json.loads(m["content"]) for m in record["messages"] if m["role"] == "tool"]


def test_quotas_are_exact():
    pairs = plan(SHARES, 999, 1)
    assert Counter(persona for _, persona in pairs) == {"neutral": 599, "twain": 250, "franklin": 150}
    assert Counter(scenario for scenario, _ in pairs)["current"] == 250
    assert plan(SHARES, 999, 1) == pairs != plan(SHARES, 999, 2)


def test_the_same_seed_gives_the_same_record_whatever_was_written_before(writer):
    fresh = Writer(7, max_days=14).dialogue(5, "forecast", "twain")
    writer.dialogue(4, "error", "neutral")
    assert writer.dialogue(5, "forecast", "twain") == fresh
    assert Writer(8, max_days=14).dialogue(5, "forecast", "twain")["messages"] != fresh["messages"]


def test_every_record_is_valid_grounded_and_calls_inside_the_schema(dialogues):
    for record in dialogues:
        check(ChatRecord, record)
        assert ungrounded(record["messages"], record["tools"]) == [], record["messages"][-1]["content"]
        for call in calls(record):
            check_arguments(call["name"], call["arguments"])


def test_no_more_days_are_asked_than_configured():
    writer = Writer(7, max_days=3)
    for number in range(60):
        for message in writer.dialogue(number, "forecast", "neutral")["messages"]:
            for call in message.get("tool_calls") or []:
                assert json.loads(call["function"]["arguments"]).get("days", 1) <= 3


def test_scenarios_make_the_calls_they_promise(dialogues):
    made = defaultdict(set)
    for record in dialogues:
        made[record["tags"]["scenario"]].add(tuple(call["name"] for call in calls(record)))
    assert made == {"current": {("get_current_weather",)}, "geocode_current": {("geocode_location", "get_current_weather")},
                    "forecast": {("geocode_location", "get_forecast")}, "missing_place": {()}, "no_tool": {()},
                    "error": {(), ("geocode_location",), ("get_current_weather",), ("geocode_location", "get_current_weather"),
                              ("geocode_location", "get_forecast")}}


def test_a_forecast_has_exactly_the_days_asked_and_the_geocoded_point(dialogues):
    seen = set()
    for record in (r for r in dialogues if r["tags"]["scenario"] == "forecast"):
        place, arguments = results(record)[0]["results"][0], json.loads(calls(record)[1]["arguments"])
        daily = results(record)[1]["daily"]
        assert {len(series) for series in daily.values()} == {arguments["days"]}
        assert (arguments["latitude"], arguments["longitude"]) == (place["latitude"], place["longitude"])
        seen.add(arguments["days"])
    assert len(seen) >= 6


def test_a_unit_is_passed_on_when_and_only_when_the_user_asked_for_it(dialogues):
    for record in (r for r in dialogues if r["tags"]["scenario"] in ("current", "geocode_current", "forecast")):
        wish = next((unit for unit in ("Fahrenheit", "Celsius") if unit in record["messages"][1]["content"]), None)
        assert json.loads(calls(record)[-1]["arguments"]).get("unit") == (wish.lower() if wish else None)
        assert ("°F" in record["messages"][-1]["content"]) <= (wish == "Fahrenheit")


def test_errors_follow_from_their_calls(dialogues):
    for record in (r for r in dialogues if r["tags"]["scenario"] == "error"):
        last = results(record)[-1] if results(record) else None
        names = [call["name"] for call in calls(record)]
        if names == ["geocode_location"]:
            assert "results" not in last and json.loads(calls(record)[0]["arguments"])["city"] in world.UNKNOWN_PLACES
        elif names:
            assert last["error"] is True


def test_call_ids_are_unique_in_a_conversation_and_tools_offered_differ(dialogues):
    for record in dialogues:
        ids = [call["id"] for m in record["messages"] for call in m.get("tool_calls") or []]
        assert len(ids) == len(set(ids))
    assert len({tuple(tool["function"]["name"] for tool in record["tools"]) for record in dialogues}) >= 5


def test_no_sentence_template_stands_in_two_groups(dialogues):
    owner = {}
    for record in dialogues:
        group = record["provenance"]["split_group"]
        for template in templates(record):
            assert owner.setdefault(template, group) == group, template


def test_groups_are_enough_and_use_known_slots_only(writer):
    for scenario, known in SLOTS.items():
        groups = writer.phrases[scenario]
        assert len(groups) >= 8
        for group in groups:
            lines = group.get("lines", [])
            texts = [phrase for key, phrases in group.items() if key not in ("error", "lines", "talk") for phrase in phrases]
            assert set().union(*map(slots, texts), set()) <= known
            assert set().union(*map(slots, lines), set()) <= {"day", "sky", "Sky", "low", "high", "chance", "wind"}


@pytest.mark.parametrize("name, arguments", [
    ("get_forecast", {"latitude": 1.0, "longitude": 2.0, "days": 15}), ("get_forecast", {"latitude": 1.0, "longitude": 2.0}),
    ("get_current_weather", {"latitude": 91.0, "longitude": 2.0}), ("get_current_weather", {"latitude": "1", "longitude": 2.0}),
    ("get_current_weather", {"latitude": 1.0, "longitude": 2.0, "unit": "kelvin"}), ("geocode_location", {"city": ""}),
    ("geocode_location", {"city": "Rome", "zip": "1"}), ("get_moon", {}),
])
def test_a_call_outside_its_schema_is_refused(name, arguments):
    with pytest.raises(ValueError, match="get_|geocode_"):
        check_arguments(name, json.dumps(arguments))


def test_the_schemas_of_tools_and_the_models_of_their_arguments_agree():
    for name, tool in TOOLS.items():
        parameters = tool["function"]["parameters"]
        full = {"latitude": 1.5, "longitude": 2.5, "days": 3, "unit": "celsius", "city": "Rome", "country": "Italy"}
        check_arguments(name, json.dumps({key: full[key] for key in parameters["properties"]}))
        for missing in parameters["required"]:
            with pytest.raises(ValueError, match=missing):
                check_arguments(name, json.dumps({key: full[key] for key in parameters["properties"] if key != missing}))


@pytest.mark.parametrize("change, message", [
    (lambda text: "", "there is no city"), (lambda text: text.split("\n")[0], "there is no city"),
    (lambda text: text.replace("51.50853", "many"), ":2: not a city"), (lambda text: text.replace("latitude", "lat"), ":2: not a city"),
    (lambda text: text + "Atlantis,Sea\n", "not a city"), (lambda text: text.replace("England", "England,x"), ":2: not a city")])
def test_a_damaged_list_of_cities_is_named(tmp_path, change, message):
    path, good = tmp_path / "cities.csv", world.CITIES.read_text(encoding="utf-8")
    path.write_text("\ufeff" + good.replace("\n", "\r\n"), encoding="utf-8", newline="")  # BOM and CRLF do no harm
    assert world.load_cities(path) == world.load_cities()
    path.write_text(change(good), encoding="utf-8")
    with pytest.raises(UserError, match=f"cities.csv.*{message}"):
        world.load_cities(path)


def test_the_world_is_plausible():
    july, january = date(2025, 7, 16), date(2025, 1, 16)
    assert world.mean_temperature(60, 0, july) > world.mean_temperature(60, 0, january) + 20
    assert world.mean_temperature(-34, 0, january) > world.mean_temperature(-34, 0, july) + 10
    assert abs(world.mean_temperature(1, 0, july) - world.mean_temperature(1, 0, january)) < 1
    assert world.mean_temperature(0, 2800, july) < 12 < 24 < world.mean_temperature(0, 0, july)
    assert len(world.load_cities()) >= 60
    assert not {city.name for city in world.load_cities()} & set(world.UNKNOWN_PLACES)


def test_snow_falls_in_the_cold_only(dialogues):
    for record in dialogues:
        for body in results(record):
            if "daily" in body and body["daily_units"]["temperature_2m_max"] == "°C":
                for code, high, low in zip(*(body["daily"][key] for key in ("weather_code", "temperature_2m_max", "temperature_2m_min"))):
                    assert low < high and code in WMO
                    assert not (71 <= code <= 77 or code in (85, 86)) or low < 2
                    assert code < 95 or high > 15


def test_facts_are_taken_from_the_answer_of_the_service():
    from dialogue_records import current_result, forecast_result
    facts, tags = current_facts(current_result(temperature=30.0, code=95))
    assert facts["temp"] == "30.0 °C" and facts["Sky"] == "A thunderstorm" and tags == {"hot", "wet"}
    facts, days, tags = forecast_facts(forecast_result())
    assert facts == {"warm_day": "Tuesday", "warm_high": "21.5 °C", "cold_day": "Thursday", "cold_low": "-3.0 °C", "wet_day": "Wednesday",
                     "wet_chance": "80 %"}
    assert [day["day"] for day in days] == ["Tuesday", "Wednesday", "Thursday"] and tags == {"wet", "snowy", "cold"}
