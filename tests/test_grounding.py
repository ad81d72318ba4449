"""Grounding: honest answers pass, and each wrong number, unit, day, place, kind, comparison and condition is found."""
import json

import pytest

from dialogue_records import conversation, current_result, forecast_result
from weatherman.dialogue.grounding import ungrounded
from weatherman.dialogue.weather_api import TOOLS

ASKED = "What's the weather in Rome, Italy?"
SYSTEM = {"role": "system", "content": "You are a weather assistant. Today is Tuesday, 16 June 2026."}


def now(answer, user=ASKED, result=None):
    """Rome: 12.4 °C, feels like 10.4 °C, light rain, wind 18.0 km/h, humidity 81 %, at 08:45 on Tuesday 16 June 2026."""
    return ungrounded(conversation(user, result or current_result(), answer), [])


def ahead(answer, user="Rome, the next three days?"):
    """Tuesday 16 June: clear, 11.0-21.5 °C, 5 %, 10.0 km/h; Wednesday: light rain, 6.5-14.0, 80 %, 22.0;
    Thursday: light snow, -3.0-2.5, 65 %, 31.0."""
    return ungrounded([SYSTEM, *conversation(user, forecast_result(), answer)], [])


def call(name, number, **arguments):
    return {"id": f"call{number:05d}", "type": "function", "function": {"name": name, "arguments": json.dumps(arguments)}}


def calling(*calls):
    return {"role": "assistant", "content": "", "tool_calls": list(calls)}


def result(number, body):
    return {"role": "tool", "tool_call_id": f"call{number:05d}", "content": json.dumps(body, ensure_ascii=False)}


LISBON = {"name": "Lisbon", "country": "Portugal", "latitude": 38.71667, "longitude": -9.13333, "elevation": 45.0}
PORTO = {"name": "Porto", "country": "Portugal", "latitude": 41.14961, "longitude": -8.61099}


def compared(answer):
    """Lisbon: 20.1 °C, clear, 12.0 km/h, 40 %. Porto: 16.8 °C, light rain, 25.0 km/h, 88 %. Parallel calls, answered in the other order."""
    lisbon, porto = current_result(20.1, 0, 12.0, 40), current_result(16.8, 61, 25.0, 88)
    return ungrounded([
        {"role": "user", "content": "Which is warmer, Lisbon or Porto?"},
        calling(call("geocode_location", 1, city="Lisbon"), call("geocode_location", 2, city="Porto")),
        result(1, {"results": [LISBON]}), result(2, {"results": [PORTO]}),
        calling(call("get_current_weather", 3, latitude=38.72, longitude=-9.13),
                call("get_current_weather", 4, latitude=41.14961, longitude=-8.61099)),
        result(4, porto), result(3, lisbon), {"role": "assistant", "content": answer}], [])


# --- numbers and units ---

@pytest.mark.parametrize("answer", [
    "In Rome it is 12.4 °C with light rain, wind 18.0 km/h and humidity 81 %.",
    "It is 12 °C in Rome, Italy.",                       # rounded to whole degrees
    "It's 12.4°C in Rome.", "It is 12 degrees Celsius in Rome.", "It is twelve degrees in Rome.", "It is about 12 in Rome.",
    "Rome has 12.4 °C. Carry an umbrella. I would.",
    "At 08:45 it was 12.4 °C.", "At 8:45 am it was 12.4 °C.",
    "Humidity is 81 percent and the wind is 18 kilometres per hour.", "The wind is eighteen km/h.",
    "It's in the low teens in Rome.", "It is around 11 °C.",
    "It is more than 10 °C, with winds under 20 km/h.",
    "- **Temperature:** 12.4 °C\n- **Feels Like:** 10.4 °C\n- **Wind Speed:** 18 km/h\n- **Humidity:** 81%\n- **Conditions:** Light rain",
    "1. It is 12.4 °C.\n2. It feels like 10.4 °C.",
    "The WMO code is 61, light rain.",
])
def test_honest_current_answers_pass(answer):
    assert now(answer) == []


