"""The shapes of records: each rule of a conversation has a record that breaks it."""
import pytest

from dialogue_records import conversation, current_result, passage, record
from weatherman.dialogue.weather_api import TOOLS
from weatherman.records import ChatRecord, Passage, check


def tool_record():
    return record(messages=conversation("Rome?", current_result(), "12.4 °C.", "get_current_weather"),
                  tools=[TOOLS["get_current_weather"]])


def test_good_records_pass():
    check(Passage, passage())
    check(ChatRecord, record())
    check(ChatRecord, tool_record())
    row = tool_record()
    row["messages"].insert(0, {"role": "system", "content": "Be brief."})
    assert check(ChatRecord, row).messages[2].tool_calls[0].function.name == "get_current_weather"


def drop(*numbers):
    def change(row):
        row["messages"] = [m for n, m in enumerate(row["messages"]) if n not in numbers]
    return change


def put(number, **values):
    return lambda row: row["messages"][number].update(values)


def insert(number, message):
    return lambda row: row["messages"].insert(number, message)


def call(**values):
    return lambda row: row["messages"][1]["tool_calls"][0].update(values)


@pytest.mark.parametrize("change, problem", [
    (drop(0), "first turn"), (drop(3), "last turn"), (drop(2), "no tool answer yet"), (drop(1), "not open"),
    (insert(1, {"role": "user", "content": "And Oslo?"}), "user after user"),
    (insert(4, {"role": "assistant", "content": "Again."}), "assistant after assistant"),
    (insert(2, {"role": "system", "content": "Be brief."}), "only be the first"),
    (put(3, content=" "), "says nothing"), (put(0, content=""), "says nothing"),
    (put(2, tool_call_id="a1B2c3D4f"), "not open"), (put(2, tool_call_id="short"), "tool_call_id"),
    (put(3, tool_call_id="a1B2c3D4e"), "only a tool message"), (put(3, tool_calls=[]), "not empty"),
    (put(0, role="wizard"), "role"), (put(0, mood="glad"), "mood"), (put(0, content=5), "content"),
    (call(function={"name": "get_moon", "arguments": "{}"}), "not among the tools"),
    (call(function={"name": "get_current_weather", "arguments": "[1]"}), "not a JSON object"),
    (call(function={"name": "get_current_weather", "arguments": "{"}), "not a JSON object"),
    (call(id="tooshort"), "id"), (call(id="with-dash"), "id"),
    (lambda row: row["provenance"].pop("split_group"), "split_group"),
    (lambda row: row["provenance"].update(split_group=""), "split_group"),
    (lambda row: row["provenance"]["documents"][0].update(sha256="XY"), "sha256"),
    (lambda row: row["tags"].update(persona="poe"), "persona"), (lambda row: row.update(id=""), "id"),
    (lambda row: row.pop("tools"), "tools"),
])
def test_each_fault_is_named(change, problem):
    row = tool_record()
    change(row)
    with pytest.raises(ValueError, match=problem):
        check(ChatRecord, row)


@pytest.mark.parametrize("changes, problem", [
    ({"start": -1}, "start"), ({"word_count": "12"}, "word_count"), ({"source": "radio"}, "source"), ({"license": ""}, "license"),
    ({"extra": 1}, "extra")])
def test_a_faulty_passage_is_named(changes, problem):
    with pytest.raises(ValueError, match=problem):
        check(Passage, passage(**changes))
