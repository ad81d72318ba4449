"""The three tools as the model sees them, their arguments, and the facts in Open-Meteo's answers."""
from datetime import date

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


def _tool(name, description, properties, required):
    return {"type": "function", "function": {"name": name, "description": description, "parameters": {
        "type": "object", "properties": properties, "required": required, "additionalProperties": False}}}


_POINT = {"latitude": {"type": "number", "minimum": -MAX_LATITUDE, "maximum": MAX_LATITUDE, "description": "Degrees north"},
          "longitude": {"type": "number", "minimum": -MAX_LONGITUDE, "maximum": MAX_LONGITUDE, "description": "Degrees east"}}
_UNIT = {"unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "description": "Unit of temperatures (default celsius)"}}
TOOLS = {
    "get_current_weather": _tool("get_current_weather", "Current weather at a point. weather_code is a WMO code.",
                                 {**_POINT, **_UNIT}, ["latitude", "longitude"]),
    "get_forecast": _tool("get_forecast", "Daily weather forecast at a point, starting today. weather_code is a WMO code.",
                          {**_POINT, "days": {"type": "integer", "minimum": 1, "maximum": MAX_DAYS, "description": "Number of days"},
                           **_UNIT}, ["latitude", "longitude", "days"]),
    "geocode_location": _tool("geocode_location", "Find the coordinates of a place by name.",
                              {"city": {"type": "string"}, "country": {"type": "string", "description": "Country, if known"}}, ["city"]),
}


def day_name(iso, with_date):
    """Return "Tuesday", or "Tuesday 16 June" with the date, of an ISO date."""
    day = date.fromisoformat(iso)
    return f"{WEEKDAYS[day.weekday()]} {day.day} {MONTHS[day.month - 1]}" if with_date else WEEKDAYS[day.weekday()]


def current_facts(body):
    """Return (facts, tags) of a current-weather answer: texts for the phrase grammar, and what holds, e.g. {"wet", "cold"}."""
    now, units = body["current"], body["current_units"]
    sky = WMO[now["weather_code"]]
    facts = {"temp": quantity(now["temperature_2m"], units["temperature_2m"]),
             "feels": quantity(now["apparent_temperature"], units["apparent_temperature"]),
             "humidity": quantity(now["relative_humidity_2m"], "%"), "wind": quantity(now["wind_speed_10m"], units["wind_speed_10m"]),
             "sky": sky, "Sky": sky[0].upper() + sky[1:]}
    felt = celsius(now["apparent_temperature"], units["apparent_temperature"])
    tags = {"cold" if felt < 8 else "cool" if felt < 18 else "warm" if felt < 27 else "hot"} | sky_tags([now["weather_code"]])
    return facts, tags | ({"windy"} if now["wind_speed_10m"] >= 30 else set())


def forecast_facts(body):
    """Return (facts, list of facts per day, tags) of a forecast answer."""
    daily, units = body["daily"], body["daily_units"]
    count, unit = len(daily["time"]), units["temperature_2m_max"]
    days = []
    for i in range(count):
        sky = WMO[daily["weather_code"][i]]
        days.append({"day": day_name(daily["time"][i], with_date=count > len(WEEKDAYS)), "sky": sky, "Sky": sky[0].upper() + sky[1:],
                     "low": quantity(daily["temperature_2m_min"][i], unit), "high": quantity(daily["temperature_2m_max"][i], unit),
                     "chance": quantity(daily["precipitation_probability_max"][i], "%"),
                     "wind": quantity(daily["wind_speed_10m_max"][i], units["wind_speed_10m_max"])})
    warm = max(range(count), key=lambda i: daily["temperature_2m_max"][i])
    cold = min(range(count), key=lambda i: daily["temperature_2m_min"][i])
    wet = max(range(count), key=lambda i: daily["precipitation_probability_max"][i])
    facts = {"warm_day": days[warm]["day"], "warm_high": days[warm]["high"], "cold_day": days[cold]["day"],
             "cold_low": days[cold]["low"], "wet_day": days[wet]["day"], "wet_chance": days[wet]["chance"]}
    tags = sky_tags(daily["weather_code"])
    tags |= {"cold"} if celsius(daily["temperature_2m_min"][cold], unit) < 5 else set()
    tags |= {"hot"} if celsius(daily["temperature_2m_max"][warm], unit) >= 27 else set()
    return facts, days, tags


def sky_tags(codes):
    """Return {"wet"} when anything falls in one of these WMO codes, and {"snowy"} when it is snow."""
    snowy = any(code in (71, 73, 75, 77, 85, 86) for code in codes)
    return ({"wet"} if any(code >= 51 for code in codes) else set()) | ({"snowy"} if snowy else set())


def quantity(value, unit):
    """Return a value with its unit as people write it: "12.3 °C", "71 %", "14 km/h"."""
    return f"{value} {unit}"


def celsius(value, unit):
    return value if unit == "°C" else (value - 32) * 5 / 9


def to_text(body):
    """Return a tool result as the JSON text that goes into the conversation."""
    return orjson.dumps(body).decode()
