"""Packed neighbours must not see each other, and the loss must not depend on how an update is cut into micro-batches."""
import pytest
import torch

from paths import CONFIGS_DIR
from training.conftest import chat, words
from weatherman.models.templates import encode
from weatherman.training.attention import register


@pytest.fixture(scope="module")
def encoded(tokenizer):
    return [encode(tokenizer, chat(n, f"Tell me about {n}.", words(n, 10 + 7 * n)), 512) for n in range(4)]


def packed_batch(encoded, strategy="bfd", micro_batch=1):
    """Return the batch that TRL's own packing and collator make of `encoded`."""
    from trl.data_utils import pack_dataset
    from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

    from weatherman.training.sft import as_dataset
    rows = pack_dataset(as_dataset(encoded), 512, strategy)
    return DataCollatorForLanguageModeling(pad_token_id=0, padding_free=True)([rows[i] for i in range(micro_batch)])


def difference(model, encoded, batch):
    """Return the largest difference between the packed logits and each conversation's logits alone."""
    worst = 0.0
    with torch.no_grad():
        packed = model(**{k: v for k, v in batch.items() if k != "labels"}, use_cache=False).logits[0]
        ids = batch["input_ids"][0].tolist()
        for item in encoded:
            start = next(i for i in range(len(ids)) if ids[i:i + len(item.input_ids)] == item.input_ids)
            alone = model(input_ids=torch.tensor([item.input_ids])).logits[0]
            worst = max(worst, float((packed[start:start + len(item.input_ids)] - alone).abs().max()))
    return worst


@pytest.mark.parametrize("attention", ["packed-sdpa", "sdpa", "eager"])
def test_packed_logits_equal_separate_ones(tiny_model, encoded, attention):
    from transformers import AutoModelForCausalLM
    register()
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32, attn_implementation=attention).eval()
    batch = packed_batch(encoded)
    assert difference(model, encoded, batch) < 1e-4
    batch["position_ids"] = torch.arange(batch["input_ids"].shape[1])[None]  # the fault: positions that run on
    assert difference(model, encoded, batch) > 1e-2


def make_trainer(tiny_model, tokenizer, encoded, folder, dtype="float32"):
    """Return our trainer on the tiny model: one row of everything, no dropout, an adapter that changes something."""
    from weatherman.schemas import load_file
    from weatherman.training import sft
    from weatherman.training.modeling import load_base, resolve_compute
    config = load_file(CONFIGS_DIR / "training_config.yaml", "smollm2-135m", "cpu", "smoke",
                       ["training.max_tokens=512", f"compute.dtype={dtype}", "lora.dropout=0.0"]).values
    config = config.model_copy(update={"compute": resolve_compute(config.compute)})
    made = sft.make_trainer(load_base(tiny_model, config.quantization, config.compute), tokenizer, encoded, encoded, config, folder)
    with torch.no_grad():
        for name, parameter in made.model.named_parameters():
            if "lora_B" in name:  # they start at zero, and the gradient of A with them
                parameter.normal_(std=0.1, generator=torch.Generator().manual_seed(0))
    return made


@pytest.fixture
def trainer(tiny_model, tokenizer, encoded, tmp_path):
    return make_trainer(tiny_model, tokenizer, encoded, tmp_path)


def test_the_trainers_own_loss_is_that_of_separate_conversations(trainer, encoded):
    """The mask is only built when no cache is made: this goes through TRL's own call, so a version that makes one is noticed."""
    from weatherman.training.modeling import held_out_losses, mean_loss
    batch = next(iter(trainer.get_train_dataloader()))
    assert batch["input_ids"].shape[1] == sum(len(item.input_ids) for item in encoded)
    packed = float(trainer.compute_loss(trainer.model, dict(batch)).detach())
    assert packed == pytest.approx(mean_loss(held_out_losses(trainer.model, encoded)), abs=1e-5)
    batch["position_ids"] = torch.arange(batch["input_ids"].shape[1])[None]
    assert float(trainer.compute_loss(trainer.model, dict(batch)).detach()) != pytest.approx(packed, abs=1e-4)


