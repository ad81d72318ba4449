"""What two splits share and must not: records, texts, documents, sentence templates.

These checks look at the records alone; they do not trust the groups that 08 splits by.
"""
import re
from collections import defaultdict

from weatherman.cli import GateError
from weatherman.dialogue.mixture import SPLITS

SHINGLE_WORDS = 5
NEAR = 0.8           # Jaccard similarity or containment of word 5-grams at and above which two answers are one
LONG_WORDS = 50      # containment is asked of answers from this length on
TEMPLATE_WORDS = 4   # a sentence with fewer words of its own, once masked, is no template
QUOTED = re.compile(r"“[^”]*”|\"[^\"]*\"")
NUMBER = re.compile(r"-?\d+(?:[.:,]\d+)*")
CAPITALISED = re.compile(r"\b[^\W\d_a-z][\w’'-]*")
SENTENCE_END = re.compile(r"(?<=[.!?])(?<!\bSt\.)\s+|\n+")


def skeleton(text):
    """Return a text with quotations, numbers and capitalised words masked: what is left is its template."""
    text = NUMBER.sub("N", CAPITALISED.sub("C", QUOTED.sub('""', text)))
    return re.sub(r"C(?:\W{1,2}C)+", "C", text)


def templates(record):
    """Return the template sentences of a record: of the instruction (first paragraph) of each user turn, and, where the answer
    is synthetic too, of the answers, without what they quote from a tool result."""
    texts = [m["content"].split("\n\n")[0] for m in record["messages"] if m["role"] == "user"]
    if record["tags"]["source"] == "synthetic":
        texts += [m["content"] for m in record["messages"] if m["role"] == "assistant"]
    results = " ".join(m["content"] for m in record["messages"] if m["role"] == "tool")
    found = set()
    for text in texts:
        for sentence in SENTENCE_END.split(QUOTED.sub('""', text)):
            masked = skeleton(sentence)
            if len(re.findall(r"\b[a-z]", masked)) >= TEMPLATE_WORDS and sentence not in results:
                found.add(masked)
    return found


def words_of(text):
    """Return the words of a text in lower case: what two texts must differ in to be different."""
    return re.findall(r"\w+", text.lower())


def conversation_key(record):
    """Return what user and assistant say, normalised."""
    return " ".join(word for m in record["messages"] if m["role"] in ("user", "assistant") for word in words_of(m["content"]))


def shingles(text):
    """Return the set of hashed word 5-grams of a text; a shorter text is one shingle."""
    words = words_of(text)
    return {hash(tuple(words[i:i + SHINGLE_WORDS])) for i in range(max(1, len(words) - SHINGLE_WORDS + 1))}


def shared(records_by_split, keys):
    """Return up to five texts "KEY: id (split), id (split)" for keys that occur in two splits. keys(record) gives a record's keys."""
    owner, findings = {}, []
    for split in SPLITS:
        for record in records_by_split[split]:
            for key in keys(record):
                first_split, first_id = owner.setdefault(key, (split, record["id"]))
                if first_split != split and len(findings) < 5:
                    findings.append(f"{str(key)[:120]}: {first_id} ({first_split}), {record['id']} ({split})")
    return findings


def near_duplicates(records_by_split):
    """Return up to five texts for answers that are nearly the same in two splits.

    Held-out answers are indexed by shingle and every record is looked up in the index, so the cost grows with the held-out part.
    """
    index, answers, findings = defaultdict(list), [], []
    for split in SPLITS[1:]:
        for record in records_by_split[split]:
            found = shingles(answer_text(record))
            for shingle in found:
                index[shingle].append(len(answers))
            answers.append((split, record["id"], len(found)))
    for split in SPLITS:
        for record in records_by_split[split]:
            found, overlaps = shingles(answer_text(record)), defaultdict(int)
            for shingle in found:
                for number in index.get(shingle, ()):
                    overlaps[number] += 1
            for number, overlap in overlaps.items():
                other_split, other_id, size = answers[number]
                if SPLITS.index(other_split) > SPLITS.index(split) and _near(overlap, len(found), size) and len(findings) < 5:
                    findings.append(f"{record['id']} ({split}), {other_id} ({other_split})")
    return findings


def _near(overlap, size, other_size):
    smaller = min(size, other_size)
    return overlap / (size + other_size - overlap) >= NEAR or smaller >= LONG_WORDS - SHINGLE_WORDS + 1 and overlap / smaller >= NEAR


def answer_text(record):
    return " ".join(m["content"] for m in record["messages"] if m["role"] == "assistant")


def check_leakage(records_by_split):
    """Raise GateError for the first kind of thing that two splits share."""
    checks = {
        "the same conversation": lambda: shared(records_by_split, lambda r: [conversation_key(r)]),
        "the same source document": lambda: shared(records_by_split, lambda r: [d["id"] for d in r["provenance"]["documents"]]),
        "the same sentence template": lambda: shared(records_by_split, templates),
        "nearly the same answer": lambda: near_duplicates(records_by_split),
    }
    for what, find in checks.items():
        findings = find()
        if findings:
            raise GateError(f"{what} is in two splits:\n  " + "\n  ".join(findings),
                            "records that share it need one split_group: mend the step that writes them (06 or 07), or deduplicate (05)")
