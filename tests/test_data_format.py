"""docs/DATA_FORMAT.md shows real records: each is held against its shape, and each tool answer against its results."""
import json
import re

from paths import REPO_DIR
from weatherman.dialogue.grounding import ungrounded
from weatherman.records import ChatRecord, Passage, PreferencePair, Reject, check

TEXT = (REPO_DIR / "docs" / "DATA_FORMAT.md").read_text(encoding="utf-8")
SHOWN = [json.loads(block) for block in re.findall(r"^```json\n(.*?)^```", TEXT, re.M | re.S)]
CHATS = [record for record in SHOWN if "messages" in record]


def test_every_record_shown_has_its_shape():
    assert len(SHOWN) == 11
    kinds = {"messages": ChatRecord, "title": Passage, "chosen": PreferencePair, "reason": Reject}
    for record in SHOWN:
        check(next(kind for key, kind in kinds.items() if key in record), record)


def test_each_kind_is_shown():
    kinds = {record["provenance"]["generator"].split("/")[1] for record in CHATS}
    assert kinds >= {"describe", "continue", "aphorism", "headline", "compare", "follow_up", "error"}


def test_answers_shown_follow_from_their_results():
    assert all(ungrounded(record["messages"], record["tools"]) == [] for record in CHATS if record["tags"]["source"] == "synthetic")
