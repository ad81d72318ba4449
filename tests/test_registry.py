"""The model registry: six models, pinned, with the sizes their shapes give, and templates that can train."""
import re

import pytest

from config_loader import load_config
from paths import CONFIGS_DIR, TEMPLATES_DIR
from weatherman.training_schemas import Models

MODELS = load_config(CONFIGS_DIR / "models.yaml", Models).values.models
NAMES = {"tinyllama-1.1b-chat", "llama-3.1-8b-instruct", "mistral-7b-instruct-v0.3", "qwen2.5-7b-instruct", "qwen2.5-32b", "smollm2-135m"}


def counted(shape, bias, tables):
    """Return how many weights a Llama of this shape has.

    tables: 1 where embeddings and lm_head are one, else 2; bias: of queries, keys and values, as Qwen2.5 has it.
    """
    query, key = shape.heads * shape.head_size, shape.kv_heads * shape.head_size
    attention = 2 * shape.hidden * query + 2 * shape.hidden * key + (query + 2 * key if bias else 0)
    layer = attention + 3 * shape.hidden * shape.intermediate + 2 * shape.hidden
    return shape.layers * layer + shape.hidden + tables * shape.vocabulary * shape.hidden


def test_all_six_models_are_there():
    assert set(MODELS) == NAMES


@pytest.mark.parametrize("name", sorted(NAMES))
def test_an_entry_is_whole(name):
    entry = MODELS[name]
    assert re.fullmatch("[0-9a-f]{40}", entry.revision)
    assert entry.parameters == counted(entry.shape, bias="Qwen" in entry.hub_id, tables=1 if name.startswith("smollm2") else 2)
    assert entry.shape.hidden == entry.shape.heads * entry.shape.head_size
    assert entry.pad_token != entry.end_of_turn
    assert (entry.kind == "base") == (name == "qwen2.5-32b")
    assert entry.gated == (entry.license == "llama3.1") == name.startswith("llama")


@pytest.mark.parametrize("template", sorted(path.name for path in TEMPLATES_DIR.glob("*.jinja")))
def test_a_template_marks_the_assistant_and_is_used(template):
    text = (TEMPLATES_DIR / template).read_text(encoding="utf-8")
    assert text.count("{%- generation %}") == text.count("{%- endgeneration %}") == 1
    assert ("if add_generation_prompt" in text) == (template != "mistral-v0.3.jinja")  # nothing opens an assistant turn there
    assert template in {entry.template for entry in MODELS.values()}
