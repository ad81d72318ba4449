import importlib.util
from dataclasses import replace

import pytest
import torch

from config_loader import ConfigError
from paths import CONFIGS_DIR
from training.conftest import chat, words
from weatherman.cli import UserError
from weatherman.models.registry import model_entry, package_gguf
from weatherman.models.templates import IGNORED, Encoded, encode
from weatherman.schemas import load_file
from weatherman.training import modeling, sft
from weatherman.training.modeling import fill_passes, held_out_losses, load_base, mean_loss, read_adapter, resolve_compute
from weatherman.training.sft import accumulation, lora_config, sft_arguments


def config(*overrides):
    return load_file(CONFIGS_DIR / "training_config.yaml", "smollm2-135m", "cpu", None, list(overrides)).values


def load(folder, *overrides):
    settings = config(*overrides)
    return load_base(folder, settings.quantization, settings.compute)


def linear4bits(model):
    from bitsandbytes.nn import Linear4bit
    return {name: module for name, module in model.named_modules() if isinstance(module, Linear4bit)}


def test_nf4_weights_are_packed_in_four_bits(tiny_model):
    layers = linear4bits(load(tiny_model, "quantization.mode=nf4")).values()
    assert layers and all(layer.weight.quant_state.quant_type == "nf4" and layer.weight.quant_state.nested for layer in layers)
    assert not linear4bits(load(tiny_model))


def test_nf4_resident_is_nf4_unpacked(tiny_model):
    """The same frozen weights to the bit, in plain layers that no library takes for quantised ones; so the logits are nf4's."""
    from bitsandbytes.functional import dequantize_4bit
    settings = ("compute.dtype=bfloat16",)
    packed, resident, plain = (load(tiny_model, f"quantization.mode={mode}", *settings) for mode in ("nf4", "nf4-resident", "none"))
    for name, layer in linear4bits(packed).items():
        weight = resident.get_submodule(name).weight
        assert type(resident.get_submodule(name)) is torch.nn.Linear and weight.dtype == torch.bfloat16
        assert torch.equal(weight, dequantize_4bit(layer.weight.data, layer.weight.quant_state))
        assert not torch.equal(weight, plain.get_submodule(name).weight)
    assert not getattr(resident, "is_loaded_in_4bit", False) and not getattr(resident, "is_quantized", False)
    assert not hasattr(resident.config, "quantization_config")
    ids = torch.arange(100, 164)[None]
    with torch.no_grad():
        logits = [model(input_ids=ids).logits.float() for model in (packed, resident, plain)]
    torch.testing.assert_close(logits[1], logits[0], atol=2 ** -7, rtol=2 ** -7)  # bfloat16 rounds to 2**-8
    assert (logits[2] - logits[0]).abs().max() > 2 ** -5  # the fault: weights that were never quantised


def test_an_adapter_of_nf4_resident_gives_the_same_on_nf4(tiny_model, tmp_path):
    from peft import get_peft_model
    settings = ("compute.dtype=float32", "lora.r=4")
    trained = get_peft_model(load(tiny_model, "quantization.mode=nf4-resident", *settings), lora_config(config(*settings).lora)).eval()
    for name, parameter in trained.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(0))
    trained.save_pretrained(tmp_path)
    read = read_adapter(load(tiny_model, "quantization.mode=nf4", *settings), tmp_path)
    ids = torch.arange(100, 164)[None]
    with torch.no_grad():
        there, here = read(input_ids=ids).logits, trained(input_ids=ids).logits
        with read.disable_adapter():
            base = read(input_ids=ids).logits
    torch.testing.assert_close(there, here, atol=1e-4, rtol=1e-4)
    assert (there - base).abs().max() > 0.1


