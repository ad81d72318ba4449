"""The voices: every file whole and within its rules, no sentence in two of them, and each rule with a phrase that breaks it.

Authors run this file; a failure names the voice, the key and the phrase.
"""
import re
from itertools import islice, product

import pytest

from config_loader import ConfigError
from weatherman.dialogue.leakage import SENTENCE_END, TEMPLATE_WORDS, skeleton
from weatherman.dialogue.phrases import load_phrases, parse
from weatherman.dialogue.voices import PERSONAS, VOICES, facts_of, load_voice, load_voices, problems, variants, walk
from weatherman.dialogue.weather_api import MONTHS, WEEKDAYS
from weatherman.text_schemas import VoiceFile

FILES = sorted(VOICES.glob("*.yaml"))
MAX_WAYS = 600  # ways to say a phrase that are looked at
NUMBERS = "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"
UNSAID = re.compile(rf"\d|\b(?:{'|'.join((*NUMBERS.split(), *WEEKDAYS, *MONTHS[:4], *MONTHS[5:]))}|today|tomorrow|yesterday)\b", re.I)
CONDITION = re.compile(r"\b(?:rain\w*|snow\w*|sun|sunny|sunshine|cloud\w*|overcast|fog\w*|storm\w*|thunder\w*|lightning|hail|sleet|"
                       r"drizzl\w*|shower\w*|clear|mist|misty|umbrellas?|blizzard|haz[ey]\w*|frost\w*)\b", re.I)
WET_WORDS, SNOW_WORDS = {"umbrella", "umbrellas"}, {"snow", "umbrella", "umbrellas"}
LATER = re.compile(r"\b(?:will|tomorrow|tonight|later|weekend|week|going to|forecast|next|coming)\b", re.I)
FACTS = {"now.tell": ("temp", "feels", "sky", "wind", "humidity"), "ahead.tell": ("warm", "cold", "wet", "windy")}


def test_there_are_voices():
    assert FILES, "configs/dialogue/voices/ holds no voice yet"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_voice_keeps_to_the_rules(path):
    load_voice(path)
    found = faults(path)
    assert not found, "\n".join(found)


def test_no_sentence_of_four_words_stands_in_two_voices():
    found = shared(FILES)
    assert not found, "\n".join(found)


# --- what is checked --------------------------------------------------------------------------------------------------

def faults(path):
    """Return what is wrong with the wording of a voice file, one text a fault."""
    texts, parsed = load_phrases(path, VoiceFile)
    found = []
    for (key, text), (_, parts) in zip(walk(texts), walk(parsed)):
        found += [f"{key}: {fault}: {text!r}" for fault in wording(key, parts)]
    for persona in PERSONAS:
        for key, facts in FACTS.items():
            part, _, name = key.partition(".")
            alone = {kinds for parts in parsed["answers"][persona][part][name] for kinds in map(facts_of, variants(parts))}
            found += [f"answers.{persona}.{key}: none tells {{{fact}…}} alone" for fact in facts if frozenset({fact}) not in alone]
    return found


def wording(key, parts):
    """Yield what is wrong with the words of one phrase."""
    is_answer = key.startswith(("answers.", "talk.", "knowledge.")) and not key.endswith(".user")
    claims = key.startswith("answers.")
    for text in {said for said, _ in ways(parts)}:
        text = text.strip()
        if "  " in text or re.search(r" [,.;:!?](?!\.)", text) or ".." in text.replace("...", "") or re.search(r"[.!?],", text):
            yield f"spaces or stops are wrong in {text!r}"
        if is_answer and text and not key.endswith((".line", "ahead.open")) and not re.search(r"([.!?]|\{reason\})[”\")]?$", text):
            yield f"{text!r} does not end as a sentence"
    if is_answer:
        for text, tags in ways(parts):
            bare = re.sub(r"\{\w+\}", "", text)
            if not claims or ".impossible." in key:
                bare = re.sub("14[- ]days?", "", bare)
            yield from {f"says {match[0]!r}, which only a slot may" for match in UNSAID.finditer(bare)}
            allowed = SNOW_WORDS if "snowy" in tags else WET_WORDS if "wet" in tags else set()
            if claims:
                yield from {f"says {match[0]!r}, which only a slot may" for match in CONDITION.finditer(bare)
                            if match[0].lower() not in allowed}
    if key.endswith("ahead.open") and not all(text.rstrip().endswith(":") for text, _ in ways(parts)):
        yield "does not end with a colon"
    if key.endswith("ahead.line") and any(text.rstrip().endswith((".", ";", ",")) for text, _ in ways(parts)):
        yield "ends with a stop; lines stand in a list"
    if key.endswith(".tell") and any(re.search(r"\{(?:in_)?place\}", text, re.I) for text, _ in ways(parts)) and ".compare." not in key:
        yield "names the place, which the first sentence has done"
    if key == "user.no_place" and any(LATER.search(re.sub(r"\{\w+\}", "", text)) and not re.search(r"\{(n|number|day|on_day)\}", text) and
                                      not tags & {"week", "fortnight"} for text, tags in ways(parts)):
        yield "asks for later; then it needs {n}, {number}, {day} or {on_day}, so that the answer can follow"
    if key.endswith("ahead.tell"):
        for slots in variants(parts):
            if any(fact in slots and day not in slots for fact, day in (("wet_chance", "wet_day"), ("windy_wind", "windy_day"))):
                yield "tells a figure without its day"


