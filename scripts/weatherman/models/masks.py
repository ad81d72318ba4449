"""Conversations as the loss sees them: the tokens that are trained stand out, on a terminal and on a page."""
import random
import re
import sys
from collections import defaultdict

from weatherman import html
from weatherman.dialogue.mixture import kind_of
from weatherman.html import REPORT_STYLE, join, keys, tag
from weatherman.models.templates import IGNORED, encode_rows

TRAINED, PLAIN, CONTROL = "\033[1;30;46m", "\033[0m", "\033[2m"  # ANSI: black on cyan, as it was, dim
OPEN, CLOSE = "⟦", "⟧"  # in place of colours where there are none

MASK_STYLE = """
.row { white-space: pre-wrap; overflow-wrap: anywhere; font: .86rem/1.75 ui-monospace, Menlo, Consolas, monospace; margin: .3rem 0 1rem;
       color: var(--soft); }
.row .loss { background: color-mix(in srgb, var(--second) 20%, transparent); color: var(--ink); border-bottom: 2px solid var(--second);
       border-radius: 3px 3px 0 0; padding: .12em 0; -webkit-box-decoration-break: clone; box-decoration-break: clone; }
.row code { font: inherit; font-size: .92em; color: var(--first); border: 1px solid var(--line); border-radius: 4px; padding: 0 .2em;
       white-space: nowrap; }
.row .loss code { color: var(--second); border-color: var(--second); }
.key .loss { border-bottom: 2px solid var(--second); background: color-mix(in srgb, var(--second) 20%, transparent); }
"""


def draw(records, number, seed):
    """Return `number` records, drawn with the seed, from every kind in turn."""
    kinds = defaultdict(list)
    for record in random.Random(f"{seed}/masks").sample(records, len(records)):
        kinds[kind_of(record["tags"])].append(record)
    queues, drawn = [kinds[kind] for kind in sorted(kinds)], []
    while len(drawn) < min(number, len(records)):
        drawn += [queue.pop() for queue in queues if queue]
    return drawn[:number]


def runs(tokenizer, encoded):
    """Return [(text, trained)] of one row (templates.Encoded): its tokens decoded, cut where the loss begins or ends."""
    cuts = [at for at in range(1, len(encoded.labels)) if (encoded.labels[at] == IGNORED) != (encoded.labels[at - 1] == IGNORED)]
    edges = [0, *cuts, len(encoded.labels)]
    return [(tokenizer.decode(encoded.input_ids[start:end], clean_up_tokenization_spaces=False), encoded.labels[start] != IGNORED)
            for start, end in zip(edges, edges[1:])]


def parts(tokenizer, text):
    """Return [(text, whether it is a token with a meaning of its own, such as <|im_end|>)]."""
    control = "|".join(re.escape(token) for token in sorted(tokenizer.get_added_vocab(), key=len, reverse=True))
    split = re.split(f"({control})", text) if control else [text]
    return [(piece, at % 2 == 1) for at, piece in enumerate(split) if piece]


def terminal(tokenizer, record, colour):
    """Return one record for a terminal: what is trained in colour, or between brackets where there is none."""
    lines = []
    for encoded in encode_rows(tokenizer, record, sys.maxsize):
        text = "".join(_terminal_run(tokenizer, run, trained, colour) for run, trained in runs(tokenizer, encoded))
        lines += [f"--- {record['id']}: {about(encoded)}", text]
    return "\n".join(lines)


def _terminal_run(tokenizer, text, trained, colour):
    text = html.visible(text)
    if not colour:
        return f"{OPEN}{text}{CLOSE}" if trained else text
    if trained:  # a colour is set anew on every line: pagers forget it at the end of one
        return "\n".join(f"{TRAINED}{line}{PLAIN}" if line else "" for line in text.split("\n"))
    return "".join(f"{CONTROL}{piece}{PLAIN}" if control else piece for piece, control in parts(tokenizer, text))


def about(encoded):
    """Return "412 tokens, 96 trained (23.3 %)"."""
    total, trained = len(encoded.input_ids), encoded.loss_tokens
    return f"{total:,} tokens, {trained:,} trained ({html.percent(trained / total)})"


def page(tokenizer, records, model):
    """Return a whole page (str) of records in the template of `model`."""
    links = [tag("li", tag("a", kind_of(record["tags"]), href=f"#c{number}")) for number, record in enumerate(records, 1)]
    nav = tag("nav", tag("b", "Conversations"), tag("ul", *links), aria_label="Conversations")
    return html.page(
        "What is trained", tag("h1", "What is trained"), tag("p", f"{len(records)} conversations in the template of {model}", class_="sub"),
        keys(" Everything else the model reads and is not trained on. Framed: tokens with a meaning of their own.",
             loss="the loss is taken on these tokens"), *(card(tokenizer, *numbered) for numbered in enumerate(records, 1)),
        style=REPORT_STYLE + MASK_STYLE, nav=nav)


def card(tokenizer, number, record):
    """Return one record as Markup."""
    found = []
    for encoded in encode_rows(tokenizer, record, sys.maxsize):
        row = join(tag("span", join(_page_part(*part) for part in parts(tokenizer, text)), class_="loss" if trained else None)
                   for text, trained in runs(tokenizer, encoded))
        found += [tag("span", about(encoded), class_="where"), tag("div", row, class_="row", dir="auto")]
    title = tag("h4", record["id"], tag("small", f" {kind_of(record['tags'])}"))
    return tag("article", title, *found, class_="card cluster", id=f"c{number}")


def _page_part(text, control):
    return tag("code", text) if control else text
