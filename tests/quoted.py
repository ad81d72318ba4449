"""The messages that our source can print, so that a document which quotes one can be held to it.

A message is kept as its pieces of fixed text, in order, with a gap where the code puts a value in.
"""
import ast
import functools
import re

from paths import REPO_DIR, SCRIPTS_DIR

GAP = "\0"


def template(node):
    """Return the text of a string expression with GAP for what is put in; None for anything else."""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else None
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else GAP for part in node.values)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return "".join(GAP if (text := template(side)) is None else text for side in (node.left, node.right))
    return None


def python_templates(source):
    """Return the templates of every string of a Python source, docstrings and all."""
    return [text for node in ast.walk(ast.parse(source)) if (text := template(node))]


def shell_templates(source):
    """Return the lines of a shell script with GAP for what is put in."""
    return re.sub(r'\$\("[^"]*"[^)]*\)|\$\([^)]*\)|\$\{[^}]*\}|\$\w+|\\\n\s*', GAP, source).split("\n")


@functools.cache
def all_templates():
    """Return the templates of several words of all our scripts, line ends as blanks."""
    found = [text for path in SCRIPTS_DIR.rglob("*.py") for text in python_templates(path.read_text(encoding="utf-8"))]
    for path in [*REPO_DIR.glob("*.sh"), *SCRIPTS_DIR.glob("*.sh")]:
        found += shell_templates(path.read_text(encoding="utf-8"))
    return list(dict.fromkeys(" ".join(text.split()) for text in found if " " in text.strip()))


def is_ours(message):
    """Return whether some template holds the pieces of a message, which writes … for what is put in, in their order."""
    pieces = [piece.strip() for piece in message.split("…") if piece.strip()]
    return any(_holds(text, pieces) for text in all_templates())


def _holds(text, pieces):
    start = 0
    for piece in pieces:
        start = text.find(piece, start)
        if start < 0:
            return False
        start += len(piece)
    return bool(pieces)


def quoted_as_ours(document):
    """Yield (line number, message) for the first cell of each table row whose second cell names one of our scripts."""
    for number, line in enumerate(document.split("\n"), 1):
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == 4 and re.search(r"`[\w*]+\.(py|sh)`", cells[1]):
            for message in re.findall(r"(?<!`)`{1,2}(?!`)\s?(.+?)\s?(?<!`)`{1,2}(?!`)", cells[0]):
                yield number, message.replace("\\|", "|")
