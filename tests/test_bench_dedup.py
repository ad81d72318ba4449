"""The benchmark's own arithmetic, and a point of its curve from a process of its own."""
import importlib.util
import json

import pytest

import bench_dedup
from weatherman.cli import UserError


def test_precision_and_recall_by_hand():
    found = bench_dedup.describe("ours", 10, [2.0, 0.5], {1, 2, 3}, {2, 3, 4, 5})
    assert (found["rate"], found["precision"], found["recall"]) == (20.0, 2 / 3, 0.5)


def test_the_exponent_is_the_slope():
    curve = [{"texts": n, "rate": n / (n ** 1.5)} for n in (10, 100, 1000)]
    assert bench_dedup.exponent(curve) == pytest.approx(1.5)


def test_a_point_of_the_curve():
    point = bench_dedup.measure_apart(3000, 2)
    assert (point["texts"], point["threads"]) == (3000, 2) and point["rate"] > 1000 and json.dumps(point)


@pytest.mark.skipif(importlib.util.find_spec("gaoya") is not None, reason="the peers are installed here")
def test_missing_peers_are_named_with_the_command_that_brings_them():
    with pytest.raises(UserError) as error:
        bench_dedup.peers(None)
    assert error.value.hint == "./setup_local.sh --add bench"
