"""A thousand conversations have the same token ids in our templates and in the model makers' own encoders; a planted difference shows."""
import pytest

from training import parity
from training.conftest import chat, tool_chat
from training.odd_chats import odd_chat
from weatherman.records import ChatRecord, check

COUNT = 1000


@pytest.fixture(scope="module")
def conversations():
    records = [odd_chat(number) for number in range(COUNT)]
    for record in records:
        check(ChatRecord, record)
    return records


def test_the_conversations_hold_what_is_to_be_compared(conversations):
    talks = [record["messages"] for record in conversations]
    assert sum(any(message["role"] == "tool" for message in talk) for talk in talks) > 400
    assert sum(any(message["role"] == "tool" and '"error"' in message["content"] for message in talk) for talk in talks) > 150
    assert sum([message["role"] for message in talk].count("user") > 1 for talk in talks) > 400
    assert sum(len(message.get("tool_calls") or []) > 1 for talk in talks for message in talk) > 100
    assert sum(talk[0]["role"] != "system" for talk in talks) > 100
    assert sum(not all(message["content"].isascii() for message in talk) for talk in talks) > 400


@pytest.mark.parametrize("encoder", parity.ENCODERS, ids="-".join)
def test_token_ids_are_the_makers_own(encoder, conversations, makers_tokenizers):
    assert parity.differing(makers_tokenizers, conversations, encoder) == []


@pytest.mark.parametrize("encoder", parity.ENCODERS, ids="-".join)
def test_a_template_that_differs_by_one_blank_is_seen(encoder, makers_tokenizers, monkeypatch):
    model, _ = encoder
    before, old, after = makers_tokenizers[model].chat_template.rpartition('"parameters": ' if model == parity.LLAMA else '"arguments": ')
    monkeypatch.setattr(makers_tokenizers[model], "chat_template", before + old + " " + after)  # where the call is written
    found = parity.differing(makers_tokenizers, [chat(1, "Why?", "Fog."), tool_chat(2)], encoder)
    assert [number for number, _ in found] == ["test:2"]


def test_what_meta_writes_otherwise_than_the_hub():
    """Meta's own spelling of a call, which nobody serves: with a type, and with what is not ASCII escaped."""
    from llama_models.datatypes import ToolCall, ToolPromptFormat
    from llama_models.llama3.tool_utils import ToolUtils
    call = ToolCall(call_id="a1B2c3D4e", tool_name="geocode_location", arguments={"city": "Malmö"})
    assert ToolUtils.encode_tool_call(call, ToolPromptFormat.json) == \
        '{"type": "function", "name": "geocode_location", "parameters": {"city": "Malm\\u00f6"}}'
    turn = {"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "geocode_location", "arguments": {"city": "Malmö"}}}]}
    assert parity.told(turn, []) == '{"name": "geocode_location", "parameters": {"city": "Malmö"}}'


def test_what_mistral_writes_otherwise_than_we(makers_tokenizers):
    """A result that is no JSON stands in quotes there and as it is here; a compact one gets blanks there."""
    record = tool_chat()
    record["messages"][3]["content"] = "no such place"
    tokenizer = makers_tokenizers[parity.MISTRAL]
    messages = parity.templates.template_messages(tokenizer, record["messages"])
    assert '{"content": "no such place", ' in tokenizer.decode(parity.mistral_ids(tokenizer, messages, record["tools"]))
    assert '{"content": no such place, ' in tokenizer.apply_chat_template(messages, tools=record["tools"], tokenize=False)