def ways(parts):
    """Return up to MAX_WAYS of (text with its slots as "{slot}", tags) that parsed parts can say."""
    below = []
    for part in parts:
        if isinstance(part, str):
            below.append([(part, frozenset())])
        elif part[0] == "slot":
            below.append([(f"{{{part[1]}}}", frozenset())])
        else:
            options = [(text, tags | ({tag} if tag else set())) for tag, inner in part[1] for text, tags in ways(inner)]
            below.append(options if any(tag is None for tag, _ in part[1]) else [("", frozenset()), *options])
    return [("".join(text for text, _ in way), frozenset().union(*(tags for _, tags in way))) for way in islice(product(*below), MAX_WAYS)]


def sentences(path):
    """Yield (masked sentence, key) for the sentences of a voice that have four words of their own."""
    _, parsed = load_phrases(path, VoiceFile)
    for key, parts in walk(parsed):
        if key.startswith("system"):
            continue
        for text, _ in ways(parts):
            for sentence in SENTENCE_END.split(re.sub(r"\{\w+\}", "X", text)):
                masked = skeleton(sentence.strip())
                if len(re.findall(r"\b[a-z]", masked)) >= TEMPLATE_WORDS:
                    yield masked, key


def is_whole(path):
    """Return whether a file can be read at all; one that cannot fails its own test."""
    try:
        load_phrases(path, VoiceFile)
    except ConfigError:
        return False
    return True


def shared(paths):
    """Return the sentences that stand in two voices, one text each."""
    owner, found = {}, set()
    for path in filter(is_whole, paths):
        for masked, key in sentences(path):
            other, other_key = owner.setdefault(masked, (path.stem, key))
            if other != path.stem:
                found.add(f"{path.stem} {key} and {other} {other_key}: {masked}")
    return sorted(found)


# --- each rule has a phrase that breaks it ----------------------------------------------------------------------------

@pytest.mark.parametrize("key, text, problem", [
    ("user.now", "What is it like?", "can be said without {where}"),
    ("user.now", "[Is it cold in {where}?|Is it cold?]", "can be said without {where}"),
    ("user.now", "How is {place}?", "{place} is not known here"),
    ("user.now_at", "At latitude {lat}, is it warm?", "can be said without {at} or {lon}"),
    ("user.ahead", "{where} [?week this week|soon]?", "can be said without {n} or {number}"),
    ("user.ahead", "{where}[?week for a week]?", "can be said without {n} or {number}"),
    ("user.ahead", "{where} [?wet when wet|for {n} days]?", "the tag ?wet is not known here"),
    ("answers.twain.now.open", "It is {temp}.", "can be said without {In_place} or {in_place} or {place}"),
    ("answers.twain.now.open", "{In_place} there is wind.", "can be said without {Sky} or {sky} or {temp}"),
    ("answers.neutral.now.tell", "The high is {high}.", "{high} is not known here"),
    ("answers.neutral.now.tell", "It is {temp} [?rainy and wet|].", "the tag ?rainy is not known here"),
    ("answers.neutral.ahead.line", "{day}, more or less", "can be said without {Sky} or {high} or {low} or {sky}"),
    ("answers.neutral.compare.verdict", "It is close.", "can be said without {colder} or {warmer}"),
    ("answers.neutral.now.remark", "It is {temp} already.", "{temp} is not known here"),
    ("answers.neutral.impossible.control", "{place} is out of my hands.", "{place} is not known here"),
    ("user.impossible.too_far", "All next year in {where}?", "can be said without {n}"),
    ("talk.neutral", "Ask me about {place}.", "{place} is not known here"),
    ("user.now", "How is {where 2}?", "a brace without a slot"),
    ("answers.neutral.now.open", "{In_place} there is {sky}[, at {temp}|].", "tells a fact in some of its ways only"),
])
def test_a_phrase_outside_its_rule_is_named(key, text, problem):
    found = problems(key, parse(text))
    assert problem in found and (problem.startswith("can") or len(found) <= 2)


