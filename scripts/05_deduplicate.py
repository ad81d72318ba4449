"""Remove texts that are there twice: exact copies, near-duplicates, and passages that another edition of the book holds.

Reads data/processed/passages.jsonl. Writes data/processed/unique.jsonl. The first in the order of the input stays; each
reject names the text it repeats. Machine: the Mac.
    python scripts/05_deduplicate.py
    python scripts/05_deduplicate.py --set dedup.threshold=0.9
    python scripts/05_deduplicate.py --engine datasketch --output /tmp/reference.jsonl
"""
import os
import sys
from pathlib import Path

from paths import folder
from weatherman.cli import GateError, add_data_flags, parser, progress, run
from weatherman.files import read_jsonl
from weatherman.step import Step


def main(argv=None):
    """Write the passages that repeat no earlier one."""
    args = parse_args(argv)
    from weatherman.schemas import data_config
    config = data_config(args)
    source = Path(args.input) if args.input else folder("processed") / "passages.jsonl"
    step = Step(__file__, rooms=["corpus"], inputs=[source],
                outputs=[Path(args.output) if args.output else folder("processed") / "unique.jsonl"],
                config={**config.plain["dedup"], "engine": args.engine}, seed=config.values.seed)
    if not step.wanted(args):
        return step.finish(args)
    with step:
        deduplicate(step, source, config.values, args.engine, args.workers or os.cpu_count())
        if not step.counts["out"]:
            raise GateError(f"{source}: none of its {step.counts['in']} rows is a usable passage.", "python scripts/04_clean_passages.py")
    return step.finish(args)


def parse_args(argv):
    flags = parser(__doc__)
    flags.add_argument("--input", metavar="FILE", help="passages (default: data/processed/passages.jsonl)")
    flags.add_argument("--engine", choices=("numba", "datasketch"), default="numba", help="datasketch: the slow reference, same result")
    add_data_flags(flags, workers=True)
    return flags.parse_args(argv)


def deduplicate(step, source, config, engine, workers):
    """Keep each passage that repeats none kept before it. The file is read twice, so that only its texts are held in memory."""
    from weatherman.corpus import dedup, reference
    collection, left_out = dedup.Collection(), set()
    for passage in progress(valid_passages(step, source, left_out), "read", unit="texts"):
        collection.add(passage["id"], passage["text"], passage["author"])
    found = iter((reference if engine == "datasketch" else dedup).find_duplicates(collection, config.dedup, config.seed, workers))
    for line, passage in read_jsonl(source, lambda *_: None):
        if line in left_out:
            continue
        duplicate = next(found)
        if duplicate is None:
            step.keep(passage)
        else:
            step.reject(duplicate.reason, file=source, line=line, id=passage["id"],
                        excerpt=f"{duplicate.similarity:.2f} of {duplicate.of}: {passage['text']}")


def valid_passages(step, source, left_out):
    """Yield the valid passages of different ids; reject the others and add their lines to `left_out`."""
    from weatherman.records import Passage, check
    ids = set()

    def reject(reason, line, name, excerpt):
        left_out.add(line)
        step.reject(reason, file=source, line=line, id=name, excerpt=excerpt)

    def on_bad(line, reason, excerpt):
        step.seen()
        reject(reason, line, None, excerpt)

    for line, passage in read_jsonl(source, on_bad):
        step.seen()
        name = passage["id"] if isinstance(passage.get("id"), str) else None
        try:
            check(Passage, passage)
        except ValueError as error:
            reject("invalid_record", line, name, error)
            continue
        if name in ids:
            reject("duplicate_id", line, name, passage["text"])
            continue
        ids.add(name)
        yield passage


if __name__ == "__main__":
    sys.exit(run(main))
