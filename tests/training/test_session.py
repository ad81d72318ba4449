"""What a run decides: when to end, which checkpoint is the best, whether anything was learned; and the probe of a few updates."""
import json

import pytest

import train
from paths import CONFIGS_DIR
from training.conftest import NAME, QUICK, metrics, unfinished_copy
from weatherman.files import sha256_file
from weatherman.models.templates import read_chat
from weatherman.schemas import load_file as load_config_file
from weatherman.training import job, session

# Constant and far too high: the held-out loss falls for a few updates and then rises.
TOO_FAST = [*QUICK, "--set", "training.learning_rate=0.05", "--set", "training.scheduler=constant", "--set", "training.eval_steps=1",
            "--set", "training.save_steps=100", "--set", "training.keep_checkpoints=2", "--set", "training.max_steps=40",
            "--set", "training.epochs=9.0", "--set", "training.patience=3"]
ENDED = ("steps", "best_step", "loss_after")


@pytest.fixture
def base(trained, monkeypatch):
    """The base folder that holds the finished run `whole`."""
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(trained[0]))
    return trained[0]


def test_a_run_that_gets_worse_ends_early_and_keeps_its_best(base, here):
    status, out, err = here(train.main, *TOO_FAST, "--run", "early", "--json")
    figures, folder = json.loads(out), base / "adapters" / "early"
    losses = metrics(folder, "eval_loss")
    best = min(losses, key=losses.get)
    assert status == 0 and f"ended early at step {best + 3} of 40" in err, err
    assert (figures["best_step"], figures["loss_after"], figures["steps"]) == (best, losses[best], best + 3) and best > 0
    assert losses[best + 3] > losses[best] + 0.01  # the last adapter is another one, and worse
    kept = sorted(path.name for path in (folder / "checkpoints").glob("checkpoint-*"))
    assert kept == sorted([f"checkpoint-{best}", f"checkpoint-{best + 3}"])
    same = [sha256_file(folder / "checkpoints" / name / "adapter_model.safetensors") == sha256_file(folder / "adapter_model.safetensors")
            for name in kept]
    assert same == [name == f"checkpoint-{best}" for name in kept]
    assert "ended early" in (folder / "README.md").read_text()


def test_a_run_that_ended_early_does_not_go_on(base, here):
    """The box went after the last checkpoint and before run.json: the same command finishes the run, without one update more."""
    folder = base / "adapters" / "early"
    before = json.loads((folder / "run.json").read_text())
    (folder / "run.json").rename(folder / "started.json")
    (folder / "adapter_model.safetensors").unlink()
    status, out, err = here(train.main, *TOO_FAST, "--run", "early", "--json")
    assert status == 0 and "tokens/s" not in err, err
    assert {key: json.loads(out)[key] for key in ENDED} == {key: before[key] for key in ENDED}
    after = json.loads((folder / "run.json").read_text())
    assert after["files"]["adapter_model.safetensors"] == before["files"]["adapter_model.safetensors"]


def test_a_run_that_never_beats_its_base_says_so(base, here):
    """As if the base had been better than all checkpoints: finished, kept to be looked at, and the exit status says no."""
    folder = unfinished_copy(base, "worse")
    rows = (folder / "metrics.jsonl").read_text().splitlines(keepends=True)
    (folder / "metrics.jsonl").write_text("".join(['{"step":0,"eval_loss":5.0}\n', *rows[1:]]))
    status, out, err = here(train.main, *QUICK, "--run", "worse", "--json")
    assert status == 3 and json.loads(out)["loss_before"] == 5.0 and "no checkpoint beats the base" in err and "Traceback" not in err
    assert "**Not an improvement.**" in (folder / "README.md").read_text()
    assert "Not an improvement" not in (base / "adapters" / "whole" / "README.md").read_text()


def test_the_probe_measures_and_writes_nothing(base, tmp_path):
    overrides = ["training.max_tokens=128", "training.epochs=9.0"]
    resolved = load_config_file(CONFIGS_DIR / "training_config.yaml", NAME, "cpu", "smoke", overrides)
    records, _ = job.read_data(resolved.values.data, read_chat)
    prepared = job.prepare(resolved, records)
    found = session.probe(prepared, tmp_path, steps=3)
    assert found.keys() == {"tokens_per_second", "seconds_per_update", "peak_bytes"} and not list(tmp_path.rglob("*.*"))
    tokens = sum(len(item.input_ids) for item in prepared.encoded["train"])
    assert 0 < found["tokens_per_second"] * found["seconds_per_update"] < tokens and found["peak_bytes"] > 10**8
