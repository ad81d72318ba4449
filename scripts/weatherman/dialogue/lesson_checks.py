"""What is wrong with a teacher's answer. Each check returns None, "reason" or "reason: detail"; teacher.yaml says it in words."""
import difflib
import re
import threading

from weatherman.corpus.language import common_words, is_language
from weatherman.dialogue.topics import stem, tagged

SEED = 42           # of the language detector: the same text must get the same verdict in every run
QUOTED_WORDS = 8    # a prompt that shares so long a run of words with its answer gives it away
CONTENT_CHARS = 4   # shorter words are seldom what a text is about
WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)*")
NUMBER = re.compile(r"-?\d+(?:[.,:]\d+)*")
NAME = re.compile(r"(?<=[a-z,;] )[A-Z][\w’']+(?:-[\w’']+)*")  # capitalised, and not because a sentence begins
NUMBER_WORDS = {word: str(value) for value, word in enumerate((
    "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen").split(), 2)}
NUMBER_WORDS |= {word: f"{tens}0" for tens, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split(), 2)}
MARKUP = re.compile(r"<\|[^|<>]*\|>|</?s>|\[/?INST\]|<</?SYS>>|</?think>|<(?:start|end)_of_turn>|^#+ ?(?:Instruction|Response)\b", re.M)
PREAMBLE = re.compile(r"""^(?:(?:sure|certainly|of\ course|absolutely|okay|ok|great|understood)\b[,.:!]
    | here(?:[’']s|\ is|\ are)\ (?:an?|the|my|your|one)\b
    | you\ (?:were|are)\ asked\b | you\ answered\b | the\ assistant\ was\b
    | (?:the\ )?(?:user|person|prompt|request|message|question|instruction|answer|rewritten|plain|new)[\w ]{0,20}:)
    | \bas\ an?\ (?:AI|artificial|large\ language)\b | \b(?:AI|language)\ (?:assistant|model)\b
    | \bI(?:[’']m|\ am)\ (?:sorry|unable|not\ able)\b[^.]*\b(?:help|assist|provide|rewrite|write|comply|request)
    | \bI\ (?:can[’']?t|cannot|can\ not)\ (?:help|assist|provide|rewrite|comply|fulfil)""", re.I | re.X)
ABOUT_THE_TEXT = re.compile(r"""\b(?:this|that|the|your|following|given|above)
    \ (?:text|passage|excerpt|quotation|paragraph|answer|response|reply)\b""", re.I | re.X)
PERSONA_NAMES = {"twain", "clemens", "franklin"}
TITLES = {"mr", "dr", "mark", "samuel", "ben", "benjamin", *PERSONA_NAMES}  # how a person may address the assistant
_detecting = threading.Lock()  # langdetect sets itself up on first use, which two threads must not do at once


def tidy(text):
    """Return an answer without the white space and the quotation marks around it."""
    text = text.strip()
    for opening, closing in ('""', "“”"):
        if len(text) > 1 and text[0] == opening and text[-1] == closing and not set(text[1:-1]) & {opening, closing}:
            text = text[1:-1].strip()
    return text


def common_fault(text, source):
    """Return what is wrong with any answer: empty, markup, talk about the task (unless `source` itself talks so), another language."""
    if not text:
        return "empty"
    if MARKUP.search(text):
        return "tokens"
    if PREAMBLE.search(text) and not PREAMBLE.search(source):
        return "preamble"
    with _detecting:
        return None if is_language(text, "en", SEED) else "language"


def prompt_fault(text, answer, limits):
    """Return what is wrong with a prompt for `answer`. limits: teacher.yaml's `prompt`."""
    count = len(text.split())
    if count < limits["min_words"]:
        return "too_short"
    if count > limits["max_words"]:
        return "too_long"
    if "\n" in text:
        return "lines"
    if ABOUT_THE_TEXT.search(text):
        return "about_the_text"
    if runs(text) & runs(answer):
        return "quotes"
    known = small_words(answer)
    invented = [name for name in names(text) if not small_words(name) <= known | TITLES]
    invented += sorted(numbers(text) - numbers(answer))
    if invented:
        return f"invented: {', '.join(invented)}"
    subjects = {stem(word) for word in nouns(text)} - {stem(word) for word in limits["request_words"]}
    return None if subjects and len(subjects & stems(answer)) >= limits["min_known"] * len(subjects) else "off_topic"


