"""What a chat record is about and how it sounds, by rules from its text, its source and its persona.

How a reader labels, and so what the rules are to find:
    tone    The Onion is satirical and r/nottheonion ironic: the two words name the headline desks and nothing else.
            Twain is humorous where he means to amuse, by irony and satire too, else neutral: he tells or describes.
            Franklin is didactic where he teaches (a maxim, a lesson, a method, an argued opinion), else neutral: he relates what happened;
            humorous only where he plainly jokes.
            The web is didactic where it instructs its reader, humorous in a comic column, else neutral.
    domain  weather where the weather matters in the text; else humor where the text is there to amuse; else general.
A joke of Franklin's and a comic column of the web's are too rare to have a rule: they come out as neutral or didactic. What amuses in
Twain is mostly a situation, which words only hint at: of unseen passages of his books the rule labels two in three as a reader does.
The rules count to a hundred words, so that a saying and a page are judged alike.
"""
import re
from functools import cache

from paths import CONFIGS_DIR
from weatherman.corpus.keywords import WORD, senses
from weatherman.dialogue.topics import tagged

TONES = CONFIGS_DIR / "dialogue" / "tones.yaml"
# Set on excerpts of the corpus labelled by the guideline (280 of Twain, 70 of Franklin, 50 of the web) and on tests/labelled/tags.tsv:
AMUSING_POINTS = 2.5   # to a hundred words, from which a text of Twain's amuses
TELLING_SHARE = 0.6    # of the verbs speak of what holds, where Franklin teaches and a page may instruct
DIRECTIONS = 1.5       # to a hundred words, from which a page instructs
WORDS_A_MENTION = 80   # the weather matters in a text that mentions it at least once in so many words
CLIPPED_PAST = re.compile(r"'[dt]$")  # publish'd, as Franklin spells it
SPOKEN = re.compile(r"'em\b|\w+(?:'\w+|[.,]\d+)*")
DIRECTION = re.compile(r"\byou (?:should|must|can|may|need|have to|want to|ought|will)\b|\b(?:make|be) sure\b", re.I)


def tags_of(passage, weather_words):
    """Return the tags of a record made from a Passage (dict). weather_words: the keywords of weather among its `matched_keywords`."""
    text = passage["text"].replace("’", "'")
    tone = tone_of(passage["source"], passage["persona"], text)
    domain = domain_of(text, set(passage["matched_keywords"]) & set(weather_words), tone)
    return {"persona": passage["persona"], "tone": tone, "domain": domain, "source": passage["source"]}


def domain_of(text, weather, tone):
    """Return "weather" for a text that keeps to it, else "humor" for one that means to be funny, else "general"."""
    if weather and mentions(text, weather) * WORDS_A_MENTION >= len(text.split()):
        return "weather"
    return "humor" if tone in ("humorous", "satirical", "ironic") else "general"


def mentions(text, keywords):
    """Return how many words of a text are forms of the keywords."""
    return sum(any(sense.keyword in keywords for sense in senses().get(word.lower(), ())) for word in WORD.findall(text))


def tone_of(source, persona, text):
    """Return "satirical", "ironic", "humorous", "didactic" or "neutral"."""
    if source.startswith("reddit"):
        return "satirical" if source == "reddit-theonion" else "ironic"
    if persona == "twain":
        return "humorous" if amusing_points(text) >= AMUSING_POINTS else "neutral"
    may_teach = persona == "franklin" or directions(text) >= DIRECTIONS
    return "didactic" if may_teach and present_share(text) >= TELLING_SHARE else "neutral"


def amusing_points(text):
    """Return the points that the words of configs/dialogue/tones.yaml give a text, to a hundred words."""
    return 100 * sum(points_of(word) for word in SPOKEN.findall(text.lower())) / len(text.split())


@cache  # a corpus says the same words again and again
def points_of(word):
    return next((weight for weight, words in point_words() if words.fullmatch(word)), 0)


@cache
def point_words():
    """Return [(weight, pattern of a word)] of configs/dialogue/tones.yaml, in which * stands for any letters and # for any number."""
    from config_loader import load_config
    from weatherman.text_schemas import Tones
    groups = load_config(TONES, Tones).plain.values()
    return [(group["weight"], re.compile(", ".join(group["words"]).replace("*", "[a-z]*").replace("#", r"\d[\d,.]*").replace(", ", "|")))
            for group in groups]


def present_share(text):
    """Return which share of the verbs (finite ones, infinitives, auxiliaries) speaks of what holds, not of what was; 0 without any."""
    past = present = 0
    for word, tag in tagged(text):
        if tag == "VBD" or CLIPPED_PAST.search(word) or word.lower() in ("would", "could", "might"):
            past += 1
        elif tag in ("VB", "VBP", "VBZ") or word.lower() in ("will", "shall", "must", "may", "can"):
            present += 1
    return present / (present + past) if present else 0.0


def directions(text):
    """Return how often a text directs its reader ("you should …", a sentence that begins with a verb), to a hundred words."""
    words = [(".", "."), *tagged(text)]
    commands = sum(tag == "VB" and before in ".!?:;" for (before, _), (_, tag) in zip(words, words[1:]))
    return 100 * (commands + len(DIRECTION.findall(text))) / len(text.split())
