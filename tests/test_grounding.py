"""Grounding: each planted wrong number, unit, day, condition and place is found, and honest answers pass."""
import pytest

from dialogue_records import conversation, current_result, forecast_result
from weatherman.dialogue.grounding import ungrounded
from weatherman.dialogue.weather_api import TOOLS

ASKED = "What's the weather in Rome, Italy?"


def now(answer, user=ASKED):
    return ungrounded(conversation(user, current_result(), answer), [])


def ahead(answer, user="Rome, the next three days?"):
    return ungrounded(conversation(user, forecast_result(), answer), [])


@pytest.mark.parametrize("answer", [
    "In Rome it is 12.4 °C with light rain, wind 18.0 km/h and humidity 81 %.",
    "It is 12 °C in Rome, Italy.",                       # rounded to whole degrees
    "Rome has 12.4 °C. Carry an umbrella. I would.",
    "At 08:45 it was 12.4 °C.",
])
def test_honest_current_answers_pass(answer):
    assert now(answer) == []


@pytest.mark.parametrize("answer, finding", [
    ("It is 13.4 °C.", "number: 13.4 °C"),
    ("It is 12.4 °F.", "number: 12.4 °F"),
    ("It is 81 °C.", "number: 81 °C"),                    # the humidity, sold as a temperature
    ("Seven inches fell.", "number: Seven"),
    ("There is heavy rain.", "condition: heavy rain"),
    ("There is a clear sky.", "condition: a clear sky"),
    ("It snows.", "condition: snows"),
    ("It rains in Paris.", "place: Paris"),
    ("Paris has light rain.", "place: Paris"),
    ("It is 12.4 °C near Tivoli.", "place: Tivoli"),
    ("It is 12.4 °C. It will be the same on Friday.", "day: Friday"),
    ("It is 12.4 °C, and the same tomorrow.", "day: tomorrow"),
])
def test_planted_faults_in_a_current_answer_are_found(answer, finding):
    assert finding in now(answer)


@pytest.mark.parametrize("answer", [
    "Rome, 3 days:\n- Tuesday: a clear sky, 11.0 °C to 21.5 °C\n- Wednesday: light rain, 14.0 °C\n- Thursday: light snow, -3.0 °C",
    "Tuesday 16 June reaches 21.5 °C; today is dry at 5 %, tomorrow 80 %.",
    "Over the three days the lowest is -3.0 °C.",
])
def test_honest_forecasts_pass(answer):
    assert ahead(answer) == []


@pytest.mark.parametrize("answer, finding", [
    ("Tuesday reaches 14.0 °C.", "number: 14.0 °C"),      # Wednesday's
    ("Tuesday: light rain.", "condition: light rain"),     # Wednesday's
    ("Friday is dry.", "day: Friday"),
    ("Tuesday 17 June reaches 21.5 °C.", "day: Tuesday 17 June"),
    ("Over the 4 days it stays dry.", "number: 4"),
])
def test_facts_of_another_day_are_found(answer, finding):
    assert finding in ahead(answer)


def test_a_condition_in_the_question_is_no_evidence_once_there_are_results():
    messages = conversation("Will it snow in Rome?", current_result(), "Yes, it will snow in Rome.")
    assert ungrounded(messages, []) == ["condition: snow"]


def test_without_a_call_the_users_words_are_all_there_is():
    ask = [{"role": "user", "content": "Why is there fog on Monday?"}]
    assert ungrounded([*ask, {"role": "assistant", "content": "Fog on Monday comes of damp air."}], []) == []
    assert ungrounded([*ask, {"role": "assistant", "content": "On Tuesday it is 20 °C and sunny."}], []) == [
        "day: Tuesday", "number: 20 °C", "condition: sunny"]


def test_limits_of_the_offered_tools_may_be_told():
    messages = [{"role": "user", "content": "Give me 20 days."}, {"role": "assistant", "content": "I can do 14 days, not 20."}]
    assert ungrounded(messages, [TOOLS["get_forecast"]]) == []
    assert ungrounded(messages, []) == ["number: 14"]


def test_a_result_that_is_no_json_still_supports_its_words():
    messages = conversation("Rome?", {}, "The service says tomorrow.")
    messages[2]["content"] = "try again tomorrow"
    assert ungrounded(messages, []) == []
