"""Convert other people's chat data to our records: OpenAI, ShareGPT, Alpaca or plain questions and answers; the shape is found out.

Reads .jsonl, .json, .csv, .tsv or .txt (Q: … A: …). Writes data/processed/imported.jsonl. Machine: the Mac.
    python scripts/import_chat.py chats.jsonl --license "CC BY 4.0"
    python scripts/08_build_dataset.py --input data/processed/{style_chat,imported}.jsonl data/synthetic/tool_use.jsonl \\
        --set mixture.shares.imported=0.10 --set mixture.shares.literary=0.30
A file with more than a fifth of bad conversations is refused, with the reasons.
"""
import sys
from collections import Counter
from hashlib import sha256
from pathlib import Path

from paths import folder, show
from weatherman.cli import GateError, UserError, add_data_flags, parser, progress, run
from weatherman.dialogue.imports import convert, read_rows
from weatherman.dialogue.leakage import conversation_key, words_of
from weatherman.files import sha256_file
from weatherman.step import Step

MAX_BAD_SHARE = 0.20  # of a file's conversations; above it the file is probably of another kind than it seems


def main(argv=None):
    """Write the conversations of the given files as chat records."""
    flags = parser(__doc__)
    flags.add_argument("files", nargs="+", metavar="FILE", help="chat data")
    flags.add_argument("--license", required=True, help="the licence they may be used under, as it shall stand in every record")
    add_data_flags(flags)
    args = flags.parse_args(argv)
    from weatherman.schemas import data_config
    seed = data_config(args).values.seed
    files = [Path(name) for name in args.files]
    if len({path.name for path in files}) < len(files):
        raise UserError("two of the files have one name, and records are named by it.", "rename one of them")
    step = Step(__file__, rooms=["corpus", "dialogue"], inputs=files, config={"license": args.license}, seed=seed,
                outputs=[Path(args.output) if args.output else folder("processed") / "imported.jsonl"])
    if not step.wanted(args):
        return step.finish(args)
    with step:
        seen, shapes = set(), Counter()
        for path in files:
            import_file(step, path, args.license, seed, seen, shapes)
        step.notes = {f"shape {name}": count for name, count in sorted(shapes.items())}
    return step.finish(args)


def import_file(step, path, licence, seed, seen, shapes):
    """Keep every good conversation of one file that no earlier one repeats. Raises GateError when too many are bad."""
    from weatherman.records import ChatRecord, check
    bad, rows, digest = Counter(), 0, sha256_file(path)
    for number, start, end, row in progress(read_rows(path), path.name, unit="conversations"):
        rows += 1
        step.seen()
        try:
            shape, messages, tools = convert(row)
            record = as_record(path.name, number, messages, tools, {"sha256": digest, "start": start, "end": end, "license": licence}, seed)
            check(ChatRecord, record)
        except ValueError as error:
            reason, excerpt = getattr(error, "reason", "bad_turns"), error
        else:
            key = conversation_key(record)
            if key not in seen:
                seen.add(key)
                shapes[shape] += 1
                step.keep(record)
                continue
            step.reject("duplicate", file=path, line=number, id=record["id"], excerpt=messages[-1]["content"])
            continue
        bad[reason] += 1
        step.reject(reason, file=path, line=number, excerpt=excerpt)
    if not rows or sum(bad.values()) > MAX_BAD_SHARE * rows:
        found = ", ".join(f"{reason} {count:,}" for reason, count in bad.most_common()) or "it holds none"
        raise GateError(f"{show(path)}: {sum(bad.values()):,} of {rows:,} conversations are bad ({found}); "
                        f"at most {MAX_BAD_SHARE:.0%} may be.", f"head -c 600 '{path}', and look which of the four shapes it has")


def as_record(name, number, messages, tools, source, seed):
    """Return the chat record (dict) of one conversation. source: the other fields of its document."""
    question = " ".join(words_of(next(m["content"] for m in messages if m["role"] == "user")))
    return {"id": f"import:{name}:{number}", "messages": messages, "tools": tools,
            "tags": {"persona": "neutral", "tone": "neutral", "domain": "tool_use" if tools else "general", "source": "imported"},
            "provenance": {"documents": [{"id": f"import:{name}:{number}", **source}], "generator": "import_chat", "seed": seed,
                           "split_group": f"question:{sha256(question.encode()).hexdigest()[:16]}"}}  # one question, many answers


if __name__ == "__main__":
    sys.exit(run(main))
