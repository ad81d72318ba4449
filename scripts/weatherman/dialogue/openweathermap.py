"""OpenWeatherMap behind the tools: its free current weather, 5-day forecast and geocoding, told in Open-Meteo's form.

Terms: openweathermap.org/terms (attribution, free for 60 calls a minute). Its key comes from the environment and goes nowhere else.
"""
from datetime import datetime, timedelta, timezone

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from weatherman.dialogue import world
from weatherman.dialogue.services import accepted, country_code
from weatherman.dialogue.weather_api import MAX_LATITUDE, MAX_LONGITUDE, WeatherError, malformed, parse_current, parse_forecast
from weatherman.dialogue.weather_http import get_json, http_error

KEY_VARIABLE = "OPENWEATHERMAP_API_KEY"
MAX_DAYS = 5          # of the free forecast: 40 steps of three hours
KMH = 3.6             # a m/s
# Condition ids (openweathermap.org/weather-conditions) as the nearest WMO code. Those of the air (7xx) say nothing of the sky, so the
# clouds do; what has no code at all, a tornado for instance, is not made into something milder.
WMO_CODES = {300: 51, 301: 53, 302: 55, 310: 51, 311: 53, 312: 55, 313: 80, 314: 81, 321: 80, 500: 61, 501: 63, 502: 65, 503: 65, 504: 65,
             511: 66, 520: 80, 521: 81, 522: 82, 531: 81, 600: 71, 601: 73, 602: 75, 611: 66, 612: 66, 613: 66, 615: 71, 616: 73, 620: 85,
             621: 85, 622: 86, 701: 45, 741: 45, 800: 0, 801: 1, 802: 2, 803: 2, 804: 3, **dict.fromkeys(range(200, 233), 95)}
HAZES = (711, 721, 731, 751, 761, 762)
OVERCAST, PARTLY, MOSTLY_CLEAR = (3, 80), (2, 50), (1, 20)  # WMO code, least cloud cover in %: as Open-Meteo draws the lines


class _Answer(BaseModel):
    model_config = ConfigDict(allow_inf_nan=False)


class _Condition(_Answer):
    id: int


class _Main(_Answer):
    temp: float
    feels_like: float | None = None
    temp_min: float
    temp_max: float
    humidity: float | None = None


class _Wind(_Answer):
    speed: float | None = None


class _Clouds(_Answer):
    all: float = 0.0


class _Fallen(_Answer):
    last_3h: float = Field(default=0.0, alias="3h")


class _Point(_Answer):
    lat: float = Field(ge=-MAX_LATITUDE, le=MAX_LATITUDE)
    lon: float = Field(ge=-MAX_LONGITUDE, le=MAX_LONGITUDE)


class _Step(_Answer):
    dt: int = Field(ge=0, lt=2**32)
    main: _Main
    weather: list[_Condition] = Field(min_length=1)
    wind: _Wind = _Wind()
    clouds: _Clouds = _Clouds()
    rain: _Fallen = _Fallen()
    snow: _Fallen = _Fallen()
    pop: float = Field(default=0.0, ge=0, le=1)


class _Current(_Step):
    coord: _Point
    timezone: int = Field(gt=-86400, lt=86400)


class _City(_Answer):
    coord: _Point
    timezone: int = Field(gt=-86400, lt=86400)


class _Forecast(_Answer):
    steps: list[_Step] = Field(alias="list", min_length=1)
    city: _City


class _Match(_Point):
    name: str = Field(min_length=1)
    country: str
    state: str | None = None


