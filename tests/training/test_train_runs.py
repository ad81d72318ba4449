"""train.py in other settings: stopped, split into smaller batches, on bad data, with 4-bit weights. Apart from test_train_script.py so that
two processes share the work."""
import json
import signal
import time

import pytest

import eval_model
import train
from training.conftest import QUICK, finish, metrics, start


@pytest.fixture
def base(trained, monkeypatch):
    """The base folder that holds the finished run `whole`."""
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(trained[0]))
    return trained[0]


def test_sigterm_saves_and_the_same_command_resumes(base, here):
    """A process of its own, as the signal is what is tested; the resumed one repeats the uninterrupted run's losses."""
    folder = base / "adapters" / "stopped"
    process = start("train.py", *QUICK, "--run", "stopped")
    deadline = time.monotonic() + 240
    while not (folder / "metrics.jsonl").exists() or len((folder / "metrics.jsonl").read_text().splitlines()) < 2:
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    status, _, err = finish(process)
    assert status == 75 and "checkpoint saved" in err, err
    status, _, err = here(train.main, *QUICK, "--run", "stopped")
    assert status == 0 and "resuming from checkpoint-" in err, err
    for key in ("loss", "eval_loss"):
        assert metrics(folder, key) == pytest.approx(metrics(base / "adapters" / "whole", key), abs=1e-6)


def test_the_split_into_micro_batches_does_not_change_the_loss(base, here):
    """Two rows at once, or one row twice; laid end to end, or each alone: the loss of every update is the same, however unequal the
    rows' loss tokens."""
    losses = {}
    for micro_batch in (1, 2):
        name = f"micro{micro_batch}"
        status, _, err = here(train.main, *QUICK, "--run", name, "--set", "lora.dropout=0.0", "--set", "training.packing=false",
                              "--set", f"training.micro_batch={micro_batch}", "--set", "training.max_steps=4")
        assert status == 0, err
        losses[micro_batch] = metrics(base / "adapters" / name, "loss")
    assert losses[1] == pytest.approx(losses[2], abs=2e-5)
    assert losses[1] != pytest.approx(metrics(base / "adapters" / "whole", "loss"), abs=2e-3)  # other conversations an update


def rewrite(path, change):
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    change(rows)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def first_row(path):
    return json.loads(path.read_text().splitlines()[0])


@pytest.mark.parametrize("fault,status,message", [
    (lambda p: p.write_text(""), 1, "the file is empty"),
    (lambda p: p.unlink(), 1, "no such file"),
    (lambda p: p.write_bytes(p.read_bytes()[:-30]), 1, "train.jsonl:24: invalid json"),
    (lambda p: p.write_bytes(p.read_bytes() + b"\xff\xfe\n"), 1, "train.jsonl:25: invalid utf8"),
    (lambda p: rewrite(p, lambda rows: rows[0]["messages"][2].update(content="rain " * 500)), 3, "tokens, and a row holds 128"),
    (lambda p: rewrite(p, lambda rows: rows.append(first_row(p.with_name("validation.jsonl")))), 3, "also in the training set"),
    (lambda p: rewrite(p, lambda rows: rows[0].pop("tools")), 1, "train.jsonl:1: tools: Field required"),
    (lambda p: rewrite(p, lambda rows: rows.append(rows[3])), 1, 'train.jsonl:25: the id "test:3" was there before'),
    (lambda p: p.unlink() or p.mkdir(), 1, "train.jsonl: is a folder; a file was expected"),
], ids=["empty", "missing", "truncated", "not_utf8", "too_long", "leak", "no_tools", "duplicate_id", "folder"])
def test_bad_data_stops_before_training(workspace, here, fault, status, message):
    fault(workspace / "data" / "processed" / "train.jsonl")
    got, _, err = here(train.main, *QUICK, "--run", "never")
    assert got == status and message in err and "Traceback" not in err, err
    assert not (workspace / "adapters" / "never").exists()


def test_four_bit_weights_train_too(base, here):
    """QLoRA's own path, NF4 with double quantisation, on the CPU: the frozen weights are really packed and the loss falls."""
    status, out, err = here(train.main, *QUICK, "--run", "nf4", "--set", "quantization.mode=nf4", "--json")
    assert status == 0, err
    assert json.loads(out)["loss_after"] < json.loads(out)["loss_before"] - 0.05
    status, out, err = here(eval_model.main, "nf4", "--set", "max_new_tokens=2", "--json")
    assert status == 0, err
