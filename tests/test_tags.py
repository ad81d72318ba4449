"""Tags by rule."""
import pytest

from dialogue_records import headline, passage
from weatherman.dialogue.tags import tags_of


@pytest.mark.parametrize("row, tone, domain", [
    (passage(), "humorous", "weather"),
    (passage(matched_keywords=["laugh"]), "humorous", "general"),
    (passage(persona="franklin", matched_keywords=[]), "didactic", "general"),
    (passage(persona="neutral", matched_keywords=[]), "neutral", "general"),
    (headline(), "satirical", "humor"),
    (headline(source="reddit-nottheonion"), "ironic", "humor"),
])
def test_tone_and_domain(row, tone, domain):
    assert tags_of(row, ["storm", "forecast"]) == {"persona": row["persona"], "tone": tone, "domain": domain, "source": row["source"]}
