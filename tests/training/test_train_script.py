"""train.py and eval_model.py from the command line, on a tiny random model with the real tokenizer."""
import json
import shutil
import signal
import time

import pytest

from training.conftest import QUICK, finish, metrics, run, start
from weatherman.files import sha256_file


def test_training_lowers_the_held_out_loss(trained):
    base, figures = trained
    folder = base / "adapters" / "whole"
    assert figures["loss_after"] < figures["loss_before"] - 0.05
    assert figures["steps"] == 6 and figures["tokens_seen"] > 0 and figures["adapter_norm"] > 0
    assert sorted(metrics(folder, "eval_loss")) == [2, 4, 6] and sorted(metrics(folder, "loss")) == [1, 2, 3, 4, 5, 6]
    for name in ("adapter_model.safetensors", "adapter_config.json", "chat_template.jinja", "tokenizer.json", "config.resolved.yaml",
                 "run.json", "metrics.jsonl", "train.log", "README.md"):
        assert (folder / name).is_file(), name
    recorded = json.loads((folder / "run.json").read_text())
    assert recorded["config"]["training"]["learning_rate"] == 0.02 and recorded["data"]["train"]["rows"] == 24
    assert "training.learning_rate" in (folder / "config.resolved.yaml").read_text()


def test_resume_after_a_lost_box_gives_the_same_losses(trained, monkeypatch):
    """The last checkpoints are damaged or unsealed, as a box that is taken away leaves them; the resumed run repeats the whole one."""
    base, figures = trained
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(base))
    whole, again = base / "adapters" / "whole", base / "adapters" / "again"
    shutil.copytree(whole, again)
    for name in ("run.json", "adapter_model.safetensors"):
        (again / name).unlink()
    (again / "checkpoints" / "checkpoint-6" / "checkpoint.manifest.json").unlink()
    optimizer = again / "checkpoints" / "checkpoint-4" / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:-100])
    status, out, err = run("train.py", *QUICK, "--run", "again", "--resume", "--json")
    assert status == 0, err
    assert "resuming from checkpoint-2" in err
    assert metrics(again, "loss") == pytest.approx(metrics(whole, "loss"), abs=1e-6)
    assert json.loads(out)["loss_after"] == pytest.approx(figures["loss_after"], abs=1e-6)


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


def test_evaluation_of_a_run(trained, monkeypatch):
    base, _ = trained
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(base))
    status, out, err = run("eval_model.py", "whole", "--set", "max_new_tokens=4", "--json")
    assert status == 0, err
    result = json.loads(out)
    assert result["held_out"]["loss_after"] < result["held_out"]["loss_before"] and result["held_out"]["conversations"] == 6
    page = (base / "adapters" / "whole" / "eval" / "report.html").read_text()
    assert "<svg" in page and page.count(' answer after"') == len(result["answers"])
    status, _, err = run("eval_model.py", "whole", "--data", str(base / "data/processed/train.jsonl"))
    assert status == 1 and "was trained on this file" in err


def test_an_adapter_that_changes_nothing_is_refused(trained, monkeypatch):
    from safetensors.torch import load_file, save_file
    base, _ = trained
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(base))
    shutil.copytree(base / "adapters" / "whole", base / "adapters" / "zero")
    weights = load_file(base / "adapters" / "zero" / "adapter_model.safetensors")
    save_file({name: value * 0 if "lora_B" in name else value for name, value in weights.items()},
              base / "adapters" / "zero" / "adapter_model.safetensors")
    recorded = json.loads((base / "adapters" / "zero" / "run.json").read_text())
    recorded["files"] = {name: sha256_file(base / "adapters" / "zero" / name) for name in recorded["files"]}
    (base / "adapters" / "zero" / "run.json").write_text(json.dumps(recorded))
    status, _, err = run("eval_model.py", "zero")
    assert status == 1 and "changes nothing" in err


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


def test_an_existing_run_is_not_overwritten(trained, monkeypatch):
    base, _ = trained
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(base))
    status, _, err = run("train.py", *QUICK, "--run", "whole")
    assert status == 1 and "exists already" in err
    status, _, err = run("train.py", *QUICK, "--run", "whole", "--resume")
    assert status == 1 and "this run is finished" in err


def test_four_bit_weights_train_too(trained, monkeypatch):
    """QLoRA's own path, NF4 with double quantisation, on the CPU: the frozen weights are really packed and the loss falls."""
    base, _ = trained
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(base))
    status, out, err = run("train.py", *QUICK, "--run", "nf4", "--set", "quantization.mode=nf4", "--json")
    assert status == 0, err
    assert json.loads(out)["loss_after"] < json.loads(out)["loss_before"] - 0.05
    status, out, err = run("eval_model.py", "nf4", "--set", "max_new_tokens=2", "--json")
    assert status == 0, err


def test_stdout_holds_one_json_object_whatever_libraries_print(trained, monkeypatch):
    """wandb announces its offline mode on stdout when TRL imports it."""
    base, _ = trained
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(base))
    monkeypatch.setenv("WANDB_MODE", "offline")
    status, out, err = run("train.py", *QUICK, "--run", "printed", "--json")
    assert status == 0, err
    assert json.loads(out)["steps"] == 6 and "offline" in err
