"""Which numbers of a clause no reading supports (wrong value, unit, day, place or kind), and which comparisons the readings refute."""
from weatherman.dialogue import lexicon
from weatherman.dialogue.evidence import fold, readings_of
from weatherman.dialogue.weather_api import MAX_DAYS, MAX_LATITUDE, MAX_LONGITUDE, day_name

BOUND_PAIRS = {("more", "than"): 1, ("higher", "than"): 1, ("at", "least"): 1, ("less", "than"): -1, ("lower", "than"): -1,
               ("at", "most"): -1}
MOST_OFF = 10  # "more than 10 °C" is said of 20 °C at most
SAID = set("said say asked mentioned gave wrote quoted suggested heard thought typed meant".split())  # "you said 20 °C"
LEADS = set("in at for right now currently today there here the moment and but".split())
LIMITING = set("only reach reaches limit limited most maximum ahead beyond further farther".split())  # "forecasts reach 14 days ahead"
LIMITS = {MAX_LATITUDE, MAX_LONGITUDE}
KIND_WORDS = lexicon.KIND_OF.keys() | lexicon.WEAK_KIND_OF.keys()
PLAIN_UNITS = {"m", "ft", "km", "coordinate"}  # of heights and distances, which are no readings
COUNTS = set("day days night nights hour hours week weeks minute minutes month months year years place places city cities location "
             "locations forecast forecasts outlook characters".split())
# What may decide a comparison, by what is compared and whether for most or least: any of these kinds.
DECIDING = {("temperature", 1): ("temperature", "high", "feels"), ("temperature", -1): ("temperature", "low", "high", "feels"),
            ("rain", 1): ("chance", "amount"), ("rain", -1): ("chance", "amount"),
            ("wind", 1): ("wind", "gust"), ("wind", -1): ("wind", "gust")}
UNCOMPARED = {"not", "isn't", "at"}  # "not the warmest", "85 °F at the warmest"


def unsupported(known, clause, i, days, places):
    """Return the finding for number i of the clause, None when a reading of its days, places, unit and kind supports it."""
    number = clause.numbers[i]
    words, after = clause.words, clause.words[number.after:number.after + 1]
    if number.unit == "coordinate" or number.unit in (None, "°") and number.decimals:
        if any(abs(abs(number.value) - abs(found)) <= 0.5 * 10 ** -number.decimals + 1e-9 for found in known.coordinates):
            return None
    if number.unit is None and after and after[0] in COUNTS:
        ratio = lexicon.COUNTED.get(after[0], 1)
        part = number.value < len(known.days) and words[number.at - 1:number.at] in (["first"], ["last"])
        limit = number.value == MAX_DAYS and not LIMITING.isdisjoint(words)
        supported = part or limit or known.has_number(number.value) or known.has_number(number.value / ratio)
        return None if supported else f"number: {number.text} {after[0]}"
    if (number.unit in PLAIN_UNITS or number.unit == "°" and abs(number.value) in LIMITS) and known.has_number(number.value):
        return None
    if number.unit is None and number.span is None and _countable(known, clause, i):
        return None
    kind, firm = _kind(clause, i)
    readings = readings_of(known, days, places)
    fits = _fitting(number, readings, words)
    if kind and (firm or any(found == kind for found, _, _, _ in readings)):
        fits = [reading for reading in fits if reading[0] in (kind, None) or kind in ("high", "low") and reading[0] == "temperature"
                and sum(found == "temperature" for found, _, _, _ in readings) > 1]
    elif fits and number.unit in lexicon.TEMPERATURE_UNITS and _actual(clause, number):
        fits = [reading for reading in fits if reading[0] != "feels"]
    if fits or number.value in known.user_numbers and ({"you", "your"} & set(words) and SAID & set(words)
                                                      or "not" in words[max(0, number.at - 2):number.at]):
        return None
    return _number_finding(known, number, kind if firm else None, readings)


def _countable(known, clause, i):
    """Say whether a bare number may be the user's, a count or a limit: nothing around it makes it a reading."""
    number = clause.numbers[i]
    if not known.has_number(number.value) and number.value not in (len(known.covered), len(known.fresh), len(known.days)):
        return False
    before = clause.words[max(0, number.at - 2):number.at]
    return not (before[-1:] == ["it's"] or before == ["it", "is"] or before[-1:] == ["of"] and before[0] in lexicon.KIND_OF
                or _kind(clause, i)[1])


