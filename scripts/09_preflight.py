"""Say before a GPU is rented whether a training run is worth its money: one verdict, "go", or the list of what to mend (status 3).

Reads the datasets of 08, their manifests, the tokenizer and the configuration of train.py. Writes data/processed/preflight.html, and
masks.html with --show-mask. The Mac, without torch; --probe on the machine with the card.
    python scripts/09_preflight.py --model llama-3.1-8b-instruct
    python scripts/09_preflight.py --preset quality --gpu rtx3090 --show-mask 8
    python scripts/09_preflight.py --hardware h100_80gb --probe
"""
import contextlib
import itertools
import json
import os
import sys
import tempfile
import textwrap
from dataclasses import asdict
from pathlib import Path

from config_loader import ConfigError
from paths import folder, show
from weatherman.cli import DONE, GATE, UserError, add_training_flags, log, parser, positive_int, print_error, progress, run, table
from weatherman.files import write_bytes

PROBE_UPDATES = 20
WIDTH = 120  # characters of a line


def flags():
    """Return the command line: that of train.py as far as it says what is trained."""
    p = parser(__doc__)
    add_training_flags(p)
    p.add_argument("--gpu", metavar="NAME", help="the card it must fit on: a name of configs/gpus.yaml, or what nvidia-smi calls it")
    p.add_argument("--show-mask", metavar="N", type=positive_int, help="print N conversations, what is trained in colour")
    p.add_argument("--probe", action="store_true", help=f"train {PROBE_UPDATES} updates here and keep only how fast they were")
    p.add_argument("--workers", type=positive_int, help="processes (default: all cores)")
    return p


def chosen_card(name):
    """Return the key in gpus.yaml of the card that is named, None where none is. Raises ConfigError for an unknown one."""
    from weatherman.training.estimate import find_gpu, gpus
    found = find_gpu(name) if name else None
    if name and not found:
        raise ConfigError(f'configs/gpus.yaml has no card "{name}". There are: {", ".join(gpus().gpus)}.')
    return found and found[0]


def work(args):
    """Return the Report of all checks. --show-mask and --probe do their part on the way."""
    from weatherman import schemas
    from weatherman.models.registry import model_entry
    from weatherman.preflight import data_checks, plan_checks
    from weatherman.preflight.report import Report
    resolved = schemas.training_config(args)
    model = resolved.values.model
    config, entry = resolved.values, model_entry(model)
    report = Report(config, entry, [], chosen_card(args.gpu or config.cost.gpu))
    paths = data_checks.split_paths(config)
    splits, report.checks = data_checks.read_splits(paths)
    report.checks += data_checks.check_lineage(paths)
    if splits["train"]:
        made = data_checks.made_with(paths["train"])
        report.checks += [data_checks.check_sources(splits, paths["train"], made["mixture"]), data_checks.check_leaks(splits, made),
                          data_checks.check_variety(splits["train"], made["diversity"])]
        if args.probe:
            probe(resolved, entry, splits)
        look(report, args, splits)
    report.checks += [*plan_checks.check_licence(model, entry), plan_checks.check_disk(config, entry)]
    return report


def look(report, args, splits):
    """Count the tokens of all conversations in the model's template, as far as its tokenizer is here; show some of them."""
    from weatherman.models import tokens
    from weatherman.preflight import plan_checks
    from weatherman.preflight.report import count_tokens
    model = report.config.model
    if tokens.tokenizer_folder(model) is None:
        report.checks += plan_checks.without_tokenizer(tokens.how_to_get(model))
        return
    try:
        tokens.tokenizer_of(model)
    except UserError as error:  # pad and end of turn are one token, or none of this vocabulary
        report.checks += plan_checks.without_tokenizer(error.hint, str(error))
        return
    settings, records = report.config.training, [record for rows in splits.values() for record in rows]
    drawn = tokens.draw_prompts(len(records), settings.seed)
    counting = tokens.count(records, model, settings.max_tokens, args.workers or os.cpu_count(), drawn)
    found = list(progress(counting, "tokens", total=len(records), unit="conversations"))
    ends = list(itertools.accumulate(len(rows) for rows in splits.values()))
    count_tokens(report, {split: found[end - len(rows):end] for (split, rows), end in zip(splits.items(), ends)})
    if args.show_mask:
        show_masks(model, [row for row, one in zip(splits["train"], found) if not one.fault], args.show_mask, settings.seed)


def show_masks(model, records, number, seed):
    """Print conversations with what is trained in colour, and write them as a page."""
    from weatherman.models import masks
    from weatherman.models.tokens import tokenizer_of
    tokenizer, drawn = tokenizer_of(model), masks.draw(records, number, seed)
    colour = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    for record in drawn:
        log(masks.terminal(tokenizer, record, colour))
    target = folder("processed") / "masks.html"
    write_bytes(target, masks.page(tokenizer, drawn, model).encode())
    log(f"wrote {show(target)}")


def probe(resolved, entry, splits):
    """Train PROBE_UPDATES updates on this machine's card and keep how fast they were, for the cost table. Raises UserError without one."""
    from weatherman.preflight import cost
    from weatherman.preflight.probe import measured
    with tempfile.TemporaryDirectory() as aside:
        figures = measured(resolved, entry, {name: splits[name] for name in ("train", "validation")}, Path(aside), PROBE_UPDATES)
    log(f"probe on {figures['card']}: {figures['tokens_per_second']:,.0f} tokens/s, {figures['utilization']:.0%} of its arithmetic, "
        f"{figures['peak_bytes'] / 2**30:.1f} GiB at most; wrote {show(cost.keep_probe(figures))}")


def tell(report, as_json):
    """Print the result: one JSON object, or tables and the verdict."""
    if as_json:
        offers = [{"card": o.card, "fits": o.fits, "micro_batch": o.micro_batch, "checkpointing": o.checkpointing, "hours": o.hours,
                   "usd": o.usd, "memory": asdict(o.memory), "measured": o.measured} for o in report.offers]
        print(json.dumps({"verdict": "mend" if report.mend else "go", "checks": [asdict(check) for check in report.checks],
                          "plan": dict(report.plan), "cheapest": report.best and report.best.card, "cards": offers}))
        return
    for check in report.checks:
        print(textwrap.fill(check.found, WIDTH, initial_indent=f"{check.state:<8}{check.what:<15}", subsequent_indent=" " * 23))
    if report.offers:
        headers = ["card", "GiB needed", "of", "micro-batch", "checkpointing", "hours", "USD", "utilisation"]
        print("\n" + table(offer_rows(report.offers), headers))
    if not report.mend:
        print(f"\ngo: {report.advice}")


def offer_rows(offers):
    """Return a row of texts for each card."""
    from weatherman.preflight.page import cost_cells, utilization_cell
    rows = []
    for o in offers:
        rows.append([o.card, f"{o.memory.total / 2**30:.1f}", f"{o.gpu.memory_mib / 1024:.1f}", *cost_cells(o), utilization_cell(o)])
    return rows


def main(argv=None):
    args = flags().parse_args(argv)
    with contextlib.redirect_stdout(sys.stderr):  # some libraries print; stdout holds our result alone
        report = work(args)
    from weatherman.preflight.page import page
    target = folder("processed") / "preflight.html"
    write_bytes(target, page(report).encode())
    tell(report, args.json)
    log(f"wrote {show(target)}")
    for check in report.mend:
        print_error(f"mend {check.what}: {check.found}", check.hint)
    return GATE if report.mend else DONE


if __name__ == "__main__":
    sys.exit(run(main))
