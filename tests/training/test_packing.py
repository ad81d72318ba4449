"""Packed neighbours must not see each other, and the loss must not depend on how an update is cut into micro-batches."""
import pytest
import torch

from paths import CONFIGS_DIR
from training.conftest import chat, words
from weatherman.training.templates import encode


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


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_packed_logits_equal_separate_ones(tiny_model, encoded, attention):
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32, attn_implementation=attention).eval()
    batch = packed_batch(encoded)
    assert difference(model, encoded, batch) < 1e-4
    batch["position_ids"] = torch.arange(batch["input_ids"].shape[1])[None]  # the fault: positions that run on
    assert difference(model, encoded, batch) > 1e-2


def test_the_trainers_own_loss_is_that_of_separate_conversations(tiny_model, tokenizer, encoded, tmp_path):
    """The mask is only built when no cache is made: this goes through TRL's own call, so a version that makes one is noticed."""
    from transformers import AutoModelForCausalLM

    from weatherman.schemas import load_file
    from weatherman.training.modeling import held_out_losses, mean_loss
    from weatherman.training.recovery import StopRequest
    from weatherman.training.sft import make_trainer
    config = load_file(CONFIGS_DIR / "training_config.yaml", "smollm2-135m", "cpu", "smoke",
                       ["training.max_tokens=512", "compute.dtype=float32", "lora.dropout=0.0"]).values
    model = AutoModelForCausalLM.from_pretrained(tiny_model, dtype=torch.float32, attn_implementation="sdpa")
    trainer = make_trainer(model, tokenizer, encoded, encoded, config, tmp_path, StopRequest())
    batch = next(iter(trainer.get_train_dataloader()))
    assert batch["input_ids"].shape[1] == sum(len(item.input_ids) for item in encoded)
    packed = float(trainer.compute_loss(trainer.model, dict(batch)))
    assert packed == pytest.approx(mean_loss(held_out_losses(trainer.model, encoded)), abs=1e-5)
    batch["position_ids"] = torch.arange(batch["input_ids"].shape[1])[None]
    assert float(trainer.compute_loss(trainer.model, dict(batch))) != pytest.approx(packed, abs=1e-4)


def test_no_token_is_lost_or_cut_by_packing(encoded):
    batch = packed_batch(encoded)
    kept = int((batch["labels"] != -100).sum())
    assert kept == sum(item.loss_tokens for item in encoded)
    assert sorted(batch["input_ids"][0].tolist()) == sorted(t for item in encoded for t in item.input_ids)
