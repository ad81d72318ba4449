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
