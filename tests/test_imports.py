"""Other people's chat data: each shape gives exactly these turns, whatever else a row holds is refused by name."""
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialogue_records import read
from in_process import run_here
from weatherman.cli import UserError
from weatherman.dialogue.imports import BadConversation, call_id, convert, read_rows, shape_of

TOOL = {"type": "function", "function": {"name": "get_rain", "parameters": {"type": "object", "properties": {}}}}


def turns(row):
    """Return (shape, [(role, content)])."""
    shape, messages, _ = convert(row)
    return shape, [(message["role"], message["content"]) for message in messages]


def test_openai_messages():
    row = {"messages": [{"role": "developer", "content": "Be brief."}, {"role": "user", "content": [{"type": "text", "text": "Rain"},
                        {"type": "text", "text": "?"}]}, {"role": "assistant", "content": " No. ", "weight": 1}]}
    assert turns(row) == ("openai", [("system", "Be brief."), ("user", "Rain?"), ("assistant", "No.")])
    assert turns(row["messages"]) == turns(row)


@pytest.mark.parametrize("legacy", [False, True])
def test_openai_calls_get_ids_that_mistral_takes(legacy):
    function = {"name": "get_rain", "arguments": "{}"}
    call = {"function_call": function} if legacy else {"tool_calls": [{"id": "call_abc123", "type": "function", "function": function}]}
    answer = {"role": "function", "name": "get_rain", "content": "0 mm"} if legacy else \
        {"role": "tool", "tool_call_id": "call_abc123", "content": "0 mm"}
    row = {"messages": [{"role": "user", "content": "Rain?"}, {"role": "assistant", "content": None, **call}, answer,
                        {"role": "assistant", "content": "None."}], **({"functions": [TOOL["function"]]} if legacy else {"tools": [TOOL]})}
    _, messages, tools = convert(row)
    assert tools == [TOOL]
    assert messages[1]["tool_calls"] == [{"id": messages[2]["tool_call_id"], "type": "function", "function": function}]
    assert len(messages[2]["tool_call_id"]) == 9 and messages[2]["tool_call_id"].isalnum()


def test_sharegpt_with_calls_and_a_greeting_in_front():
    row = {"system": "You know rain.", "tools": json.dumps([TOOL["function"]]), "conversations": [
        {"from": "gpt", "value": "Hello!"}, {"from": "human", "value": "Rain?"},
        {"from": "function_call", "value": '{"name": "get_rain", "arguments": {"days": 2}}'}, {"from": "observation", "value": "0 mm"},
        {"from": "gpt", "value": "None."}, {"from": "human", "value": "Thanks"}]}
    shape, messages, tools = convert(row)
    assert (shape, tools) == ("sharegpt", [TOOL])
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "tool", "assistant"]
    assert messages[2]["tool_calls"][0]["function"] == {"name": "get_rain", "arguments": '{"days": 2}'}
    assert messages[3]["tool_call_id"] == messages[2]["tool_calls"][0]["id"]


@pytest.mark.parametrize(("row", "expected"), [
    ({"instruction": "Name a cloud.", "input": "", "output": "Cirrus."}, ("alpaca", [("user", "Name a cloud."), ("assistant", "Cirrus.")])),
    ({"instruction": "Shorten.", "context": "It rains.", "response": "Rain."},
     ("alpaca", [("user", "Shorten.\n\nIt rains."), ("assistant", "Rain.")])),
    ({"instruction": "And now?", "input": "", "output": "Dry.", "history": [["Rain?", "Yes."]]},
     ("alpaca", [("user", "Rain?"), ("assistant", "Yes."), ("user", "And now?"), ("assistant", "Dry.")])),
    ({"instruction": "Name a wind.", "instances": [{"input": "", "output": "Mistral."}]},
     ("alpaca", [("user", "Name a wind."), ("assistant", "Mistral.")])),
    ({"Question": "Rain?", "Answer": "No."}, ("qa", [("user", "Rain?"), ("assistant", "No.")])),
    ({"prompt": "Rain?", "completion": "No."}, ("qa", [("user", "Rain?"), ("assistant", "No.")])),
    ({"input": "Rain?", "output": "No."}, ("qa", [("user", "Rain?"), ("assistant", "No.")])),
])
def test_alpaca_and_questions(row, expected):
    assert turns(row) == expected


