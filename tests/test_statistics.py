import math
import random

import pytest

from weatherman.evaluation.statistics import by_tag, compare


def test_exact_figures():
    got = compare([(10.0, 4), (6.0, 2)], [(8.0, 4), (7.0, 2)], seed=1)
    assert got["loss_before"] == pytest.approx(16 / 6) and got["loss_after"] == pytest.approx(15 / 6)
    assert got["perplexity_after"] == pytest.approx(math.exp(15 / 6)) and got["change"] == pytest.approx(-1 / 6)
    assert (got["conversations"], got["tokens"], got["improved"]) == (2, 6, 1)


def test_interval_covers_zero_only_when_nothing_changed():
    rng = random.Random(0)
    before = [(rng.uniform(20, 40), 10) for _ in range(60)]
    noise = compare(before, [(loss + rng.gauss(0, 1), n) for loss, n in before], seed=1)
    better = compare(before, [(loss - 3 + rng.gauss(0, 1), n) for loss, n in before], seed=1)
    assert noise["change_low"] < 0 < noise["change_high"]
    assert better["change_low"] < better["change"] < better["change_high"] < 0


def test_lists_that_do_not_fit_are_refused():
    for after in ([(1.0, 3)], [], [(1.0, 2), (1.0, 2)]):
        with pytest.raises(ValueError):
            compare([(1.0, 2)], after, seed=1)


def test_groups_by_tag():
    records = [{"tags": {"domain": d}} for d in ("weather", "humor", "weather")]
    rows = by_tag(records, [(4.0, 2), (9.0, 3), (2.0, 1)], [(2.0, 2), (6.0, 3), (1.0, 1)], "domain")
    assert rows == [("weather", 2, 2.0, 1.0), ("humor", 1, 3.0, 2.0)]
