"""Ask a weather service by hand, as the model's tools do: find a place, tell its weather now, or a forecast with --days.

Reads configs/data_config.yaml (weather). Writes nothing. Machine: any; offline needs no network and answers from our small world.
    python scripts/weather.py "Lisbon" --country Portugal
    python scripts/weather.py "Lisbon" --days 3 --unit fahrenheit --service offline
    python scripts/weather.py "Lisbon" --service openweathermap --json
"""
import json
import os
import sys
from datetime import date

from weatherman.cli import UserError, add_config_flags, parser, positive_int, run, table

SERVICES = ("open-meteo", "openweathermap", "offline")


def main(argv=None):
    """Print the weather of a place as a table, or the bodies of the service as one JSON object."""
    flags = parser(__doc__)
    flags.add_argument("city")
    flags.add_argument("--country", help="its name or ISO code, where cities share a name")
    flags.add_argument("--days", type=positive_int, help="forecast of so many days, 1 to 14 (default: the weather now)")
    flags.add_argument("--unit", choices=("celsius", "fahrenheit"), default="celsius")
    flags.add_argument("--service", choices=SERVICES, default=SERVICES[0])
    flags.add_argument("--seed", type=int, help="of the offline world (default: the configured seed)")
    add_config_flags(flags)
    args = flags.parse_args(argv)
    from weatherman.dialogue.weather_api import MAX_DAYS, parse_places
    if args.days and args.days > MAX_DAYS:
        flags.error(f"--days {args.days}: the forecast tool reaches {MAX_DAYS} days")
    service = make_service(args)
    found = ask(service.geocode_location, args.city, args.country)
    place = ask(parse_places, found)[0]
    if args.days:
        weather = ask(service.get_forecast, place.latitude, place.longitude, args.days, args.unit)
    else:
        weather = ask(service.get_current_weather, place.latitude, place.longitude, args.unit)
    if args.json:
        print(json.dumps({"geocode_location": found, "get_forecast" if args.days else "get_current_weather": weather}, ensure_ascii=False))
    else:
        print(", ".join(filter(None, (place.name, place.admin1, place.country))), f"({place.latitude}, {place.longitude})")
        print(forecast_table(weather) if args.days else current_table(weather))
    return 0


def make_service(args):
    """Return the service that --service names. Raises UserError where its key is missing."""
    from weatherman.dialogue.openweathermap import KEY_VARIABLE, OpenWeatherMap
    from weatherman.dialogue.services import Offline, OpenMeteo
    from weatherman.schemas import data_config
    values = data_config(args).values
    if args.service == "offline":
        return Offline(values.seed, date.today())
    if args.service == "open-meteo":
        return OpenMeteo(values.weather)
    key = os.environ.get(KEY_VARIABLE)
    if not key:
        raise UserError(f"--service openweathermap needs {KEY_VARIABLE} in the environment.",
                        "set -a; . ./.env; set +a (.env.example says how)")
    return OpenWeatherMap(values.weather, key)


def ask(question, *arguments):
    """Return what the service or reader answers. Raises UserError with its reason."""
    from weatherman.dialogue.weather_api import WeatherError
    try:
        return question(*arguments)
    except WeatherError as error:
        raise UserError(f"{error.kind}: {error.reason}", "another spelling, --country, or --service offline") from None


def current_table(body):
    from weatherman.dialogue.weather_api import WMO, parse_current
    now = ask(parse_current, body)
    rows = [["at", now.time], ["sky", WMO[now.weather_code]], ["temperature", f"{now.temperature} {now.temperature_unit}"],
            ["feels like", told(now.feels_like, now.temperature_unit)], ["humidity", told(now.humidity, "%")],
            ["wind", told(now.wind_speed, now.wind_unit)]]
    return table(rows, ["now", ""])


def forecast_table(body):
    from weatherman.dialogue.weather_api import WMO, parse_forecast
    ahead = ask(parse_forecast, body)
    rows = [[day.date, WMO[day.weather_code], f"{day.low} {ahead.temperature_unit}", f"{day.high} {ahead.temperature_unit}",
             told(day.chance, "%"), told(day.precipitation, ahead.precipitation_unit), told(day.wind_speed, ahead.wind_unit)]
            for day in ahead.days]
    return table(rows, ["day", "sky", "low", "high", "chance", "precipitation", "wind"])


def told(value, unit):
    return "-" if value is None else f"{value} {unit}"


if __name__ == "__main__":
    sys.exit(run(main))
