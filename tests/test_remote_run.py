"""remote_run.py against a real sshd, a real tmux and the real supervisor; what the box runs as its environment's Python is a stand-in."""
import json
import random
import re
import shutil
import signal
import time
from types import SimpleNamespace

import pytest

import remote_run
from chat_sets import write_splits
from limits import leave_room, small_disk
from loopback import REPO, SlowLink, tree, write
from remote_mac import SECRETS, needs_tmux, wait_for
from test_preflight import MODEL, byte_tokenizer
from weatherman.checkpoints import SEAL, is_whole
from weatherman.cli import GateError, UserError
from weatherman.manifest import describe_file
from weatherman.preflight import rented
from weatherman.remote import follow
from weatherman.remote.layers import ReachError
from weatherman.schemas import training_config

pytestmark = [pytest.mark.machine, *needs_tmux]

# What setup_remote.sh leaves on the box of these tests: a "Python" that downloads nothing, and trains by writing files as train.py does.
SETUP = """#!/usr/bin/env bash
mkdir -p .venv-cpu/bin
printf '#!/bin/sh\\nexec python3 toy.py "$@"\\n' > .venv-cpu/bin/python
chmod +x .venv-cpu/bin/python
echo "set up $*"
"""
TOY = '''
import hashlib, json, os, pathlib, signal, sys, time
arguments = sys.argv[1:]
name = pathlib.Path(arguments[0]).stem
if name != "train":
    run = pathlib.Path("adapters") / arguments[-1]
    if name == "eval_model":
        (run / "eval").mkdir(exist_ok=True)
        (run / "eval/report.html").write_text("<p>report</p>")
    sys.exit(print(name, "done"))
run = pathlib.Path("adapters") / arguments[arguments.index("--run") + 1]
print("token is", os.environ.get("HF_TOKEN"))
run.mkdir(exist_ok=True)
begun = pathlib.Path("begun.json")
(run / "started.json").write_text(begun.read_text() if begun.exists() else "{}")
asked = []
signal.signal(signal.SIGTERM, lambda *_: asked.append(1))

def save(step):
    folder = run / "checkpoints" / f"checkpoint-{step}"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter model.bin").write_bytes(hashlib.sha256(b"%d" % step).digest() * 3000)
    files = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("adapter*")}
    (folder / "checkpoint.manifest.json").write_text(json.dumps(files))
    for old in sorted(run.glob("checkpoints/*"), key=lambda path: int(path.name[11:]))[:-4]:
        for path in old.iterdir(): path.unlink()
        old.rmdir()

done = max((int(path.name[11:]) for path in run.glob("checkpoints/*") if (path / "checkpoint.manifest.json").exists()), default=0)
print("from step", done)
steps = int(pathlib.Path("steps").read_text())
for step in range(done + 1, steps + 1):
    time.sleep(0.1)
    with open(run / "metrics.jsonl", "a") as metrics: metrics.write(json.dumps({"step": step}) + "\\n")
    print(f"step {step}/{steps}  loss {1 / step:.4f}", flush=True)
    if step % 10 == 0 or asked: save(step)
    if asked: sys.exit(75)
(run / "run.json").write_text(json.dumps({"loss_before": 2.5, "loss_after": 1.5}))
(run / "started.json").unlink()
'''

STAGES = [{"name": "setup", "argv": ["bash", "setup_remote.sh", "--cpu"]},
          {"name": "download", "argv": [".venv-cpu/bin/python", "scripts/download_model.py", "smollm2-135m"]},
          {"name": "train", "argv": ["sh", "-c", 'test -f "$0" || exec "$@"', "adapters/toy.run/run.json", ".venv-cpu/bin/python",
                                     "scripts/train.py", "--run", "toy.run", "--config", "configs/training_config.yaml", "--model",
                                     "smollm2-135m", "--set", "cost.usd_per_hour=36.0"]},
          {"name": "evaluate", "argv": [".venv-cpu/bin/python", "scripts/eval_model.py", "toy.run"]}]
