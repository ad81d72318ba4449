"""What can be counted of a dataset, as rows: for the tables on the terminal, in the card and in the report."""
from collections import Counter

from weatherman.cli import table
from weatherman.dialogue.mixture import SPLITS, kind_of, scenario_of, strand_of

TAGS = ("kind", "persona", "source", "scenario", "tone", "domain", "device")
TOKEN_HEADERS = ("model", "tokens", "of them trained", "mean", "median", "longest")
DIVERSITY_HEADERS = ("set", "records", "distinct-1", "distinct-2", "distinct-3", "self-BLEU", "compression", "answer skeletons", "top one",
                     "prompt skeletons", "top one", "near-duplicates")


def composition(splits):
    """Return {split: {"kind persona": records}}."""
    return {name: dict(sorted(Counter(f"{kind_of(r['tags'])} {r['tags']['persona']}" for r in records).items()))
            for name, records in splits.items()}


def split_rows(splits):
    """Return [[kind, persona, records in each split]], and a last row of all records."""
    counts = composition(splits)
    rows = [[*name.split(), *(counts[split].get(name, 0) for split in SPLITS)] for name in sorted(set().union(*counts.values()))]
    return [*rows, ["all", "", *(len(splits[split]) for split in SPLITS)]]


def licenses(records):
    """Return a Counter of the licences of the records' documents; a record counts once for each licence it has."""
    return Counter(license for record in records for license in {document["license"] for document in record["provenance"]["documents"]})


def sources(records):
    """Return [(source/persona, licences, documents, records)], the most records first."""
    rows = []
    for strand, count in Counter(map(strand_of, records)).most_common():
        documents = [d for record in records if strand_of(record) == strand for d in record["provenance"]["documents"]]
        rows.append((strand, "; ".join(sorted({d["license"] for d in documents})), len({d["id"] for d in documents}), count))
    return rows


def tag_counts(splits):
    """Return {tag: [(value, {split: records})]} for every tag there is, the most frequent value first; kind and sort of prompt too."""
    def values(record):
        given = {key: value for key, value in record["tags"].items() if value is not None}
        return {**given, "kind": kind_of(given), "scenario": scenario_of(record)}

    counts = {name: Counter(item for record in records for item in values(record).items()) for name, records in splits.items()}
    totals = sorted(sum(counts.values(), Counter()).items(), key=lambda item: (-item[1], item[0]))
    found = {tag: [(value, {split: counts[split][tag, value] for split in SPLITS}) for (key, value), _ in totals if key == tag]
             for tag in TAGS}
    return {tag: rows for tag, rows in found.items() if rows}


def token_figures(counted):
    """Return {"total", "trained", "mean", "median", "longest"} in tokens, of a list of tokens.Counted."""
    tokens = sorted(found.tokens for found in counted)
    return {"total": sum(tokens), "trained": sum(found.loss_tokens for found in counted), "mean": round(sum(tokens) / len(tokens)),
            "median": tokens[len(tokens) // 2], "longest": tokens[-1]}


def token_rows(tokens):
    """Return a row under TOKEN_HEADERS for each model that was measured. tokens: as in Dataset."""
    return [[model, *token_figures(found).values()] for model, found in tokens.items() if not isinstance(found, str)]


def not_measured(tokens):
    """Return {model: how to get its tokenizer} for each that was not measured."""
    return {model: how for model, how in tokens.items() if isinstance(how, str)}


def diversity_rows(figures):
    """Return a row of texts under DIVERSITY_HEADERS for each set. figures: {set: diversity.Figures}.

    Skeletons of answers are given where we wrote the answers: headlines are written in capitals, so a skeleton says nothing of them.
    """
    rows = []
    for name, f in figures.items():
        answers = [f"{f.answer_skeletons:,}", f"{f.top_answer_skeleton:.2%}"] if name.split()[0] in ("tool_use", "hybrid") else ["–", "–"]
        rows.append([name, f.records, *(f"{value:.3f}" for value in (f.distinct_1, f.distinct_2, f.distinct_3, f.self_bleu)),
                     f"{f.compression:.2f}", *answers, f.prompt_skeletons, f"{f.top_prompt_skeleton:.2%}", f"{f.near_duplicates:.2%}"])
    return rows


def tables(dataset):
    """Return the tables that end the run: quotas, splits, gates, tokens; and what a split lacks or was not measured."""
    total, tokens = len(dataset.records), token_rows(dataset.tokens)
    quotas = [[q.kind, f"{q.share:.0%}", q.wanted, q.there, q.taken, f"{q.taken / total:.1%}"] for q in dataset.quotas]
    parts = [table(quotas, ["kind", "share", "wanted", "there", "taken", "of all"]),
             table(split_rows(dataset.splits), ["kind", "persona", *SPLITS]),
             table(dataset.gates, ["gate", "found", "limit"]), table(tokens, TOKEN_HEADERS) if tokens else ""]
    parts += [f"{model}: tokens not measured, its tokenizer is not here.\n  Try: {how}"
              for model, how in not_measured(dataset.tokens).items()]
    parts += [f"{split} has no {', '.join(missing)}" for split, missing in dataset.lacks.items() if missing]
    if dataset.shortfalls:
        parts.append(f"SHORTFALL ACCEPTED: {', '.join(q.kind for q in dataset.shortfalls)}; {total:,} records instead of {dataset.total:,}")
    return "\n\n".join(filter(None, parts))
