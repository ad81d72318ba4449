"""Turn passages into chat records whose prompt the passage really answers."""
import random
import re

from paths import CONFIGS_DIR
from weatherman.corpus.passages import sentence_splitter
from weatherman.dialogue.mixture import stable_order
from weatherman.dialogue.phrases import say
from weatherman.dialogue.tags import tags_of
from weatherman.dialogue.topics import headline_words, passage_place, passage_topics, passage_weather

PHRASES = CONFIGS_DIR / "dialogue" / "chat_phrases.yaml"
KINDS = {"gutenberg": ("describe", "carry_on"), "reddit-theonion": ("satire",), "reddit-nottheonion": ("odd_news",)}

SYSTEMS = {"satire": "system", "odd_news": "odd_system"}  # the headline pools' system prompts, by kind


class Unsuitable(Exception):
    """A passage that no prompt of this kind fits; the text is the reason for the reject."""


def document_key(passage):
    """Return what makes two passages one source document: author and title for books, so that editions are one; else the id."""
    if passage["source"] != "gutenberg":
        return passage["id"]
    title = re.sub(r"\b(the|an?)\b|[^\w ]", " ", passage["title"].lower())
    return f"{passage['author'].lower()}: {' '.join(title.split())}"


def assign_pools(passages, phrases, seed):
    """Return {document key: (pool family, number)}: documents dealt out in a seeded order, persona after persona.

    Dealt and not hashed, because a handful of books would otherwise meet in one or two pools and could not be split.
    """
    personas = {document_key(p): (p["source"] == "gutenberg", p["persona"]) for p in passages}
    dealt, pools = {"literary": 0, "headline": 0}, {}
    for key, (is_book, _) in sorted(personas.items(), key=lambda item: (item[1], stable_order(seed, item[0]))):
        family = "literary" if is_book else "headline"
        pools[key] = family, dealt[family] % len(phrases[family])
        dealt[family] += 1
    return pools


def make_record(passage, kind, pool, phrases, chat, weather_words, seed):
    """Return the chat record (dict) of one kind. Raises Unsuitable.

    passage: a Passage as a dict; pool: (family, number); chat: the configuration's `chat`; weather_words: its weather keywords.
    """
    family, number = pool
    templates, name = phrases[family][number], f"chat:{passage['id']}:{kind}"
    rng = random.Random(f"{seed}:{name}")
    prompt, answer = MAKERS[kind](passage, templates[kind], chat, weather_words, rng)
    system = say(templates[passage["persona"] if family == "literary" else SYSTEMS[kind]], rng, {})
    turns = (("system", system), ("user", prompt), ("assistant", answer))
    return {"id": name, "messages": [{"role": role, "content": content} for role, content in turns], "tools": [],
            "tags": tags_of(passage, weather_words),
            "provenance": {"documents": [{"id": passage["id"].split("#")[0], "sha256": passage["document_sha256"],
                                          "start": passage["start"], "end": passage["end"], "license": passage["license"]}],
                           "generator": f"06_format_chat/{kind}/{family}:{number}", "seed": seed, "split_group": f"{family}:{number}"}}


def describe(passage, templates, chat, weather_words, rng):
    """Return a prompt that asks for the passage's own subjects, place and weather, and the passage."""
    answer = cut_at_sentence(passage["text"], chat["max_answer_words"])
    topics = passage_topics(answer)
    if len(answer.split()) < chat["min_answer_words"]:
        raise Unsuitable("too_short")
    if not topics:
        raise Unsuitable("no_topic")
    place, weather = passage_place(answer), passage_weather(answer, weather_words)
    topics = [topic for topic in topics if topic != weather] or topics
    facts = {"topics": join(topics), "place": place, "weather": weather}
    tags = {name for name in ("place", "weather") if facts[name] and facts[name] not in topics}
    return say(templates, rng, facts, tags), answer


def carry_on(passage, templates, chat, weather_words, rng):
    """Return a prompt that gives the opening sentences, and the rest of the passage."""
    text = passage["text"]
    split = None
    for _, end in sentence_splitter().span_tokenize(text):
        if split is not None and len(text[:end].split()) > chat["opening_words"]:
            break
        split = end
    opening, rest = text[:split].strip(), text[split:].strip()
    answer = cut_at_sentence(rest, chat["max_answer_words"])
    if len(answer.split()) < chat["min_answer_words"]:
        raise Unsuitable("too_short")
    return f"{say(templates, rng, {})}\n\n{opening}", answer


def headline(passage, templates, chat, weather_words, rng):
    """Return a prompt with the headline's own subject words, and the headline."""
    words = headline_words(passage["text"])
    if not words:
        raise Unsuitable("no_topic")
    return say(templates, rng, {"words": join([f'"{word}"' for word in words])}), passage["text"]


MAKERS = {"describe": describe, "carry_on": carry_on, "satire": headline, "odd_news": headline}


def cut_at_sentence(text, max_words):
    """Return the text up to the last sentence end within `max_words` words; "" when its first sentence is longer."""
    if len(text.split()) <= max_words:
        return text
    kept = 0
    for _, end in sentence_splitter().span_tokenize(text):
        if len(text[:end].split()) > max_words:
            break
        kept = end
    return text[:kept].rstrip()


def join(items):
    """Return "a", "a and b" or "a, b and c"."""
    return items[0] if len(items) == 1 else f"{', '.join(items[:-1])} and {items[-1]}"
