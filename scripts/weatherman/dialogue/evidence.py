"""What a conversation has established so far: readings by day and place, WMO codes, days, places, words and numbers."""
import re
import unicodedata
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import lru_cache

import orjson

from weatherman.dialogue.lexicon import CONDITIONS, MODIFIERS, MONTH_NUMBERS, NEGATIONS, NUMBER_WORDS, unit_at

NEAR_DEGREES = 0.06  # a call may round the coordinates that a look-up gave it to one decimal
NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")
WORD = re.compile(r"[^\W_]+")
ISO_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_MONTH = "|".join(f"{name}[a-z]*" for name in MONTH_NUMBERS)
TODAY = re.compile(rf"(?P<d>\d{{1,2}})(?:st|nd|rd|th)? (?P<m>{_MONTH}),? (?P<y>\d{{4}})|"
                   rf"\b(?P<m2>{_MONTH}) (?P<d2>\d{{1,2}})(?:st|nd|rd|th)?,? (?P<y2>\d{{4}})|(?P<iso>\d{{4}}-\d\d-\d\d)", re.I)
YEAR = re.compile(r"20\d\d")
NAME_KEYS = ("name", "admin1", "admin2", "admin3", "admin4", "country")  # of a geocoding result; not its codes and time zone
# Words of names that do not tell one place from another: "The Wind" is not of The Hague.
GENERIC = set("""the of and new old la las los el al de da do di du der den des le les san santa santo sao saint city town province state
    states united democratic republic federation federal federative people's peoples kingdom island islands north south east west northern
    southern eastern western central upper lower great region district county oblast""".split())
GENERAL_QUESTION = re.compile(r"\b(?:why|how (?:do|does|come)|what (?:is|are|makes?|causes?|does|do)|what's|where (?:do|does))\b", re.I)
SECTIONS = ("current", "daily", "hourly", "minutely_15")  # of an Open-Meteo answer
UNIT_ENDINGS = {"c": "°C", "f": "°F", "celsius": "°C", "fahrenheit": "°F", "kph": "km/h", "kmh": "km/h", "mph": "mph", "ms": "m/s",
                "mm": "mm", "in": "inch", "pct": "%", "percent": "%"}
SERVICE_UNITS = {"mp/h": "mph"}  # Open-Meteo's own spelling


@dataclass
class Evidence:
    """`readings`: ISO day (None: any day) -> [(kind, unit, value, place)], kind "code" for WMO codes; a place is an index into `points`.

    Words and numbers are what anybody said, with no claim to be readings. Few answers need them, so a text is read when one does.
    """

    tools: bytes = b""                            # their schemas as JSON, whose numbers are limits that may be told
    unread: list = field(default_factory=list)    # texts that are not in _words and _numbers yet
    _words: set = field(default_factory=set)
    _numbers: set = field(default_factory=set)
    user_texts: list = field(default_factory=list)
    coordinates: set = field(default_factory=set)
    times: set = field(default_factory=set)
    readings: dict = field(default_factory=dict)
    days: list = field(default_factory=list)      # of the results, in order
    today: str | None = None                      # as the system prompt says, or the latest result
    points: list = field(default_factory=list)    # (latitude, longitude) of each place, (None, None) when it came by name
    place_words: dict = field(default_factory=dict)   # word of its name -> {place}
    covered: set = field(default_factory=set)     # places that have readings
    fresh: set = field(default_factory=set)       # places whose readings came after the user's last turn
    general: bool = False                         # the user's last turn asks of the weather in general, as "why is there fog?"
    found: dict = field(default_factory=dict)     # answers of readings_of since the last result

    def has_word(self, word):
        return word in self._words or word in self._read()._words

    def has_number(self, number):
        return number in self._numbers or number in self._read()._numbers

    @property
    def user_words(self):
        return {word for text in self.user_texts for word in fold(text)}

    @property
    def user_numbers(self):
        return {float(number) for text in self.user_texts for number in NUMBER.findall(text)}

    def _read(self):
        if self.tools:
            self._numbers |= schema_numbers(self.tools)
            self.tools = b""
        for text in self.unread:
            words = fold(text)
            self._words.update(words)
            self._numbers.update(map(float, NUMBER.findall(text)))
            self._numbers.update(float(NUMBER_WORDS[word]) for word in NUMBER_WORDS.keys() & words)
        self.unread.clear()
        return self


@lru_cache(maxsize=64)
def schema_numbers(tools):
    """Return every number in tools' schemas (JSON bytes)."""
    return frozenset(map(float, NUMBER.findall(tools.decode())))


