"""What our HTML pages share: one look, text that cannot become markup, tables, figures, histograms. Nothing is loaded from elsewhere."""
import html
import unicodedata
from dataclasses import dataclass

CHART_WIDTH, CHART_HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 420, 210, 52, 10, 24, 42  # pixels of a histogram and its margins
MAX_BARS, MIN_BARS = 30, 6
POLICY = "default-src 'none'; style-src 'unsafe-inline'"  # the browser itself refuses scripts and everything from outside

STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #566474; --paper: #fbfaf7; --card: #ffffff; --line: #dcd8cf;
        --first: #83714f; --second: #1f6f8b; --faint: #ece8de; --alarm: #a3241b; --mark: #fbe6a2; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6e1; --soft: #9fabb7; --paper: #14181d; --card: #1c2229; --line: #343c45;
        --first: #c8b48a; --second: #62b8d4; --faint: #2a3139; --alarm: #ff8f84; --mark: #5a4a12; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem; max-width: 62rem; background: var(--paper); color: var(--ink);
       font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0; } h2 { font-size: 1.1rem; margin: 2.4rem 0 .8rem; }
p.sub { color: var(--soft); margin: .2rem 0 1.8rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(9rem, 1fr)); gap: .8rem; }
.tile, .card { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .9rem 1.1rem; }
.tile b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; } .tile span { color: var(--soft); font-size: .85rem; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid var(--line); }
.number { text-align: right; } td.number { white-space: nowrap; }
thead th { color: var(--soft); font-weight: 500; font-size: .85rem; vertical-align: bottom; }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font-size: 12px; } svg .grid { stroke: var(--line); }
footer { color: var(--soft); font-size: .85rem; margin-top: 3rem; }
@media (max-width: 34rem) { body { padding: 1.5rem .9rem; } th, td, thead th { padding: .35rem .2rem; font-size: .8rem; } }
"""
# On top of STYLE: a report of several sections, with a list of them beside it.
REPORT_STYLE = """
body { max-width: 78rem; } main { min-width: 0; max-width: 62rem; }
h2 { font-size: 1.4rem; margin: 3.2rem 0 .6rem; padding-top: .8rem; border-top: 2px solid var(--line); scroll-margin-top: 1rem; }
#overview { border: 0; margin-top: 0; padding: 0; } h3 { font-size: 1.05rem; margin: 2rem 0 .6rem; }
h4 { font-size: .95rem; margin: 0 0 .4rem; } h4 small { font-weight: 400; color: var(--soft); }
a { color: var(--second); } code { font: .92em ui-monospace, Menlo, Consolas, monospace; } p { margin: .4rem 0 .9rem; max-width: 46rem; }
nav { font-size: .9rem; margin-bottom: 1.4rem; } nav b { display: block; color: var(--soft); font-weight: 500; }
nav ul { list-style: none; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
@media (min-width: 66rem) { body { display: grid; grid-template-columns: 12rem 1fr; gap: 2.5rem; }
        nav { position: sticky; top: 2.5rem; align-self: start; } nav ul { display: block; } nav li { margin: .35rem 0; } }
.verdict { border-left: 6px solid var(--second); margin: 0 0 1.4rem; } .verdict.alarm { border-color: var(--alarm); }
.verdict ul { margin: .3rem 0 0; padding-left: 1.2rem; } .verdict p { margin: 0; max-width: none; } .alarm b { color: var(--alarm); }
.funnel { position: relative; display: block; height: .55rem; margin-top: .35rem; min-width: 4.5rem; max-width: 22rem; border-radius: 3px;
        background: var(--faint); overflow: hidden; } .funnel i { position: absolute; inset: 0 auto 0 0; }
.first { background: var(--first); opacity: .55; } .second { background: var(--second); }
.key { color: var(--soft); font-size: .85rem; } .key span { white-space: nowrap; margin-right: 1rem; }
.key i { display: inline-block; width: .8rem; height: .8rem; border-radius: 2px; vertical-align: -.08rem; margin-right: .35rem; }
.key i.none { background: var(--faint); outline: 1px solid var(--line); }
.charts, .reasons { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: .8rem; }
svg .all { fill: var(--first); opacity: .55; } svg .part { fill: var(--second); }
.reasons li { font-size: .9rem; margin-top: .55rem; overflow-wrap: anywhere; }
.where { display: block; color: var(--soft); font-size: .8rem; overflow-wrap: anywhere; }
.words { display: grid; grid-template-columns: repeat(auto-fill, minmax(9rem, 1fr)); gap: .15rem 1.6rem; }
.words, .reasons ul { margin: 0; padding: 0; list-style: none; }
.words li { display: flex; justify-content: space-between; padding: .15rem 0; position: relative; font-variant-numeric: tabular-nums; }
.words i { position: absolute; left: 0; bottom: 0; height: 3px; background: var(--second); border-radius: 2px; }
.cluster { margin: .8rem 0; } .pair { display: grid; grid-template-columns: 1fr 1fr; gap: .4rem 1.6rem; padding: .6rem 0; }
.pair + .pair { border-top: 1px solid var(--line); } .pair > div { min-width: 0; overflow-wrap: anywhere; }
@media (max-width: 44rem) { .pair { grid-template-columns: 1fr; } }
.side { display: block; margin-bottom: .2rem; color: var(--soft); font-size: .8rem; } .side b { color: var(--ink); }
mark { background: var(--mark); color: inherit; font-weight: 600; text-decoration: underline 2px; text-underline-offset: 3px; }
mark::before { content: " [only here: "; } mark::after { content: "] "; }  /* for screen readers */
mark::before, mark::after { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(100%); white-space: nowrap; }
.gap { color: var(--soft); font-size: .85em; font-style: italic; }
"""


class Markup(str):
    """Text that is HTML already. Any other text is escaped on its way into an element."""


def visible(text):
    """Return a text with its invisible characters (controls, marks of direction, zero widths) written as [U+202E]."""
    return "".join(c if c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs") else f"[U+{ord(c):04X}]" for c in text)


def escape(value):
    """Return a value as Markup: numbers with thousands separators, texts escaped and made visible, Markup as it is."""
    if isinstance(value, Markup):
        return value
    return Markup(f"{value:,}" if isinstance(value, int) else html.escape(visible(str(value))))


def join(parts, between=""):
    """Return values, escaped where they are no Markup, one behind the other."""
    return Markup(escape(between).join(map(escape, parts)))


def tag(name, *children, **attributes):
    """Return one element as Markup. `class_` stands for class, `aria_label` for aria-label; an attribute that is None is left out."""
    given = {key.rstrip("_").replace("_", "-"): escape(str(value)) for key, value in attributes.items() if value is not None}
    written = "".join(f' {key}="{value}"' for key, value in given.items())
    return Markup(f"<{name}{written}>{join(children)}</{name}>")


def page(title, *content, style="", nav=None):
    """Return a whole page (str). content, nav: Markup; style: CSS on top of STYLE."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{escape(title)}</title><style>{STYLE}{style}</style></head><body>
{nav or ""}{tag("main", *content)}
</body></html>
"""


def tile(value, label):
    """Return one large figure with its label below."""
    return tag("div", tag("b", value), tag("span", label), class_="tile")


def section(title, *content):
    """Return a part of a report that its list of parts can lead to."""
    return tag("section", tag("h2", title, id=title.lower()), *content)


def keys(note="", **meanings):
    """Return a line that says what the colours mean. meanings: {colour: text}."""
    return tag("p", *(tag("span", tag("i", class_=colour), text) for colour, text in meanings.items()), note, class_="key")


def percent(share):
    """Return 0.5 as "50.0 %"; a little is not written as nothing."""
    return "< 0.1 %" if 0 < share < 0.0005 else f"{100 * share:.1f} %"


def table(rows, headers, texts=1):
    """Return a table: the first `texts` columns to the left, the others, numbers, to the right. It scrolls where it is too wide."""
    def row(kind, cells):
        return tag("tr", *(tag(kind, cell, class_=None if at < texts else "number") for at, cell in enumerate(cells)))

    return tag("div", tag("table", tag("thead", row("th", headers)), tag("tbody", *(row("td", cells) for cells in rows))), class_="scroll")


@dataclass
class Bar:
    """One bar of a histogram: values from `low` to `high`, both included; `of_them` is drawn in front of `count`."""

    low: int
    high: int
    count: int
    of_them: int


def bars(counts, of_them):
    """Return counts {integer: number} in at most MAX_BARS Bars of one round width; `of_them`: the part of them drawn in front."""
    low, high = min(counts), max(counts)
    widths = (step * 10**power for power in range(20) for step in (1, 2, 5))
    width = next(width for width in widths if high // width - low // width < MAX_BARS)
    slots = [Bar(start, start + width - 1, 0, 0) for start in range(low // width * width, high + 1, width)]
    for value, count in counts.items():
        slots[value // width - low // width].count += count
    for value, count in of_them.items():
        slots[value // width - low // width].of_them += count
    return slots


def histogram(slots, label, unit, part, thousands=True):
    """Return Bars as an SVG with both axes labelled. label: what is counted; unit: of the values below; part: what `of_them` are."""
    def number(value):
        return f"{value:,}" if thousands else str(value)

    top = _round_up(max(bar.count for bar in slots))
    step = (CHART_WIDTH - LEFT - RIGHT) / max(MIN_BARS, len(slots))
    left = (LEFT + CHART_WIDTH - RIGHT - step * len(slots)) / 2  # a few bars stand in the middle
    base, scale = CHART_HEIGHT - BOTTOM, (CHART_HEIGHT - TOP - BOTTOM) / top
    parts = [tag("text", label, x=LEFT, y=12, text_anchor="start"),
             tag("text", unit, x=CHART_WIDTH - RIGHT, y=CHART_HEIGHT - 6, text_anchor="end")]
    for share in (0, 0.5, 1):
        y = base - share * top * scale
        parts.append(tag("line", class_="grid", x1=LEFT, x2=CHART_WIDTH - RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}"))
        if share * top == int(share * top):
            parts.append(tag("text", int(share * top), x=LEFT - 8, y=f"{y + 4:.1f}", text_anchor="end"))
    every = -(-len(slots) // 6)  # a label at each sixth of the axis or so
    for at, bar in enumerate(slots):
        span = number(bar.low) if bar.low == bar.high else f"{number(bar.low)} to {number(bar.high)}"
        says = tag("title", f"{span} {unit}: {bar.count:,} {label}, {bar.of_them:,} of them {part}")
        shapes = [tag("rect", class_=name, x=f"{left + (at + .06) * step:.1f}", width=f"{step * .88:.1f}",
                      y=f"{base - value * scale:.1f}", height=f"{value * scale:.1f}")
                  for name, value in (("all", bar.count), ("part", bar.of_them))]
        parts.append(tag("g", says, *shapes))
        if at % every == 0:
            parts.append(tag("text", number(bar.low), x=f"{left + (at + .5) * step:.1f}", y=base + 16, text_anchor="middle"))
    return tag("svg", *parts, viewBox=f"0 0 {CHART_WIDTH} {CHART_HEIGHT}", role="img",
               aria_label=f"{label} by {unit}, from {number(slots[0].low)} to {number(slots[-1].high)}")


def _round_up(value):
    """Return the next number that is one digit and zeros: half of it is still easy to read."""
    return next(step * 10**power for power in range(20) for step in (1, 2, 3, 4, 5, 6, 8) if step * 10**power >= value)