@pytest.mark.parametrize("repacked", [False, True])
def test_gradients_pass_nf4_layers_after_an_evaluation(tiny_model, tokenizer, repacked):
    """The fault: on a CPU with AVX512-BF16 bitsandbytes repacks the weights in a pass without gradients, and none pass them after."""
    from bitsandbytes.functional import has_avx512bf16
    if repacked and not has_avx512bf16():
        pytest.skip("this CPU has no AVX512-BF16: bitsandbytes repacks nothing here")
    model = load(tiny_model, "quantization.mode=nf4", "compute.dtype=bfloat16")
    for layer in linear4bits(model).values():
        assert layer.support_avx512bf16_for_cpu is False
        layer.support_avx512bf16_for_cpu = repacked
    held_out_losses(model, [encode(tokenizer, chat(0, "Tell me.", words(0)), 512)])
    layer = model.model.layers[0].mlp.up_proj
    inputs = torch.ones(1, 4, 64, dtype=torch.bfloat16, requires_grad=True)
    layer.train()(inputs).sum().backward()
    assert (inputs.grad is None or not inputs.grad.any()) == repacked


def test_adapters_over_nf4_weights_are_trained_in_float32(tiny_model, tokenizer, tmp_path, monkeypatch):
    """TRL by itself rounds them to bfloat16: the second trainer, without our step, shows that it still does."""
    encoded = [encode(tokenizer, chat(n, "Tell me.", words(n)), 128) for n in range(4)]
    settings = config("quantization.mode=nf4", "compute.dtype=bfloat16", "compute.attention=packed-sdpa", "training.max_tokens=128",
                      "training.gradient_checkpointing=false")

    def trained_dtypes():
        base = load_base(tiny_model, settings.quantization, settings.compute)
        trainer = sft.make_trainer(base, tokenizer, encoded, encoded, settings, tmp_path)
        return {parameter.dtype for parameter in trainer.model.parameters() if parameter.requires_grad}

    assert trained_dtypes() == {torch.float32}
    monkeypatch.setattr(sft, "in_float32", lambda model: None)
    assert trained_dtypes() == {torch.bfloat16}


def test_held_out_loss_is_that_of_the_library(tiny_model, tokenizer):
    model = load(tiny_model, "compute.dtype=float32")
    encoded = [encode(tokenizer, chat(n, "Tell me.", words(n)), 512) for n in range(3)]
    got = held_out_losses(model, encoded)
    for item, (loss, tokens) in zip(encoded, got):
        reference = model(input_ids=torch.tensor([item.input_ids]), labels=torch.tensor([item.labels])).loss
        assert tokens == sum(label != IGNORED for label in item.labels[1:])
        assert loss / tokens == pytest.approx(float(reference.detach()), abs=1e-4)
    assert mean_loss([(2.0, 1), (4.0, 3)]) == 1.5


@pytest.mark.parametrize("attention", ["packed-sdpa", "sdpa", "eager"])
def test_held_out_losses_do_not_depend_on_their_neighbours(tiny_model, tokenizer, attention, monkeypatch):
    model = load(tiny_model, "compute.dtype=float32", f"compute.attention={attention}")
    encoded = [encode(tokenizer, chat(n, "Tell me.", words(n, 10 + 5 * n)), 512) for n in range(5)]
    assert len(list(fill_passes(encoded, modeling.PASS_TOKENS))) == 1
    together = held_out_losses(model, encoded)
    alone = [held_out_losses(model, [item])[0] for item in encoded]
    assert [tokens for _, tokens in together] == [tokens for _, tokens in alone]
    assert [loss for loss, _ in together] == pytest.approx([loss for loss, _ in alone], abs=1e-4)
    # The fault: one conversation after the other with positions that run on, as a row without cuts would be read.
    joined = replace(encoded[0], input_ids=sum((item.input_ids for item in encoded), []), labels=sum((item.labels for item in encoded), []))
    assert abs(held_out_losses(model, [joined])[0][0] - sum(loss for loss, _ in alone)) > 1e-2


def test_passes_are_filled_in_order_and_a_long_one_is_alone():
    def of(length):
        return Encoded(str(length), [0] * length, [0] * length)

    passes = [[len(item.input_ids) for item in items] for items in fill_passes([of(n) for n in (4, 5, 2, 30, 1, 9, 1)], 10)]
    assert passes == [[4, 5], [2], [30], [1, 9], [1]]
    assert list(fill_passes([], 10)) == []


