"""Mix the chat records to their quotas, split them so that nothing leaks, check it, and write the datasets.

Reads data/processed/style_chat.jsonl and data/synthetic/tool_use.jsonl. Writes data/processed/{train,validation,test}.jsonl.
Machine: the Mac.
    python scripts/08_build_dataset.py
    python scripts/08_build_dataset.py --show 118
    python scripts/08_build_dataset.py --show test:7
"""
import sys
from collections import Counter, defaultdict
from pathlib import Path

from paths import folder, show
from weatherman.cli import GateError, UserError, add_data_flags, log, parser, progress, run, table
from weatherman.dialogue.leakage import check_leakage
from weatherman.dialogue.mixture import KINDS, SPLITS, assign_splits, choose, kind_of, stable_order
from weatherman.files import read_jsonl
from weatherman.manifest import read_manifest
from weatherman.step import Step


def main(argv=None):
    """Write the three datasets, or print one record of them."""
    flags = parser(__doc__)
    flags.add_argument("--input", metavar="FILE", nargs="+", help="chat records (default: style_chat.jsonl and tool_use.jsonl)")
    flags.add_argument("--show", metavar="[SPLIT:]LINE", help="print one record of a dataset, readable; the split is train unless named")
    add_data_flags(flags)
    args = flags.parse_args(argv)
    first = Path(args.output) if args.output else folder("processed") / "train.jsonl"
    outputs = [first, *(first.with_name(f"{split}.jsonl") for split in SPLITS[1:])]
    if args.show:
        print(readable(find_record(args.show, dict(zip(SPLITS, outputs)))))
        return 0
    from weatherman.schemas import data_config
    config = data_config(args)
    mixture, split, seed = config.plain["mixture"], config.plain["split"], config.values.seed
    usual = [folder("processed") / "style_chat.jsonl", folder("synthetic") / "tool_use.jsonl"]
    sources = [Path(path) for path in args.input] if args.input else usual
    step = Step(__file__, rooms=["dialogue"], inputs=sources, outputs=outputs, config={"mixture": mixture, "split": split}, seed=seed)
    if not step.wanted(args):
        return step.finish(args)
    with step:
        rows = [row for source in sources for row in read_source(step, source)]
        splits = build(step, rows, mixture, split, seed)
        check_leakage(splits)
        for number, name in enumerate(SPLITS):
            for record in splits[name]:
                step.keep(record, output=number)
        step.notes = {"composition": composition(splits), **{f"in {name}": len(splits[name]) for name in SPLITS}}
    if not args.json:
        log(composition_table(splits))
    return step.finish(args)


def read_source(step, source):
    """Return [(source, line, record)] of the valid rows of one file. Raises GateError when rows are missing against its manifest."""
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
    return rows


def build(step, rows, mixture, shares, seed):
    """Return {split: records} at the quotas; rows over quota are rejected."""
    seen_ids, ids = {}, defaultdict(list)
    for source, line, record in rows:
        if record["id"] in seen_ids:
            raise GateError(f'{show(source)}:{line}: the id "{record["id"]}" was there before, at {seen_ids[record["id"]]}.',
                            "write the sources again; two of them hold the same records")
        seen_ids[record["id"]] = f"{show(source)}:{line}"
        ids[kind_of(record["tags"])].append(record["id"])
    chosen = choose(ids, mixture, seed)
    for source, line, record in rows:
        if record["id"] not in chosen:
            step.reject("over_quota", file=source, line=line, id=record["id"], excerpt=record["messages"][-1]["content"])
    kept = [record for _, _, record in rows if record["id"] in chosen]
    groups = assign_splits([(kind_of(r["tags"]), r["tags"]["persona"], r["provenance"]["split_group"]) for r in kept], shares, seed)
    splits = {name: [] for name in SPLITS}
    for record in sorted(kept, key=lambda record: stable_order(seed, record["id"])):
        splits[groups[record["provenance"]["split_group"]]].append(record)
    return splits


def composition(splits):
    """Return {split: {"kind persona": rows}}."""
    return {name: dict(sorted(Counter(f"{kind_of(r['tags'])} {r['tags']['persona']}" for r in records).items()))
            for name, records in splits.items()}


def composition_table(splits):
    """Return the rows of each kind and persona in each split, with the kind's share of the whole."""
    counts, total = composition(splits), sum(map(len, splits.values()))
    rows = []
    for kind in KINDS:
        for name in sorted({name for split in counts.values() for name in split if name.split()[0] == kind}):
            found = [counts[split].get(name, 0) for split in SPLITS]
            rows.append([*name.split(), *found, f"{sum(found) / total:.1%}"])
    return table([*rows, ["all", "", *(len(splits[split]) for split in SPLITS), "100.0%"]], ["kind", "persona", *SPLITS, "share"])


def find_record(where, paths):
    """Return the record that "118" or "test:7" names. Raises UserError when there is none."""
    split, _, number = where.rpartition(":")
    path = paths.get(split or "train")
    if path is None or not number.isdigit():
        raise UserError(f"--show {where}: expected a line number, or SPLIT:LINE with one of {', '.join(SPLITS)}.", "--show validation:12")
    if not path.is_file():
        raise UserError(f"{show(path)}: no such file.", "python scripts/08_build_dataset.py")
    for line, record in read_jsonl(path, on_bad=lambda *bad: None):
        if line == int(number):
            return record
    raise UserError(f"{show(path)}: there is no record at line {number}.", f"wc -l '{path}'")


def readable(record):
    """Return a record as text for people: tags, provenance, then the turns with their calls."""
    lines = [f"{record['id']}  {' '.join(f'{key}={value}' for key, value in record['tags'].items() if value)}",
             *(f"from {d['id']} bytes {d['start']}-{d['end']} ({d['license']})" for d in record["provenance"]["documents"]),
             f"tools: {', '.join(tool['function']['name'] for tool in record['tools']) or 'none'}"]
    for message in record["messages"]:
        lines += ["", f"[{message['role']}] {message['content']}".rstrip()]
        lines += [f"  -> {call['function']['name']}({call['function']['arguments']})" for call in message.get("tool_calls") or []]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(run(main))