@pytest.mark.parametrize("answer, finding", [
    ("It is 13.4 °C.", "number: 13.4 °C (the result has 12.4 °C, 10.4 °C)"),
    ("It is 12.9 °C.", "number: 12.9 °C (the result has 12.4 °C, 10.4 °C)"),
    ("It is 12.4 °F.", "number: 12.4 °F (the result has 12.4 °C, 10.4 °C)"),
    ("It is 54 °F.", "number: 54 °F (the result has 12.4 °C, 10.4 °C)"),       # rightly converted, but no result says so
    ("It is 54F in Rome.", "number: 54 °F (the result has 12.4 °C, 10.4 °C)"),
    ("It is 81 °C.", "number: 81 °C (the result has 12.4 °C, 10.4 °C)"),       # the humidity, sold as a temperature
    ("It is minus twelve degrees.", "number: minus twelve ° (the result has 12.4 °C, 10.4 °C)"),
    ("It is 12 below zero.", "number: 12 below zero ° (the result has 12.4 °C, 10.4 °C)"),
    ("It is −12.4 °C.", "number: -12.4 °C (the result has 12.4 °C, 10.4 °C)"),  # U+2212
    ("It is in the mid-twenties.", "number: mid twenties ° (the result has 12.4 °C, 10.4 °C)"),
    ("It is between 11 and 14 °C.", "number: 11 °C (the result has 12.4 °C, 10.4 °C)"),
    ("It is 11-14 °C.", "number: 14 °C (the result has 12.4 °C, 10.4 °C)"),
    ("The wind is 11 mph.", "number: 11 mph"),
    ("The wind is 5 m/s.", "number: 5 m/s"),
    ("The wind is 10 knots.", "number: 10 kn"),
    ("The wind blows at 1,800 km/h.", "number: 1,800 km/h (the result has 18 km/h)"),
    ("It feels like 12.4 °C.", "number: 12.4 °C (the result has 10.4 °C)"),     # the temperature itself
    ("It is 10.4 °C in Rome.", "number: 10.4 °C (the result has 12.4 °C, 10.4 °C)"),  # only as it feels
    ("It is 12.4 °C, with a high of 12.4 °C.", "number: 12.4 °C (the result has 12.4 °C, 10.4 °C)"),
    ("There is an 81 % chance of rain.", "number: 81 % (the result has 81 %)"),
    ("Humidity is 18%.", "number: 18 % (the result has 81 %)"),
    ("It will be so until 3 pm.", "number: 3 pm"),
    ("Seven inches fell.", "number: seven inch"), ("The UV index is 18.", "number: 18"),
    ("The temperature is 10.4 °C.", "number: 10.4 °C (the result has 12.4 °C, 10.4 °C)"),
    ("The dew point is 10.4 °C.", "number: 10.4 °C (the result has 12.4 °C, 10.4 °C)"),
    ("It is 3 degrees warmer than usual.", "number: 3 ° (the result has 12.4 °C, 10.4 °C)"),
])
def test_planted_numbers_in_a_current_answer_are_found(answer, finding):
    assert finding in now(answer)


