"""Which weather and humour words a text has, by stem and by sense. The words and their senses stand in configs/corpus/keywords.yaml.

A word is looked up among the forms of all stems; its sense is then judged from the words around it. So "raining" is rain while
"brainstorm" is nothing, "the heat of noon" is heat while "Miami Heat" is a team.
"""
import re
from dataclasses import dataclass
from functools import cache

from paths import CONFIGS_DIR

WORD = re.compile(r"[^\W\d_]+")
AROUND_CHARS = 60     # a pattern may look so far to either side of its word
TOGETHER_CHARS = 100  # a sure word vouches for an unsure one within this distance, inside one sentence
SENTENCE_END = re.compile(r"[.!?][\"')]*\s")
STRAIGHT = str.maketrans("‘’“”–—\n", "''\"\"-- ")  # patterns are written with plain quotes and dashes


@dataclass(frozen=True)
class Sense:
    """What one form may mean: `keyword` of `domain`, at once (sure) or where `when` matches, unless `never` does."""

    keyword: str
    domain: str
    sure: bool
    when: re.Pattern | None
    never: re.Pattern


@cache
def load():
    """Return the Resolved configs/corpus/keywords.yaml."""
    from config_loader import load_config
    from weatherman.text_schemas import Keywords
    return load_config(CONFIGS_DIR / "corpus" / "keywords.yaml", Keywords)


def keyword_names(domain):
    """Return the names of the keywords of "weather" or "humor" in the order of the file."""
    return list(load().plain[domain])


@cache
def senses():
    """Return {form in lower case: [Sense, …]}."""
    rules, table = load().values, {}
    for domain in ("weather", "humor"):
        for keyword, rule in getattr(rules, domain).items():
            when = pattern(rule.when, rules.shorthands) if rule.when else None
            never = pattern([*rules.names, *rule.never], rules.shorthands)
            for sure, items in ((True, rule.sure), (False, rule.unsure)):
                for form in (form for item in items for form in forms(item)):
                    table.setdefault(form, []).append(Sense(keyword, domain, sure, when, never))
    return table


def forms(item):
    """Return the words of an item: "rain -s -ed" -> [rain, rains, rained]."""
    stem, *endings = item.split()
    return [stem, *(stem + ending.removeprefix("-") for ending in endings)]


def pattern(sources, shorthands):
    """Return the alternation of `sources` as a compiled regular expression; <…> becomes the word in question between NUL characters."""
    whole = "|".join(f"(?:{source})" for source in sources)
    for name, meaning in shorthands.items():
        whole = whole.replace(f"{{{name}}}", meaning)
    return re.compile(re.sub(r"<([^<>]*)>", lambda match: "\0(?:" + (match[1] or "[^\0]+") + ")\0", whole), re.I)


def matched_keywords(text):
    """Return the keywords, sorted, that a word of the text stands for in their sense of weather or humour."""
    plain, table, found = text.translate(STRAIGHT), senses(), set()
    places = [(*match.span(), sense) for match in WORD.finditer(plain) for sense in table.get(match[0].lower(), ())]
    for start, end, sense in places:
        if sense.keyword not in found and counts(plain, start, end, sense):
            found.add(sense.keyword)
    for start, end, sense in places:
        if (sense.keyword not in found
                and any(other.sure and other.domain == sense.domain and together(plain, start, first) and counts(plain, first, last, other)
                        for first, last, other in places)
                and not sense.never.search(in_context(plain, start, end))):
            found.add(sense.keyword)
    return sorted(found)


def counts(plain, start, end, sense):
    """True when the word at a place has this sense by itself: a sure form or a `when` around it, and no `never`."""
    if not sense.sure and sense.when is None:
        return False
    around = in_context(plain, start, end)
    return (sense.sure or sense.when.search(around) is not None) and sense.never.search(around) is None


def in_context(plain, start, end):
    """Return a word between NUL characters with the text around it."""
    return f"{plain[max(0, start - AROUND_CHARS):start]}\0{plain[start:end]}\0{plain[end:end + AROUND_CHARS]}"


def together(plain, a, b):
    """True when two places are near each other and no sentence ends between them."""
    low, high = min(a, b), max(a, b)
    return high - low <= TOGETHER_CHARS and SENTENCE_END.search(plain, low, high) is None
