"""What an answer says that no tool result supports: numbers, places, days and weather conditions.

A gate for synthetic dialogues and a score of real answers. The rule is strict: every number, place, day and condition in an answer stands
in a tool result of the conversation. So no arithmetic is believed (a value converted to another unit, a mean, a sum, a difference);
a value must be of the day, the place and the kind (high, low, feels-like …) it is told of; a denied condition ("no rain") needs results
that lack it.
What the user said may be repeated as a word or a count, but as a reading only when the answer says it is the user's.
"""
from dataclasses import dataclass, field

import orjson

from weatherman.dialogue import conditions, quantities
from weatherman.dialogue.claims import clauses, plain
from weatherman.dialogue.evidence import Evidence, add_call, add_result, add_system, add_user
from weatherman.dialogue.mentions import CAPITALISED, day_mentions, names_large_place, place_mentions

ASKING = {"you", "your", "which", "where", "shall", "should"}
OFFERS = {("let", "me"), ("would", "you"), ("do", "you"), ("shall", "i"), ("i", "can"), ("i", "could"), ("if", "you"), ("feel", "free"),
          ("please", "tell"), ("just", "say"), ("you", "can"), ("try", "again"), ("please", "try"), ("happy", "to")}
TELLING = {"is", "it's", "will", "are", "be", "was", "you'd", "you'll"}  # an offer that also tells is judged as telling
# Words that speak of more than the day and place just named.
WHOLE = set("week days overall lowest highest range ranges both two whole period lows highs temperatures average between".split())
AGAINST = {"to", "against", "versus", "vs", "over"}


@dataclass
class _Answer:
    """One answer being checked; `days` and `places` are carried from clause to clause (None: any)."""

    text: str
    known: Evidence
    findings: list = field(default_factory=list)
    days: frozenset | None = None
    places: frozenset | None = None
    heading: bool = False
    lower_case: bool = False


def ungrounded(messages, tools):
    """Return what the assistant says without support, one text a finding; [] when everything is grounded.

    messages, tools: as in a chat record (dicts). A finding begins with its kind: "number: ", "place: ", "day: " or "condition: ".
    """
    known, findings, calls = Evidence(orjson.dumps(tools)), [], {}
    for message in messages:
        role, content = message["role"], message.get("content") or ""
        if role == "system":
            add_system(known, content)
        elif role == "user":
            add_user(known, content)
        elif role == "tool":
            add_result(known, content, calls.get(message.get("tool_call_id"), {}))
        elif role == "assistant":
            for call in message.get("tool_calls") or []:
                calls[call.get("id")] = arguments = _arguments(call)
                add_call(known, arguments)
            if content:
                findings += check_text(content, known)
    return findings


def _arguments(call):
    """Return a call's arguments as a dict; {} for what a model wrote that is none."""
    try:
        arguments = orjson.loads(call["function"]["arguments"])
    except (orjson.JSONDecodeError, TypeError):
        return {}
    return arguments if isinstance(arguments, dict) else {}


def check_text(text, known):
    """Return the findings for one answer against the Evidence."""
    answer = _Answer(plain(text), known)
    answer.lower_case = not CAPITALISED.search(answer.text)
    for clause in clauses(answer.text):
        _check_clause(answer, clause)
    return list(dict.fromkeys(answer.findings))


def _check_clause(answer, clause):
    """Add the findings of one clause, and carry what it names to the next."""
    known, found = answer.known, []
    asks = clause.closed_by[:1] == "?" and not ASKING.isdisjoint(clause.words)
    offers = asks or tuple(clause.words[:2]) in OFFERS and TELLING.isdisjoint(clause.words) and not any(
        number.unit for number in clause.numbers)
    places = [] if asks else place_mentions(clause, known, found, lower_case=answer.lower_case)
    days = [] if offers else day_mentions(clause, known, found)
    if clause.opens_line and not (answer.heading and _listed(clause)):
        answer.days, answer.heading = None, False
    if clause.numbers or clause.clocks or not offers and (clause.conditions or clause.judged):
        found += _check_facts(answer, clause, days, places, offers)
    answer.findings += found
    _carry(answer, clause, days, places)


