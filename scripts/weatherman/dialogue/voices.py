"""The voices of the tool dialogues: how each asks and answers, read from configs/dialogue/voices/NAME.yaml and checked.

A voice is complete for every scenario and all three personas, and goes whole into one split. Its sentences have slots for facts; what
a phrase must and may have, RULES says.
"""
import re
from dataclasses import dataclass

from config_loader import ConfigError
from paths import CONFIGS_DIR, show
from weatherman.dialogue.phrases import fill, load_phrases, slots
from weatherman.files import sha256_file

VOICES = CONFIGS_DIR / "dialogue" / "voices"
PERSONAS = ("neutral", "twain", "franklin")
FACTS = {"temp", "feels", "sky", "wind", "humidity", "low", "high", "chance", "rain", "warm", "cold", "wet", "windy"}
FELT, SKY, SPAN = {"cold", "cool", "warm", "hot"}, {"wet", "snowy"}, {"week", "fortnight"}
NOW_TAGS, AHEAD_TAGS = FELT | SKY | {"windy"}, SKY | {"cold", "hot"}


@dataclass(frozen=True)
class Rule:
    """What the phrases of a key hold. `needs`: groups of slots; every way to say the phrase has one slot of each group ("?week": or
    is said of a week only). `may`: further slots. `tags`: what its choices may ask for."""

    needs: tuple
    may: frozenset
    tags: frozenset

    @property
    def known(self):
        return self.may.union(*self.needs)


def _rule(needs="", may="", tags=()):
    return Rule(tuple(frozenset(group.split("|")) for group in needs.split()), frozenset(may.split()), frozenset(tags))


_PLACE, _DAY, _COUNT = "place|in_place|In_place", "day|Day|on_day|On_day", "n|number|?week|?fortnight"
_ERROR = _rule(may="city at reason place in_place In_place")
RULES = {
    "system": _rule("today"),
    "user.now": _rule("where", "in_unit"),
    "user.now_at": _rule("at|lat at|lon", "in_unit"),
    "user.ahead": _rule(f"where {_COUNT}", "in_unit", SPAN),
    "user.day": _rule("where day|on_day", "in_unit"),
    "user.compare": _rule("where other_where", "in_unit"),
    "user.no_place": _rule(may="n number day on_day in_unit", tags=SPAN),
    "user.names_place": _rule("where"),
    "user.next_day": _rule("day|on_day"),
    "user.next_place": _rule("where"),
    "user.next_fact": _rule(),
    "user.unit": _rule("Unit"),
    "user.correction": _rule("where", "wrong"),
    "user.impossible": _rule(),
    "user.impossible.past": _rule("where"),
    "user.impossible.too_far": _rule("where n"),
    "user.impossible.no_data": _rule("where"),
    "answers.now.open": _rule(f"{_PLACE} temp|sky|Sky", "feels wind humidity", NOW_TAGS),
    "answers.now.tell": _rule("temp|feels|sky|Sky|wind|humidity", tags=NOW_TAGS),
    "answers.now.remark": _rule(tags=NOW_TAGS),
    "answers.ahead.open": _rule(f"{_PLACE} {_COUNT}", tags=SPAN),
    "answers.ahead.line": _rule("day sky|Sky|low|high", "chance wind rain", SKY),
    "answers.ahead.tell": _rule("warm_day|warm_high|cold_day|cold_low|wet_day|windy_day",
                                "wet_chance windy_wind", AHEAD_TAGS),
    "answers.ahead.remark": _rule(tags=AHEAD_TAGS),
    "answers.day.open": _rule(f"{_PLACE} {_DAY} sky|Sky|high|low", "chance wind rain", NOW_TAGS),
    "answers.day.tell": _rule("sky|Sky|low|high|chance|wind|rain", tags=NOW_TAGS),
    "answers.day.remark": _rule(tags=NOW_TAGS),
    "answers.compare.tell": _rule("place|in_place|In_place temp other other_temp", "sky Sky other_sky feels wind other_feels other_wind"),
    "answers.compare.verdict": _rule("warmer|colder|?level", "warmer_temp colder_temp", {"level"}),
    "answers.corrected": _rule(may="place in_place In_place"),
    "answers.ask_place": _rule(),
    "answers.impossible": _rule(),
    "answers.impossible.past": _rule(may="place in_place In_place"),
    "answers.impossible.too_far": _rule(may="n place in_place In_place"),
    "answers.impossible.no_data": _rule(may="place in_place In_place"),
    "answers.error": _ERROR,
    "answers.way_on": _ERROR,
    "talk": _rule(),
    "knowledge": _rule(),
}


@dataclass(frozen=True)
class Phrase:
    """A parsed phrase. `slots`: all it may ask for; `facts`: the kinds of facts among them, e.g. wet for {wet_day} {wet_chance}."""

    parts: list
    slots: frozenset
    facts: frozenset

    def can_say(self, texts, tags=frozenset()):
        """Return whether every way to say it under these tags finds its slots in `texts`."""
        return self.slots <= texts.keys() or _sayable(self.parts, texts, tags)

    def say(self, rng, texts, tags=frozenset()):
        """Return the phrase filled, its choices drawn from `rng`."""
        return fill(self.parts, rng, texts, tags).strip()


