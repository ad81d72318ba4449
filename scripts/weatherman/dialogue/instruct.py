"""Turn passages into chat records whose prompt the passage really answers."""
import random
import re
from dataclasses import dataclass, field
from functools import lru_cache

from paths import CONFIGS_DIR
from weatherman.corpus.passages import sentence_splitter
from weatherman.dialogue.aphorisms import saying_topic, sayings
from weatherman.dialogue.exchanges import exchanges
from weatherman.dialogue.headlines import headline_topics
from weatherman.dialogue.phrases import ask, capital, say, system_prompt
from weatherman.dialogue.tags import tags_of
from weatherman.dialogue.topics import Words, passage_place, passage_topics, passage_weather, stem

PHRASES = CONFIGS_DIR / "dialogue" / "chat_phrases.yaml"
KINDS = {"gutenberg": ("describe", "continue", "aphorism", "exchange"), "web": ("describe", "continue"),
         "reddit-theonion": ("headline",), "reddit-nottheonion": ("headline",)}
DESKS = {"web": "web", "reddit-theonion": "satire", "reddit-nottheonion": "odd_news"}  # whose system prompt, where there is no persona
LONG_WORDS, SHORT_WORDS = 220, 120  # of an answer, for prompts that wish for much or little
QUOTED_SHARE = 0.25                 # of the headline topics that are given in quotation marks although they could stand in prose


class Unsuitable(Exception):
    """A passage that no prompt of this kind fits; the text is the reason for the reject."""


@dataclass(frozen=True)
class Setting:
    """What all records of a run have in common: parsed phrases, the configuration's `chat`, its weather keywords, the corpus's Words."""

    phrases: dict
    chat: dict
    weather_words: list
    words: Words
    seed: int


@dataclass
class Plan:
    """One record to be: what to ask and what answers. subjects: the words asked about, each of which must stand in the answers.

    request: the section of the phrases, None where the user's words are the passage's too; follow_ups: the user's later turns.
    """

    answers: list
    request: str | None = None
    wish: str | None = None
    facts: dict = field(default_factory=dict)
    tags: set = field(default_factory=set)
    subjects: list = field(default_factory=list)
    opening: str = ""
    follow_ups: list = field(default_factory=list)
    scene: str = ""


def document_key(passage):
    """Return what makes two passages one source document: author and title for books, so that editions are one; else the document's id."""
    if passage["source"] != "gutenberg":
        return passage["id"].split("#")[0]
    title = re.sub(r"\b(the|an?)\b|[^\w ]", " ", passage["title"].lower())
    return f"{passage['author'].lower()}: {' '.join(title.split())}"


def make_records(passage, kind, setting):
    """Return [record or Unsuitable] of one kind: a Passage (dict) may give several. Raises Unsuitable when it gives none."""
    rng = random.Random(f"{setting.seed}:{passage['id']}:{kind}")
    plans = PLANNERS[kind](passage, setting, rng)
    return [to_record(passage, f"{kind}:{number}" if len(plans) > 1 or kind in ("aphorism", "exchange") else kind, plan, setting)
            for number, plan in enumerate(plans, 1)]


def to_record(passage, name, plan, setting):
    """Return the chat record (dict) of a Plan, or Unsuitable when the answers lack a subject that the prompt names."""
    if missing_subjects(plan.subjects, " ".join(plan.answers)):
        return Unsuitable("subject_not_in_answer")
    rng = random.Random(f"{setting.seed}:{passage['id']}:{name}")
    role = passage["persona"] if passage["persona"] != "neutral" else DESKS[passage["source"]]
    tags = {*plan.tags, role, *length_tag(plan.answers)}
    prompt = ask(setting.phrases, plan.request, plan.wish, rng, plan.facts, tags) if plan.request else ""
    users = [f"{prompt}\n\n{plan.opening}".strip(), *plan.follow_ups]
    turns = [("system", f"{system_prompt(setting.phrases, role, rng)} {plan.scene}".strip())]
    for said, answer in zip(users, plan.answers):
        turns += [("user", said), ("assistant", answer)]
    return {"id": f"chat:{passage['id']}:{name}", "messages": [{"role": role, "content": content} for role, content in turns], "tools": [],
            "tags": tags_of({**passage, "text": " ".join(plan.answers)}, setting.weather_words),
            "provenance": {"documents": [{"id": passage["id"].split("#")[0], "sha256": passage["document_sha256"],
                                          "start": passage["start"], "end": passage["end"], "license": passage["license"]}],
                           "generator": f"06_format_chat/{name.split(':')[0]}", "seed": setting.seed, "split_group": document_key(passage)}}


def missing_subjects(subjects, answer):
    """Return the words of `subjects` (phrases) of which no form stands in the answer; articles and short words are not asked for."""
    present = set(words_of(answer)) if subjects else set()
    missing = [word for subject in subjects for word in words_of(subject) if len(word) > 3 and word not in present]
    stems = {stem(word) for word in present} if missing else ()
    return [word for word in missing if stem(word) not in stems]


def words_of(text):
    return re.findall(r"[^\W\d_]+", text.lower())


def length_tag(answers):
    count = sum(len(answer.split()) for answer in answers)
    return {"long"} if count > LONG_WORDS else {"short"} if count < SHORT_WORDS else set()


