"""The words of weather as data: units, kinds of reading, conditions as WMO codes, plain adjectives with generous bounds.

`grounding` reads with them what an answer claims, `evidence` what a tool result says in words.
"""
import re
from functools import lru_cache

from weatherman.dialogue.weather_api import MONTHS, WEEKDAYS

# --- units: how people and services write them; matched right after a number ---

UNITS = {
    "°C": r"°\s?C|ºC|deg(?:rees?|s)?\.? (?:C|celsius|centigrade)|celsius|C",
    "°F": r"°\s?F|ºF|deg(?:rees?|s)?\.? (?:F|fahrenheit)|fahrenheit|F",
    "coordinate": r"°?\s?[NSEW]|deg(?:rees?)? (?:north|south|east|west)", "°": r"°|º|deg(?:rees?|s)?",
    "%": r"%|per ?cent", "km/h": r"km/hr?|kmh|kph|kmph|kilomet(?:er|re)s? (?:per|an) hour", "mph": r"mph|mp/h|miles? (?:per|an) hour",
    "m/s": r"m/s|met(?:er|re)s? (?:per|a) second", "kn": r"kn|knots?|kts?", "mm": r"mm|millimet(?:er|re)s?",
    "cm": r"cm|centimet(?:er|re)s?", "inch": r"inch(?:es)?|in\.", "hPa": r"hPa|mbar|millibars?",
    "m": r"m|met(?:er|re)s?", "ft": r"ft|feet|foot",
    "km": r"km|kilomet(?:er|re)s?",
}
UNIT = re.compile("[ -]?(?:" + "|".join(f"({pattern})" for pattern in UNITS.values()) + r")(?![\w/])", re.I)
UNIT_NAMES = list(UNITS)
TEMPERATURE_UNITS = {"°C", "°F", "°"}
COUNTED = {"day": 1, "days": 1, "night": 1, "nights": 1, "hour": 24, "hours": 24}  # what may be counted in days -> how many make one

# --- numbers in words; "one" is more often a pronoun and is read with a unit only ---

NUMBER_WORDS = {word: value for value, word in enumerate((
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen "
    "twenty").split())} | {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "seventy": 70, "eighty": 80, "ninety": 90}
DECADES = {"teens": 10, "twenties": 20, "thirties": 30, "forties": 40, "fifties": 50, "sixties": 60, "seventies": 70, "eighties": 80,
           "nineties": 90}
DECADE_PARTS = {"low": (0, 4), "lower": (0, 4), "mid": (3, 7), "middle": (3, 7), "upper": (6, 10), "high": (6, 10)}
ABOUT = set("about around roughly approximately nearly almost approaching circa some".split())
BOUNDS = {"above": 1, "over": 1, "exceeding": 1, "exceed": 1, "exceeds": 1, "beyond": 1, "below": -1, "under": -1, "beneath": -1}

# --- kinds of reading: what a number before or after these words is a number of ---

KINDS = {
    "feels": "feel feels felt feeling apparent chill skin", "high": "high highs max maximum top tops peak peaks peaking",
    "low": "low lows min minimum bottom", "humidity": "humidity humid moisture", "gust": "gust gusts gusting",
    "wind": "wind winds breeze", "chance": "chance chances probability likelihood odds possibility risk",
    "amount": "precipitation rainfall accumulation snowfall", "index": "index uv aqi", "dew": "dew dewpoint",
}
KIND_OF = {word: kind for kind, words in KINDS.items() for word in words.split()}
WEAK_KIND_OF = {word: kind for kind, words in {  # they bind only where there is a reading of that kind
    "high": "reach reaches reaching climb climbs climbing rise rises rising noon afternoon daytime",
    "low": "drop drops dropping dip dips dipping fall falls falling sink sinks down night overnight"}.items() for word in words.split()}
KIND_UNITS = {"feels": TEMPERATURE_UNITS, "high": TEMPERATURE_UNITS, "low": TEMPERATURE_UNITS, "humidity": {"%"}, "chance": {"%"},
              "gust": {"km/h", "mph", "m/s", "kn"}, "wind": {"km/h", "mph", "m/s", "kn"}, "amount": {"mm", "cm", "inch"},
              "index": {None}, "dew": TEMPERATURE_UNITS}
NOT_ACTUAL = set("feel feels felt feeling apparent chill skin seem seems bones persuade call body flesh nerves cheek cheeks you".split())

# --- conditions: word -> WMO codes it may stand for; with a modifier right before it, only those listed for it ---

