"""Sayings inside passages: Poor Richard's, and sentences that state what is so of everyone and always."""
import re

from weatherman.corpus.passages import sentence_splitter
from weatherman.dialogue.headlines import AN
from weatherman.dialogue.topics import lists, tagged

MIN_WORDS, MAX_WORDS = 5, 40
OF_SAYINGS = {"time", "life", "people", "men", "truth", "power", "habit", "habits", "pleasure", "pleasures", "memory", "hunger", "wish",
              "fear", "hope", "desire", "virtue", "fault", "faults", "business", "friend", "friends"}  # vague elsewhere
QUOTED = re.compile(r'"([^"]+)"')
GENERIC = re.compile(r"(?:No [a-z]+|Nothing|Nobody|Men|Man|People|Mankind|Human|Few|Everybody|Every|Never|Let|Whoever|One (?:must|may|"
                     r"can|never|should)|(?:He|Those|They|People|Men) (?:that|who)|There (?:is|are) no|It is \w+ (?:to|that))\b ")
PARTICULAR = re.compile(r"\b(?:I|me|my|mine|we|our|ours|us|she|her|they|them|their|this|these|here|now|today|yesterday|yet|then|ago|said|"
                        r"says|so|such|was|were|had|did|been|could|would|should|might|chapter|book)\b|[\d\[\]“”:_*]|--")
TIED = re.compile(r"(?:But|And|So|Then|For|Or|Yet|Nor)\b")
LINKING = re.compile(r"\b(?:is|are|has|have|does|do|will|can|may|must|cannot|never|always|ought|makes?|knows?|needs?|gets?|goes|comes?)\b")


def sayings(text):
    """Return the sayings of a passage, each a sentence or clause as it stands there, without the comma that ties it to the next."""
    found = [saying for quoted in QUOTED.findall(text) for saying in sentences(quoted)] if "Poor Richard" in text else []
    plain = re.sub(r"“[^”]*”|\"[^\"]*\"", "“”", text)
    found += [sentence for sentence in sentences(plain) if is_maxim(sentence)] if GENERIC.search(plain) else []
    return [saying for saying in dict.fromkeys(map(closed, found)) if MIN_WORDS <= len(saying.split()) <= MAX_WORDS
            and saying[0].isupper() and not TIED.match(saying) and not saying.endswith(("?", "that.", "be."))]


def sentences(text):
    """Return the sentences of a text, those of verse with their lines."""
    return [text[start:end] for start, end in sentence_splitter().span_tokenize(text)]


def closed(saying):
    """Return a saying that ends as a sentence does."""
    bare = saying.strip().rstrip(",;: ")
    return bare if bare[-1:] in ".!?" else f"{bare}."


def is_maxim(sentence):
    """True for a sentence in the present that speaks of no one in particular."""
    if not GENERIC.match(sentence) or PARTICULAR.search(sentence) or not LINKING.search(sentence) or not sentence.endswith("."):
        return False
    tags = [tag for _, tag in tagged(sentence)]
    return "VBD" not in tags and not {"NNP", "NNPS"} & set(tags[1:])


def saying_topic(saying, words):
    """Return what a saying is about: its first noun that is no vague word, with the article it has there ("a good master" gives
    "a master"), else None."""
    article = ""
    for number, (word, tag) in enumerate(tagged(saying)):
        noun = word if number or word in words.names else word.lower()
        known = noun.lower() in words.nouns and noun not in lists()["vague"] - OF_SAYINGS
        if known and tag in ("NN", "NNS", "NNP"):
            return with_article(article, noun) if tag == "NN" else noun
        article = noun if noun in ("a", "an", "the") else article if tag == "JJ" else ""
    return None


def with_article(article, noun):
    return f"{article} {noun}" if article == "the" else f"{'an' if AN.match(noun) else 'a'} {noun}" if article else noun
