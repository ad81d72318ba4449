"""What a text claims, clause by clause: words, numbers with units, days, names and conditions, each with its place in the clause."""
import re
from dataclasses import dataclass, field

from weatherman.dialogue.evidence import condition_codes, fold
from weatherman.dialogue.lexicon import (
    ADJECTIVES,
    ADVICE,
    COMPARISONS,
    CONDITIONS,
    DATE,
    DECADE_PARTS,
    DECADES,
    MONTH_WORDS,
    NUMBER_WORDS,
    RELATIVE,
    WEEKDAY_WORDS,
    date_meant,
    unit_at,
)

PLAIN = (("−", "-"), ("’", "'"), ("‘", "'"), ("\u00a0", " "), ("\u202f", " "))  # what is written in several ways
TOKEN = re.compile(r"""
    (?P<word>[^\W\d_]\w*(?:'[^\W\d_]+)*)
  | (?P<number>(?:(?<![\w°%)])-)?\d+(?:,\d{3}(?!\d))*(?:\.\d+)?)(?:\s?(?P<unit>°[CF]|%|km/h|mph|mm)(?![\w/]))?
  | (?P<hard>[.!?]+(?=["'”)\]*_]*(?:\s|$))|[;\n]+)
  | (?P<soft>[,()|—–]|\s-\s|/)""", re.X)
TABLE = re.compile(r"^[ \t]*\|.*\n[ \t]*\|[-:| \t]+\n(?:[ \t]*\|.*(?:\n|$))+", re.M)
CLOCK = re.compile(r"(\d{1,2})(?::(\d\d)(?::\d\d)?)?(?:\s?([ap])\.?m\b\.?)?(?!\w)", re.I)
NUMERIC_DATE = re.compile(r"\d{4}-\d\d-\d\d|\d{1,2}[/.]\d{1,2}(?:[/.]\d{2,4})?(?![\d/])")
LIST_NUMBER = re.compile(r"\d{1,2}[.)]\s")
AFTER_ABBREVIATION = re.compile(r"[*_.]*(?:\s*[:|,(–—-]|\s+\d)")  # "Sat: 20 °C", not "sat down"
BELOW_ZERO = re.compile(r" (?:degrees )?below(?: zero|(?= ?[.,;!?)]|$))")
VERB_MONTH = re.compile(r"\b(?:may|mar(?:ch)?)\b")  # "14 may be known"
RANGE = re.compile(r"\s?(?:-|–|—|to|and|or|/)\s?(?:minus )?", re.I)
WEEKEND = {"weekend", "weekends"}
JUDGED = ADVICE | ADJECTIVES.keys() | COMPARISONS.keys()  # words that claim something, if the words around them let them
READ = {*WEEKDAY_WORDS, *MONTH_WORDS, *CONDITIONS, *RELATIVE, *WEEKEND, *NUMBER_WORDS, *DECADES, "one"}  # words that are more than words
ABBREVIATIONS = set("st mr mrs dr mt ft approx ca vs e.g i.e".split())  # a full stop after these ends no sentence
SOFT_WORDS = set("and but while whereas versus vs against than compared yet".split())
ROLES = {**dict.fromkeys(JUDGED, "judged"), **dict.fromkeys(SOFT_WORDS, "soft"), **dict.fromkeys(READ, "read")}
LINE_MARKS = " \t\n-*•#>|_\"'“”()[]0123456789."  # what may stand between the start of a line and its first word


@dataclass(slots=True)
class Number:
    """`at`: how many words of the clause come before it; `chunk`: how many commas, brackets and conjunctions do."""

    value: float
    decimals: int
    unit: str | None
    text: str
    at: int
    chunk: int
    start: int
    end: int
    after: int               # index of the first word after it
    span: tuple | None = None  # (least, most) for "low 20s"


@dataclass(slots=True)
class Clause:
    """A sentence, a line or a part closed by ";". `words` are lower case; `chunks[i]` is the chunk of word i."""

    words: list = field(default_factory=list)
    chunks: list = field(default_factory=list)
    starts: list = field(default_factory=list)
    numbers: list = field(default_factory=list)
    clocks: list = field(default_factory=list)       # (text, hour, minute as written or None)
    days: list = field(default_factory=list)         # (text, what, at, chunk, start, end); what: see mentions._days_meant
    capitals: list = field(default_factory=list)     # indexes of capitalised words
    conditions: list = field(default_factory=list)   # (index of its word, WMO codes)
    judged: list = field(default_factory=list)       # indexes of words of JUDGED
    source: str = ""
    opens_line: bool = True
    begin: int = 0
    end: int = 0
    closed_by: str = ""