@pytest.mark.parametrize("answer", [
    "Rome, 3 days:\n- Tuesday: a clear sky, 11.0 °C to 21.5 °C\n- Wednesday: light rain, 14.0 °C\n- Thursday: light snow, -3.0 °C",
    "Tuesday 16 June reaches 21.5 °C; today is dry at 5 %, tomorrow 80 %.",
    "Over the three days the lowest is -3.0 °C.",
    "Tuesday: 11-22 °C, Wednesday: 7–14 °C.", "On Thursday it ranges from −3 to 2.5 °C.", "Thursday falls to 3 below zero.",
    "June 16: 21.5 °C. 17 June 2026: 14 °C. On the 18th, 2.5 °C.", "2026-06-17 brings light rain.", "16/06: clear, up to 21.5 °C",
    "Tue: clear, 21.5 °C\nWed: light rain, 14 °C\nThu: light snow, 2.5 °C",
    "| Day | High | Low |\n|---|---|---|\n| Tuesday | 21.5 °C | 11 °C |\n| Wednesday | 14 °C | 6.5 °C |",
    "**Tuesday, June 16**\n- High: 21.5 °C\n- Low: 11 °C\n\n**Wednesday, June 17**\n- High: 14 °C\n- Low: 6.5 °C",
    "11 °C by night and 21.5 °C by day on Tuesday, then 6.5 °C and 14 °C on Wednesday.",
    "Highs run from 2.5 °C on Thursday to 21.5 °C on Tuesday.",
    "The day after tomorrow reaches only 2.5 °C.", "From Wednesday to Thursday it stays below 15 °C.",
    "Tuesday and Wednesday reach 21.5 °C and 14 °C.", "In the next 72 hours the low is -3.0 °C.", "The 3-day outlook for Rome is mixed.",
    "There is an 80 percent chance of rain tomorrow, with winds of 22 km/h.",
])
def test_honest_forecasts_pass(answer):
    assert ahead(answer) == []


@pytest.mark.parametrize("answer, finding", [
    ("Tuesday reaches 14.0 °C.", "number: 14.0 °C (the result has 21.5 °C, 11 °C)"),   # Wednesday's
    ("Tuesday: 14 °C, Wednesday: 21.5 °C", "number: 14 °C (the result has 21.5 °C, 11 °C)"),
    ("14 °C on Tuesday and 21.5 °C on Wednesday.", "number: 21.5 °C (the result has 14 °C, 6.5 °C)"),
    ("Tuesday and Wednesday reach 14 °C and 21.5 °C.", "number: 14 °C (the result has 21.5 °C, 11 °C)"),
    ("Tuesday is fine. The high is 14 °C.", "number: 14 °C (the result has 21.5 °C)"),  # a sentence on, still Tuesday
    ("**Tuesday**\n- High: 14 °C", "number: 14 °C (the result has 21.5 °C)"),
    ("Tuesday has a high of 11 °C and a low of 21.5 °C.", "number: 11 °C (the result has 21.5 °C)"),
    ("Wednesday drops to 14 °C.", "number: 14 °C (the result has 14 °C, 6.5 °C)"),
    ("Tomorrow has a 65 % chance of rain.", "number: 65 % (the result has 80 %)"),
    ("Tuesday: light rain.", "condition: light rain (the result has a clear sky)"),     # Wednesday's
    ("Friday is dry.", "day: Friday"), ("The weekend looks dry.", "day: weekend"), ("June 20 is dry.", "day: June 20"),
    ("Tuesday 17 June reaches 21.5 °C.", "day: Tuesday 17 June"),
    ("Wednesday the 16th is wet.", "day: Wednesday the 16th"), ("On the 21st it is dry.", "day: 21st"),
    ("2026-06-21 is dry.", "day: 2026-06-21"),
    ("Over the 4 days it stays dry.", "number: 4 days"),
    ("The warmest day is Wednesday.", "day: warmest (Tuesday is)"), ("Tuesday is the coldest.", "day: coldest (Thursday is)"),
    ("It is windiest on Tuesday.", "day: windiest (Thursday is)"), ("Tuesday is the wettest of the three.", "day: wettest (Wednesday is)"),
    ("Thursday is warmer than Wednesday.", "day: warmer than"),
])
def test_facts_of_another_day_are_found(answer, finding):
    assert finding in ahead(answer)


@pytest.mark.parametrize("answer", [
    "Tuesday is the warmest, Thursday the coldest and windiest.", "The wettest day is Wednesday, at 80 %.",
    "Wednesday is warmer than Thursday, and colder than Tuesday.",
])
def test_true_comparisons_of_days_pass(answer):
    assert ahead(answer) == []


# --- places ---