DRIZZLE, FREEZING = {51, 53, 55, 56, 57}, {56, 57, 66, 67}
RAIN, SNOW, THUNDER = {61, 63, 65, 66, 67, 80, 81, 82}, {71, 73, 75, 77, 85, 86}, {95, 96, 99}
FOG, FALLING = {45, 48}, DRIZZLE | RAIN | SNOW | THUNDER
_CONDITIONS = (  # (words, codes, codes by modifier)
    ("clear cloudless", {0, 1}, {"mostly": {1}, "mainly": {1}}),
    ("sunny sunshine", {0, 1}, {"mostly": {1, 2}, "mainly": {1, 2}, "partly": {1, 2}}),
    ("cloudy cloud clouds clouded", {2, 3} | FALLING, {"partly": {2}, "mostly": {2, 3}, "partially": {2}, "scattered": {1, 2}, "few": {1}}),
    ("overcast", {3}, {}), ("fog foggy mist misty haze hazy", FOG, {"rime": {48}}),
    ("drizzle drizzles drizzly drizzling", DRIZZLE, {"light": {51, 56}, "slight": {51, 56}, "moderate": {53}, "dense": {55, 57},
                                                     "heavy": {55, 57}, "freezing": {56, 57}}),
    ("rain rains rainy raining rainfall raindrops", RAIN | DRIZZLE | THUNDER,  # people call drizzle rain, and a thunderstorm brings it
     {"light": {61, 66, 80}, "slight": {61, 66, 80}, "moderate": {63, 81}, "heavy": {65, 67, 82}, "violent": {82}, "freezing": {66, 67}}),
    ("shower showers showery", {80, 81, 82, 85, 86}, {"light": {80, 85}, "slight": {80, 85}, "moderate": {81}, "heavy": {82, 86},
                                                      "violent": {82}, "rain": {80, 81, 82}, "snow": {85, 86}}),
    ("downpour downpours pouring", {65, 67, 82, 95, 96, 99}, {}),
    ("snow snows snowy snowing snowfall", SNOW, {"light": {71, 85}, "slight": {71, 85}, "moderate": {73}, "heavy": {75, 86}}),
    ("flurry flurries", {71, 77, 85}, {}), ("sleet", FREEZING, {}),
    ("blizzard blizzards hurricane hurricanes tornado tornadoes", set(), {}),
    ("hail hailstones", {96, 99}, {"light": {96}, "slight": {96}, "heavy": {99}}),
    ("thunder thunderstorm thunderstorms thundery lightning storm storms stormy", THUNDER, {}),
)
CONDITIONS = {word: (codes, modified) for words, codes, modified in _CONDITIONS for word in words.split()}
RAIN_DENIED = FALLING - SNOW  # "no rain" is false when anything liquid falls
ADVICE = set("umbrella umbrellas waterproof waterproofs raincoat raincoats parasol brolly".split())  # words that say: something will fall
MODIFIERS = {modifier for _, _, modified in _CONDITIONS for modifier in modified}
CHANCE_FLOOR = {"possible": 20, "likely": 50, "umbrella": 30}  # percent of precipitation probability that carries the word
HEDGES = set("chance chances possible possibly possibility might may could perhaps maybe risk threat probability odds potential".split())
LIKELY = {"likely", "probably", "probable"}
SMALL = set("little low slim small slight minimal negligible".split())  # "a slim chance of rain": said of a chance below LIKELY
NEGATIONS = set("no not never without nor neither none hardly barely scarcely free absent unlikely cannot isnt wont dont nary zero".split())
NOT_NEGATED = set("doubt matter wonder end shortage less".split())  # "no doubt it will rain"
HYPOTHETICAL = {"if", "whether", "unless"}

# --- adjectives: (kind, least, most) in °C or km/h, generous, because people differ; None: no bound on that side ---

ADJECTIVES = {
    "cold": ("temperature", None, 15), "chilly": ("temperature", None, 18), "freezing": ("temperature", None, 4),
    "frigid": ("temperature", None, 2), "icy": ("temperature", None, 3), "cool": ("temperature", None, 23),
    "mild": ("temperature", 5, 25), "warm": ("temperature", 15, None), "hot": ("temperature", 24, None),
    "scorching": ("temperature", 29, None), "sweltering": ("temperature", 28, None), "windy": ("wind", 20, None),
    "gusty": ("wind", 20, None), "blustery": ("wind", 20, None), "breezy": ("wind", 10, None), "calm": ("wind", None, 15),
    "dry": ("dry", None, None), "wet": ("wet", None, None),
}
BE = {"is", "are", "be", "was"}
SUBJECTS = set("it that there weather day days today tomorrow tonight morning afternoon evening night conditions temperature temperatures "
               "air week weekend will outside wind winds can should".split())
COPULAS = set("it's stays stay staying remains remain looks turns gets getting feels very quite rather pretty fairly too so "
              "mostly bit expect".split())
WEATHER_NOUNS = set("weather day days morning afternoon evening night conditions temperatures temperature air outside spell out".split())
KMH = {"km/h": 1.0, "mph": 1.609344, "m/s": 3.6, "kn": 1.852}