class OpenWeatherMap:
    """Live weather with a key. settings: `weather` of the data configuration."""

    def __init__(self, settings, key):
        self.settings, self._key = settings, key

    def geocode_location(self, city, country=None):
        place = f"{city},{country_code(country) or country}" if country else city
        matches = _read(TypeAdapter(list[_Match]), self._get("/geo/1.0/direct", {"q": place, "limit": 1}))
        names = world.country_names()
        return {"results": [{"name": match.name, "latitude": match.lat, "longitude": match.lon, "country_code": match.country,
                             "country": names.get(match.country, match.country), **({"admin1": match.state} if match.state else {})}
                            for match in matches]}

    def get_current_weather(self, latitude, longitude, unit="celsius"):
        now = _read(TypeAdapter(_Current), self._weather("/data/2.5/weather", latitude, longitude))
        feels_like = None if now.main.feels_like is None else round(now.main.feels_like, 1)
        values = {"temperature_2m": round(now.main.temp, 1), "relative_humidity_2m": now.main.humidity, "apparent_temperature": feels_like,
                  "weather_code": wmo_code(now), "wind_speed_10m": _kmh(now.wind.speed)}
        local = _local(now.dt, now.timezone).strftime("%Y-%m-%dT%H:%M")
        return accepted({**_head(now.coord, now.timezone), "current_units": world.units(world.CURRENT_UNITS, unit),
                         "current": {"time": local, **world.in_unit(values, unit)}}, parse_current)

    def get_forecast(self, latitude, longitude, days, unit="celsius"):
        if days > MAX_DAYS:
            raise _too_far(days, MAX_DAYS)
        answer = _read(TypeAdapter(_Forecast), self._weather("/data/2.5/forecast", latitude, longitude))
        dates = {}
        for step in answer.steps:
            dates.setdefault(_local(step.dt, answer.city.timezone).date().isoformat(), []).append(step)
        if len(dates) < days:
            raise _too_far(days, len(dates))
        rows = [_day(steps) for steps in list(dates.values())[:days]]
        columns = {name: [world.in_unit(row, unit)[name] for row in rows] for name in rows[0]}
        return accepted({**_head(answer.city.coord, answer.city.timezone), "daily_units": world.units(world.DAILY_UNITS, unit),
                         "daily": {"time": list(dates)[:days], **columns}}, parse_forecast)

    def _weather(self, path, latitude, longitude):
        return self._get(path, {"lat": latitude, "lon": longitude, "units": "metric"})

    def _get(self, path, query):
        """Return the JSON of a path. Raises WeatherError with the service's words, in which the key does not stand."""
        status, body = get_json(self.settings.openweathermap, path, {**query, "appid": self._key}, self.settings)
        if status == 200:
            return body
        message = body.get("message") if isinstance(body, dict) else None
        if not isinstance(message, str) or not message.strip():
            raise http_error(status)
        kind = {401: "unauthorized", 404: "not_found", 429: "rate_limit"}.get(status, "unavailable" if status >= 500 else "refused")
        raise WeatherError(kind, message.replace(self._key, "(the key)"))


def wmo_code(step):
    """Return the WMO code of a step's first condition. Raises WeatherError for one that has none."""
    condition = step.weather[0].id
    if condition in HAZES:
        return next((code for code, cover in (OVERCAST, PARTLY, MOSTLY_CLEAR) if step.clouds.all >= cover), 0)
    if condition not in WMO_CODES:
        raise malformed(f"condition {condition} has no WMO code")
    return WMO_CODES[condition]


def _day(steps):
    """Return the values of DAILY_VARIABLES for one day's steps; its code is the gravest, as Open-Meteo does it."""
    winds = [step.wind.speed for step in steps if step.wind.speed is not None]
    return {"weather_code": max(map(wmo_code, steps)), "temperature_2m_max": round(max(step.main.temp_max for step in steps), 1),
            "temperature_2m_min": round(min(step.main.temp_min for step in steps), 1),
            "precipitation_sum": round(sum(step.rain.last_3h + step.snow.last_3h for step in steps), 1),
            "precipitation_probability_max": round(100 * max(step.pop for step in steps)),
            "wind_speed_10m_max": _kmh(max(winds)) if winds else None}


def _read(adapter, body):
    """Return an answer as its model. Raises WeatherError malformed that names the first value that does not fit."""
    try:
        return adapter.validate_python(body)
    except ValidationError as problem:
        first = problem.errors()[0]
        raise malformed(f"{'.'.join(map(str, first['loc'])) or 'all of it'}: {first['msg']}") from None


def _head(point, offset):
    name = world.gmt_name(offset)
    return {"latitude": point.lat, "longitude": point.lon, "utc_offset_seconds": offset, "timezone": name, "timezone_abbreviation": name}


def _local(moment, offset):
    return datetime.fromtimestamp(moment, timezone.utc) + timedelta(seconds=offset)


def _kmh(speed):
    return None if speed is None else round(speed * KMH, 1)


def _too_far(days, reach):
    return WeatherError("out_of_range", f"The forecast of this service reaches {reach} days. Allowed range 1 to {reach}. Given {days}.")
