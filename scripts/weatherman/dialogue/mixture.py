"""Quotas: how many records of each kind are taken, and which of them, so that no source is lost unnoticed."""
from collections import Counter, defaultdict
from dataclasses import dataclass
from hashlib import sha256

from weatherman.cli import GateError

KINDS = ("literary", "satire", "tool_use", "hybrid", "imported")
SPLITS = ("train", "validation", "test")
STEP_OF = {"literary": "06_format_chat.py", "satire": "06_format_chat.py", "tool_use": "07_generate_tool_use.py",
           "hybrid": "07_generate_tool_use.py", "imported": "import_chat.py"}


@dataclass(frozen=True)
class Quota:
    """What the mixture asks of one kind. wanted: records of the configured total; there: usable ones; taken: in the dataset."""

    kind: str
    share: float
    wanted: int
    there: int
    taken: int


def kind_of(tags):
    """Return the kind of a record by its tags: tool dialogues with a persona are hybrid; books and web pages are literary."""
    if tags["source"] == "synthetic":
        return "tool_use" if tags["persona"] == "neutral" else "hybrid"
    if tags["source"] == "imported":
        return "imported"
    return "satire" if tags["source"].startswith("reddit") else "literary"


def strand_of(record):
    """Return "gutenberg/twain": source and persona of a record (or of a passage)."""
    tags = record.get("tags", record)
    return f"{tags['source']}/{tags['persona']}"


def scenario_of(record):
    """Return what sort of prompt a record has: its scenario, else the second part of its generator ("06_format_chat/describe/…")."""
    return record["tags"].get("scenario") or (record["provenance"]["generator"].split("/") + ["other"])[1]


def largest_remainder(total, shares):
    """Return {name: whole number} that adds up to `total` and differs from share * total by less than one (Hare quota)."""
    exact = {name: total * share for name, share in shares.items()}
    rows = {name: int(value) for name, value in exact.items()}
    by_remainder = sorted(shares, key=lambda name: (rows[name] - exact[name], name))
    for name in by_remainder[:total - sum(rows.values())]:
        rows[name] += 1
    return rows


def stable_order(seed, name):
    """Return a sort key for `name` that depends on nothing but the seed and the name."""
    return sha256(f"{seed}:{name}".encode()).digest()


def check_strands(records, mixture):
    """Raise GateError when a source and persona that the mixture expects has less than its least share of the records of its kind.

    A kind can fill its quota while one of its sources is gone; this asks for every one of them by name.
    """
    counts = Counter((kind_of(record["tags"]), strand_of(record)) for record in records)
    for kind, least in mixture["least"].items():
        total = sum(count for (found, _), count in counts.items() if found == kind)
        for strand, share in least.items():
            if mixture["shares"][kind] and total and counts[kind, strand] < share * total:
                raise GateError(f"{kind}: {counts[kind, strand]:,} of {total:,} records are from {strand}; at least {share:.0%} are "
                                "expected: a source is lost, or most of it.",
                                f"python scripts/{STEP_OF[kind]}, and look at its rejects; or, if it is meant to be so, "
                                f"--set mixture.least.{kind}.{strand}=0")


def plan(records, files, mixture, accept_shortfall=False):
    """Return [Quota], one for each kind with a share.

    files: {kind: name of the file its records came from}. Raises GateError when a kind cannot fill its quota; accept_shortfall
    makes the whole smaller instead, so that every share still holds. A kind that has no record at all is an error either way.
    """
    there = Counter(kind_of(record["tags"]) for record in records)
    shares = {kind: mixture["shares"][kind] for kind in KINDS if mixture["shares"][kind] > 0}
    wanted = largest_remainder(mixture["total"], shares)
    short = [kind for kind in shares if there[kind] < wanted[kind]]
    total = min([mixture["total"], *(int(there[kind] / shares[kind] + 1e-9) for kind in short)])
    lines = [f"{kind}: {wanted[kind]:,} records are wanted ({shares[kind]:.0%} of {mixture['total']:,}) and {there[kind]:,} are there, "
             f"{wanted[kind] - there[kind]:,} too few, in {files.get(kind, 'no file')} (written by {STEP_OF[kind]})." for kind in short]
    lost = [kind for kind in short if not there[kind]]
    if lost:
        raise GateError("\n".join(lines) + f"\nOf {', '.join(lost)} there is not one: a whole source is lost.",
                        f"python scripts/{STEP_OF[lost[0]]}, and look at its rejects; --accept-shortfall does not help")
    if short and not accept_shortfall:
        raise GateError("\n".join(lines),
                        f"collect or generate more of it; or --accept-shortfall, which builds {total:,} records at the same shares and "
                        "records that in the manifest, the card and the report")
    taken = largest_remainder(total, shares)
    return [Quota(kind, shares[kind], wanted[kind], there[kind], taken[kind]) for kind in shares]


def tellings(record):
    """Return {(document id, start, end): how often a record tells these bytes}: 0.5 for a half of a passage, 0.1 for a line of it.

    Empty for synthetic and imported records, whose file is not their text.
    """
    if kind_of(record["tags"]) not in ("literary", "satire"):
        return {}
    told = sum(len(m["content"].encode()) for m in record["messages"] if m["role"] == "assistant")
    return {(d["id"], d["start"], d["end"]): told / max(1, d["end"] - d["start"]) for d in record["provenance"]["documents"]}


def over_told(records, limit, seed):
    """Return the ids of records that would tell a passage more than `limit` times. A passage keeps its rarest sorts of record."""
    frequency, told, over = Counter(map(scenario_of, records)), Counter(), set()
    for record in sorted(records, key=lambda r: (frequency[scenario_of(r)], stable_order(seed, r["id"]))):
        parts = tellings(record)
        if any(told[passage] + share > limit for passage, share in parts.items()):
            over.add(record["id"])
        else:
            told.update(parts)
    return over


def choose(records, quotas, seed):
    """Return the ids of the records that fill the quotas.

    Of each kind, sources and personas are drawn on evenly, as far as each has records; within them, sorts of prompt in
    proportion to what is there; within those, in a stable seeded order.
    """
    strands = defaultdict(lambda: defaultdict(list))
    for record in records:
        strands[kind_of(record["tags"])][strand_of(record)].append(record)
    chosen = set()
    for quota in quotas:
        of_kind = strands[quota.kind]
        for strand, count in fill_evenly({name: len(rows) for name, rows in of_kind.items()}, quota.taken).items():
            chosen |= draw(of_kind[strand], count, seed)
    return chosen


def fill_evenly(available, total):
    """Return {name: count} that adds up to `total` (at most what is available): equal counts, but nowhere more than there is."""
    counts, left = {}, total
    for place, name in enumerate(sorted(available, key=lambda name: (available[name], name))):
        counts[name] = min(available[name], left // (len(available) - place))
        left -= counts[name]
    return counts


def draw(records, count, seed):
    """Return the ids of `count` records, sorts of prompt in proportion."""
    by_scenario = defaultdict(list)
    for record in records:
        by_scenario[scenario_of(record)].append(record["id"])
    counts = largest_remainder(count, {name: len(ids) / len(records) for name, ids in by_scenario.items()})
    return {i for name, ids in by_scenario.items() for i in sorted(ids, key=lambda i: stable_order(seed, i))[:counts[name]]}
