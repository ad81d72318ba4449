"""The corpus as one self-contained HTML page: what came in, what was kept, what was lost and why, duplicates side by side."""
from pathlib import Path

from paths import show
from weatherman import html
from weatherman.corpus.clusters import CLUSTERS, compare
from weatherman.corpus.survey import EXAMPLES, UNKNOWN
from weatherman.html import REPORT_STYLE, bars, histogram, join, keys, percent, section, table, tag, tile
from weatherman.step import rejects_path

KEYWORDS = 24  # of a source, the most frequent ones
KINDS = {  # reject reason of 05: (heading, which clusters are shown, what the number in the reject is)
    "duplicate_near": ("Near-duplicates", f"the {CLUSTERS} least similar of each source", "similarity"),
    "duplicate_edition": ("Passages that another edition holds", f"the {CLUSTERS} least covered of each source", "covered share"),
    "duplicate_exact": ("Exact duplicates: the same words", f"{CLUSTERS} of each source, drawn", "similarity"),
}

def page(found, clusters, limits, below, not_collected):
    """Return the whole page (str).

    found: Survey; clusters: a sample of them; limits: {source: least retention}; below: the Sources that miss theirs;
    not_collected: the configured books of which nothing is there.
    """
    sources = found.sources.values()
    sections = ["Overview", *(source.name for source in sources), "Duplicates", "Collected", "Runs"]
    nav = tag("nav", tag("b", "On this page"), tag("ul", *(tag("li", tag("a", name, href=f"#{name.lower()}")) for name in sections)),
              aria_label="On this page")
    where, when = show(found.cleaning.output.parent), finished(found.deduplication or found.cleaning)
    return html.page(
        "Corpus report", tag("h1", "Corpus report"), tag("p", f"The texts of {where}, as of {when}", class_="sub"),
        overview(found, limits, below), *(source_section(source, limits.get(source.name)) for source in sources),
        duplicates_section(found, clusters), collected_section(found, not_collected), runs_section(found),
        tag("footer", "Written by corpus_report.py. The examples are drawn with the seed; the same files give the same page."),
        style=REPORT_STYLE, nav=nav)


def finished(run):
    """Return when a run ended: 2026-11-21 06:54 UTC."""
    return f"{run.manifest['finished_at'][:16].replace('T', ' ')} UTC"


def overview(found, limits, below):
    """Return the figures of all sources, and the gate's verdict."""
    sources = list(found.sources.values())
    came, cleaned, kept = (sum(values) for values in zip(*((s.came, s.cleaned.texts, s.kept.texts) for s in sources)))
    rows = [[with_funnel(s.name, s), s.came, s.cleaned.texts, s.kept.texts, percent(s.retention),
             percent(limits[s.name]) if s.name in limits else "no limit"] for s in sources]
    return section(
        "Overview", verdict(found, limits, below),
        tag("div", tile(came, "texts came in"), tile(cleaned, "after cleaning"), tile(kept, "after deduplication"),
            tile(sum(s.kept.words for s in sources), "words in these"), class_="tiles"),
        tag("h3", "From source to corpus"),
        table(rows, ["source", "came in", "cleaned", "unique", "kept", "at least"]), key())


def key():
    return keys(none="came in", first="kept by cleaning (04)", second="kept by deduplication (05): unique")


def verdict(found, limits, below):
    """Return what the retention gate says, and which steps have not been run."""
    missing = [] if found.deduplication else [tag("p", tag("b", "05 has not been run"), " on these passages, so nothing is said about "
                                                  "duplicates: kept is what cleaning kept.")]
    if not below:
        said = tag("p", tag("b", "Passed. "), "Every source keeps at least the share of its texts that ", tag("code", "retention"),
                   " in the configuration asks for.")
        return tag("div", said, *missing, class_="card verdict")
    items = [tag("li", tag("a", s.name, href=f"#{s.name}"), f" keeps {percent(s.retention)} of its texts, at least "
                 f"{percent(limits[s.name])} is asked for. Most went to: {main_reasons(s)}.") for s in below]
    return tag("div", tag("b", "Failed: a source lost more than it may."), tag("ul", *items), *missing, class_="card verdict alarm")


def main_reasons(source, count=3):
    """Return "2,456 duplicate_exact, 443 duplicate_near": the reasons that took most."""
    return ", ".join(f"{texts:,} {reason}" for reason, texts in list(source.lost().items())[:count]) or "nothing"