def plain_fault(text, original, limits):
    """Return what is wrong with a plain version of `original`: a summary, a copy, names or numbers lost. limits: `restyle`."""
    return length_fault(text, original, limits) or lost_fault(text, original) or unchanged_fault(text, original, limits)


def wording_fault(text, record, limits):
    """Return what is wrong with another wording of the last answer of a record. limits: teacher.yaml's `rewrite`."""
    from weatherman.dialogue.grounding import ungrounded
    original = record["messages"][-1]["content"]
    fault = length_fault(text, original, limits) or lost_fault(text, original) or unchanged_fault(text, original, limits)
    if fault:
        return fault
    if PERSONA_NAMES & (small_words(text) - small_words(original)):
        return "persona"
    given = stems(" ".join(message["content"] for message in record["messages"] if message["role"] in ("user", "tool")))
    own, own_before = content_stems(text) - given, content_stems(original) - given
    if record["tags"]["persona"] != "neutral" and len(own) < limits["min_own"] * len(own_before):
        return "voice"
    findings = ungrounded([*record["messages"][:-1], {"role": "assistant", "content": text}], record["tools"])
    return f"ungrounded: {', '.join(findings)}" if findings else None


def length_fault(text, original, limits):
    """Return "too_short" or "too_long" for a text whose words are too few or many for those of `original`."""
    ratio = len(text.split()) / len(original.split())
    return "too_short" if ratio < limits["min_ratio"] else "too_long" if ratio > limits["max_ratio"] else None


def lost_fault(text, original):
    """Return "lost: …" when a name or number of `original` is not in the text."""
    said = small_words(text)
    lost = [name for name in names(original) if not small_words(name) & said]
    lost += sorted(numbers(original) - numbers(text))
    return f"lost: {', '.join(lost)}" if lost else None


def unchanged_fault(text, original, limits):
    """Return "unchanged" when too many words stand in the same order as in `original` (difflib's ratio)."""
    words = [[word.lower() for word in WORD.findall(version)] for version in (text, original)]
    same = difflib.SequenceMatcher(None, *words, autojunk=False).ratio()
    return "unchanged" if same > limits["max_similarity"] else None


def runs(text):
    """Return the set of all runs of QUOTED_WORDS words of a text."""
    words = [word.lower() for word in WORD.findall(text)]
    return {tuple(words[at:at + QUOTED_WORDS]) for at in range(len(words) - QUOTED_WORDS + 1)}


def names(text):
    """Return the capitalised words inside sentences that the text does not write small elsewhere, each once."""
    small = {word for word in WORD.findall(text) if word.islower()}
    bare = (re.sub(r"[’']s?$", "", match[0]) for match in NAME.finditer(text))
    return [name for name in dict.fromkeys(bare) if name.lower() not in small and not re.match(r"I[’']", name)]


def numbers(text):
    """Return the numbers of a text as digits: "12.5", and the words from two to ninety as "2" to "90"."""
    return set(NUMBER.findall(text)) | {NUMBER_WORDS[word] for word in map(str.lower, WORD.findall(text)) if word in NUMBER_WORDS}


def nouns(text):
    """Return the nouns of a text that are long enough to say what it is about."""
    return {word for word, tag in tagged(text) if tag.startswith("NN") and len(word) >= CONTENT_CHARS and WORD.fullmatch(word)}


def small_words(text):
    """Return the set of words of a text in lower case."""
    return {word.lower() for word in WORD.findall(text)}


def stems(text):
    """Return the stems of all words of a text."""
    return {stem(word) for word in small_words(text)}


def content_stems(text):
    """Return the stems of the words that say what a text is about: not common ones, not short ones."""
    return {stem(word) for word in small_words(text) - common_words("en") if len(word) >= CONTENT_CHARS}