def plain(text):
    """Return the text with one kind of minus sign, apostrophe and space, and its Markdown tables as sentences."""
    for written, common in PLAIN:
        text = text.replace(written, common)
    return TABLE.sub(_sentences, text) if "|" in text else text


def _sentences(table):
    """Return a Markdown table's rows as "Tuesday: High 21.5 °C; Low 11 °C"."""
    header, _, *rows = ([cell.strip() for cell in line.strip().strip("|").split("|")] for line in table[0].strip().split("\n"))
    return "".join(f"{row[0]}: {'; '.join(map(' '.join, zip(header[1:], row[1:])))}\n" for row in rows)


def clauses(text):
    """Yield the Clauses of a text that `plain` has made."""
    clause, skip, chunk = Clause(source=text), 0, 0
    words, chunks, starts = clause.words, clause.chunks, clause.starts
    for match in TOKEN.finditer(text):
        start = match.start()
        if start < skip:
            continue
        kind = match.lastgroup
        if kind == "word":
            raw = match[0]
            word = raw.lower()
            if word[-2:] == "'s" and word not in ("it's", "that's", "there's"):
                word = word[:-2]
            role = ROLES.get(word)
            if role == "read":
                skip = _read_word(clause, text, raw, word, start, chunk)
                continue
            if role == "soft":
                chunk += 1
            elif role == "judged":
                clause.judged.append(len(words))
            if word != raw and raw[0].isupper():
                clause.capitals.append(len(words))
            words.append(word)
            chunks.append(chunk)
            starts.append(start)
        elif kind == "soft":
            chunk += 1
        elif kind == "hard":
            if match[0] == "." and _abbreviated(clause, start):
                continue
            if words or clause.numbers or clause.days or clause.clocks:
                clause.closed_by, clause.end = match[0], match.end()
                yield clause
                clause = Clause(source=text, opens_line="\n" in match[0], begin=match.end())
                words, chunks, starts = clause.words, clause.chunks, clause.starts
            elif "\n" in match[0]:
                clause.opens_line = True
            chunk = 0
        else:
            skip = _add_number(clause, text, match, chunk)
    clause.end = len(text)
    if words or clause.numbers or clause.days or clause.clocks:
        yield clause


def _abbreviated(clause, stop):
    """Say whether the full stop belongs to "St." or to an initial."""
    if not clause.words or clause.starts[-1] + len(clause.words[-1]) != stop:
        return False
    return clause.words[-1] in ABBREVIATIONS or len(clause.words[-1]) == 1 and clause.words[-1] not in "if"


def _read_word(clause, text, raw, word, start, chunk):
    """Add a word of READ, and the day, number or condition it is. Returns the position up to which the text has been read."""
    if word in WEEKDAY_WORDS or word in MONTH_WORDS:
        read = _date(clause, text, start, chunk, raw)
        if read:
            return read
    at, end = len(clause.words), start + len(raw)
    clause.words.append(word)
    clause.chunks.append(chunk)
    clause.starts.append(start)
    if raw[0].isupper():
        clause.capitals.append(at)
    if word in CONDITIONS:
        clause.conditions.append((at, condition_codes(word, clause.words[max(0, at - 2):at])))
    elif word in RELATIVE:
        offset = 2 if word == "tomorrow" and clause.words[-3:-1] == ["day", "after"] else RELATIVE[word]
        clause.days.append((raw, offset, at, chunk, start, end))
    elif word in WEEKEND:
        clause.days.append((raw, "weekend", at, chunk, start, end))
    elif word in NUMBER_WORDS or word in DECADES or word == "one":
        return _add_number_word(clause, text, word, start, end, chunk)
    return end


def _date(clause, text, start, chunk, raw):
    """Add the day that begins here; return its end, 0 when these words are none ("may", "the sun")."""
    match = DATE.match(text, start)
    if not match or not match[0] or VERB_MONTH.search(match[0]):
        return 0
    if len(match[0]) <= len("Thurs") and not (raw[0].isupper() and AFTER_ABBREVIATION.match(text, match.end())):
        return 0
    clause.days.append((match[0], date_meant(match[0]), len(clause.words), chunk, start, match.end()))
    return match.end()