# --- comparisons: word -> (kinds compared, +1 for most, -1 for least) ---

SUPERLATIVES = {"warmest": ("temperature", 1), "hottest": ("temperature", 1), "coldest": ("temperature", -1),
                "coolest": ("temperature", -1),
                "wettest": ("rain", 1), "rainiest": ("rain", 1), "driest": ("rain", -1), "windiest": ("wind", 1), "calmest": ("wind", -1)}
COMPARATIVES = {"warmer": ("temperature", 1), "hotter": ("temperature", 1), "colder": ("temperature", -1), "cooler": ("temperature", -1),
                "wetter": ("rain", 1), "drier": ("rain", -1), "windier": ("wind", 1), "calmer": ("wind", -1)}
COMPARISONS = SUPERLATIVES | COMPARATIVES

# --- days ---

_WEEKDAY = "|".join(f"{day[:3]}(?:{day[3:]})?" for day in WEEKDAYS) + "|Tues|Weds|Thurs?"
_MONTH = "|".join(f"{month[:3]}(?:{month[3:]})?" for month in MONTHS) + "|Sept"
DATE = re.compile(rf"""
    (?:(?P<weekday>{_WEEKDAY})\b(?:'s\b)?)?
    (?:(?:(?<=\w)\.?,?\s+(?:the\s+)?)?(?:
        (?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<month>{_MONTH})\b
      | (?P<month_2>{_MONTH})\b\.?\s+(?:the\s+)?(?P<day_2>\d{{1,2}})(?:st|nd|rd|th)?\b(?!\s?[°%]|:\d|\.\d)
      | (?P<day_3>\d{{1,2}})(?:st|nd|rd|th)\b)
      (?:,?\s+(?P<year>\d{{4}})\b)?)?""", re.I | re.X)
MONTH_NUMBERS = {month[:3].lower(): number for number, month in enumerate(MONTHS, 1)}
WEEKDAY_NUMBERS = {day[:3].lower(): number for number, day in enumerate(WEEKDAYS)}
WEEKDAY_WORDS = {form.lower() for day in WEEKDAYS for form in (day, day[:3], f"{day}s")} | {"tues", "weds", "thur", "thurs"}
MONTH_WORDS = {form.lower() for month in MONTHS for form in (month, month[:3])} | {"sept"}
RELATIVE = {"today": 0, "tonight": 0, "tomorrow": 1, "yesterday": -1}

# --- capitalised words that name no place ---

NOT_PLACES = set("""
    i it you he she they we there that this what can may hourly daily minutely latitude longitude
    ai api gps utc gmt uv wmo celsius fahrenheit centigrade open-meteo openmeteo openweathermap meteo mark twain samuel clemens
    benjamin ben franklin poor richard christian christians christmas english greek latin god
    lord heaven providence nature mr mrs dr sir madam
    north south east west northeast northwest southeast southwest n s e w ne nw se sw sse ssw nne nnw ene ese wnw wsw am pm
    high highs low lows wind winds speed temperature temperatures humidity precipitation probability chance weather forecast conditions
    condition current currently feels like day night date summary note tip max min overall average rain snow sky today tomorrow ok okay
    open apparent real spring summer autumn fall winter almanack almanac
""".split())
NOT_PLACES.update(CONDITIONS, MODIFIERS, ADVICE, KIND_OF, ADJECTIVES, SUPERLATIVES, COMPARATIVES, NUMBER_WORDS)
ENGLISH = set("""man reading surprise nice sale split boulder enterprise male bush bath orange van buffalo mobile hue harrow bade springs
    queens independence cypress tyre providence oral ho barking vista tete ruse paradise hub cork
    chandler""".split())  # large cities, and words
DEMONYMS = set("french dutch scottish greek swiss welsh american thai czech scots".split())  # without a usual ending


@lru_cache(maxsize=1024)
def date_meant(text):
    """Return (weekday number, day, month, year) of a text that DATE matches, None for what it does not say."""
    match = DATE.match(text)
    month, day = match["month"] or match["month_2"], match["day"] or match["day_2"] or match["day_3"]
    return (WEEKDAY_NUMBERS[match["weekday"][:3].lower()] if match["weekday"] else None, int(day) if day else None,
            MONTH_NUMBERS[month[:3].lower()] if month else None, int(match["year"]) if match["year"] else None)


def unit_at(text, position):
    """Return (unit, end) of a unit that begins there, after at most a space or hyphen; (None, position) when there is none."""
    match = UNIT.match(text, position)
    return (UNIT_NAMES[match.lastindex - 1], match.end()) if match else (None, position)


def to_celsius(value, unit):
    return (value - 32) * 5 / 9 if unit == "°F" else value
