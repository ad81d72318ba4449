"""Rows that were never trained are known by their weights, and peft's trainable tokens teach an end of turn that LoRA alone cannot."""
import copy

import pytest

from weatherman.cli import GateError
from weatherman.training.vocabulary import check_end_of_turn_known, untrained_rows, untrained_tokens

IM_START, IM_END, FILE_SEP, SEVEN_UNUSED = 1, 2, 5, [7, 8, 9, 10, 11, 12, 13]


@pytest.fixture(scope="module")
def table(real_model):
    """SmolLM2's real embedding, float32 (49152, 576); it is tied."""
    from safetensors import safe_open
    with safe_open(real_model / "model.safetensors", "pt") as file:
        return file.get_tensor("model.embed_tokens.weight").float()


def test_the_real_model_knows_its_markers_and_not_the_tokens_its_makers_never_used(table, tokenizer):
    assert untrained_rows(table, list(range(17))) == [FILE_SEP, *SEVEN_UNUSED, 14, 15, 16]
    assert tokenizer.convert_ids_to_tokens([IM_END, FILE_SEP, 14]) == ["<|im_end|>", "<file_sep>", "<jupyter_output>"]
    words = tokenizer.convert_tokens_to_ids(["Ġriver", "Ġfog", "Ġbarometer", "Ġ", "Ċ", "Ġthe"])
    assert untrained_rows(table, words) == []


def test_a_row_back_at_its_first_value_is_seen(table):
    import torch
    started = {"zeros": torch.zeros(576), "drawn": 0.02 * torch.randn(576, generator=torch.Generator().manual_seed(1)),
               "as the unused": table[SEVEN_UNUSED].mean(dim=0)}
    for name, row in started.items():
        planted = table[:8192].clone()  # as good as the whole, and quicker
        assert untrained_rows(planted, [IM_START, IM_END]) == []
        planted[IM_END] = row
        assert untrained_rows(planted, [IM_START, IM_END]) == [IM_END], name
        assert untrained_rows(planted.bfloat16(), [IM_START, IM_END]) == [IM_END], name


def tiny_llama(tied, planted=True):
    """Return a tiny random Llama with rows as long as a trained model's (3.4); planted: those of its end of turn, token 2, are zeros."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=512, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                                         num_key_value_heads=2, max_position_embeddings=64, tie_word_embeddings=tied,
                                         initializer_range=0.6))
    with torch.no_grad():
        for table in (model.get_input_embeddings(), model.get_output_embeddings()):
            table.weight[IM_END] *= 0 if planted else 1
    return model


class Words:
    """As much of a tokenizer as says which tokens the template writes."""

    chat_template, eos_token, eos_token_id = "{# <unused> #}<|im_start|>{{ words }}<|im_end|>", "<|im_end|>", IM_END

    def get_added_vocab(self):
        return {"<|im_start|>": IM_START, "<|im_end|>": IM_END, "<unused>": FILE_SEP}


@pytest.mark.parametrize("tied", [True, False])
def test_what_is_found_goes_to_peft_and_satisfies_the_check(tied):
    from peft import LoraConfig, get_peft_model
    model = tiny_llama(tied)
    found = untrained_tokens(model, Words())
    assert found == ({"embed_tokens": [IM_END]} if tied else {"embed_tokens": [IM_END], "lm_head": [IM_END]})
    with pytest.raises(GateError, match=r"never learned <\|im_end\|>"):
        check_end_of_turn_known(model, Words())
    plain = get_peft_model(copy.deepcopy(model), LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM"))
    with pytest.raises(GateError, match="LoRA alone cannot teach it"):
        check_end_of_turn_known(plain, Words())
    check_end_of_turn_known(get_peft_model(model, LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM",
                                                             trainable_token_indices=found)), Words())


def test_a_new_model_whose_rows_are_all_drawn_tells_nothing(tiny_model, tokenizer):
    from transformers import AutoModelForCausalLM
    check_end_of_turn_known(AutoModelForCausalLM.from_pretrained(tiny_model), tokenizer)


def loss_on_the_end(model, trainable_tokens, updates=40):
    """Return the loss on the end of turn of 8 fixed sequences after a few updates of LoRA on every linear layer but the output's."""
    import torch
    from peft import LoraConfig, get_peft_model
    model = get_peft_model(model, LoraConfig(r=8, lora_alpha=16, target_modules="all-linear", task_type="CAUSAL_LM",
                                             trainable_token_indices=trainable_tokens))
    ids = torch.randint(3, 512, (8, 12), generator=torch.Generator().manual_seed(1))
    ids[:, -1] = IM_END
    labels = torch.where(torch.arange(12) == 11, ids, -100)
    optimizer = torch.optim.AdamW([weight for weight in model.parameters() if weight.requires_grad], lr=1e-2)
    for _ in range(updates):
        optimizer.zero_grad()
        loss = model(input_ids=ids, labels=labels).loss
        loss.backward()
        optimizer.step()
    return loss.item()


@pytest.mark.parametrize("tied", [True, False])
def test_lora_teaches_a_known_end_of_turn_but_an_unknown_one_only_with_its_row(tied):
    assert loss_on_the_end(tiny_llama(tied, planted=False), None) < 0.2
    assert loss_on_the_end(tiny_llama(tied), None) > 6.2  # chance is ln 512
    assert loss_on_the_end(tiny_llama(tied), untrained_tokens(tiny_llama(tied), Words())) < 0.2
