"""Stopped or killed at every kind of moment, the same command gives the losses of the run that nobody stopped."""
import json
import os
import pty
import shutil
import signal
import time

import pytest

import train
from training import plant
from training.conftest import QUICK, fill_workspace, metrics
from weatherman import cli
from weatherman.checkpoints import SEAL, is_whole, latest_whole
from weatherman.training import runs
from weatherman.training.recovery import StopRequest, alone_in, drop_later, rotate, seal

# 12 conversations in 6 rows, 2 rows an update, so 3 updates an epoch. Logs, evaluations (3 and 5) and checkpoints (2 and 4, 3 and 5 with
# the evaluations where they are better) fall on different steps, and there is dropout.
SHORT = [*QUICK]
for _value in ("max_steps=5", "epochs=2.0", "effective_batch=4", "log_steps=2", "eval_steps=3", "save_steps=2", "keep_checkpoints=2"):
    SHORT += ["--set", f"training.{_value}"]


def checkpoint(folder, step, sealed=True):
    target = folder / f"checkpoint-{step}"
    (target / "sub").mkdir(parents=True)
    (target / "adapter_model.safetensors").write_bytes(b"weights %d" % step)
    (target / "sub" / "x.json").write_text("{}")
    if sealed:
        seal(target)
    return target


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_newest_whole_checkpoint_wins(tmp_path):
    checkpoint(tmp_path, 9)
    newest = checkpoint(tmp_path, 100)
    assert latest_whole(tmp_path) == newest
    assert latest_whole(tmp_path / "nowhere") is None


def test_half_written_checkpoint_does_not_count(tmp_path):
    good = checkpoint(tmp_path, 10)
    checkpoint(tmp_path, 20, sealed=False)
    damaged = checkpoint(tmp_path, 30)
    (damaged / "adapter_model.safetensors").write_bytes(b"weights 3")
    missing = checkpoint(tmp_path, 40)
    (missing / "sub" / "x.json").unlink()
    assert not is_whole(damaged) and not is_whole(missing)
    assert latest_whole(tmp_path) == good


def test_rotation_counts_sealed_checkpoints_and_keeps_the_best(tmp_path):
    """transformers keeps the newest by age, sealed or not: with 2 to keep, an unsealed 8 and 9 would cost it every whole one."""
    for step in (2, 4, 6, 7):
        checkpoint(tmp_path, step)
    for step in (8, 9):
        checkpoint(tmp_path, step, sealed=False)
    rotate(tmp_path, 2, best=tmp_path / "checkpoint-2")
    assert names(tmp_path) == ["checkpoint-2", "checkpoint-6", "checkpoint-7"]
    drop_later(tmp_path, 6)
    assert names(tmp_path) == ["checkpoint-2", "checkpoint-6"]


