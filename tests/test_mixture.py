"""Quotas and splits: exact numbers, whole groups, and a source that is missing is no surprise in the model."""
import pytest
from hypothesis import given
from hypothesis import strategies as st

from weatherman.cli import GateError
from weatherman.dialogue.mixture import assign_splits, choose, fill_share, kind_of, largest_remainder, quotas

SHARES = {"literary": 0.4, "satire": 0.3, "tool_use": 0.2, "hybrid": 0.1}
HELD_OUT = {"validation": 0.1, "test": 0.05}


@pytest.mark.parametrize("tags, kind", [
    ({"source": "gutenberg", "persona": "twain"}, "literary"), ({"source": "reddit-theonion", "persona": "neutral"}, "satire"),
    ({"source": "reddit-nottheonion", "persona": "neutral"}, "satire"), ({"source": "synthetic", "persona": "neutral"}, "tool_use"),
    ({"source": "synthetic", "persona": "franklin"}, "hybrid"),
])
def test_kind_of(tags, kind):
    assert kind_of(tags) == kind


def test_largest_remainder_by_hand():
    assert largest_remainder(10, {"a": 0.34, "b": 0.33, "c": 0.33}) == {"a": 4, "b": 3, "c": 3}
    assert largest_remainder(1, {"a": 0.5, "b": 0.5}) == {"a": 1, "b": 0}


@given(st.integers(0, 5000), st.lists(st.integers(1, 100), min_size=1, max_size=6))
def test_largest_remainder_adds_up_and_misses_no_share_by_a_row(total, weights):
    shares = {str(n): weight / sum(weights) for n, weight in enumerate(weights)}
    rows = largest_remainder(total, shares)
    assert sum(rows.values()) == total
    assert all(abs(rows[name] - total * share) < 1 + 1e-6 for name, share in shares.items())


def test_quotas_take_the_largest_total_that_every_kind_can_fill():
    assert quotas({"literary": 400, "satire": 9000, "tool_use": 250, "hybrid": 100}, SHARES) == {
        "literary": 400, "satire": 300, "tool_use": 200, "hybrid": 100}
    assert quotas({"literary": 5}, {"literary": 1.0, "satire": 0.0}) == {"literary": 5}


@given(st.lists(st.integers(1, 500), min_size=4, max_size=4))
def test_quotas_never_ask_for_more_than_there_is(counts):
    available = dict(zip(SHARES, counts))
    rows = quotas(available, SHARES)
    assert all(rows[kind] <= available[kind] for kind in SHARES)


@pytest.mark.parametrize("kind, script", [("satire", "06_format_chat"), ("hybrid", "07_generate_tool_use")])
def test_a_kind_without_rows_is_refused_by_name(kind, script):
    with pytest.raises(GateError, match=f'"{kind}".*a whole source is lost') as error:
        quotas({**dict.fromkeys(SHARES, 10), kind: 0}, SHARES)
    assert script in error.value.hint and error.value.status == 3


def test_choice_depends_on_the_seed_and_not_on_the_order_of_the_input():
    ids = {kind: [f"{kind}{n}" for n in range(100)] for kind in SHARES}
    chosen = choose(ids, SHARES, 42)
    assert len(chosen) == 250 and sum(name.startswith("literary") for name in chosen) == 100
    assert choose({kind: names[::-1] for kind, names in ids.items()}, SHARES, 42) == chosen != choose(ids, SHARES, 43)


def rows_of(**groups):
    return [("literary", persona, group) for group, (persona, count) in groups.items() for _ in range(count)]


def test_whole_groups_are_held_out_near_their_shares_and_the_largest_of_each_persona_trains():
    rows = rows_of(a=("twain", 485), b=("twain", 415), c=("twain", 320), d=("twain", 200), e=("franklin", 215), f=("franklin", 20))
    assert assign_splits(rows, HELD_OUT, 42) == {"a": "train", "b": "train", "c": "train", "d": "validation", "e": "train", "f": "test"}


def test_many_groups_meet_the_shares():
    rows = [("tool_use" if n % 3 else "hybrid", "neutral", f"g{n}") for n in range(50) for _ in range(20)]
    splits = assign_splits(rows, HELD_OUT, 42)
    sizes = [list(splits.values()).count(name) for name in ("train", "validation", "test")]
    assert sizes == [43, 5, 2]  # of 50 groups of 20 rows: 100 rows validate, 50 test; 2 groups are 40 rows, as near as 3
    assert assign_splits(rows[::-1], HELD_OUT, 42) == splits != assign_splits(rows, HELD_OUT, 43)


@pytest.mark.parametrize("groups", [{"a": ("twain", 9), "b": ("twain", 9)}, {"a": ("twain", 9), "b": ("franklin", 9), "c": ("twain", 2)}])
def test_too_few_groups_are_refused(groups):
    with pytest.raises(GateError, match="too few to train, validate and test apart"):
        assign_splits(rows_of(**groups), HELD_OUT, 42)


def test_fill_share_takes_at_least_one_group():
    assert fill_share(["a", "b"], {"a": 50, "b": 40}, 10) == ["b"]
    assert fill_share(["a", "b", "c"], {"a": 4, "b": 5, "c": 9}, 10) == ["a", "b"]
    assert fill_share([], {}, 10) == []
