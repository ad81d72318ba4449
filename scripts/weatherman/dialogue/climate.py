"""The usual weather of a point on Earth by date, from the normals of known cities, and single days and moments drawn from it.

Only +, -, *, / and rounding are used on floats, so that every machine gives the same bytes.
"""
import csv
from dataclasses import dataclass
from functools import lru_cache

from paths import CONFIGS_DIR

# Mean temperatures rounded to half a degree and days with precipitation: written from general knowledge, for stories, not for science.
NORMALS = CONFIGS_DIR / "dialogue" / "climate.csv"
LAPSE = 0.0055        # °C a metre: what the air loses with height, a little less than the standard atmosphere's 0.0065
MIDSUMMER_DAY = 201   # of the year: 20 July, a month behind the sun; 20 January is as far behind in the south
WARMEST_HOUR = 15
MAX_VAPOUR_HPA = 32   # of the most humid places on Earth, a dew point of 25 °C
MAX_TEMPERATURE = 50.0
FOGS, FREEZING, SNOWS = (45, 48), (56, 57, 66, 67), (71, 73, 75, 77, 85, 86)
# Millimetres a day that a WMO code stands for, least and most.
RAINFALL = {51: (0.1, 1), 53: (0.5, 2), 55: (1, 4), 56: (0.1, 1), 57: (1, 4), 61: (0.3, 4), 63: (3, 14), 65: (10, 50), 66: (0.3, 4),
            67: (4, 15), 71: (0.2, 3), 73: (2, 8), 75: (6, 20), 77: (0.1, 1), 80: (0.3, 5), 81: (3, 15), 82: (12, 50), 85: (0.3, 4),
            86: (4, 15), 95: (2, 25), 96: (3, 25), 99: (8, 40)}
# hPa of saturated air as a polynomial in °C, highest power first, good between -50 and 50 °C. Source: Lowe 1977.
VAPOUR_PRESSURE = (6.136820929e-11, 2.034080948e-8, 3.031240396e-6, 2.650648471e-4, 1.428945805e-2, 4.436518521e-1, 6.107799961)
# Codes of a day, as often as they come.
DRY = (0, 0, 0, 1, 1, 2, 2, 3, 3)
WET = (51, 51, 53, 53, 55, 61, 61, 61, 61, 61, 61, 63, 63, 63, 65, 80, 80, 80, 80, 81, 81, 82)
THUNDERY = (*WET, *WET, 95, 95, 95, 95, 95, 96, 99)
CHILLY = (51, 53, 61, 61, 63, 80)
MIXED = (51, 51, 56, 57, 61, 61, 66, 67, 71, 71, 71, 73, 73, 85)
SNOWY = (71, 71, 71, 71, 73, 73, 73, 75, 77, 85, 85, 86)


@dataclass(frozen=True)
class Climate:
    """January and July at one point: mean temperatures in °C, shares of days with precipitation."""

    january: float
    july: float
    wet_january: float
    wet_july: float

    @property
    def usual_anomaly(self):
        """How far a day's mean is off the usual one, standard deviation in °C: more where the year swings more."""
        return 1.2 + 0.06 * abs(self.july - self.january)

    def mean(self, day):
        """Return the usual mean temperature of a date in °C."""
        return self.january + (self.july - self.january) * summer(day)

    def wet_share(self, day):
        """Return the usual share of days on which something falls, at a date."""
        return self.wet_january + (self.wet_july - self.wet_january) * summer(day)


def summer(day):
    """Return 1 at 20 July, 0 half a year from it, and between them a wave of parabolas (a raised cosine to within 0.03)."""
    phase = (day.timetuple().tm_yday - MIDSUMMER_DAY) / 365.25
    away = 2 * abs(phase - round(phase))  # 0 at midsummer, 1 half a year from it
    return 1 - 2 * away * away if away < 0.5 else 2 * (1 - away) * (1 - away)


def climate_at(latitude, longitude, elevation):
    """Return the Climate of a point: the normals of the cities around it, at its height."""
    january, july, wet_january, wet_july = _around(round(latitude), round(longitude))
    return Climate(january - LAPSE * elevation, july - LAPSE * elevation, wet_january, wet_july)


@lru_cache(maxsize=4096)
def _around(latitude, longitude):
    """Return the normals at sea level around whole degrees: the means of the table's cities, weighted by distance to the power -4."""
    total, sums = 0.0, [0.0, 0.0, 0.0, 0.0]
    for row_latitude, row_longitude, *normals in _normals():
        distance = 0.1 + squared_distance(latitude, longitude, row_latitude, row_longitude)
        weight = 1 / (distance * distance)
        total += weight
        sums = [value + weight * normal for value, normal in zip(sums, normals)]
    return [value / total for value in sums]


