"""Duplicates to look at: a sample of clusters with their full texts, and what differs between two texts."""
import difflib
import random
import re
from dataclasses import dataclass, field

from paths import show
from weatherman.cli import GateError
from weatherman.corpus.survey import read_rejects
from weatherman.files import read_jsonl, read_lines

CLUSTERS = 3          # of each source and reason
COPIES = 3            # removed texts shown of one cluster
CONTEXT_WORDS = 12    # shown at either end of a long run of words
LONG_RUN_WORDS = 40   # a run above this is shortened
SHINGLE_WORDS = 5     # by which the places of another edition are found again
MIN_OVERLAP = 0.1     # share of the removed text's shingles from which such a place is shown
EXCERPT = re.compile(r"(\d\.\d+) of (\S+): ")  # how 05 begins the excerpt of a duplicate: similarity, id of the text that stays


@dataclass
class Copy:
    """A removed text; `line` and `record`: its place in passages.jsonl and what stands there."""

    id: str
    line: int
    similarity: float
    record: dict | None = None


@dataclass
class Cluster:
    """A text that stays and those removed for it. `copies`: the least similar ones of `size`.

    `kept`: the records that stay; several for another edition, which is cut at other places; none when 05 kept no such text.
    """

    reason: str
    source: str
    of: str
    size: int = 0
    copies: list = field(default_factory=list)
    kept: list = field(default_factory=list)


def find_clusters(found, seed):
    """Return a sample of the Clusters of a Survey: those with the least similar copies; of exact ones, drawn ones."""
    if found.deduplication is None:
        return []
    clusters = choose(found, seed)
    for reject in read_rejects(found.deduplication):
        similarity, of = parse(reject)
        cluster = clusters.get(name_of(reject, of))
        if cluster is not None:
            cluster.size += 1
            copies = [*cluster.copies, Copy(reject["id"], reject["line"] or 0, similarity)]
            cluster.copies = sorted(copies, key=lambda copy: (copy.similarity, copy.line))[:COPIES]
    attach_removed(list(clusters.values()), found.cleaning.output)
    attach_kept(list(clusters.values()), found.deduplication.output)
    return list(clusters.values())


def parse(reject):
    """Return (similarity, id of the text that stays) of a reject of 05, (0.0, "") when it names none."""
    match = EXCERPT.match(reject["excerpt"])
    return (float(match[1]), match[2]) if match else (0.0, "")


def name_of(reject, of):
    """Return what identifies a reject's cluster: the text that stays. A passage that is spread over another edition is its own cluster."""
    return reject["reason"], reject["id"] if reject["reason"] == "duplicate_edition" else of


def choose(found, seed):
    """Return the Clusters of the sample by name, without texts. Memory does not grow with the rejects."""
    draw, best = random.Random(seed), {}
    for reject in read_rejects(found.deduplication):
        if reject["reason"].startswith("duplicate_") and reject["reason"] != "duplicate_id":
            similarity, of = parse(reject)
            rank = draw.random() if reject["reason"] == "duplicate_exact" else similarity
            group = best.setdefault((found.lines.at(reject["line"]), reject["reason"]), {})
            name = name_of(reject, of)
            group[name] = min(group.get(name, (2, "")), (rank, of))
            if len(group) > CLUSTERS:
                del group[max(group, key=group.get)]
    return {name: Cluster(reason, source, of) for (source, reason), group in sorted(best.items())
            for name, (_, of) in sorted(group.items(), key=lambda item: item[1])}


def attach_removed(clusters, passages):
    """Give each copy its record, found by its line."""
    import orjson
    copies = [copy for cluster in clusters for copy in cluster.copies]
    wanted = {copy.line for copy in copies}
    records = {number: orjson.loads(line) for number, line in read_lines(passages) if number in wanted and line}
    for copy in copies:
        copy.record = records.get(copy.line)
        if copy.record is None or copy.record["id"] != copy.id:
            raise GateError(f"{show(passages)}: its line {copy.line} is not {copy.id}, as the rejects of 05 say.",
                            "python scripts/05_deduplicate.py --force")


def attach_kept(clusters, unique):
    """Give each cluster the records that stay, in the order of the file."""
    by_id, by_document = {}, {}
    for cluster in clusters:
        if cluster.reason == "duplicate_edition":
            removed = shingles(cluster.copies[0].record["text"])
            by_document.setdefault(document_of(cluster.of), []).append((cluster, removed))
        else:
            by_id.setdefault(cluster.of, []).append(cluster)
    for _, record in read_jsonl(unique):
        for cluster in by_id.get(record["id"], ()):
            cluster.kept = [record]
        if (others := by_document.get(document_of(record["id"]))) is not None:
            own = shingles(record["text"])
            for cluster, removed in others:
                if len(own & removed) >= MIN_OVERLAP * len(removed):
                    cluster.kept.append(record)


def document_of(id):
    """gutenberg:76#000123 -> gutenberg:76"""
    return id.split("#")[0]


def shingles(text):
    words = text.lower().split()
    return {tuple(words[i:i + SHINGLE_WORDS]) for i in range(max(1, len(words) - SHINGLE_WORDS + 1))}


@dataclass
class Stretch:
    """A run of words of one text: `differs` from the other text or not; `omitted` words are left out in the middle of it."""

    differs: bool
    begin: str
    omitted: int = 0
    end: str = ""


def compare(kept, removed):
    """Return the Stretches of two texts, (those of `kept`, those of `removed`), compared word by word."""
    a, b = kept.split(), removed.split()
    left, right = [], []
    for kind, a_from, a_to, b_from, b_to in difflib.SequenceMatcher(None, a, b, autojunk=False).get_opcodes():
        for side, words in ((left, a[a_from:a_to]), (right, b[b_from:b_to])):
            if words:
                side.append(shorten(kind != "equal", words))
    return left, right


def shorten(differs, words):
    """Return a Stretch of words, of a long one only both ends."""
    if len(words) <= LONG_RUN_WORDS:
        return Stretch(differs, " ".join(words))
    return Stretch(differs, " ".join(words[:CONTEXT_WORDS]), len(words) - 2 * CONTEXT_WORDS, " ".join(words[-CONTEXT_WORDS:]))
