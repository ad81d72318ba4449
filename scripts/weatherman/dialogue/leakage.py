"""What two splits share and must not: conversations, documents, works, sentence templates, near-duplicates.

These checks look at the records alone; they do not trust the groups that 08 splits by. The instructions of style records are
not compared: all come from one grammar, and the same instruction may stand before different books.
"""
import re
from collections import defaultdict
from functools import cache

from weatherman.cli import GateError
from weatherman.dialogue.mixture import SPLITS, kind_of

SHINGLE_WORDS = 5
SHINGLE_CHARACTERS = 5
NEAR = 0.8           # Jaccard similarity or containment at and above which two texts are one
LONG_SHINGLES = 46   # containment is asked of texts with as many different shingles: of 50 words, or of a headline of 50 characters
TEMPLATE_WORDS = 4   # a sentence with fewer words of its own, once masked, is no template
SHOWN = 5
QUOTED = re.compile(r"“[^”]*”|\"[^\"]*\"")
NUMBER = re.compile(r"-?\d+(?:[.:,]\d+)*")
CAPITALISED = re.compile(r"\b[^\W\d_a-z][\w’'-]*")
SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\bSt\.)\s+|\n+")
WORD = re.compile(r"\w+")


def skeleton(text):
    """Return a text with quotations, numbers and capitalised words masked: what is left is its template."""
    text = NUMBER.sub("N", CAPITALISED.sub("C", QUOTED.sub('""', text)))
    return re.sub(r"C(?:\W{1,2}C)+", "C", text)


@cache
def _conditions():
    """Return a pattern of the weather conditions a service can name: they are facts, not the words of a template."""
    from weatherman.dialogue.weather_api import WMO
    names = sorted({name.lower() for name in WMO.values()}, key=len, reverse=True)
    return re.compile(r"\b(?:an? )?(?:" + "|".join(map(re.escape, names)) + r")\b", re.I)


def templates(record):
    """Return the template sentences of a synthetic tool dialogue, of user and assistant, facts masked; none for other records.

    What is quoted from a tool result is no sentence of the dialogue.
    """
    if record["tags"]["source"] != "synthetic":
        return set()
    results = " ".join(m["content"] for m in record["messages"] if m["role"] == "tool")
    found = set()
    for message in record["messages"]:
        if message["role"] in ("user", "assistant"):
            for sentence in SENTENCE_END.split(QUOTED.sub('""', message["content"])):
                masked = skeleton(_conditions().sub("C", sentence))
                if len(re.findall(r"\b[a-z]", masked)) >= TEMPLATE_WORDS and sentence not in results:
                    found.add(masked)
    return found


def words_of(text):
    """Return the words of a text in lower case: what two texts must differ in to be different."""
    return WORD.findall(text.lower())


def said(record, role):
    """Return all that one role says in a record, as one text."""
    return " ".join(m["content"] for m in record["messages"] if m["role"] == role)


def conversation_key(record):
    """Return what user and assistant say, normalised."""
    return " ".join(word for m in record["messages"] if m["role"] in ("user", "assistant") for word in words_of(m["content"]))


def material(record):
    """Return what a user brings to the conversation: all of the user's words in a tool dialogue or an imported one; in a style record,
    the text that stands behind the instruction (the opening of a passage)."""
    turns = [m["content"] for m in record["messages"] if m["role"] == "user"]
    if kind_of(record["tags"]) in ("literary", "satire"):
        turns = [turn.partition("\n\n")[2] for turn in turns]
    return " ".join(filter(None, turns))


def word_shingles(text):
    """Return the set of word 5-grams of a text; empty below five words."""
    words = words_of(text)
    return set(zip(*(words[n:] for n in range(SHINGLE_WORDS))))


def character_shingles(text):
    """Return the set of character 5-grams of a short text, words apart by one space; empty below five characters."""
    flat = " ".join(words_of(text))
    return {flat[n:n + SHINGLE_CHARACTERS] for n in range(len(flat) - SHINGLE_CHARACTERS + 1)}


