"""Dialogues inside passages: two characters who speak in turn, with nothing but attribution between their words."""
import re
from dataclasses import dataclass

from weatherman.dialogue.topics import TITLES

MIN_TURNS = 4           # two of the user's, two of the assistant's
MAX_ASIDE_WORDS = 8     # outside the quotation marks of a turn, all of it attribution
MIN_SPOKEN_WORDS = 24   # of the assistant's turns together
SPEECH = re.compile(r"“([^“”]*)”")
SAID = (r"(?:said|says|asked|answered|replied|cried|exclaimed|whispered|shouted|called|returned|gasped|sobbed|added|continued|inquired|"
        r"murmured|muttered|groaned|observed|remarked|responded|went on|sings out|sung out)")
TITLE = r"(?:(?:Mr|Mrs|Miss|Aunt|Uncle|Injun|Judge|Captain|Mars)\.? )"
PROPER = rf"{TITLE}?[A-Z][a-z]+(?: [A-Z][a-z]+){{0,2}}"
WHO = re.compile(rf"(?:^|\W){SAID} ({PROPER}|I|the [A-Za-z]+\b(?![ -][A-Za-z]))\b|(?:^|\W)(the [A-Za-z]+|{PROPER}|I) {SAID}\b")
INTRODUCES = re.compile(rf"^[^“”]{{0,60}}\b{SAID}[^“”]{{0,20}}:$")
CALLED = re.compile(rf"(?:^|[,;.!?-] ?)({PROPER})(?=[,.!?;])")
NOT_CALLED = re.compile(r"\b(?:in|at|from|near|below|above|this is|ain't|St\.|[Tt]he(?: old)?) ([A-Z][a-z]+)")  # no one is
UNNAMED = {"other", "others", "first", "second", "old", "young", "little", "big", "latter", "former"}  # "the …" that names nobody


@dataclass(frozen=True)
class Exchange:
    """Turns in order, the user's first, an even number of them. mine: who the assistant speaks for, theirs: who the user; None: unknown."""

    turns: tuple
    mine: str | None
    theirs: str | None


def exchanges(text, names, max_turns):
    """Return the Exchanges of a passage. names: words that name people. Runs of more than `max_turns` are cut there."""
    found, names = [], names - set(NOT_CALLED.findall(text))
    for run in runs(text):
        for start in range(0, len(run), max_turns):
            piece = run[start:start + max_turns]
            piece = piece[:len(piece) // 2 * 2]
            speakers = speakers_of(piece, names) if len(piece) >= MIN_TURNS else None
            if speakers and sum(len(spoken.split()) for spoken, _ in piece[1::2]) >= MIN_SPOKEN_WORDS:
                found.append(Exchange(tuple(spoken for spoken, _ in piece), speakers[1], speakers[0]))
    return found


def runs(text):
    """Return [[(what is said, attribution), …], …]: neighbouring paragraphs that are speech, a new speaker in each."""
    found, run, introduction = [], [], ""
    for paragraph in [*text.split("\n\n"), ""]:
        turn = turn_of(paragraph)
        if turn:
            run.append((turn[0], f"{introduction} {turn[1]}".strip()))
            introduction = ""
        elif INTRODUCES.match(paragraph):
            introduction = paragraph
        else:
            found.append(run)
            run, introduction = [], ""
    return [run for run in found if len(run) >= MIN_TURNS]


def turn_of(paragraph):
    """Return (what is said, the words around it) when a paragraph is one speech with no more than attribution, else None."""
    aside = " ".join(SPEECH.sub(" ", paragraph).split())
    if not paragraph.startswith("“") or "“" in aside or "”" in aside or "\n" in paragraph or not is_attribution(aside):
        return None
    return " ".join(part.strip() for part in SPEECH.findall(paragraph)), aside


def is_attribution(aside):
    return not aside or len(aside.split()) <= MAX_ASIDE_WORDS and re.search(rf"\b{SAID}\b", aside) is not None


def speakers_of(turns, names):
    """Return [who has the first, third … turn, who has the others], None for one who is not named.

    A speaker is named by attribution, or else by what the other calls him. None instead of the list when nobody is named, when an
    attribution says that the turns do not alternate, or when a third person is named.
    """
    said, called = [set(), set()], [set(), set()]
    for number, (spoken, aside) in enumerate(turns):
        said[number % 2].update(known_name(name, names) for match in WHO.finditer(aside) for name in match.groups() if name)
        called[1 - number % 2].update(known_name(name, names) for name in CALLED.findall(spoken))
    for group in (*said, *called):
        group.discard(None)
    people = {name.split()[-1] for group in (*said, *called) for name in group if name != "I"}
    if said[0] & said[1] or called[0] & called[1] or len(people) > 2:
        return None
    speakers = [named(said[0], called[0]), named(said[1], called[1])]
    first, second = (set((name or "").split()) for name in speakers)
    return None if speakers[0] == speakers[1] or first & second - TITLES else speakers


def known_name(name, names):
    """Return a name from its first word that names somebody ("Then Tom" is "Tom"), None where there is none or only a title."""
    if name == "I" or name.startswith("the "):
        return name
    words = name.split()
    while words and words[0].rstrip(".") not in names | TITLES:
        words.pop(0)
    return " ".join(words) if words and words[-1] in names - TITLES else None


def named(said, called):
    """Return a speaker's name by attribution, else as the other calls him; None for "I", "the first" and where neither is known."""
    name = min(said or called, key=lambda name: (len(name), name), default=None)
    return None if name is None or name == "I" or name.startswith("the ") and name.split()[1] in UNNAMED else name