@pytest.mark.parametrize("answer", [
    "Lisbon has 20.1 °C and a clear sky, Porto 16.8 °C and light rain.",
    "It is 20 °C in Lisbon with a clear sky and 17 °C in Porto with light rain.",
    "Lisbon and Porto are at 20.1 °C and 16.8 °C.", "Lisbon is warmer than Porto by day, 20 °C against 17 °C.",
    "With 20.1 °C, Lisbon is the warmer of the two.", "Porto (Portugal) is colder than Lisbon, at 16.8 °C.",
    "Lisbon is warmer. It's 20.1 °C and clear there, compared with 16.8 °C in Porto.",
    "Lisbon is at 20.1 °C. The wind there is 12 km/h. Porto has 16.8 °C; its wind is 25 km/h.",
    "**Lisbon, Portugal**\n- 20.1 °C\n- clear\n\n**Porto, Portugal**\n- 16.8 °C\n- light rain",
    "lisbon is at 20.1 °C, porto at 16.8 °C",
    "The Portuguese cities differ: 20.1 °C in Lisbon, 16.8 °C in Porto.",
])
def test_honest_comparisons_pass(answer):
    assert compared(answer) == []


@pytest.mark.parametrize("answer, finding", [
    ("Lisbon has 16.8 °C, Porto 20.1 °C.", "number: 16.8 °C (the result has 20.1 °C, 18.1 °C)"),
    ("It is 17 °C in Lisbon and 20 °C in Porto.", "number: 20 °C (the result has 16.8 °C, 14.8 °C)"),
    ("Lisbon and Porto are at 16.8 °C and 20.1 °C.", "number: 16.8 °C (the result has 20.1 °C, 18.1 °C)"),
    ("Lisbon has light rain, Porto a clear sky.", "condition: light rain (the result has a clear sky)"),
    ("Lisbon is fine. The wind there is 25 km/h.", "number: 25 km/h (the result has 12 km/h)"),
    ("Porto is warmer than Lisbon.", "place: warmer than"), ("Porto is the warmer of the two.", "place: warmer"),
    ("Lisbon is the colder of the two.", "place: colder"),
    ("Lisbon is 3.3 °C warmer than Porto.", "number: 3.3 °C (the result has 20.1 °C, 18.1 °C)"),  # a difference, which no result says
    ("Both are dry: Lisbon at 20.1 °C and Porto at 16.8 °C.", "condition: dry"),
    ("lisbon is at 16.8 °C", "number: 16.8 °C (the result has 20.1 °C, 18.1 °C)"),
    ("Lisbon is warmer than Madrid.", "place: Madrid"),
    ("lisbon has 20.1 °C, but in madrid it is colder", "place: madrid"),
])
def test_facts_of_another_place_are_found(answer, finding):
    assert finding in compared(answer)


@pytest.mark.parametrize("found", [
    {"name": "The Hague", "country": "The Netherlands", "country_code": "NL"}, {"name": "Rome", "country": "Italy", "country_code": "IT"},
    {"name": "Graz", "country": "Austria", "country_code": "AT", "timezone": "Europe/Vienna"},
    {"name": "New York", "country": "United States", "country_code": "US", "timezone": "America/New_York"},
])
def test_articles_codes_and_time_zones_name_no_place(found):
    first, second = {**found, "latitude": 1.5, "longitude": 2.5}, PORTO
    turns = [{"role": "user", "content": f"Weather in {found['name']}? No, Porto."},
             calling(call("geocode_location", 1, city=found["name"])), result(1, {"results": [first]}),
             calling(call("get_current_weather", 2, latitude=1.5, longitude=2.5)), result(2, current_result()),
             calling(call("geocode_location", 3, city="Porto")), result(3, {"results": [second]}),
             calling(call("get_current_weather", 4, latitude=41.15, longitude=-8.61)), result(4, current_result(16.8, 61, 25.0, 88))]

    def said(answer):
        return ungrounded([*turns, {"role": "assistant", "content": answer}], [])
    assert said("Porto has light rain. It is 16.8 °C there. The wind does 25 km/h. At 88 % it is damp. New figures follow.") == []
    assert said("It is 16.8 °C in Porto. The wind does 18 km/h.") == ["number: 18 km/h (the result has 25 km/h)"]
    assert said(f"In {found['name']} it is 16.8 °C.") == ["number: 16.8 °C (the result has 12.4 °C, 10.4 °C)"]


