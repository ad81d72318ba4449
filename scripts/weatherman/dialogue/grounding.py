"""What an answer says that no tool result and no word of the user supports: numbers, places, days and weather conditions.

A gate for synthetic dialogues, and fit to score real answers. It knows no negation: "no rain" needs rain in the results,
so that an answer is rather refused than believed.
"""
import re
from dataclasses import dataclass, field

import orjson

from weatherman.dialogue.weather_api import MONTHS, WEEKDAYS, WMO, day_name
from weatherman.dialogue.world import load_cities

NUMBER_WORDS = {word: value for value, word in enumerate((
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen "
    "twenty").split(), 2)}  # "one" is more often a pronoun
NUMBER = re.compile(r"(?<![\w.])(-?\d+(?:\.\d+)?)(?:\s*(°C|°F|%|km/h|mph|mm|inch))?|\b(" + "|".join(NUMBER_WORDS) + r")\b", re.I)
CLOCK = re.compile(r"\b\d{1,2}:\d\d\b")
DAY = re.compile(rf"\b(?:(?P<weekday>{'|'.join(WEEKDAYS)})(?: (?P<date>\d{{1,2}} (?:{'|'.join(MONTHS)})))?|"
                 r"(?P<relative>today|tomorrow|yesterday))\b", re.I)
CLAUSE_END = re.compile(r"[;\n]|(?<=[.!?])\s")
NAME = re.compile(r"[^\W\d_a-z][\w’'-]*")
SENTENCE_START = re.compile(r"(?:^|[.!?:\n][\"”’)]*\s*|[\"“‘(\-•]\s*)$")
NOT_PLACES = {"i", "ai", "api", "gps", "celsius", "fahrenheit", "mark", "twain", "christians"}  # capitalised, yet no place

RAIN, SNOW, THUNDER = {61, 63, 65, 66, 67, 80, 81, 82}, {71, 73, 75, 77, 85, 86}, {95, 96, 99}
CONDITIONS = [(re.escape(phrase), {code}) for code, phrase in sorted(WMO.items(), key=lambda item: -len(item[1]))] + [
    ("clear|sunny|sunshine", {0, 1}), ("cloud(?:s|y|ed)?", {1, 2, 3}), ("overcast", {3}), ("fog|foggy|mist|misty", {45, 48}),
    ("drizzl(?:e|y|ing)", {51, 53, 55, 56, 57}), ("rain(?:s|y|ing|fall)?", RAIN), ("showers?|showery", {80, 81, 82, 85, 86}),
    ("snow(?:s|y|ing|fall)?", SNOW), ("sleet", {56, 57, 66, 67}), ("hail", {96, 99}),
    ("thunder|thunderstorms?|lightning|storm(?:s|y)?", THUNDER),
    ("umbrellas?", {code for code in WMO if code >= 51}), ("blizzard|hurricane|tornado", set())]
CONDITION = re.compile(r"\b(?:" + "|".join(f"(?P<c{i}>{pattern})" for i, (pattern, _) in enumerate(CONDITIONS)) + r")\b", re.I)
_GAZETTEER = set()


@dataclass
class Evidence:
    """What a conversation has established so far. `values`: (unit, value, ISO day or None); `codes`: (WMO code, ISO day)."""

    words: set = field(default_factory=set)
    user_words: set = field(default_factory=set)
    numbers: set = field(default_factory=set)
    values: list = field(default_factory=list)
    codes: list = field(default_factory=list)
    days: list = field(default_factory=list)


def ungrounded(messages, tools):
    """Return what the assistant says without support, one text a finding; [] when everything is grounded.

    messages, tools: as in a chat record (dicts).
    """
    known, findings = Evidence(), []
    _add_json(known, tools)
    known.words.clear()  # a schema supports its limits, not its vocabulary
    for message in messages:
        if message["role"] == "user":
            _add_text(known, message["content"], said_by_user=True)
        elif message["role"] == "tool":
            _add_result(known, message["content"])
        elif message["role"] == "assistant":
            for call in message.get("tool_calls") or []:
                _add_json(known, orjson.loads(call["function"]["arguments"]))
            if message["content"]:
                findings += check_text(message["content"], known)
    return findings


def check_text(text, known):
    """Return the findings for one answer against the Evidence."""
    findings = _places(text, known)
    for clause in CLAUSE_END.split(text):
        if clause:
            findings += _clause(clause, known)
    return findings


