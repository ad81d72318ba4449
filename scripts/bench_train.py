"""Measure our training against a plain TRL script, in turns: real (non-pad) tokens a second, memory, held-out loss afterwards.

Reads data/samples/, or train.jsonl and validation.jsonl of --data. Writes data/processed/bench/train.json. Any machine; the sample data
is made with .venv-local, the training runs in .venv-cpu or, on the GPU box, in the environment that runs this.
    make bench-train
    .venv-local/bin/python scripts/bench_train.py --rounds 1 --conversations 16
    python scripts/bench_train.py --data data/processed --model llama-3.1-8b-instruct --hardware h100_80gb --conversations 800
"""
import contextlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

from paths import CONFIGS_DIR, REPO_DIR, SCRIPTS_DIR, folder, show
from weatherman.cli import DONE, UserError, log, parser, positive_int, run, table
from weatherman.files import write_json

SIDES = ("ours", "plain")
SAMPLES = REPO_DIR / "data" / "samples"
DATA_STEPS = [["01_collect_gutenberg.py", "--mirror", str(SAMPLES / "mirror")],
              ["02_collect_reddit.py", "--input", str(SAMPLES / "reddit" / "headlines.csv")], ["04_clean_passages.py"],
              ["05_deduplicate.py"], ["06_format_chat.py"], ["07_generate_tool_use.py"], ["08_build_dataset.py"]]


def flags():
    p = parser(__doc__)
    p.add_argument("--data", metavar="FOLDER", type=Path, help="with train.jsonl and validation.jsonl (default: made of data/samples)")
    p.add_argument("--conversations", type=positive_int, default=32, help="to train on (default: 32); a quarter as many held out")
    p.add_argument("--rounds", type=positive_int, default=2, help="turns of both; the median counts (default: 2)")
    p.add_argument("--model", default="smollm2-135m", help="a name of configs/models.yaml")
    p.add_argument("--hardware", default="cpu", help="a name of configs/hardware/")
    p.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="overrides", help="of both, e.g. training.micro_batch=2")
    p.add_argument("--json", action="store_true", help="print the result as one JSON object")
    p.add_argument("--measure", choices=SIDES, help="one run in this process, as JSON: what the turns are made of")
    return p


def main(argv=None):
    args = flags().parse_args(argv)
    if args.measure:
        with contextlib.redirect_stdout(sys.stderr):  # some libraries print; stdout holds our result alone
            result = measure(args)
        print(json.dumps(result))
        return DONE
    args.data = args.data or sample_data()
    python = training_python()
    runs = {side: [] for side in SIDES}
    for number in range(args.rounds):
        for side in SIDES:
            runs[side].append(measure_apart(python, side, args))
            log(f"round {number + 1} of {args.rounds}, {describe(side, runs[side][-1])}")
    result = summary(runs)
    target = folder("processed") / "bench" / "train.json"
    write_json(target, {"conversations": args.conversations, "model": args.model, "hardware": args.hardware, **result, "runs": runs})
    if args.json:
        print(json.dumps(result))
    report(result, runs)
    log(f"wrote {show(target)}")
    return DONE


def sample_data():
    """Make conversations of the sample texts as `make demo` does; return their folder. What is up to date is not made again."""
    base = folder("processed") / "bench" / "samples"
    environment = {**os.environ, "WEATHERMAN_BASE_DIR": str(base)}
    for command in DATA_STEPS:
        done = subprocess.run([sys.executable, SCRIPTS_DIR / command[0], *command[1:], "--config", CONFIGS_DIR / "demo_data.yaml"],
                              capture_output=True, text=True, env=environment)
        if done.returncode:
            raise UserError(f"{command[0]} ended with exit status {done.returncode}:\n{done.stderr[-2000:]}",
                            "make bench-train (it needs .venv-local), or --data with a folder of your own")
    return base / "data" / "processed"


def training_python():
    """Return the interpreter that can train: this one where it has torch, else .venv-cpu's."""
    python = REPO_DIR / ".venv-cpu" / "bin" / "python"
    if importlib.util.find_spec("torch"):
        return sys.executable
    if not python.is_file():
        raise UserError(f"{show(python)}: no such file.", "make setup-cpu")
    return python


def measure_apart(python, side, args):
    """Return the figures of one run in a process of its own, so that its peak memory is its own."""
    command = [python, SCRIPTS_DIR / "bench_train.py", "--measure", side, "--data", args.data, "--conversations", str(args.conversations),
               "--model", args.model, "--hardware", args.hardware, *(part for each in args.overrides for part in ("--set", each))]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise UserError(f"the {side} run ended with exit status {done.returncode}:\n{done.stderr[-2000:]}")
    return json.loads(done.stdout)


def measure(args):
    """Return the figures of one run, as yardstick.figures has them."""
    from weatherman.models.templates import read_chat
    from weatherman.schemas import load_file
    from weatherman.training import yardstick
    resolved = load_file(CONFIGS_DIR / "training_config.yaml", args.model, args.hardware, "bench", args.overrides)
    train = read_chat(args.data / "train.jsonl")[:args.conversations]
    records = {"train": train, "validation": read_chat(args.data / "validation.jsonl")[:max(1, args.conversations // 4)]}
    with tempfile.TemporaryDirectory() as scratch:
        return getattr(yardstick, f"measure_{args.measure}")(resolved, records, Path(scratch) / "run")


def summary(runs):
    """Return {side: medians of its runs, ..., "ratio": ours over plain in real tokens a second}."""
    figures = ("real_tokens_per_second", "peak_bytes", "loss_before", "loss_after")
    medians = {side: {name: median(one[name] for one in runs[side]) for name in figures} for side in SIDES}
    ours, plain = (medians[side]["real_tokens_per_second"] for side in SIDES)
    return {**medians, "ratio": ours / plain}


def describe(side, one):
    return f"{side}: {one['real_tokens_per_second']:,.0f} real tokens/s, {one['peak_bytes'] / 2**30:.1f} GiB, loss {one['loss_after']:.4f}"


def report(result, runs):
    rows = []
    for side in SIDES:
        medians = result[side]
        rows.append([side, f"{medians['real_tokens_per_second']:,.0f}", f"{medians['peak_bytes'] / 2**30:.2f}",
                     f"{medians['loss_before']:.4f}", f"{medians['loss_after']:.4f}", runs[side][0]["how"]])
    log(table(rows, ["medians", "real tokens/s", "peak GiB", "loss before", "after", "how"]))
    log(f"ratio {result['ratio']:.2f} in real tokens a second; the same conversations in the same order, "
        f"{runs['ours'][0]['updates']} and {runs['plain'][0]['updates']} updates")


if __name__ == "__main__":
    sys.exit(run(main))
