"""Figures, progress and decisions of a run, on made-up clocks and states; where the figures go."""
import json
import math
import sys

import pytest
from transformers import TrainerState

from weatherman.cli import UserError
from weatherman.training import monitor, trackers
from weatherman.training.monitor import Pace, Progress, Rates, clock_text, describe, is_better, out_of_patience


class Clock:
    now = 100.0

    def __call__(self):
        return self.now


def test_figures_of_a_run():
    """10 updates of 1,000 tokens in 20 s, of which evaluation takes 10 that are no training time; 3,600 s had been spent before."""
    clock = Clock()
    pace = Pace(Rates(flops_per_token=2e9, card_flops=1e13, usd_per_hour=2.0), step=5, tokens=5_000, spent_s=3600, clock=clock)
    clock.now += 10
    pace.step_done()
    clock.now += 10
    pace.other_work_done()
    assert pace.figures(15, 25, 15_000, trained=True) == {
        "elapsed_s": 3620, "tokens_per_second": 1000, "utilization": 0.2, "usd": round(2 * 3620 / 3600, 4), "left_s": 20}
    clock.now += 1
    pace.step_done()
    assert pace.figures(16, 25, 15_500, trained=True)["tokens_per_second"] == 500  # since the last figures, not since the start
    assert "tokens_per_second" not in pace.figures(16, 25, 15_500, trained=False)


def test_what_is_not_known_is_not_shown():
    pace = Pace(Rates(), step=0, tokens=0, spent_s=0, clock=Clock())
    assert pace.figures(0, 10, 0, trained=False) == {"elapsed_s": 0}


def test_the_progress_line():
    row = {"step": 3, "loss": 1.23456, "tokens_per_second": 12345.6, "utilization": 0.412, "usd": 0.1234, "left_s": 3723.4, "epoch": 1.0}
    assert describe(row) == "loss 1.2346  12,346 tokens/s  41% of the card  $0.12  1:02:03 left"
    assert describe({"eval_loss": 2.0}) == "held-out loss 2.0000"
    assert [clock_text(seconds) for seconds in (5, 65, 3600)] == ["0:05", "1:05", "1:00:00"]


def test_a_bar_on_a_terminal_and_lines_elsewhere(monkeypatch, capsys):
    row = {"step": 2, "loss": 1.5, "left_s": 5.0}
    Progress(8, 0).show(row)
    assert capsys.readouterr().err == "step 2/8  loss 1.5000  0:05 left\n"
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    bar = Progress(8, 0)
    bar.show(row)
    bar.close()
    shown = capsys.readouterr().err
    assert "2/8" in shown and "loss 1.5000  0:05 left" in shown and "\r" in shown


@pytest.mark.parametrize("loss, best, expected", [(1.0, None, True), (1.0, 1.5, True), (1.5, 1.5, False), (math.nan, None, False)])
def test_what_counts_as_better(loss, best, expected):
    assert is_better(loss, best) is expected


def test_patience():
    history = [{"step": 1, "loss": 9.0}] + [{"step": step, "eval_loss": loss} for step, loss in ((2, 3.0), (4, 2.0), (6, 2.5), (8, 2.1))]
    state = TrainerState(log_history=history, best_global_step=4)
    assert [out_of_patience(state, patience) for patience in (0, 1, 2, 3)] == [False, True, True, False]
    state.best_global_step = None  # no evaluation gave a number
    assert out_of_patience(state, 4)


def test_a_resumed_run_keeps_its_lines_and_its_time(tmp_path):
    path = tmp_path / "metrics.jsonl"
    assert monitor.trim_metrics(path, 2) == 0 and monitor.first_loss(path) is None
    path.write_text('{"step":0,"eval_loss":3.5}\n{"step":2,"loss":2.25,"elapsed_s":4.5}\n{"step":3,"loss":2.0,"elapsed_s":6.5}\n{"step":4,"lo')
    assert monitor.first_loss(path) == 3.5
    assert monitor.trim_metrics(path, 2) == 6.5  # what was lost has been paid for
    assert path.read_text() == '{"step":0,"eval_loss":3.5}\n{"step":2,"loss":2.25,"elapsed_s":4.5}\n'


def test_the_events_tensorboard_reads(tmp_path):
    """Resumed at step 2, the step that was lost is replaced, not shown twice."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    for resumed, losses in ((0, {1: 3.0, 2: 2.0, 3: 9.0}), (2, {3: 1.0})):
        with trackers.trackers(tmp_path, [], {}, "now", resumed) as (reporter,):
            for step, loss in losses.items():
                reporter.on_log(None, TrainerState(global_step=step), None, logs={"loss": loss})
    events = EventAccumulator(str(tmp_path / "tensorboard"), purge_orphaned_data=True).Reload()
    assert [(event.step, event.value) for event in events.Scalars("train/loss")] == [(1, 3.0), (2, 2.0), (3, 1.0)]


def test_a_tracker_that_is_not_installed_is_named():
    trackers.check_trackers(["wandb"])
    with pytest.raises(UserError, match="the package trackio is not installed") as error:
        trackers.check_trackers(["trackio"])
    assert "pip install trackio" in error.value.hint


@pytest.mark.parametrize("environment, netrc, expected", [
    ({}, None, "offline"), ({"WANDB_API_KEY": "x" * 40}, None, "online"),
    ({"WANDB_MODE": "disabled", "WANDB_API_KEY": "x"}, None, "disabled"),
    ({}, "machine api.wandb.ai login user password secret", "online"), ({}, "machine example.org login user password secret", "offline"),
    ({"WANDB_BASE_URL": "https://example.org"}, "machine example.org login user password secret", "online"),
    ({}, "not a netrc", "offline")])
def test_wandb_is_online_only_with_a_key(tmp_path, monkeypatch, environment, netrc, expected):
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {**environment, "NETRC": str(tmp_path / "netrc")}.items():
        monkeypatch.setenv(name, value)
    if netrc:
        (tmp_path / "netrc").write_text(netrc)
    assert trackers.wandb_mode() == expected


def test_a_resumed_run_has_the_same_wandb_id(tmp_path, monkeypatch):
    import wandb
    monkeypatch.setenv("WANDB_MODE", "offline")
    ids = []
    for _ in range(2):
        run = trackers.start_wandb(tmp_path, json.loads('{"seed": 42}'), "2026-11-21T15:00:00Z")
        ids.append((run.id, run.project, run.config["seed"]))
        run.finish()
    assert ids[0] == ids[1] and ids[0][1:] == ("weatherman-lora", 42) and wandb.run is None
