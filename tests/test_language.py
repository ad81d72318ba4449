"""Which language: sentences of each kind, and the second opinion."""
import pytest

from weatherman.corpus.language import is_language, second_opinion


@pytest.mark.parametrize("text, english", [
    ("The river rose in the night and took the lower fence with it, as everybody had expected.", True),
    ("Well, den, dis is de way I look at it; you hain't got no call to blame me, nohow.", True),
    ("I reckon he warn't ever a-going to see that raft agin, and I says so.", True),
    ("Der Fluss stieg in der Nacht und nahm den unteren Zaun mit, wie alle es erwartet hatten.", False),
    ("La rivière monta pendant la nuit et emporta la clôture, comme tout le monde s'y attendait.", False),
    ("El río creció durante la noche y se llevó la cerca, como todos lo esperaban.", False)])
def test_is_english(text, english):
    assert is_language(text, "en", 42) is english


def test_the_second_opinion_is_seeded_and_may_abstain():
    assert second_opinion("12345 !!!", 42) is None
    assert len({second_opinion("Big Tuna Finds a Scapegoat", 42) for _ in range(5)}) == 1
