"""train.py in other settings: stopped, split into smaller batches, on bad data, with 4-bit weights. Apart from test_train_script.py so that
two processes share the work."""
import json
import signal
import time

import pytest

from training.conftest import QUICK, finish, metrics, run, start


def test_sigterm_saves_and_the_same_command_resumes(trained, monkeypatch):
    base, figures = trained
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(base))
    folder = base / "adapters" / "stopped"
    process = start("train.py", *QUICK, "--run", "stopped")
    deadline = time.monotonic() + 120
    while not (folder / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    status, _, err = finish(process)
    assert status == 75 and "checkpoint saved" in err, err
    status, _, err = run("train.py", *QUICK, "--run", "stopped", "--resume")
    assert status == 0, err
    assert metrics(folder, "loss") == pytest.approx(metrics(base / "adapters" / "whole", "loss"), abs=1e-6)


def test_the_accumulation_split_does_not_change_the_loss(trained, monkeypatch):
    """Two rows at once, or one row twice: the loss of every update is the same, however unequal the rows' loss tokens."""
    base, _ = trained
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(base))
    losses = []
    for micro_batch in (1, 2):
        name = f"micro{micro_batch}"
        status, _, err = run("train.py", *QUICK, "--run", name, "--set", "lora.dropout=0.0", "--set", "training.packing=false",
                             "--set", f"training.micro_batch={micro_batch}", "--set", "training.max_steps=4")
        assert status == 0, err
        losses.append(list(metrics(base / "adapters" / name, "loss").values()))
    assert losses[0] == pytest.approx(losses[1], abs=2e-4)


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
def test_bad_data_stops_before_training(workspace, fault, status, message):
    fault(workspace / "data" / "processed" / "train.jsonl")
    got, _, err = run("train.py", *QUICK, "--run", "never")
    assert got == status and message in err and "Traceback" not in err, err
    assert not (workspace / "adapters" / "never").exists()


def test_four_bit_weights_train_too(trained, monkeypatch):
    """QLoRA's own path, NF4 with double quantisation, on the CPU: the frozen weights are really packed and the loss falls."""
    base, _ = trained
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(base))
    status, out, err = run("train.py", *QUICK, "--run", "nf4", "--set", "quantization.mode=nf4", "--json")
    assert status == 0, err
    assert json.loads(out)["loss_after"] < json.loads(out)["loss_before"] - 0.05
    status, out, err = run("eval_model.py", "nf4", "--set", "max_new_tokens=2", "--json")
    assert status == 0, err
