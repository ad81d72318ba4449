"""The evaluation as one self-contained HTML page: figures, loss curve, answers side by side."""
import math

from weatherman import html
from weatherman.html import join, table, tag, tile

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 760, 300, 52, 14, 14, 36  # pixels of the chart and its margins
TICKS = 5

STYLE = """
.prompt { margin: 1.6rem 0 .5rem; } .prompt small { color: var(--soft); display: block; }
.pair { display: grid; grid-template-columns: 1fr 1fr; gap: .8rem; } @media (max-width: 44rem) { .pair { grid-template-columns: 1fr; } }
.answer { white-space: pre-wrap; overflow-wrap: anywhere; }
.answer i { display: block; font-style: normal; font-size: .8rem; font-weight: 600; white-space: normal; margin-bottom: .3rem; }
.before i, .train-key { color: var(--first); } .after i, .held-key { color: var(--second); }
svg .train { stroke: var(--first); fill: none; stroke-width: 1.5; } svg .held { stroke: var(--second); fill: none; stroke-width: 2.5; }
svg circle { fill: var(--second); } p.key { color: var(--soft); margin: .4rem 0 0; }
"""


def loss_curve(training, held_out, unit="loss, nats a token"):
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
        return tag("polyline", class_=name, points=" ".join(f"{x(s):.1f},{y(v):.1f}" for s, v in series))

    parts = []
    for i in range(TICKS):
        loss, step = low + (high - low) * i / (TICKS - 1), last * i / (TICKS - 1)
        parts += [tag("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=f"{y(loss):.1f}", y2=f"{y(loss):.1f}"),
                  tag("text", f"{loss:.2f}", x=LEFT - 8, y=f"{y(loss) + 4:.1f}", text_anchor="end"),
                  tag("text", f"{step:.0f}", x=f"{x(step):.1f}", y=HEIGHT - 16, text_anchor="middle")]
    parts += [line(training, "train"), line(held_out, "held")]
    parts += [tag("circle", tag("title", f"step {s}: {v:.4f}"), cx=f"{x(s):.1f}", cy=f"{y(v):.1f}", r=4) for s, v in held_out]
    parts.append(tag("text", "optimiser updates", x=WIDTH - RIGHT, y=HEIGHT - 2, text_anchor="end"))
    key = tag("p", tag("span", "thin: training loss", class_="train-key"), " · ",
              tag("span", "bold: loss on held-out validation data", class_="held-key"), f"; {unit}", class_="key")
    return join([tag("svg", *parts, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", aria_label=f"{unit} over optimiser updates"), key])


def answers(pairs):
    """Return the side-by-side answers; pairs: [{name, system, user, before, after}]."""
    def card(name, text, kind):
        return tag("div", tag("i", name), text or tag("em", "(nothing)"), class_=f"card answer {kind}", dir="auto")

    return join(join([tag("div", tag("strong", pair["user"]), tag("small", pair["system"]), class_="prompt"),
                      tag("div", card("base", pair["before"], "before"), card("tuned", pair["after"], "after"), class_="pair")])
                for pair in pairs)


def page(result, curve):
    """Return the whole page (str). result: what eval_model.py writes as JSON; curve: the arguments of loss_curve."""
    c, data = result["held_out"], result["data"]
    rows = [(name, n, f"{before:.3f}", f"{after:.3f}", f"{math.exp(before):.1f}", f"{math.exp(after):.1f}")
            for name, n, before, after in result["by_domain"]]
    return html.page(
        f"{result['run']} · evaluation",
        tag("h1", result["run"]),
        tag("p", f"{result['base_model']} with a LoRA adapter of {result['steps']:,} updates, against the base model alone · "
                 f"{c['conversations']:,} held-out conversations, {c['tokens']:,} loss tokens", class_="sub"),
        tag("div",
            tile(f"{c['loss_before']:.3f} → {c['loss_after']:.3f}", "held-out loss, nats a token"),
            tile(f"{c['perplexity_before']:.1f} → {c['perplexity_after']:.1f}", "perplexity"),
            tile(f"{c['change']:+.3f}", f"change; 95 % interval {c['change_low']:+.3f} to {c['change_high']:+.3f}"),
            tile(f"{c['improved']} of {c['conversations']}", "conversations improved"), class_="tiles"),
        tag("h2", "Loss while training"), tag("div", loss_curve(*curve), class_="card"),
        tag("h2", "Held-out loss by domain"),
        table(rows, ["domain", "conversations", "loss before", "after", "perplexity before", "after"]),
        tag("h2", "The same prompts, base and tuned"), answers(result["answers"]),
        tag("footer", f"Greedy decoding, at most {result['max_new_tokens']} new tokens. Data {data['path']}, sha256 {data['sha256'][:16]}… "
                      f"Written by eval_model.py, {result['finished_at']}."), style=STYLE)
