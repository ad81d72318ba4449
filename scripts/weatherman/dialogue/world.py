"""A small world that answers as Open-Meteo does: real cities, and weather plausible for latitude, height and season.

Only +, -, *, / and rounding are used on floats, so that every machine gives the same bytes.
"""
import csv
from dataclasses import dataclass
from datetime import date, timedelta

from paths import CONFIGS_DIR, show
from weatherman.cli import UserError

CITIES = CONFIGS_DIR / "dialogue" / "cities.csv"
FIRST_DAY, SPAN_DAYS = date(2025, 1, 1), 730  # the dialogues take place within these two years
# Names that no gazetteer knows, for the look-up that fails.
UNKNOWN_PLACES = ("Quillhaven", "Brindlemoor", "Port Obscura", "Eastwick Hollow", "Marrowgate", "Tannersfold", "Upper Glimming", "Saltrush",
                  "Hobbleford", "New Verity", "Lantern Cross", "Oxbarrow", "Pellam Sound", "Dunmarrow", "Crakehill", "Vesperton")
LIMITS = ("Minutely API request limit exceeded. Please try again in one minute.",
          "Hourly API request limit exceeded. Please try again in the next hour.",
          "Daily API request limit exceeded. Please try again tomorrow.")


@dataclass(frozen=True)
class City:
    name: str
    country: str
    country_code: str
    admin1: str
    latitude: float
    longitude: float
    elevation: float
    timezone: str
    feature_code: str


def load_cities(path=CITIES):
    """Return the Cities of the CSV file, in its order. Source of the facts: GeoNames (CC BY 4.0). Raises UserError for any other row."""
    cities = []
    with open(path, encoding="utf-8-sig", newline="") as handle:
        rows = csv.DictReader(handle)
        try:
            for row in rows:
                cities.append(City(**{**row, **{key: float(row[key]) for key in ("latitude", "longitude", "elevation")}}))
        except (KeyError, TypeError, ValueError, csv.Error):
            raise UserError(f"{show(path)}:{rows.line_num}: not a city; expected {','.join(City.__annotations__)}, "
                            "with numbers for latitude, longitude and elevation.", f"git diff '{path}'") from None
    if not cities:
        raise UserError(f"{show(path)}: there is no city in it.", f"git diff '{path}'")
    return cities


def geocoding_body(city, rng):
    """Return Open-Meteo's geocoding answer for a City, or for None: no match."""
    took = {"generationtime_ms": round(0.2 + rng.random(), 6)}
    if city is None:
        return took
    keys = ("name", "latitude", "longitude", "elevation", "feature_code", "country_code", "timezone", "country", "admin1")
    return {"results": [{key: getattr(city, key) for key in keys if getattr(city, key) != ""}], **took}


def limit_body(rng):
    """Return the body of HTTP status 429."""
    return {"error": True, "reason": rng.choice(LIMITS)}


def current_body(latitude, longitude, elevation, day, unit, rng):
    """Return Open-Meteo's current weather at a point on `day` (date); unit: celsius or fahrenheit."""
    weather = _days(latitude, elevation, day, 1, rng)[0]
    temperature = round(weather["low"] + (weather["high"] - weather["low"]) * rng.random(), 1)
    degree = "°C" if unit == "celsius" else "°F"
    return {**_head(latitude, longitude, elevation, rng),
            "current_units": {"time": "iso8601", "interval": "seconds", "temperature_2m": degree, "apparent_temperature": degree,
                              "relative_humidity_2m": "%", "weather_code": "wmo code", "wind_speed_10m": "km/h"},
            "current": {"time": f"{day.isoformat()}T{rng.randrange(24):02d}:{rng.randrange(0, 60, 15):02d}", "interval": 900,
                        "temperature_2m": _in(unit, temperature),
                        "apparent_temperature": _in(unit, _apparent(temperature, weather["wind"], weather["humidity"])),
                        "relative_humidity_2m": weather["humidity"], "weather_code": weather["code"], "wind_speed_10m": weather["wind"]}}


