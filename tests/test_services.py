"""The services behind the tools, against a web server on loopback that answers in the real services' shapes, or misbehaves."""
import json
import time
import traceback
from datetime import date
from urllib.parse import parse_qsl, urlsplit

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from misbehaving import serving
from paths import REPO_DIR
from test_weather_api import AHEAD, KEYS, NOW, PLACE
from weather import main
from weatherman.cli import run
from weatherman.dialogue import openweathermap, services, world
from weatherman.dialogue.services import Offline, OpenMeteo, call_tool
from weatherman.dialogue.weather_api import (
    CURRENT_VARIABLES,
    DAILY_VARIABLES,
    PLACE_KEYS,
    WeatherError,
    parse_current,
    parse_forecast,
    parse_places,
)
from weatherman.schemas import Weather

SHARED = REPO_DIR.parent / "shared" / "corpora" / "weather_api"
KEY = "f00dcafe5ecre7"
TODAY = date(2025, 6, 16)
POINT = (38.7, -9.1)
STEP = {"dt": 1750075200, "main": {"temp": 20.04, "feels_like": 19.5, "temp_min": 19.0, "temp_max": 21.0, "humidity": 70},
        "weather": [{"id": 802, "main": "Clouds"}], "clouds": {"all": 40}, "wind": {"speed": 5.0}, "pop": 0.2}
OWM_NOW = {**STEP, "coord": {"lat": 38.7, "lon": -9.1}, "timezone": 3600, "name": "Lisbon", "cod": 200}


class Pages(dict):
    """Pages by path, whatever the query; of a list of answers the next at each request, the last one for good."""

    def get(self, path, default=None):
        page = super().get(path.partition("?")[0], default)
        return (page.pop(0) if len(page) > 1 else page[0]) if isinstance(page, list) else page


@pytest.fixture
def server():
    with serving() as running:
        running.pages = Pages()
        yield running


def settings(server, **changes):
    values = {"open_meteo": server.address, "open_meteo_geocoding": server.address, "openweathermap": server.address,
              "timeout_s": 0.3, "deadline_s": 1.0, "retries": 1, "wait_s": 0.01, "max_bytes": 20_000}
    return Weather(**{**values, **changes})


def page(body, status=200, **headers):
    return status, (body if isinstance(body, bytes) else json.dumps(body).encode()), headers


def asked(server, number=-1):
    """Return (path, query) of a request that came."""
    parts = urlsplit(server.log[number][1])
    return parts.path, dict(parse_qsl(parts.query))


def refusal(question, *arguments):
    with pytest.raises(WeatherError) as caught:
        question(*arguments)
    return caught.value


# --- Open-Meteo ----------------------------------------------------------------------------------------------------------

def test_open_meteo_is_asked_for_what_the_reader_needs_and_told_on_unchanged(server):
    server.pages |= {"/v1/forecast": [page(NOW), page(AHEAD)], "/v1/search": page({"results": [PLACE | {"postcodes": ["1"]}],
                                                                                  "generationtime_ms": 0.5})}
    service = OpenMeteo(settings(server))
    assert service.get_current_weather(*POINT, "fahrenheit") == NOW
    point = {"latitude": "38.7", "longitude": "-9.1", "timezone": "auto"}
    assert asked(server) == ("/v1/forecast", {**point, "temperature_unit": "fahrenheit", "current": ",".join(CURRENT_VARIABLES)})
    assert service.get_forecast(*POINT, 2) == AHEAD
    assert asked(server)[1] == {**point, "temperature_unit": "celsius", "daily": ",".join(DAILY_VARIABLES), "forecast_days": "2"}
    body = service.geocode_location("Lisbon")
    assert body == {"results": [{key: PLACE[key] for key in PLACE_KEYS if key in PLACE}], "generationtime_ms": 0.5}
    assert asked(server) == ("/v1/search", {"name": "Lisbon", "count": "1", "language": "en", "format": "json"})


@pytest.mark.parametrize("country, found", [("Portugal", "PT"), ("usa", "US"), ("United States", "US"), ("PRT", "PT"), ("Spain", None),
                                            ("Nowhere", None)])
