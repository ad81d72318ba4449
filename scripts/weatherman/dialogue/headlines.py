"""What a headline is about, said without giving the headline away. Where a headline can be read in two ways, nothing is said of it."""
import re
from typing import NamedTuple

from weatherman.dialogue.topics import (
    AUXILIARIES,
    MAX_WEIGHT,
    NOUN_TAGS,
    PREFIXES,
    STRAIGHT,
    TITLES,
    TOKEN,
    in_lexicon,
    in_title_case,
    lists,
    stem,
    tag_of,
)

MAX_SHARE = 0.45  # of a headline's longer words that its topics may tell
LONG_CHARS = 4    # letters of a longer word
MAX_WORDS = 4     # of a topic
WORD = re.compile(r"[^\W\d_]+(?:[’'-][^\W\d_]+)*")
CONTRACTED = re.compile(r"'(?:s|t|m|d|ll|re|ve)$", re.I)
LITTLE = {"PRP", "PRP$", "DT", "IN", "EX", "WDT", "WP", "WRB", "CC", "TO"}  # tags of words that are no names
PARTICLES = {"up", "out", "off", "down", "away", "back"}
BE = {"am", "are", "be", "is", "was", "were"}
RELATIVE = {"who", "that", "which"}
INSIDE = re.compile(r"[\w,;][\"'”’]* *$")  # what stands before a word that does not begin a sentence
SOURCE = re.compile(r"\s(?:[|–—]|-+)\s(?:[\w.&']+ ?){1,4}$")  # "… | Fox News"
BEHIND_VERBS = set("a an the this these those it his her their its your my our him them me us himself herself itself".split())
AN = re.compile(r"(?:[aeio]|u(?!ni|se|su|ti|ra|k\b)|hour|honest|heir)(?!ne\b|nce\b|uro)", re.I)
PUNCTUATION = {"&": "&", "-": "-", "/": "-", "*": "-", ",": ",", ".": ",", ";": ",", ":": ","}
QUOTE_ENDS = ("'", "’", "”", '"')
QUOTES = set("‘“\"'")
# Chunks of the letters that `letter` gives, whole: no part of a compound, nor of what goes on with a hyphen, "&" or a number; a noun
# before what may be a verb is not told from half a compound, so only names stand there.
CHUNK = re.compile(r"(?<![-&ANPMo])(?!(?<=D)A*N)(?:M+(?=V)|A*(?:[NM][&o]?)*(?:N(?![-&VNMPA])|M(?![-&VNMPoDA])|P(?![-&VAN])))")


class Token(NamedTuple):
    """A word of a headline: where it stands, as a sentence would write it, its tag; a name keeps its capital and has the tag "NAME"."""

    start: int
    end: int
    word: str
    tag: str


END = Token(0, 0, "", "")


def headline_topics(text, words):
    """Return [(topic as the headline has it, topic as a sentence takes it)]: one or two things or names that a headline is about.

    The first is what it begins with, the other the most telling of the rest; [] when none can be told without telling all. The form
    for a sentence ("a barber", "hair", "Kanye West") is None where the corpus does not tell how.
    """
    story = story_of(text, words)
    longer = len(long_words(story))
    found = [chunk for whole in noun_chunks(tokens_of(story, words), words)
             if (chunk := trimmed(whole, words)) and quoted_whole(story, chunk[0].start, chunk[-1].end)]
    chosen, told = [], 0
    for chunk in found[:1] + sorted(found[1:], key=lambda chunk: -weight(chunk, words)):
        topic = story[chunk[0].start:chunk[-1].end]
        telling = len(long_words(topic))
        if told + telling <= MAX_SHARE * longer and not any(shared(topic, other) for other, _ in chosen):
            told += telling
            chosen.append((topic, in_prose(chunk, words)))
    return chosen[:2]


def long_words(text):
    return [word for word in re.findall(r"[^\W\d_]+", text) if len(word) >= LONG_CHARS]


def quoted_whole(text, start, end):
    """True unless a quotation begins or ends with the words from `start` to `end` and goes on beyond them."""
    opens = re.search(r"(?:^|[\s(])['‘“\"]$", text[:start]) is not None
    closes = re.match(r"[”\"]|(?<!s)['’](?!\w)", text[end:]) is not None
    return text[end:end + 1] in QUOTE_ENDS if opens else not closes


