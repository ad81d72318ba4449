"""Tags by rule against labelled texts whose author had not seen the rules.

Once the guideline of tags.py was settled, it was applied to the labels: what is ironic or satirical outside the headline desks became
humorous (13 texts), and what is humorous became humor where it had been general (5). The first agreement of the rules so labelled was
0.824 for the domain and 0.835 for the tone; then their disagreements were looked at, so that what is demanded here is no longer blind.
"""
import pytest

from measure_tags import TAGS, agreement, labelled, outcomes

MIN_AGREEMENT = 0.9


def test_the_labelled_file_is_large_and_mixed():
    rows = labelled()
    assert len(rows) >= 150 and len({row["text"] for row in rows}) == len(rows)
    assert {row["domain"] for row in rows} == {"weather", "humor", "general"}
    assert {row["source"] for row in rows} == {"gutenberg", "reddit-theonion", "reddit-nottheonion", "web"}


def test_the_labels_keep_to_the_guideline():
    """Two tones name the headline desks and no others; what amuses is of the weather or of humor."""
    tones = {"reddit-theonion": {"satirical"}, "reddit-nottheonion": {"ironic"}}
    for row in labelled():
        assert row["tone"] in tones.get(row["source"], {"humorous", "didactic", "neutral"})
        assert (row["domain"] != "general") if row["tone"] in ("humorous", "satirical", "ironic") else row["domain"] != "humor"


@pytest.mark.parametrize("tag", TAGS)
def test_agreement(tag):
    assert agreement(outcomes(labelled()), tag) >= MIN_AGREEMENT


def test_agreement_by_hand():
    rows = [{"tone": tone, "domain": "weather"} for tone in ("ironic", "neutral")]
    judged = [(row, {"tone": "neutral", "domain": "weather"}) for row in rows]
    assert agreement(judged, "tone") == 0.5 and agreement(judged, "domain") == 1.0