def _add_number_word(clause, text, word, start, end, chunk):
    """Add "twelve", "minus three", "twenty-one degrees" or "mid-twenties", whose word is already in the clause."""
    at = len(clause.words) - 1
    before = clause.words[at - 1] if at else ""
    if word in DECADES:
        clause.numbers.append(_decade(DECADES[word], f"{before} {word}", before, at, chunk, start, end))
        return end
    value, written = (1 if word == "one" else NUMBER_WORDS[word]), word
    joined = re.match(r"[- ]([a-z]+)", text[end:end + 7], re.I) if value >= 20 and value % 10 == 0 else None
    if joined and 1 <= NUMBER_WORDS.get(joined[1].lower(), 1 if joined[1].lower() == "one" else 0) <= 9:
        value, written, end = value + NUMBER_WORDS.get(joined[1].lower(), 1), f"{word}{joined[0]}", end + joined.end()
    unit, unit_end = unit_at(text, end)
    if unit is None and word in ("one", "zero") and not BELOW_ZERO.match(text, end):
        return end
    _finish_number(clause, text, Number(value, 0, unit, written, at, chunk, start, unit_end, at + 1), before)
    return unit_end


def _decade(value, written, part, at, chunk, start, end):
    """Return the Number of "low 20s" or "mid-twenties"."""
    low, high = DECADE_PARTS.get(part, (0, 9))
    return Number(value, 0, "°", written, at, chunk, start, end, at + 1, (value + low - 0.5, value + high + 0.5))


def _add_number(clause, text, match, chunk):
    """Add a number in digits, or the date, clock time or list number it is part of. Returns the end of what was read."""
    start, end, unit = match.start(), match.end(), match["unit"]
    following = text[end:end + 2]
    if following[:1] in (".", ")") and not clause.words and not clause.numbers and LIST_NUMBER.match(text, start) \
            and (not start or text[:start].rstrip(" \t*#>-_")[-1:] in ("", "\n")):
        return end + 1
    if unit is None:
        digits = match["number"]
        if following[:1] in ("-", "/") and (date := NUMERIC_DATE.match(text, start)) and not unit_at(text, date.end())[0]:
            clause.days.append((date[0], date[0], len(clause.words), chunk, start, date.end()))
            return date.end()
        if (clock := CLOCK.match(text, start)) and (clock[2] or clock[3]):
            hour = int(clock[1]) % 12 + 12 * (clock[3] in "pP") if clock[3] else int(clock[1])
            clause.clocks.append((clock[0].rstrip(" ."), hour, clock[2]))
            return clock.end()
        if following[:1].isalpha() or following[1:].isalpha():
            if digits.isdigit() and len(digits) <= 2 and (date := DATE.match(text, start)) and date[0] and not VERB_MONTH.search(date[0]):
                clause.days.append((date[0], date_meant(date[0]), len(clause.words), chunk, start, date.end()))
                return date.end()
            if digits.endswith("0") and re.match(r"'?s\b", text[end:end + 3]):
                part = clause.words[-1] if clause.words else ""
                clause.numbers.append(_decade(float(digits), f"{digits}s", part, len(clause.words), chunk, start, end + 1))
                return end + 2 if following[0] == "'" else end + 1
        unit, end = unit_at(text, end)
    value = match["number"].replace(",", "")
    at = len(clause.words)
    number = Number(float(value), len(value.partition(".")[2]), unit, match["number"], at, chunk, start, end, at)
    _finish_number(clause, text, number, clause.words[-1] if clause.words else "")
    return number.end


def _finish_number(clause, text, number, before):
    """Give the number its sign in words, and the unit that "11 to 14 °C" states once."""
    if before in ("minus", "negative"):
        number.value, number.text = -number.value, f"{before} {number.text}"
    elif BELOW_ZERO.match(text, number.end):
        number.value, number.text = -number.value, f"{number.text} below zero"
        number.unit = number.unit or "°"
    previous = clause.numbers[-1] if clause.numbers else None
    if number.unit and previous and previous.unit is None and RANGE.fullmatch(text, previous.end, number.start):
        previous.unit = number.unit
    clause.numbers.append(number)


def name_words(raw):
    """Return the folded words of a capitalised word without its possessive."""
    if raw.isascii() and raw.isalpha():
        return [raw.lower()]
    return fold(re.sub(r"'(?:s|m|ll|d|ve|re)?$", "", raw))
