"""The preflight as one self-contained HTML page: the verdict, every check, rows and updates, memory by part, what each card costs."""
from dataclasses import asdict

from weatherman import html
from weatherman.html import REPORT_STYLE, percent, section, table, tag, tile
from weatherman.preflight.data_checks import GOOD, MEND, NOTE, SKIPPED
from weatherman.training.estimate import MIB, gpus

GIB = 1024 * MIB
PARTS = {"weights": "frozen weights", "adapters": "adapters", "gradients": "their gradients", "optimizer": "optimiser",
         "activations": "activations", "logits": "logits", "overhead": "CUDA, gaps"}
SIGNS = {GOOD: "✓", NOTE: "i", MEND: "✗", SKIPPED: "–"}
STYLE = REPORT_STYLE + """
:root { --weights: #1f6f8b; --adapters: #7a4a86; --gradients: #a86fb3; --optimizer: #cf9fd6; --activations: #c98a2b; --logits: #8a9a3b;
        --overhead: #9aa4ad; }
@media (prefers-color-scheme: dark) { :root { --weights: #4fa6c3; --adapters: #a678b2; --gradients: #bd92c8; --optimizer: #d8b5de;
        --activations: #dba554; --logits: #a9b95c; --overhead: #6f7a84; } }
.checks { list-style: none; margin: 0; padding: 0; } .checks li { display: grid; grid-template-columns: 1.6rem 8.5rem 1fr; gap: .3rem .6rem;
        padding: .5rem 0; border-bottom: 1px solid var(--line); } .checks p { margin: 0; max-width: none; overflow-wrap: anywhere; }
.checks .sign { text-align: center; font-weight: 700; color: var(--second); } .checks .mend .sign, .checks .mend b { color: var(--alarm); }
.checks .note .sign, .checks .skipped .sign { color: var(--first); } .checks code { display: block; color: var(--soft); margin-top: .2rem; }
@media (max-width: 34rem) { .checks li { grid-template-columns: 1.2rem 1fr; } .checks p { grid-column: 2; } }
.card-row { display: grid; grid-template-columns: 6.5rem 1fr 12.5rem; gap: .2rem .9rem; align-items: center; padding: .45rem 0;
        border-bottom: 1px solid var(--line); font-variant-numeric: tabular-nums; } .card-row.misfit { opacity: .55; }
.card-row small { color: var(--soft); display: block; } .card-row > :last-child { text-align: right; }
.bar { position: relative; display: block; height: 1.05rem; background: var(--faint); border-radius: 3px; }
.bar i { position: absolute; top: 0; bottom: 0; } .bar i:first-child { border-radius: 3px 0 0 3px; }
.bar b { position: absolute; top: -.2rem; bottom: -.2rem; width: 2px; background: var(--ink); }
""" + "".join(f".{part} {{ background: var(--{part}); }} " for part in PARTS)


def page(report):
    """Return the whole page (str). report: the script's Report."""
    names = ["Overview", "Checks", *(["Plan", "Cost", "Memory", "Assumptions"] if report.offers else [])]
    nav = tag("nav", tag("b", "On this page"), tag("ul", *(tag("li", tag("a", name, href=f"#{name.lower()}")) for name in names)),
              aria_label="On this page")
    parts = [overview(report), checks_section(report.checks)]
    if report.offers:
        parts += [plan_section(report), cost_section(report), memory_section(report), assumptions_section(report)]
    return html.page("Preflight", tag("h1", "Preflight"), tag("p", f"{report.config.model}, as of {report.when} UTC", class_="sub"), *parts,
                     tag("footer", "Written by 09_preflight.py: what it checks is docs/TRAINING.md's."), style=STYLE, nav=nav)


def overview(report):
    """Return the verdict, what is to be mended, and the figures that decide."""
    bad = [check for check in report.checks if check.state == MEND]
    if bad:
        items = [tag("li", tag("b", check.what), f": {check.found}") for check in bad]
        verdict = tag("div", tag("b", "Not yet. "), "Nothing should be rented before this is mended:", tag("ul", *items),
                      class_="card verdict alarm")
    else:
        verdict = tag("div", tag("b", "Go. "), report.advice, class_="card verdict")
    return section("Overview", verdict, tag("div", *(tile(*pair) for pair in report.tiles), class_="tiles") if report.tiles else "")


