"""Print how well `ungrounded` agrees with people on the labelled answers, and every disagreement.

Reads tests/labelled/grounding.jsonl: {"id", "messages", "tools", "findings": kinds of unsupported claims, [] for none}. Machine: the Mac.
The labels are a person's, but three: the rule refuses all arithmetic, so rows 84 (a sum), 103 and 134 (differences), which are right and
were judged grounded, are labelled "number".
    python tests/measure_grounding.py
    python tests/measure_grounding.py --kinds FILE
"""
import argparse
import json
import sys
from collections import Counter
from pathlib import Path

TESTS_DIR = Path(__file__).resolve().parent
sys.path.insert(0, str(TESTS_DIR.parent / "scripts"))
from weatherman.cli import table  # noqa: E402
from weatherman.dialogue.grounding import ungrounded  # noqa: E402

LABELLED = TESTS_DIR / "labelled" / "grounding.jsonl"
KINDS = ("number", "place", "day", "condition")


def judged(path=LABELLED):
    """Return [(row, findings)] of the labelled dialogues."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").split("\n") if line]
    return [(row, ungrounded(row["messages"], row.get("tools") or [])) for row in rows]


def agreement(answers):
    """Return (share of rows flagged or not as labelled, precision, recall) of "ungrounded"."""
    counts = Counter((bool(row["findings"]), bool(findings)) for row, findings in answers)
    hits = counts[True, True]
    share = (hits + counts[False, False]) / max(1, len(answers))
    return share, hits / max(1, hits + counts[False, True]), hits / max(1, hits + counts[True, False])


def of_kind(answers, kind):
    """Return the same answers reduced to one kind of finding."""
    return [({**row, "findings": [found for found in row["findings"] if found == kind]},
             [found for found in findings if found.startswith(f"{kind}:")]) for row, findings in answers]


def main(argv=None):
    flags = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    flags.add_argument("file", nargs="?", type=Path, default=LABELLED, help="labelled answers (default: tests/labelled/grounding.jsonl)")
    flags.add_argument("--kinds", action="store_true", help="also show the rows whose kinds of finding differ")
    args = flags.parse_args(argv)
    answers = judged(args.file)
    for row, findings in answers:
        kinds = {found.split(":")[0] for found in findings}
        if bool(findings) != bool(row["findings"]) or args.kinds and kinds != set(row["findings"]):
            said = [message["content"] for message in row["messages"] if message["role"] == "assistant" and message.get("content")]
            print(f"{row['id']}: labelled {row['findings']}, found {findings}\n    {' / '.join(said)}")
    shown = [["any", *agreement(answers)]] + [[kind, *agreement(of_kind(answers, kind))] for kind in KINDS]
    print(table([[kind, *(f"{value:.3f}" for value in values)] for kind, *values in shown], ["kind", "agreement", "precision", "recall"]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