def _fitting(number, readings, words):
    """Return the readings that have the number's unit, and its value within the rounding that was written."""
    least, most = _range(number, words)
    code = number.unit is None and "code" in words[max(0, number.at - 3):number.at]
    wanted = lexicon.TEMPERATURE_UNITS if number.unit == "°" else (number.unit,)
    return [reading for reading in readings if least <= reading[2] <= most and (
        code if reading[0] == "code" else number.unit is None or reading[1] is None or reading[1] in wanted)]


def _range(number, words):
    """Return (least, most) of the values that the number may stand for."""
    value = number.value
    if number.span:
        return number.span
    sign = 0 if number.decimals else _bound(words, number.at)
    if sign:
        far = max(MOST_OFF, abs(value) / 2)
        return (value, value + far) if sign > 0 else (value - far, value)
    tolerance = 0.5 * 10 ** -number.decimals + 1e-9
    if not number.decimals and lexicon.ABOUT & set(words[max(0, number.at - 2):number.at]):
        tolerance += max(1, abs(value) / 20)
    return value - tolerance, value + tolerance


def _bound(words, at):
    """Return 1 for "more than", -1 for "below", 0 for a plain number; "no more than" turns it."""
    pair = tuple(words[max(0, at - 2):at])
    sign = BOUND_PAIRS.get(pair) or (lexicon.BOUNDS.get(pair[-1]) if pair else None) or 0
    return -sign if sign and at > 2 and words[at - 3] in lexicon.NEGATIONS else sign


def _kind(clause, i):
    """Return (kind, firm): what the words by number i say it is a number of; (None, False) when they leave it open.

    The last telling word before it in its chunk, since the number before; else one of the three after it, unless another number follows
    there. firm: it must be that kind; otherwise only where there are readings of the kind.
    """
    number, numbers, words, chunks = clause.numbers[i], clause.numbers, clause.words, clause.chunks
    first = numbers[i - 1].at if i else 0
    for at in range(number.at - (2 if number.span else 1), first - 1, -1):  # the "low" of "low 20s" is no kind
        if chunks[at] != number.chunk:
            break
        found = words[at] in KIND_WORDS and _kind_word(words, at, number)
        if found and not (i and at < first + 3 and numbers[i - 1].chunk == number.chunk and at - first < number.at - at - 1):
            return found
    end = numbers[i + 1].at if i + 1 < len(numbers) and numbers[i + 1].chunk == number.chunk else number.at + 3
    if end >= number.at + 3:
        for at in range(number.after, min(number.after + 3, len(words))):
            if chunks[at] != number.chunk or ":" in clause.source[number.end:clause.starts[at]]:
                break
            found = words[at] in KIND_WORDS and _kind_word(words, at, number)
            if found:
                return found
    return None, False


def _kind_word(words, at, number):
    word = words[at]
    kind = lexicon.KIND_OF.get(word)
    if kind and (number.unit is None or number.unit in lexicon.KIND_UNITS[kind]):
        return kind, True
    kind = lexicon.WEAK_KIND_OF.get(word)
    if kind and number.unit in lexicon.TEMPERATURE_UNITS and "from" not in words[at:number.at] and (
            word != "down" or words[at + 1:at + 2] == ["to"]):
        return kind, False
    return None


def _actual(clause, number):
    """Say whether the words plainly give the temperature itself, not as it feels: "it is", "in Rome it's", "the temperature is"."""
    words = clause.words
    before = [at for at in range(number.at) if clause.chunks[at] == number.chunk and words[at] not in lexicon.ABOUT]
    told = [words[at] for at in before]
    if told[-2:-1] == ["temperature"] and told[-1] in ("is", "of", "at"):
        plain = True
    else:
        length = 1 if told[-1:] == ["it's"] else 2 if told[-2:] == ["it", "is"] else 0
        plain = length and all(words[at] in LEADS or at in clause.capitals for at in before[:-length])
    return plain and not lexicon.NOT_ACTUAL & set(words)


