"""What can be asked about one English sentence, in its own words: patterns that are sure, and nothing where none fits.

No tagger and no model: the words of configs/dialogue/question_words.yaml, and what the text itself teaches of its words.
"""
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import cache
from types import SimpleNamespace

from paths import CONFIGS_DIR
from weatherman.corpus.language import common_words, is_plain
from weatherman.dialogue.phrases import capital

WORDS = CONFIGS_DIR / "dialogue" / "question_words.yaml"
NAME_WORDS = 5
PLAIN_CHARS = 20_000              # of a text, by which its language is told
WORD = r"[^\W\d_][\w'’-]*"
NAMED = r"[A-Z][\w’'-]*\.?(?: (?:of|the|de|von|van|la|[A-Z][\w’'-]*\.?|[IVX]+)){0,4}"
MONTH = "(?:January|February|March|April|May|June|July|August|September|October|November|December)"
SEASON = "(?:the (?:spring|summer|autumn|winter|year) of )?"
TIME = (rf"(?:(?:[Ii]n|[Ss]ince|[Bb]y|[Aa]fter|[Bb]efore|[Aa]round) {SEASON}(?:{MONTH} )?(?:1\d{{3}}|20\d\d)"
        rf"|[Oo]n (?:the )?(?:\d{{1,2}}(?:st|nd|rd|th)? (?:of )?{MONTH}|{MONTH} \d{{1,2}})(?:,? \d{{4}})?)\b")
THING = re.compile(r"\b(?P<article>[Tt]he|[Aa]n?|[Yy]our|[Oo]ur|[Ee]ach|[Ee]very) (?P<before>[a-z][\w-]* )?(?P<noun>[a-z][a-z-]{3,})"
                   r"(?=[.;:!?)]|,? (?:and|or) (?:the|an?)\b|, (?:the|but|which|who|where|when|so|because)\b"
                   r"| (?:of|in|on|at|is|are|was|were|to|for|with|from|by|has|have|had|must|should|can|may|will|which|that)\b)")
NO_NOUN = re.compile(r".*(?:ed|er|s|ing|ly)$")  # the second word behind an article may be a verb: "the fan switches on"
PROPER = re.compile(r"(?:(?P<first>^)|(?<=[\w,;] ))[A-Z][a-z’'-]{2,}(?: (?:[A-Z][a-z’'-]+|[A-Z]\.|\d+))*")
POSSESSIVE = re.compile(r"[’']s?$")


@dataclass(frozen=True)
class Speech:
    """What one text teaches of its words. small: those it writes small somewhere; names: those with a capital inside a sentence;
    nouns: those that stand alone behind an article; where: {thing or name: numbers of the sentences that speak of it}."""

    english: bool
    small: frozenset
    names: frozenset
    nouns: frozenset
    where: dict


@cache
def words():
    """Return configs/dialogue/question_words.yaml: sets of words by name, `has` as a dict, and the patterns made of them."""
    from config_loader import load_config
    from weatherman.text_schemas import QuestionWords
    plain = load_config(WORDS, QuestionWords).plain
    found = SimpleNamespace(**{key: set(value.split()) for key, value in plain.items() if isinstance(value, str)}, has=plain["has"])
    article = "|".join(f"[{word[0].upper()}{word[0]}]{word[1:]}" for word in plain["articles"])
    subject = rf"(?P<s>(?:{article}) {WORD}(?: (?:{WORD}|\d+)){{0,4}}?|{NAMED}|[A-Z]{WORD}(?: {WORD})?)"
    has = "|".join([*plain["has"], *plain["has"].values(), "must", "should", "may", "cannot", "can"])
    past = f"(?:[a-z]+ed|{'|'.join(plain['past'].split())})"
    found.article = re.compile(article)
    found.being = re.compile(rf"{subject} (?P<be>is|are|was|were) (?P<rest>.+)", re.S)
    found.having = re.compile(rf"{subject} (?P<has>{has})\b")
    found.deed = re.compile(rf"(?P<s>{NAMED}) (?P<deed>{past}\b [^,;.]+)")
    found.happened = re.compile(rf"\b(?:{past}|was|were)\b")
    found.done = rf"(?P<done>[a-z]+(?:ed|en|lt|wn|nt)|{'|'.join(plain['participles'].split())})\b(?P<mid>[^,.;]{{0,40}}?)"
    found.placed = re.compile(rf"(?:next to|{'|'.join(found.places)})\b(?! (?:{'|'.join(found.no_places)})\b)")
    found.defined = re.compile(rf"(?:a|an|one of|any|the (?:{'|'.join(found.defining)}))\b")
    found.pronoun = re.compile(rf"\b(?:{'|'.join(found.loose)})\b")
    return found


