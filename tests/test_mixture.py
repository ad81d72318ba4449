"""Quotas: exact numbers, named shortfalls, and no source that is lost unnoticed."""
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from chat_sets import dialogues, document, headlines, passages, style, tools
from weatherman.cli import GateError
from weatherman.dialogue.mixture import (
    Quota,
    check_strands,
    choose,
    draw,
    fill_evenly,
    kind_of,
    largest_remainder,
    over_told,
    plan,
    scenario_of,
    strand_of,
)

SHARES = {"literary": 0.4, "satire": 0.3, "tool_use": 0.2, "hybrid": 0.1, "imported": 0.0}
LEAST = {"literary": {"gutenberg/twain": 0.2, "gutenberg/franklin": 0.05}, "satire": {"reddit-theonion/neutral": 0.2}}
MIXTURE = {"total": 200, "shares": SHARES, "least": LEAST, "tellings_per_passage": 2.1}


@pytest.mark.parametrize("tags, kind", [
    ({"source": "gutenberg", "persona": "twain"}, "literary"), ({"source": "web", "persona": "neutral"}, "literary"),
    ({"source": "reddit-theonion", "persona": "neutral"}, "satire"), ({"source": "reddit-nottheonion", "persona": "neutral"}, "satire"),
    ({"source": "synthetic", "persona": "neutral"}, "tool_use"), ({"source": "synthetic", "persona": "franklin"}, "hybrid"),
    ({"source": "imported", "persona": "neutral"}, "imported"),
])
def test_kind_of(tags, kind):
    assert kind_of(tags) == kind


def test_sort_of_prompt_and_strand():
    row = dialogues("ash", "twain", 1)[0]
    assert (scenario_of(row), strand_of(row)) == ("s0", "synthetic/twain")
    del row["tags"]["scenario"]
    assert scenario_of(row) == "one_call"
    assert strand_of({"source": "web", "persona": "neutral"}) == "web/neutral"  # a passage


def test_largest_remainder_by_hand():
    assert largest_remainder(10, {"a": 0.34, "b": 0.33, "c": 0.33}) == {"a": 4, "b": 3, "c": 3}
    assert largest_remainder(1, {"a": 0.5, "b": 0.5}) == {"a": 1, "b": 0}


@given(st.integers(0, 5000), st.lists(st.integers(1, 100), min_size=1, max_size=6))
def test_largest_remainder_adds_up_and_misses_no_share_by_a_row(total, weights):
    shares = {str(n): weight / sum(weights) for n, weight in enumerate(weights)}
    rows = largest_remainder(total, shares)
    assert sum(rows.values()) == total
    assert all(abs(rows[name] - total * share) < 1 + 1e-6 for name, share in shares.items())


# --- quotas and shortfalls ---

def test_a_full_mixture_fills_every_quota():
    assert plan(style() + tools(), {}, MIXTURE) == [Quota("literary", 0.4, 80, 100, 80), Quota("satire", 0.3, 60, 100, 60),
                                                    Quota("tool_use", 0.2, 40, 63, 40), Quota("hybrid", 0.1, 20, 48, 20)]


def test_a_shortfall_names_kind_file_numbers_and_way_out():
    rows = style() + tools()
    rows = [row for row in rows if kind_of(row["tags"]) != "tool_use"] + dialogues("ash", "neutral", 30)
    with pytest.raises(GateError) as error:
        plan(rows, {"tool_use": "data/synthetic/tool_use.jsonl"}, MIXTURE)
    assert str(error.value) == ("tool_use: 40 records are wanted (20% of 200) and 30 are there, 10 too few, in "
                                "data/synthetic/tool_use.jsonl (written by 07_generate_tool_use.py).")
    assert "--accept-shortfall, which builds 150 records" in error.value.hint and error.value.status == 3
    accepted = plan(rows, {}, MIXTURE, accept_shortfall=True)
    assert [(q.kind, q.wanted, q.there, q.taken) for q in accepted] == [
        ("literary", 80, 100, 60), ("satire", 60, 100, 45), ("tool_use", 40, 30, 30), ("hybrid", 20, 48, 15)]


@pytest.mark.parametrize("kind, script", [("satire", "06_format_chat"), ("hybrid", "07_generate_tool_use")])
def test_a_kind_without_a_record_is_refused_even_when_shortfalls_are_accepted(kind, script):
    rows = [row for row in style() + tools() if kind_of(row["tags"]) != kind]
    with pytest.raises(GateError, match=f"Of {kind} there is not one: a whole source is lost") as error:
        plan(rows, {}, MIXTURE, accept_shortfall=True)
    assert script in error.value.hint


