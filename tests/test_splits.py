"""Splits: whole groups, near their shares, tags spread, and what one group alone teaches trains."""
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chat_sets import dialogues, document, headlines, passages, record, style, talk, tools
from weatherman.cli import GateError
from weatherman.dialogue.splits import assign_splits, fill_share, group_of, lacks, pinned_groups, smallest, split_records

SHARES = {"validation": 0.1, "test": 0.05}


def books(**counts):
    return [row for name, (persona, count) in counts.items() for row in passages(name, persona, count // 2)]


def test_whole_works_are_held_out_and_each_persona_is_where_it_can():
    rows = books(a=("twain", 480), b=("twain", 420), c=("twain", 320), d=("twain", 200), e=("franklin", 220), f=("franklin", 40),
                 g=("franklin", 20))
    splits = assign_splits(rows, SHARES, 42)
    # half or more of Franklin's prompts are in e, so it trains; of the others the smallest is tested
    assert splits == {"book:a": "train", "book:b": "train", "book:c": "validation", "book:d": "test", "book:e": "train",
                      "book:f": "validation", "book:g": "test"}


def test_what_one_group_alone_teaches_trains():
    rows = passages("almanack", "franklin", 20) + passages("life", "franklin", 60) + passages("letters", "franklin", 12)
    rows += books(a=("twain", 20), b=("twain", 20), c=("twain", 20))
    for row in rows[:40]:
        row["provenance"]["generator"] = "test/aphorism"
    assert pinned_groups(rows) == {"book:almanack", "book:life"}
    splits = assign_splits(rows, SHARES, 42)
    assert splits["book:almanack"] == splits["book:life"] == "train" and splits["book:letters"] == "validation"


def test_with_one_group_to_spare_validation_has_it():
    assert assign_splits(tools() + books(a=("twain", 90), b=("twain", 10), c=("twain", 8)), SHARES, 42)["book:a"] == "train"
    with pytest.raises(GateError, match="literary: 2 groups .* are too few to train, validate and test apart"):
        assign_splits(books(a=("twain", 90), b=("twain", 10)), SHARES, 42)


def test_headlines_are_stratified_exactly():
    rows = headlines("reddit-theonion", 400) + headlines("reddit-nottheonion", 200)
    for number, row in enumerate(rows):
        row["tags"]["domain"] = "weather" if number % 10 == 0 else "humor"
    splits = split_records(rows, SHARES, 42)
    counts = {name: Counter((r["tags"]["source"], r["tags"]["domain"]) for r in found) for name, found in splits.items()}
    onion, other = "reddit-theonion", "reddit-nottheonion"
    assert counts["validation"] == {(onion, "humor"): 36, (onion, "weather"): 4, (other, "humor"): 18, (other, "weather"): 2}
    assert counts["test"] == {(onion, "humor"): 18, (onion, "weather"): 2, (other, "humor"): 9, (other, "weather"): 1}


def test_voices_go_whole_and_every_persona_is_in_every_split():
    splits = split_records(style() + tools(), SHARES, 42)
    voices = {name: {group_of(r) for r in found if r["tags"]["source"] == "synthetic"} for name, found in splits.items()}
    assert len(voices["validation"]) == len(voices["test"]) == 1 and len(voices["train"]) == 4
    assert lacks(splits)["validation"] == ["literary franklin"] and lacks(splits)["train"] == []
    for found in splits.values():
        assert {r["tags"]["persona"] for r in found if r["tags"]["source"] == "synthetic"} == {"neutral", "twain", "franklin"}


def test_what_a_split_lacks_is_told():
    splits = {"train": passages("a", "franklin", 1) + dialogues("ash", "twain", 1), "validation": passages("b", "twain", 1), "test": []}
    assert lacks(splits) == {"train": ["literary twain"], "validation": ["hybrid s0", "hybrid twain", "literary franklin"],
                             "test": ["hybrid s0", "hybrid twain", "literary continue", "literary describe", "literary franklin",
                                      "literary twain"]}


def test_a_headline_that_is_nearly_another_follows_it():
    rows = headlines("reddit-theonion", 200)
    for number, row in enumerate(rows):  # one story, printed again and again
        if number % 4 == 0:
            row["messages"][-1]["content"] = f"Area river leaves its bed for the third time since spring{'!' * number}"
    splits = split_records(rows, SHARES, 42)
    where = {name for name, found in splits.items() for r in found if r["messages"][-1]["content"].startswith("Area")}
    assert where == {"train"} and len(splits["validation"]) >= 10


def test_the_result_depends_on_the_seed_and_not_on_the_order_of_the_records():
    rows = style() + tools()
    assert assign_splits(rows, SHARES, 42) == assign_splits(rows[::-1], SHARES, 42) != assign_splits(rows, SHARES, 43)


def test_fill_share_by_hand():
    sizes = {"a": 50, "b": 40, "c": 9, "d": 4}
    assert fill_share(["a", "b"], sizes, 10) == [] and fill_share([], sizes, 10) == []
    assert fill_share(["a", "c", "d"], sizes, 10) == ["c"] and fill_share(["a", "c", "d"], sizes, 13) == ["c", "d"]
    assert fill_share(["a", "b"], sizes, 30) == ["b"]                    # 40 is nearer than none
    assert fill_share(["d", "a", "b"], sizes, 53) == ["d", "a"]          # 54: no other choice comes nearer
    assert fill_share(["c", "d", "b"], sizes, 41) == ["b"]               # it is not the first that fit, but the nearest
    assert smallest(["a", "b"], sizes, 45) == ["b"] and smallest(["a"], sizes, 45) == []


def test_a_work_much_larger_than_the_share_is_not_given_up_for_it():
    works = {"a": 300, "b": 280, "c": 200, "d": 190}
    rows = [row for name, count in works.items() for row in passages(name, "twain", count)]
    pages = [row for n in range(40) for row in passages(f"page{n}", "neutral", 1)]
    for row in pages:
        row["tags"]["source"] = "web"
    splits = assign_splits(rows + pages, SHARES, 42)
    assert [splits[f"book:{name}"] for name in works] == ["train", "train", "train", "validation"]  # 190 is four times a twentieth
    assert list(splits.values()).count("test") == 2
    assert sorted(assign_splits(rows, SHARES, 42).values()) == ["test", "train", "train", "validation"]  # without pages it must


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 12), st.sampled_from(["twain", "franklin"])), min_size=5, max_size=12), st.integers(0, 9))
def test_no_group_is_ever_in_two_splits(works, seed):
    rows = [record(f"{n}:{k}", talk("a", "b"), {"source": "gutenberg", "persona": persona}, document(f"d{n}"), f"g{n}", "describe")
            for n, (count, persona) in enumerate(works) for k in range(count)]
    try:
        splits = assign_splits(rows, SHARES, seed)
    except GateError:
        return
    assert splits.keys() == {f"g{n}" for n in range(len(works))} and set(splits.values()) == {"train", "validation", "test"}
