"""Arguments of tool calls: our check and the JSON schemas that the model is shown accept and refuse the same calls."""
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from weatherman.dialogue.arguments import ARGUMENTS, check_arguments
from weatherman.dialogue.weather_api import TOOLS

GOOD = {"get_current_weather": {"latitude": 1.5, "longitude": 2, "unit": "celsius"},
        "get_forecast": {"latitude": 1.5, "longitude": 2.5, "days": 3, "unit": "fahrenheit"},
        "geocode_location": {"city": "Rome", "country": "Italy"}}
VALUES = (st.sampled_from(["celsius", "fahrenheit", "", "Rome", "3", None, True, False, 0, 1, 14, 15, 3.0, 14.0, 3.5, -1, 999.0, [], {}])
          | st.integers(-20, 20) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3))
CALLS = st.one_of(*(st.fixed_dictionaries({}, optional=dict.fromkeys([*good, "zip"], VALUES)).map(lambda change, good=good, name=name: (
    name, {**good, **change})) for name, good in GOOD.items()))
BARE = st.sampled_from(sorted(GOOD)).flatmap(lambda name: st.tuples(st.just(name), st.fixed_dictionaries(
    {}, optional={key: st.just(value) for key, value in GOOD[name].items()}) | VALUES))


def accepts(name, text):
    try:
        check_arguments(name, text)
        return True
    except ValueError:
        return False


@given(CALLS | BARE)
@example(("get_forecast", {**GOOD["get_forecast"], "days": 3.0}))
@example(("geocode_location", {"city": "Rome", "country": None}))
@example(("get_current_weather", {"latitude": True, "longitude": 2}))
def test_schema_and_check_agree(call):
    jsonschema = pytest.importorskip("jsonschema", reason="the reference validator is in requirements-dev.txt only")
    name, arguments = call
    schema = TOOLS[name]["function"]["parameters"]
    assert accepts(name, json.dumps(arguments)) == jsonschema.Draft202012Validator(schema).is_valid(arguments), arguments


def test_every_tool_has_a_model_and_its_schema_is_one():
    jsonschema = pytest.importorskip("jsonschema", reason="the reference validator is in requirements-dev.txt only")
    assert list(TOOLS) == list(GOOD) and set(TOOLS) == set(ARGUMENTS)
    for name, tool in TOOLS.items():
        jsonschema.Draft202012Validator.check_schema(tool["function"]["parameters"])
        assert accepts(name, json.dumps(GOOD[name])) and tool["function"]["name"] == name


@pytest.mark.parametrize("name, text, words", [
    ("get_forecast", '{"latitude": 1.0, "longitude": 2.0, "days": 15}', "get_forecast.days"),
    ("get_forecast", '{"latitude": 1.0, "longitude": 2.0}', "get_forecast.days: Field required"),
    ("get_current_weather", '{"latitude": "1", "longitude": 2.0}', "get_current_weather.latitude"),
    ("get_current_weather", '{"latitude": 1.0, "longitude": 2.0, "unit": "kelvin"}', "get_current_weather.unit"),
    ("get_current_weather", '{"latitude": 1e999, "longitude": 2.0}', "finite"),
    ("geocode_location", '{"city": ""}', "geocode_location.city"),
    ("geocode_location", '{"city": "Rome", "zip": "1"}', "geocode_location.zip"), ("geocode_location", '["Rome"]', "geocode_location"),
    ("geocode_location", '{"city": "Ro', "geocode_location"), ("geocode_location", "", "geocode_location"),
    ("get_moon", "{}", "no tool is called 'get_moon'; there are get_current_weather"),
])
def test_a_refusal_names_tool_and_argument(name, text, words):
    with pytest.raises(ValueError) as refused:
        check_arguments(name, text)
    assert words in str(refused.value)


def test_a_mistyped_coordinate_is_left_to_the_service():
    assert check_arguments("get_current_weather", '{"latitude": 999, "longitude": 2}').latitude == 999
