"""Words that keep a text out, by grade. The words stand in configs/corpus/graded_words.yaml, which explains each grade."""
import codecs
import re
from dataclasses import dataclass
from functools import cache, lru_cache

from paths import CONFIGS_DIR
from weatherman.corpus.keywords import forms

WORD = re.compile(r"[^\W\d_]+")
EDGES = ".,;:?\"'()[]“”‘’—…"
ODD = re.compile(r"[a-z@$!|][\d*@$!|#+%-]+[a-z\d*@$]|([a-z])\1\1")  # f*ck, sh1t, a$$hole, f--k, fuuuck
APART = re.compile(r"(?<!\w)(?:[a-z][ .\-_*]){3,}[a-z](?!\w)")  # f.u.c.k
LEET = str.maketrans("01345789@$!|+", "oieastbgasilt")
GAP = "[*#@%-]"                                               # stands for a letter left out


@dataclass(frozen=True)
class Graded:
    """words: {form: grade}; censored: {grade: pattern of forms with letters left out}; phrases: [(grade, cues, pattern)]."""

    words: dict
    censored: dict
    phrases: list


@cache
def load():
    """Return the Resolved configs/corpus/graded_words.yaml."""
    from config_loader import load_config
    from weatherman.text_schemas import GradedWords
    return load_config(CONFIGS_DIR / "corpus" / "graded_words.yaml", GradedWords)


@cache
def graded():
    """Return the Graded words with the ROT13 of the file undone."""
    values, words, censored, phrases = load().values, {}, {}, []
    for grade, rule in values.drop.items():
        found = {form for item in map(rot13, rule.words) for form in forms(item)} - set(values.mild)
        words.update(dict.fromkeys(found, grade))
        if found:
            censored[grade] = re.compile("|".join(map(censored_form, sorted(found))))
        if rule.phrases:
            cues = {form for item in map(rot13, rule.cues) for form in forms(item)}
            phrases.append((grade, cues, re.compile(r"\b(?:" + "|".join(map(rot13, rule.phrases)) + r")\b")))
    return Graded(words, censored, phrases)


def rot13(text):
    """Return text with its letters moved by 13, but not those behind a backslash: \\w stays \\w."""
    return re.sub(r"\\.|[^\\]+", lambda match: match[0] if match[0][0] == "\\" else codecs.encode(match[0], "rot13"), text)


def censored_form(form):
    """Return the pattern of a word with two or more letters of its inside, or one vowel, replaced by signs: f**k, n****r, sh*t."""
    signs = "".join(f"(?:{letter}|{GAP})" if letter in "aeiou" else letter for letter in form[1:-1])
    return f"{form[0]}{GAP}{{{max(1, len(form) - 2)}}}{form[-1]}|{form[0]}{signs}{form[-1]}"


def bad_grade(text):
    """Return the grade for which a text is dropped (the first found), None when it holds no such word."""
    known, lower = graded(), text.lower()
    words = set(WORD.findall(lower))
    if not known.words.keys().isdisjoint(words):
        return next(known.words[word] for word in WORD.findall(lower) if word in known.words)
    tokens = list(filter(ODD.search, dict.fromkeys(lower.split())))
    for token in [*tokens, *(re.sub("[^a-z]", "", match[0]) for match in APART.finditer(lower))]:
        if (grade := disguised_grade(token.strip(EDGES))) is not None:
            return grade
    return next((grade for grade, cues, phrase in known.phrases if not cues.isdisjoint(words) and phrase.search(lower)), None)


@lru_cache(maxsize=10_000)
def disguised_grade(token):
    """Return the grade of a word written with signs, digits or too many letters; None when it is no such word."""
    known = graded()
    plain = re.sub(r"[^a-z]", "", token.translate(LEET))
    for spelling in (plain, re.sub(r"(.)\1\1+", r"\1", plain), re.sub(r"(.)\1\1+", r"\1\1", plain)):
        if spelling in known.words and "-" not in token:
            return known.words[spelling]
    return next((grade for grade, censored in known.censored.items() if censored.fullmatch(token)), None) if re.search(GAP, token) else None
