"""train.py and eval_model.py as they are called, on a tiny random model with the real tokenizer."""
import json
import shutil

import pytest

import eval_model
import train
from training.conftest import QUICK, metrics, run, unfinished_copy
from weatherman.files import sha256_file

RUN_FILES = ("adapter_model.safetensors", "adapter_config.json", "chat_template.jinja", "tokenizer.json", "config.resolved.yaml",
             "run.json", "metrics.jsonl", "train.log", "README.md")


@pytest.fixture
def base(trained, monkeypatch):
    """The base folder that holds the finished run `whole`."""
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(trained[0]))
    return trained[0]


def copy_run(base, name):
    target = base / "adapters" / name
    shutil.copytree(base / "adapters" / "whole", target, ignore=shutil.ignore_patterns("checkpoints", "eval"))
    return target


def test_training_lowers_the_held_out_loss(trained):
    base, figures = trained
    folder = base / "adapters" / "whole"
    assert figures["loss_after"] < figures["loss_before"] - 0.05
    assert figures["steps"] == figures["planned_steps"] == 6 and figures["tokens_seen"] > 0 and figures["adapter_norm"] > 0
    losses = metrics(folder, "eval_loss")
    assert sorted(losses) == [0, 2, 4, 6] and sorted(metrics(folder, "loss")) == [1, 2, 3, 4, 5, 6]
    assert losses[0] == figures["loss_before"] and min(losses.values()) == losses[figures["best_step"]] == figures["loss_after"]
    assert metrics(folder, "tokens_per_second").keys() == {1, 2, 3, 4, 5, 6}
    assert [name for name in RUN_FILES if not (folder / name).is_file()] == []
    assert list((folder / "tensorboard").glob("events.out.tfevents.*")) and not (folder / "started.json").exists()


def test_run_json_says_what_was_trained_on_what(base):
    folder = base / "adapters" / "whole"
    recorded = json.loads((folder / "run.json").read_text())
    assert recorded["config"]["training"]["learning_rate"] == 0.02 and recorded["config"]["compute"]["attention"] == "auto"
    assert recorded["chosen"] == {"device": "cpu", "dtype": "float32", "attention": "packed-sdpa", "gradient_checkpointing": False}
    assert recorded["data"]["train"]["rows"] == 24
    assert recorded["data"]["train"]["sha256"] == sha256_file(base / "data" / "processed" / "train.jsonl")
    assert recorded["base_model"]["config_sha256"] == sha256_file(base / "models" / "smollm2-135m" / "config.json")
    assert (recorded["micro_batch"], recorded["accumulation"], recorded["processes"]) == (1, 1, 1)
    assert recorded["peak_bytes"] > 10**8 and recorded["seconds"] > 0 and recorded["usd"] is None
    assert "training.learning_rate" in (folder / "config.resolved.yaml").read_text()
    adapter = json.loads((folder / "adapter_config.json").read_text())
    assert adapter["base_model_name_or_path"] == "HuggingFaceTB/SmolLM2-135M-Instruct"  # not a folder of this machine


def test_resume_after_a_lost_box_gives_the_same_losses(trained, base, here):
    """The last checkpoints are damaged or unsealed, as a box that is taken away leaves them; the resumed run repeats the whole one."""
    whole, again = base / "adapters" / "whole", unfinished_copy(base, "again")
    (again / "checkpoints" / "checkpoint-6" / "checkpoint.manifest.json").unlink()
    optimizer = again / "checkpoints" / "checkpoint-4" / "optimizer.pt"
    optimizer.write_bytes(optimizer.read_bytes()[:-100])
    status, out, err = here(train.main, *QUICK, "--run", "again", "--json")
    assert status == 0, err
    assert "resuming from checkpoint-2" in err
    for key in ("loss", "eval_loss"):
        assert metrics(again, key) == pytest.approx(metrics(whole, key), abs=1e-6)
    assert json.loads(out)["loss_after"] == pytest.approx(trained[1]["loss_after"], abs=1e-6)


