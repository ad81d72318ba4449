"""The three tools as the model sees them, and the one reader of weather answers: Open-Meteo's JSON, from whichever service."""
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import orjson

MAX_DAYS = 14
MAX_LATITUDE, MAX_LONGITUDE = 90, 180
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
MONTHS = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December")

# WMO code table 4677 as Open-Meteo uses it, each code as words that can follow "with". Source: open-meteo.com/en/docs.
WMO = {
    0: "a clear sky", 1: "a mostly clear sky", 2: "a partly cloudy sky", 3: "an overcast sky", 45: "fog", 48: "rime fog",
    51: "light drizzle", 53: "moderate drizzle", 55: "dense drizzle", 56: "light freezing drizzle", 57: "dense freezing drizzle",
    61: "light rain", 63: "moderate rain", 65: "heavy rain", 66: "light freezing rain", 67: "heavy freezing rain",
    71: "light snow", 73: "moderate snow", 75: "heavy snow", 77: "snow grains",
    80: "light rain showers", 81: "moderate rain showers", 82: "violent rain showers", 85: "light snow showers", 86: "heavy snow showers",
    95: "a thunderstorm", 96: "a thunderstorm with light hail", 99: "a thunderstorm with heavy hail",
}

# What every service is asked for, in this order: a live answer and a synthetic one have the same keys.
CURRENT_VARIABLES = ("temperature_2m", "relative_humidity_2m", "apparent_temperature", "weather_code", "wind_speed_10m")
DAILY_VARIABLES = ("weather_code", "temperature_2m_max", "temperature_2m_min", "precipitation_sum", "precipitation_probability_max",
                   "wind_speed_10m_max")
PLACE_KEYS = ("id", "name", "latitude", "longitude", "elevation", "country_code", "timezone", "population", "country", "admin1")

TIMED_OUT = "The weather service did not answer in time."  # our client's words, where there are none of the service's
OLD_NAMES = {"weather_code": "weathercode", "wind_speed_10m": "windspeed_10m", "wind_speed_10m_max": "windspeed_10m_max",
             "relative_humidity_2m": "relativehumidity_2m"}  # still answered by Open-Meteo to those who ask by them
# The service's units: ours.
TEMPERATURES, DEPTHS = {"°C": "°C", "°F": "°F"}, {"mm": "mm", "inch": "inch"}
SPEEDS = {"km/h": "km/h", "mp/h": "mph", "m/s": "m/s", "kn": "kn"}
# What the words of an error body mean; the first that fits. Source: ForecastapiQuery.swift of Open-Meteo, and our own reasons.
KINDS = (("limit exceeded", "rate_limit"), ("too many", "rate_limit"), ("range", "out_of_range"), ("in time.", "timeout"),
         ("timed out", "timeout"), ("no data", "empty"), ("not found", "not_found"), ("not be reached", "unavailable"),
         ("http status 5", "unavailable"), ("api key", "unauthorized"), ("cannot be read", "malformed"))


class WeatherError(Exception):
    """The service gave no weather. `kind`: not_found, out_of_range, rate_limit, timeout, empty, malformed, unavailable, unauthorized
    or refused; `reason`: a sentence, the service's own where it gave one."""

    def __init__(self, kind, reason):
        super().__init__(reason)
        self.kind, self.reason = kind, reason


@dataclass(frozen=True)
class Place:
    """A match of a look-up; degrees north and east, metres. None: the service does not say."""

    name: str
    country: str | None
    country_code: str | None
    admin1: str | None
    latitude: float
    longitude: float
    elevation: float | None
    timezone: str | None


@dataclass(frozen=True)
class Current:
    """The weather now; `time` is ISO 8601 in the place's own time; humidity in %. None: the service does not say."""

    time: str
    temperature: float
    feels_like: float | None
    humidity: float | None
    wind_speed: float | None
    weather_code: int
    temperature_unit: str
    wind_unit: str | None


@dataclass(frozen=True)
class Day:
    """One day ahead; `date` is ISO 8601; chance of precipitation in %. None: the service does not say."""

    date: str
    weather_code: int
    high: float
    low: float
    precipitation: float | None
    chance: float | None
    wind_speed: float | None


@dataclass(frozen=True)
class Forecast:
    """The days ahead and the units of their values."""

    days: tuple
    temperature_unit: str
    precipitation_unit: str | None
    wind_unit: str | None


def _tool(name, description, properties, required):
    return {"type": "function", "function": {"name": name, "description": description, "parameters": {
        "type": "object", "properties": properties, "required": required, "additionalProperties": False}}}