def learn_speech(sentences):
    """Return the Speech of the sentences of one text."""
    text = " ".join(sentences)
    speech = Speech(is_plain(re.findall(WORD, text[:PLAIN_CHARS].lower().replace("’", "'")), "en"),
                    frozenset(re.findall(r"\b[a-z][\w'’-]*", text)), frozenset(re.findall(r"(?<=[a-z,;] )[A-Z][\w'’-]*", text)),
                    frozenset(match["noun"] for match in THING.finditer(text) if not match["before"]), defaultdict(set))
    for number, sentence in enumerate(sentences):
        for thing, _ in things_of(sentence, speech):
            speech.where[thing].add(number)
    return speech


def ask(sentence, speech):
    """Yield (kind, slots of its phrases) for what can be asked about a sentence, the loosest last."""
    for pattern in (ask_being, ask_who, ask_clause, ask_properties, ask_time, ask_about):
        yield from pattern(sentence, speech)


def stands_alone(sentence):
    """True for a sentence that can be understood without the one before it: no leaning word or quotation opens it."""
    return sentence[:1].isupper() and first_word(sentence) not in words().leaning


def goes_on(sentence):
    """True for a sentence that says more of what the one before it spoke of."""
    return first_word(sentence) in words().going_on


def first_word(text):
    return re.match(r"[\w'’-]*", text)[0]


def as_subject(text, speech):
    """Return a subject as it stands inside a sentence, None for what is none: a clause, a pronoun, a word that leans on others."""
    found = text.lower().split()
    return None if set(found) & words().no_subject or found[-1] in ("of", "the", "a", "an") else inside(text, speech)


def inside(text, speech):
    """Return a text as it stands inside a sentence: its first letter small where its first word is no name.

    None where that cannot be told: a single capital that the text writes nowhere else.
    """
    first, _, others = text.partition(" ")
    known_small = first.lower() in common_words("en") and first not in speech.names
    if words().article.fullmatch(first) or first.lower() in speech.small or known_small:
        return text[:1].lower() + text[1:]
    return text if first in speech.names or others[:1].isupper() else None


def is_name(subject):
    """True for what is written as somebody's name: two to NAME_WORDS words with capitals."""
    found = subject.split()
    return 2 <= len(found) <= NAME_WORDS and all(word[0].isupper() for word in found) and not subject.isupper() and "." not in found[-1]


def ask_being(text, speech):
    """"X is a Y", "X is called Y", "X is in Y", "X was built in 1886 by Z"."""
    match = words().being.match(text)
    subject = match and as_subject(match["s"], speech)
    if not subject:
        return
    facts, rest = {"s": subject, "be": match["be"]}, match["rest"]
    if re.match(r"(?:also )?(?:called|known as|named)\b", rest):
        yield "called", facts
    elif rest.startswith("made of "):
        yield "made_of", facts
    elif words().placed.match(rest):
        yield "place", facts
    elif match["s"] not in speech.names and words().defined.match(rest):  # a single name may be a person's or a thing's
        yield ("person" if is_name(match["s"]) else "definition"), facts
    for kind, how in (("done_when", TIME), ("done_by", rf"by (?:the )?(?!{MONTH}){NAMED}")):
        if passive := re.match(f"{words().done} {how}", rest):
            middle = "" if re.search(rf"\bby\b|{TIME}", passive["mid"]) else passive["mid"].rstrip()
            yield kind, {**facts, "done": passive["done"] + middle}


