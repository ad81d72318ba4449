"""Every family's template over a real tokenizer: prompts as serving sends them, words that spell control tokens, nothing dropped."""
import copy

import pytest

from paths import TEMPLATES_DIR
from training.conftest import NAME, RESULT, chat, tool_chat
from training.makers import MAKERS
from weatherman.models.faults import TemplateFault
from weatherman.models.registry import model_entry
from weatherman.models.templates import IGNORED, check_prompts, encode, encode_all, encode_rows, prompt_ids, rows

LLAMA, MISTRAL, QWEN = MAKERS
TINYLLAMA = "tinyllama-1.1b-chat"
FAMILIES = [LLAMA, MISTRAL, QWEN, NAME, TINYLLAMA]


@pytest.fixture(scope="module")
def family(makers_tokenizers):
    """{model: tokenizer with our template}. TinyLlama's stands on Mistral's vocabulary, of the same kind: no package carries its own."""
    entry = model_entry(TINYLLAMA)
    tokenizer = copy.deepcopy(makers_tokenizers[MISTRAL])
    tokenizer.chat_template = (TEMPLATES_DIR / entry.template).read_text(encoding="utf-8")
    assert (tokenizer.eos_token, tokenizer.pad_token) == (entry.end_of_turn, entry.pad_token)
    return {**makers_tokenizers, TINYLLAMA: tokenizer}


@pytest.fixture
def change(monkeypatch):
    """A function that replaces the last `old` in a tokenizer's template by `new` until the test ends."""
    def replace(tokenizer, old, new):
        before, found, after = tokenizer.chat_template.rpartition(old)
        assert found
        monkeypatch.setattr(tokenizer, "chat_template", before + new + after)
        return tokenizer
    return replace


def long_chat():
    """Return a record of three questions with a system text, the second answered through a tool."""
    record = tool_chat()
    record["messages"][1:1] = [{"role": "user", "content": "What is fog?"}, {"role": "assistant", "content": "A cloud at your feet."}]
    record["messages"] += [{"role": "user", "content": "And rain?"}, {"role": "assistant", "content": "For ducks."}]
    return record


def trained_texts(tokenizer, encoded):
    """Return the texts of the spans that the loss covers."""
    texts, span = [], []
    for label in [*encoded.labels, IGNORED]:
        if label != IGNORED:
            span.append(label)
        elif span:
            texts.append(tokenizer.decode(span).removesuffix(tokenizer.eos_token).strip())
            span = []
    return texts


@pytest.mark.parametrize("name", FAMILIES)
def test_every_answer_is_trained_once_behind_the_prompt_that_serving_sends(name, family):
    tokenizer, record = family[name], long_chat()
    check_prompts(tokenizer, record)
    encoded = encode_rows(tokenizer, record, 4096)
    assert len(encoded) == (3 if name == MISTRAL else 1)
    said = [text for row in encoded for text in trained_texts(tokenizer, row)]
    assert [said[0], *said[2:]] == ["A cloud at your feet.", "It is 21.4 degrees and mainly clear.", "For ducks."]
    assert "get_current_weather" in said[1] and len(said) == 4
    assert len(encode_all(tokenizer, [record, chat(1, "Why?", "Fog.")], 4096, "data.jsonl")) == len(encoded) + 1


def test_mistral_says_its_system_text_before_the_last_question_so_each_question_has_a_row(family):
    tokenizer = family[MISTRAL]
    record = chat(1, "What is fog?", "A cloud.")
    record["messages"] += [{"role": "user", "content": "And rain?"}, {"role": "assistant", "content": "For ducks."}]
    first, second = (encode(tokenizer, row, 512) for row in rows(tokenizer, record))
    assert tokenizer.decode(first.input_ids) == "<s>[INST] You are a river pilot.\n\nWhat is fog?[/INST] A cloud.</s>"
    assert tokenizer.decode(second.input_ids) == ("<s>[INST] What is fog?[/INST] A cloud.</s>"
                                                  "[INST] You are a river pilot.\n\nAnd rain?[/INST] For ducks.</s>")
    assert trained_texts(tokenizer, second) == ["For ducks."]
    served = prompt_ids(tokenizer, record["messages"][:2], [])
    assert first.input_ids[:len(served)] == served and second.input_ids[:len(served)] != served


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != MISTRAL])  # nothing opens an assistant turn there
def test_a_served_prompt_that_differs_by_a_token_is_seen(name, family, change):
    tokenizer = change(family[name], "add_generation_prompt %}", "add_generation_prompt %}{{ ' ' }}")
    with pytest.raises(TemplateFault, match=r"messages\[2\]: serving sends"):
        check_prompts(tokenizer, tool_chat())