def shared(topic, other):
    return set(map(stem, topic.split())) & set(map(stem, other.split()))


def story_of(text, words):
    """Return a headline without what stands around its story: "Video: At Last: Man Sleeps All Day | Fox News" is "Man Sleeps All Day".

    A name before the colon belongs to the story: it is who speaks.
    """
    text = SOURCE.sub("", text)
    *front, story = re.split(r"[:!]\s+", text)
    if not front or len(story.split()) < 4:
        return text
    named = any(word in words.names or word.lower() not in words.lower for word in WORD.findall(front[-1]))
    return text if named and len(front) == 1 and front[0] not in lists()["sections"] else story


def tokens_of(text, words):
    """Return the Tokens of a headline."""
    plain = sentence_case(text, words).translate(STRAIGHT)
    found = []
    for match in TOKEN.finditer(plain):
        word = match[0]
        little = not word.isupper() and tag_of(word.lower(), False) in LITTLE or word == "I" or CONTRACTED.search(word)
        name = word[0].isalpha() and word != word.lower() and not little
        found.append(Token(*match.span(), word, "NAME" if name else "CD" if word[0].isdigit() else tag_of(word, False)))
    return found


def noun_chunks(tokens, words):
    """Return the lists of Tokens that are adjectives, nouns and names side by side; what may hold a verb, or is cut, is left out."""
    letters = "".join(letter(*three, words) for three in zip([END, *tokens], tokens, [*tokens[1:], END]))
    return [tokens[match.start():match.end()] for match in CHUNK.finditer(letters)]


def letter(before, token, after, words):
    """Return what a token is to CHUNK: A adjective, N noun, P plural, M name, o "of" between names, V what may be a verb behind a noun,
    D number, "&", "-" and "," as they are, else x."""
    word, tag, behind_noun = token.word, token.tag, before.tag in (*NOUN_TAGS, "NAME")
    if word in PUNCTUATION:
        if before.end == token.start and token.end == after.start and len(before.word) > 1:
            return "-"  # "example.com"
        return "M" if word == "." and len(before.word) == 1 and before.tag == "NAME" else PUNCTUATION[word]
    if tag == "NAME":
        doubtful = word not in words.names and not word.isupper() and (word.endswith(("ed", "ing", "s")) or before.word in BE)
        return "-" if doubtful else "A" if word not in PREFIXES and in_lexicon(word) and tag_of(word, False) == "JJ" else "M"
    if word == "and" and behind_noun and after.tag in (*NOUN_TAGS, "NAME"):
        return "-"  # "rock and roll"
    if word == "of" and before.tag == after.tag == "NAME":
        return "o"
    if word in lists()["empty_adjectives"]:
        return "-" if before.word in QUOTES else "x"
    if tag == "JJ" or "-" in word and after.tag in NOUN_TAGS:
        return "x" if before.word in RELATIVE else "A"
    if tag in ("VB", "VBP"):
        return "V" if before.tag == "NN" else "x"
    if tag not in NOUN_TAGS or not word[0].isalpha() or is_verb(token, before, after, words):
        return "D" if tag == "CD" else "x"
    if tag == "NNS" and not known_plural(word, words) and (behind_noun or before.tag == "RB" or before.word in RELATIVE):
        return "V" if behind_noun else "x"
    return "P" if tag == "NNS" else "N"


def is_verb(token, before, after, words):
    """True for what is tagged as a noun and is a verb for what stands around it: "to brew", "will function", "crashes kids"."""
    if before.word in AUXILIARIES or before.tag == "PRP":
        return True
    if after.word in BEHIND_VERBS and (token.tag == "NNS" or may_be_verb(token.word, words)):
        return True
    if after.word in PARTICLES and may_be_verb(token.word.removesuffix("s"), words):
        return True
    if token.tag == "NN" and (before.word == "to" or before.tag in ("NNS", "RB")):
        return may_be_verb(token.word, words) or before.word == "to" and not in_lexicon(token.word)
    return token.tag == "NNS" and before.tag == "RB" and before.word.endswith("ly")


