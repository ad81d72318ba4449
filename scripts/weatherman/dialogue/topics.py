"""The subjects of a text: what a prompt may ask about because the text speaks of it."""
import math
import re
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cache, lru_cache

from paths import CONFIGS_DIR

SUBJECTS = CONFIGS_DIR / "dialogue" / "subjects.yaml"
MAX_TOPICS = 3
MAX_WEIGHT = 5.0   # of one mention: a word rarer than one text in 150 (e^5) is not preferred further
NAME_SHARE = 0.8   # of its occurrences inside sentences a word must be capitalised to be a name
PLACE_SHARE = 0.4  # of its occurrences a name must stand behind a preposition of place to be a place
HALF_SHARE = 0.6   # of its occurrences a name must stand before another to be half a name
BOTH_SHARE = 0.15  # as often as it stands small a word must stand with a capital to be a name as well
THE_SHARE = 0.3    # of its occurrences a name must stand behind "the" to need it
COUNTED_SHARE = 0.1  # of its occurrences a noun must stand behind "a" to be one that is counted
VERB_SHARE = 0.01  # of its occurrences a word must stand behind "will" and the like to be a verb as well
COMMON_TEXTS = 6   # a word that the tagger's lexicon does not know must stand in so many texts to be a word at all, and no dialect
PROSE_TOKENS = 60  # of a text that has its articles: headlines leave them out
MASS_SHARE, MASS_SEEN = 0.01, 12  # a noun seen so often that stands behind "a" less than that is a mass: "about mustard"
NOUN_TAGS = ("NN", "NNS")
TOKEN = re.compile(r"(?:[A-Z]\.){2,}|(?:Mr|Mrs|Dr|St|Prof|Capt|Col|Gen)\.|[^\W\d_]+(?:['-](?!s\b)[^\W\d_]+)*|'s\b|"
                   r"\d[\w,.:]*(?:-\w+)*|--|[^\w\s]")
LONGER = re.compile(r"[^\W\d_]{4,}")
STRAIGHT = str.maketrans("’", "'")
LOCATIVES = {"in", "at", "near", "from", "above", "below", "to"}
AUXILIARIES = set("will would can could shall should may might must cannot can't won't don't didn't doesn't couldn't do did "
                  "does".split())
PREFIXES = {"New", "San", "Santa", "Fort", "Mount", "Salt", "Los", "Las"}  # of places
TITLES = set("Mr Mrs Dr St Mr. Mrs. Dr. St. Miss Captain Colonel Judge Aunt Uncle General Governor Sir".split())


@dataclass(frozen=True)
class Words:
    """What a corpus teaches of words.

    nouns: {noun: weight of one mention, the logarithm of texts a text that has it}; counted, mass: nouns that often stand behind "a",
    and nouns that hardly ever do; verbs: words that can be one; lower: words that text in sentence case writes small.
    names, places, people: words written with a capital, those that are places, and the others; pairs: two of them side by side;
    halves: names that seldom stand alone ("Kanye"); with_the: names that stand behind "the" ("NFL");
    both: small words that are names as well ("apple").
    """

    nouns: dict
    counted: frozenset
    mass: frozenset
    verbs: frozenset
    lower: frozenset
    names: frozenset
    places: frozenset
    people: frozenset
    pairs: frozenset
    halves: frozenset
    with_the: frozenset
    both: frozenset


@cache
def lists():
    """Return configs/dialogue/subjects.yaml with each list of words as a set."""
    from config_loader import load_config
    from weatherman.text_schemas import Subjects
    return {key: frozenset(" ".join(words).split()) for key, words in load_config(SUBJECTS, Subjects).plain.items()}


@lru_cache(maxsize=8)  # the subjects, names, weather and tone of one text are looked for one after the other
def tagged(text):
    """Return [(word, part of speech)] with Penn Treebank tags. Source: pattern's rule-based tagger in textblob; nothing is downloaded."""
    return [(word, tag_of(word, first=number == 0)) for number, word in enumerate(TOKEN.findall(text.translate(STRAIGHT)))]


@cache
def tag_of(word, first):
    """Return the tag of a word. The tagger looks at nothing around it but for one thing: it reads a first word in small letters too."""
    known = _tagger().lexicon.get(word)
    return known or _tagger().find_tags([word] if first else ["", word])[-1][1]


