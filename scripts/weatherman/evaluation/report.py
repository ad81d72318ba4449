"""The evaluation as one self-contained HTML page: figures, loss curve, answers side by side."""
import html
import math

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 300, 52, 14, 14, 36  # pixels of the chart and its margins
TICKS = 5

STYLE = """
:root { color-scheme: light dark; --ink: #1d2733; --soft: #5d6b7a; --paper: #fbfaf7; --card: #ffffff; --line: #dcd8cf;
        --before: #8a7a5c; --after: #1f6f8b; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8e6e1; --soft: #9aa7b3; --paper: #14181d; --card: #1c2229; --line: #343c45;
        --before: #c8b48a; --after: #62b8d4; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 2.5rem 1.25rem; max-width: 62rem; background: var(--paper); color: var(--ink);
       font: 16px/1.55 system-ui, -apple-system, "Segoe UI", sans-serif; }
h1 { font-size: 1.7rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2.4rem 0 .8rem; }
p.sub { color: var(--soft); margin: .2rem 0 1.8rem; }
.tiles { display: grid; grid-template-columns: repeat(auto-fit, minmax(11rem, 1fr)); gap: .8rem; }
.tile, .answer, .chart { background: var(--card); border: 1px solid var(--line); border-radius: 10px; padding: .9rem 1.1rem; }
.tile b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; } .tile span { color: var(--soft); font-size: .85rem; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .35rem .6rem; border-bottom: 1px solid var(--line); }
th:first-child, td:first-child { text-align: left; }
th { color: var(--soft); font-weight: 500; font-size: .85rem; }
.prompt { margin: 1.6rem 0 .5rem; } .prompt small { color: var(--soft); display: block; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .8rem; } @media (max-width: 44rem) { .pair { grid-template-columns: 1fr; } }
.answer { white-space: pre-wrap; overflow-wrap: anywhere; }
.answer i { display: block; font-style: normal; font-size: .8rem; font-weight: 600; white-space: normal; margin-bottom: .3rem; }
 .before i { color: var(--before); } .after i { color: var(--after); }
svg { width: 100%; height: auto; display: block; } svg text { fill: var(--soft); font-size: 12px; } svg .grid { stroke: var(--line); }
svg .train { stroke: var(--before); fill: none; stroke-width: 1.5; } svg .held { stroke: var(--after); fill: none; stroke-width: 2.5; }
svg circle { fill: var(--after); } footer { color: var(--soft); font-size: .85rem; margin-top: 3rem; }
"""


def loss_curve(training, held_out):
    """Return an SVG of two series [(step, loss)]: training loss as a thin line, held-out loss as a bold line with points."""
    points = [*training, *held_out]
    last = max(step for step, _ in points) or 1
    low, high = min(loss for _, loss in points), max(loss for _, loss in points)
    pad = (high - low) * 0.08 or 0.1
    low, high = low - pad, high + pad

    def x(step):
        return LEFT + (WIDTH - LEFT - RIGHT) * step / last

    def y(loss):
        return TOP + (HEIGHT - TOP - BOTTOM) * (high - loss) / (high - low)

    def line(series, name):
        return f'<polyline class="{name}" points="{" ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in series)}"/>'

    parts = []
    for i in range(TICKS):
        loss, step = low + (high - low) * i / (TICKS - 1), last * i / (TICKS - 1)
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y(loss):.1f}" y2="{y(loss):.1f}"/>'
                     f'<text x="{LEFT - 8}" y="{y(loss) + 4:.1f}" text-anchor="end">{loss:.2f}</text>'
                     f'<text x="{x(step):.1f}" y="{HEIGHT - 16}" text-anchor="middle">{step:.0f}</text>')
    parts += [line(training, "train"), line(held_out, "held")]
    parts += [f'<circle cx="{x(s):.1f}" cy="{y(v):.1f}" r="4"><title>step {s}: {v:.4f}</title></circle>' for s, v in held_out]
    parts.append(f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 2}" text-anchor="end">optimiser updates</text>')
    return (f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="Loss per token over optimiser updates">{"".join(parts)}</svg>'
            '<p class="sub" style="margin:.4rem 0 0"><span style="color:var(--before)">thin: training loss</span> · '
            '<span style="color:var(--after)">bold: loss on held-out validation conversations</span>, nats a token</p>')


def tile(value, label):
    return f'<div class="tile"><b>{html.escape(value)}</b><span>{html.escape(label)}</span></div>'


def table(rows, headers):
    """Return an HTML table; the first column is text, the others numbers already formatted."""
    head = "".join(f"<th>{html.escape(h)}</th>" for h in headers)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def answers(pairs):
    """Return the side-by-side answers; pairs: [{name, system, user, before, after}]."""
    parts = []
    for pair in pairs:
        shown = {key: html.escape(value) or "<em>(nothing)</em>" for key, value in pair.items() if isinstance(value, str)}
        parts.append(f'<div class="prompt"><strong>{shown["user"]}</strong><small>{shown["system"]}</small></div><div class="pair">'
                     f'<div class="answer before"><i>base</i>{shown["before"]}</div>'
                     f'<div class="answer after"><i>tuned</i>{shown["after"]}</div></div>')
    return "".join(parts)


def page(result, curve):
    """Return the whole page (str). result: what eval_model.py writes as JSON; curve: (training series, held-out series)."""
    c = result["held_out"]
    tiles = "".join([
        tile(f"{c['loss_before']:.3f} → {c['loss_after']:.3f}", "held-out loss, nats a token"),
        tile(f"{c['perplexity_before']:.1f} → {c['perplexity_after']:.1f}", "perplexity"),
        tile(f"{c['change']:+.3f}", f"change; 95 % interval {c['change_low']:+.3f} to {c['change_high']:+.3f}"),
        tile(f"{c['improved']} of {c['conversations']}", "conversations improved"),
    ])
    rows = [(name, n, f"{before:.3f}", f"{after:.3f}", f"{math.exp(before):.1f}", f"{math.exp(after):.1f}")
            for name, n, before, after in result["by_domain"]]
    name = html.escape(result["run"])
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name} · evaluation</title><style>{STYLE}</style></head><body>
<h1>{name}</h1><p class="sub">{html.escape(result["base_model"])} with a LoRA adapter of {result["steps"]:,} updates,
against the base model alone · {c["conversations"]:,} held-out conversations, {c["tokens"]:,} loss tokens</p>
<div class="tiles">{tiles}</div>
<h2>Loss while training</h2><div class="chart">{loss_curve(*curve)}</div>
<h2>Held-out loss by domain</h2>{table(rows, ["domain", "conversations", "loss before", "after", "perplexity before", "after"])}
<h2>The same prompts, base and tuned</h2>{answers(result["answers"])}
<footer>Greedy decoding, at most {result["max_new_tokens"]} new tokens.
Data {html.escape(result["data"]["path"])}, sha256 {result["data"]["sha256"][:16]}…
Written by eval_model.py, {html.escape(result["finished_at"])}.</footer>
</body></html>
"""
