"""Keep an installer's output in a file, and show what moves: one changing line on a terminal, else a line for every 25 packages.

The setup scripts pipe pip or uv through it, before any library is there: the standard library is all it needs.
    python -m pip install -r requirements-dev.txt | python scripts/weatherman/machines/install_log.py setup.log 24
"""
import re
import sys

EVERY = 25  # packages between two lines where stderr is not a terminal
WIDTH = 70  # columns of a shown line, so that it never wraps


def news(line, count, total):
    """Return what one line of an installer says to people, None where it says nothing. count: packages seen, this one included."""
    if line.startswith("Collecting"):
        return f"{count} of {total}: {line.partition(' (')[0]}"
    if found := re.search(r"Downloading(.* MB.*)", line):
        return f"downloading{found[1]}"
    return line if line.startswith(("Building", "Installing", "Prepared", "Installed")) else None


def main(log_name, total):
    """Copy stdin to the log and show its news on stderr."""
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    moving, count = sys.stderr.isatty(), 0
    with open(log_name, "a", buffering=1, encoding="utf-8") as log:
        for line in sys.stdin:
            log.write(line)
            count += line.startswith("Collecting")
            shown = news(line.rstrip("\n"), count, total)
            if shown and moving:
                print(f"\r\033[K  {shown[:WIDTH]}", end="", file=sys.stderr, flush=True)
            elif shown and not shown.startswith("downloading") and (not line.startswith("Collecting") or count % EVERY == 0):
                print(f"  {shown[:WIDTH]}", file=sys.stderr, flush=True)
    if moving:
        print("\r\033[K", end="", file=sys.stderr)


if __name__ == "__main__":
    main(*sys.argv[1:])