def with_funnel(title, source, note=""):
    """Return a name with a bar below: what came in, what cleaning kept, what deduplication kept."""
    widths = [100 * texts / max(1, source.came) for texts in (source.cleaned.texts, source.kept.texts)]
    return join([tag("bdi", title), tag("span", note, class_="where") if note else "",
                 tag("span", *(tag("i", class_=colour, style=f"width:{width:.1f}%") for colour, width in zip(("first", "second"), widths)),
                     class_="funnel")])


def source_section(source, limit):
    """Return all about one source."""
    asked = f"; at least {percent(limit)} is asked for" if limit is not None else ""
    gone = [tag("p", "The collected files of these rows are gone, so their source cannot be told.")] if source.name == UNKNOWN else []
    return section(
        source.name, *gone,
        tag("p", f"{source.came:,} texts came into cleaning, {source.cleaned.texts:,} were kept there and {source.kept.texts:,} of these "
                 f"by deduplication: {percent(source.retention)}{asked}. They hold {source.kept.words:,} words."),
        charts(source), tag("h3", "Left out, and why"), reasons(source.came, source.lost_cleaning, source.lost_deduplication),
        tag("h3", "Matched keywords"), keywords(source.kept), books(source))


def charts(source):
    """Return the histograms of lengths and years: all texts after 04, in front those that 05 kept."""
    cleaned, kept, part = source.cleaned, source.kept, "kept by deduplication"
    if not cleaned.texts:
        return tag("p", "No text of it was kept.")
    drawn = [histogram(bars(cleaned.lengths, kept.lengths), "texts", "words a text", part)]
    if cleaned.years:
        drawn.append(histogram(bars(cleaned.years, kept.years), "texts", "year", part, thousands=False))
    without = f"{cleaned.without_year:,} texts state no year." if cleaned.without_year else ""
    return join([tag("div", *(tag("div", svg, class_="card") for svg in drawn), class_="charts"),
                 keys(without, first="kept by cleaning", second="of them, kept by deduplication")])


def reasons(came, *lost):
    """Return a card for each reject reason: how many texts, and the examples."""
    entries = sorted((item for step in lost for item in step.items()), key=lambda item: -item[1].count)
    cards = [tag("div", tag("h4", tag("code", name), tag("small", f" {entry.count:,} {'text' if entry.count == 1 else 'texts'}, "
                                                                  f"{percent(entry.count / came)}")),
                 tag("ul", *map(example, sorted(entry.examples, key=lambda r: (r["file"], r["line"] or 0)))), class_="card")
             for name, entry in entries]
    if not cards:
        return tag("p", "Nothing was left out.")
    more = tag("p", f"{EXAMPLES} examples of each reason, drawn; an excerpt is the beginning of the text.", class_="key")
    return join([tag("div", *cards, class_="reasons"), more])


def example(reject):
    where = f"{Path(reject['file']).name}:{reject['line']}" if reject["line"] else Path(reject["file"]).name
    return tag("li", tag("span", " · ".join(filter(None, [where, reject["id"]])), class_="where"),
               tag("span", reject["excerpt"] or "(no text)", dir="auto"))


def keywords(kept):
    """Return the most frequent matched keywords with the number of texts they are in."""
    if not kept.keywords:
        return tag("p", "No text holds one of the configured keywords.")
    ranked = sorted(kept.keywords.items(), key=lambda item: (-item[1], item[0]))
    most = ranked[0][1]
    rest = f", the {KEYWORDS} most frequent of {len(ranked)}" if len(ranked) > KEYWORDS else ""
    items = [tag("li", tag("span", word), tag("span", count), tag("i", style=f"width:{100 * count / most:.1f}%"))
             for word, count in ranked[:KEYWORDS]]
    return join([tag("p", f"{kept.with_keywords:,} of {kept.texts:,} texts ({percent(kept.with_keywords / kept.texts)}) hold at least one. "
                          f"Texts by keyword{rest}:"), tag("ol", *items, class_="words")])


def books(source):
    """Return the table of a source's books, nothing where it has none."""
    if not source.books:
        return ""
    rows = [[with_funnel(book.title or book.name, book, book.name if book.title else ""), main_reasons(book, 2), book.came,
             book.cleaned.texts, book.kept.texts, percent(book.retention)] for book in source.books.values()]
    return join([tag("h3", "Books"), table(rows, ["book", "lost most to", "came in", "cleaned", "unique", "kept"], texts=2), key()])


