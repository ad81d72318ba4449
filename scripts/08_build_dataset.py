"""Mix the chat records to their quotas, split them so that nothing leaks, check them, and write the datasets with card and report.

Reads data/processed/style_chat.jsonl and data/synthetic/tool_use.jsonl. Writes data/processed/{train,validation,test}.jsonl, the dataset
card README.md and dataset_report.html. Machine: the Mac.
    python scripts/08_build_dataset.py
    python scripts/08_build_dataset.py --accept-shortfall
    python scripts/08_build_dataset.py --show test:7
    python scripts/08_build_dataset.py --trace validation:12
"""
import os
import sys
from pathlib import Path

from paths import base_dir, folder, show
from weatherman.cli import GateError, add_data_flags, log, parser, progress, run
from weatherman.dialogue.mixture import SPLITS, kind_of
from weatherman.files import read_jsonl, write_bytes
from weatherman.manifest import read_manifest


def main(argv=None):
    """Write the datasets, or print one record of them."""
    args = parse_args(argv)
    first = Path(args.output) if args.output else folder("processed") / "train.jsonl"
    outputs = [first, *(first.with_name(f"{split}.jsonl") for split in SPLITS[1:])]
    if args.show or args.trace:
        from weatherman.dialogue.trace import find_record, readable, trace
        found = find_record(args.show or args.trace, dict(zip(SPLITS, outputs)))
        print(readable(found[2]) if args.show else trace(*found))
        return 0
    from weatherman.schemas import data_config
    from weatherman.step import Step
    config, card, report = data_config(args), first.with_name("README.md"), first.with_name("dataset_report.html")
    usual = [folder("processed") / "style_chat.jsonl", folder("synthetic") / "tool_use.jsonl"]
    inputs = [Path(path) for path in args.input] if args.input else usual
    step = Step(__file__, rooms=["corpus", "dialogue", "training"], inputs=inputs, outputs=outputs, config=identity(config, args),
                seed=config.values.seed)
    args.force = args.force or not (card.is_file() and report.is_file())
    if not step.wanted(args):
        return step.finish(args)
    with step:
        dataset = make(step, inputs, config, args)
    from weatherman.dialogue.card import card_text
    from weatherman.dialogue.report import page
    manifest = read_manifest(first)
    write_bytes(card, card_text(dataset, manifest, outputs).encode())
    write_bytes(report, page(dataset, manifest, outputs).encode())
    if not args.json:
        from weatherman.dialogue.figures import tables
        log(tables(dataset))
        log(f"wrote {show(card)} and {show(report)}")
    return step.finish(args)


def parse_args(argv):
    flags = parser(__doc__)
    flags.add_argument("--input", metavar="FILE", nargs="+", help="chat records (default: style_chat.jsonl and tool_use.jsonl)")
    flags.add_argument("--accept-shortfall", action="store_true", help="build a smaller dataset when a kind cannot fill its quota")
    flags.add_argument("--show", metavar="WHICH", help="print one record, readable: LINE (of train), SPLIT:LINE or its id")
    flags.add_argument("--trace", metavar="WHICH", help="the same, with the passage, file, bytes and licence behind it")
    add_data_flags(flags, workers=True)
    return flags.parse_args(argv)


def identity(config, args):
    """Return what of the configuration the outputs depend on; a tokenizer that has arrived since is a reason to measure again."""
    from weatherman.models.tokens import tokenizer_folder
    parts = {key: config.plain[key] for key in ("mixture", "split", "diversity", "render", "dedup")}
    books = [[book["id"], book["author"], book["title"]] for book in config.plain["gutenberg"]["books"]]
    return {**parts, "books": books, "accept_shortfall": args.accept_shortfall,
            "tokenizers": [model for model in config.values.render.models if tokenizer_folder(model)]}


def make(step, inputs, config, args):
    """Return the Dataset of the input files, its records kept, all others rejected with their reason."""
    from weatherman.dialogue.dataset import build
    rows = [row for source in inputs for row in read_source(step, source)]
    refuse_repeated_ids(rows)
    files = {kind_of(record["tags"]): show(source) for source, _, record in rows}
    dataset = build([record for _, _, record in rows], files, config, args.accept_shortfall)
    dataset.tokens = measure_tokens(dataset.records, config.values.render, args.workers or os.cpu_count())
    for number, name in enumerate(SPLITS):
        for record in dataset.splits[name]:
            step.keep(record, output=number)
    for source, line, record in rows:
        if reason := dataset.rejected.get(record["id"]):
            step.reject(reason, file=source, line=line, id=record["id"], excerpt=record["messages"][-1]["content"])
    step.notes = dataset.notes()
    return dataset


def read_source(step, source):
    """Return [(source, line, record)] of the valid rows of one file. Raises GateError when rows or a whole source are missing in it."""
    from weatherman.dialogue.dataset import check_upstream
    from weatherman.records import ChatRecord, check
    rows, read = [], 0

    def on_bad(line, reason, excerpt):
        nonlocal read
        read += 1
        step.seen()
        step.reject(reason, file=source, line=line, excerpt=excerpt)

    for line, record in progress(read_jsonl(source, on_bad), source.stem, unit="rows"):
        read += 1
        step.seen()
        try:
            check(ChatRecord, record)
            rows.append((source, line, record))
        except ValueError as error:
            step.reject("invalid_record", file=source, line=line, id=str(record.get("id")), excerpt=error)
    written = (read_manifest(source) or {"counts": {"out": read}})["counts"]["out"]
    if read != written:
        raise GateError(f"{show(source)}: its manifest says {written:,} rows were written, and {read:,} are there.",
                        "run the step that writes it again")
    check_upstream(source, [record for _, _, record in rows])
    return rows


def refuse_repeated_ids(rows):
    """Raise GateError when two records have one id."""
    seen = {}
    for source, line, record in rows:
        where = f"{show(source)}:{line}"
        if seen.setdefault(record["id"], where) != where:
            raise GateError(f'{where}: the id "{record["id"]}" was there before, at {seen[record["id"]]}.',
                            "write the sources again; two of them hold the same records")


def measure_tokens(records, render, workers):
    """Return {model: [Counted]}, and how to get the tokenizer (a text) for a model whose is not here. Raises GateError for a fault."""
    from weatherman.dialogue.dataset import check_tokens
    from weatherman.models.tokens import count, how_to_get, tokenizer_folder
    found = {}
    for model in render.models:
        if tokenizer_folder(model) is None:
            found[model] = how_to_get(model).replace(f"{base_dir()}/", "")
            continue
        measured = progress(count(records, model, render.max_tokens, workers), model, total=len(records), unit="records")
        found[model] = check_tokens(model, measured)
    return found


if __name__ == "__main__":
    sys.exit(run(main))