def adapter_gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return [parameter.grad.clone() for parameter in model.parameters() if parameter.requires_grad]


def test_the_loss_on_loss_tokens_alone_is_that_of_all_logits(trainer, encoded):
    """TRL's chunked loss makes logits for the loss tokens only; value and gradients are those of torch's own over all of them."""
    assert trainer.args.loss_type == "chunked_nll"
    batch = next(iter(trainer.get_train_dataloader()))
    model = trainer.model
    fused = trainer.compute_loss(model, dict(batch))
    gradients = adapter_gradients(model, fused)
    logits = model(input_ids=batch["input_ids"], position_ids=batch["position_ids"], use_cache=False).logits[0, :-1]
    plain = torch.nn.functional.cross_entropy(logits, batch["labels"][0, 1:], ignore_index=-100)
    assert float(fused.detach()) == pytest.approx(float(plain.detach()), abs=1e-6)
    for ours, theirs in zip(gradients, adapter_gradients(model, plain), strict=True):
        assert theirs.abs().max() > 0
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


def test_no_logits_are_made_for_tokens_without_loss(trainer, encoded, monkeypatch):
    """Neither by the trainer, chunk by chunk, nor by the held-out loss."""
    from trl.trainer import sft_trainer

    from weatherman.training.modeling import held_out_losses
    rows, chunk = [], sft_trainer._chunk
    monkeypatch.setattr(sft_trainer, "_chunk", lambda hidden, *rest: rows.append(len(hidden)) or chunk(hidden, *rest))
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.compute_loss(trainer.model, dict(batch))
    loss_tokens = sum(item.loss_tokens for item in encoded)
    assert loss_tokens < sum(rows) < loss_tokens + sft_trainer._CHUNKED_LM_HEAD_CHUNK_SIZE
    rows.clear()
    head = trainer.model.get_base_model().lm_head
    head.register_forward_hook(lambda module, inputs, output: rows.append(output.shape[1]))
    held_out_losses(trainer.model, encoded)
    assert rows == [loss_tokens]


def test_adapters_make_no_copies_of_their_inputs_in_bfloat16(tiny_model, tokenizer, encoded, tmp_path):
    """The same loss and gradients to the bit, and no input becomes float32 on its way into an adapter; the held-out loss computes too."""
    from peft.tuners.lora import LoraLayer

    from weatherman.training.modeling import held_out_losses
    trainer = make_trainer(tiny_model, tokenizer, encoded, tmp_path, "bfloat16")
    batch = next(iter(trainer.get_train_dataloader()))
    layers = [module for module in trainer.model.modules() if isinstance(module, LoraLayer)]
    seen, found = [], []
    for layer in layers:
        layer.lora_A["default"].register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].dtype))
    for copies in (False, True):  # the second is the fault: as peft does it by itself
        for layer in layers:
            assert layer.cast_input_dtype_enabled is copies
        seen.clear()
        with torch.autocast("cpu", torch.bfloat16):  # accelerate's, which comes with train()
            loss = trainer.compute_loss(trainer.model, dict(batch))
        found.append((loss.detach(), *adapter_gradients(trainer.model, loss)))
        assert set(seen) == {torch.float32 if copies else torch.bfloat16} and len(seen) == len(layers) > 0
        assert held_out_losses(trainer.model, encoded)
        for layer in layers:
            layer.cast_input_dtype_enabled = True
    assert all(torch.equal(ours, theirs) for ours, theirs in zip(*found, strict=True))


def test_no_token_is_lost_or_cut_by_packing(encoded):
    batch = packed_batch(encoded)
    kept = int((batch["labels"] != -100).sum())
    assert kept == sum(item.loss_tokens for item in encoded)
    assert sorted(batch["input_ids"][0].tolist()) == sorted(t for item in encoded for t in item.input_ids)