@pytest.mark.parametrize("answer, finding", [
    ("It rains in Paris.", "place: Paris"), ("Paris has light rain.", "place: Paris"), ("It is 12.4 °C near Tivoli.", "place: Tivoli"),
    ("It is 12.4 °C in New York.", "place: New York"), ("In West Bromwich it is 12.4 °C.", "place: West Bromwich"),
    ("France has rain.", "place: France"),
    ("It is 12.4 °C. It will be the same on Friday.", "day: Friday"), ("It is 12.4 °C, and the same tomorrow.", "day: tomorrow"),
])
def test_planted_places_and_days_in_a_current_answer_are_found(answer, finding):
    assert finding in now(answer)


@pytest.mark.parametrize("name, country", [("São Paulo", "Brazil"), ("Yamoussoukro", "Côte d'Ivoire"), ("St. John's", "Canada"),
                                           ("Washington, D.C.", "United States"), ("Rio de Janeiro", "Brazil")])
def test_names_of_several_words_and_accents_pass_and_another_place_does_not(name, country):
    def said(answer):
        found = {"results": [{"name": name, "country": country, "latitude": 1.5, "longitude": 2.5}]}
        return ungrounded([
            {"role": "user", "content": f"Weather in {name}?"}, calling(call("geocode_location", 1, city=name)),
            result(1, found), calling(call("get_current_weather", 2, latitude=1.5, longitude=2.5)),
            result(2, current_result()), {"role": "assistant", "content": answer}], [])
    assert said(f"In {name}, {country}, it is 12.4 °C. {name} has light rain.") == []
    assert said(f"In {name} it is 13.9 °C.") == ["number: 13.9 °C (the result has 12.4 °C, 10.4 °C)"]
    assert said("In Zanzibar it is 12.4 °C.") == ["place: Zanzibar"]


# --- conditions ---

@pytest.mark.parametrize("answer", [
    "There is no snow in Rome.", "It is raining.", "Rain is falling without thunder.", "It is not sunny.", "No sun, no fog, and no snow.",
    "It is wet and cool.", "An umbrella is wise.", "It is cloudy with light rain.", "If it snows, stay in.", "It is fairly mild.",
])
def test_honest_words_for_the_present_pass(answer):
    assert now(answer) == []


@pytest.mark.parametrize("answer, finding", [
    ("There is heavy rain.", "condition: heavy rain (the result has light rain)"),
    ("There is a clear sky.", "condition: clear (the result has light rain)"),
    ("It snows.", "condition: snows (the result has light rain)"),
    ("There is no rain.", "condition: no rain (the result has light rain)"),
    ("It isn't raining in Rome.", "condition: no raining (the result has light rain)"),
    ("Rain is unlikely.", "condition: no rain (the result has light rain)"),
    ("Not a drop of rain.", "condition: no rain (the result has light rain)"),
    ("It is dry.", "condition: dry"), ("It's hot.", "condition: hot"), ("It is freezing in Rome.", "condition: freezing"),
    ("It is calm.", "condition: calm"), ("It is a sunny day.", "condition: sunny (the result has light rain)"),
    ("No umbrella is needed.", "condition: no umbrella"), ("Leave the umbrella at home.", "condition: no umbrella"),
    ("A thunderstorm may come.", "condition: thunderstorm (the result has light rain)"),
])
def test_planted_conditions_in_a_current_answer_are_found(answer, finding):
    assert finding in now(answer)


