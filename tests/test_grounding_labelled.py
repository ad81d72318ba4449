"""Grounding against answers that someone else wrote and judged without knowing its rules."""
import pytest

from measure_grounding import LABELLED, agreement, judged

pytestmark = pytest.mark.skipif(not LABELLED.exists(), reason="tests/labelled/grounding.jsonl is not written yet")


def test_most_answers_are_flagged_or_not_as_people_did():
    share, precision, recall = agreement(judged())
    assert min(share, precision, recall) >= 0.9, "python tests/measure_grounding.py shows the disagreements"
