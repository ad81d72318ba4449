"""Why a text is kept out: each check gives a reason in snake_case, or None. Thresholds stand in configs/data_config.yaml."""
import re
from collections import Counter
from functools import cache, lru_cache

from weatherman.corpus.clean import BOILERPLATE
from weatherman.corpus.language import is_language

# Chat templates' own marks (Llama 2 and 3, Mistral, ChatML, Gemma, Qwen, GLM): as text they would end a turn in training.
CONTROL_TOKEN = re.compile(r"<\|[^|<>\n]{1,40}\|>|\[/?(?:INST|SYS|TOOL_CALLS|TOOL_RESULTS|/?AVAILABLE_TOOLS|gMASK)\]|<</?SYS>>"
                           r"|</?(?:s|unk|pad|bos|eos|think|tool_call|tool_response|start_of_turn|end_of_turn)>", re.I)
# Slurs in any use: a model must not learn to say them, whoever says them in the book. Words that also mean something
# harmless, and terms of the period that were not insults, are not here; mild oaths stay.
SLUR = re.compile(r"\b(?:n[i1]gg(?:er\w*|ah?s?|uhs?|uz)|dark(?:y|ey|ies|eys)|pickaninn(?:y|ies)|half-?breeds?|chinam[ae]n|japs?|kikes?"
                  r"|wetbacks?|gooks?|fagg?ots?|fags?|trann(?:y|ies)|retards?|retarded|towelheads?|ragheads?)\b", re.I)
REMOVED = re.compile(r"^\W*(?:deleted|removed)(?: by \w+)?\W*$", re.I)
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")


def reject_reason(text, sizes, seed):
    """Return why a passage is kept out, None when it is good. sizes: the configuration's `cleaning`."""
    words = text.split()
    if len(words) < sizes.min_words:
        return "too_short"
    if len(words) > sizes.max_words:
        return "too_long"
    if (reason := unfit(text)) is not None:
        return reason
    if sum(any(c.isalpha() for c in word) for word in words) < sizes.min_word_share * len(words):
        return "symbol_heavy"
    letters = [c for c in text if c.isalpha()]
    if sum(c.isupper() for c in letters) > sizes.max_capital_share * len(letters):
        return "mostly_capitals"
    if repeated_share(words) > sizes.max_repeated_share:
        return "repetitive"
    return None if is_language(text, sizes.language, seed) else "not_english"


def headline_reject_reason(title, sizes, seed):
    """Return why a headline is kept out, None when it is good."""
    words = title.split()
    if not words:
        return "empty_title"
    if REMOVED.match(title):
        return "removed_post"
    if len(words) < sizes.headline_min_words:
        return "too_short"
    if len(words) > sizes.headline_max_words:
        return "too_long"
    if (reason := unfit(title)) is not None:
        return reason
    if sum(any(c.isalnum() for c in word) for word in words) < sizes.min_word_share * len(words):
        return "symbol_heavy"
    # Capitals On Every Word look like names to both detectors: small letters get a second hearing.
    if len(words) >= sizes.language_min_words and not any(is_language(form, sizes.language, seed) for form in (title, title.lower())):
        return "not_english"
    return None


def unfit(text):
    """Return the reason that one word is enough for: control_tokens, boilerplate, slur; else None."""
    if CONTROL_TOKEN.search(text):
        return "control_tokens"
    if any(BOILERPLATE.search(paragraph) for paragraph in text.split("\n\n")):
        return "boilerplate"
    return "slur" if SLUR.search(text) else None


def repeated_share(words):
    """Return the share of the characters that the most frequent run of three words covers (Gopher, Rae et al. 2021, A1.1)."""
    runs = Counter(zip(words, words[1:], words[2:]))
    run, count = max(runs.items(), key=lambda item: (item[1] * sum(map(len, item[0])), item[0]), default=((), 0))
    return count * sum(map(len, run)) / max(1, sum(map(len, words))) if count > 1 else 0.0


@lru_cache(maxsize=100_000)
def stem(word):
    """Return the Porter stem of a lower-case word."""
    return _stemmer().stem(word)


@cache
def _stemmer():
    from nltk.stem.porter import PorterStemmer
    return PorterStemmer()


def matched_keywords(text, keywords):
    """Return the configured keywords, sorted, of which the text has a word with the same stem. keywords: {domain: words}."""
    stems = {stem(word.lower()) for word in WORD.findall(text)}
    return sorted({word for words in keywords.values() for word in words if stem(word) in stems})