@pytest.mark.parametrize("answer", [
    "No rain on Tuesday.", "It won't rain today.", "Tuesday stays dry, without a cloud.", "Rain is unlikely today.",
    "Tuesday has little chance of rain.", "Rain is likely tomorrow.", "It could rain tomorrow.", "Take an umbrella tomorrow.",
    "Today needs no umbrella.", "Get the waterproof on before you leave home tomorrow.",
    "The first two days have highs of 14 °C or more, and no snow.", "| Day | Low |\n|---|---|\n| Tuesday | 11 °C |\n| Thursday | -3 °C |\n",
    "Thursday is cold and windy.", "There is no sign of snow on Wednesday.",
    "It will be clear on Tuesday, rain on Wednesday and snow on Thursday.", "There is a 5 % chance of rain today.",
    "Would you like the forecast for Friday as well?", "Let me know if you need Friday too.", "No doubt it will rain tomorrow.",
])
def test_honest_words_about_days_pass(answer):
    assert ahead(answer) == []


@pytest.mark.parametrize("answer, finding", [
    ("No rain tomorrow.", "condition: no rain (the result has light rain)"),
    ("It won't snow on Thursday.", "condition: no snow (the result has light snow)"),
    ("There is a chance of rain today.", "condition: rain (the result has a clear sky)"),
    ("Take an umbrella today.", "condition: umbrella"), ("It will be windy on Tuesday.", "condition: windy"),
    ("Tomorrow is dry.", "condition: dry"), ("It will be hot on Thursday.", "condition: hot"),
    ("It will rain every day of the three.", "condition: rain (the result has a clear sky, light rain, light snow)"),
    ("It stays dry all three days.", "condition: dry"), ("The first two days are dry.", "condition: dry"),
    ("| | Tuesday | Thursday |\n|---|---|---|\n| High | 2.5 °C | 21.5 °C |", "number: 2.5 °C (the result has 21.5 °C)"),
])
def test_planted_conditions_of_days_are_found(answer, finding):
    assert finding in ahead(answer)


def test_a_condition_in_the_question_is_no_evidence():
    messages = conversation("Will it snow in Rome?", current_result(), "Yes, it will snow in Rome.")
    assert ungrounded(messages, []) == ["condition: snow (the result has light rain)"]


# --- without results, after errors, over several turns ---

def asked(user, answer, tools=()):
    return ungrounded([SYSTEM, {"role": "user", "content": user}, {"role": "assistant", "content": answer}], list(tools))


def test_without_a_call_general_talk_passes_and_weather_does_not():
    assert asked("Why is there fog on Monday?", "Fog on Monday comes of damp air.") == ["condition: fog"]
    assert asked("Why is there fog?", "Fog comes of damp air; rain does not make it.") == []
    assert asked("Weather in Paris?", "It is 20 °C and sunny in Paris.") == ["number: 20 °C", "condition: sunny"]
    assert asked("Is it raining in Paris?", "Yes, it is raining in Paris.") == ["condition: raining"]
    assert asked("Is it 20 °C in Paris?", "It is 20 °C in Paris.") == ["number: 20 °C"]
    assert asked("Is it 20 °C in Paris?", "You said 20 °C; I have not looked.") == []
    assert asked("Weather?", "Today is Tuesday, 16 June 2026. Which place do you mean?") == []
    assert asked("Weather?", "On Friday I can tell you more.") == ["day: Friday"]


def test_general_questions_after_a_result_are_answered_in_general_but_no_lie_is():
    turns = [*conversation(ASKED, current_result(), "It is 12.4 °C."), {"role": "user", "content": "Where do hailstones come from?"}]

    def said(answer):
        return ungrounded([*turns, {"role": "assistant", "content": answer}], [])
    assert said("Hail is rain that froze on the way; thunder keeps it company.") == []
    assert said("Snow is falling in Rome.") == ["condition: snow (the result has light rain)"]
    assert said("It is snowing.") == ["condition: snowing (the result has light rain)"]
    assert said("Hail needs 30 °C of cold.") == ["number: 30 °C (the result has 12.4 °C, 10.4 °C)"]


