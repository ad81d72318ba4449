"""The dataset as a whole: chosen, split and checked; and what the manifest, the card and the report say of it."""
from collections import Counter
from dataclasses import dataclass, field

from paths import base_dir, show
from weatherman.cli import GateError, UserError
from weatherman.dialogue import mixture as mix
from weatherman.dialogue.diversity import check_diversity, measure
from weatherman.dialogue.figures import composition, licenses, not_measured, token_figures
from weatherman.dialogue.grounding import ungrounded
from weatherman.dialogue.leakage import check_leakage, words_of
from weatherman.dialogue.mixture import SPLITS, stable_order, strand_of
from weatherman.dialogue.splits import lacks, split_records
from weatherman.files import read_jsonl, sha256_file
from weatherman.manifest import read_manifest

SHOWN = 5
ARTICLES = {"a", "an", "the"}
LOST_FROM = 20  # passages of a source from which it is no chance that no record was made of them


@dataclass
class Dataset:
    """splits: {split: records}; quotas: [Quota]; rejected: {record id: reason}; leaks, tools: what was looked for, and how often it
    was found; gates: [(what, found, limit)]; tokens: {model: [Rendered], or how to get its tokenizer (str)}."""

    splits: dict
    quotas: list
    total: int
    rejected: dict
    lacks: dict
    leaks: dict
    tools: dict
    gates: list
    diversity: object
    seed: int
    tokens: dict = field(default_factory=dict)

    @property
    def records(self):
        return [record for split in SPLITS for record in self.splits[split]]

    @property
    def shortfalls(self):
        return [quota for quota in self.quotas if quota.there < quota.wanted]

    def notes(self):
        """Return what the manifest says of the dataset."""
        waiver = {"accepted": [q.kind for q in self.shortfalls], "wanted": self.total, "total": len(self.records)}
        return {
            "records": len(self.records), **{f"in {name}": len(self.splits[name]) for name in SPLITS},
            "quotas": {q.kind: {"share": q.share, "wanted": q.wanted, "there": q.there, "taken": q.taken} for q in self.quotas},
            "waiver": waiver if self.shortfalls else None,
            "composition": composition(self.splits), "lacks": self.lacks, "leaks": self.leaks, "tools": self.tools,
            "gates": [list(gate) for gate in self.gates], "diversity": self.diversity.plain(), "licenses": dict(licenses(self.records)),
            "tokens": {model: token_figures(found) for model, found in self.tokens.items() if not isinstance(found, str)},
            "not measured": not_measured(self.tokens)}


def build(records, files, config, accept_shortfall):
    """Return the Dataset of all valid records, without its tokens. files: {kind: name of the file}; config: the data configuration.

    Raises GateError when a quota, a source, a split, or one of the checks for leaks, variety and tool calls says no.
    """
    mixture, seed = config.plain["mixture"], config.values.seed
    if "imported" in files and not mixture["shares"]["imported"]:
        raise UserError(f"{files['imported']} holds imported conversations, but the mixture's share of them is 0: none would be taken.",
                        "--set mixture.shares.imported=0.1, and the other shares lower")
    mix.check_strands(records, mixture)
    over = mix.over_told(records, mixture["tellings_per_passage"], seed)
    usable = [record for record in records if record["id"] not in over]
    quotas = mix.plan(usable, files, mixture, accept_shortfall)
    chosen = mix.choose(usable, quotas, seed)
    kept = sorted((record for record in usable if record["id"] in chosen), key=lambda record: stable_order(seed, record["id"]))
    splits = split_records(kept, config.plain["split"], seed)
    limits, dedup = config.plain["diversity"], config.values.dedup
    return Dataset(
        splits, quotas, mixture["total"], lacks=lacks(splits), leaks=check_leakage(splits, works(config.plain)), tools=check_tools(kept),
        gates=check_diversity(kept, dedup, limits, seed), diversity=measure(kept, dedup, limits["self_bleu_sample"], seed), seed=seed,
        rejected={r["id"]: "passage_used" if r["id"] in over else "over_quota" for r in records if r["id"] not in chosen})


def works(config):
    """Return {"gutenberg:148": name of the work}, the same for the editions of one: author and title without articles and punctuation."""
    return {f"gutenberg:{book['id']}": " ".join(word for word in words_of(f"{book['author']}: {book['title']}") if word not in ARTICLES)
            for book in config["gutenberg"]["books"]}


def check_upstream(source, records):
    """Raise GateError when the passages that a file of records was made from hold a source of which it has not one record.

    Looks at the inputs in the file's manifest, as far as they are still what was read then.
    """
    there = Counter(map(strand_of, records))
    for entry in (read_manifest(source) or {"inputs": []})["inputs"]:
        path = base_dir() / entry["path"]
        if path.suffix != ".jsonl" or not path.is_file() or sha256_file(path) != entry["sha256"]:
            continue
        passages = Counter(strand_of(row) for _, row in read_jsonl(path) if {"source", "persona"} <= row.keys())
        for strand, count in sorted(passages.items()):
            if count >= LOST_FROM and not there[strand]:
                raise GateError(f"{show(path)} holds {count:,} passages of {strand}, and {show(source)} has not one record of them: "
                                "a whole source is lost.", f"look at the rejects of {show(source)}, and run the step that writes it again")


def check_tools(records):
    """Return {"calls checked", "dialogues checked", "calls outside their schema": 0, "ungrounded dialogues": 0}; else raises GateError."""
    from weatherman.dialogue.arguments import check_arguments
    calls, dialogues, invalid, unsupported = 0, 0, [], []
    for record in records:
        if record["tags"]["source"] != "synthetic":
            continue
        dialogues += 1
        for call in (call["function"] for message in record["messages"] for call in message.get("tool_calls") or []):
            calls += 1
            try:
                check_arguments(call["name"], call["arguments"])
            except ValueError as error:
                invalid.append(f"{record['id']}: {error}")
        if findings := ungrounded(record["messages"], record["tools"]):
            unsupported.append(f"{record['id']}: {', '.join(map(str, findings))}")
    if invalid or unsupported:
        lines = [f"  {line}" for line in [*invalid[:SHOWN], *unsupported[:SHOWN]]]
        raise GateError(f"{len(invalid):,} calls are outside their schema, {len(unsupported):,} dialogues say what no tool result "
                        "supports:\n" + "\n".join(lines), "python scripts/07_generate_tool_use.py again")
    return {"calls checked": calls, "dialogues checked": dialogues, "calls outside their schema": 0, "ungrounded dialogues": 0}


def check_tokens(model, counted):
    """Return a list of Rendered as it is. Raises GateError when a conversation does not pass whole through the model's template."""
    counted = list(counted)
    faults = [f"  {found.id}: {found.fault}" for found in counted if found.fault]
    if faults:
        raise GateError(f"{model}: {len(faults):,} of {len(counted):,} records do not pass whole through its template:\n"
                        + "\n".join(faults[:SHOWN]),
                        "mend these records, or raise render.max_tokens, or leave the model out of render.models")
    return counted
