"""kill -9 and a full disk under train.py and eval_model.py: what was whole stays whole, and the same command finishes the work."""
import json
import shutil
import signal

import pytest

import eval_model
import train
from limits import leave_room, small_disk
from training import plant
from training.conftest import QUICK, metrics
from weatherman import cli
from weatherman.training.monitor import trim_metrics
from weatherman.training.recovery import disk_errors


def test_a_killed_run_on_a_full_disk_resumes_to_the_same_losses(trained, workspace, here, monkeypatch):
    """Killed while it wrote its second checkpoint; then the disk holds no second one; then there is room."""
    base, figures = trained
    folder = workspace / "adapters" / "lost"
    with small_disk(workspace / "adapters") as remount:
        with plant.in_save(monkeypatch, "checkpoint-4/optimizer.pt", plant.end_with(signal.SIGKILL)):
            assert plant.in_a_fork(lambda: cli.run(train.main, [*QUICK, "--run", "lost"])) == -signal.SIGKILL
        shutil.rmtree(folder / "checkpoints" / "checkpoint-4")
        leave_room(workspace / "adapters", remount, 2 * 2**20)  # a checkpoint takes 3.7 MB, its tokenizer first of all
        status, _, err = here(train.main, *QUICK, "--run", "lost")
        assert status == 1 and "resuming from checkpoint-2" in err, err
        assert "adapters/lost: cannot be written any more: No space left on device" in err and "then the same command" in err
        assert not (folder / "run.json").exists()
        remount("size=64m")
        status, out, err = here(train.main, *QUICK, "--run", "lost", "--json")
        assert status == 0 and "resuming from checkpoint-2" in err, err
        assert metrics(folder, "loss") == pytest.approx(metrics(base / "adapters" / "whole", "loss"), abs=1e-6)
        assert json.loads(out)["loss_after"] == pytest.approx(figures["loss_after"], abs=1e-6)


@pytest.mark.parametrize("error", [Exception("No space left on device (os error 28)"), RuntimeError("unexpected pos 105152 vs 105044"),
                                   OSError(28, "No space left on device")], ids=["tokenizers", "torch", "python"])
def test_a_full_disk_is_recognised_whatever_the_library_raises(tmp_path, error):
    with small_disk(tmp_path) as remount:
        remount("size=64k")
        with pytest.raises(cli.UserError, match="cannot be written any more: No space left on device"), disk_errors(tmp_path):
            raise error
        assert not list(tmp_path.iterdir())


def test_other_errors_pass(tmp_path):
    for error in (RuntimeError("a bug"), cli.GateError("no")):
        with pytest.raises(type(error), match=str(error)), disk_errors(tmp_path):
            raise error


def test_a_metrics_line_that_was_cut_off_is_dropped_on_resume(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text('{"step":1,"loss":2.5}\n{"step":2,"loss":2.25}\n{"step":3,"loss":2.125}\n{"step":4,"lo')
    trim_metrics(path, 2)
    assert path.read_text() == '{"step":1,"loss":2.5}\n{"step":2,"loss":2.25}\n'


def test_evaluation_on_a_full_disk_leaves_the_previous_report(trained, monkeypatch, here):
    base, _ = trained
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(base))
    shutil.copytree(base / "adapters" / "whole", base / "adapters" / "cramped", ignore=shutil.ignore_patterns("checkpoints", "eval"))
    target = base / "adapters" / "cramped" / "eval"
    with small_disk(target) as remount:
        for name in ("eval.json", "report.html"):
            (target / name).write_text("older")
        for room, expected in ((8192, 1), (2**20, 0)):  # room for the smaller of the two; room
            leave_room(target, remount, room)
            status, _, err = here(eval_model.main, "cramped", "--set", "max_new_tokens=2", "--json")
            texts = {path.name: path.read_text() for path in target.iterdir()}
            assert status == expected, err
            if status:
                assert texts == {"eval.json": "older", "report.html": "older"} and "the disk is full" in err
        assert json.loads(texts["eval.json"])["run"] == "cramped" and "<svg" in texts["report.html"]


@pytest.mark.parametrize("name, change, message", [
    ("run.json", lambda data: data[:300], "run.json: damaged, it is not JSON any more"),
    ("run.json", None, "not a finished run"),
    ("adapter_model.safetensors", lambda data: data[:-1], "adapter_model.safetensors: its bytes are not those that train.py wrote"),
    ("adapter_config.json", None, "adapter_config.json: no such file"),
    ("chat_template.jinja", lambda data: data + b" ", "chat_template.jinja: its bytes are not")],
    ids=["figures cut", "unfinished", "weights cut", "no config", "template edited"])
def test_evaluation_refuses_a_damaged_run(trained, tmp_path, monkeypatch, here, name, change, message):
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(trained[0]))
    target = tmp_path / "damaged"
    shutil.copytree(trained[0] / "adapters" / "whole", target, ignore=shutil.ignore_patterns("checkpoints", "eval"))
    (target / name).write_bytes(change((target / name).read_bytes())) if change else (target / name).unlink()
    status, _, err = here(eval_model.main, str(target))
    assert status == 1 and message in err and "Try: " in err


@pytest.mark.parametrize("main, flags, message", [
    (train.main, ["--set", "training.learnign_rate=1.0e-4"], 'unknown key "training.learnign_rate" (did you mean "learning_rate"?)'),
    (train.main, ["--set", "training.seed=many"], "training.seed: input should be a valid integer; found str 'many'"),
    (eval_model.main, ["whole", "--set", "max_new_tokens=2.5.0"], "max_new_tokens: input should be a valid integer; found str '2.5.0'"),
    (eval_model.main, ["whole", "--set", "max_tokens=2"], 'unknown key "max_tokens" (did you mean "max_new_tokens"?)')])
def test_configuration_mistakes_are_named(trained, monkeypatch, here, main, flags, message):
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(trained[0]))
    status, _, err = here(main, *flags)
    assert status == 2 and message in err
