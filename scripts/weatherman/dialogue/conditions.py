"""Which conditions of a clause the results do not bear out: rain and fog, their denial, an umbrella's worth of chance, cold and windy."""
from weatherman.dialogue import lexicon
from weatherman.dialogue.evidence import readings_of
from weatherman.dialogue.weather_api import WMO

NOW = {"currently", "outside", "today", "tonight", "tomorrow", "yes", "expect"}
EVERY, SPANS = {"all", "every", "each", "throughout", "entire", "whole"}, {"week", "day", "days", "period", "weekend", "long"}
MAIN_CLAUSE = {"you", "you'd", "you'll", "will", "would"}  # "if you look out you'd have rain" tells of rain
DOUBTING = lexicon.HYPOTHETICAL | {"case", "shine"}
NEED = set("need needed needs required require necessary take carry bring".split())
IT_TELLS = {"is", "will", "was"}
SAYING = lexicon.CONDITIONS.keys() | lexicon.ADJECTIVES.keys()
ADVERBS = lexicon.MODIFIERS | lexicon.COPULAS | {"not", "be"}
UNNEEDED = {"leave", "skip", "nothing"}  # "leave the umbrella at home"
UNABLE = {"can't", "cannot", "couldn't", "unable"}
EXPECTED = {"expected", "likely", "forecast", "predicted", "due", "anticipated", "in"}
DRY_CHANCE, NO_CHANCE = 50, 10  # percent: below it a day is dry; up to it there is "no chance" of anything
MOST_RAIN_MM = 0.1              # below it nothing fell
DRY_MM = 0.5                    # below it people call a day dry


def unsupported(clause, known, days_of, places_of, *, mentions):
    """Return the findings about conditions. days_of, places_of: (position, chunk) -> scope; mentions: the clause names a day or place."""
    words, findings = clause.words, []
    at_all = set(words)
    tells = bool(known.fresh or known.covered and not known.general) or mentions or bool(at_all & NOW) or _it_tells(clause)
    if not tells or at_all & UNABLE and not known.covered:
        return []  # talk about weather in general claims nothing of any place or day

    def scope(at):
        return readings_of(known, days_of(clause.starts[at], clause.chunks[at]), places_of(clause.starts[at], clause.chunks[at]))

    denies = not lexicon.NEGATIONS.isdisjoint(at_all) or any(word.endswith("n't") for word in words)
    before_denied = False
    for at, codes in clause.conditions:
        word = words[at]
        if at + 1 < len(words) and word in lexicon.CONDITIONS.get(words[at + 1], ((), ()))[1]:
            continue  # the "rain" of "rain showers"
        if _hypothetical(clause, at):
            continue
        denied = before_denied = denies and _denied(clause, at, before_denied)
        if not _borne_out(clause, at, codes, denied, scope(at), known, days_of):
            findings.append(_finding(words, at, denied, scope(at)))
    if clause.judged:
        if at_all & lexicon.ADVICE:
            findings += _advice(clause, scope)
        findings += _adjectives(clause, scope)
    return findings


def _it_tells(clause):
    """Say whether a chunk begins with "it is sunny", "it's partly cloudy" or "it will rain"."""
    words, chunks = clause.words, clause.chunks
    for at, word in enumerate(words):
        if word in ("it", "it's") and (at == 0 or chunks[at - 1] != chunks[at] or words[at - 1] in ("but", "and")):
            verb = at if word == "it's" else at + 1 if words[at + 1:at + 2] and words[at + 1] in IT_TELLS else None
            said = words[verb + 1:verb + 3] if verb is not None else []
            if said[:1] and said[0] in SAYING and said[1:] != ["that"] or len(said) > 1 and said[1] in SAYING and said[0] in ADVERBS:
                return True
    return False


def _hypothetical(clause, at):
    """Say whether the word stands in a condition or an idiom: "if it rains", "in case of fog", "rain or shine"."""
    words = clause.words
    if DOUBTING.isdisjoint(words):
        return False
    before = [word for word, its in zip(words[:at], clause.chunks) if its == clause.chunks[at]]
    if before[-3:-1] == ["in", "case"] or words[at + 1:at + 3] == ["or", "shine"]:
        return True
    return bool(lexicon.HYPOTHETICAL & set(before)) and not MAIN_CLAUSE & set(before)


def _denied(clause, at, before_denied):
    """Say whether the condition is denied: "no rain", "rain is unlikely", "without a cloud", "no rain, snow or fog"."""
    words, chunk = clause.words, clause.chunks[at]
    first = at
    while first and clause.chunks[first - 1] == chunk:
        first -= 1
    for j in range(max(first, at - 8), at):
        if (words[j] in lexicon.NEGATIONS or words[j].endswith("n't")) and words[j + 1] not in lexicon.NOT_NEGATED:
            return ":" not in clause.source[clause.starts[j]:clause.starts[at]]
    after = [word for word, its in zip(words[at + 1:at + 6], clause.chunks[at + 1:at + 6]) if its == chunk]
    if "unlikely" in after or after[:1] == ["free"] or "absent" in after:
        return True
    if EXPECTED & set(after) and any(word == "not" or word.endswith("n't") for word in after):
        return True
    listed = all(word in lexicon.MODIFIERS or word in ("or", "and", "nor") for word in words[first:at])
    return before_denied and listed and not after