def test_auto_takes_what_is_here(monkeypatch):
    chosen = resolve_compute(config().compute)
    assert (chosen.device, chosen.attention) == ("cpu", "packed-sdpa")
    assert chosen.dtype == ("bfloat16" if modeling.bfloat16_gain() > modeling.BFLOAT16_PAYS else "float32")
    for gain, dtype in ((1.0, "float32"), (2.2, "bfloat16")):  # a CPU that emulates it, one that computes in it
        monkeypatch.setattr(modeling, "bfloat16_gain", lambda gain=gain: gain)
        assert modeling.choose_dtype(config().compute) == dtype
    asked = config("compute.dtype=float32", "compute.attention=sdpa").compute
    assert resolve_compute(asked) == asked


@pytest.mark.parametrize(("attention", "package"), [("flash_attention_2", "flash-attn"), ("kernels-community/flash-attn2", "kernels")])
def test_attention_whose_package_is_missing(attention, package):
    if importlib.util.find_spec(package.replace("-", "_")):
        pytest.skip(f"{package} is installed here")
    with pytest.raises(UserError, match=f"its package {package} is not installed"):
        modeling.choose_attention(config(f"compute.attention={attention}").compute)


def test_attention_that_nobody_knows():
    with pytest.raises(UserError, match='compute.attention is "sdap"; expected auto, packed-sdpa, sdpa'):
        modeling.choose_attention(config("compute.attention=sdap").compute)


def test_settings_reach_trl_and_peft(tmp_path):
    values = config("training.learning_rate=3.0e-4", "training.warmup_share=0.1", "lora.r=4", "lora.target_modules=[q_proj]")
    arguments, lora = sft_arguments(values, tmp_path, 7), lora_config(values.lora)
    assert (arguments.learning_rate, arguments.warmup_steps, arguments.gradient_accumulation_steps) == (3e-4, 0.1, 7)
    assert (arguments.max_length, arguments.packing, arguments.packing_strategy) == (4096, True, "bfd")
    assert (arguments.per_device_train_batch_size, arguments.seed) == (4, 42)
    assert str(arguments.lr_scheduler_type.value) == "cosine" and arguments.use_cpu
    assert (lora.r, lora.lora_alpha, lora.lora_dropout, lora.target_modules) == (4, 32, 0.05, {"q_proj"})


def test_accumulation_gives_the_effective_batch_of_conversations(tokenizer):
    encoded = [encode(tokenizer, chat(n, "Tell me.", words(n)), 4096) for n in range(8)]
    tokens = sum(len(item.input_ids) for item in encoded) / len(encoded)
    values = config("training.max_tokens=128", "training.micro_batch=2", "training.effective_batch=64")
    assert accumulation(values.training, encoded) == round(64 / (2 * 128 / tokens))
    assert accumulation(config("training.packing=false", "training.micro_batch=2").training, encoded) == 32


def test_missing_device_model_and_package(tiny_model):
    with pytest.raises(ConfigError, match='no model "smolm2"'):
        model_entry("smolm2")
    with pytest.raises(UserError, match="is not installed"):
        package_gguf("llm_nowhere")
    if torch.cuda.is_available():
        pytest.skip("a CUDA device is here: its absence cannot be tested")
    settings = config("compute.device=cuda")
    with pytest.raises(UserError, match="no CUDA device"):
        load_base(tiny_model, settings.quantization, settings.compute)


def test_answers_do_not_depend_on_their_neighbours(real_model, tokenizer):
    """Left padding must be masked: a prompt decoded beside a much longer one gives the answer it gives alone."""
    from weatherman.serving.engine import answer
    settings = config("compute.dtype=float32")
    model = load_base(real_model, settings.quantization, settings.compute)
    short = ([{"role": "user", "content": "Name a colour."}], [])
    long = ([{"role": "system", "content": "fog " * 90}, {"role": "user", "content": "Name a river."}], [])
    alone = answer(model, tokenizer, [short], 8)
    assert alone == answer(model, tokenizer, [short, long], 8)[:1] and alone[0]
