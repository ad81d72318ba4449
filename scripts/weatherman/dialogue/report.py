"""The dataset as one self-contained HTML page: quotas, splits, checks, variety, tokens, licences, and conversations to read."""
import random
from collections import Counter

from paths import show
from weatherman import html
from weatherman.corpus.clusters import compare
from weatherman.corpus.report import marked
from weatherman.dialogue.bubbles import BUBBLE_STYLE, conversation
from weatherman.dialogue.figures import (
    DIVERSITY_HEADERS,
    TOKEN_HEADERS,
    diversity_rows,
    not_measured,
    sources,
    split_rows,
    tag_counts,
    token_rows,
)
from weatherman.dialogue.mixture import SPLITS, kind_of
from weatherman.html import REPORT_STYLE, bars, histogram, join, keys, percent, section, table, tag, tile

CONVERSATIONS = 50
SECTIONS = ("Overview", "Composition", "Splits", "Checks", "Diversity", "Similar", "Tokens", "Tags", "Licences", "Conversations", "Runs")
STYLE = REPORT_STYLE + BUBBLE_STYLE + ".funnel b { position: absolute; top: 0; bottom: 0; width: 2px; background: var(--ink); }"
MEASURES = ("Of the answers. distinct-n: different n-grams among all; more is more varied, and longer texts have fewer. self-BLEU: how "
            "much {} of them, drawn, are like each other. Compression: how many times smaller deflate makes them. A skeleton is a text "
            "with names, numbers and quotations masked, of a prompt also its subjects; those of answers are counted where we wrote them.")


def page(dataset, manifest, outputs):
    """Return the whole page (str). manifest: of the datasets; outputs: their paths, in the order of SPLITS."""
    nav = tag("nav", tag("b", "On this page"), tag("ul", *(tag("li", tag("a", name, href=f"#{name.lower()}")) for name in SECTIONS)),
              aria_label="On this page")
    where, when = show(outputs[0].parent), manifest["finished_at"][:16].replace("T", " ")
    return html.page(
        "Dataset report", tag("h1", "Dataset report"), tag("p", f"The datasets of {where}, as of {when} UTC", class_="sub"),
        overview(dataset), composition_section(dataset), splits_section(dataset), checks_section(dataset), diversity_section(dataset),
        similar_section(dataset), tokens_section(dataset), tags_section(dataset), licences_section(dataset), conversations_section(dataset),
        runs_section(manifest), tag("footer", "Written by 08_build_dataset.py. What is drawn is drawn with the seed."),
        style=STYLE, nav=nav)


def overview(dataset):
    """Return the figures, and what was waived."""
    tools = sum(record["tags"]["source"] == "synthetic" for record in dataset.records)
    tiles = [tile(len(dataset.records), "conversations"), *(tile(len(dataset.splits[split]), split) for split in SPLITS),
             tile(tools, "tool dialogues"), tile(dataset.tools["calls checked"], "tool calls, all valid")]
    return section("Overview", verdict(dataset), tag("div", *tiles, class_="tiles"))


def verdict(dataset):
    """Return that the gates passed (no dataset is written otherwise), and every shortfall that was accepted."""
    if not dataset.shortfalls:
        return tag("div", tag("b", "Passed. "), "Every kind fills its quota, and every gate below passed.", class_="card verdict")
    items = [tag("li", f"{q.kind}: {q.wanted:,} records are wanted and {q.there:,} are there.") for q in dataset.shortfalls]
    said = tag("p", f"The configuration asks for {dataset.total:,} records. --accept-shortfall made it {len(dataset.records):,} at the "
                    "same shares. Every other gate passed.")
    return tag("div", tag("b", "A shortfall was accepted."), said, tag("ul", *items), class_="card verdict alarm")


def with_bar(title, share, quota):
    """Return a name with a bar below: the share there is, and a mark at the quota."""
    filled, mark = tag("i", class_="second", style=f"width:{100 * share:.1f}%"), tag("b", style=f"left:{100 * quota:.1f}%")
    return join([tag("bdi", title), tag("span", filled, mark, class_="funnel")])


def composition_section(dataset):
    """Return kinds against their quotas, and sources within them."""
    total, by_kind = len(dataset.records), {quota.kind: [] for quota in dataset.quotas}
    for record in dataset.records:
        by_kind[kind_of(record["tags"])].append(record)
    rows = [[with_bar(q.kind, q.taken / total, q.share), percent(q.share), q.wanted, q.there, q.taken, percent(q.taken / total)]
            for q in dataset.quotas]
    strands = [[kind, strand, documents, count, percent(count / len(records))] for kind, records in by_kind.items()
               for strand, _, documents, count in sources(records)]
    return section("Composition", table(rows, ["kind", "quota", "wanted", "there", "taken", "share"]),
                   keys(none="the whole dataset", second="the kind's share; the line is its quota"), tag("h3", "Sources"),
                   table(strands, ["kind", "source/persona", "documents", "records", "of its kind"], texts=2))