def test_a_request_waits_and_only_an_impatient_ctrl_c_interrupts():
    before = signal.getsignal(signal.SIGTERM)
    with StopRequest() as stop:
        for number in (signal.SIGTERM, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
            assert stop.asked
        with pytest.raises(cli.Interrupted):
            os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(cli.Interrupted), stop.at_once():
            pytest.fail("work began although a stop had been asked for")
    assert signal.getsignal(signal.SIGTERM) is before


def test_inside_at_once_the_first_signal_interrupts():
    with StopRequest() as stop:
        with pytest.raises(cli.Interrupted), stop.at_once():
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("the evaluation went on")
        os.kill(os.getpid(), signal.SIGTERM)  # outside again, nothing interrupts
        assert stop.asked


def test_several_processes_are_never_interrupted(monkeypatch):
    """They must stop after the same update: one that leaves alone would let the others wait for ever."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    with StopRequest() as stop, stop.at_once():
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT):
            os.kill(os.getpid(), number)
        assert stop.asked


def test_a_lost_terminal_does_not_end_the_run(tmp_path):
    """The ssh connection breaks: SIGHUP comes, and from then on every write to the terminal fails."""
    child, terminal = pty.fork()
    if child == 0:
        with StopRequest() as stop:
            os.write(1, b"ready")
            while not stop.asked:
                time.sleep(0.01)
            for _ in range(3):
                os.write(2, b"still here")
            (tmp_path / "saved").write_text("yes")
        os._exit(75)
    assert os.read(terminal, 5) == b"ready"
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 75
    assert (tmp_path / "saved").read_text() == "yes"


# --- whole runs -------------------------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def workplace(tiny_model, tmp_path_factory):
    """A base folder with a model and data, for all runs of this file."""
    base = tmp_path_factory.mktemp("recovery")
    fill_workspace(base, tiny_model)
    for name, rows in (("train", 12), ("validation", 3)):
        path = base / "data" / "processed" / f"{name}.jsonl"
        path.write_text("".join(path.read_text().splitlines(keepends=True)[:rows]))
    return base


@pytest.fixture
def base(workplace, monkeypatch):
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(workplace))
    return workplace


def losses(folder):
    """Return ({step: loss}, {step: held-out loss}, {step: tokens}) of a run."""
    return metrics(folder, "loss"), metrics(folder, "eval_loss"), metrics(folder, "num_input_tokens_seen")


@pytest.fixture
def undisturbed(base, here):
    """The losses of the run that nobody stopped, and its figures."""
    folder = base / "adapters" / "undisturbed"
    if not folder.exists():
        status, _, err = here(train.main, *SHORT, "--run", "undisturbed")
        assert status == 0, err
    return *losses(folder), json.loads((folder / "run.json").read_text())


def assert_same(folder, undisturbed):
    *curves, figures = undisturbed
    for found, expected in zip(losses(folder), curves):
        assert found == pytest.approx(expected, abs=1e-6)
    finished = json.loads((folder / "run.json").read_text())
    for name in ("steps", "best_step", "loss_before", "loss_after", "adapter_norm", "tokens_seen"):
        assert finished[name] == pytest.approx(figures[name], abs=1e-6), name


# Two passes of training an update; of evaluation, pass 1 is before training and then one each time.
STOPS = {
    "mid-epoch": (1, True, "stopped at step 1 of 5"),
    "in the evaluation at the end of the epoch": (2, False, "stopped at step 3 of 5"),
    "in the last evaluation": (3, False, "stopped at step 5 of 5"),
}


@pytest.mark.parametrize("count, training, message", STOPS.values(), ids=STOPS)
def test_a_stop_saves_and_the_same_command_goes_on(undisturbed, base, here, count, training, message):
    folder = base / "adapters" / f"stopped-{count}-{training}"
    with plant.in_pass(lambda number, ids, train: number == count and train is training, plant.end_with(signal.SIGTERM)):
        status, _, err = here(train.main, *SHORT, "--run", folder.name)
    assert status == 75 and message in err and "the same command" in err, err
    step = int(message.split()[3])
    assert step not in metrics(folder, "eval_loss")  # an evaluation may take minutes, and a box that is taken away gives seconds
    status, _, err = here(train.main, *SHORT, "--run", folder.name)
    assert status == 0 and "resuming from checkpoint-" in err, err
    assert_same(folder, undisturbed)


def test_a_stop_before_anything_is_saved_starts_again(undisturbed, base, here):
    folder = base / "adapters" / "early-stop"
    with plant.in_pass(lambda number, ids, training: not training, plant.end_with(signal.SIGINT)):
        status, _, err = here(train.main, *SHORT, "--run", "early-stop")
    assert status == 75 and "the same command again" in err, err
    status, _, err = here(train.main, *SHORT, "--run", "early-stop")
    assert status == 0, err
    assert_same(folder, undisturbed)


def test_a_signal_during_a_save_and_kill_between_its_files(undisturbed, base, here, monkeypatch):
    """The save at step 2 is finished and then the run stops; that of step 4 is cut in the middle and does not count."""
    folder = base / "adapters" / "in-save"
    with plant.in_save(monkeypatch, "checkpoint-2/optimizer.pt", plant.end_with(signal.SIGHUP)):
        status, _, err = here(train.main, *SHORT, "--run", "in-save")
    assert status == 75 and "stopped at step 2 of 5" in err and names(folder / "checkpoints") == ["checkpoint-2"], err
    with plant.in_save(monkeypatch, "checkpoint-4/scheduler.pt", plant.end_with(signal.SIGKILL)):
        assert plant.in_a_fork(lambda: cli.run(train.main, [*SHORT, "--run", "in-save"])) == -signal.SIGKILL
    torn = folder / "checkpoints" / "checkpoint-4"
    assert (torn / "optimizer.pt").is_file() and not (torn / SEAL).exists()
    status, _, err = here(train.main, *SHORT, "--run", "in-save")
    assert status == 0 and "resuming from checkpoint-3" in err, err
    assert_same(folder, undisturbed)
    assert all(is_whole(path) for path in (folder / "checkpoints").glob("checkpoint-*"))


def test_only_the_same_command_goes_on_by_itself(base, here):
    folder = base / "adapters" / "changed"
    with plant.in_pass(lambda number, ids, training: number == 3 and training, plant.end_with(signal.SIGTERM)):
        assert here(train.main, *SHORT, "--run", "changed")[0] == 75
    with alone_in(folder):
        status, _, err = here(train.main, *SHORT, "--run", "changed")
    assert status == 1 and "another process is training this run now" in err, err
    other = [*SHORT, "--run", "changed", "--set", "training.learning_rate=0.01"]
    status, _, err = here(train.main, *other)
    assert status == 1 and "training.learning_rate: 0.02 -> 0.01" in err and "--resume" in err and "seed" not in err, err
    status, _, err = here(train.main, *SHORT, "--run", "changed", "--set", "lora.r=4", "--resume")
    assert status == 1 and "lora.r: 8 -> 4" in err and "--resume" not in err, err  # no checkpoint fits
    data = base / "data" / "processed" / "train.jsonl"
    text = data.read_text()
    data.write_text(text.replace("Tell me", "Please tell me", 1))
    status, _, err = here(train.main, *SHORT, "--run", "changed")
    data.write_text(text)
    assert status == 1 and "data.train.sha256" in err, err
    status, _, err = here(train.main, *other, "--resume")
    assert status == 0 and "resuming from checkpoint-2" in err, err
    recorded = json.loads((folder / "run.json").read_text())
    assert recorded["config"]["training"]["learning_rate"] == 0.01 and "0.02 -> 0.01" in recorded["changes"][0]["changed"][0]
    status, _, err = here(train.main, *other)
    assert status == 1 and "this run is finished" in err


def test_a_foreign_folder_is_not_trained_into(base, here):
    folder = base / "adapters" / "foreign"
    folder.mkdir(parents=True)
    (folder / "started.json.part").write_text("{")  # killed while the first file was written: nothing is lost
    runs.open_run(folder, False)
    (folder / "thesis.txt").write_text("mine")
    status, _, err = here(train.main, *SHORT, "--run", "foreign")
    assert status == 1 and "holds no run of ours" in err
    shutil.rmtree(folder)
