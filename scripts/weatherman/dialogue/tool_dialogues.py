"""Tool dialogues: a scenario, a persona and a phrase group become a conversation whose answer follows from the tool results."""
import random
from datetime import timedelta

import orjson

from paths import CONFIGS_DIR
from weatherman.dialogue import world
from weatherman.dialogue.mixture import largest_remainder
from weatherman.dialogue.phrases import fill, load_phrases, say, slots
from weatherman.dialogue.weather_api import (
    MAX_DAYS,
    MAX_LATITUDE,
    MAX_LONGITUDE,
    MONTHS,
    TOOLS,
    WEEKDAYS,
    current_facts,
    forecast_facts,
    to_text,
)
from weatherman.files import sha256_bytes

PHRASES = CONFIGS_DIR / "dialogue" / "tool_phrases.yaml"
LICENSE = "CC0-1.0, written for Weatherman-LoRA"
TONES = {"neutral": "neutral", "twain": "humorous", "franklin": "didactic"}
DAYS_ASKED = (2, 3, 3, 3, 4, 5, 5, 5, 6, 7, 7, 10, 14)
NUMBERS = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen".split()
CALL_ID_CHARS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"


def plan(config, count, seed):
    """Return `count` pairs (scenario, persona), both exactly to quota, in seeded order. config: data_config's tool_use as a dict."""
    rng = random.Random(f"{seed}:plan")
    columns = []
    for shares in (config["scenarios"], config["personas"]):
        column = [name for name, rows in largest_remainder(count, shares).items() for _ in range(rows)]
        rng.shuffle(column)
        columns.append(column)
    return list(zip(*columns))


class Writer:
    """Writes dialogues from the tracked phrases and cities; `dialogue` is a function of its arguments and the seed alone."""

    def __init__(self, seed, max_days):
        from weatherman.schemas import ToolPhrases
        self.seed = seed
        self.days_asked = [days for days in DAYS_ASKED if days <= max_days]
        texts, self.phrases = load_phrases(PHRASES, ToolPhrases)
        self.cities = world.load_cities()
        self.group_bytes = {(scenario, g): orjson.dumps(group) for scenario, groups in texts.items() if scenario != "system"
                            for g, group in enumerate(groups)}

    def dialogue(self, number, scenario, persona, attempt=0):
        """Return the chat record (dict) of dialogue `number`. Another `attempt` draws it anew."""
        talk = _Talk(self, random.Random(f"{self.seed}:{number}:{attempt}"), scenario, persona)
        getattr(talk, scenario)()
        text = self.group_bytes[scenario, talk.g]
        group = f"{scenario}:{talk.g}"
        return {"id": f"tool:{self.seed}:{number:06d}", "messages": talk.messages, "tools": talk.tools(),
                "tags": {"persona": persona, "tone": TONES[persona], "domain": "tool_use", "source": "synthetic", "scenario": scenario},
                "provenance": {"documents": [{"id": f"templates:{group}", "sha256": sha256_bytes(text), "start": 0, "end": len(text),
                                              "license": LICENSE}],
                               "generator": f"07_generate_tool_use/{group}", "seed": self.seed, "split_group": f"tool:{group}"}}


