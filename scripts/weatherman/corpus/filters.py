"""Why a text is kept out: each check gives a reason in snake_case, or None. Thresholds and their sources: configs/data_config.yaml.

The rules of Gopher, C4 and FineWeb that suit books of the 19th century, headlines and pages. Left out: those that drop good verse or
dialogue (FineWeb's share of short lines) and C4's "every line ends in punctuation, no curly bracket" (old texts have {1} for notes).
"""
import re
from collections import Counter

from weatherman.corpus import graded_words, language
from weatherman.corpus.boilerplate import is_boilerplate
from weatherman.corpus.hygiene import CONTROL_TOKEN
from weatherman.corpus.personal_data import find_personal_data

REMOVED = re.compile(r"^\W*(?:deleted|removed)(?: by \w+)?\W*$", re.I)
STOP_WORDS = {"the", "be", "to", "of", "and", "that", "have", "with"}  # Gopher, Rae et al. 2021, A1.1
SYMBOL = re.compile(r"#|…|\.\.\.")
BULLET = re.compile(r"^\s*(?:[•‣▪●◦*]|-\s)")
ELLIPSIS = re.compile(r"(?:…|\.\.\.)$")
ENDED = re.compile(r"[.!?:;…—,-][\"'”’»)\]}_*]*$")
CODE = re.compile(r"\{[^{}\n]*[:;=][^{}\n]*\}|\bfunction\s*\w*\([^)]*\)\s*\{|=>\s*\{|</?\w+(?:\s+\w+=[^>]*)?/?>|\blorem ipsum\b", re.I)
NOTICE = re.compile(
    r"\b(?:uses?|accept|allow|of) (?:all )?cookies\b|\bcookie (?:policy|settings|preferences|notice)\b|\bprivacy policy\b"
    r"|\b(?:enable|requires?|turn on|disabled) javascript\b|\bjavascript (?:is|must be|to be|has been) \w+abled\b|\ball rights reserved\b"
    r"|\bterms (?:of use|of service|and conditions) (?:and|apply)\b|\b(?:sign up|subscribe) (?:for|to) (?:our|the) newsletter\b", re.I)
NOTICE_CUES = ("cookie", "privacy", "javascript", "reserved", "terms of", "terms and", "newsletter")
MANY_LINES = 4  # shares of lines say something from here on


def reject_reason(text, sizes, seed):
    """Return why a passage is kept out, None when it is good. sizes: the configuration's `cleaning`."""
    words = text.split()
    if len(words) < sizes.min_words:
        return "too_short"
    if len(words) > sizes.max_words:
        return "too_long"
    return (unfit(text) or web_remnant(text) or (None if language.is_language(text, sizes.language, seed) else "not_english")
            or word_reason(text, words, sizes) or line_reason(text, sizes) or repetition_reason(words, sizes))


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
    if len(words) >= sizes.language_min_words and not language.is_language(title, sizes.language, seed):
        return "not_english"
    return None


def unfit(text):
    """Return the reason that one place in a text is enough for: control_tokens, personal_data, boilerplate, a grade; else None."""
    if CONTROL_TOKEN.search(text):
        return "control_tokens"
    if find_personal_data(text):
        return "personal_data"
    return "boilerplate" if any(map(is_boilerplate, text.split("\n\n"))) else graded_words.bad_grade(text)


def web_remnant(text):
    """Return code or web_notice for what C4 (Raffel et al. 2020) removes from pages: program text, filler, cookie and policy lines."""
    if ("{" in text or "<" in text or "ipsum" in text.lower()) and CODE.search(text):
        return "code"
    low = text.lower()
    return "web_notice" if any(cue in low for cue in NOTICE_CUES) and NOTICE.search(text) else None


def word_reason(text, words, sizes):
    """Return symbol_heavy, odd_word_length, no_stop_words or mostly_capitals when the words are not those of prose."""
    if len(SYMBOL.findall(text)) > sizes.max_symbol_share * len(words):
        return "symbol_heavy"
    if sum(word.isalpha() or any(map(str.isalpha, word)) for word in words) < sizes.min_word_share * len(words):
        return "symbol_heavy"
    if not sizes.min_mean_word_chars <= sum(map(len, words)) / len(words) <= sizes.max_mean_word_chars:
        return "odd_word_length"
    if len(STOP_WORDS & set(text.lower().split())) < sizes.min_stop_words:
        return "no_stop_words"
    capitals = sum(map(str.isupper, text))
    if capitals <= sizes.max_capital_share * sizes.min_word_share * len(words):  # there are more letters than words
        return None
    return "mostly_capitals" if capitals > sizes.max_capital_share * sum(map(str.isalpha, text)) else None


def line_reason(text, sizes):
    """Return bullet_list, cut_lines, unpunctuated or repeated_lines when the lines are not those of prose or verse."""
    lines = [line for line in text.split("\n") if line.strip()]
    if len(lines) < MANY_LINES:
        return None
    if sum(map(bool, map(BULLET.match, lines))) > sizes.max_bullet_share * len(lines):
        return "bullet_list"
    if sum(map(bool, map(ELLIPSIS.search, lines))) > sizes.max_ellipsis_share * len(lines):
        return "cut_lines"
    if sum(map(bool, map(ENDED.search, lines))) < sizes.min_ended_share * len(lines):
        return "unpunctuated"
    again = [line for line, count in Counter(lines).items() for _ in range(count - 1)]
    if (len(again) > sizes.max_repeated_lines * len(lines)
            or sum(map(len, again)) > sizes.max_repeated_line_chars * sum(map(len, lines))):
        return "repeated_lines"
    return None


def repetition_reason(words, sizes):
    """Return "repetitive" when runs of words repeat more than Gopher allows (Rae et al. 2021, table A1); else None."""
    if any(top_run_share(words, size) > limit for size, limit in zip((2, 3, 4), sizes.max_top_runs)):
        return "repetitive"
    for size, limit in zip(range(5, 11), sizes.max_repeated_runs):
        share = repeated_runs_share(words, size)
        if share > limit:
            return "repetitive"
        if not share:  # no run of five repeats, so none of six does
            break
    return None


def top_run_share(words, size):
    """Return the share of the characters in the most frequent run of `size` words, 0.0 when no run comes twice."""
    counts = Counter(zip(*(words[start:] for start in range(size))))
    most = max(counts.values(), default=0)
    if most < 2:
        return 0.0
    longest = max(sum(map(len, run)) for run, count in counts.items() if count == most)
    return most * longest / sum(map(len, words))


def repeated_runs_share(words, size):
    """Return the share of the characters that lie in runs of `size` words which come more than once; each character counts once."""
    runs = list(zip(*(words[start:] for start in range(size))))
    counts = Counter(runs)
    if len(counts) == len(runs):
        return 0.0
    inside = {at + n for at, run in enumerate(runs) if counts[run] > 1 for n in range(size)}
    return sum(len(words[at]) for at in inside) / sum(map(len, words))