_POINT = {"latitude": {"type": "number", "description": f"Degrees north, -{MAX_LATITUDE} to {MAX_LATITUDE}"},
          "longitude": {"type": "number", "description": f"Degrees east, -{MAX_LONGITUDE} to {MAX_LONGITUDE}"}}
_UNIT = {"unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "description": "Unit of temperatures (default celsius)"}}
TOOLS = {
    "get_current_weather": _tool("get_current_weather", "Current weather at a point. weather_code is a WMO code.",
                                 {**_POINT, **_UNIT}, ["latitude", "longitude"]),
    "get_forecast": _tool("get_forecast", "Daily weather forecast at a point, starting today. weather_code is a WMO code.",
                          {**_POINT, "days": {"type": "integer", "minimum": 1, "maximum": MAX_DAYS, "description": "Number of days"},
                           **_UNIT}, ["latitude", "longitude", "days"]),
    "geocode_location": _tool("geocode_location", "Find the coordinates of a place by name.",
                              {"city": {"type": "string", "minLength": 1},
                               "country": {"type": "string", "minLength": 1, "description": "Country, if known"}}, ["city"]),
}


def parse_places(body):
    """Return the Places of a geocoding answer, best match first; a match without name or coordinates is left out.

    Raises WeatherError: not_found where there is no match, malformed, and what an error body says.
    """
    refuse_errors(body)
    if "results" not in body:
        if body.keys() == {"generationtime_ms"}:
            raise WeatherError("not_found", "The place was not found.")
        raise malformed("results is missing")
    found = body["results"]
    if not isinstance(found, list):
        raise malformed("results is not a list")
    if not found:
        raise WeatherError("not_found", "The place was not found.")
    places = [_place(entry) for entry in found if _is_place(entry)]
    if not places:
        raise malformed("no result has a name, a latitude and a longitude")
    return places


def parse_current(body):
    """Return the Current of a weather answer. Raises WeatherError: empty where the values are null, malformed, an error body's kind."""
    refuse_errors(body)
    old = "current" not in body and "current_weather" in body  # the older form: shorter names
    section = _section(body, "current_weather" if old else "current")
    units = _section(body, "current_weather_units" if old else "current_units")
    names = ("temperature", "weathercode", "windspeed") if old else ("temperature_2m", "weather_code", "wind_speed_10m")
    where = _Reader("current", section, units, names[:2])
    temperature, code = where.value(names[0]), where.code(section.get(where.key(names[1])))
    if temperature is None or code is None:
        raise WeatherError("empty", "The weather service has no data for this point.")
    return Current(where.moment(where.need("time"), body), temperature, where.value("apparent_temperature"),
                   where.value("relative_humidity_2m"), where.value(names[2]), code,
                   where.unit(TEMPERATURES, names[0], "apparent_temperature"), where.unit(SPEEDS, names[2]))


def parse_forecast(body):
    """Return the Forecast of a weather answer; days without temperatures or code (beyond a model's reach) are left out.

    Raises WeatherError: empty where no day is left, malformed, an error body's kind.
    """
    refuse_errors(body)
    where = _Reader("daily", _section(body, "daily"), _section(body, "daily_units"), DAILY_VARIABLES[:3])
    times = where.need("time")
    if not isinstance(times, list):
        raise malformed("daily.time is not a list")
    columns = [where.column(name, len(times)) for name in DAILY_VARIABLES]
    days = []
    for i, time in enumerate(times):
        code, high, low, rain, chance, wind = (column[i] for column in columns)
        if None not in (code, high, low):
            days.append(Day(where.moment(time, body)[:10], code, high, low, rain, chance, wind))
    if not days:
        raise WeatherError("empty", "The weather service has no data for these days.")
    return Forecast(tuple(days), where.unit(TEMPERATURES, "temperature_2m_max", "temperature_2m_min"),
                    where.unit(DEPTHS, "precipitation_sum"), where.unit(SPEEDS, "wind_speed_10m_max"))


def malformed(problem):
    """Return the WeatherError for an answer that cannot be read, with what is wrong with it."""
    return WeatherError("malformed", f"The weather service's answer cannot be read: {problem}.")


def refuse_errors(body):
    """Raise the WeatherError that an error body stands for."""
    if not isinstance(body, dict):
        raise malformed("it is not a JSON object")
    if body.get("error"):
        reason = body.get("reason")
        if not isinstance(reason, str) or not reason.strip():
            raise WeatherError("refused", "The weather service gave an error without a reason.")
        raise WeatherError(next((kind for words, kind in KINDS if words in reason.lower()), "refused"), reason)


def _section(body, name):
    if not isinstance(body.get(name), dict):
        raise malformed(f"{name} is missing" if name not in body else f"{name} is not an object")
    return body[name]


def _is_place(entry):
    return (isinstance(entry, dict) and isinstance(entry.get("name"), str) and bool(entry["name"].strip())
            and _is_number(entry.get("latitude"), MAX_LATITUDE) and _is_number(entry.get("longitude"), MAX_LONGITUDE))


def _place(entry):
    texts = [entry[key] if isinstance(entry.get(key), str) else None for key in ("country", "country_code", "admin1", "timezone")]
    elevation = entry["elevation"] if _is_number(entry.get("elevation")) else None
    return Place(entry["name"], *texts[:3], entry["latitude"], entry["longitude"], elevation, texts[3])


def _is_number(value, limit=1e12):
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -limit <= value <= limit


class _Reader:
    """Reads values out of one section of an answer; of several models' answers, those of the first that has all of `required`."""

    def __init__(self, name, section, units, required):
        self.name, self.section, self.units = name, section, units
        models = [key[len("weather_code"):] for key in section if key.startswith("weather_code_")]  # temperature_2m_gfs_seamless, …
        for self.suffix in ("", *models):
            if all(self.key(variable) in section for variable in required):
                return
        self.suffix = ""
        missing = next(variable for variable in required if self.key(variable) not in section)
        raise malformed(f"{name}.{missing} is missing")

    def key(self, variable):
        """Return the key a variable stands under in this answer."""
        key = variable + self.suffix
        old = OLD_NAMES.get(variable, variable) + self.suffix
        return old if key not in self.section and old in self.section else key

    def need(self, key):
        if key not in self.section:
            raise malformed(f"{self.name}.{key} is missing")
        return self.section[key]

    def value(self, variable):
        """Return a number, None where it is absent or null."""
        return self.number(variable, self.section.get(self.key(variable)))

    def number(self, variable, value):
        if value is not None and not _is_number(value):
            raise malformed(f"{self.name}.{variable} is not a number")
        return value

    def code(self, value):
        """Return a WMO code, None for null."""
        self.number("weather_code", value)
        if value is not None and value not in WMO:
            raise malformed(f"{self.name}.weather_code is {value}, which is not in the WMO table")
        return value if value is None else int(value)

    def column(self, variable, length):
        """Return one value for each day, all None where the variable is absent."""
        values = self.section.get(self.key(variable))
        if values is None:
            return [None] * length
        if not isinstance(values, list) or len(values) != length:
            raise malformed(f"{self.name}.{variable} is not a list of {length} values")
        return [self.code(value) if variable == "weather_code" else self.number(variable, value) for value in values]

    def unit(self, allowed, *variables):
        """Return the unit that these variables share, in our spelling; None where the answer has none of them."""
        present = [variable for variable in variables if self.section.get(self.key(variable)) is not None]
        found = {str(self.units.get(self.key(variable))) for variable in present}
        if found - set(allowed) or len(found) > 1:
            raise malformed(f"the unit of {self.name}.{present[0]} is {' and '.join(sorted(found))}, expected {' or '.join(allowed)}")
        return allowed[found.pop()] if found else None

    def moment(self, value, body):
        """Return a time of the answer as ISO 8601 text: it is given so, or as seconds since 1970 in GMT."""
        try:
            if isinstance(value, str):
                return datetime.fromisoformat(value).isoformat(timespec="minutes")
            offset = body.get("utc_offset_seconds")
            seconds = value + (offset if _is_number(offset) else 0) if _is_number(value) else None
            return (datetime(1970, 1, 1) + timedelta(seconds=seconds)).isoformat(timespec="minutes")
        except (ValueError, OverflowError, TypeError):
            raise malformed(f"{self.name}.time is not a time") from None


def day_name(iso, with_date):
    """Return "Tuesday", or "Tuesday 16 June" with the date, of an ISO date."""
    day = date.fromisoformat(iso)
    return f"{WEEKDAYS[day.weekday()]} {day.day} {MONTHS[day.month - 1]}" if with_date else WEEKDAYS[day.weekday()]


def quantity(value, unit):
    """Return a value with its unit as people write it: "12.3 °C", "71 %", "14 km/h"."""
    return f"{value} {unit}"


def to_text(body):
    """Return a tool result as the JSON text that goes into the conversation."""
    return orjson.dumps(body).decode()
