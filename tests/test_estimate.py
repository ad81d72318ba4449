"""The estimate without torch: cards by their names, arithmetic by hand, and orders that must hold."""
from types import SimpleNamespace

import pytest

from config_loader import ConfigError
from paths import CONFIGS_DIR
from weatherman.models.registry import model_entry
from weatherman.preflight import cost
from weatherman.schemas import load_file
from weatherman.training import estimate, packing

GIB = 2**30
LLAMA = model_entry("llama-3.1-8b-instruct")


def config(*overrides):
    return load_file(CONFIGS_DIR / "training_config.yaml", "llama-3.1-8b-instruct", overrides=overrides).values


@pytest.mark.parametrize("name, key", [
    ("NVIDIA GeForce RTX 3090", "rtx3090"), ("NVIDIA GeForce RTX 3090 Ti", None), ("NVIDIA H100 80GB HBM3", "h100_80gb"),
    ("NVIDIA H100 PCIe", "h100_pcie"), ("NVIDIA H100 NVL", "h100_nvl"), ("NVIDIA A100-SXM4-80GB", "a100_80gb"),
    ("NVIDIA A100 80GB PCIe", "a100_80gb"), ("NVIDIA A100-PCIE-40GB", "a100_40gb"), ("NVIDIA A100-SXM4-80GB MIG 3g.40gb", None),
    ("NVIDIA L40S", "l40s"), ("NVIDIA L4", "l4"), ("NVIDIA L40", None), ("NVIDIA RTX A6000", "a6000"), ("NVIDIA A40", "a40"),
    ("NVIDIA GeForce RTX 4090 Laptop GPU", None), ("NVIDIA GH200 480GB", None), ("nvidia h200", "h200"), ("rtx4090", "rtx4090"),
    ("", None)])
def test_a_card_is_found_by_what_nvidia_smi_calls_it(name, key):
    found = estimate.find_gpu(name)
    assert (found and found[0]) == key


def test_weights_of_llama_by_hand():
    """32 layers of 218,103,808 weights in 4 bits and 0.127 bits of constants; 1,050,939,392 others in two bytes."""
    linear = 32 * 218_103_808
    assert estimate.linear_parameters(LLAMA.shape) == linear == LLAMA.parameters - 1_050_939_392
    nf4 = estimate.weight_bytes(LLAMA, config().quantization, 2)
    assert nf4 == int(linear * (0.5 + 1 / 64 + 4 / (64 * 256))) + 2 * 1_050_939_392
    single = estimate.weight_bytes(LLAMA, config("quantization.double_quantization=false").quantization, 2)
    assert single - nf4 == pytest.approx(linear * (4 / 64 - 1 / 64 - 4 / 16384), abs=2)
    for mode in ("none", "nf4-resident"):
        assert estimate.weight_bytes(LLAMA, config(f"quantization.mode={mode}").quantization, 2) == 2 * LLAMA.parameters


def test_adapters_of_llama_by_hand():
    """r = 16 on the seven projections: 41,943,040 weights, the number PEFT prints for this model."""
    assert estimate.adapter_parameters(LLAMA.shape, config().lora) == 41_943_040
    parts = estimate.memory(LLAMA, config(), 1, True)
    assert (parts.adapters, parts.gradients, parts.optimizer) == (251_658_240, 167_772_160, 335_544_320)
    full = estimate.memory(LLAMA, config("quantization.mode=none"), 1, True)
    assert (full.gradients, full.optimizer) == (167_772_160, 335_544_320)
    with pytest.raises(ConfigError, match="lm_head is no projection"):
        estimate.adapter_parameters(LLAMA.shape, config("lora.target_modules=[lm_head]").lora)


def test_memory_grows_as_it_must():
    def total(micro_batch=1, checkpointing=True, *overrides):
        return estimate.memory(LLAMA, config(*overrides), micro_batch, checkpointing).total

    assert total(1) < total(2) < total(2, False)
    assert total(2) < total(2, True, "quantization.mode=nf4-resident")
    assert total(2, False) < total(2, False, "compute.attention=sdpa") < total(2, False, "compute.attention=eager")
    rows = [estimate.row_squared_bytes(LLAMA.shape, config("compute.attention=sdpa").compute, tokens, 2) for tokens in (4096, 8192)]
    assert rows == [2 * 4096**2, 4 * rows[0]] and not estimate.row_squared_bytes(LLAMA.shape, config().compute, 4096, 2)