class _Talk:
    """One conversation in the making. Each scenario is a method of its name."""

    def __init__(self, writer, rng, scenario, persona):
        self.writer, self.rng, self.persona = writer, rng, persona
        groups = writer.phrases[scenario]
        self.g = rng.randrange(len(groups))
        self.group = groups[self.g]
        self.day = world.FIRST_DAY + timedelta(days=rng.randrange(world.SPAN_DAYS))
        self.city = rng.choice(writer.cities)
        self.facts, self.tags, self.needed, self.unit = {}, set(), set(), None
        today = f"{WEEKDAYS[self.day.weekday()]}, {self.day.day} {MONTHS[self.day.month - 1]} {self.day.year}"
        self.messages = [{"role": "system", "content": say(writer.phrases["system"][persona], rng, {"today": today})}]

    # --- scenarios ---

    def current(self):
        latitude, longitude = self.point()
        self.ask()
        self.weather_now(latitude, longitude)
        self.answer()

    def geocode_current(self):
        self.name_city()
        self.ask()
        self.weather_now(*self.geocode())
        self.answer()

    def forecast(self):
        self.name_city()
        self.ask_days(self.rng.choice(self.writer.days_asked))
        self.ask()
        self.weather_ahead(*self.geocode())
        self.answer()

    def missing_place(self):
        self.ask_days(self.rng.choice(self.writer.days_asked))
        self.ask()
        self.needed |= {"geocode_location", self.rng.choice(("get_current_weather", "get_forecast"))}
        self.answer()

    def error(self):
        getattr(self, self.group["error"])()
        self.answer()

    def no_tool(self):
        self.needed.add("get_forecast")  # the answers may mention how far it reaches
        talks = list(self.group["talk"])
        self.rng.shuffle(talks)
        for talk in talks[:self.rng.choice((1, 2))]:
            self.messages.append({"role": "user", "content": say([talk["user"]], self.rng, {})})
            self.messages.append({"role": "assistant", "content": say(talk[self.persona], self.rng, {})})

    # --- kinds of error: each follows from the call, or from the request before any call ---

    def not_found(self):
        self.facts["city"] = self.facts["where"] = self.rng.choice(world.UNKNOWN_PLACES)
        self.ask_days(self.rng.choice(self.writer.days_asked))
        self.ask()
        self.needed.add(self.rng.choice(("get_current_weather", "get_forecast")))
        self.call("geocode_location", {"city": self.facts["city"]}, world.geocoding_body(None, self.rng))

    def rate_limit(self):
        latitude, longitude = self.point()
        self.name_city()
        self.ask_days(self.rng.choice(self.writer.days_asked))
        asked = self.ask()
        if "at" not in asked:
            latitude, longitude = self.geocode()
        body = world.limit_body(self.rng)
        limit, retry = body["reason"].split(". ")
        self.facts.update(reason=body["reason"], limit=f"{limit}.", retry=retry)
        point = {"latitude": latitude, "longitude": longitude}
        if "n" in asked:
            self.call("get_forecast", {**point, "days": self.days, **self.unit_argument()}, body)
        else:
            self.call("get_current_weather", {**point, **self.unit_argument()}, body)

    def too_many_days(self):
        self.name_city()
        self.ask_days(self.rng.randrange(MAX_DAYS + 1, 31))
        self.ask()
        self.needed |= {"geocode_location", "get_forecast"}

    def bad_coordinates(self):
        latitude = round(self.rng.choice((-1, 1)) * (MAX_LATITUDE + 1 + 80 * self.rng.random()), 2)
        longitude = round((2 * self.rng.random() - 1) * MAX_LONGITUDE, 2)
        self.facts.update(lat=str(latitude), lon=str(longitude), at=f"{latitude}, {longitude}")
        self.ask()
        self.needed.add("get_current_weather")

    # --- pieces ---

    def point(self):
        """Choose coordinates near the city, two decimals, as people paste them."""
        latitude, longitude = (round(value + (self.rng.random() - 0.5) / 10, 2) for value in (self.city.latitude, self.city.longitude))
        self.facts.update(lat=str(latitude), lon=str(longitude), at=f"{latitude}, {longitude}")
        return latitude, longitude

    def name_city(self):
        named_fully = self.rng.random() < 0.35 and self.city.country != self.city.name
        self.facts.update(city=self.city.name, where=f"{self.city.name}, {self.city.country}" if named_fully else self.city.name)
        self.place = {"city": self.city.name, **({"country": self.city.country} if named_fully else {})}

    def ask_days(self, days):
        self.days = days
        self.facts.update(n=str(days), number=NUMBERS[days] if days < len(NUMBERS) else str(days))

    def ask(self):
        """Add the user's turn, with a wish for a unit where its phrase has room for one. Returns the slots of the phrase."""
        phrase = self.rng.choice(self.group["user"])
        asked = slots(phrase)
        wish = self.rng.choice(("fahrenheit", "fahrenheit", "celsius", None, None, None)) if "in_unit" in asked else None
        self.unit = wish
        self.facts["in_unit"] = f" in {wish.capitalize()}" if wish else ""
        self.messages.append({"role": "user", "content": say([phrase], self.rng, self.facts)})
        return asked

    def unit_argument(self):
        return {"unit": self.unit} if self.unit else {}

    def geocode(self):
        self.call("geocode_location", self.place, world.geocoding_body(self.city, self.rng))
        return self.city.latitude, self.city.longitude

    def weather_now(self, latitude, longitude):
        body = world.current_body(latitude, longitude, self.city.elevation, self.day, self.unit or "celsius", self.rng)
        self.call("get_current_weather", {"latitude": latitude, "longitude": longitude, **self.unit_argument()}, body)
        facts, self.tags = current_facts(body)
        self.facts.update(facts)

    def weather_ahead(self, latitude, longitude):
        body = world.forecast_body(latitude, longitude, self.city.elevation, self.day, self.days, self.unit or "celsius", self.rng)
        self.call("get_forecast", {"latitude": latitude, "longitude": longitude, "days": self.days, **self.unit_argument()}, body)
        facts, days, self.tags = forecast_facts(body)
        line = self.rng.choice(self.group["lines"])
        lines = [fill(line, self.rng, day, self.tags) for day in days]
        self.facts.update(facts, run="; ".join(lines), list="".join(f"\n- {text}" for text in lines) + "\n")

    def call(self, name, arguments, body):
        """Add the assistant's call and the tool's answer."""
        call_id = "".join(self.rng.choices(CALL_ID_CHARS, k=9))
        self.needed.add(name)
        self.messages.append({"role": "assistant", "content": "", "tool_calls": [
            {"id": call_id, "type": "function", "function": {"name": name, "arguments": to_text(arguments)}}]})
        self.messages.append({"role": "tool", "content": to_text(body), "tool_call_id": call_id, "name": name})

    def answer(self):
        self.messages.append({"role": "assistant", "content": say(self.group[self.persona], self.rng, self.facts, self.tags)})

    def tools(self):
        """Return the tools offered: those the dialogue needs, and often others beside them."""
        return [tool for name, tool in TOOLS.items() if name in self.needed or self.rng.random() < 0.5]