@pytest.mark.parametrize("key, text, fault", [
    ("answers.neutral.now.remark", "It is over 20 by now.", "says '2'"),
    ("answers.neutral.now.remark", "That makes two of us.", "says 'two'"),
    ("answers.neutral.now.remark", "Come back on Sunday.", "says 'Sunday'"),
    ("answers.neutral.now.remark", "Better than yesterday.", "says 'yesterday'"),
    ("answers.neutral.now.remark", "No rain at all.", "says 'rain'"),
    ("answers.neutral.now.remark", "Take an umbrella.", "says 'umbrella'"),
    ("answers.neutral.now.remark", "[?wet Mind the snow.|]", "says 'snow'"),
    ("answers.neutral.error.timeout", "It forecasts 14 days, not now.", "says '1'"),
    ("talk.neutral", "I have known seven storms.", "says 'seven'"),
    ("answers.neutral.now.tell", "The wind is {wind}", "does not end as a sentence"),
    ("answers.neutral.now.tell", "The wind  is {wind}.", "spaces or stops"),
    ("answers.neutral.now.tell", "The wind[ here|] , is {wind}.", "spaces or stops"),
    ("answers.neutral.now.tell", "In {place} it is {temp}.", "names the place"),
    ("answers.neutral.ahead.open", "{n} days {in_place}.", "does not end with a colon"),
    ("answers.neutral.ahead.line", "{day}: {sky}.", "ends with a stop"),
    ("answers.neutral.ahead.tell", "The wind gets up to {windy_wind}.", "a figure without its day"),
    ("user.no_place", "Will it be warm this weekend?", "asks for later"),
])
def test_a_wording_that_breaks_a_rule_is_named(key, text, fault):
    assert any(fault in found for found in wording(key, parse(text)))


@pytest.mark.parametrize("key, text", [
    ("answers.neutral.now.remark", "[?wet Take an umbrella.|?snowy Mind the snow.|]"),
    ("answers.neutral.impossible.too_far", "{n} days are too many; I see 14 days, no more."),
    ("answers.neutral.error.rate_limit", "It says “{reason}”"), ("talk.neutral", "Rain is honest."),
    ("user.no_place", "What will {day} be like?"), ("user.ahead", "{where} [?week this week|?fortnight for a fortnight|for {n} days]?")])
def test_a_good_phrase_passes(key, text):
    assert problems(key, parse(text)) == [] and list(wording(key, parse(text))) == []


def changed(tmp_path, name, *changes):
    """Return a copy of the first voice with some texts replaced."""
    text = FILES[0].read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = tmp_path / f"{name}.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("change, message", [
    (("weight: 1.0", "weight: 0.0"), "one.yaml:.*weight"), (("  compare:", "  comparing:"), 'user.comparing.*did you mean "compare"'),
    (("{today}", "the day"), r"one.yaml: system.neutral: can be said without \{today\}"), (("{today}", "[{today}"), "one.yaml: a bracket"),
    (("\nuser:\n", "\nuser: []\nusers:\n"), "one.yaml:.*user")])
def test_a_damaged_voice_is_an_error_with_file_and_key(tmp_path, change, message):
    with pytest.raises(ConfigError, match=message):
        load_voice(changed(tmp_path, "one", change))


def test_a_folder_without_voices_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="no voice"):
        load_voices(tmp_path)


def test_the_same_sentence_in_two_voices_is_found(tmp_path):
    paths = [changed(tmp_path, name) for name in ("one", "two")]
    assert len(shared(paths)) > 50 and shared(paths[:1]) == []


def test_a_fact_that_no_sentence_tells_alone_is_found(tmp_path):
    found = faults(changed(tmp_path, "one", ("{humidity}", "{humidity} and {wind}")))
    assert any("none tells {humidity…} alone" in fault for fault in found)