def in_lexicon(word):
    return word in _tagger().lexicon


@cache
def _tagger():
    from textblob.en import parser
    return parser


def in_title_case(text):
    """True for a headline that capitalises every longer word, so that a capital says nothing of a name."""
    longer = LONGER.findall(text)
    return sum(word[0].isupper() for word in longer) > 0.7 * len(longer)


def learn_words(texts):
    """Return the Words of a corpus (texts: iterable of str)."""
    follows = {kind: Counter() for kind in ("title", "headline", "prose")}  # {(word, the next one): how often}
    texts_with, texts = Counter(), list(texts)
    for text in texts:
        titled = in_title_case(text)
        tokens = TOKEN.findall((text.lower() if titled else text).translate(STRAIGHT))
        follows["title" if titled else "prose" if len(tokens) >= PROSE_TOKENS else "headline"].update(zip([".", *tokens], tokens))
        texts_with.update({word for word in tokens if word.islower()})
    weights = {word: min(MAX_WEIGHT, math.log((len(texts) + 1) / count)) for word, count in texts_with.items()
               if len(word) > 2 and "'" not in word and tag_of(word, False) in NOUN_TAGS
               and (count >= COMMON_TEXTS or in_lexicon(word) or in_lexicon(word.removesuffix("s")))}
    return Words(nouns=weights, **names_of(follows["headline"] + follows["prose"]), **habits_of(follows, weights))


def names_of(follows):
    """Return the parts of Words that capitals tell. follows: {(word, next word): count} of text in sentence case."""
    small, capital, located, with_the, first, before_name, pairs = (Counter() for _ in range(7))
    for (before, word), count in follows.items():
        if word.islower():
            small[word] += count
        elif word[0].isupper() and "'" not in word and (before[0].isalpha() or before == ","):
            capital[word] += count
            located[word] += count * (2 if before in ("in", "near") else before in LOCATIVES)
            with_the[word] += count * (before.lower() == "the")
            if before[0].isupper():
                before_name[before] += count
                if count > 1 and tag_of(before.lower(), False) in (*NOUN_TAGS, "JJ", "RB", "VBN", "VBG"):
                    pairs[before, word] += count
        first[before] += count
    names = frozenset(word for word, count in capital.items() if count > 1 and count >= NAME_SHARE * (count + small[word.lower()]))
    places = frozenset(name for name in names if located[name] >= max(2, PLACE_SHARE * capital[name]))
    people = frozenset(name for name in names - places - lists()["not_people"] if tag_of(name, False) != "JJ")
    return {"lower": frozenset(small), "names": names, "places": places, "people": people, "pairs": frozenset(pairs),
            "both": frozenset(word.lower() for word, count in capital.items() if count > BOTH_SHARE * small[word.lower()]),
            "with_the": frozenset(name for name in names if with_the[name] >= THE_SHARE * capital[name]),
            "halves": frozenset(name for name in names if before_name[name] >= HALF_SHARE * first[name])}


def habits_of(follows, nouns):
    """Return the parts of Words that articles and auxiliaries tell. follows: {kind of text: {(word, next word): count}}."""
    seen, auxiliary, in_prose, with_a = Counter(), Counter(), Counter(), Counter()
    for kind, counts in follows.items():
        for (before, word), count in counts.items():
            seen[word] += count
            auxiliary[word] += count * (before in AUXILIARIES)
            if kind == "prose":
                in_prose[word] += count
                with_a[word] += count * (before in ("a", "an"))
    return {"counted": frozenset(word for word in nouns if with_a[word] >= max(3, COUNTED_SHARE * in_prose[word])),
            "mass": frozenset(word for word in nouns if in_prose[word] >= MASS_SEEN and with_a[word] < MASS_SHARE * in_prose[word]),
            "verbs": frozenset(word for word in seen if word.islower() and (
                auxiliary[word] and auxiliary[word] >= VERB_SHARE * seen[word] or tag_of(word, False).startswith("VB")))}


