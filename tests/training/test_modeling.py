import pytest
import torch

from config_loader import ConfigError
from paths import CONFIGS_DIR
from training.conftest import chat, words
from weatherman.cli import UserError
from weatherman.schemas import load_file
from weatherman.training.modeling import held_out_losses, load_base, mean_loss
from weatherman.training.models import model_entry, package_gguf
from weatherman.training.sft import accumulation, lora_config, sft_arguments
from weatherman.training.templates import IGNORED, encode


def config(*overrides):
    return load_file(CONFIGS_DIR / "training_config.yaml", "smollm2-135m", "cpu", None, list(overrides)).values


def test_nf4_weights_are_packed_in_four_bits(tiny_model):
    from bitsandbytes.nn import Linear4bit
    settings = config("quantization.mode=nf4")
    model = load_base(tiny_model, settings.quantization, settings.compute)
    layers = [m for m in model.modules() if isinstance(m, Linear4bit)]
    assert layers and all(layer.weight.quant_state.quant_type == "nf4" and layer.weight.quant_state.nested for layer in layers)
    plain = load_base(tiny_model, config().quantization, settings.compute)
    assert not [m for m in plain.modules() if isinstance(m, Linear4bit)]


def test_held_out_loss_is_that_of_the_library(tiny_model, tokenizer):
    settings = config("compute.dtype=float32")
    model = load_base(tiny_model, settings.quantization, settings.compute)
    encoded = [encode(tokenizer, chat(n, "Tell me.", words(n)), 512) for n in range(3)]
    got = held_out_losses(model, encoded)
    for item, (loss, tokens) in zip(encoded, got):
        reference = model(input_ids=torch.tensor([item.input_ids]), labels=torch.tensor([item.labels])).loss
        assert tokens == sum(label != IGNORED for label in item.labels[1:])
        assert loss / tokens == pytest.approx(float(reference), abs=1e-4)
    assert mean_loss([(2.0, 1), (4.0, 3)]) == 1.5


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
