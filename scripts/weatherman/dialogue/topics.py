"""The subject words of a text: what a prompt may ask about because the text speaks of it."""
import re
from collections import Counter

MAX_TOPICS = 3
DETERMINER = r"(?:the|a|an|his|her|our|my|their|your|this|that|these|those|every|no)"
# A noun stands between a determiner and a word that cannot follow an adjective.
BEHIND_NOUN = (r"(?=\s+(?:of|in|was|were|is|are|had|has|that|which|who|to|at|on|with|from|for|by|when|could|would|did|came|went|began|said|"
               r"stood|lay|ran)\b|[.;:!?])")
NOUN = re.compile(rf"\b{DETERMINER}\s+([a-z]{{4,}}){BEHIND_NOUN}", re.I)
TITLE = r"(?:Mr|Mrs|Miss|Dr|Captain|Colonel|Judge|Aunt|Uncle|General|Governor|Sir|St)\.? "
NAME = re.compile(rf"(?<=[a-z,;] )((?:{TITLE})?[A-Z][a-z]+(?: [A-Z][a-z]+){{0,2}})\b")
PLACE = re.compile(r"\b(?:in|at|from|near|to|above|below) ((?:(?:New|St\.|San|Fort|Lake|Mount|Virginia|Salt) )?[A-Z][a-z]{3,}(?: City)?)\b")
NOT_NAMES = set("""
    I Mr Mrs Miss Dr God Lord Heaven Providence Monday Tuesday Wednesday Thursday Friday Saturday Sunday January February March April
    May June July August September October November December English French Spanish Indian Indians German American Americans Chinese
    Christian Christmas Sir Captain Colonel Judge Aunt Uncle General Governor Oh Well Yes No Why What Bible Majesty King Queen Gen Capt
    Col Lieut Two Three Four Five Six Seven Eight Nine Ten Union Latter Now Then But And For The This That There Here You He She They We
    My Your His Her
""".split())
VAGUE = set("""
    other others same thing things time times first last next rest best worst least most more way ways kind sort part place moment
    minute hour night morning evening afternoon year years month week days side sides back head hand hands face eyes mind word words
    matter case end bottom middle reason fact idea whole world life people sake number course manner one ones such very left right past
    present future former latter means power use subject great little good long general rather together account else name names sense
    point half pair lot deal heap while start effect chance truth result order line piece opinion question answer mine said body show
    wrong even here there know like need dead down been were some want foot feet being going coming having second third many much
    several four five eight nine twelve twenty thirty forty hundred thousand dollars miles yards kinds they them done this that morrow
    ought ever born small weak fine southern northern richest will dark look turn romantic respect pity white above flat chief trouble
    range
""".split())
GEOGRAPHY = set("Lake River City Street House Island Mountain Creek County Valley State States Territory North South East West".split())


def passage_topics(text):
    """Return ["the river", "the captain", "Tom Sawyer"]: up to three things and people, most frequent first, all found in `text`."""
    nouns = {match[1].lower() for match in NOUN.finditer(text)} - VAGUE
    places_of = {noun: [match.start() for match in re.finditer(rf"\b{noun}\b", text)]  # none for a name: it is never in lower case
                 for noun in nouns if not noun.endswith(("ly", "ed", "ing", "self"))}
    things = sorted((noun for noun in places_of if places_of[noun]), key=lambda noun: (-len(places_of[noun]), places_of[noun]))
    things = [noun for noun in things if len(places_of[noun]) > 1] or things[:2]
    places = {match[1] for match in PLACE.finditer(text)}
    names = Counter(match[1] for match in NAME.finditer(text) if not set(re.findall(r"\w+", match[1])) & (NOT_NAMES | GEOGRAPHY)
                    and not any(place in match[1] or match[1] in place for place in places)
                    and not re.search(rf"\b{match[1].lower()}\b|\b[Tt]he {match[1]}\b", text))
    people = [name for name, count in sorted(names.items(), key=lambda item: (-item[1], text.index(item[0]))) if count >= 2]
    return [*(f"the {noun}" for noun in things[:MAX_TOPICS - 1 if people else MAX_TOPICS]), *people[:1]]


def passage_place(text):
    """Return a place that the text names behind a preposition of place more than once, None without one."""
    found = Counter(match[1] for match in PLACE.finditer(text) if match[1].split()[0] not in NOT_NAMES)
    return next((place for place, count in found.most_common(1) if count >= 2), None)


def passage_weather(text, weather_words):
    """Return "the storm" for the weather word that stands as a noun most often in the text, None without one."""
    found = Counter()
    for word in weather_words:
        found[word] = len(re.findall(rf"\b(?:the|a|of)\s+{re.escape(word)}\b{BEHIND_NOUN}", text, re.I))
    word, count = max(found.items(), key=lambda item: item[1], default=(None, 0))
    return f"the {word}" if count else None


SMALL = set("""
    about above after again against almost along already also although always among another around because been before behind being
    below between both came come could does doing done down during each else even ever every five following four from gets getting goes
    going gone have having here himself herself into just know last less like made make makes many might more most much must myself need
    never next none only other others over part people really said same says shall should since some someone still such take takes
    taking than that their them then there these they thing things this those three through told took under until upon very want wants
    well went were what when where which while whom whose will with within without would year years your yours today tonight tomorrow
    video first back report reports reported tells asks finds wins gives keeps calls turns looks claims admits announces reveals unveils
    apologizes introduces launches releases accused arrested charged found dies named called used left sues urges warns thinks isn't
    doesn't won't can't don't that's it's he's she's they're you're we're i'm i've didn't wasn't aren't couldn't wouldn't totally
    actually completely entire finally nation's enough least despite alongside afford announce recommend according allegedly instead
    across beyond toward towards
""".split())


def headline_words(text):
    """Return one to three content words of a headline in its order and spelling, the longest ones; [] when there is none.

    Words in -ing, -ed and -ly are mostly verbs and adverbs and left out: the words should name what it is about.
    """
    words = re.findall(r"(?<![\w-])[^\W\d_][\w’'-]*", text)
    content = [word for word in words if len(word) >= 4 and word.lower().replace("’", "'") not in SMALL
               and not word.lower().endswith(("ing", "ed", "ly", "n't", "n’t")) and not re.search(r"[’'](s|S)?$", word)]
    chosen = sorted(dict.fromkeys(content), key=lambda word: -len(word))[:3 if len(words) > 12 else 2]
    return sorted(chosen, key=words.index)