@dataclass(frozen=True)
class Voice:
    """One voice; `phrases` is its file with every text a Phrase."""

    name: str
    weight: float
    phrases: dict
    sha256: str
    size: int


def load_voices(folder=VOICES):
    """Return the Voices of a folder by name. Raises ConfigError with file and key for every phrase that breaks its rule."""
    paths = sorted(folder.glob("*.yaml"))
    if not paths:
        raise ConfigError(f"{show(folder)}: there is no voice in it; expected NAME.yaml.", f"git status '{folder}'")
    return [load_voice(path) for path in paths]


def load_voice(path):
    """Return the Voice of one file. Raises ConfigError with file and key for every phrase that breaks its rule."""
    from weatherman.text_schemas import VoiceFile
    texts, phrases = load_phrases(path, VoiceFile)
    found = [f"{show(path)}: {key}: {problem}: {text!r}" for (key, text), (_, parts) in zip(walk(texts), walk(phrases))
             for problem in problems(key, parts)]
    if found:
        raise ConfigError("\n".join(found))
    return Voice(path.stem, texts["weight"], _phrases(phrases), sha256_file(path), path.stat().st_size)


def _phrases(value, inside_list=False):
    """Return `value` with every parsed text (a list of parts in a list) as a Phrase."""
    if isinstance(value, dict):
        return {name: _phrases(below) for name, below in value.items()}
    if isinstance(value, list) and not inside_list:
        return [_phrases(below, inside_list=True) for below in value]
    if isinstance(value, list):
        names = slots(value)
        return Phrase(value, frozenset(names), facts_of(names))
    return value


def facts_of(names):
    """Return the kinds of facts among slots: {"wet_day", "Sky", "place"} has wet and sky."""
    return frozenset(name.lower().split("_")[0] for name in names) & FACTS


def _sayable(parts, texts, tags):
    for part in parts:
        if isinstance(part, str):
            continue
        if part[0] == "slot":
            if part[1] not in texts:
                return False
        else:
            eligible = [below for tag, below in part[1] if tag in tags] or [below for tag, below in part[1] if tag is None]
            if not all(_sayable(below, texts, tags) for below in eligible):
                return False
    return True


def walk(value, key=""):
    """Yield (dotted key, phrase) for every phrase below `value`; list positions are no part of the key."""
    if isinstance(value, dict):
        for name, below in value.items():
            yield from walk(below, f"{key}.{name}" if key else name)
    elif isinstance(value, list) and value and isinstance(value[0], dict):
        for below in value:
            yield from walk(below, key)
    elif isinstance(value, list):
        for phrase in value:
            yield key, phrase


def rule_of(key):
    """Return the Rule of a dotted key: the persona in it does not matter, and the longest known beginning decides."""
    names = [name for name in key.split(".") if name not in PERSONAS]
    return next(RULES[".".join(names[:end])] for end in range(len(names), 0, -1) if ".".join(names[:end]) in RULES)


def problems(key, parts):
    """Return what is wrong with the slots and tags of a parsed phrase, one text a problem."""
    rule = rule_of(key)
    said = variants(parts)
    names = {name for way in said for name in way}
    tags = {name[1:] for name in names if name[0] == "?"}
    found = [f"{{{slot}}} is not known here" for slot in sorted(name for name in names - rule.known if name[0] != "?")]
    found += [f"the tag ?{tag} is not known here" for tag in sorted(tags - rule.tags)]
    found += [f"can be said without {' or '.join(f'{{{slot}}}' for slot in sorted(group) if slot[0] != '?')}"
              for group in rule.needs if any(not group & way for way in said)]
    if key.endswith((".open", ".tell")) and len({facts_of(way) for way in said}) > 1:
        found.append("tells a fact in some of its ways only")  # it would count as told in all of them
    return found + (["a brace without a slot"] if any(re.search(r"[{}]", text) for text in words(parts)) else [])


def variants(parts):
    """Return, for every way to say parsed parts, the set of its slots and of the tags ("?tag") it is said under."""
    said = {frozenset()}
    for part in parts:
        if isinstance(part, str):
            continue
        ways = {frozenset(part[1:])} if part[0] == "slot" else _choice_variants(part[1])
        said = {before | way for before in said for way in ways}
    return said


def _choice_variants(options):
    ways = set() if any(tag is None for tag, _ in options) else {frozenset()}
    for tag, below in options:
        ways |= {way | ({f"?{tag}"} if tag else set()) for way in variants(below)}
    return ways


def words(parts):
    """Yield the literal texts of parsed parts."""
    for part in parts:
        if isinstance(part, str):
            yield part
        elif part[0] == "choice":
            for _, below in part[1]:
                yield from words(below)