def test_a_country_picks_among_namesakes(server, country, found):
    lisbon_ohio = {**PLACE, "country": "United States", "country_code": "US", "admin1": "Ohio"}
    server.pages["/v1/search"] = page({"results": [PLACE, lisbon_ohio], "generationtime_ms": 0.5})
    body = OpenMeteo(settings(server)).geocode_location("Lisbon", country)
    assert [match["country_code"] for match in body.get("results", [])] == ([found] if found else [])
    assert asked(server)[1]["count"] == str(services.MOST_PLACES)


def test_no_match_and_no_data_are_answers(server):
    server.pages |= {"/v1/search": page({"generationtime_ms": 0.4}), "/v1/forecast": page(world.empty_body(NOW))}
    service = OpenMeteo(settings(server))
    assert service.geocode_location("Quillhaven") == {"generationtime_ms": 0.4}
    assert service.get_current_weather(*POINT) == world.empty_body(NOW)


@pytest.mark.parametrize("answer, kind, words", [
    (page({"error": True, "reason": "Latitude must be in range of -90 to 90°. Given: 999.0."}, 400), "out_of_range", "Given: 999.0"),
    (page({"error": True, "reason": "Daily API request limit exceeded. Please try again tomorrow."}, 429), "rate_limit", "tomorrow"),
    (page(b"slow down", 429), "rate_limit", "HTTP status 429"), (page(b"<html>busy</html>", 503), "unavailable", "HTTP status 503"),
    (page({"error": "Bad Gateway"}, 502), "unavailable", "HTTP status 502"), (page(b"", 404), "refused", "HTTP status 404"),
    (page(b"<html>Welcome to the hotel</html>"), "malformed", "not JSON"), (page(b'{"current": {"tempera'), "malformed", "not JSON"),
    (page(b" " * 30_000), "malformed", "more than 20,000 bytes"), (page({"current": {}}), "malformed", "current_units is missing"),
    (page(b"", 302, Location="/elsewhere"), "refused", "HTTP status 302"), ("silent", "timeout", "in time"), ("drip", "timeout", "in time"),
    ("header_drip", "timeout", "in time"), ("endless", "timeout", "in time"), ("reset", "unavailable", "not be reached"),
    ("truncated", "unavailable", "not be reached"), ("no_http", "unavailable", "not be reached")])
def test_a_service_that_misbehaves_is_told_as_it_is(server, answer, kind, words):
    server.pages |= {"/v1/forecast": answer, "/elsewhere": page(NOW)}
    started = time.monotonic()
    error = refusal(OpenMeteo(settings(server, deadline_s=0.4)).get_current_weather, *POINT)
    assert error.kind == kind and words in error.reason
    assert time.monotonic() - started < 1.5 and all(not path.startswith("/elsewhere") for _, path, _ in server.log)


@pytest.mark.parametrize("first", [page(b"busy", 503), page(b"", 429, **{"Retry-After": "0"}), "reset", "truncated"])
def test_what_may_pass_is_tried_again(server, first):
    server.pages["/v1/forecast"] = [first, page(NOW)]
    assert OpenMeteo(settings(server)).get_current_weather(*POINT) == NOW and len(server.log) == 2


def test_waits_end_before_the_deadline(server):
    server.pages["/v1/forecast"] = page(b"", 429, **{"Retry-After": "3600"})
    assert refusal(OpenMeteo(settings(server)).get_current_weather, *POINT).kind == "rate_limit" and len(server.log) == 1
    server.pages["/v1/forecast"] = page({"error": True, "reason": "Invalid timezone"}, 400)
    assert refusal(OpenMeteo(settings(server)).get_current_weather, *POINT).kind == "refused" and len(server.log) == 2


def test_nobody_listens():
    with serving() as gone:
        address = settings(gone)
    assert refusal(OpenMeteo(address).get_current_weather, *POINT).kind == "unavailable"


