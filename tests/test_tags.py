"""Tags by rule."""
import pytest

from dialogue_records import headline, passage
from weatherman.dialogue.tags import amusing_points, directions, mentions, points_of, present_share, tags_of

PLAIN = "The river ran south between low banks of clay. Willows stood along the water, and behind them lay fields of corn."
COMIC = "The deacon said he had prayed for a smaller mule, but nobody in the committee believed that his conscience was insured."
ADVICE = "He that would borrow must learn to be counted. Idleness keeps no accounts, and therefore never knows what it owes."
TOLD = "In March I sailed to Boston with my brother, and we took lodgings near the wharf. The passage lasted nine days."
CLIPPED = "He propos'd a second voyage, and I consider'd it. The owners refus'd him, and there it rests."
STEPS = "Keep the thermometer in the shade. You should read it at noon, and make sure that no wall is near. Note the figure."
NEWS = "The thermometer is kept in the shade. The observers read it at noon, and no wall is near. They note the figure."


@pytest.mark.parametrize("row, tone, domain", [
    (passage(text=f"{COMIC} The storm took it."), "humorous", "weather"),
    (passage(text=PLAIN, matched_keywords=[]), "neutral", "general"),
    (passage(text=COMIC, matched_keywords=[]), "humorous", "humor"),
    (passage(text=COMIC * 10, matched_keywords=["storm"]), "humorous", "humor"),  # the keyword of another part of its passage
    (passage(text=f"{PLAIN} A storm came. " * 3, matched_keywords=["storm"]), "neutral", "weather"),
    (passage(text=f"{PLAIN} " * 12 + "A storm came.", matched_keywords=["storm"]), "neutral", "general"),  # mentioned in passing
    (passage(persona="franklin", text=ADVICE, matched_keywords=[]), "didactic", "general"),
    (passage(persona="franklin", text=TOLD, matched_keywords=[]), "neutral", "general"),
    (passage(persona="franklin", text=CLIPPED, matched_keywords=[]), "neutral", "general"),
    (passage(persona="neutral", source="web", text=STEPS, matched_keywords=[]), "didactic", "general"),
    (passage(persona="neutral", source="web", text=NEWS, matched_keywords=[]), "neutral", "general"),
    (passage(persona="neutral", source="web", matched_keywords=[]), "neutral", "general"),
    (headline(), "satirical", "weather"),
    (headline(matched_keywords=[]), "satirical", "humor"),
    (headline(source="reddit-nottheonion", matched_keywords=["comic"]), "ironic", "humor"),
])
def test_tone_and_domain(row, tone, domain):
    assert tags_of(row, ["storm", "forecast"]) == {"persona": row["persona"], "tone": tone, "domain": domain, "source": row["source"]}


@pytest.mark.parametrize("text", [PLAIN, COMIC])
def test_points_do_not_depend_on_length(text):
    assert amusing_points(f"{text} " * 7) == pytest.approx(amusing_points(text))


def test_points_by_hand():
    points = {"deacon": 1.0, "believed": 1.0, "ain't": 1.0, "won't": 0.5, "but": 0.5, "1,205": -0.75, "rivers": -0.75, "corn": 0}
    assert {word: points_of(word) for word in points} == points
    assert amusing_points("But the deacon saw 12 rivers.") == 100 * (0.5 + 1 - 2 * 0.75) / 6
    assert amusing_points("“Give 'em corn,” he said, “corn and corn.”") == 100 / 8


def test_share_of_the_present():
    assert present_share(CLIPPED) == pytest.approx(1 / 4)  # proposed, considered, refused; rests
    assert present_share(ADVICE) > 0.6 > present_share(TOLD)
    assert present_share("Nine days at sea.") == 0


def test_directions_to_a_hundred_words():
    assert directions(STEPS) == pytest.approx(100 * 4 / 23)  # keep, you should, make sure, note
    assert directions(NEWS) == 0


def test_mentions_are_of_the_given_keywords_in_any_form():
    assert mentions("It rained and rained; the fog stayed.", {"rain"}) == 2
