"""Each silent fault of DESIGN §6 that tokenising can meet is planted here and must raise."""
import copy

import pytest

from training.conftest import RESULT, chat, tool_chat
from weatherman.cli import GateError, UserError
from weatherman.models.faults import TemplateFault, spans
from weatherman.models.registry import model_entry
from weatherman.models.templates import IGNORED, check_tokenizer, encode, encode_all


def trained_text(tokenizer, encoded):
    return tokenizer.decode([token for token, label in zip(encoded.input_ids, encoded.labels) if label != IGNORED])


def with_template(tokenizer, old, new):
    """Return a copy of the tokenizer whose template has `old` replaced; the replacement must really happen."""
    changed = copy.deepcopy(tokenizer)
    assert old in changed.chat_template
    changed.chat_template = changed.chat_template.replace(old, new)
    return changed


def test_loss_covers_exactly_the_assistant_and_its_end_of_turn(tokenizer):
    record = chat(1, "What is fog good for?", "Thinking.")
    record["messages"] += [{"role": "user", "content": "And rain?"}, {"role": "assistant", "content": "For ducks."}]
    assert trained_text(tokenizer, encode(tokenizer, record, 512)) == "Thinking.<|im_end|>For ducks.<|im_end|>"


def test_tool_call_is_trained_and_its_result_is_not(tokenizer):
    encoded = encode(tokenizer, tool_chat(), 1024)
    text = trained_text(tokenizer, encoded)
    assert text == ('<tool_call>{"name": "get_current_weather", "arguments": {"latitude": 38.7, "longitude": -9.1, "unit": "celsius"}}'
                    "</tool_call><|im_end|>It is 21.4 degrees and mainly clear.<|im_end|>")
    shown = tokenizer.decode(encoded.input_ids)
    assert RESULT in shown
    assert "\nget_current_weather(latitude: number, longitude: number, unit: celsius or fahrenheit): Current weather at a place.\n" in shown


def test_rendered_prompt_is_the_beginning_of_the_trained_conversation(tokenizer):
    record = chat(1, "What is fog good for?", "Thinking.")
    prompt = tokenizer.apply_chat_template(record["messages"][:-1], add_generation_prompt=True, return_dict=True)["input_ids"]
    assert encode(tokenizer, record, 512).input_ids[:len(prompt)] == list(prompt)


def test_stock_template_masks_everything(tokenizer, real_model):
    from transformers import AutoTokenizer
    stock = copy.deepcopy(tokenizer)
    stock.chat_template = AutoTokenizer.from_pretrained(real_model).chat_template
    with pytest.raises(TemplateFault, match="no token would be trained"):
        encode(stock, chat(1, "Hello there.", "Good day."), 512)


def test_loss_on_user_words(tokenizer):
    faulty = with_template(tokenizer, "{{- message['content'] + '<|im_end|>\\n' }}",
                           "{% generation %}{{- message['content'] + '<|im_end|>' }}{% endgeneration %}{{ '\\n' }}")
    with pytest.raises(TemplateFault, match="2 spans would be trained|3 spans would be trained"):
        encode(faulty, chat(1, "Tell me a long story about the river.", "No."), 512)


def test_loss_that_swallows_the_question(tokenizer):
    faulty = with_template(tokenizer, "{%- generation %}", "{%- generation %}{{ messages[1]['content'] }}")
    with pytest.raises(TemplateFault, match="the loss covers 'Tell me a long story"):
        encode(faulty, chat(1, "Tell me a long story about the river.", "No."), 512)


def test_end_of_turn_that_is_not_learned(tokenizer):
    faulty = with_template(tokenizer, "{{- '<|im_end|>' }}\n{%- endgeneration %}", "{%- endgeneration %}{{ '<|im_end|>' }}")
    with pytest.raises(TemplateFault, match="end of turn .* would not be learned"):
        encode(faulty, chat(1, "Hello there.", "Good day."), 512)


