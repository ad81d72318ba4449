"""The reader of weather answers: what the real service sends is read or refused with a reason, and nothing else comes out."""
import copy
import json
from datetime import date

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from paths import REPO_DIR
from weatherman.dialogue import world
from weatherman.dialogue.weather_api import (
    CURRENT_VARIABLES,
    TIMED_OUT,
    WMO,
    Current,
    Day,
    Place,
    WeatherError,
    day_name,
    parse_current,
    parse_forecast,
    parse_places,
)
from weatherman.dialogue.weather_http import http_error

SHARED = REPO_DIR.parent / "shared" / "corpora" / "weather_api"
real = pytest.mark.skipif(not SHARED.is_dir(), reason="the real answers of the services are not on this machine (../shared)")
PLACE = {"id": 1, "name": "Lisbon", "latitude": 38.7, "longitude": -9.1, "country": "Portugal", "country_code": "PT", "elevation": 45.0,
         "timezone": "Europe/Lisbon", "admin1": "Lisbon District"}
NOW = {"latitude": 38.7, "longitude": -9.1, "utc_offset_seconds": 3600,
       "current_units": {"time": "iso8601", "temperature_2m": "°C", "relative_humidity_2m": "%", "apparent_temperature": "°C",
                         "weather_code": "wmo code", "wind_speed_10m": "km/h"},
       "current": {"time": "2025-06-16T14:15", "temperature_2m": 24.5, "relative_humidity_2m": 61, "apparent_temperature": 25.0,
                   "weather_code": 2, "wind_speed_10m": 11.2}}
AHEAD = {"daily_units": {"time": "iso8601", "weather_code": "wmo code", "temperature_2m_max": "°C", "temperature_2m_min": "°C",
                         "precipitation_sum": "mm", "precipitation_probability_max": "%", "wind_speed_10m_max": "km/h"},
         "daily": {"time": ["2025-06-16", "2025-06-17"], "weather_code": [3, 61], "temperature_2m_max": [25.0, 21.5],
                   "temperature_2m_min": [16.0, 15.5], "precipitation_sum": [0.0, 2.4], "precipitation_probability_max": [5, 80],
                   "wind_speed_10m_max": [14.0, 22.3]}}


def load(name):
    """Return the JSON body of a file of real answers, a recorded exchange (.yml) included."""
    text = (SHARED / name).read_text(encoding="utf-8")
    return json.loads(yaml.safe_load(text)["http_interactions"][0]["response"]["body"]["string"] if name.endswith("yml") else text)


def changed(body, path, value):
    """Return a copy with the value at `path` replaced; ... takes the key away."""
    body = copy.deepcopy(body)
    *way, last = path
    inner = body
    for key in way:
        inner = inner[key]
    if value is ...:
        del inner[last]
    else:
        inner[last] = value
    return body


def refusal(parse, body):
    with pytest.raises(WeatherError) as caught:
        parse(body)
    return caught.value


def test_what_is_read():
    assert parse_places({"results": [PLACE]}) == [Place("Lisbon", "Portugal", "PT", "Lisbon District", 38.7, -9.1, 45.0, "Europe/Lisbon")]
    assert parse_current(NOW) == Current("2025-06-16T14:15", 24.5, 25.0, 61, 11.2, 2, "°C", "km/h")
    forecast = parse_forecast(AHEAD)
    assert forecast.days == (Day("2025-06-16", 3, 25.0, 16.0, 0.0, 5, 14.0), Day("2025-06-17", 61, 21.5, 15.5, 2.4, 80, 22.3))
    assert (forecast.temperature_unit, forecast.precipitation_unit, forecast.wind_unit) == ("°C", "mm", "km/h")


@pytest.mark.parametrize("key, slot", [("relative_humidity_2m", "humidity"), ("apparent_temperature", "feels_like"),
                                       ("wind_speed_10m", "wind_speed")])
@pytest.mark.parametrize("value", [None, ...])
def test_what_the_service_does_not_say_is_none(key, slot, value):
    assert getattr(parse_current(changed(NOW, ("current", key), value)), slot) is None


def test_a_place_needs_a_name_and_a_point_only():
    bare = {"name": "X", "latitude": 1, "longitude": 2}
    assert parse_places({"results": [{"name": "no point"}, bare, {**bare, "latitude": 91}, {**bare, "name": " "}, 7]}) == [
        Place("X", None, None, None, 1, 2, None, None)]


