"""Run the whole loop once on the sample texts: collect, clean, deduplicate, chat, tools, build, train, evaluate.

Reads data/samples/; writes demo-workspace/, made anew each time (the unpacked model stays). `make demo` sets up both environments first.
    make demo
    .venv-local/bin/python scripts/demo.py
    .venv-local/bin/python scripts/demo.py --workspace /tmp/demo --steps 4
"""
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from pathlib import Path

from paths import CONFIGS_DIR, REPO_DIR, SCRIPTS_DIR, show
from weatherman.cli import DONE, GateError, UserError, log, parser, positive_int, run, table

SAMPLES = REPO_DIR / "data" / "samples"
CPU_PYTHON = REPO_DIR / ".venv-cpu" / "bin" / "python"
RUN = "demo"
ANSWERS_SHOWN = 2
ANSWER_CHARS = 300

COLLECT = [["01_collect_gutenberg.py", "--mirror", str(SAMPLES / "mirror")],
           ["02_collect_reddit.py", "--input", str(SAMPLES / "reddit" / "headlines.csv")]]
BUILD = [["04_clean_passages.py"], ["05_deduplicate.py"], ["06_format_chat.py"], ["07_generate_tool_use.py"], ["08_build_dataset.py"]]


def flags():
    p = parser(__doc__)
    p.add_argument("--workspace", default=str(REPO_DIR / "demo-workspace"), metavar="FOLDER")
    p.add_argument("--steps", type=positive_int, help="optimiser updates (default: the smoke preset's)")
    return p


def step(python, command, workspace):
    """Run one script with the workspace as base folder; return what it prints to stdout. Its log goes straight to the terminal."""
    log(f"\n== {' '.join([command[0], *(show(part) if os.path.isabs(part) else part for part in command[1:])])}")
    environment = {**os.environ, "WEATHERMAN_BASE_DIR": str(workspace)}
    done = subprocess.run([python, SCRIPTS_DIR / command[0], *command[1:]], stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode:
        raise UserError(f"{command[0]} ended with exit status {done.returncode}; its message is above.", "mend it, then make demo again")
    return done.stdout


def clear(workspace):
    """Empty the workspace but for the unpacked model; refuse a folder that is not one of ours."""
    mark = workspace / ".weatherman-demo"
    if workspace.exists() and any(workspace.iterdir()) and not mark.exists():
        raise UserError(f"{workspace}: this folder is not empty and not a demo workspace.", "--workspace with a new folder")
    for name in ("data", "adapters"):
        shutil.rmtree(workspace / name, ignore_errors=True)
    workspace.mkdir(parents=True, exist_ok=True)
    mark.touch()


def output_hashes(workspace):
    """Return {file: [sha256, identity]} of the data steps' outputs; identity: the hashes of code, configuration and inputs."""
    found = {}
    for path in sorted((workspace / "data").rglob("*.manifest.json")):
        manifest = json.loads(path.read_text())
        inputs = [entry["sha256"] for entry in manifest["inputs"]]
        for entry in manifest["outputs"]:
            found[Path(entry["path"]).name] = [entry["sha256"], " ".join([manifest["code_sha256"], manifest["config_sha256"], *inputs])]
    return found


def compare_hashes(before, after):
    """Return a line on whether the outputs repeat the last demo's. Raises GateError when the same work gave other bytes."""
    if not before:
        return f"{len(after)} data files written; the next demo compares its own with their hashes"
    broken = [name for name, (sha256, made_by) in after.items()
              if name in before and before[name][1] == made_by and before[name][0] != sha256]
    if broken:
        raise GateError(f"the same code, configuration and inputs gave other bytes than last time: {', '.join(broken)}.")
    changed = sum(name not in before or before[name][0] != sha256 for name, (sha256, _) in after.items())
    note = f", {changed} changed with what they are made from" if changed else ""
    return f"{len(after) - changed} of {len(after)} data files repeat the last demo's bytes{note}"


def stages(workspace, books):
    """Return the table rows [stage, in, kept, rejected] from the collector's result and the manifests."""
    fetched = sum(book["status"] != "refused" for book in books)
    rows = [["01 books", len(books), fetched, len(books) - fetched]]
    seen = set()
    for path in sorted((workspace / "data").rglob("*.manifest.json")):
        manifest = json.loads(path.read_text())
        if manifest["script"] not in seen:
            seen.add(manifest["script"])
            counts = manifest["counts"]
            label = manifest["script"].removesuffix(".py").replace("_", " ")
            rows.append([label, counts["in"], counts["out"], sum(counts["rejected"].values())])
    return sorted(rows)


def summary(workspace, books, repeat, seconds):
    """Print the closing table: stages, loss, answers, where the report is."""
    result = json.loads((workspace / "adapters" / RUN / "eval" / "eval.json").read_text())
    held_out = result["held_out"]
    log("\n" + table(stages(workspace, books), ["stage", "in", "kept", "rejected"]))
    log(f"\n{repeat}")
    log(f"held-out loss {held_out['loss_before']:.3f} -> {held_out['loss_after']:.3f} nats a token "
        f"(perplexity {held_out['perplexity_before']:.1f} -> {held_out['perplexity_after']:.1f}), "
        f"{held_out['improved']} of {held_out['conversations']} conversations improved\n")
    for pair in result["answers"][:ANSWERS_SHOWN]:
        log(f"> {pair['user']}\n  before: {pair['before'][:ANSWER_CHARS]}\n  after:  {pair['after'][:ANSWER_CHARS]}\n")
    peak_gb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / 1e9
    log(f"{seconds:.0f} s, peak memory {peak_gb:.1f} GB. The report: {workspace / 'adapters' / RUN / 'eval' / 'report.html'}")


def main(argv=None):
    args = flags().parse_args(argv)
    if not CPU_PYTHON.exists():
        raise UserError(f"{show(CPU_PYTHON)}: the training environment is not there.", "make demo, or bash setup_remote.sh --cpu")
    workspace, started = Path(args.workspace).resolve(), time.monotonic()
    hashes_file = workspace / "hashes.json"
    before = json.loads(hashes_file.read_text()) if hashes_file.is_file() else {}
    clear(workspace)
    config = ["--config", str(CONFIGS_DIR / "demo_data.yaml")]
    books = json.loads(step(sys.executable, [*COLLECT[0], *config, "--json"], workspace))["books"]
    for command in [COLLECT[1], *BUILD]:
        step(sys.executable, [*command, *config], workspace)
    after = output_hashes(workspace)
    repeat = compare_hashes(before, after)
    hashes_file.write_text(json.dumps(after))
    steps = ["--set", f"training.max_steps={args.steps}"] if args.steps else []
    step(CPU_PYTHON, ["train.py", "--model", "smollm2-135m", "--hardware", "cpu", "--preset", "smoke", "--run", RUN, *steps], workspace)
    step(CPU_PYTHON, ["eval_model.py", RUN], workspace)
    summary(workspace, books, repeat, time.monotonic() - started)
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