def noun_phrases(tokens, words):
    """Yield (phrase, head, tag of the head) for each noun of tagged tokens that is a thing: ("steamboat landing", "landing", "NN")."""
    at, vague = 0, lists()["vague"]
    while at < len(tokens):
        run = at
        while run < len(tokens) and tokens[run][1] in NOUN_TAGS and tokens[run][0] in words.nouns:
            run += 1
        if run == at:
            at += 1
            continue
        head, tag = tokens[run - 1]
        starts = [tag for _, tag in tokens[max(0, at - 2):at]]
        cut_off = run < len(tokens) and (tokens[run][1] in ("NN", "NNS", "NNP") or tokens[run][0] in ("-", "'"))
        if not cut_off and head not in vague and (tag == "NNS" or {"DT", "PRP$", "POS"} & set(starts)):
            modifiers = [word for word, part in tokens[max(at, run - 2):run - 1]
                         if part == "NN" and not (word in vague or word.endswith("est"))]
            yield " ".join([*modifiers, head]), head, tag
        at = run


@cache
def stem(word):
    """Return the stem of a word in lower case (Porter 2)."""
    return _stemmer().stem(word.lower())


@cache
def _stemmer():
    from nltk.stem import SnowballStemmer
    return SnowballStemmer("english")


def passage_topics(text, words, favoured=frozenset()):
    """Return ["the raft", "the steamboat landing", "Tom Sawyer"]: up to three things and at most one name, the most telling first.

    All stand in `text`. favoured: words (a title's) that count threefold. What is said once is taken only where nothing is said twice.
    """
    tokens, counts, forms, tags = tagged(text), Counter(), defaultdict(Counter), {}
    for phrase, head, tag in noun_phrases(tokens, words):
        counts[head] += 1
        forms[head][phrase] += 1
        tags[head] = tag
    first = {head: number for number, head in enumerate(counts)}
    scores = {head: counts[head] * words.nouns[head] * (3 if head in favoured else 1) for head in counts}
    ranked = sorted(counts, key=lambda head: (-scores[head], first[head]))
    ranked = list({stem(head): head for head in reversed(ranked)}.values())[::-1]  # of "tariff" and "tariffs" the better one
    heads = [head for head in ranked if counts[head] > 1 or head in favoured] or ranked[:2]
    names = passage_names(text, words)
    lower = text.lower()
    things = [thing(forms[head].most_common(1)[0][0], tags[head], lower) for head in heads]
    return [*things[:MAX_TOPICS - bool(names)], *names[:1]]


def thing(phrase, tag, lower):
    """Return a noun phrase as a prompt names it: plurals that the text never calls "the …" without an article."""
    return phrase if tag == "NNS" and f"the {phrase}" not in lower else f"the {phrase}"


def passage_names(text, words):
    """Return the people (and whatever else has a name and is no place) that a text names at least twice, the most frequent first."""
    found, run = Counter(), []
    for word, _ in [*tagged(text), (".", ".")]:
        if word in words.people and not word.isupper() or word in TITLES or word in PREFIXES:
            run.append(word)
            continue
        name = " ".join(run)
        if run and run[-1] in words.people and not set(run) & PREFIXES and (len(run) > 1 or run[0] not in TITLES) and word != "-":
            found[name] += 1
        run = []
    for short in [name for name in found if any(name != other and name in other.split() for other in found)]:
        longer = max((other for other in found if short in other.split() and other != short), key=lambda other: found[other])
        found[longer] += found.pop(short)
    return [name for name, count in found.most_common() if count >= 2 and name in text and len(name.split()) <= 3
            and f"the {name}" not in text and f"The {name}" not in text]


def passage_place(text, words):
    """Return a place that the text names behind a preposition of place, the most frequent; None without one."""
    found = Counter(match[1] for match in re.finditer(r"\b(?:in|at|from|near|to|above|below) ((?:(?:New|St\.|San|Santa|Fort|Mount|Salt) )?"
                                                      r"[A-Z][a-z]{3,}(?: City)?)\b(?! [A-Z])", text)
                    if (" " in match[1] or match[1] in words.places) and match[1] not in lists()["not_people"])
    return next((place for place, _ in found.most_common(1)), None)


def passage_weather(text, weather_words, words):
    """Return "the storm" for the weather word that stands as a noun most often in the text in its sense of weather; None without one."""
    from weatherman.corpus.keywords import matched_keywords
    meant = set(matched_keywords(text)) & set(weather_words)
    found = Counter(head for _, head, _ in noun_phrases(tagged(text), words) if head in meant)
    return next((f"the {word}" for word, _ in found.most_common(1)), None)