@pytest.mark.parametrize("parse, body, path, value, words", [
    (parse_current, NOW, ("current",), ..., "current is missing"),
    (parse_current, NOW, ("current_units",), ..., "current_units is missing"),
    (parse_current, NOW, ("current", "temperature_2m"), ..., "current.temperature_2m is missing"),
    (parse_current, NOW, ("current", "time"), ..., "current.time is missing"),
    (parse_current, NOW, ("current", "time"), "noon", "current.time is not a time"),
    (parse_current, NOW, ("current", "temperature_2m"), "24", "current.temperature_2m is not a number"),
    (parse_current, NOW, ("current", "temperature_2m"), True, "current.temperature_2m is not a number"),
    (parse_current, NOW, ("current", "weather_code"), 17, "weather_code is 17, which is not in the WMO table"),
    (parse_current, NOW, ("current_units", "temperature_2m"), "K", "the unit of current.temperature_2m is K and °C, expected °C or °F"),
    (parse_current, NOW, ("current_units", "apparent_temperature"), "°F", "is °C and °F"),
    (parse_current, NOW, ("current_units", "wind_speed_10m"), ..., "the unit of current.wind_speed_10m is None"),
    (parse_forecast, AHEAD, ("daily",), [], "daily is not an object"),
    (parse_forecast, AHEAD, ("daily", "temperature_2m_min"), ..., "daily.temperature_2m_min is missing"),
    (parse_forecast, AHEAD, ("daily", "temperature_2m_max"), [25.0], "daily.temperature_2m_max is not a list of 2 values"),
    (parse_forecast, AHEAD, ("daily", "time"), None, "daily.time is not a list"),
    (parse_forecast, AHEAD, ("daily_units", "temperature_2m_min"), "°F", "is °C and °F"),
    (parse_places, {"results": [PLACE]}, ("results",), {}, "results is not a list"),
    (parse_places, {"results": [PLACE]}, ("results",), [{}], "no result has a name, a latitude and a longitude"),
    (parse_places, {"results": [PLACE]}, ("results",), ..., "results is missing"),
])
def test_what_cannot_be_read_is_named(parse, body, path, value, words):
    error = refusal(parse, changed(body, path, value))
    assert error.kind == "malformed" and words in error.reason


@pytest.mark.parametrize("body", [None, [], "text", 3, [NOW]])
def test_what_is_no_object_is_refused(body):
    for parse in (parse_places, parse_current, parse_forecast):
        assert refusal(parse, body).kind == "malformed"


def test_days_beyond_a_models_reach_are_left_out_and_an_empty_answer_is_no_weather():
    assert [day.date for day in parse_forecast(changed(AHEAD, ("daily", "temperature_2m_max"), [None, 21.5])).days] == ["2025-06-17"]
    for parse, body in ((parse_current, NOW), (parse_forecast, AHEAD)):
        assert refusal(parse, world.empty_body(body)).kind == "empty"
    assert refusal(parse_forecast, {**AHEAD, "daily": {key: [] for key in AHEAD["daily"]}}).kind == "empty"
    assert refusal(parse_places, {"generationtime_ms": 0.4}).kind == refusal(parse_places, {"results": []}).kind == "not_found"


def test_other_forms_of_the_same_answer():
    unix = changed(changed(NOW, ("current", "time"), 1750079700), ("current_units", "time"), "unixtime")
    assert parse_current(unix).time == "2025-06-16T14:15"  # 13:15 in GMT, an hour behind the place
    suffixed = {"daily_units": {f"{key}_gfs_seamless": unit for key, unit in AHEAD["daily_units"].items()},
                "daily": {"time": AHEAD["daily"]["time"], **{f"{key}_gfs_seamless": value for key, value in AHEAD["daily"].items()}}}
    assert parse_forecast(suffixed) == parse_forecast(AHEAD)
    old = {"current_weather_units": {"temperature": "°F", "windspeed": "mp/h"},
           "current_weather": {"time": "2022-07-01T12:00", "temperature": 70.1, "windspeed": 8.0, "weathercode": 3}}
    assert parse_current(old) == Current("2022-07-01T12:00", 70.1, None, None, 8.0, 3, "°F", "mph")


@pytest.mark.parametrize("reason, kind", [
    ("Latitude must be in range of -90 to 90°. Given: 999.0.", "out_of_range"), ("No data is available for this location", "empty"),
    ("Forecast days is invalid. Allowed range 0 to 16. Given 17.", "out_of_range"), ("Invalid timezone", "refused"),
    ("Minutely API request limit exceeded. Please try again in one minute.", "rate_limit"), (TIMED_OUT, "timeout"),
    ("Cannot initialize WeatherVariable from invalid String value tempeture_2m for key hourly", "refused")])
def test_the_words_of_an_error_body_tell_its_kind(reason, kind):
    for parse in (parse_places, parse_current, parse_forecast):
        error = refusal(parse, {"error": True, "reason": reason})
        assert (error.kind, error.reason) == (kind, reason)
    assert refusal(parse_current, {"error": True}).kind == "refused"


