"""Remove texts that are there twice: exact copies, near-duplicates, and passages that another edition of the book holds.

Reads data/processed/passages.jsonl. Writes data/processed/unique.jsonl. The first in the order of the input stays; each
reject names the text it repeats. Machine: the Mac.
    python scripts/05_deduplicate.py
    python scripts/05_deduplicate.py --set dedup.threshold=0.9
"""
import sys
from pathlib import Path

from paths import folder
from weatherman.cli import GateError, add_data_flags, parser, progress, run
from weatherman.corpus.dedup import Deduplicator
from weatherman.files import read_jsonl
from weatherman.step import Step


def main(argv=None):
    """Write the passages that repeat no earlier one."""
    flags = parser(__doc__)
    flags.add_argument("--input", metavar="FILE", help="passages (default: data/processed/passages.jsonl)")
    add_data_flags(flags)
    args = flags.parse_args(argv)
    from weatherman.schemas import data_config
    config = data_config(args)
    source = Path(args.input) if args.input else folder("processed") / "passages.jsonl"
    step = Step(__file__, rooms=["corpus"], inputs=[source],
                outputs=[Path(args.output) if args.output else folder("processed") / "unique.jsonl"],
                config=config.plain["dedup"], seed=config.values.seed)
    if not step.wanted(args):
        return step.finish(args)
    with step:
        deduplicate(step, source, config.values)
        if not step.counts["out"]:
            raise GateError(f"{source}: none of its {step.counts['in']} rows is a usable passage.", "python scripts/04_clean_passages.py")
    return step.finish(args)


def deduplicate(step, source, config):
    """Keep each passage that repeats none kept before it."""
    from weatherman.records import Passage, check
    def on_bad(line, reason, excerpt):
        step.seen()
        step.reject(reason, file=source, line=line, excerpt=excerpt)

    engine, seen_ids = Deduplicator(config.dedup, config.seed), set()
    for line, passage in progress(read_jsonl(source, on_bad), "deduplicate", unit="texts"):
        step.seen()
        name = passage["id"] if isinstance(passage.get("id"), str) else None
        try:
            check(Passage, passage)
        except ValueError as error:
            step.reject("invalid_record", file=source, line=line, id=name, excerpt=error)
            continue
        if name in seen_ids:
            step.reject("duplicate_id", file=source, line=line, id=name, excerpt=passage["text"])
            continue
        seen_ids.add(name)
        duplicate = engine.check(passage)
        if duplicate is None:
            step.keep(passage)
        else:
            step.reject(duplicate.reason, file=source, line=line, id=name,
                        excerpt=f"{duplicate.similarity:.2f} of {duplicate.of}: {passage['text']}")


if __name__ == "__main__":
    sys.exit(run(main))
