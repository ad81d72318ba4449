"""The dataset card: README.md beside the datasets, as the Hugging Face hub reads it."""
from weatherman.dialogue.figures import (
    DIVERSITY_HEADERS,
    TOKEN_HEADERS,
    diversity_rows,
    licenses,
    not_measured,
    sources,
    split_rows,
    token_rows,
)
from weatherman.dialogue.mixture import SPLITS

SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))  # the hub's own names
MADE_OF = {
    "literary": "passages of books (and of web pages, if any were collected) as answers to prompts about what they tell",
    "satire": "headlines as answers to a request for one on their subject",
    "tool_use": "synthetic dialogues with a weather service, in a neutral voice",
    "hybrid": "the same in the persona of Mark Twain or Benjamin Franklin",
    "imported": "conversations that were imported from elsewhere",
}
INTRODUCTION = """that train a small language model to talk like Mark Twain or Benjamin Franklin, to write satirical headlines, and to
call weather tools correctly. One JSON object a line: `messages` in OpenAI form (the arguments of calls are JSON strings), `tools`, `tags`,
and `provenance` with document, byte range and licence of every text."""
LIMITS = """- The books carry the views and the words of the 18th and 19th century. Slurs were filtered by a list, not by judgement.
- Prompts of style records come from a grammar, not from people. Tool dialogues are invented: the places are real, the weather is not.
- Headlines are the copyright of their publishers. Whether training on them is allowed where you are is for you to decide; they are short,
  and tagged (`tags.source`), so they can be left out.
- English only. Near-duplicates were looked for by word and character shingles; paraphrases were not."""


def card_text(dataset, manifest, outputs):
    """Return the card (str): YAML metadata and Markdown. manifest: of the datasets; outputs: their paths, in the order of SPLITS."""
    import yaml
    front = yaml.safe_dump(metadata(len(dataset.records), outputs), sort_keys=False, allow_unicode=True)
    sections = {"Composition": composition_text(dataset), "Sources and licences": sources_text(dataset),
                "How it was made": how_made(dataset, manifest), "Splits": splits_text(dataset), "Diversity": diversity_text(dataset),
                "Tokens": tokens_text(dataset.tokens), "Known limits": [LIMITS]}
    parts = ["# Weatherman dialogues", f"{len(dataset.records):,} conversations {INTRODUCTION}", *waiver(dataset)]
    for title, content in sections.items():
        parts += [f"## {title}", *content]
    return f"---\n{front}---\n\n" + "\n\n".join(parts) + "\n"


def metadata(count, outputs):
    """Return the card's metadata, the keys of the hub's specification (datasetcard.md in huggingface/hub-docs)."""
    size = next((name for limit, name in SIZES if count < limit), "n>1M")
    files = [{"split": split, "path": path.name} for split, path in zip(SPLITS, outputs)]
    return {"language": ["en"], "license": "other", "license_name": "per-record", "license_link": "README.md",
            "pretty_name": "Weatherman dialogues", "size_categories": [size], "task_categories": ["text-generation"],
            "tags": ["conversational", "tool-use", "weather", "style-transfer"],
            "configs": [{"config_name": "default", "data_files": files}]}


def table(rows, headers):
    """Return a Markdown table; numbers with thousands separators, to the right."""
    cells = [[f"{cell:,}" if isinstance(cell, int) else str(cell).replace("|", "\\|") for cell in row] for row in rows]
    rule = ["---:" if rows and all(isinstance(row[n], (int, float)) for row in rows) else "---" for n in range(len(headers))]
    return "\n".join("| " + " | ".join(line) + " |" for line in [list(headers), rule, *cells])


def waiver(dataset):
    """Return what is said when a shortfall was accepted, [] otherwise."""
    lines = [f"- {q.kind}: {q.wanted:,} records wanted, {q.there:,} there" for q in dataset.shortfalls]
    return [f"> **Smaller than asked for.** The configuration asks for {dataset.total:,} records; of some kinds there were too few, and "
            f"`--accept-shortfall` made it {len(dataset.records):,} at the same shares.", "\n".join(lines)] if lines else []


def composition_text(dataset):
    total = len(dataset.records)
    rows = [[q.kind, MADE_OF[q.kind], f"{q.share:.0%}", q.taken, f"{q.taken / total:.1%}"] for q in dataset.quotas]
    return [table(rows, ["kind", "what it is", "quota", "records", "share"]),
            table(split_rows(dataset.splits), ["kind", "persona", *SPLITS])]


def sources_text(dataset):
    rows = [[strand, count, documents, found] for strand, found, documents, count in sources(dataset.records)]
    return [table(rows, ["source/persona", "records", "documents", "licence"]),
            "Licences, counted from the records (`provenance.documents[].license`):",
            table([[name, count] for name, count in licenses(dataset.records).most_common()], ["licence", "records"])]


def how_made(dataset, manifest):
    git, flag = manifest["git"], " --accept-shortfall" if dataset.shortfalls else ""
    inputs = [f"- `{entry['path']}`, {entry['rows'] or 0:,} rows, sha256 `{entry['sha256']}`" for entry in manifest["inputs"]]
    checks = "; ".join(f"{name}: {count:,}" for name, count in dataset.tools.items())
    commit = (git["commit"] or "unknown") + (" with changes" if git["dirty"] else "")
    return [f"Seed {dataset.seed}, commit {commit}, from:", "\n".join(inputs),
            "```bash\npython scripts/06_format_chat.py\npython scripts/07_generate_tool_use.py\n"
            f"python scripts/08_build_dataset.py{flag}\n```",
            "Every call was validated against its schema, and every number, place, day and condition of an answer looked for in the tool "
            f"results: {checks}. `08_build_dataset.py --trace ID` shows the passage, file and bytes behind a record."]


def splits_text(dataset):
    """Return the sizes of the splits, what each lacks, and what was looked for in two of them."""
    total = len(dataset.records)
    missing = [f"- {split} has no {', '.join(names)}" for split, names in dataset.lacks.items() if names]
    looked = "; ".join(f"{what}: {count}" for what, count in dataset.leaks.items())
    return ["Whole works, voices and headlines are held out, never a part of one, so the shares are met as nearly as their sizes allow.",
            table([[split, len(dataset.splits[split]), f"{len(dataset.splits[split]) / total:.1%}"] for split in SPLITS],
                  ["split", "records", "share"]),
            *(["\n".join(missing)] if missing else []), f"Looked for in two splits, and found so often: {looked}."]


def diversity_text(dataset):
    gates = [f"- {what}: {found} ({limit})" for what, found, limit in dataset.gates]
    return [f"Of the answers; self-BLEU of a sample of {dataset.diversity.sample} of them. A skeleton is a text with names, numbers and "
            "quotations masked.", table(diversity_rows(dataset.diversity.figures), DIVERSITY_HEADERS), "\n".join(gates)]


def tokens_text(tokens):
    """Return the tokens in every model's own template, and plainly which models were not measured."""
    rows = token_rows(tokens)
    absent = [f"- not measured: {model}, whose tokenizer was not there (`{how}`)" for model, how in not_measured(tokens).items()]
    measured = table(rows, TOKEN_HEADERS) if rows else "No model's tokens were measured."
    return [measured, "\n".join(absent)] if absent else [measured]