@pytest.mark.skipif(not SHARED.is_dir(), reason="the recorded exchanges and the service's OpenAPI file are not on this machine (../shared)")
def test_requests_are_those_the_service_knows(server):
    server.pages |= {"/v1/forecast": page(AHEAD | NOW), "/v1/search": page({"results": [PLACE]})}
    service = OpenMeteo(settings(server))
    service.get_forecast(*POINT, 3)
    service.get_current_weather(*POINT)
    service.geocode_location("Hollywood")
    api = yaml.safe_load((SHARED / "openmeteo_openapi_forecast.yml").read_text(encoding="utf-8"))
    known = {parameter["name"]: parameter["schema"] for parameter in api["paths"]["/v1/forecast"]["get"]["parameters"]}
    for number in (0, 1):
        path, query = asked(server, number)
        assert path == "/v1/forecast" and set(query) <= set(known)
        for section in {"current", "daily"} & set(query):
            assert set(query[section].split(",")) <= set(known[section]["items"]["enum"])
        assert query["temperature_unit"] in known["temperature_unit"]["enum"]
    exchange = yaml.safe_load((SHARED / "om_vcr_geocode_hollywood.yml").read_text(encoding="utf-8"))["http_interactions"][0]
    recorded = urlsplit(exchange["request"]["uri"])
    assert asked(server)[0] == recorded.path and dict(parse_qsl(recorded.query)).items() <= asked(server)[1].items()


# --- OpenWeatherMap ------------------------------------------------------------------------------------------------------

def map_service(server, **changes):
    return openweathermap.OpenWeatherMap(settings(server, **changes), KEY)


def test_openweathermap_is_told_in_open_meteos_form(server):
    server.pages |= {"/data/2.5/weather": page(OWM_NOW), "/geo/1.0/direct": page([
        {"name": "Lisbon", "lat": 38.7, "lon": -9.1, "country": "PT", "state": "Lisbon", "local_names": {"pt": "Lisboa"}}])}
    now = parse_current(map_service(server).get_current_weather(*POINT))
    assert (now.time, now.temperature, now.feels_like, now.humidity, now.wind_speed, now.weather_code) == (
        "2025-06-16T13:00", 20.0, 19.5, 70, 18.0, 2)
    assert asked(server) == ("/data/2.5/weather", {"lat": "38.7", "lon": "-9.1", "units": "metric", "appid": KEY})
    warm = parse_current(map_service(server).get_current_weather(*POINT, "fahrenheit"))
    assert (warm.temperature, warm.temperature_unit, warm.wind_unit) == (68.0, "°F", "km/h")
    found = parse_places(map_service(server).geocode_location("Lisbon", "Portugal"))[0]
    assert (found.name, found.country, found.admin1, found.latitude) == ("Lisbon", "Portugal", "Lisbon", 38.7)
    assert asked(server)[1]["q"] == "Lisbon,PT"
    server.pages["/geo/1.0/direct"] = page([])
    assert refusal(parse_places, map_service(server).geocode_location("Quillhaven")).kind == "not_found"


def test_steps_of_three_hours_become_days(server):
    rain = {**STEP, "dt": STEP["dt"] + 10800, "weather": [{"id": 501}], "rain": {"3h": 1.26}, "snow": {"3h": 0.5}, "pop": 0.85,
            "main": {**STEP["main"], "temp_min": 12.34, "temp_max": 15.0}, "wind": {"speed": 9.0}}
    tomorrow = {**STEP, "dt": STEP["dt"] + 12 * 3600}  # 01:00 in Lisbon, 00:00 in GMT
    city = {"coord": {"lat": 38.7, "lon": -9.1}, "timezone": 3600}
    server.pages["/data/2.5/forecast"] = page({"cod": "200", "list": [STEP, rain, tomorrow], "city": city})
    days = parse_forecast(map_service(server).get_forecast(*POINT, 2)).days
    assert [(day.date, day.weather_code, day.high, day.low, day.precipitation, day.chance, day.wind_speed) for day in days] == [
        ("2025-06-16", 63, 21.0, 12.3, 1.8, 85, 32.4), ("2025-06-17", 2, 21.0, 19.0, 0.0, 20, 18.0)]
    for count, reach in ((3, 2), (6, 5)):
        error = refusal(map_service(server).get_forecast, *POINT, count)
        assert error.kind == "out_of_range" and f"reaches {reach} days" in error.reason


def test_every_condition_has_a_code_or_a_reason():
    from weatherman.dialogue.weather_api import WMO
    assert set(openweathermap.WMO_CODES.values()) <= set(WMO)
    haze = {"clouds": {"all": 90}, "weather": [{"id": 721}]}
    assert openweathermap.wmo_code(openweathermap._Step(**{**STEP, **haze})) == 3
    tornado = openweathermap._Step(**{**STEP, "weather": [{"id": 781}]})
    assert "condition 781 has no WMO code" in refusal(openweathermap.wmo_code, tornado).reason