def test_pad_equal_to_end_of_turn(tokenizer):
    entry = model_entry("smollm2-135m")
    with pytest.raises(UserError, match="end of turn would never be learned"):
        check_tokenizer(tokenizer, entry.model_copy(update={"pad_token": entry.end_of_turn}))
    with pytest.raises(UserError, match="not a token of"):
        check_tokenizer(tokenizer, entry.model_copy(update={"pad_token": "<|nowhere|>"}))


def test_schemas_padded_with_nulls_by_arrow(tokenizer):
    from datasets import Dataset
    one, other = tool_chat(1), tool_chat(2)
    other["tools"] = [{"type": "function", "function": {"name": "get_current_weather", "description": "x", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]
    padded = Dataset.from_list([{"tools": one["tools"]}, {"tools": other["tools"]}])[0]["tools"]
    assert "city" in padded[0]["function"]["parameters"]["properties"]  # Arrow did pad
    encode(tokenizer, one, 1024)
    with pytest.raises(TemplateFault, match="padded by Arrow"):
        encode(tokenizer, {**one, "tools": padded}, 1024)


def test_conversation_longer_than_a_row(tokenizer):
    record = chat(1, "Go on.", "rain " * 300)
    with pytest.raises(TemplateFault, match=r"tokens, and a row holds 64"):
        encode(tokenizer, record, 64)


def test_double_bos(tokenizer):
    faulty = copy.deepcopy(tokenizer)
    faulty.chat_template = "{{ '<|im_start|>' }}" + faulty.chat_template
    with pytest.raises(TemplateFault, match="twice"):
        encode(faulty, chat(1, "Hello there.", "Good day."), 512)


def test_template_that_drops_calls(tokenizer):
    faulty = with_template(tokenizer, "message['tool_calls'] or []", "[]")
    with pytest.raises(TemplateFault, match="drops 'get_current_weather'|drops"):
        encode(faulty, {**tool_chat(), "tools": []}, 1024)


def test_tool_result_that_is_quoted_again(tokenizer):
    faulty = with_template(tokenizer, "{{- message['content'] + '<|im_end|>\\n' }}",
                           "{{- (message['content'] | tojson) + '<|im_end|>\\n' }}")
    with pytest.raises(TemplateFault, match="dropped or quoted"):
        encode(faulty, tool_chat(), 1024)


def test_gate_counts_every_fault_and_names_the_records(tokenizer):
    records = [chat(1, "Go on.", "rain " * 300), chat(2, "Go on.", "Short."), chat(3, "Go on.", "snow " * 300)]
    with pytest.raises(GateError, match=r"data.jsonl: 2 of 3 records") as caught:
        encode_all(tokenizer, records, 64, "data.jsonl")
    assert "test:1" in str(caught.value) and "test:3" in str(caught.value)


def test_spans():
    assert spans([0, 1, 1, 0, 1]) == [(1, 3), (4, 5)]
    assert spans([]) == [] and spans([0, 0]) == [] and spans([1, 1]) == [(0, 2)]


@pytest.fixture(scope="module")
def llama(makers_tokenizers):
    return makers_tokenizers["llama-3.1-8b-instruct"]


def test_llama_rendering_and_mask(llama):
    encoded = encode(llama, chat(1, "What is fog good for?", "Thinking."), 512)
    assert llama.decode(encoded.input_ids) == (
        "<|begin_of_text|><|start_header_id|>system<|end_header_id|>\n\nCutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
        "You are a river pilot.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\nWhat is fog good for?<|eot_id|>"
        "<|start_header_id|>assistant<|end_header_id|>\n\nThinking.<|eot_id|>")
    assert trained_text(llama, encoded) == "Thinking.<|eot_id|>"


def test_llama_tool_calls(llama):
    encoded = encode(llama, tool_chat(), 2048)
    assert trained_text(llama, encoded) == (
        '{"name": "get_current_weather", "parameters": {"latitude": 38.7, "longitude": -9.1, "unit": "celsius"}}<|eot_id|>'
        "It is 21.4 degrees and mainly clear.<|eot_id|>")
    text = llama.decode(encoded.input_ids)
    assert f"<|start_header_id|>ipython<|end_header_id|>\n\n{RESULT}<|eot_id|>" in text and text.count("Environment: ipython") == 1