def shared(splits, keys):
    """Return a text "KEY: id (split), id (split)" for each record that shares a key with an earlier split. keys(record) gives its keys."""
    owner, findings = {}, []
    for split in SPLITS:
        for record in splits[split]:
            for key in sorted(keys(record)):
                first_split, first_id = owner.setdefault(key, (split, record["id"]))
                if first_split != split:
                    findings.append(f"{str(key)[:120]}: {first_id} ({first_split}), {record['id']} ({split})")
    return findings


def near_duplicates(splits, text_of, shingles=word_shingles):
    """Return [(record, split, record, split, similarity)] for each two texts that are nearly the same, the earlier split first.

    Held-out texts are indexed by shingle and every text is looked up in the index, so the cost grows with the held-out part.
    text_of(record): the text, "" to leave the record out.
    """
    index, held_out, findings = defaultdict(list), [], []
    for split in SPLITS[1:]:
        for record in splits[split]:
            found = shingles(text_of(record))
            for shingle in found:
                index[shingle].append(len(held_out))
            held_out.append((record, split, len(found)))
    for split in SPLITS[:-1]:
        for record in splits[split]:
            found, overlaps = shingles(text_of(record)), defaultdict(int)
            for shingle in found:
                for number in index.get(shingle, ()):
                    overlaps[number] += 1
            for number, overlap in overlaps.items():
                other, other_split, size = held_out[number]
                if SPLITS.index(other_split) > SPLITS.index(split) and (alike := similarity(overlap, len(found), size)) >= NEAR:
                    findings.append((record, split, other, other_split, alike))
    return sorted(findings, key=lambda found: (found[0]["id"], found[2]["id"]))


def similarity(overlap, size, other_size):
    """Return the Jaccard similarity of two sets of shingles, or how much of the smaller one the larger holds, if it is long enough."""
    smaller = min(size, other_size)
    return max(overlap / (size + other_size - overlap), overlap / smaller if smaller >= LONG_SHINGLES else 0)


def headline(record):
    """Return the headline that a record tells, "" for any other record."""
    return said(record, "assistant") if kind_of(record["tags"]) == "satire" else ""


def answer(record):
    """Return all that the assistant says, "" for a headline."""
    return "" if kind_of(record["tags"]) == "satire" else said(record, "assistant")


def near_headlines(splits):
    """Return near_duplicates of headlines, which are too short to be compared by words."""
    return near_duplicates(splits, headline, character_shingles)


def find_leaks(splits, works):
    """Return {what is looked for: findings}. works: {document id: name of the work}, where two documents can be editions of one."""
    def documents(record):
        return {document["id"] for document in record["provenance"]["documents"]}

    def told(findings):
        return [f"{one['id']} ({split}), {other['id']} ({other_split}): {alike:.2f}" for one, split, other, other_split, alike in findings]

    return {
        "the same conversation": shared(splits, lambda r: [conversation_key(r)]),
        "the same source document": shared(splits, documents),
        "the same work": shared(splits, lambda r: {works[name] for name in documents(r) if name in works}),
        "the same sentence template": shared(splits, templates),
        "nearly the same answer": told(near_duplicates(splits, answer)),
        "nearly the same user turns": told(near_duplicates(splits, material)),
        "nearly the same headline": told(near_headlines(splits)),
    }


def check_leakage(splits, works):
    """Return {what is looked for: 0}. Raises GateError that shows what two splits share."""
    found = find_leaks(splits, works)
    shown = [f"{what} is in two splits, {len(findings):,} times:\n  " + "\n  ".join(findings[:SHOWN])
             for what, findings in found.items() if findings]
    if shown:
        raise GateError("\n".join(shown),
                        "records that share it need one split_group: mend the step that writes them (06 or 07), or deduplicate (05)")
    return {what: 0 for what in found}