def splits_section(dataset):
    """Return the records of each kind and persona in each split, and what a split lacks."""
    total, splits = len(dataset.records), dataset.splits
    rows = [*split_rows(splits), ["share", "", *(percent(len(splits[split]) / total) for split in SPLITS)]]
    missing = [tag("li", tag("b", f"{split} has none: "), ", ".join(names)) for split, names in dataset.lacks.items() if names]
    lacking = tag("ul", *missing) if missing else tag("p", "Every split has every kind, persona and sort of prompt.")
    groups = ", ".join(f"{split} {len({record['provenance']['split_group'] for record in splits[split]}):,}" for split in SPLITS)
    return section("Splits", tag("p", f"Whole works, voices and headlines are held out, never a part of one: {groups} of them."),
                   table(rows, ["kind", "persona", *SPLITS], texts=2), tag("h3", "What a split lacks"), lacking)


def checks_section(dataset):
    """Return what was looked for, and that it was not found."""
    return section("Checks", tag("h3", "Leakage: what two splits must not share"), table(dataset.leaks.items(), ["looked for", "found"]),
                   tag("h3", "Tool calls and answers"), table(dataset.tools.items(), ["looked at", "number"]),
                   tag("h3", "Variety"), table(dataset.gates, ["gate", "found", "limit"]))


def diversity_section(dataset):
    """Return the measures by kind and persona, and the most frequent skeletons."""
    lists = [join([tag("h3", f"Most frequent skeletons: {what}"), table(found, ["skeleton", "times"])])
             for what, found in dataset.diversity.skeletons.items() if found]
    return section("Diversity", tag("p", MEASURES.format(dataset.diversity.sample)),
                   table(diversity_rows(dataset.diversity.figures), DIVERSITY_HEADERS), *lists)


def similar_section(dataset):
    """Return the most similar records of each kind, side by side."""
    parts = [tag("p", "The worst offenders by similarity: of each kind, the records most like another. Words that only one of them has "
                      "are ", tag("mark", "bold and underlined"), ".")]
    for kind, pairs in dataset.diversity.offenders.items():
        cards = [pair_card(*pair) for pair in pairs] or [tag("p", "No two are half alike.")]
        parts += [tag("h3", kind), *cards]
    return section("Similar", *parts)


def pair_card(similarity, one, other, text, other_text):
    """Return two records beside each other, the earlier one to the left."""
    sides = zip((other, one), compare(other_text, text))
    columns = [tag("div", tag("span", tag("b", name), f" · similarity {similarity:.2f}", class_="side"), marked(words))
               for name, words in sides]
    return tag("div", tag("div", *columns, class_="pair"), class_="card cluster")


def tokens_section(dataset):
    """Return the token figures and a histogram for each model, and which were not measured."""
    tools = {record["id"] for record in dataset.records if record["tags"]["source"] == "synthetic"}
    charts = [token_chart(model, found, tools) for model, found in dataset.tokens.items() if not isinstance(found, str)]
    absent = [tag("p", tag("b", f"Not measured: {model}. "), "Its tokenizer is not here; to get it: ", tag("code", how),
                  class_="card verdict alarm") for model, how in not_measured(dataset.tokens).items()]
    shown = [tag("p", "Every record, rendered with the model's own template; none is cut, and no call or result is dropped."),
             table(token_rows(dataset.tokens), TOKEN_HEADERS), keys(first="records", second="of them, tool dialogues"),
             tag("div", *charts, class_="charts")]
    return section("Tokens", *(shown if charts else []), *absent)


def token_chart(model, rendered, tools):
    """Return the histogram of one model's tokens. tools: ids of tool dialogues, drawn in front."""
    counts, of_tools = Counter(found.tokens for found in rendered), Counter(found.tokens for found in rendered if found.id in tools)
    return tag("div", tag("h4", model), histogram(bars(counts, of_tools), "records", "tokens a record", "tool dialogues"), class_="card")


def tags_section(dataset):
    """Return a table for each tag."""
    cards = [tag("div", tag("h4", name), table([[value, *counts.values()] for value, counts in rows], [name, *SPLITS]), class_="card")
             for name, rows in tag_counts(dataset.splits).items()]
    return section("Tags", tag("div", *cards, class_="charts"))


def licences_section(dataset):
    """Return which licences the records of each source have."""
    return section("Licences", tag("p", "Counted from the records; docs/LICENSES.md says what each allows."),
                   table(sources(dataset.records), ["source/persona", "licence", "documents", "records"], texts=2))


def conversations_section(dataset):
    """Return fifty conversations, drawn, as chat bubbles."""
    drawn = random.Random(f"{dataset.seed}/conversations").sample(dataset.records, min(CONVERSATIONS, len(dataset.records)))
    split_of = {record["id"]: split for split, records in dataset.splits.items() for record in records}
    return section("Conversations", tag("p", f"{len(drawn)} of {len(dataset.records):,}, drawn with the seed {dataset.seed}."),
                   *(conversation(record, split_of[record["id"]]) for record in drawn))


def runs_section(manifest):
    """Return what made the files."""
    git, files = manifest["git"], manifest["inputs"] + manifest["outputs"]
    rows = [[join([entry["path"], tag("span", entry["sha256"], class_="where")]), entry["rows"] or 0] for entry in files]
    commit = (git["commit"] or "no commit")[:10] + (" with changes" if git["dirty"] else "")
    made = f"{manifest['script']}, commit {commit}, seed {manifest['seed']}, in {manifest['duration_s']:.1f} s."
    return section("Runs", tag("p", made), table(rows, ["file", "rows"]))
