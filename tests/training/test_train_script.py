"""train.py and eval_model.py from the command line, on a tiny random model with the real tokenizer."""
import json
import shutil

import pytest

from training.conftest import QUICK, metrics, run
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


def test_an_existing_run_is_not_overwritten(trained, monkeypatch):
    base, _ = trained
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(base))
    status, _, err = run("train.py", *QUICK, "--run", "whole")
    assert status == 1 and "exists already" in err
    status, _, err = run("train.py", *QUICK, "--run", "whole", "--resume")
    assert status == 1 and "this run is finished" in err


def test_stdout_holds_one_json_object_whatever_libraries_print(trained, monkeypatch):
    """wandb announces its offline mode on stdout when TRL imports it."""
    base, _ = trained
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(base))
    monkeypatch.setenv("WANDB_MODE", "offline")
    status, out, err = run("train.py", *QUICK, "--run", "printed", "--json")
    assert status == 0, err
    assert json.loads(out)["steps"] == 6 and "offline" in err