def checks_section(checks):
    """Return every check with what it found."""
    rows = [tag("li", tag("span", SIGNS[check.state], class_="sign", aria_label=check.state), tag("b", check.what),
                tag("p", check.found, tag("code", check.hint) if check.hint else ""), class_=check.state) for check in checks]
    return section("Checks", tag("ul", *rows, class_="checks"))


def plan_section(report):
    """Return tokens, rows and updates as a table."""
    return section("Plan", table(report.plan, ["", "figure"], texts=2))


def cost_section(report):
    """Return hours and dollars on every card, the cheapest first."""
    rows = [[offer.card, *cost_cells(offer), faster_cell(offer.faster), utilization_cell(offer)] for offer in report.offers]
    return section("Cost", tag("p", "The whole run as configured, with its evaluations and set-up. Without checkpointing: the same updates "
                               "on the same card, in smaller passes that need none."),
                   table(rows, ["card", "micro-batch", "checkpointing", "hours", "USD", "without checkpointing", "utilisation"]))


def cost_cells(offer):
    """Return [micro-batch, checkpointing, hours, dollars] of an Offer as texts."""
    if not offer.fits:
        return ["does not fit", "–", "–", "–"]
    return [str(offer.micro_batch), "on" if offer.checkpointing else "off", f"{offer.hours:.1f}", f"{offer.usd:.2f}"]


def utilization_cell(offer):
    """Return "40% assumed"."""
    return f"{offer.utilization:.0%} {'measured' if offer.measured else 'assumed'}"


def faster_cell(faster):
    return f"{faster.hours:.1f} h, {faster.usd:.2f} USD, micro-batch {faster.micro_batch}" if faster else "–"


def memory_section(report):
    """Return a bar of the memory by part for every card, all on one scale."""
    widest = max(max(offer.memory.total, offer.gpu.memory_mib * MIB) for offer in report.offers)
    by_memory = sorted(report.offers, key=lambda offer: (offer.gpu.memory_mib, offer.card))
    legend = tag("p", *(tag("span", tag("i", class_=part), name) for part, name in PARTS.items()), class_="key")
    detail = [[offer.card, *(f"{value / GIB:.1f}" for value in asdict(offer.memory).values()), f"{offer.memory.total / GIB:.1f}",
               *map(str, offer.largest)] for offer in by_memory]
    return section("Memory", tag("p", "The worst moment of an update, as configured; the line is what the card has."), legend,
                   *(memory_bar(offer, widest) for offer in by_memory), tag("h3", "In GiB, and the largest micro-batch that fits"),
                   table(detail, ["card", *PARTS.values(), "all", "largest without checkpointing", "with"]))


def memory_bar(offer, widest):
    """Return one card's bar. widest: bytes of the whole width."""
    pieces, left = [], 0.0
    for part, value in asdict(offer.memory).items():
        width = 100 * value / widest
        pieces.append(tag("i", class_=part, style=f"left:{left:.2f}%;width:{width:.2f}%", title=f"{PARTS[part]}: {value / GIB:.1f} GiB"))
        left += width
    limit = tag("b", style=f"left:calc({100 * offer.gpu.memory_mib * MIB / widest:.2f}% - 2px)")
    has = offer.gpu.memory_mib / 1024
    how = f"micro-batch {offer.micro_batch}, {'' if offer.checkpointing else 'no '}checkpointing" if offer.fits else "does not fit"
    bar = tag("span", *pieces, limit, class_="bar", role="img", aria_label=f"{offer.memory.total / GIB:.1f} of {has:.1f} GiB")
    return tag("div", tag("b", offer.card), bar, tag("span", f"{offer.memory.total / GIB:.1f} of {has:.1f} GiB", tag("small", how)),
               class_="card-row" if offer.fits else "card-row misfit")


def assumptions_section(report):
    """Return what of all this is assumed."""
    rows = [f"Training reaches {percent(gpus().utilization)} of a card's dense bf16 arithmetic, until a probe says otherwise: "
            "09_preflight.py --probe on the card.",
            f"{gpus().setup_minutes:g} minutes of set-up are paid for: environment, download, loading.",
            "Prices are those of configs/gpus.yaml, of the order that was asked in November 2026; yours are on your provider's page.",
            "Memory is counted, not measured: tests/training/test_estimate_bytes.py compares the count with real tensors. What CUDA "
            "takes for itself and the allocator's gaps are assumed."]
    return section("Assumptions", tag("ul", *(tag("li", row) for row in rows)))