def forecast_body(latitude, longitude, elevation, day, count, unit, rng):
    """Return Open-Meteo's daily forecast of `count` days from `day` on."""
    days = _days(latitude, elevation, day, count, rng)
    degree = "°C" if unit == "celsius" else "°F"
    return {**_head(latitude, longitude, elevation, rng),
            "daily_units": {"time": "iso8601", "weather_code": "wmo code", "temperature_2m_max": degree, "temperature_2m_min": degree,
                            "precipitation_sum": "mm", "precipitation_probability_max": "%", "wind_speed_10m_max": "km/h"},
            "daily": {"time": [(day + timedelta(days=i)).isoformat() for i in range(count)],
                      "weather_code": [d["code"] for d in days],
                      "temperature_2m_max": [_in(unit, d["high"]) for d in days], "temperature_2m_min": [_in(unit, d["low"]) for d in days],
                      "precipitation_sum": [d["rain"] for d in days], "precipitation_probability_max": [d["chance"] for d in days],
                      "wind_speed_10m_max": [d["wind"] for d in days]}}


def _head(latitude, longitude, elevation, rng):
    grid = 0.0625  # degrees: the service answers for the nearest point of its model's grid
    return {"latitude": round(round(latitude / grid) * grid, 4), "longitude": round(round(longitude / grid) * grid, 4),
            "generationtime_ms": round(0.05 + rng.random() / 4, 6), "utc_offset_seconds": 0, "timezone": "GMT",
            "timezone_abbreviation": "GMT", "elevation": elevation}


def _days(latitude, elevation, day, count, rng):
    """Return `count` days of weather; warm and cold spells last, as the anomaly carries over from day to day."""
    anomaly, days = _spread(rng) * 3, []
    for i in range(count):
        anomaly = 0.7 * anomaly + _spread(rng) * 2.5
        mean = mean_temperature(latitude, elevation, day + timedelta(days=i)) + anomaly
        wet = rng.random() < wet_share(latitude, day + timedelta(days=i))
        code = _code(mean, wet, rng)
        days.append({"code": code, "high": round(mean + 2 + 4 * rng.random(), 1), "low": round(mean - 2 - 4 * rng.random(), 1),
                     "wind": round((18 if code >= 80 else 3) + 24 * rng.random(), 1),
                     "humidity": rng.randrange(94, 100) if code in (45, 48) else rng.randrange(72, 98) if wet else rng.randrange(30, 76),
                     "rain": round(0.3 + 9 * rng.random(), 1) if wet else 0.0,
                     "chance": rng.randrange(50, 99) if wet else rng.randrange(0, 36)})
    return days


def season(latitude, day):
    """Return 1 at midsummer's warmest (mid July in the north, mid January in the south), -1 at midwinter, straight in between."""
    phase = (day.timetuple().tm_yday - 196) / 365
    wave = 1 - 4 * abs(phase - round(phase))
    return wave if latitude >= 0 else -wave


def mean_temperature(latitude, elevation, day):
    """Return a plausible daily mean in °C: falling with latitude squared and 6 °C a kilometre, swinging more towards the poles."""
    return 26.5 - 0.0062 * latitude * latitude - 0.006 * elevation + 0.22 * abs(latitude) * season(latitude, day)


def wet_share(latitude, day):
    """Return the share of days on which something falls: wet tropics with rain in summer, dry subtropics, wet middle latitudes."""
    away = abs(latitude)
    if away < 8:
        return 0.5
    if away < 24:
        return 0.3 + 0.25 * season(latitude, day)
    return 0.12 if away < 33 else 0.3 if away < 45 else 0.42


def _code(mean, wet, rng):
    if not wet:
        fog = 48 if mean < 0 else 45
        return rng.choice((0, 0, 1, 1, 2, 2, 3, 3, fog if mean < 15 else 1))
    if mean < -1:
        return rng.choice((71, 71, 73, 73, 75, 77, 85, 86))
    if mean < 3:
        return rng.choice((56, 57, 61, 63, 66, 67, 71, 73, 85))
    mild = (51, 53, 55, 61, 61, 63, 63, 65, 80, 80, 81, 82)
    return rng.choice((*mild, 95, 95, 96, 99) if mean > 16 else mild)


def _spread(rng):
    """Return a draw around 0, nearly normal, standard deviation 1: a sum of uniforms needs no logarithm."""
    return (rng.random() + rng.random() + rng.random() + rng.random() - 2) * 1.732


def _apparent(temperature, wind, humidity):
    if temperature <= 12:
        return round(temperature - 0.5 - wind * 0.08, 1)
    return round(temperature + max(0, humidity - 40) * 0.06, 1) if temperature >= 24 else round(temperature - wind * 0.03, 1)


def _in(unit, celsius):
    return celsius if unit == "celsius" else round(celsius * 9 / 5 + 32, 1)