FLAGS = ["--model", "smollm2-135m"]
SUPERVISOR = ["scripts/remote_job.py", *(path.relative_to(REPO).as_posix() for path in REPO.glob("scripts/weatherman/box/*.py"))]


def place_job(mac, steps=24, **changes):
    """Put a job on the box as an earlier remote_run.py did; nothing runs there yet."""
    job = {"run": "toy.run", "stages": STAGES, "limit_s": None, "usd_per_hour": 36.0, "budget_usd": None, "grace_s": 20,
           "stop_argv": None, "stop_wait_s": None, **changes}
    write(mac.box.repo, {"data/processed/test.jsonl": "{}\n"})
    write(mac.box.far, {"toy.py": TOY, "steps": str(steps), "setup_remote.sh": SETUP, "adapters/jobs/toy.run/job.json": json.dumps(job),
                        **{name: (REPO / name).read_bytes() for name in SUPERVISOR},
                        ".env": "".join(f"{name}={value}\n" for name, value in SECRETS.items())})
    (mac.box.far / ".env").chmod(0o600)


def interrupt(process):
    """Press Ctrl-C on a process; return (exit status, stdout, stderr)."""
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=20)
    return process.returncode, out, err


# --- one after the other ---------------------------------------------------------------------------------------------------

def test_a_job_is_found_followed_left_found_again_and_ended_in_order(mac):
    """Ctrl-C leaves it running; --status says where it is; --cancel has it save, and everything is here; the stop comes last, once."""
    stopped = mac.box.tmp / "stopped"
    mac.box.configure(setup="cpu", usd_per_hour=36.0, stop=["sh", "-c", f"diff -r '{mac.here}' '{mac.there}' && echo same >> '{stopped}'"])
    place_job(mac, steps=10_000)
    follower = mac.start(*FLAGS, "--then-stop")
    wait_for(lambda: (mac.here / "checkpoints").is_dir())
    status, _, err = interrupt(follower)
    assert status == 75 and "what runs there goes on" in err and not stopped.exists(), err
    assert re.search(r"^step 10/10000  loss 0.1000  \$\d.\d\d spent$", err, re.MULTILINE)
    status, out, err = mac.run(*FLAGS, "--status", "--json")
    found = json.loads(out)
    assert status == 0 and (found["state"], found["stage"], found["done"]) == ("running", "train", ["setup", "download"]), err
    assert found["checkpoints"] >= 1 and found["last"].startswith("step ")
    status, out, err = mac.run(*FLAGS, "--cancel", "--then-stop")
    assert status == 0 and "toy.run: cancelled" in err and mac.status()["state"] == "cancelled", err
    last = max(int(path.name[11:]) for path in (mac.here / "checkpoints").iterdir())
    assert mac.same() and last == mac.steps() and stopped.read_text() == "same\n"  # it was saved after the update at hand
    assert not [name for name, data in tree(mac.box.repo).items() for secret in SECRETS.values() if secret.encode() in data]


def test_nothing_is_stopped_before_everything_is_here(mac):
    """A file lies where a folder of the run should be: the run cannot come home, so the machine must not go."""
    stopped = mac.box.tmp / "stopped"
    mac.box.configure(setup="cpu", usd_per_hour=36.0, stop=["touch", str(stopped)])
    place_job(mac)
    write(mac.box.repo, {"adapters/toy.run/eval": "in the way"})
    status, out, err = mac.run(*FLAGS, "--then-stop")
    assert status == 1 and "gpu is not stopped: not everything is here" in err and not stopped.exists(), err
    assert mac.status()["state"] == "finished" and not (mac.job / "fetched").exists()