def known_plural(word, words):
    """True for a plural that is no verb's -s form as far as the corpus tells."""
    singular = word[:-2] if word.endswith(("ches", "shes", "sses", "xes")) else word[:-1]
    return singular in words.nouns and not may_be_verb(singular, words)


def may_be_verb(word, words):
    """True for a word that the corpus has behind "will" and the like, or with -ed."""
    return word in words.verbs or not {f"{word}ed", f"{word}d", f"{word}{word[-1]}ed"}.isdisjoint(words.lower)


def trimmed(chunk, words):
    """Return a chunk without the adjectives before a mere name; None for one that says too little, too much, or half a name."""
    plain = [token for token in chunk if token.tag != "JJ"]
    chunk = plain if all_names(plain) else chunk
    head = chunk[-1]
    if len(chunk) > MAX_WORDS or len(chunk) == 1 and len(head.word.strip(".")) < 2 + (head.tag != "NAME"):
        return None
    nouns = chunk[-1:] if all_names(chunk) else [token for token in chunk if token.tag != "JJ"]
    if any(token.word.lower() in lists()["vague"] for token in nouns):
        return None
    if all_names(chunk):
        half = len(chunk) == 1 and head.word in words.halves
        return None if half or {token.word for token in chunk} <= lists()["not_people"] else chunk
    if any(first.tag in NOUN_TAGS and second.tag == "NAME" for first, second in zip(chunk, chunk[1:])):
        return None  # "kid Adolf"
    gerund = any(token.tag in NOUN_TAGS and token.word.endswith("ing") and token.word not in words.counted for token in chunk)
    return None if gerund or head.tag != "NAME" and head.word not in words.nouns else chunk


def all_names(chunk):
    return all(token.tag == "NAME" or token.word in (".", "of") for token in chunk)


def weight(chunk, words):
    """Return how telling a chunk is; names have nearly the weight of the rarest noun."""
    return MAX_WEIGHT - 1 if all_names(chunk[-1:]) else words.nouns[chunk[-1].word]


def in_prose(chunk, words):
    """Return a chunk as a sentence takes it, with "a" where its noun is counted; None where the corpus does not tell how."""
    head, text = chunk[-1], " ".join(token.word for token in chunk)
    if all_names(chunk):
        known = all(token.word in words.names or token.word.endswith(".") for token in chunk)
        usable = known and not head.word.isupper() and head.word not in words.with_the
        return text.replace(" .", ".") if usable else None
    small = [token.word for token in chunk if token.tag != "NAME"]
    if any(word in words.both or word not in words.lower or word.endswith("est") for word in small):
        return None
    if head.tag == "NN" and head.word in words.counted:
        return f"{'an' if AN.match(text) else 'a'} {text}"
    return text if head.tag == "NNS" or len(chunk) == 1 and head.word in words.mass else None


def sentence_case(text, words):
    """Return a headline with capitals on names only: the corpus tells which words are. What is new behind a name belongs to it."""
    titled, named, behind = in_title_case(text), -2, ""  # named: where the last name ends; behind: the word before

    def is_name(match):
        word, small = match[0], match[0].lower()
        ahead = WORD.match(text, match.end() + 1)
        if word in words.names or len(word) > 1 and word.isupper() and small not in words.lower:
            return True
        verb_s = small.endswith("s") and small[:-1] in words.nouns
        if match.start() == named + 1 and not verb_s and (
                behind in words.halves or small not in words.lower and small not in words.verbs):
            return True
        return (titled and small not in words.lower and not in_lexicon(small) or (behind, word) in words.pairs
                or ahead and ((word, ahead[0]) in words.pairs or word in PREFIXES and ahead[0] in words.names))

    def lowered(match):
        nonlocal named, behind
        word, first = match[0], not INSIDE.search(text, max(0, match.start() - 4), match.start())
        initial = (len(word) == 1 or word in TITLES) and text[match.end():match.end() + 1] == "."
        if "-" not in word and word[0].isupper() and word != "I" and (initial or is_name(match)):
            named, behind = match.end() + initial, word
            return word
        behind = word
        return word.lower() if "-" in word or titled or first and word.lower() in words.lower else word
    return WORD.sub(lowered, text)
