"""The benchmark's two sides train the same: the same conversations in the same order give the same losses, only slower."""
import json
from types import SimpleNamespace

import pytest

import bench_train
from weatherman.cli import UserError

TINY = ["--model", "smollm2-135m", "--hardware", "cpu", "--conversations", "16", "--set", "compute.dtype=float32", "--set",
        "lora.dropout=0.0", "--set", "training.max_tokens=256"]


def one(here, workspace, side, *extra):
    status, out, err = here(bench_train.main, "--measure", side, "--data", str(workspace / "data" / "processed"), *TINY, *extra)
    assert status == 0, err
    return json.loads(out)


def test_both_sides_train_the_same(here, workspace):
    ours, plain = (one(here, workspace, side) for side in bench_train.SIDES)
    assert ours["updates"] == plain["updates"] == 2 and ours["timed_tokens"] == plain["timed_tokens"] > 0
    assert ours["loss_before"] == pytest.approx(plain["loss_before"], abs=1e-6)
    assert ours["loss_after"] == pytest.approx(plain["loss_after"], abs=1e-4) and ours["loss_after"] < ours["loss_before"]
    other = one(here, workspace, "plain", "--set", "training.seed=7")  # the fault: another order
    assert abs(other["loss_after"] - ours["loss_after"]) > 1e-4


def test_medians_and_ratio_by_hand():
    def figures(rate):
        return {"real_tokens_per_second": rate, "peak_bytes": 10 * rate, "loss_before": 3.0, "loss_after": 2.0}

    result = bench_train.summary({"ours": [figures(n) for n in (90, 300, 150)], "plain": [figures(n) for n in (60, 50, 100)]})
    assert result["ratio"] == 2.5 and result["ours"]["real_tokens_per_second"] == 150 and result["plain"]["peak_bytes"] == 600


def test_a_side_that_fails_says_why(tmp_path):
    args = SimpleNamespace(data=tmp_path, conversations=1, model="smolm2", hardware="cpu", overrides=[])
    with pytest.raises(UserError, match='the plain run ended with exit status 2:\n"smolm2" is not there'):
        bench_train.measure_apart(bench_train.training_python(), "plain", args)