@pytest.mark.parametrize("error", [
    refused for parse, body in ((parse_current, {}), (parse_places, {"generationtime_ms": 1}), (parse_forecast, world.empty_body(AHEAD)),
                                (parse_current, world.empty_body(NOW)), (parse_current, world.timeout_body()))
    for refused in [refusal(parse, body)]] + [http_error(429), http_error(503)])
def test_our_own_reasons_keep_their_kind_in_a_tool_message(error):
    assert refusal(parse_current, {"error": True, "reason": error.reason}).kind == error.kind


KEYS = st.sampled_from(["results", "current", "current_units", "daily", "daily_units", "time", "name", "latitude", "error", "reason",
                        *CURRENT_VARIABLES])
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner), max_leaves=12)


@given(body=JSON, path=st.integers(0, 40), value=JSON)
def test_any_json_gives_a_result_or_a_weather_error(body, path, value):
    """Of arbitrary JSON, and of good answers with any one value replaced."""
    bodies = [body]
    for good in ({"results": [PLACE]}, NOW, AHEAD):
        paths = list(paths_in(good))
        bodies.append(changed(good, paths[path % len(paths)], value))
    for parse in (parse_places, parse_current, parse_forecast):
        for one in bodies:
            try:
                parse(one)
            except WeatherError as error:
                assert error.kind and error.reason


def paths_in(body, way=()):
    for key, value in body.items() if isinstance(body, dict) else enumerate(body) if isinstance(body, list) else ():
        yield (*way, key)
        yield from paths_in(value, (*way, key))


def test_days_are_named():
    assert day_name("2025-06-17", with_date=False) == "Tuesday" and day_name("2025-06-17", with_date=True) == "Tuesday 17 June"
    assert date.fromisoformat(parse_forecast(AHEAD).days[0].date) == date(2025, 6, 16)


# --- the real answers ----------------------------------------------------------------------------------------------------

@real
def test_real_answers_are_read():
    assert parse_current(load("om_forecast-success.json")) == Current("2026-06-18T08:45", 23.6, None, None, None, 3, "°C", None)
    toronto = load("om_forecast_toronto_imperial.json")
    assert parse_current(toronto) == Current("2026-03-05T21:00", 32.6, 22.5, None, 13.2, 3, "°F", "mph")
    forecast = parse_forecast(toronto)
    assert forecast.days[1] == Day("2026-03-05", 71, 39.3, 30.9, 0.114, 69, 13.2) and len(forecast.days) == 8
    assert (forecast.temperature_unit, forecast.precipitation_unit, forecast.wind_unit) == ("°F", "inch", "mph")
    assert [place.admin1 for place in parse_places(load("om_geocoding-springfield.json"))] == ["Missouri", "Illinois", "Massachusetts"]
    hollywood = parse_places(load("om_vcr_geocode_hollywood.yml"))
    assert len(hollywood) == 10 and hollywood[8].country == "Ireland"
    assert [place.name for place in parse_places(load("om_geocoding-malformed-200.json"))] == ["Valid City"]


@real
@pytest.mark.parametrize("name, parse, words", [
    ("om_forecast-malformed-200.json", parse_current, "current.temperature_2m is missing"),
    ("om_vcr_forecast_general_one_model.yml", parse_current, "current.temperature_2m is missing"),
    ("om_vcr_forecast_general.yml", parse_forecast, "daily.temperature_2m_max is missing"),
    ("om_vcr_forecast_dwd_icon.yml", parse_forecast, "daily.temperature_2m_max is missing"),
    ("om_forecast-error-429.json", parse_forecast, "Daily API request limit exceeded. Please try again tomorrow."),
    ("om_geocoding-no-match.json", parse_places, "not found")])
def test_real_answers_without_what_we_need_are_refused(name, parse, words):
    assert words in refusal(parse, load(name)).reason


@real
def test_the_code_table_is_the_whole_one():
    rows = (SHARED / "wmo_weather_codes_derived.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert sorted(WMO) == [int(row.split("\t")[0]) for row in rows]
    for code, meaning in (row.split("\t") for row in rows):
        strength = {"slight": "light"}.get(meaning.rpartition(": ")[2], meaning.rpartition(": ")[2])
        assert ": " not in meaning or code == "95" or strength in WMO[int(code)]


@real
def test_real_errors_have_a_kind():
    kinds = [refusal(parse_current, json.loads(line)["body"]).kind for line in (SHARED / "openmeteo_errors_derived.jsonl").open()]
    assert kinds == ["refused", "out_of_range", "out_of_range", "refused", "refused", "out_of_range", "refused", "refused", "refused",
                     "refused", "rate_limit", "rate_limit"]
