"""The shapes of records: each rule of a conversation has a record that breaks it."""
import pytest

from dialogue_records import conversation, current_result, passage, record
from weatherman.dialogue.weather_api import TOOLS
from weatherman.records import ChatRecord, Passage, PreferencePair, check


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


def pair():
    """Return a preference pair whose chosen answer is a call, its result and words."""
    row = tool_record()
    question, *answer = row["messages"]
    return {"id": "pair", "prompt": [question], "chosen": answer, "rejected": [{"role": "assistant", "content": "30 °C."}],
            "tools": row["tools"], "judgement": {"criterion": "truth", "judge": "test"}, "provenance": row["provenance"]}


def test_good_pairs_pass():
    check(PreferencePair, pair())
    check(PreferencePair, {**pair(), "chosen": pair()["chosen"][:1]})  # ends with the call
    check(PreferencePair, {**pair(), "tools": [], "chosen": pair()["rejected"], "rejected": pair()["chosen"]})  # calls what is not offered
    after = pair()
    after["prompt"] += after["chosen"][:2]
    check(PreferencePair, {**after, "chosen": after["chosen"][2:]})  # the prompt holds call and result


@pytest.mark.parametrize("change, problem", [
    (lambda row: row["rejected"][0].update(content=" "), "prompt . rejected: messages.1.: assistant says nothing"),
    (lambda row: row.update(chosen=[{"role": "user", "content": "Well?"}]), "chosen: an answer holds the assistant's turns"),
    (lambda row: row.update(tools=[]), "prompt . chosen: .* not among the tools offered"),
    (lambda row: row["chosen"].pop(), "the last turn must be the assistant's"),
    (lambda row: row["prompt"].append(row["chosen"].pop(0)), "chosen: begins with a tool result|prompt . rejected: .* no tool answer yet"),
    (lambda row: row["judgement"].pop("judge"), "judgement.judge"), (lambda row: row["judgement"].update(margin=-1.0), "margin"),
    (lambda row: row.update(chosen=[]), "chosen"), (lambda row: row.pop("tools"), "tools")])
def test_a_faulty_pair_is_named(change, problem):
    row = pair()
    change(row)
    with pytest.raises(ValueError, match=problem):
        check(PreferencePair, row)
