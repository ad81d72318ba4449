"""Say where everything lives: code in the repository, data under WEATHERMAN_BASE_DIR.

Reads configs/paths_config.json. Either machine.
    python scripts/paths.py            # every folder, resolved
    python scripts/paths.py adapters   # one of them, for shell scripts
"""
import json
import os
import sys
from pathlib import Path

SCRIPTS_DIR = Path(__file__).resolve().parent
REPO_DIR = SCRIPTS_DIR.parent
CONFIGS_DIR = REPO_DIR / "configs"
TEMPLATES_DIR = CONFIGS_DIR / "templates"


def base_dir():
    """Return the folder that data, models and adapters are relative to: $WEATHERMAN_BASE_DIR, else the repository."""
    return Path(os.environ.get("WEATHERMAN_BASE_DIR") or REPO_DIR).expanduser().resolve()


def folders():
    """Return {name: absolute Path} for every entry of configs/paths_config.json.

    Raises KeyError through `folder` for an unknown name, ValueError when the file is not a flat object of texts.
    """
    entries = json.loads((CONFIGS_DIR / "paths_config.json").read_text(encoding="utf-8"))
    if not all(isinstance(value, str) for value in entries.values()):
        raise ValueError("configs/paths_config.json: every value must be a path in quotes")
    return {name: base_dir() / value for name, value in entries.items()}


def folder(name):
    """Return one folder as an absolute Path. It need not exist yet."""
    return folders()[name]


def show(path):
    """Return `path` as people write it: relative to the base folder or the current one where it lies below them."""
    for root in (base_dir(), Path.cwd(), REPO_DIR):
        try:
            return str(Path(path).resolve().relative_to(root))
        except ValueError:
            continue
    return str(path)


def main(argv):
    entries = {"base": base_dir(), "repository": REPO_DIR, **folders()}
    if not argv:
        width = max(map(len, entries))
        print("\n".join(f"{name:<{width}}  {path}" for name, path in entries.items()))
        return 0
    if argv[0] in ("-h", "--help"):
        print(__doc__)
        return 0
    if argv[0] not in entries:
        print(f"paths.py: no folder is called {argv[0]!r}; there are: {', '.join(entries)}", file=sys.stderr)
        return 2
    print(entries[argv[0]])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