def test_a_box_lost_between_the_last_checkpoint_and_run_json(trained, base, here):
    """Nothing is left to train: the run is finished from its checkpoints, without one update more."""
    target = unfinished_copy(base, "almost")
    status, out, err = here(train.main, *QUICK, "--run", "almost", "--json")
    assert status == 0 and "step 7" not in err, err
    figures = json.loads(out)
    assert all(figures[key] == trained[1][key] for key in ("steps", "best_step", "loss_after"))
    assert sha256_file(target / "adapter_model.safetensors") == sha256_file(base / "adapters" / "whole" / "adapter_model.safetensors")


def test_evaluation_of_a_run(base, here):
    status, out, err = here(eval_model.main, "whole", "--set", "max_new_tokens=4", "--json")
    assert status == 0, err
    result = json.loads(out)
    assert result["held_out"]["loss_after"] < result["held_out"]["loss_before"] and result["held_out"]["conversations"] == 6
    page = (base / "adapters" / "whole" / "eval" / "report.html").read_text()
    assert "<svg" in page and page.count(' answer after"') == len(result["answers"])
    status, _, err = here(eval_model.main, "whole", "--data", str(base / "data/processed/train.jsonl"))
    assert status == 1 and "was trained on this file" in err


def test_a_run_of_a_gpu_box_is_evaluated_here(base, here):
    """It was trained on cuda, with an attention that is not installed here; precision stays, the rest is this machine's."""
    target = copy_run(base, "from_a_box")
    recorded = json.loads((target / "run.json").read_text())
    recorded["config"]["compute"] = {"device": "cuda", "dtype": "auto", "attention": "flash_attention_2"}
    recorded["chosen"].update(device="cuda", attention="flash_attention_2")
    (target / "run.json").write_text(json.dumps(recorded))
    status, _, err = here(eval_model.main, "from_a_box", "--set", "max_new_tokens=2", "--json")
    assert status == 0, err


def test_an_adapter_that_changes_nothing_is_refused(base, here):
    from safetensors.torch import load_file, save_file
    target = copy_run(base, "zero")
    weights = load_file(target / "adapter_model.safetensors")
    save_file({name: value * 0 if "lora_B" in name else value for name, value in weights.items()}, target / "adapter_model.safetensors")
    recorded = json.loads((target / "run.json").read_text())
    recorded["files"] = {name: sha256_file(target / name) for name in recorded["files"]}
    (target / "run.json").write_text(json.dumps(recorded))
    status, _, err = here(eval_model.main, "zero")
    assert status == 1 and "changes nothing" in err


def test_a_finished_run_is_not_overwritten(base, here):
    before = sha256_file(base / "adapters" / "whole" / "run.json")
    for flags in ([], ["--resume"]):
        status, _, err = here(train.main, *QUICK, "--run", "whole", *flags)
        assert status == 1 and "this run is finished" in err
    assert sha256_file(base / "adapters" / "whole" / "run.json") == before


def test_a_dry_run_prints_the_plan_and_writes_nothing(base, here):
    status, out, err = here(train.main, *QUICK, "--run", "planned", "--dry-run", "--set", "training.gradient_checkpointing=auto")
    assert status == 0 and not out, err
    assert "checkpointing  off: the estimate without it fits the" in err and "24 conversations, 1,344 tokens, 658 trained (49%)" in err
    assert not (base / "adapters" / "planned").exists()


def test_stdout_holds_one_json_object_and_wandb_stays_offline_without_a_key(base, monkeypatch):
    """A process of its own: wandb prints, and what it finds in its environment decides where the figures go."""
    monkeypatch.setenv("NETRC", str(base / "no-netrc"))
    for name in ("WANDB_API_KEY", "WANDB_MODE"):
        monkeypatch.delenv(name, raising=False)
    status, out, err = run("train.py", *QUICK, "--run", "printed", "--json", "--set", "report_to=[wandb]", "--set", "training.max_steps=2")
    assert status == 0, err
    assert json.loads(out)["steps"] == 2 and "To send them later: wandb sync" in err
    assert list((base / "adapters" / "printed" / "wandb").glob("offline-run-*/*.wandb"))