@pytest.mark.parametrize("answer, kind", [
    (page({"cod": 401, "message": f"Invalid API key {KEY}. Please see openweathermap.org/faq#error401"}, 401), "unauthorized"),
    (page({"cod": "404", "message": "city not found"}, 404), "not_found"), (page(b"<html>", 500), "unavailable"),
    (page({"cod": 429, "message": "Your account is temporary blocked due to exceeding of requests limitation."}, 429), "rate_limit"),
    (page({"cod": 500, "message": "Internal server error"}, 500), "unavailable"), (page([]), "malformed"), ("silent", "timeout"),
    (page({**OWM_NOW, "weather": []}), "malformed"), (page({**OWM_NOW, "main": {}}), "malformed"), ("reset", "unavailable"),
    (page(b"", 302, Location="/elsewhere"), "refused")])
def test_openweathermaps_errors_and_the_key_that_is_never_told(server, answer, kind, capfd):
    server.pages["/data/2.5/weather"] = answer
    error = refusal(map_service(server, deadline_s=0.5, timeout_s=0.2).get_current_weather, *POINT)
    assert error.kind == kind
    told = "".join([*traceback.format_exception(type(error), error, error.__traceback__), *capfd.readouterr(),
                    call_tool(map_service(server, deadline_s=0.3), "get_current_weather", '{"latitude": 38.7, "longitude": -9.1}')])
    assert KEY not in told and "reason" in told


@given(body=st.recursive(st.none() | st.integers() | st.floats() | st.text(max_size=4), lambda inner: st.lists(inner, max_size=2)
                         | st.dictionaries(KEYS | st.sampled_from(["main", "weather", "dt", "coord", "list"]), inner), max_leaves=9),
       key=st.sampled_from(sorted(OWM_NOW)))
def test_any_json_of_openweathermap_gives_a_result_or_a_weather_error(body, key):
    service = openweathermap.OpenWeatherMap(None, KEY)
    for answer in (body, {**OWM_NOW, key: body}):
        service._get = lambda path, query, answer=answer: answer
        for question in (lambda: service.get_current_weather(*POINT), lambda: service.get_forecast(*POINT, 2),
                         lambda: service.geocode_location("Lisbon")):
            try:
                question()
            except WeatherError as error:
                assert error.kind in ("malformed", "out_of_range")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real answers of the services are not on this machine (../shared)")
def test_real_answers_of_openweathermap(server):
    def real(name):
        return json.loads((SHARED / name).read_text(encoding="utf-8"))
    server.pages |= {"/data/2.5/weather": page(real("owm_current_weather.json")), "/data/2.5/forecast": page(real("owm_forecast.json")),
                     "/geo/1.0/direct": page(real("owm_geocoding_direct.json"))}
    now = parse_current(map_service(server).get_current_weather(51.5, -0.1))
    assert (now.time, now.temperature, now.wind_speed, now.weather_code) == ("2024-04-03T22:20", 15.2, 13.0, 0)
    day = parse_forecast(map_service(server).get_forecast(51.5, -0.1, 1)).days[0]
    assert (day.date, day.weather_code, day.high, day.low, day.wind_speed) == ("2024-04-04", 61, 15.0, 10.5, 18.0)
    assert [place.admin1 for place in parse_places(map_service(server).geocode_location("London"))] == ["England", "Ontario"]
    for name, kind in (("401_invalid_key", "unauthorized"), ("404_not_found", "not_found"), ("429_rate_limit", "rate_limit"),
                       ("500_server_error", "unavailable")):
        server.pages["/data/2.5/weather"] = page(real(f"owm_error_{name}.json"), int(name[:3]))
        error = refusal(map_service(server).get_current_weather, *POINT)
        assert (error.kind, error.reason) == (kind, real(f"owm_error_{name}.json")["message"])


# --- offline, and the tools -----------------------------------------------------------------------------------------------

