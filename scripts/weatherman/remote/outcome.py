"""Where a job on another machine is, and how it ended: as figures for --json, and as rows of a table for people."""
import json
import re

from paths import base_dir, show
from weatherman.remote.job import JOBS

STAGE_ENDED = re.compile(r"^== \S+ \S+ (\w+): ended with \d+ after ([\d,]+) s$", re.MULTILINE)  # as remote_job.py says it in job.log
LOST = "lost: its supervisor is gone; the same command without --status starts it again"
NEXT = {"failed": "mend what it says (all of it: {log}), then the same command; it goes on from its checkpoints",
        "spent": "the same command with a larger --budget or --hours; it goes on from its checkpoints",
        "cancelled": "the same command; it goes on from its checkpoints",
        "finished": "open {report}"}


def minutes(seconds):
    """3723 -> "1 h 02 min"; 75 -> "1 min 15 s"."""
    whole = round(seconds)
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02} min"
    return f"{whole // 60} min {whole % 60:02} s" if whole >= 60 else f"{whole} s"


def spent(status):
    """Return "1 h 02 min, $1.80" of a status.json."""
    return minutes(status["spent_s"]) + ("" if status["spent_usd"] is None else f", ${status['spent_usd']:.2f}")


def where_it_is(look, results):
    """Return the figures of a job at one Look. results: its fetch.Results."""
    status, lines = look.status or {}, [line for line in look.log.decode("utf-8", "replace").split("\n") if line.strip()]
    figures = {key: status.get(key) for key in ("state", "stage", "done", "spent_s", "spent_usd")}
    return {**figures, "run": results.run, "state": LOST if look.lost else status["state"], "checkpoints": len(look.sealed),
            "checkpoints_here": sum(map(results.is_whole, look.sealed)), "last": lines[-1] if lines else None}


def where_rows(figures, status):
    """Return where_it_is as rows for people; status: status.json, None before the first start."""
    return [["state", figures["state"]], ["stage", figures["stage"] or "-"], ["done", ", ".join(figures["done"] or []) or "-"],
            ["spent", spent(status) if status else "-"],
            ["checkpoints", f"{figures['checkpoints']} there, {figures['checkpoints_here']} of them here, verified"],
            ["last line", figures["last"] or "-"]]


def how_it_ended(look, results, files, size_bytes):
    """Return the figures of a job that has ended and is here."""
    seconds, status, finished = {}, look.status, results.folder / "run.json"
    for path in sorted((base_dir() / JOBS / results.run).glob("job.log*")):
        for name, took in STAGE_ENDED.findall(path.read_text(encoding="utf-8", errors="replace")):
            seconds[name] = seconds.get(name, 0) + int(took.replace(",", ""))
    trained = json.loads(finished.read_bytes()) if finished.is_file() else {}
    report = results.folder / "eval" / "report.html"
    return {"run": results.run, "state": status["state"], "message": status["message"], "stages_s": seconds, "spent_s": status["spent_s"],
            "spent_usd": status["spent_usd"], "starts": status["boot"], "loss_before": trained.get("loss_before"),
            "loss_after": trained.get("loss_after"), "files": files, "bytes": size_bytes, "fetched_bytes": results.bytes,
            "report": show(report) if report.is_file() else None}


def end_rows(figures, folder):
    """Return how_it_ended as rows for people. folder: the run folder, as it is shown."""
    rows = [[name, minutes(seconds)] for name, seconds in figures["stages_s"].items()]
    rows.append([f"all, {figures['starts']} start{'s' if figures['starts'] > 1 else ''}", spent(figures)])
    if figures["loss_before"] is not None:
        rows.append(["held-out loss", f"{figures['loss_before']:.4f} -> {figures['loss_after']:.4f} nats a token"])
    rows.append([folder, f"{figures['files']:,} files, {figures['bytes'] / 1e6:,.1f} MB, the same here and there"])
    return rows if figures["report"] is None else [*rows, ["report", figures["report"]]]


def next_step(figures):
    """Return what to type next."""
    if figures["state"] == "finished" and figures["report"] is None:
        return f"python scripts/eval_model.py {figures['run']} --data FILE"
    return NEXT[figures["state"]].format(log=f"{JOBS}/{figures['run']}/job.log", report=figures["report"])