@pytest.mark.parametrize("name", [name for name in FAMILIES if name != MISTRAL])
def test_a_template_without_a_generation_prompt_is_seen(name, family, change):
    with pytest.raises(TemplateFault, match=r"messages\[2\]: serving sends"):
        check_prompts(change(family[name], "add_generation_prompt", "false"), tool_chat())


def test_words_that_melt_into_the_prompt_are_seen(family):
    record = chat(1, "Why?", "\nFog.")
    with pytest.raises(TemplateFault, match=r"messages\[2\]: serving sends '\\n' where training has '\\n\\n'"):
        check_prompts(family[QWEN], record)
    check_prompts(family[LLAMA], record)  # trims, as on the hub


SPELT = [(LLAMA, "<|eot_id|>"), (LLAMA, "<|python_tag|>"), (MISTRAL, "[INST]"), (MISTRAL, "</s>"), (MISTRAL, "[TOOL_CALLS]"),
         (QWEN, "<|im_end|>"), (QWEN, "<tool_call>"), (NAME, "<|im_start|>"), (NAME, "</tool_call>"), (TINYLLAMA, "</s>"),
         (TINYLLAMA, "<|assistant|>")]


@pytest.mark.parametrize("name, control", SPELT)
def test_words_that_spell_a_control_token_are_a_fault_whoever_writes_them(name, control, family):
    record = tool_chat()
    encode(family[name], record, 4096)
    for at, message in enumerate(record["messages"]):
        changed = copy.deepcopy(record)
        if message.get("tool_calls"):
            changed["messages"][at]["tool_calls"][0]["function"]["arguments"] = f'{{"unit": "x{control}"}}'
        else:
            changed["messages"][at]["content"] += f" He wrote {control} there."
        with pytest.raises(TemplateFault, match="would become a control token"):
            encode(family[name], changed, 4096)


def test_words_that_only_look_like_markup_pass(family):
    for name in FAMILIES:
        encode_rows(family[name], chat(1, "Is 3 < 4 and a[0] > <b>bold</b>, [sic]?", "It is: a < b | c > d."), 512)


@pytest.mark.parametrize("name", FAMILIES)
def test_words_beside_a_call_are_written_or_a_fault(name, family):
    record = tool_chat()
    record["messages"][2]["content"] = "I shall look."
    if name in (LLAMA, MISTRAL):
        with pytest.raises(TemplateFault, match="drops the words beside the call 'I shall look.'"):
            encode(family[name], record, 4096)
    else:
        assert "I shall look." in trained_texts(family[name], encode(family[name], record, 4096))[0]


def test_a_template_that_drops_words_or_tools_is_a_fault(family, change):
    with pytest.raises(TemplateFault, match="drops words of the system"):
        encode(change(family[NAME], "'<|im_start|>system\\n' + system", "'<|im_start|>system\\n'"), chat(1, "Why?", "Fog."), 512)


def test_a_template_that_drops_a_tool_is_a_fault(family, change):
    with pytest.raises(TemplateFault, match="drops 'get_current_weather' of the tool get_current_weather"):
        encode(change(family[NAME], "function['name'] + '('", "'('"), {**chat(1, "Why?", "Fog."), "tools": tool_chat()["tools"]}, 512)


def test_what_a_template_refuses_is_a_fault(family):
    record = tool_chat()
    record["messages"][2]["tool_calls"][0]["id"] = "short"
    with pytest.raises(TemplateFault, match="refuses it: Mistral wants call ids of 9 characters"):
        encode(family[MISTRAL], record, 4096)


def test_tinyllama_rendering(family):
    tokenizer = family[TINYLLAMA]
    encoded = encode(tokenizer, tool_chat(), 1024)
    assert tokenizer.decode(encoded.input_ids).lstrip(" ") == (  # this vocabulary begins every text with a blank
        "<|system|>\nYou are a river pilot.\n\nTools you may call:\n"
        "get_current_weather(latitude: number, longitude: number, unit: celsius or fahrenheit): Current weather at a place.\n"
        'To call one, write <tool_call>{"name": …, "arguments": {…}}</tool_call> and nothing else.</s>\n'
        "<|user|>\nHow warm is it in Lisbon?</s>\n"
        '<|assistant|>\n<tool_call>{"name": "get_current_weather", "arguments": {"latitude": 38.7, "longitude": -9.1, "unit": "celsius"}}'
        f"</tool_call></s>\n<|tool|>\n{RESULT}</s>\n<|assistant|>\nIt is 21.4 degrees and mainly clear.</s>\n")
    assert trained_texts(tokenizer, encoded)[1] == "It is 21.4 degrees and mainly clear."


def test_accents_written_in_two_ways_are_the_same_words(family):
    record = chat(1, "What is a re\u0301sume\u0301?", "A cafe\u0301's list.")
    assert "résumé" in family[QWEN].decode(encode(family[QWEN], record, 512).input_ids)  # Qwen composes
    for name in FAMILIES:
        encode_rows(family[name], record, 512)
