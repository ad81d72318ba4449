"""The facts of weather answers: texts for the slots of the voices, and tags that say what holds of them."""
from weatherman.dialogue.phrases import capital
from weatherman.dialogue.weather_api import WMO, day_name, quantity

WET_CODES = frozenset(code for code in WMO if code >= 51)
SNOW_CODES = frozenset((71, 73, 75, 77, 85, 86))
COLD, COOL, WARM = 8, 18, 27    # °C felt, below which it is cold, cool, warm; above it is hot
COLD_NIGHT = 5                  # °C, below which some night of a forecast is called cold
WINDY_KMH = 25
DAYLIGHT = range(7, 19)         # hours in which heat is met with shade and a hat
FEWEST_COMPARED = 3             # days a warmest or coldest one is picked out of


def current_facts(current):
    """Return (texts by slot, tags) of a Current. What the service does not say has no text."""
    texts = {"temp": quantity(current.temperature, current.temperature_unit), **_sky(current.weather_code)}
    felt = current.temperature if current.feels_like is None else current.feels_like
    tags = weather_tags(current.weather_code, celsius(felt, current.temperature_unit))
    tags -= {"hot"} if int(current.time[11:13]) not in DAYLIGHT else set()
    if current.feels_like is not None:
        texts["feels"] = quantity(current.feels_like, current.temperature_unit)
    if current.humidity is not None:
        texts["humidity"] = quantity(current.humidity, "%")
    if current.wind_speed is not None:
        texts["wind"] = quantity(current.wind_speed, current.wind_unit)
        tags |= _windy(current.wind_speed, current.wind_unit)
    return texts, tags


def day_facts(day, forecast):
    """Return (texts by slot, tags) of one Day of a Forecast; rain only where some falls."""
    texts = {"low": quantity(day.low, forecast.temperature_unit), "high": quantity(day.high, forecast.temperature_unit),
             **_sky(day.weather_code)}
    tags = weather_tags(day.weather_code, celsius(day.high, forecast.temperature_unit))
    if day.chance is not None:
        texts["chance"] = quantity(day.chance, "%")
    if day.precipitation:
        texts["rain"] = quantity(day.precipitation, forecast.precipitation_unit)
    if day.wind_speed is not None:
        texts["wind"] = quantity(day.wind_speed, forecast.wind_unit)
        tags |= _windy(day.wind_speed, forecast.wind_unit)
    return texts, tags


def forecast_facts(forecast):
    """Return (texts by slot, tags) of a whole Forecast: its extremes, each only where one day alone has it and it says something."""
    days, unit = forecast.days, forecast.temperature_unit
    tags = sky_tags([day.weather_code for day in days])
    tags |= {"cold"} if celsius(min(day.low for day in days), unit) < COLD_NIGHT else set()
    tags |= {"hot"} if celsius(max(day.high for day in days), unit) >= WARM else set()
    texts, many = {}, len(days) >= FEWEST_COMPARED
    if many and (day := _only_most(days, lambda day: day.high)):
        texts.update(warm_day=_name(day, days), warm_high=quantity(day.high, unit))
    if many and (day := _only_most(days, lambda day: -day.low)):
        texts.update(cold_day=_name(day, days), cold_low=quantity(day.low, unit))
    if (day := _only_most(days, lambda day: day.chance)) and day.weather_code in WET_CODES:
        texts.update(wet_day=_name(day, days), wet_chance=quantity(day.chance, "%"))
    if many and (day := _only_most(days, lambda day: day.wind_speed)) and _windy(day.wind_speed, forecast.wind_unit):
        texts.update(windy_day=_name(day, days), windy_wind=quantity(day.wind_speed, forecast.wind_unit))
    return texts, tags


def line_facts(forecast):
    """Return [(texts, tags)] for the days of a Forecast, each with the name of its day."""
    found = [day_facts(day, forecast) for day in forecast.days]
    return [({**texts, "day": _name(day, forecast.days)}, tags) for (texts, tags), day in zip(found, forecast.days)]


def felt_tag(degrees):
    """Return cold, cool, warm or hot for a temperature in °C."""
    return "cold" if degrees < COLD else "cool" if degrees < COOL else "warm" if degrees < WARM else "hot"


def sky_tags(codes):
    """Return what falls in some of these WMO codes: "wet" for all but snow, which is "snowy": an umbrella is no help against it."""
    return {tag for tag, found in (("wet", WET_CODES - SNOW_CODES), ("snowy", SNOW_CODES)) if found.intersection(codes)}


def weather_tags(code, felt):
    """Return the tags of one moment or day; felt: °C. Warmth and heat are passed over in the wet: nobody sits in the shade then."""
    falling, warmth = sky_tags([code]), felt_tag(felt)
    return falling if "wet" in falling and warmth in ("warm", "hot") else falling | {warmth}


def celsius(value, unit):
    """Return a temperature in °C."""
    return value if unit == "°C" else (value - 32) * 5 / 9


def _sky(code):
    sky = WMO[code]
    return {"sky": sky, "Sky": capital(sky)}


def _windy(speed, unit):
    return {"windy"} if unit == "km/h" and speed >= WINDY_KMH else set()


def _name(day, days):
    return day_name(day.date, with_date=len(days) > 7)


def _only_most(days, value):
    """Return the one day whose value is the highest, None where several share it or a day has none."""
    values = [value(day) for day in days]
    if None in values or values.count(max(values)) > 1:
        return None
    return days[values.index(max(values))]