def test_through_cuts_kills_and_lost_terminals(mac):
    """The link breaks at random; the tmux server goes with all it runs, as by a power cut, and the run goes on from its newest
    checkpoint; then the server goes alone, and nothing stops. In the end both sides are equal."""
    link, rng, cuts, waits = SlowLink(mac.box.port, rate=10**9), random.Random(6), [], []
    mac.box.configure(setup="cpu", usd_per_hour=36.0, port=link.port)
    place_job(mac, steps=36)
    follower = mac.start(*FLAGS)
    for fault, reached, starts in ((mac.power_cut, 13, 1), (mac.hang_up, 26, 0)):
        while mac.steps() < reached:
            assert follower.poll() is None and len(waits) < 60
            waits.append(time.sleep(rng.uniform(0.5, 2)))
            if len(cuts) < reached / 6:  # some in every part of the run
                cuts.append(link.cut())
        boots, steps = mac.status()["boot"], mac.steps()
        fault()
        wait_for(lambda: mac.status()["boot"] >= boots + starts and mac.steps() > (0 if starts else steps))  # noqa: B023
    out, err = follower.communicate(timeout=90)
    assert follower.returncode == 0, err
    assert len(cuts) >= 3 and mac.status()["boot"] == 2 and mac.same()
    assert err.count("the job's supervisor is gone") == 2, err  # the first time it was only not started yet
    resumed = [int(step) for step in re.findall(r"^from step (\d+)$", (mac.job / "job.log").read_text(), re.MULTILINE)]
    assert len(resumed) == 2 and resumed[1] >= 10


def test_from_the_first_check_until_the_money_is_spent_and_on_with_a_larger_budget_and_on_another_box(mac):
    """Preflight and sync are real. Spent: the checkpoint is here and the same command starts nothing; a larger budget goes on from it.

    Then the box is gone, and another one goes on from what is here.
    """
    write_splits(mac.box.repo)
    byte_tokenizer(mac.box.repo / "models" / MODEL)
    write(mac.box.repo, {"setup_remote.sh": SETUP})
    flags = ["--model", MODEL, "--hardware", "cpu", *(f"--set=training.{value}" for value in ("max_tokens=4096", "effective_batch=2",
                                                                                            "micro_batch=1", "packing=false"))]
    config = training_config(remote_run.flags().parse_args(["gpu", *flags])).plain
    data = {split: describe_file(mac.box.repo / f"data/processed/{split}.jsonl") for split in ("train", "validation")}
    box = {"toy.py": TOY, "steps": "100", "begun.json": json.dumps({"config": config, "base_model": {}, "data": data})}
    write(mac.box.far, box)
    status, out, err = mac.run(*flags, "--budget", "0.04", "--json")
    assert status == 3 and json.loads(out)["state"] == "spent" and "larger --budget" in err, err
    assert json.loads((mac.job / "job.json").read_text())["stages"][2]["argv"][-2:] == ["--set", "cost.usd_per_hour=36.0"]
    saved = mac.steps()
    assert mac.same() and is_whole(mac.here / f"checkpoints/checkpoint-{saved}")
    slow = f'case "$*" in "scripts/remote_job.py toy.run") sleep 2;; esac; exec {shutil.which("python3")} "$@"'
    write(mac.box.tmp, {"bin/python3": f"#!/bin/sh\n{slow}\n"})  # until it has started, status.json still says "spent"
    (mac.box.tmp / "bin/python3").chmod(0o755)
    mac.box.hook.write_text(f"{mac.box.hook.read_text()}export PATH='{mac.box.tmp}/bin':\"$PATH\"\n")
    boots = mac.status()["boot"]
    assert mac.run(*flags, "--budget", "0.04")[0] == 3 and mac.status()["boot"] == boots
    status, _, err = mac.run(*flags, "--budget", "1", "--set", "training.learning_rate=0.1")
    assert status == 1 and "training.learning_rate: 0.0002 -> 0.1" in err and mac.status()["boot"] == boots, err
    status, out, err = mac.run(*flags, "--budget", "0.08")
    assert status == 3 and mac.same() and f"from step {saved}" in err, err
    saved = mac.steps()
    shutil.rmtree(mac.box.far)
    write(mac.box.far, box)
    status, out, err = mac.run(*flags, "--budget", "1")
    assert status == 0 and mac.same() and f"goes on there from checkpoint-{saved}" in err and "2.5000 -> 1.5000" in out, err
    assert f"from step {saved}\n" in (mac.job / "job.log").read_text() and mac.steps() == 100


