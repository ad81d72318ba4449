"""remote_run.py from the first check to the last file, unattended: real preflight, sync, setup, training, evaluation and stop on a box on
loopback, while the link is cut, the supervisor is killed and the box loses all that runs; then once more, undisturbed, for comparison."""
import random
import re
import shutil
import time
from pathlib import Path

import pytest

import train
from chat_sets import write_splits
from loopback import REPO, SlowLink, tree, write
from remote_mac import SECRETS, needs_tmux, wait_for
from training.conftest import NAME, metrics, run_main

pytestmark = [pytest.mark.machine, *needs_tmux]
FLAGS = ["--model", NAME, "--hardware", "cpu", "--preset", "smoke"]
for _value in ("max_steps=20", "max_tokens=512", "effective_batch=2", "eval_steps=5", "save_steps=5", "log_steps=1", "learning_rate=0.02"):
    FLAGS += ["--set", f"training.{_value}"]
FLAGS += ["--set", "compute.dtype=float32"]


def fill(mac, model):
    """Give the Mac datasets that the preflight accepts and a tokenizer, and the box a model, an environment and secrets."""
    from weatherman.models import model_files
    from weatherman.models.registry import model_entry, package_gguf
    write_splits(mac.box.repo)
    for pattern in ("requirements-*", "setup_remote.sh", "environment-remote.yml"):
        for path in REPO.glob(pattern):
            shutil.copy(path, mac.box.repo)
    for place in (mac.box.repo, mac.box.far):
        shutil.copytree(model, place / "models" / NAME)
    model_files.record(mac.box.far / "models" / NAME, {"repo": package_gguf(model_entry(NAME).package).name, "revision": None,
                                                       "source": "test", "checksums_from": "test"})
    settings = mac.box.repo / "configs/eval_config.yaml"
    settings.write_text(re.sub(r"(?m)^max_new_tokens: \d+", "max_new_tokens: 2", settings.read_text()))
    (mac.box.far / ".venv-cpu").symlink_to(REPO / ".venv-cpu")
    write(mac.box.far, {".env": "".join(f"{name}='{value}'\n" for name, value in SECRETS.items()) + "OMP_NUM_THREADS=1\n"})
    (mac.box.far / ".env").chmod(0o600)


def stop_script(mac):
    """Return the path of a "stop" command that notes whether the run folder was the same on both sides when it was called."""
    script, noted = mac.box.tmp / "stop.sh", mac.box.tmp / "stopped"
    script.write_text(f"#!/bin/sh\ndiff -r '{mac.here}' '{mac.there}' >&2 && echo same >> '{noted}' || echo different >> '{noted}'\n")
    script.chmod(0o755)
    return script


def command_lines():
    """Return what every process of this machine was started with, as anybody here can read it."""
    found = set()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.add(path.read_bytes())
        except OSError:
            continue
    return found


def test_a_run_unattended_through_three_faults(mac, tiny_model, monkeypatch):
    link, rng, seen = SlowLink(mac.box.port, rate=10**9), random.Random(6), set()
    mac.box.configure(setup="cpu", usd_per_hour=36.0, port=link.port, stop=[str(stop_script(mac))])
    fill(mac, tiny_model)
    follower = mac.start(*FLAGS, "--budget", "50", "--then-stop")
    for fault, reached in ((mac.kill_supervisor, 7), (mac.power_cut, 13), (None, 19)):
        while mac.steps() < reached:
            assert follower.poll() is None, follower.communicate()[1]
            time.sleep(rng.uniform(0.5, 2))
            seen.update(command_lines())
            if mac.steps():
                link.cut()
        if fault:
            boots = mac.status()["boot"]
            fault()
            wait_for(lambda: mac.status()["boot"] > boots)  # noqa: B023
    out, err = follower.communicate(timeout=240)
    assert follower.returncode == 0, err
    lost = len(re.findall("goes on there|could not be fetched", err))  # cuts that came while a connection was open
    assert mac.status()["boot"] >= 3 and lost >= 3 and err.count("starting it again") >= 2, err
    assert mac.same() and (mac.box.tmp / "stopped").read_text() == "same\n"
    assert (mac.here / "eval/report.html").is_file() and "the same here and there" in out
    no_secret(mac, seen, out + err)
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(mac.box.repo))
    assert run_main(train.main, [*FLAGS, "--run", "undisturbed"]) == 0
    for key in ("loss", "eval_loss"):
        assert metrics(mac.here, key) == pytest.approx(metrics(mac.here.with_name("undisturbed"), key), abs=1e-6)


def no_secret(mac, seen, said):
    """Nothing of the box's .env is in a command line, in a file that was fetched or sent, or in what was said."""
    files = [data for root in (mac.box.repo, mac.box.far) for name, data in tree(root).items() if name != ".env"]
    assert len(seen) > 20 and len(files) > 300
    for secret in SECRETS.values():
        assert not [text for text in (*seen, *files, said.encode()) if secret.encode() in text]
