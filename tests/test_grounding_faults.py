"""A grounded answer with one planted fault is found: 99 % of several hundred, over ways of telling that real models use."""
import json
import random

import pytest

from weatherman.dialogue.grounding import ungrounded
from weatherman.dialogue.weather_api import WMO, day_name

CITIES = [("Lisbon", 38.72, -9.14), ("Porto", 41.15, -8.61), ("Oslo", 59.91, 10.75), ("Cape Town", -33.93, 18.42),
          ("São Paulo", -23.55, -46.63)]
ELSEWHERE = ("Chicago", "Kyoto", "Zanzibar", "New Delhi", "Reykjavík")
ALIKE = [{0, 1}, {2}, {3}, {45, 48}, {51, 56}, {53}, {55, 57}, {61, 66, 80}, {63, 81}, {65, 67, 82},
         {71, 77, 85}, {73}, {75, 86}, {95, 96, 99}]
CODES = (0, 2, 3, 45, 51, 55, 61, 63, 65, 71, 73, 75, 95)
TEMPERATURE = ("{t} °C", "{t}°C", "{t} degrees Celsius")
NOW = ("It is {temp} in {city} with {sky}. It feels like {feels}, the wind is {wind} km/h and humidity {humidity} %.",
       "**{city}**\n- Temperature: {temp}\n- Feels like: {feels}\n- Conditions: {sky}\n- Wind: {wind} km/h\n- Humidity: {humidity}%",
       "{city} has {temp} (feels like {feels}) and {sky}; humidity is at {humidity} percent, with winds of {wind} km/h.")
AHEAD = ("- {day}: {sky}, high {high}, low {low}, {chance} % chance of precipitation", "{day} brings {sky}, {low} to {high}.",
         "On {day} expect {sky} with a high of {high} and a low of {low}.", "**{day}**\n- High: {high}\n- Low: {low}\n- Sky: {sky}")
BOTH = ("{a} is at {ta} with {sa}, while {b} has {tb} and {sb}.", "It is {ta} in {a} with {sa} and {tb} in {b} with {sb}.",
        "{a}: {ta}, {sa}\n{b}: {tb}, {sb}", "{a} reads {ta}. The sky there: {sa}. {b} reads {tb}. The sky there: {sb}.")


def code_unlike(rng, *codes):
    """Return a code whose words none of these codes supports."""
    return rng.choice([code for code in CODES if not any(code in alike and other in alike for alike in ALIKE for other in codes)])


def turns(asked, *bodies):
    """Return the messages up to the answer: a look-up and a weather call for each (city, body)."""
    messages = [{"role": "user", "content": asked}]
    for number, ((city, latitude, longitude), body) in enumerate(bodies):
        found = {"results": [{"name": city, "latitude": latitude, "longitude": longitude}]}
        for step, (arguments, told) in enumerate((({"city": city}, found), ({"latitude": latitude, "longitude": longitude}, body))):
            name = f"call{number}000{step}"
            call = {"id": name, "function": {"name": "f", "arguments": json.dumps(arguments)}}
            messages += [{"role": "assistant", "content": "", "tool_calls": [call]},
                         {"role": "tool", "tool_call_id": name, "content": json.dumps(told)}]
    return messages


def findings(messages, answer):
    return ungrounded([*messages, {"role": "assistant", "content": answer}], [])


def current(rng, temperature, code):
    return {"current_units": {"temperature_2m": "°C", "apparent_temperature": "°C", "relative_humidity_2m": "%", "wind_speed_10m": "km/h"},
            "current": {"time": "2026-06-16T09:00", "temperature_2m": temperature, "apparent_temperature": round(temperature - 3.4, 1),
                        "relative_humidity_2m": rng.randrange(40, 60), "wind_speed_10m": rng.randrange(10, 30), "weather_code": code}}


