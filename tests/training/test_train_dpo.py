"""train_dpo.py from the command line, from the tiny model's supervised run: figures, run folder, recovery, refusals."""
import json
import math
import shutil
import signal

import pytest
import torch
from safetensors.torch import load_file, save_file

import eval_model
import train_dpo
from training import plant
from training.conftest import metrics, run_main, words
from training.test_preference import pair, tool_pair
from weatherman.training import runs

QUICK = []
for _value in ("training.max_steps=4", "training.max_tokens=256", "training.eval_steps=2", "training.save_steps=2", "training.log_steps=1",
               "training.keep_checkpoints=9", "training.micro_batch=2", "training.effective_batch=4", "training.learning_rate=0.02",
               "training.gradient_checkpointing=false", "compute.dtype=float32", "compute.device=cpu"):
    QUICK += ["--set", _value]


def write_pairs(processed, **splits):
    """Write preferences_{split}.jsonl of [pair]; without `splits`, 12 training pairs, one with a tool result, and 4 held out."""
    made = [pair(n, f"The pilot says: {words(n, 5 + n % 7)}", "I am not able to say.") for n in range(1, 17)]
    for split, pairs in (splits or {"train": [tool_pair(), *made[:11]], "validation": made[11:15]}).items():
        (processed / f"preferences_{split}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in pairs))


@pytest.fixture(scope="module")
def aligned(trained):
    """A workspace with the supervised run `whole` and the preference run `whole-dpo` made of it: its base folder."""
    base, _ = trained
    write_pairs(base / "data" / "processed")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("WEATHERMAN_BASE_DIR", str(base))
        assert run_main(train_dpo.main, ["whole", *QUICK]) == 0
    return base


@pytest.fixture
def base(aligned, monkeypatch):
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(aligned))
    return aligned


def loss_curves(folder):
    return {key: metrics(folder, key) for key in ("loss", "rewards/margins", "eval_loss", "eval_rewards/margins", "eval_nll/chosen")}


def assert_same_curves(a, b, abs=1e-6):
    found, expected = loss_curves(a), loss_curves(b)
    for key, values in expected.items():
        assert found[key] == pytest.approx(values, abs=abs), key


def test_preference_grows_and_the_folder_tells_everything(aligned):
    folder = aligned / "adapters" / "whole-dpo"
    found = json.loads((folder / "run.json").read_text())
    before, after = found["held_out"]["before"], found["held_out"]["after"]
    assert before["eval_loss"] == math.log(2) and before["eval_rewards/accuracies"] == 0.5
    assert after["eval_loss"] < 0.6 and after["eval_rewards/margins"] > 0.1 and after["eval_rewards/accuracies"] == 1.0
    assert metrics(folder, "loss")[1] == pytest.approx(math.log(2), abs=1e-5)
    assert {"rewards/margins", "rewards/accuracies"} <= json.loads((folder / "metrics.jsonl").read_text().splitlines()[1]).keys()
    supervised = json.loads((aligned / "adapters" / "whole" / "run.json").read_text())
    assert found["script"] == "train_dpo.py" and found["config"]["reference"] == {
        "run": "whole", "adapter_sha256": supervised["files"]["adapter_model.safetensors"]}
    assert found["config"]["lora"] == supervised["config"]["lora"] and found["data"]["train"]["rows"] == 12
    assert "reference:" in (folder / "config.resolved.yaml").read_text()
    log = (folder / "train.log").read_text()
    assert "held-out margin +" in log and "margin +" in log and "chosen answer ahead" in log
    card = (folder / "README.md").read_text()
    for text in ("run `whole`", "preferences_train.jsonl", "reward margin", "- dpo\n", "character", "sigmoid, 0.1, 0"):
        assert text in card, text


def test_the_folder_holds_the_trained_adapter_alone(aligned):
    folder = aligned / "adapters" / "whole-dpo"
    new, old = (load_file(place / "adapter_model.safetensors") for place in (folder, aligned / "adapters" / "whole"))
    assert new.keys() == old.keys() and not any(torch.equal(new[name], old[name]) for name in new if "lora_B" in name)
    assert not any("ref" in path.relative_to(folder).parts for path in folder.rglob("*"))


def test_eval_model_evaluates_a_preference_run(base, here):
    status, out, err = here(eval_model.main, "whole-dpo", "--set", "max_new_tokens=2", "--json")
    assert status == 0, err
    assert json.loads(out)["run"] == "whole-dpo"
    assert "preference loss, nats a pair" in (base / "adapters" / "whole-dpo" / "eval" / "report.html").read_text()


def test_a_dry_run_writes_nothing(base, here):
    status, _, err = here(train_dpo.main, "whole", "--run", "dry", "--dry-run", *QUICK)
    assert status == 0 and "starts from" in err and "12 pairs" in err and not (base / "adapters" / "dry").exists()


def stopped_at(count):
    """Plant a SIGTERM in a training pass; the reference's are not training passes."""
    return plant.in_pass(lambda passes, ids, training: training and passes == count, plant.end_with(signal.SIGTERM))