def fold(text):
    """Return the words of a text without case and accents: "São Paulo" -> ["sao", "paulo"]."""
    text = text.casefold()
    if not text.isascii():
        text = "".join(char for char in unicodedata.normalize("NFKD", text) if not unicodedata.combining(char))
    return WORD.findall(text)


def add_system(known, text):
    known.unread.append(text)
    year = YEAR.search(text)
    match = TODAY.search(text[max(0, year.start() - len("30th September, ")):year.end() + len("-12-31")]) if year else None
    if match:
        year, month, day = match["y"] or match["y2"], match["m"] or match["m2"], match["d"] or match["d2"]
        known.today = match["iso"] or f"{year}-{MONTH_NUMBERS[month[:3].lower()]:02d}-{int(day):02d}"


def add_user(known, text):
    known.fresh = set()
    known.general = bool(GENERAL_QUESTION.search(text))
    known.user_texts.append(text)
    known.unread.append(text)


def add_call(known, arguments):
    """Add a call's arguments (a dict): what was asked for may be named."""
    for key, value in arguments.items():
        if isinstance(value, str):
            known.unread.append(value)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            (known.coordinates if key in ("latitude", "longitude") else known._numbers).add(float(value))


def add_result(known, content, arguments):
    """Add a tool result, given the arguments (dict) of the call it answers."""
    try:
        body = orjson.loads(content)
    except orjson.JSONDecodeError:
        body = content
    if isinstance(body, dict) and isinstance(body.get("results"), list):
        for number, found in enumerate(body["results"]):
            _add_place(known, found, arguments if number == 0 else {})
        return
    if isinstance(body, dict) and body.get("error"):
        known.unread.append(str(body.get("reason") or body.get("message") or body["error"]))
        return
    place = _place_of(known, arguments)
    known.found.clear()
    before = sum(map(len, known.readings.values()))
    sections = [name for name in SECTIONS if isinstance(body, dict) and isinstance(body.get(name), dict) and "time" in body[name]]
    for name in sections:
        _add_series(known, body[name], body.get(f"{name}_units", {}), place)
    if sections:
        known.unread.append(str(body.get("elevation")))
        known.coordinates.update(float(body[key]) for key in ("latitude", "longitude") if isinstance(body.get(key), (int, float)))
    else:
        _add_any(known, body, "", None, place)
    if sum(map(len, known.readings.values())) > before:
        known.covered.add(place)
        known.fresh.add(place)


def _add_place(known, found, arguments):
    """Add a geocoding result; the call's own name for it is as good as the result's."""
    if not isinstance(found, dict):
        return
    names = [found[key] for key in NAME_KEYS if isinstance(found.get(key), str)] + [
        value for value in arguments.values() if isinstance(value, str)]
    known.unread += [str(found[key]) for key in ("country_code", "elevation", "population") if key in found]
    point = (found.get("latitude"), found.get("longitude"))
    known.coordinates.update(float(value) for value in point if isinstance(value, (int, float)))
    _name_place(known, _index(known, *point), names)


def _name_place(known, place, names):
    for name in names:
        words = fold(name)
        known._words.update(words)
        for word in distinctive(words):
            known.place_words.setdefault(word, set()).add(place)


def distinctive(words):
    """Return the words of a name that tell the place: ["hague"] of "The Hague", none of "IT"."""
    return [word for word in words if len(word) > 2 and word not in GENERIC] or (words if len("".join(words)) > 3 else [])


def _index(known, latitude, longitude):
    """Return the place at these coordinates, a new one when none is near."""
    if isinstance(latitude, (int, float)) and isinstance(longitude, (int, float)):
        for place, (north, east) in enumerate(known.points):
            if north is not None and abs(north - latitude) <= NEAR_DEGREES and abs(east - longitude) <= NEAR_DEGREES:
                return place
        known.points.append((latitude, longitude))
    else:
        known.points.append((None, None))
    return len(known.points) - 1


def _place_of(known, arguments):
    """Return the place a weather call asked about: by its coordinates, else by the name it gave."""
    if "latitude" in arguments:
        return _index(known, arguments.get("latitude"), arguments.get("longitude"))
    names = [value for value in arguments.values() if isinstance(value, str) and value not in ("celsius", "fahrenheit")]
    words = [word for name in names for word in distinctive(fold(name))]
    shared = set.intersection(*(known.place_words.get(word, set()) for word in words)) if words else set()
    place = min(shared) if shared else _index(known, None, None)
    _name_place(known, place, names)
    return place