def _check_facts(answer, clause, days, places, offers):
    """Return the findings about the numbers, conditions and comparisons of a clause that names these days and places."""
    known, found = answer.known, []
    latest = frozenset(known.fresh or known.covered)
    whole = not WHOLE.isdisjoint(clause.words)
    carried_days = None if whole else answer.days
    carried_places = latest if whole or answer.places is None else answer.places
    facts = [number.start for number in clause.numbers] + [clause.starts[at] for at, _ in clause.conditions]
    days_of = _binder(days, facts, answer.days if answer.heading else None)
    places_of = _binder(places, facts, carried_places, before=None if whole else answer.places, together="both" in clause.words)
    for i, number in enumerate(clause.numbers):
        if number.unit is None and offers and clause.closed_by[:1] == "?":
            continue  # "Shall I look up the next 14 days?"
        scope = (_respectively(days, clause, i) or days_of(number.start, number.chunk)) if days else carried_days
        where = (_respectively(places, clause, i) or places_of(number.start, number.chunk)) if places else carried_places
        if places and i and _against(clause, places, clause.numbers[i - 1], number):
            where = latest
        finding = quantities.unsupported(known, clause, i, scope, where)
        if finding:
            found.append(finding)
    found += quantities.clocks(clause, known)
    if not offers:
        found += conditions.unsupported(clause, known, days_of, places_of, mentions=bool(days or places) or names_large_place(clause))
        if clause.judged:
            found += quantities.refuted(clause, known, days, places, days_of=days_of, places_of=places_of)
    return found


def _against(clause, places, first, second):
    """Say whether two numbers are set against each other with no place between: "Lisbon wins, 20 °C to 17 °C"."""
    words = set(clause.words[first.after:second.at])
    return bool(words & AGAINST) and not any(first.start < mention[0] < second.start for mention in places)


def _listed(clause):
    """Say whether the line is an item of a list: it has a bullet or a label."""
    line = clause.source[clause.begin:clause.end].lstrip()
    return line[:1] in "-*•|" or ":" in line


def _carry(answer, clause, days, places):
    """Keep what the clause named for those after it: a place until the next one, a day to the end of the line or, as a heading, beyond."""
    line = clause.source[clause.begin:clause.end].rstrip(" \n*_")
    heads = not clause.numbers and not clause.conditions and ("\n" in clause.closed_by or line.endswith(":"))
    if days:
        named = frozenset().union(*(mention[2] for mention in days))
        answer.days, answer.heading = (named if len({mention[2] for mention in days}) == 1 else None), heads
    elif "\n\n" in clause.closed_by:
        answer.days, answer.heading = None, False
    if places:
        answer.places = places[0][2] if len({mention[2] for mention in places}) == 1 and places[0][2] else None


# --- which day and place a fact is told of ---

def _binder(mentions, facts, default, before=None, together=False):
    """Return (position, chunk) -> the set that the mentions (position, chunk, set) give a fact there.

    The mention of the fact's own chunk counts, else the one before it, else the one after; where facts come before the first mention
    ("20 °C in Lisbon, and 17 °C with fog in Porto") both neighbours are allowed. All mentions count for facts that precede them all
    ("rain on Tuesday, Friday and Sunday"), or when `together` ("both are dry: Lisbon …"). `before`: what the last clause named, to which
    facts in an earlier chunk than the first mention may still belong ("Lisbon wins. It has 20 °C, against 17 °C in Porto").
    """
    if not mentions:
        return lambda position, chunk: default
    if len(mentions) == 1:
        start, its_chunk, named = mentions[0][:3]
        return lambda position, chunk: named | before if before and position < start and chunk < its_chunk else named
    everything = frozenset().union(*(mention[2] for mention in mentions))
    facts_first = bool(facts) and min(facts) < mentions[0][0]
    if facts and max(facts) < mentions[0][0]:
        return lambda position, chunk: everything

    def bound(position, chunk):
        if position < mentions[0][0]:
            if together:
                return everything
            if before and chunk < mentions[0][1]:
                return mentions[0][2] | before
        own = [mention for mention in mentions if mention[1] == chunk]
        if own:
            earlier = [mention for mention in own if mention[0] <= position]
            later = [mention for mention in own if mention[0] >= position]
            return ((later or own[-1:])[0] if facts_first else (earlier or own[:1])[-1])[2]
        earlier = [mention for mention in mentions if mention[1] < chunk]
        later = [mention for mention in mentions if mention[1] > chunk]
        if earlier and later and facts_first:
            return earlier[-1][2] | later[0][2]
        return (earlier[-1] if earlier else later[0])[2]

    return bound


def _respectively(mentions, clause, i):
    """Return the mention that number i answers where all are named before the numbers: "Lisbon and Porto have 20 °C and 17 °C"."""
    if len(mentions) < 2 or mentions[-1][0] > clause.numbers[0].start:
        return None
    told = [number for number in clause.numbers if number.unit]
    if len(told) != len(mentions) or clause.numbers[i] not in told:
        return frozenset().union(*(mention[2] for mention in mentions))
    return mentions[told.index(clause.numbers[i])][2]