def ask_who(text, speech):
    """"Mary Anning found the skeleton."."""
    match = words().deed.match(text)
    if match and is_name(match["s"]) and not words().pronoun.search(match["deed"]) and 3 <= len(match["deed"].split()) <= 14:
        yield "who", {"deed": match["deed"].rstrip()}


def ask_time(text, speech):
    """"In 1811 …", "… on 4 July 1811"."""
    match = re.search(TIME, text)
    if match and words().happened.search(text):
        yield "time", {"time": match[0][:1].lower() + match[0][1:], "Time": capital(match[0])}


def ask_clause(text, speech):
    """"If …, …", "When …, …", "To …, …", "… because …"."""
    opened = re.match(r"(If|When|To) ([^,;:.]+), (?!and |or |but )", text)
    if opened and not words().pronoun.search(opened[2]) and len(opened[2].split()) >= 2:
        word, clause = opened.groups()
        if word == "To" and not re.match(r"(?:the|an?|some|be|most|many)\b", clause):
            yield "how_to", {"act": clause}
        elif word != "To":
            yield word.lower(), {"clause": clause}
    reason = re.match(r"(?!If|When|To|Only|Just|Not|Do\b)([^,;:.]+?),? because (?!of )", text)
    clause = reason and not words().pronoun.search(reason[1]) and inside(reason[1], speech)
    if clause and len(clause.split()) >= 3:
        yield "reason", {"clause": clause, "Clause": reason[1]}


def ask_properties(text, speech):
    """"X contains …", "X must …"."""
    match = words().having.match(text)
    subject = match and as_subject(match["s"], speech)
    if subject and match["has"] in ("must", "should", "may", "cannot", "can"):
        yield "must", {"s": subject}
    elif subject:
        singular = words().has.get(match["has"])
        yield "has", {"s": subject, "does": "does" if singular else "do", "base": singular or match["has"], "has": match["has"]}


def ask_about(text, speech):
    """One or two things or names that the text speaks of together nowhere else."""
    found = sorted(things_of(text, speech), key=lambda item: len(speech.where[item[0]]))[:2]
    together = set.intersection(*(speech.where[thing] for thing, _ in found)) if found else ()
    if len(together) == 1:
        yield "about", {"things": " and ".join(shown for _, shown in found)}


def things_of(text, speech):
    """Return [(thing, how a question names it)] of a sentence: nouns behind an article that are not everyday words, and names."""
    found = {}
    for match in THING.finditer(text):
        before, noun = (match["before"] or "").strip(), match["noun"]
        if before and noun not in speech.nouns:  # which of the two is the noun?
            if before in speech.nouns:
                before, noun = "", before
            elif NO_NOUN.match(noun):
                continue
        if {before, noun, noun.removesuffix("s")} & words().times or noun in common_words("en") or {before, noun} & words().no_subject:
            continue
        article = "the" if match["article"].lower() not in ("a", "an") else "an" if (before or noun)[0] in "aeio" else "a"
        found.setdefault(noun, f"{article} {before} {noun}" if before else f"{article} {noun}")
    names = (POSSESSIVE.sub("", match[0]) for match in PROPER.finditer(text) if is_proper(match, speech))
    return list((found | {name: name for name in names}).items())


def is_proper(match, speech):
    """True for a name inside a sentence, or of several words at its beginning; months and days are none."""
    first, _, others = match[0].partition(" ")
    return (match["first"] is None or others != "") and not {first.lower(), others.lower()} & words().times \
        and first.lower() not in speech.small | words().no_subject and not words().article.fullmatch(first)