def told_now(rng):
    """Yield (messages, grounded answer, {fault: answer}) for the present at one place."""
    city, body = rng.choice(CITIES), current(rng, round(rng.uniform(-9, 31), 1), rng.choice(CODES))
    now, degrees = body["current"], rng.choice(TEMPERATURE)
    facts = {"city": city[0], "temp": degrees.format(t=now["temperature_2m"]), "feels": degrees.format(t=now["apparent_temperature"]),
             "sky": WMO[now["weather_code"]], "wind": now["wind_speed_10m"], "humidity": now["relative_humidity_2m"]}
    say, elsewhere = rng.choice(NOW).format, rng.choice(ELSEWHERE)
    yield turns("Weather?", (city, body)), say(**facts), {
        "number": say(**{**facts, "temp": degrees.format(t=round(now["temperature_2m"] + 1.3, 1))}),
        "wind": say(**{**facts, "wind": facts["wind"] + 41}),
        "kind": say(**{**facts, "feels": facts["temp"]}), "condition": say(**{**facts, "sky": WMO[code_unlike(rng, now["weather_code"])]}),
        "place": say(**facts) + f" {elsewhere} is much the same.", "other place": say(**{**facts, "city": elsewhere})}


def told_ahead(rng):
    """Yield (messages, grounded answer, {fault: answer}) for three days."""
    days = ["2026-06-16", "2026-06-17", "2026-06-18"]
    codes = rng.sample(CODES, 3)
    lows = [round(rng.uniform(-5, 2), 1), round(rng.uniform(4, 8), 1), round(rng.uniform(10, 13), 1)]
    highs = [round(low + rng.uniform(15, 16), 1) for low in lows]
    body = {"daily_units": {"temperature_2m_max": "°C", "temperature_2m_min": "°C", "precipitation_probability_max": "%"}, "daily": {
        "time": days, "weather_code": codes, "temperature_2m_max": highs, "temperature_2m_min": lows,
        "precipitation_probability_max": [1, 30, 60]}}
    degrees, line, dated = rng.choice(TEMPERATURE), rng.choice(AHEAD), rng.random() < 0.5
    rows = [{"day": day_name(day, dated), "sky": WMO[code], "high": degrees.format(t=high), "low": degrees.format(t=low), "chance": chance}
            for day, code, high, low, chance in zip(days, codes, highs, lows, (1, 30, 60))]

    def say(at=0, **changed):
        return "\n".join(line.format(**{**row, **(changed if number == at else {})}) for number, row in enumerate(rows))

    swapped = "\n".join(line.format(**{**row, "day": rows[other]["day"]}) for row, other in zip(rows, (1, 0, 2)))
    yield turns("The next days?", (rng.choice(CITIES), body)), say(), {
        "number": say(1, high=degrees.format(t=round(highs[1] + 1.2, 1))), "days": swapped,
        **({"kind": say(1, high=rows[1]["low"], low=rows[1]["high"])} if "brings" not in line else {}),  # it says neither high nor low
        "condition": say(2, sky=WMO[code_unlike(rng, codes[2])]), "day": say(2, day="Saturday 20 June" if dated else "Saturday")}


def told_of_both(rng):
    """Yield (messages, grounded answer, {fault: answer}) for two places."""
    (one, two), warm, cold = rng.sample(CITIES, 2), round(rng.uniform(15, 25), 1), round(rng.uniform(-5, 5), 1)
    code_one, code_two = rng.choice(CODES), rng.choice(CODES)
    code_two = code_unlike(rng, code_one)
    degrees = rng.choice(TEMPERATURE)
    facts = {"a": one[0], "b": two[0], "ta": degrees.format(t=warm), "tb": degrees.format(t=cold), "sa": WMO[code_one], "sb": WMO[code_two]}
    say = rng.choice(BOTH).format
    messages = turns("Which is warmer?", (one, current(rng, warm, code_one)), (two, current(rng, cold, code_two)))
    yield messages, say(**facts) + f"\n{one[0]} is the warmer.", {
        "places": say(**{**facts, "a": two[0], "b": one[0]}), "temperatures": say(**{**facts, "ta": facts["tb"], "tb": facts["ta"]}),
        "skies": say(**{**facts, "sa": facts["sb"], "sb": facts["sa"]}), "verdict": say(**facts) + f"\n{two[0]} is the warmer of the two."}


@pytest.mark.parametrize("told", [told_now, told_ahead, told_of_both])
def test_one_planted_fault_in_a_grounded_answer_is_found(told):
    rng, faults, missed = random.Random(7), 0, []
    for _ in range(60):
        for messages, answer, faulty in told(rng):
            assert findings(messages, answer) == [], answer
            for name, text in faulty.items():
                faults += 1
                if not findings(messages, text):
                    missed.append(f"{name}: {text}")
    assert faults >= 240
    assert len(missed) <= 0.01 * faults, missed