@lru_cache(maxsize=512)
def kind_of(key):
    """Return (kind, unit or None) of a service's key: "apparent_temperature_max" -> ("feels", None), "temp_c" -> ("temperature", "°C")."""
    parts = re.split(r"[\W_]+", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", key).lower())
    low, unit = "_".join(parts), UNIT_ENDINGS.get(parts[-1])
    extreme = "high" if {"max", "high", "maximum"} & set(parts) else "low" if {"min", "low", "minimum"} & set(parts) else None
    for kind, stems in (("code", ("weather_code", "weathercode", "wmo")), ("feels", ("apparent", "feel", "chill", "heat_index")),
                        ("humidity", ("humid",)), ("chance", ("probab", "chance", "pop")), ("gust", ("gust",)), ("bearing", ("direction",)),
                        ("wind", ("wind",)), ("amount", ("precip", "rain", "snow", "shower")), ("dew", ("dew",)),
                        ("index", ("uv", "index", "aqi"))):
        if any(stem in low for stem in stems):
            return kind, unit
    if "temp" in low or low in ("high", "low", "max", "min"):
        return extreme or "temperature", unit
    return None, unit


def _add_series(known, series, units, place):
    """Add a section of an Open-Meteo answer; `time` and every value are a list, or one of each."""
    times = series["time"] if isinstance(series["time"], list) else [series["time"]]
    days = [str(time)[:10] for time in times]
    by_day = [known.readings.setdefault(day, []) for day in days]
    new = [day for day in dict.fromkeys(days) if day not in known.days]
    known.days += new
    known._numbers.add(float(len(dict.fromkeys(days))))
    known.times.update(time[11:16] for time in times if isinstance(time, str) and len(time) > 10)
    if known.today is None and days:
        known.today = days[0]
    for key, found in series.items():
        if key in ("time", "interval"):
            continue
        kind, unit = kind_of(key)[0], units.get(key)
        unit = SERVICE_UNITS.get(unit, unit)
        for readings, value in zip(by_day, found if isinstance(found, list) else [found]):
            if isinstance(value, (int, float)):
                readings.append((kind, unit, value, place))
            elif isinstance(value, str) and "T" in value:  # sunrise, sunset
                known.times.add(value[11:16])


def _add_any(known, value, key, day, place):
    """Add whatever another tool returned: numbers as readings by their keys, texts as words, conditions and quantities."""
    if isinstance(value, dict):
        day = next((found[:10] for name, found in value.items() if isinstance(found, str) and ISO_DAY.match(found)), day)
        for name, below in value.items():
            _add_any(known, below, name, day, place)
    elif isinstance(value, list):
        known._numbers.add(float(len(value)))
        for below in value:
            _add_any(known, below, key, day, place)
    elif isinstance(value, str):
        _add_told(known, value, day, place)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        if day and day not in known.days:
            known.days.append(day)
        kind, unit = kind_of(key)
        known._numbers.add(float(value))
        known.readings.setdefault(day, []).append((kind, unit, value, place))


def _add_told(known, text, day, place):
    """Add a result told in words: its quantities and the conditions it does not deny are readings."""
    known.unread.append(text)
    known.times.update(re.findall(r"\d\d:\d\d", text))
    readings = known.readings.setdefault(day, [])
    for match in NUMBER.finditer(text):
        readings.append((None, unit_at(text, match.end())[0], float(match[0]), place))
    words = fold(text)
    for at, word in enumerate(words):
        if word in CONDITIONS and not NEGATIONS & set(words[max(0, at - 3):at]):
            readings += [("code", None, code, place) for code in condition_codes(word, words[max(0, at - 2):at])]


def condition_codes(word, before):
    """Return the WMO codes a condition word stands for, narrowed by the modifiers among the words right before it."""
    codes, modified = CONDITIONS[word]
    for modifier in before:
        if modifier in MODIFIERS and modifier in modified:
            codes = codes & modified[modifier]
    return codes


@lru_cache(maxsize=4096)
def day_parts(iso):
    """Return (weekday number, day, month, year) of an ISO date; None for what is no date."""
    try:
        day = date.fromisoformat(iso)
    except ValueError:
        return None
    return day.weekday(), day.day, day.month, day.year


@lru_cache(maxsize=4096)
def shifted(iso, days):
    """Return the ISO date that many days later."""
    return (date.fromisoformat(iso) + timedelta(days=days)).isoformat()


def readings_of(known, days, places):
    """Return [(kind, unit, value, place)] of these days and places; None: of all."""
    found = known.found.get((days, places))
    if found is None:
        of_days = known.readings if days is None else (*sorted(days), None)
        found = known.found[days, places] = [reading for day in of_days for reading in known.readings.get(day, ())
                                             if places is None or reading[3] in places]
    return found