def _borne_out(clause, at, codes, denied, readings, known, days_of):
    """Say whether the readings bear out one condition word, affirmed, hedged or denied."""
    words = clause.words
    told = [value for kind, _, value, _ in readings if kind == "code"]
    chances = [value for kind, _, value, _ in readings if kind == "chance"]
    amounts = [value for kind, _, value, _ in readings if kind == "amount"]
    liquid = bool(codes & lexicon.RAIN_DENIED)
    near = {word for word, its in zip(words, clause.chunks) if its == clause.chunks[at]}
    hedged = near & lexicon.HEDGES
    if hedged and any(number.unit == "%" for number in clause.numbers):
        return True  # "20 % chance of rain": the number carries the claim
    if denied or hedged & {"chance", "chances", "risk", "probability", "odds"} and near & lexicon.SMALL:
        if "chance" in near and denied and max(chances, default=0) > NO_CHANCE:
            return False
        if not told and not (liquid and (chances or amounts)):
            return False
        fell = max(amounts, default=0) >= MOST_RAIN_MM and not lexicon.SNOW & set(told)
        falls = liquid and (fell or max(chances, default=0) >= DRY_CHANCE)
        refuted = lexicon.RAIN_DENIED if codes & lexicon.RAIN and not codes <= lexicon.THUNDER else codes
        return not refuted & set(told) and not (falls and codes & lexicon.RAIN)
    if EVERY & set(words) and SPANS & set(words) and len(told) > 1:
        return all(code in codes for code in told)
    if codes & set(told) or liquid and codes & lexicon.RAIN and max(amounts, default=0) >= MOST_RAIN_MM and _plain(words, at):
        return True
    floor = lexicon.CHANCE_FLOOR["likely" if near & lexicon.LIKELY else "possible"]
    may_fall = codes & (lexicon.RAIN | lexicon.DRIZZLE) or codes & lexicon.SNOW and any(
        kind == "low" and lexicon.to_celsius(value, unit) <= 2 for kind, unit, value, _ in readings)
    return bool((hedged or near & lexicon.LIKELY) and may_fall and max(chances, default=0) >= floor)


def _plain(words, at):
    return not any(word in lexicon.MODIFIERS for word in words[max(0, at - 2):at])


def _finding(words, at, denied, readings):
    start = at
    while start and words[start - 1] in lexicon.MODIFIERS or start and words[start - 1] in lexicon.CONDITIONS and start == at:
        start -= 1
    told = list(dict.fromkeys(WMO.get(value, str(value)) for kind, _, value, _ in readings if kind == "code"))[:3]
    phrase = ("no " if denied else "") + " ".join(words[start:at + 1])
    return f"condition: {phrase} (the result has {', '.join(told)})" if told else f"condition: {phrase}"


def _advice(clause, scope):
    """An umbrella needs something that falls, or a chance of it; leaving it at home needs neither."""
    readings = [reading for at, word in enumerate(clause.words) if word in lexicon.ADVICE for reading in scope(at)]
    word = next(word for word in clause.words if word in lexicon.ADVICE)
    falls = any(kind == "code" and value in lexicon.FALLING for kind, _, value, _ in readings)
    chance = max((value for kind, _, value, _ in readings if kind == "chance"), default=0)
    at = clause.words.index(word)
    before, after = clause.words[max(0, at - 4):at], clause.words[at + 1:at + 4]
    if {"if", "whether", "case"} & set(clause.words) or "no" in after:  # "an umbrella is no use here" says nothing of the sky
        return []
    denied = any(other in lexicon.NEGATIONS or other.endswith("n't") for other in before + after)
    if UNNEEDED & set(before) or "home" in after or denied and (NEED & set(clause.words) or before[-1:] == ["no"]):
        return [f"condition: no {word}"] if falls or not readings else []
    return [] if falls or denied or chance >= lexicon.CHANCE_FLOOR["umbrella"] else [f"condition: {word}"]


def _adjectives(clause, scope):
    """Return findings for adjectives that plainly describe the weather ("it is cold", "a windy day") against generous bounds."""
    words, findings = clause.words, []
    odds = lexicon.HEDGES & set(words) and any(number.unit == "%" for number in clause.numbers)  # "the odds of getting wet: 26 %"
    for at in clause.judged:
        word = words[at]
        if word not in lexicon.ADJECTIVES or odds and word == "wet" or not _describes_weather(clause, at) or _hypothetical(clause, at):
            continue
        if any(other in lexicon.NEGATIONS or other.endswith("n't") for other in words[max(0, at - 4):at]):
            continue
        readings = scope(at)
        if not _fits(lexicon.ADJECTIVES[word], readings):
            findings.append(f"condition: {word}")
    return findings


def _describes_weather(clause, at):
    words = clause.words
    before, after = words[at - 1] if at else "", words[at + 1] if at + 1 < len(words) else ""
    if after in lexicon.CONDITIONS or after in ("point", "rain", "zero"):
        return False  # freezing drizzle
    if before in lexicon.BE:
        subject = words[at - 2] if at > 1 else ""
        return subject in lexicon.SUBJECTS or at < 2 or at - 2 in clause.capitals
    if before in lexicon.COPULAS:
        return True
    return after in lexicon.WEATHER_NOUNS and before in ("a", "an", "the", "with", "have", "has", "some", "very")


def _fits(adjective, readings):
    """Say whether any reading lies within the adjective's bounds."""
    kind, least, most = adjective
    if kind in ("dry", "wet"):
        falls = any(k == "code" and v in lexicon.FALLING or k == "amount" and v >= DRY_MM or k == "chance" and v >= DRY_CHANCE
                    for k, _, v, _ in readings)
        known = any(k in ("code", "amount", "chance") for k, _, _, _ in readings)
        return known and falls == (kind == "wet")
    if kind == "temperature":
        values = [lexicon.to_celsius(v, unit) for k, unit, v, _ in readings if k in ("temperature", "feels", "high", "low")]
    else:
        values = [v * lexicon.KMH.get(unit, 1.0) for k, unit, v, _ in readings if k in ("wind", "gust")]
    return any((least is None or value >= least) and (most is None or value <= most) for value in values)