@lru_cache(maxsize=1)
def _normals():
    """Return [(latitude, longitude, January °C, July °C at sea level, wet share in January, in July)] of the tracked table."""
    with open(NORMALS, encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    normals = []
    for row in rows:
        latitude, longitude, elevation, january, july, wet_january, wet_july = (float(row[key]) for key in (
            "latitude", "longitude", "elevation", "january", "july", "wet_days_january", "wet_days_july"))
        normals.append((latitude, longitude, january + LAPSE * elevation, july + LAPSE * elevation, wet_january / 31, wet_july / 31))
    return normals


def squared_distance(latitude, longitude, other_latitude, other_longitude):
    """Return the squared distance of two points in square degrees of latitude; a parabola stands for the cosine."""
    middle = (latitude + other_latitude) / 2
    east = abs(longitude - other_longitude)
    east = min(east, 360 - east) * (1 - middle * middle / 8100)
    north = latitude - other_latitude
    return north * north + east * east


def draw_day(climate, day, anomaly, rng):
    """Draw one day of a climate, `anomaly` °C off the usual mean: Open-Meteo's daily values in °C, mm, % and km/h, and the humidity."""
    mean, wet_share = climate.mean(day) + anomaly, climate.wet_share(day)
    wet = rng.random() < wet_share
    code = _code(mean, wet, wet_share, rng)
    foggy, swing = code in FOGS, 2 if wet else 3 + 3 * (1 - wet_share)
    up, down = (swing * (0.5 if foggy else 0.6 + 0.6 * rng.random()) for _ in range(2))
    least, most = RAINFALL.get(code, (0, 0))
    gusty = 16 if code >= 80 else 6
    humidity = rng.randrange(94, 101) if foggy else rng.randrange(70, 99) if wet else 25 + 40 * wet_share + 30 * rng.random()
    return {"weather_code": code,
            "temperature_2m_max": tenths(min(mean + up, MAX_TEMPERATURE)), "temperature_2m_min": tenths(mean - down),
            "precipitation_sum": round(least + (most - least) * rng.random() * rng.random(), 1) if wet else 0.0,
            "precipitation_probability_max": rng.randrange(45, 101) if wet else rng.randrange(31),
            "wind_speed_10m_max": round(3 + 6 * rng.random() if foggy else gusty + 26 * rng.random() * rng.random(), 1)}, humidity


def draw_moment(day, minute, rng):
    """Draw Open-Meteo's current values (°C, % and km/h) at a minute after midnight of a day that draw_day gave."""
    values, humidity = day
    away = abs(minute // 60 - WARMEST_HOUR) / 12
    warmth = 1 - (2 - away if away > 1 else away)  # 1 at the warmest hour, 0 twelve hours from it
    low, high = values["temperature_2m_min"], values["temperature_2m_max"]
    temperature = tenths(low + (high - low) * (0.1 + 0.8 * warmth))
    code = _code_now(values["weather_code"], temperature, warmth, rng)
    most = 100 * MAX_VAPOUR_HPA / max(saturation_hpa(temperature), 0.01)
    humidity = round(min(humidity if code in FOGS else humidity + 12 * (0.5 - warmth), most, 100))
    wind = round(values["wind_speed_10m_max"] * (0.35 + 0.6 * rng.random()), 1)
    return {
        "temperature_2m": temperature, "relative_humidity_2m": humidity,
        "apparent_temperature": apparent_temperature(temperature, humidity, wind), "weather_code": code, "wind_speed_10m": wind}


def _code(mean, wet, wet_share, rng):
    """Draw the WMO code of a day from its mean temperature in °C; fog needs a climate with some water in it."""
    if not wet and mean < 14 and wet_share > 0.15 and rng.random() < 0.1:
        return 48 if mean < -3 else 45
    if not wet:
        return rng.choice(DRY)
    return rng.choice(SNOWY if mean < -2 else MIXED if mean < 1 else CHILLY if mean < 3 else WET if mean < 15 else THUNDERY)


def _code_now(code, temperature, warmth, rng):
    """Draw the WMO code of a moment of a day with this code, which is the gravest of the day."""
    if code <= 3:
        return code if rng.random() < 0.7 else rng.randrange(code + 1)
    if code in FOGS:
        return code if warmth < 0.6 else 3
    thawing = code in FREEZING and temperature > 0.5 or code in SNOWS and temperature > 2
    return rng.choice((2, 3)) if thawing or rng.random() < 0.35 else code


def tenths(value):
    """Return a value rounded to one decimal, and 0.0 for -0.0."""
    return round(value, 1) + 0.0


def spread(rng):
    """Return a draw around 0, nearly normal, standard deviation 1: a sum of uniforms needs no logarithm."""
    return (rng.random() + rng.random() + rng.random() + rng.random() - 2) * 1.732


def saturation_hpa(temperature):
    """Return the vapour pressure of saturated air at a temperature in °C."""
    pressure = 0.0
    for coefficient in VAPOUR_PRESSURE:
        pressure = pressure * temperature + coefficient
    return pressure


def apparent_temperature(temperature, humidity, wind):
    """Return what the air feels like in °C, from °C, % and km/h. Source: Steadman 1994, without sun."""
    return tenths(temperature + 0.33 * saturation_hpa(temperature) * humidity / 100 - 0.7 * wind / 3.6 - 4)