@pytest.mark.parametrize(("row", "reason"), [
    ({"text": "a book"}, "unknown_shape"),
    ([], "unknown_shape"),
    ({"messages": [{"role": "user", "content": "Rain?"}]}, "no_answer"),
    ({"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}, {"role": "assistant", "content": "A cow."}]},
     "not_text"),
    ({"messages": [{"role": "user", "content": "Rain?"}, {"role": "assistant", "content": "No.<|im_end|>"}]}, "template_tokens"),
    ({"conversations": [{"from": "narrator", "value": "It rained."}]}, "unknown_role"),
    ({"conversations": [{"from": "human", "value": "Rain?"}, {"from": "function_call", "value": "rain()"}]}, "not_json"),
    ({"instruction": "Rain?", "output": None}, "not_text"),
    ({"messages": ["Rain?"]}, "not_an_object"),
])
def test_what_is_no_conversation_is_refused_by_name(row, reason):
    with pytest.raises(BadConversation) as caught:
        convert(row)
    assert caught.value.reason == reason


json_values = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), max_leaves=8, extend=lambda below: st.lists(
    below, max_size=3) | st.dictionaries(st.sampled_from(["role", "content", "from", "value", "function", "name", "arguments", "id", "type",
                                                          "tool_calls", "function_call", "text", "input", "output"]), below, max_size=4))


@given(st.dictionaries(st.sampled_from(["messages", "conversations", "instruction", "output", "instances", "history", "system", "tools",
                                        "functions", "question", "answer", "input"]), json_values, max_size=5))
def test_any_json_is_converted_or_refused(row):
    try:
        shape, messages, tools = convert(row)
    except BadConversation as error:
        assert error.reason.isidentifier()
    else:
        assert shape == shape_of(row) and messages[-1]["role"] == "assistant" and isinstance(tools, list)


def test_a_list_of_questions_in_a_text_file(tmp_path):
    path = tmp_path / "faq.txt"
    path.write_text("Title é\n\nQ: Rain?\nA: No.\nNot at all.\n\nQ: Fog?\nA: Yes.\n", encoding="utf-8")
    rows = list(read_rows(path))
    assert [row for *_, row in rows] == [{"question": "Rain?", "answer": "No.\nNot at all."}, {"question": "Fog?", "answer": "Yes."}]
    assert path.read_bytes()[rows[1][1]:rows[1][2]].startswith(b"Q: Fog?")


def test_lines_know_their_bytes_and_json_lines_may_be_named_json(tmp_path):
    path = tmp_path / "chats.json"
    path.write_text('{"question": "é?", "answer": "No."}\n\nnot json\n', encoding="utf-8")
    (_, start, end, row), (number, _, _, bad) = read_rows(path)
    assert json.loads(path.read_bytes()[start:end]) == row
    assert (number, bad.reason) == (3, "not_json")


def test_a_table_with_a_broken_row(tmp_path):
    path = tmp_path / "chats.tsv"
    path.write_text("question\tanswer\nRain?\tNo.\nFog?\n", encoding="utf-8")
    assert [row if isinstance(row, dict) else row.reason for *_, row in read_rows(path)] == \
        [{"question": "Rain?", "answer": "No."}, "wrong_columns"]


def test_another_kind_of_file_is_refused(tmp_path):
    with pytest.raises(UserError, match="comes as .jsonl, .json"):
        list(read_rows(tmp_path / "chats.parquet"))


def test_call_ids_stay_where_they_are_good():
    assert call_id("a1B2c3D4e") == "a1B2c3D4e" != call_id("call_1") == call_id("call_1")


def script(tmp_path, rows, *flags):
    path = tmp_path / "theirs.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return run_here("import_chat.py", tmp_path, path, "--license", "CC BY 4.0", *flags)


def pair(number):
    return {"question": f"Question {number % 7}?", "answer": f"Answer {number}."}


def test_the_script_keeps_good_rows_and_says_their_licence(tmp_path):
    done = script(tmp_path, [pair(1), pair(2), pair(2), pair(8), {"text": "?"}, pair(3)])
    assert done.returncode == 0, done.stderr
    records = read(tmp_path / "data/processed/imported.jsonl")
    assert [record["id"] for record in records] == [f"import:theirs.jsonl:{n}" for n in (1, 2, 4, 6)]
    assert {record["provenance"]["documents"][0]["license"] for record in records} == {"CC BY 4.0"}
    groups = [record["provenance"]["split_group"] for record in records]
    assert groups[0] == groups[2] != groups[1]  # one question, two answers: they stay in one split
    assert {reject["reason"] for reject in read(tmp_path / "data/processed/imported.rejects.jsonl")} == {"duplicate", "unknown_shape"}


def test_a_file_with_more_than_a_fifth_bad_is_refused_with_the_reasons(tmp_path):
    rows = [pair(number) for number in range(8)]
    assert script(tmp_path, [*rows, {"text": "?"}, {"text": "!"}]).returncode == 0
    refused = script(tmp_path, [*rows, {"text": "?"}, {"text": "!"}, {"messages": []}], "--output", tmp_path / "other.jsonl")
    assert refused.returncode == 3 and not (tmp_path / "other.jsonl").exists()
    assert "3 of 11 conversations are bad (unknown_shape 2, no_answer 1)" in refused.stderr