def describe(passage, setting, rng):
    """Plan prompts that ask for a passage's own subjects: for the whole, for each half, or for the whole in two turns."""
    answer = cut_at_sentence(passage["text"], setting.chat["max_answer_words"])
    if len(answer.split()) < setting.chat["min_answer_words"]:
        raise Unsuitable("too_short")
    telling = rng.choices(list(setting.chat["tellings"]), setting.chat["tellings"].values())[0]
    halves = in_halves(answer, setting.chat["min_answer_words"]) if telling != "whole" else None
    if halves and telling == "halves":
        found = [asked_about(half, passage, setting) for half in halves]
        return [plan for plan in found if plan] or no_topic()
    plan = asked_about(halves[0] if halves else answer, passage, setting) or no_topic()
    if halves:
        plan.answers.append(halves[1])
        plan.follow_ups = [say(setting.phrases["go_on"], rng, {})]
    return [plan]


def no_topic():
    raise Unsuitable("no_topic")


def asked_about(text, passage, setting):
    """Return the Plan of a prompt about the subjects of a text, None when it has none."""
    title = set(words_of(passage["title"])) if passage["source"] == "web" else set()
    topics = passage_topics(text, setting.words, title)
    place, weather = passage_place(text, setting.words), None
    if set(passage["matched_keywords"]) & set(setting.weather_words):
        weather = passage_weather(text, setting.weather_words, setting.words)
    topics = [topic for topic in topics if topic != weather] or topics
    if not topics:
        return None
    facts = {"topics": join(topics), "Topics": capital(join(topics)), "place": place, "weather": weather}
    tags = {name for name in ("place", "weather") if facts[name] and facts[name] not in facts["topics"]}
    return Plan([text], "page" if passage["source"] == "web" else "describe", "prose", facts, tags,
                [*topics, *(facts[name] for name in sorted(tags))])


def continuation(passage, setting, rng):
    """Plan a prompt that gives the opening sentences; the rest of the passage answers."""
    text = passage["text"]
    split = None
    for _, end in sentence_spans(text):
        if split is not None and len(text[:end].split()) > setting.chat["opening_words"]:
            break
        split = end if not text[end:].lstrip()[:1].islower() else split
    if split is None:
        raise Unsuitable("too_short")
    opening, rest = text[:split].strip(), text[split:].strip()
    answer = cut_at_sentence(rest, setting.chat["max_answer_words"])
    if len(answer.split()) < setting.chat["min_answer_words"]:
        raise Unsuitable("too_short")
    return [Plan([answer], "continue", None, opening=opening)]


def headline(passage, setting, rng):
    """Plan a prompt with what the headline is about; the headline answers."""
    topics = headline_topics(passage["text"], setting.words)
    if not topics:
        raise Unsuitable("no_topic")
    told = [prose for _, prose in topics]
    if not all(told) or rng.random() < QUOTED_SHARE:
        told = [f'"{topic}"' for topic, _ in topics]
    facts = {"words": join(told), "Words": capital(join(told))}
    return [Plan([passage["text"]], DESKS[passage["source"]], "line", facts, set(), [topic for topic, _ in topics])]


def aphorism(passage, setting, rng):
    """Plan a prompt for each saying in the passage that asks for one about its subject."""
    topics = {saying: saying_topic(saying, setting.words) for saying in sayings(passage["text"])}
    plans = [Plan([saying], "saying", "line", {"words": topic, "Words": capital(topic)}, set(), [topic])
             for saying, topic in topics.items() if topic]
    if not plans:
        raise Unsuitable("no_saying")
    return plans


def exchange(passage, setting, rng):
    """Plan a conversation for each dialogue in the passage: the user has one speaker's words, the assistant the other's."""
    found = exchanges(passage["text"], setting.words.people, setting.chat["max_turns"])
    if not found:
        raise Unsuitable("no_exchange")
    return [Plan(list(talk.turns[1::2]), None, None, opening=talk.turns[0], follow_ups=list(talk.turns[2::2]),
                 scene=say(setting.phrases["scene"], rng, {"mine": talk.mine, "theirs": talk.theirs},
                           {name for name in ("mine", "theirs") if getattr(talk, name)})) for talk in found]


PLANNERS = {"describe": describe, "continue": continuation, "headline": headline, "aphorism": aphorism, "exchange": exchange}


def cut_at_sentence(text, max_words):
    """Return the text up to the last sentence end within `max_words` words; "" when its first sentence is longer."""
    if len(text.split()) <= max_words:
        return text
    kept = 0
    for _, end in sentence_spans(text):
        if len(text[:end].split()) > max_words:
            break
        kept = end
    return text[:kept].rstrip()


def in_halves(text, min_words):
    """Return the text cut at the end of the paragraph, else of the sentence, nearest its middle; None when a half has under `min_words`."""
    for ends in ([match.start() for match in re.finditer(r"\n\n", text)], [end for _, end in sentence_spans(text)]):
        cut = min(ends, key=lambda end: abs(end - len(text) / 2), default=0)
        halves = text[:cut].strip(), text[cut:].strip()
        if min(len(half.split()) for half in halves) >= min_words:
            return halves
    return None


@lru_cache(maxsize=4)  # several prompts are made of one passage
def sentence_spans(text):
    """Return [(start, end)] of the sentences of a text."""
    return list(sentence_splitter().span_tokenize(text))


def join(items):
    """Return "a", "a and b" or "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