def test_a_full_disk_there_fails_the_job_and_leaves_what_was_fetched(mac):
    with small_disk(mac.box.far) as remount:
        place_job(mac, steps=10_000)
        follower = mac.start(*FLAGS)
        wait_for(lambda: (mac.here / "checkpoints").is_dir())
        leave_room(mac.box.far, remount, 50_000)
        out, err = follower.communicate(timeout=60)
        assert follower.returncode == 1 and "No space left on device" in err and "toy.run: failed" in err, err
        kept = list((mac.here / "checkpoints").iterdir())
        assert kept and all(is_whole(path) for path in kept if (path / SEAL).exists()) and any(map(is_whole, kept))
        remount("size=64m")


def test_a_lost_link_is_said_once_and_tried_again_until_the_job_must_be_over(capsys):
    host, tries = SimpleNamespace(), []

    def look():
        tries.append(len(tries))
        if len(tries) < 3:
            raise ReachError(host, "TCP", "no answer", "start it")
        return "found"

    assert follow.until_answered(look, follow.Screen()) == "found"
    assert capsys.readouterr().err.count("The run goes on there") == 1
    with pytest.raises(UserError, match="its limit has passed"):
        tries.clear()
        follow.until_answered(look, follow.Screen(), deadline=0)

    def wrong_key():
        raise ReachError(host, "host key", "not the one seen before", "rm")

    with pytest.raises(ReachError, match="not the one seen before"):  # no waiting mends that
        follow.until_answered(wrong_key, follow.Screen())


# --- refused -----------------------------------------------------------------------------------------------------------------

def test_other_work_under_the_same_name_is_refused(mac):
    place_job(mac)
    status, _, err = mac.run(*FLAGS, "--preset", "smoke")
    assert status == 1 and "was begun with other settings" in err and "--preset smoke" in err and "--run NAME" in err
    assert not (mac.job / "status.json").exists()


def test_refused_before_anything_is_sent(mac):
    for flags, status, said in (
            (["--budget", "0"], 2, "0 is not above zero"),
            (["--run", "../x"], 2, "letters, digits"),
            (["--config", "/etc/hostname"], 2, "/etc/hostname"),
            (["--set", "data.train=/elsewhere/train.jsonl"], 1, "does not travel"),
            (["--then-stop"], 1, "how it is stopped is not known"),
            (["--cancel"], 1, "no job toy.run runs there"),
            (["--status"], 1, "there is no job toy.run"),
            (["--model", "llama-3.1-8b-instruct"], 3, "read -r token"),
            ([], 3, "the preflight said no")):
        found, out, err = mac.run(*FLAGS, *flags)
        assert found == status and said in err and "Traceback" not in err, err
    assert not (mac.box.far / "scripts").exists()


def wanted(usd_per_hour):
    cost = SimpleNamespace(usd_per_hour=None)
    return SimpleNamespace(host=SimpleNamespace(usd_per_hour=usd_per_hour, alias="gpu"), config=SimpleNamespace(cost=cost))


@pytest.mark.parametrize("budget, hours, said", [(2.99, None, "the budget is 2.99 USD"), (None, 1.4, "the limit is 1.4 hours"),
                                                 (3.01, 1.6, None)])
def test_an_estimate_beyond_the_limit_is_a_gate(budget, hours, said):
    """1.5 hours on a card at 2 dollars an hour."""
    args, verdict = SimpleNamespace(budget=budget, hours=hours), {"cards": [{"card": "l40s", "hours": 1.5, "usd": 9.0, "fits": True}]}
    if said is None:
        assert rented.check_budget(args, wanted(2.0), "l40s", verdict) == 2.0
        return
    with pytest.raises(GateError, match=f"1.5 hours and 3.00 USD on l40s, and {said}"):
        rented.check_budget(args, wanted(2.0), "l40s", verdict)


def test_a_budget_needs_a_price():
    with pytest.raises(UserError, match="what an hour of gpu costs is not known"):
        rented.check_budget(SimpleNamespace(budget=5.0, hours=None), wanted(None), None, {"cards": []})
