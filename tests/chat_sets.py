"""A small dataset of valid chat records, made without 06 and 07: books, headlines and tool dialogues of invented words."""
import random

from dialogue_records import SHA, conversation, current_result, write_jsonl
from weatherman.dialogue.weather_api import TOOLS
from weatherman.manifest import describe_file, manifest_path, to_manifest

SYLLABLES = [c + v for c in "bdfgklmnprstvz" for v in "aeiou"]
BOOKS = {74: "twain", 76: "twain", 86: "twain", 245: "twain", 148: "franklin", 43855: "franklin", 20203: "franklin"}
AT_ONCE = ["--set", "mixture.total=200", "--set", "diversity.self_bleu_sample=4", "--set", "render.models=[]"]


def words(rng, count):
    """Return invented words that no other draw repeats."""
    return " ".join("".join(rng.choices(SYLLABLES, k=3)) for _ in range(count))


def record(name, messages, tags, document, group, scenario):
    tags = {"persona": "neutral", "tone": "neutral", "domain": "general", **tags}
    return {"id": name, "messages": messages, "tools": list(TOOLS.values()) if tags["source"] == "synthetic" else [], "tags": tags,
            "provenance": {"documents": [document], "generator": f"test/{scenario}", "seed": 1, "split_group": group}}


def document(name, start=0, license="CC0-1.0", size=10):
    return {"id": name, "sha256": SHA, "start": start, "end": start + size, "license": license}


def talk(user, answer):
    return [{"role": "user", "content": user}, {"role": "assistant", "content": answer}]


def passages(book, persona, count, group=None):
    """Return two records for each of `count` passages of a book."""
    rows = []
    for n in range(count):
        rng = random.Random(f"{book}/{n}")
        text = words(rng, 80)
        for scenario in ("describe", "continue"):
            told = text if scenario == "describe" else text[100:]
            rows.append(record(f"chat:gutenberg:{book}#{n:06d}:{scenario}", talk(f"{scenario} {words(rng, 6)}?", f"So. {told}."),
                               {"persona": persona, "source": "gutenberg", "domain": "weather" if n % 3 else "general"},
                               document(f"gutenberg:{book}", 1000 * n, "Public domain in the USA.", len(text)),
                               group or f"book:{book}", scenario))
    return rows


def headlines(source, count):
    rng = random.Random(source)
    return [record(f"chat:{source}:{n}", talk(f"headline {words(rng, 4)}!", words(rng, 9)),
                   {"source": source, "domain": "humor", "tone": "satirical"},
                   document(f"{source}:{n}", license="headline, copyright of its publisher", size=90), f"{source}:{n}", "headline")
            for n in range(count)]


def dialogues(voice, persona, count):
    """Return dialogues of one voice: a question, a call, an answer that tells the temperature."""
    rows = []
    for n in range(count):
        rng = random.Random(f"{voice}/{persona}/{n}")
        answer = f"So {words(rng, 12)} and it is 12.4 °C by the {words(rng, 4)}."
        messages = conversation(f"{words(rng, 9)} at 38.72, -9.14?", current_result(), answer, "get_current_weather")
        messages[1]["tool_calls"][0]["function"]["arguments"] = '{"latitude": 38.72, "longitude": -9.14}'
        rows.append(record(f"tool:{voice}:{persona}:{n}", messages,
                           {"persona": persona, "source": "synthetic", "domain": "tool_use", "scenario": f"s{n % 3}"},
                           document(f"voice:{voice}"), f"voice:{voice}", "one_call"))
    return rows


def style():
    """Return 100 literary records of 6 works in 7 documents, and 100 headlines."""
    rows = [row for book, persona in BOOKS.items()
            for row in passages(book, persona, 8 if book != 20203 else 2, "book:148" if book == 20203 else None)]
    return rows + headlines("reddit-theonion", 50) + headlines("reddit-nottheonion", 50)


def tools():
    """Return 111 dialogues of six voices of different sizes, 63 of them neutral."""
    rows = []
    for number, voice in enumerate(("ash", "birch", "cedar", "elm", "fir", "oak")):
        for persona, count in (("neutral", 8 + number), ("twain", 4), ("franklin", 4)):
            rows += dialogues(voice, persona, count)
    return rows


def write_splits(base):
    """Write train, validation and test sets below a base folder, without 08: of every kind, as few records as the preflight takes."""
    held_out = {"book:245": "validation", "voice:oak": "validation", "book:43855": "test", "voice:fir": "test"}
    splits = {"train": [], "validation": [], "test": []}
    for number, row in enumerate(style() + tools()):
        drawn = {0: "validation", 1: "test"}.get(number % 10, "train") if row["tags"]["domain"] == "humor" else "train"
        splits[held_out.get(row["provenance"]["split_group"], drawn)].append(row)
    for split, rows in splits.items():
        rows = sorted(rows, key=lambda row: row["tags"]["source"])[::2 if split == "train" else 5]
        path = write_jsonl(base / f"data/processed/{split}.jsonl", rows)
        manifest_path(path).write_bytes(to_manifest({"script": "test.py", "inputs": [], "outputs": [describe_file(path)], "config": {},
                                                     "notes": {}}))
