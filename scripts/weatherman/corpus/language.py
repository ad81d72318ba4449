"""Which language a text is in: its common words first, py3langid where they are few, langdetect (seeded) where py3langid is unsure.

Names and dialect mislead detectors, so a text is judged by what is in it: each stretch of about 20 words is asked, and a text goes
only when too large a share of it is in another language. That also finds a text that changes its language half-way.
"""
import re
from functools import cache

from paths import CONFIGS_DIR

WORD = re.compile(r"[^\W\d_]+(?:'[^\W\d_]+)*")
STRETCH_WORDS = 20      # about one sentence; a text below twice as many is asked as a whole
COMMON_SHARE = 0.3      # share of common words from which a stretch needs no detector: prose has 0.4-0.7, headlines 0.2-0.6
FOREIGN_LETTERS = 0.08  # share of letters outside ASCII from which common words are not enough: "the" is also Vietnamese
# py3langid's probability of the language, in capitals as written or in small letters. Measured on stretches of 6-60 words in 280
# languages: the highest was 0.12, so SURE is English. Of 10,610 such stretches 0.1 % pass below (Hmong, Trukese); of 18,949 headlines
# 13 are rejected, 9 of them not English.
SURE = 0.15
UNSURE = 0.035
FOREIGN_SHARE = 0.25    # of a text's words that may stand in foreign stretches: a quotation, a list of names


@cache
def common_words(language):
    """Return the frequent words of a language as a set in lower case; empty for one that configs/corpus/languages.yaml lacks."""
    from config_loader import load_config
    from weatherman.text_schemas import Languages
    return frozenset(load_config(CONFIGS_DIR / "corpus" / "languages.yaml", Languages).plain["common_words"].get(language, ()))


@cache
def _identifier():
    from py3langid.langid import MODEL_FILE, LanguageIdentifier
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def is_language(text, language, seed):
    """True when at most FOREIGN_SHARE of the words stand in stretches that are not in `language` (ISO 639-1)."""
    text = text.replace("’", "'")
    words = [word.lower() for word in WORD.findall(text)]
    count = max(1, len(words) // STRETCH_WORDS)
    bounds = [len(words) * n // count for n in range(count + 1)]
    thin = [(first, last) for first, last in zip(bounds, bounds[1:]) if not is_plain(words[first:last], language)]
    if not thin:
        return True
    places = [match.span() for match in WORD.finditer(text)]
    foreign = sum(last - first for first, last in thin
                  if first == last or not detected(text[places[first][0]:places[last - 1][1]], words[first:last], language, seed))
    return bool(words) and foreign <= FOREIGN_SHARE * len(words)


def is_plain(words, language):
    """True when enough of the words (in lower case) are common ones of the language."""
    known = common_words(language)
    common = [word for word in words if word in known]
    if len(common) < max(2, COMMON_SHARE * len(words)) or len(set(common)) < 2:
        return False
    letters = "".join(words)
    return letters.isascii() or sum(not c.isascii() for c in letters) < FOREIGN_LETTERS * len(letters)


def detected(text, words, language, seed):
    """True when the detectors take a stretch of text, `words` its words in lower case, for `language`."""
    common = any(word in common_words(language) for word in words)
    forms = (text.lower(), text)  # small letters first: Capitals On Every Word look like names
    if any(_identifier().classify(form)[0] == language for form in forms):
        return True
    probability = max(dict(_identifier().rank(form))[language] for form in forms)
    if UNSURE <= probability < SURE:
        return common or second_opinion(text.lower(), seed) == language
    return probability >= SURE


def second_opinion(text, seed):
    """Return langdetect's answer, None when it finds nothing to judge (no letters)."""
    from langdetect import DetectorFactory, LangDetectException, detect
    DetectorFactory.seed = seed
    try:
        return detect(text)
    except LangDetectException:
        return None
