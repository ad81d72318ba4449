"""packed-sdpa gives what sdpa's dense mask gives, in logits and gradients, and is that same sdpa where nothing is packed."""
import pytest
import torch

from weatherman.training import attention

LENGTHS = (5, 1, 17, 9)


def model(implementation, kv_heads=2, dtype=torch.float32):
    """The same random two-layer Llama every time."""
    from transformers import LlamaConfig, LlamaForCausalLM
    attention.register()
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=kv_heads, max_position_embeddings=128, attn_implementation=implementation)
    return LlamaForCausalLM(config).to(dtype).eval()


def packed_row():
    """Return the inputs of a row of conversations of LENGTHS tokens."""
    ids = torch.randint(0, 64, (1, sum(LENGTHS)), generator=torch.Generator().manual_seed(1))
    return {"input_ids": ids, "position_ids": torch.cat([torch.arange(length) for length in LENGTHS])[None], "use_cache": False}


def logits_and_gradients(model, **inputs):
    logits = model(**inputs).logits
    logits.float().log_softmax(-1)[..., 3].sum().backward()
    return logits.detach(), [parameter.grad for parameter in model.parameters()]


@pytest.mark.parametrize("kv_heads", [1, 2, 4])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_packed_rows_equal_the_dense_mask(kv_heads, checkpointing):
    found = []
    for implementation in ("sdpa", attention.NAME):
        tested = model(implementation, kv_heads)
        if checkpointing:
            tested.gradient_checkpointing_enable({"use_reentrant": False})
            tested.train()
        found.append(logits_and_gradients(tested, **packed_row()))
    (dense, dense_gradients), (packed, gradients) = found
    torch.testing.assert_close(packed, dense, atol=1e-5, rtol=1e-5)
    for ours, theirs in zip(gradients, dense_gradients):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_packed_rows_in_bfloat16_round_no_worse_than_the_dense_mask():
    with torch.no_grad():
        exact = model("sdpa")(**packed_row()).logits
        dense, packed = (float((model(name, dtype=torch.bfloat16)(**packed_row()).logits.float() - exact).abs().max())
                         for name in ("sdpa", attention.NAME))
    assert 0 < packed < 2 * dense


def test_an_attention_that_forgets_the_cuts_is_noticed(monkeypatch):
    """The planted fault: one causal pass over the whole row. The comparison above would see it."""
    right = model(attention.NAME)(**packed_row()).logits
    monkeypatch.setattr(attention, "lengths_of", lambda *given: torch.tensor([sum(LENGTHS)]))
    wrong = model(attention.NAME)(**packed_row()).logits
    first = LENGTHS[0]
    torch.testing.assert_close(wrong[:, :first], right[:, :first])  # nothing stands before the first conversation
    assert (wrong[:, first:] - right[:, first:]).abs().max() > 1e-2


def test_no_kernel_is_given_a_mask_or_more_than_a_conversation(monkeypatch):
    """No (row, row) mask exists, and no piece is longer than a conversation: memory is linear in the row."""
    seen, kernel = [], torch.nn.functional.scaled_dot_product_attention

    def note(query, *rest, **named):
        seen.append((query.shape[2], named["attn_mask"], named["is_causal"]))
        return kernel(query, *rest, **named)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", note)
    model(attention.NAME)(**packed_row())
    assert seen == [(length, None, length > 1) for length in LENGTHS] * 2


def test_padding_cache_and_generation_are_those_of_sdpa():
    ids = torch.randint(0, 64, (3, 12), generator=torch.Generator().manual_seed(2))
    mask = torch.ones_like(ids)
    mask[0, :7], mask[1, :2] = 0, 0
    for inputs in ({"attention_mask": mask}, {"attention_mask": mask.flip(1)}, {}):
        ours, theirs = (model(name)(input_ids=ids, **inputs).logits for name in (attention.NAME, "sdpa"))
        assert torch.equal(ours, theirs)
    ours, theirs = (model(name).generate(ids, attention_mask=mask, max_new_tokens=8, do_sample=False, pad_token_id=0)
                    for name in (attention.NAME, "sdpa"))
    assert torch.equal(ours, theirs)


def test_two_packed_rows_at_once_go_the_dense_way():
    row = packed_row()
    both = {"input_ids": row["input_ids"].repeat(2, 1), "position_ids": row["position_ids"].repeat(2, 1), "use_cache": False}
    assert torch.equal(model(attention.NAME)(**both).logits, model("sdpa")(**both).logits)
    torch.testing.assert_close(model(attention.NAME)(**both).logits[:1], model(attention.NAME)(**row).logits, atol=1e-5, rtol=1e-5)