def test_checkpointing_is_left_off_where_all_fits():
    assert not estimate.fits_without_checkpointing(LLAMA, config(), 80 * GIB)
    assert estimate.fits_without_checkpointing(LLAMA, config("training.micro_batch=1"), 80 * GIB)
    assert not estimate.fits_without_checkpointing(LLAMA, config("training.micro_batch=1"), 24 * GIB)


def test_the_largest_micro_batch_is_the_last_that_fits():
    for checkpointing in (False, True):
        largest = estimate.largest_micro_batch(LLAMA, config(), 80 * GIB, checkpointing)
        sizes = [estimate.memory(LLAMA, config(), size, checkpointing).total for size in (largest, 2 * largest)]
        assert sizes[0] <= 80 * GIB < sizes[1]
    assert estimate.largest_micro_batch(LLAMA, config(), 6 * GIB, True) == 0


def test_flops_by_hand():
    """Without adapters, attention and loss: 2 forward and 2 backward a weight, and 2 more with checkpointing."""
    none = SimpleNamespace(r=0, dropout=0.0, target_modules=["q_proj"])
    linear = estimate.linear_parameters(LLAMA.shape)
    assert estimate.flops_per_token(LLAMA, none, loss_share=0) == 4 * linear
    assert estimate.flops_per_token(LLAMA, none, loss_share=0, checkpointing=True) == 6 * linear
    adapters = estimate.adapter_parameters(LLAMA.shape, config().lora)
    assert estimate.flops_per_token(LLAMA, config().lora, loss_share=0) == 4 * linear + 6 * adapters
    head = 2 * 4096 * 128256
    assert estimate.flops_per_token(LLAMA, none, loss_share=0.5) == 4 * linear + 1.5 * head
    attention = 4 * 32 * 4096 * 100
    assert estimate.flops_per_token(LLAMA, none, loss_share=0, context=100) == 4 * linear + 3.5 * attention
    assert estimate.forward_flops_per_token(LLAMA, none, context=100) == 2 * linear + attention + head


def test_hours_and_dollars_by_hand():
    card = SimpleNamespace(bf16_tflops=100)
    assert estimate.hours(3.6e17, card, 0.5) == 2
    work = cost.Workload(10**6, 0, 0.4, 100.0)
    found = {offer.card: offer for offer in cost.offers(LLAMA, config("cost.usd_per_hour=10"), work, {"h200": 0.5})}
    assert found["h200"].measured and found["h200"].utilization == 0.5 and not found["l4"].measured
    assert found["l4"].usd == 10 * found["l4"].hours
    assert (found["rtx3090"].micro_batch, found["rtx3090"].checkpointing, found["rtx3090"].faster) == (4, True, None)  # 17.6 of 24 GiB
    assert found["h100_80gb"].faster.hours < found["h100_80gb"].hours and not found["h100_80gb"].faster.checkpointing


def test_best_fit_decreasing_by_hand():
    assert sorted(packing.fill_rows([5, 2, 3, 1], 6)) == [5, 6]
    assert sorted(packing.fill_rows([4, 4, 2, 3], 6)) == [3, 4, 6]
    assert packing.fill_rows([6, 6], 6) == [6, 6]


def test_a_schedule_by_hand():
    settings = SimpleNamespace(packing=True, seed=1, max_tokens=10, micro_batch=2, effective_batch=8, epochs=2.5, max_steps=-1,
                               warmup_share=0.03)
    lengths = [5] * 100
    packed = packing.pack(lengths, settings)
    assert (packed.rows, packed.fill, packed.per_row, packed.context) == (50, 1.0, 2.0, 2.5)
    accumulated = packing.accumulation(settings, lengths)
    found = packing.schedule(packed, settings, accumulated)
    assert (accumulated, found.updates_per_epoch, found.updates, found.warmup) == (2, 13, 33, 1)
    settings.max_steps = 20  # both bound the run, as in sft.fewest_steps
    assert packing.schedule(packed, settings, accumulated).updates == 20
    settings.max_steps = 500
    assert packing.schedule(packed, settings, accumulated) == found
    settings.packing = False
    assert packing.pack(lengths, settings).rows == 100 and packing.accumulation(settings, lengths) == 4