def test_offline_the_same_question_has_the_same_answer():
    one, other = Offline(1, TODAY), Offline(1, TODAY)
    assert one.geocode_location("bogota", "Colombia") == other.geocode_location("bogota", "Colombia")
    place = parse_places(one.geocode_location("bogota"))[0]
    assert (place.name, place.elevation) == ("Bogotá", 2600.0)
    point = (place.latitude, place.longitude)
    assert one.get_current_weather(*point) == other.get_current_weather(*point) != Offline(2, TODAY).get_current_weather(*point)
    now, day = parse_current(one.get_current_weather(*point)), parse_forecast(one.get_forecast(*point, 1)).days[0]
    assert day.low <= now.temperature <= day.high and day.date == "2025-06-16"
    assert one.get_current_weather(0.0, -150.0)["timezone"] == "GMT"  # at sea
    assert refusal(parse_places, one.geocode_location("Lisbon", "Spain")).kind == "not_found"


@pytest.mark.parametrize("name, arguments, reason", [
    ("get_current_weather", {"latitude": 999, "longitude": 2}, "Latitude must be in range of -90 to 90°. Given: 999.0."),
    ("get_forecast", {"latitude": 9, "longitude": -200.5, "days": 3}, "Longitude must be in range of -180 to 180°. Given: -200.5."),
    ("get_forecast", {"latitude": 9, "longitude": 2, "days": 30}, "get_forecast.days: Input should be less than or equal to 14"),
    ("get_moon", {}, "no tool is called 'get_moon'; there are get_current_weather, get_forecast, geocode_location")])
def test_a_call_that_cannot_be_answered_is_told_so(name, arguments, reason):
    assert json.loads(call_tool(Offline(1, TODAY), name, json.dumps(arguments))) == {"error": True, "reason": reason}
    assert json.loads(call_tool(Offline(1, TODAY), name, "{"))["error"] is True


def test_every_tool_is_answered_as_the_reader_reads_it(server):
    offline = Offline(1, TODAY)
    assert parse_places(json.loads(call_tool(offline, "geocode_location", '{"city": "Lisbon", "country": "Portugal"}')))
    assert parse_current(json.loads(call_tool(offline, "get_current_weather", '{"latitude": 38.7, "longitude": -9}')))
    text = call_tool(offline, "get_forecast", '{"latitude": 38.7, "longitude": -9, "days": 3.0, "unit": "fahrenheit"}')
    assert len(parse_forecast(json.loads(text)).days) == 3
    server.pages["/v1/forecast"] = page(NOW)
    assert json.loads(call_tool(OpenMeteo(settings(server)), "get_current_weather", '{"latitude": 38.7, "longitude": -9}')) == NOW


# --- scripts/weather.py ---------------------------------------------------------------------------------------------------

def test_the_script_prints_a_table_or_the_bodies(capsys):
    assert run(main, ["Lisbon", "--days", "2", "--unit", "fahrenheit", "--service", "offline"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("Lisbon, Portugal (38.7") and told.count("°F") == 4
    assert run(main, ["Lisbon", "--country", "Portugal", "--service", "offline"]) == 0 and "feels like" in capsys.readouterr().out
    assert run(main, ["Lisbon", "--service", "offline", "--json"]) == 0
    bodies = json.loads(capsys.readouterr().out)
    assert parse_current(bodies["get_current_weather"]) and parse_places(bodies["geocode_location"])[0].name == "Lisbon"


def test_the_script_says_what_is_wrong(server, capsys, monkeypatch):
    assert run(main, ["Quillhaven", "--service", "offline"]) == 1
    assert capsys.readouterr().err.startswith("not_found: The place was not found.")
    with pytest.raises(SystemExit):
        main(["Lisbon", "--days", "15"])
    monkeypatch.delenv(openweathermap.KEY_VARIABLE, raising=False)
    assert run(main, ["Lisbon", "--service", "openweathermap"]) == 1 and "needs OPENWEATHERMAP_API_KEY" in capsys.readouterr().err
    monkeypatch.setenv(openweathermap.KEY_VARIABLE, KEY)
    server.pages["/geo/1.0/direct"] = page({"cod": 401, "message": f"Invalid API key {KEY}."}, 401)
    assert run(main, ["Lisbon", "--service", "openweathermap", "--set", f"weather.openweathermap={server.address}"]) == 1
    assert capsys.readouterr().err.startswith("unauthorized: Invalid API key (the key).")