def _number_finding(known, number, kind, readings):
    """Return the finding's text, with what the results have instead."""
    written = f"{number.text} {number.unit}" if number.unit else number.text
    alike = [reading for reading in readings if reading[0] != "code" and (
        reading[1] == number.unit or number.unit in lexicon.TEMPERATURE_UNITS and reading[1] in lexicon.TEMPERATURE_UNITS)]
    same = [reading for reading in alike if reading[0] == kind] or alike
    told = ", ".join(dict.fromkeys(f"{value:g} {unit}" for _, unit, value, _ in same[:4]))
    return f"number: {written}" + (f" (the result has {told})" if told else "")


def clocks(clause, known):
    """Return findings for times of day that no result and no word of the user has."""
    findings = []
    for text, hour, minute in clause.clocks:
        in_results = any(int(time[:2]) == hour and (minute is None or time[3:5] == minute) for time in known.times)
        if not in_results and not known.user_words.issuperset(fold(text)):
            findings.append(f"number: {text}")
    return findings


# --- comparisons ---

def refuted(clause, known, days, places, *, days_of, places_of):
    """Return findings for comparatives and superlatives that name a day or place which does not lead.

    days, places: mentions [(position, chunk, set)]; days_of, places_of: (position, chunk) -> scope.
    """
    findings = []
    for at in clause.judged:
        word = clause.words[at]
        compared = lexicon.COMPARISONS.get(word)
        if not compared or UNCOMPARED & set(clause.words[max(0, at - 2):at]):
            continue
        than = "than" in clause.words[at:at + 8]
        if word in lexicon.COMPARATIVES and than:
            findings += _pair(known, word, compared, clause.starts[at], days, places)
            continue
        start, chunk = clause.starts[at], clause.chunks[at]
        day, place = days_of(start, chunk) if days else None, places_of(start, chunk)
        if day and len(day) == 1 and word in lexicon.SUPERLATIVES:
            findings += _leads(known, compared, word, next(iter(day)), _by_day(known, _kinds(clause, compared), place), "day")
        elif places and place and len(place) == 1 and len(known.covered) > 1 and len(known.fresh or known.covered) != 1:
            findings += _leads(known, compared, word, next(iter(place)), _by_place(known, compared, day), "place")
    return findings


def _kinds(clause, compared):
    """Return the kinds that decide: the one the clause names ("the coldest, with a low of 16 °C"), else any that can."""
    named = tuple(kind for kind in ("low", "high") if kind in clause.words and kind in DECIDING[compared])
    return named if len(named) == 1 else DECIDING[compared]


def _by_day(known, kinds, places):
    """Return {kind: {day: value}} of what decides the comparison."""
    return {kind: {day: [v for k, _, v, _ in readings_of(known, (day,), places) if k == kind] for day in known.days}
            for kind in kinds}


def _by_place(known, compared, days):
    return {kind: {place: [v for k, _, v, _ in readings_of(known, days, (place,)) if k == kind] for place in known.fresh or known.covered}
            for kind in DECIDING[compared]}


def _leads(known, compared, word, named, values_by_kind, what):
    """Return [] when the named day or place has the most (or least) of a deciding kind, or nothing can be compared; else the finding."""
    best, sign = None, compared[1]
    for values in values_by_kind.values():
        values = {key: max(found) if sign > 0 else min(found) for key, found in values.items() if found}
        if len(values) < 2 or named not in values:
            continue
        leader = max(values, key=lambda key: sign * values[key])
        if values[named] == values[leader]:
            return []
        best = best if best is not None else leader
    if best is None:
        return []
    if what == "day":
        return [f"day: {word} ({day_name(best, with_date=False)} is)"]
    return [f"place: {word}"]


def _pair(known, word, compared, position, days, places):
    """Check "A is warmer than B", the word at `position`, A and B two days or two places."""
    sign = compared[1]
    for what, mentions in (("day", days), ("place", places)):
        after = [mention[2] for mention in mentions if mention[0] > position]
        if not after or mentions[0][0] > position or len(mentions[0][2]) != 1 or len(after[0]) != 1 or mentions[0][2] == after[0]:
            continue
        (first,), (second,) = mentions[0][2], after[0]
        table = _by_day(known, DECIDING[compared], None) if what == "day" else _by_place(known, compared, None)
        verdicts = []
        for values in table.values():
            if values.get(first) and values.get(second):
                verdicts.append(sign * (sum(values[first]) / len(values[first]) - sum(values[second]) / len(values[second])) > 0)
        if verdicts and not any(verdicts):
            return [f"{what}: {word} than"]
    return []