@given(st.lists(st.integers(1, 60), min_size=3, max_size=3), st.integers(1, 400))
def test_an_accepted_shortfall_keeps_the_shares_and_never_asks_for_more_than_there_is(counts, total):
    shares = {**SHARES, "literary": 0.0, "hybrid": 0.4}
    rows = headlines("reddit-theonion", counts[0]) + dialogues("ash", "neutral", counts[1]) + dialogues("ash", "twain", counts[2])
    shares["satire"], shares["tool_use"] = 0.35, 0.25
    found = plan(rows, {}, {"total": total, "shares": shares}, accept_shortfall=True)
    taken = sum(quota.taken for quota in found)
    assert all(quota.taken <= max(quota.there, 1) and abs(quota.taken - taken * quota.share) < 1 for quota in found)


@pytest.mark.parametrize("lost", ["gutenberg/franklin", "reddit-theonion/neutral"])
def test_a_lost_source_is_named_although_its_kind_fills_the_quota(lost):
    rows = [row for row in style() if strand_of(row) != lost] + headlines("reddit-nottheonion", 50)
    with pytest.raises(GateError, match=f"0 of .* records are from {lost}; at least .* a source is lost"):
        check_strands(rows, MIXTURE)


def test_what_is_left_of_a_source_is_held_against_its_least_share():
    check_strands(style(), MIXTURE)
    few = [row for row in style() if strand_of(row) != "gutenberg/franklin"] + passages(43855, "franklin", 1)
    with pytest.raises(GateError, match="2 of 66 records are from gutenberg/franklin; at least 5%"):
        check_strands(few, MIXTURE)


# --- which records ---

def test_sources_are_drawn_on_evenly_as_far_as_they_reach():
    assert fill_evenly({"a": 100, "b": 3, "c": 100}, 43) == {"a": 20, "b": 3, "c": 20}
    assert fill_evenly({"a": 1, "b": 1}, 2) == {"a": 1, "b": 1}
    rows = headlines("reddit-theonion", 50) + headlines("reddit-nottheonion", 12)
    chosen = choose(rows, [Quota("satire", 1.0, 40, 62, 40)], 42)
    assert Counter(row["tags"]["source"] for row in rows if row["id"] in chosen) == {"reddit-theonion": 28, "reddit-nottheonion": 12}


@given(st.dictionaries(st.text(max_size=3), st.integers(1, 50), min_size=1, max_size=6), st.data())
def test_filling_evenly_adds_up_and_never_asks_for_more_than_there_is(available, data):
    total = data.draw(st.integers(0, sum(available.values())))
    counts = fill_evenly(available, total)
    assert sum(counts.values()) == total and all(counts[name] <= available[name] for name in available)


def test_sorts_of_prompt_keep_their_proportions():
    rows = passages(74, "twain", 30)[::2] + passages(76, "twain", 10)[1::2]  # 30 describe, 10 continue
    chosen = draw(rows, 20, 42)
    assert Counter(scenario_of(row) for row in rows if row["id"] in chosen) == {"describe": 15, "continue": 5}


def test_choice_depends_on_the_seed_and_not_on_the_order_of_the_input():
    rows, quotas = headlines("reddit-theonion", 50), [Quota("satire", 1.0, 20, 50, 20)]
    assert choose(rows, quotas, 42) == choose(rows[::-1], quotas, 42) != choose(rows, quotas, 43)


def test_a_passage_keeps_its_rarest_sorts_of_record():
    rows = passages(74, "twain", 3)
    extra = [{**rows[0], "id": "more", "provenance": {**rows[0]["provenance"], "generator": "test/exchange"}}]
    over = over_told(rows + extra, 2.1, 42)
    assert len(over) == 1 and "more" not in over and next(iter(over)).startswith("chat:gutenberg:74#000000")
    assert over_told(rows, 2.1, 42) == set()


def test_parts_of_a_passage_count_as_much_as_they_tell():
    half = passages(74, "twain", 1)[0]
    half["messages"][-1]["content"] = "x" * 250
    half["provenance"]["documents"][0]["end"] = 500
    rows = [{**half, "id": f"r{n}"} for n in range(6)]
    assert len(over_told(rows, 2.1, 42)) == 2


def test_dialogues_of_one_voice_are_no_repeated_passage():
    rows = dialogues("ash", "neutral", 5)
    assert over_told(rows, 2.1, 42) == set() and rows[0]["provenance"]["documents"] == [document("voice:ash")]