def duplicates_section(found, clusters):
    """Return the sampled clusters, side by side."""
    if found.deduplication is None:
        return section("Duplicates", tag("p", "05 has not been run on these passages."))
    rows = [[source.name, *(source.lost_deduplication.counts().get(reason, 0) for reason in KINDS)] for source in found.sources.values()]
    totals = found.deduplication.lost.counts()
    parts = [table(rows, ["removed texts of", *(reason.removeprefix("duplicate_") for reason in KINDS)]),
             tag("p", "Below, each removed text stands beside the one that stays. Words that only one of them has are ",
                 tag("mark", "bold and underlined"), ".")]
    for reason, (title, shown, _) in KINDS.items():
        cards = [cluster_card(cluster) for cluster in clusters if cluster.reason == reason]
        if cards:
            parts += [tag("h3", title), tag("p", f"{totals[reason]:,} texts were removed for this; shown are clusters of {shown}."), *cards]
    return section("Duplicates", *parts)


def cluster_card(cluster):
    """Return one cluster: each shown copy beside the text that stays."""
    pairs = [pair(cluster, copy) for copy in cluster.copies]
    hidden = cluster.size - len(cluster.copies)
    more = [tag("p", f"and {hidden:,} more removed for the same text.", class_="key")] if hidden else []
    return tag("div", *pairs, *more, class_="card cluster")


def pair(cluster, copy):
    """Return the kept and the removed text as two columns."""
    removed = copy.record
    if cluster.kept:
        kept, other = compare(" ".join(record["text"] for record in cluster.kept), removed["text"])
        left = join([side("stays", cluster.kept), marked(kept)])
    else:
        kept, other = compare(removed["text"], removed["text"])
        left = tag("p", tag("b", "Not among the kept texts: "), cluster.of or "the reject names none", class_="alarm")
    right = join([side(f"removed, {KINDS[cluster.reason][2]} {copy.similarity:.2f}", [removed]), marked(other)])
    return tag("div", tag("div", left), tag("div", right), class_="pair")


def side(fate, records):
    """Return the line above a text: what becomes of it, where it is from."""
    ids, first = ", ".join(record["id"] for record in records), records[0]
    about = [ids, first["title"] if first["author"] else first["source"], str(first["year"] or "")]  # a headline is its own title
    return tag("span", tag("b", fate), " · ", tag("bdi", " · ".join(filter(None, about))), class_="side")


def marked(stretches):
    """Return the Stretches of one text, the differing ones marked, the omitted words counted."""
    parts = (tag("mark", words(stretch)) if stretch.differs else words(stretch) for stretch in stretches)
    return tag("span", join(parts, " "), dir="auto")


def words(stretch):
    if not stretch.omitted:
        return stretch.begin
    gap = tag("span", f" … {stretch.omitted:,} words {'only here' if stretch.differs else 'alike'} … ", class_="gap")
    return join([stretch.begin, gap, stretch.end])


def collected_section(found, not_collected):
    """Return what 01, 02 and 03 collected and rejected, and which books are missing."""
    parts = [tag("p", f"Books in data/raw: {found.files['gutenberg']:,}. Web pages: {found.files['web']:,}.")]
    if not_collected:
        names = "; ".join(f"{book.title} ({book.id})" for book in not_collected)
        parts.append(tag("p", f"Configured, but nothing of them is here: {names}."))
    for run in found.collecting:
        if run.manifest:
            came, kept = run.manifest["counts"]["in"], run.manifest["counts"]["out"]
            files = [entry["path"] for entry in run.manifest["outputs"] if not entry["path"].endswith(".rejects.jsonl")]
            said = f"{came:,} rows came in and {kept:,} were kept, in {', '.join(Path(name).name for name in files)}."
        else:
            came = sum(run.lost.counts().values())
            said = f"Pages of this list that were refused when it was last collected: {came:,}."
        parts += [tag("h3", show(rejects_path(run.output))), tag("p", said), reasons(came, run.lost)]
    return section("Collected", *parts)


def runs_section(found):
    """Return what made the files: script, commit, time."""
    rows = []
    for run in [*found.collecting, found.cleaning, found.deduplication]:
        if run is not None and run.manifest is not None:
            made, counts = run.manifest, run.manifest["counts"]
            commit = (made["git"]["commit"] or "no commit")[:10] + (" with changes" if made["git"]["dirty"] else "")
            rows.append([join([made["script"], tag("span", show(run.output), class_="where")]), commit, finished(run), counts["in"],
                         counts["out"], sum(counts["rejected"].values()), f"{made['duration_s']:.1f}"])
    return section("Runs", table(rows, ["step", "commit", "finished", "in", "kept", "rejected", "seconds"], texts=3))