def test_limits_of_the_offered_tools_may_be_told():
    forecast = {"type": "function", "function": {"name": "f", "parameters": {"properties": {"days": {"type": "integer", "maximum": 14}}}}}
    assert asked("Give me 20 days.", "I can do 14 days, not 20.", [forecast]) == []
    assert asked("Give me 20 days.", "I can do 14 days, not 20.") == ["number: 14 days"]
    assert TOOLS["get_forecast"]


def test_an_error_supports_its_reason_and_no_weather():
    error = {"error": True, "reason": "Daily API request limit exceeded. Please try again tomorrow."}

    def told(answer):
        return ungrounded(conversation(ASKED, error, answer), [])
    assert told("The service says: “Daily API request limit exceeded. Please try again tomorrow.”") == []
    assert told("The service is busy, but it is sunny and 20 °C in Rome.") == ["number: 20 °C", "condition: sunny"]


def test_later_turns_draw_on_earlier_results_but_a_new_place_has_its_own():
    lisbon, porto = current_result(20.1, 0, 12.0, 40), current_result(16.8, 61, 25.0, 88)
    turns = [{"role": "user", "content": "Weather in Lisbon?"},
             calling(call("get_current_weather", 1, latitude=38.7, longitude=-9.1)), result(1, lisbon),
             {"role": "assistant", "content": "It is 20.1 °C."}, {"role": "user", "content": "How windy is it?"}]
    assert ungrounded([*turns, {"role": "assistant", "content": "The wind is 12 km/h."}], []) == []
    turns += [{"role": "assistant", "content": "The wind is 12 km/h."}, {"role": "user", "content": "And in Porto?"},
              calling(call("get_current_weather", 2, latitude=41.1, longitude=-8.6)), result(2, porto)]
    assert ungrounded([*turns, {"role": "assistant", "content": "It is 16.8 °C with light rain."}], []) == []
    assert ungrounded([*turns, {"role": "assistant", "content": "It is 20.1 °C with a clear sky."}], []) == [
        "number: 20.1 °C (the result has 16.8 °C, 14.8 °C)", "condition: clear (the result has light rain)"]


# --- what other tools return ---

@pytest.mark.parametrize("body", [
    {"location": "Rome", "temp_c": 12.4, "condition": "Light rain", "humidity": 81, "wind_kph": 18.0},
    {"main": {"temp": 12.4, "feels_like": 10.4, "humidity": 81}, "weather": [{"id": 500, "main": "Rain", "description": "light rain"}],
     "wind": {"speed": 18.0}},
    "Rome: 12.4°C, light rain, humidity 81%, wind 18 km/h",
])
def test_results_of_other_shapes_support_their_facts(body):
    def said(answer):
        messages = conversation(ASKED, body, answer)
        messages[2]["content"] = body if isinstance(body, str) else json.dumps(body)
        return ungrounded(messages, [])
    assert said("It is 12.4 °C in Rome with light rain, humidity 81 % and a wind of 18 km/h.") == []
    assert [finding.split(" (")[0] for finding in said("It is 15 °C in Rome and sunny.")] == ["number: 15 °C", "condition: sunny"]


def test_hourly_results_support_their_hours():
    body = {"hourly_units": {"time": "iso8601", "temperature_2m": "°C"}, "hourly": {
        "time": ["2026-06-16T14:00", "2026-06-16T15:00"], "temperature_2m": [18.2, 19.1]}}
    assert ungrounded(conversation(ASKED, body, "At 3 pm it will be 19.1 °C, at 14:00 18.2 °C."), []) == []
    assert ungrounded(conversation(ASKED, body, "At 5 pm it will be 19.1 °C."), []) == ["number: 5 pm"]


@pytest.mark.parametrize("arguments", ["", "no JSON", "[1]", "null"])
def test_malformed_calls_and_results_of_a_real_model_are_read(arguments):
    messages = conversation(ASKED, [], "It is 12.4 °C.")
    messages[1]["tool_calls"][0]["function"]["arguments"] = arguments
    assert ungrounded(messages, []) == ["number: 12.4 °C"]