def test_a_stopped_run_goes_on_against_the_same_reference(base, here):
    """After the start, the reference is the supervised adapter and the policy that of the checkpoint: were they the same, the loss
    would begin at log 2 again (which transformers 5.20 does by itself: see PairTrainer._save)."""
    folder = base / "adapters" / "dpo-stopped"
    with stopped_at(5):
        status, _, err = here(train_dpo.main, "whole", "--run", "dpo-stopped", *QUICK)
    assert status == 75 and not (folder / "run.json").exists(), err
    status, _, err = here(train_dpo.main, "whole", "--run", "dpo-stopped", *QUICK)
    assert status == 0 and "resuming from checkpoint-" in err, err
    assert_same_curves(folder, base / "adapters" / "whole-dpo")


def test_another_reference_is_refused_on_the_way(base, here):
    folder = base / "adapters" / "moved"
    shutil.copytree(base / "adapters" / "whole", base / "adapters" / "other")
    with stopped_at(5):
        assert here(train_dpo.main, "other", "--run", "moved", *QUICK)[0] == 75
    weights = base / "adapters" / "other" / "adapter_model.safetensors"
    changed = {name: value * 2 for name, value in load_file(weights).items()}
    save_file(changed, weights)
    status, _, err = here(train_dpo.main, "other", "--run", "moved", *QUICK)
    assert status == 1 and "its bytes are not those that train.py wrote" in err
    recorded = runs.read_run(weights.parent)
    recorded["files"]["adapter_model.safetensors"] = runs.sha256_file(weights)
    (weights.parent / "run.json").write_text(json.dumps(recorded))
    for flags in ([], ["--resume"]):
        status, _, err = here(train_dpo.main, "other", "--run", "moved", *QUICK, *flags)
        assert status == 1 and "reference.adapter_sha256" in err and "--resume to go on" not in err, err
    assert (folder / "started.json").is_file()


def test_out_of_memory_changes_nothing_but_the_passes(base, here):
    def too_much(ids, *_):
        raise torch.OutOfMemoryError("planted")

    with plant.in_pass(lambda count, ids, training: training and count == 3 and len(ids) == 4, too_much):
        status, _, err = here(train_dpo.main, "whole", "--run", "dpo-cramped", *QUICK)
    assert status == 0 and "each micro-batch now takes 2 smaller passes" in err, err
    assert_same_curves(base / "adapters" / "dpo-cramped", base / "adapters" / "whole-dpo", abs=1e-4)


def test_a_loss_that_is_no_number_names_the_pairs(base, here):
    folder = base / "adapters" / "nan"
    with plant.in_pass(lambda count, ids, training: training and count == 3, lambda ids, module, hidden: hidden * math.nan):
        status, _, err = here(train_dpo.main, "whole", "--run", "nan", *QUICK)
    assert status == 3 and "no number" in err, err
    named = json.loads((folder / runs.NO_NUMBER).read_text())["records"]
    assert sum(len(set(ids)) for ids in named) == 4 and all(name.startswith("pair:") for ids in named for name in ids)


def test_recomputed_activations_change_nothing(base, here):
    status, _, err = here(train_dpo.main, "whole", "--run", "recomputed", *QUICK, "--set", "training.gradient_checkpointing=true",
                          "--set", "preference.precompute_reference=false")
    assert status == 0, err
    assert_same_curves(base / "adapters" / "recomputed", base / "adapters" / "whole-dpo", abs=1e-4)


@pytest.mark.parametrize("splits, status, message", [
    ({"train": [pair(1, "Same.", "Same.")], "validation": [pair(2)]}, 3, "pair:1: chosen and rejected are the same text"),
    ({"train": [pair(1)], "validation": [{**pair(1), "id": "pair:7"}]}, 3, "a prompt that is also in the training set, first pair:7"),
    ({"train": [pair(1, "word " * 400)], "validation": [pair(2)]}, 3, "tokens, and a row holds 256"),
    ({"train": [pair(1), pair(1)], "validation": [pair(2)]}, 1, 'the id "pair:1" was there before')])
def test_faulty_pairs_stop_the_run_before_it_begins(base, tmp_path, here, splits, status, message):
    write_pairs(tmp_path, **splits)
    data = [word for split in splits for word in ("--set", f"data.{split}={tmp_path}/preferences_{split}.jsonl")]
    found, _, err = here(train_dpo.main, "whole", "--run", "faulty", *QUICK, *data)
    assert found == status and message in err, err
    assert not (base / "adapters" / "faulty").exists()


def test_what_it_starts_from_is_checked(base, here):
    assert "not a finished run" in here(train_dpo.main, "nothing", *QUICK)[2]
    config = base / "models" / "smollm2-135m" / "config.json"
    text = config.read_text()
    config.write_text(text + " ")
    try:
        status, _, err = here(train_dpo.main, "whole", "--run", "rebased", *QUICK)
    finally:
        config.write_text(text)
    assert status == 1 and "adapters/whole: was trained on another base: config_sha256 was" in err
    status, _, err = here(train_dpo.main, "whole", *QUICK)
    assert status == 1 and "this run is finished" in err
    status, _, err = here(train_dpo.main, "whole", "--run", "x", "--set", "quantization.mode=nf4")
    assert status == 2 and 'unknown key "quantization"' in err