def _clause(clause, known):
    """Check days, numbers and conditions of one clause; where it names days, the facts must be those days' own."""
    findings, named = [], set()
    for match in DAY.finditer(clause):
        days = _days_meant(match, known)
        if days is None:
            findings.append(f"day: {match[0]}")
        else:
            named |= days
    bare = CLOCK.sub(" ", DAY.sub(" ", clause))
    for value, unit, word in NUMBER.findall(bare):
        if not _number_known(value or str(NUMBER_WORDS[word.lower()]), unit, named, known):
            findings.append(f"number: {value or word} {unit}".rstrip())
    codes = {code for code, day in known.codes if not named or day in named}
    for match in CONDITION.finditer(bare):
        allowed = CONDITIONS[int(match.lastgroup[1:])][1]
        echoed = not known.codes and match[0].lower() in known.user_words
        if not (allowed & codes or echoed):
            findings.append(f"condition: {match[0]}")
    return findings


def _days_meant(match, known):
    """Return the ISO days a match means (empty: the user's own words, no day of the results), None when it is unsupported."""
    if match["relative"]:
        word = match["relative"].lower()
        position = {"today": 0, "tomorrow": 1}.get(word)
        if position is not None and position < len(known.days):
            return {known.days[position]}
        return set() if word in known.words else None
    dated = bool(match["date"])
    days = {day for day in known.days if day_name(day, dated).lower() == match[0].lower()}
    return days or (set() if match["weekday"].lower() in known.user_words and not dated else None)


def _number_known(text, unit, named, known):
    value = float(text)
    if value in known.numbers and not unit:
        return True
    tolerance = 0.5 if "." not in text else 1e-9  # an answer may round to whole units
    return any(abs(value - found) <= tolerance for of, found, day in known.values
               if unit and of == unit and (not named or day in named))


def _places(text, known):
    """Return findings for capitalised words that neither the user nor a result has said; at a sentence's start, known cities only."""
    if not _GAZETTEER:
        for city in load_cities():
            _GAZETTEER.update(_words(f"{city.name} {city.country}"))
        _GAZETTEER.difference_update(("new", "south", "the", "united", "st", "cape"))
    findings = []
    for match in NAME.finditer(DAY.sub(lambda m: " " * len(m[0]), text)):
        parts = _words(re.sub(r"[’'](s|m|ll|d|ve)?$", "", match[0]))
        if parts <= known.words | NOT_PLACES or match[0].isupper() and len(match[0]) <= 2:
            continue
        if not SENTENCE_START.search(text[:match.start()]) or parts & _GAZETTEER:
            findings.append(f"place: {match[0]}")
    return findings


def _words(text):
    return {word for word in re.split(r"[\W_]+", text.casefold()) if word}


def _add_text(known, text, said_by_user=False):
    words = _words(text)
    known.words |= words
    known.numbers |= {float(number) for number in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", text)}
    known.numbers |= {float(NUMBER_WORDS[word]) for word in words & set(NUMBER_WORDS)}
    if said_by_user:
        known.user_words |= words


def _add_json(known, value):
    """Add every number and word of a JSON value."""
    if isinstance(value, dict):
        for below in value.values():
            _add_json(known, below)
    elif isinstance(value, list):
        for below in value:
            _add_json(known, below)
    elif isinstance(value, str):
        _add_text(known, value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        known.numbers.add(float(value))


def _add_result(known, content):
    """Add a tool result: all of it as words and numbers, and Open-Meteo's series with unit and day."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        return _add_text(known, content)
    _add_json(known, body)
    for section in ("current", "daily"):
        series = body.get(section) if isinstance(body, dict) else None
        if not isinstance(series, dict) or "time" not in series:
            continue
        units = body.get(f"{section}_units", {})
        times = series["time"] if isinstance(series["time"], list) else [series["time"]]
        days = [time[:10] for time in times]
        known.days += [day for day in days if day not in known.days]
        known.numbers.add(float(len(days)))
        for key, found in series.items():
            for day, value in zip(days, found if isinstance(found, list) else [found]):
                if key == "weather_code":
                    known.codes.append((value, day))
                elif isinstance(value, (int, float)):
                    known.values.append((units.get(key), float(value), day))
