"""Every key of the configuration reaches TRL, PEFT or the model: none is dead. Presets and profiles give what they promise."""
import math

import pytest
from bitsandbytes.nn import Linear4bit
from transformers import TrainerState

from paths import CONFIGS_DIR
from training.conftest import NAME
from weatherman.cli import UserError
from weatherman.models.registry import model_entry
from weatherman.models.templates import Encoded
from weatherman.schemas import load_file
from weatherman.training import job, sft
from weatherman.training.estimate import find_gpu
from weatherman.training.modeling import load_base
from weatherman.training.monitor import out_of_patience
from weatherman.training_schemas import Compute, Lora, Quantization, Training

TRAINING = {"epochs": 2.0, "max_steps": 3, "micro_batch": 3, "effective_batch": 6400, "learning_rate": "1.0e-5", "scheduler": "linear",
            "warmup_share": 0.2, "weight_decay": 0.1, "max_grad_norm": 0.5, "max_tokens": 2048, "packing": False, "log_steps": 7,
            "eval_steps": 7, "save_steps": 7, "gradient_checkpointing": True, "seed": 7}
LORA = {"r": 3, "alpha": 5, "dropout": 0.5, "target_modules": "[q_proj]"}
LOADING = {"quantization.mode": "nf4-resident", "quantization.double_quantization": "false", "compute.dtype": "bfloat16",
           "compute.attention": "eager"}
# Not an argument of TRL: counted by our callback, and by what keeps the checkpoints.
ELSEWHERE = {"patience", "keep_checkpoints"}


def config(*overrides, hardware="cpu", preset=None):
    return load_file(CONFIGS_DIR / "training_config.yaml", NAME, hardware, preset, list(overrides)).values


@pytest.fixture(scope="module")
def encoded():
    """60 conversations of 30 to 50 tokens."""
    return [Encoded(str(n), [7] * (30 + n % 21), [7] * (30 + n % 21)) for n in range(60)]


def to_libraries(values, encoded, folder):
    """Return what TRL and PEFT are given for a configuration, as one dict."""
    arguments = sft.sft_arguments(values, folder, sft.accumulation(values.training, encoded)).to_dict()
    return {**arguments, **sft.lora_config(values.lora).to_dict()}


def test_every_training_and_lora_key_changes_what_trl_and_peft_get(encoded, tmp_path):
    assert TRAINING.keys() | ELSEWHERE == set(Training.model_fields) and LORA.keys() == set(Lora.model_fields)
    basis = ["training.gradient_checkpointing=false"]
    usual = to_libraries(config(*basis), encoded, tmp_path)
    assert usual == to_libraries(config(*basis), encoded, tmp_path)
    dead = [key for section, keys in (("training", TRAINING), ("lora", LORA)) for key, value in keys.items()
            if to_libraries(config(*basis, f"{section}.{key}={value}"), encoded, tmp_path) == usual]
    assert dead == []


def test_the_defaults_are_the_designs(encoded, tmp_path):
    given = to_libraries(config("training.gradient_checkpointing=false"), encoded, tmp_path)
    wanted = {"learning_rate": 2e-4, "warmup_steps": 0.03, "num_train_epochs": 3, "per_device_train_batch_size": 4, "max_length": 4096,
              "packing": True, "packing_strategy": "bfd", "seed": 42, "r": 16, "lora_alpha": 32, "lora_dropout": 0.05,
              "lr_scheduler_type": "cosine", "eval_strategy": "steps", "metric_for_best_model": "eval_loss", "report_to": []}
    assert {key: given[key] for key in wanted} == wanted and len(given["target_modules"]) == 7


def loaded(folder, *overrides):
    """Return what a loaded model is: dtype, attention, how its layers are kept."""
    values = config("quantization.mode=nf4", "compute.dtype=float32", "compute.attention=sdpa", *overrides)
    model = load_base(folder, values.quantization, values.compute)
    packed = [layer for layer in model.modules() if isinstance(layer, Linear4bit)]
    return str(model.dtype), model.config._attn_implementation, len(packed), packed and packed[0].weight.quant_state.nested


def test_every_quantization_and_compute_key_changes_the_model(tiny_model):
    usual = loaded(tiny_model)
    assert usual == ("torch.float32", "sdpa", 14, True)
    for key, value in LOADING.items():
        assert loaded(tiny_model, f"{key}={value}") != usual, key
    assert {key.split(".")[1] for key in LOADING} | {"device"} == set(Quantization.model_fields) | set(Compute.model_fields)
    with pytest.raises(UserError, match="no MPS device"):
        loaded(tiny_model, "compute.device=mps")


def test_patience_is_counted():
    state = TrainerState(log_history=[{"step": step, "eval_loss": 2.0 + step} for step in (1, 2, 3)], best_global_step=1)
    assert [out_of_patience(state, config(f"training.patience={n}").training.patience) for n in (2, 5)] == [True, False]


@pytest.mark.parametrize("micro_batches, accumulation, epochs, max_steps, expected",
                         [(10, 4, 3.0, -1, 9), (10, 4, 3.0, 5, 5), (10, 4, 3.0, 50, 9), (10, 1, 0.25, -1, 3), (1, 8, 1.0, -1, 1)])
def test_epochs_and_max_steps_both_bound_the_run(tmp_path, micro_batches, accumulation, epochs, max_steps, expected):
    values = config(f"training.epochs={epochs}", f"training.max_steps={max_steps}", "training.gradient_checkpointing=false")
    assert sft.fewest_steps(sft.sft_arguments(values, tmp_path, accumulation), micro_batches) == expected


@pytest.mark.parametrize("preset, numbers", [("highspeed", (1, 4, 2, 1e-3, 100, 4, 8)), ("quality", (3, 2, 4, 5e-4, 300, 8, 16)),
                                             ("bestaccuracy", (5, 1, 8, 2e-4, 1000, 16, 32))])
def test_presets_have_the_designs_numbers(encoded, preset, numbers):
    values = config(preset=preset)
    training, steps = values.training, sft.accumulation(values.training, encoded)
    assert (training.epochs, training.micro_batch, steps, training.learning_rate, training.max_steps, values.lora.r,
            values.lora.alpha) == numbers
    assert training.micro_batch * steps == training.effective_batch == 8


def test_an_update_holds_the_conversations_asked_for_however_many_processes(encoded):
    training = config("training.max_tokens=128", "training.micro_batch=2", "training.effective_batch=64").training
    per_row = 128 / (sum(len(item.input_ids) for item in encoded) / len(encoded))
    assert math.isclose(sft.per_row(training, encoded), per_row)
    assert [sft.accumulation(training, encoded, processes) for processes in (1, 2, 4)] == [
        round(64 / (2 * per_row * processes)) for processes in (1, 2, 4)]
    unpacked = config("training.packing=false", "training.micro_batch=2").training
    assert [sft.accumulation(unpacked, encoded, processes) for processes in (1, 2, 64)] == [32, 16, 1]


@pytest.mark.parametrize("profile", sorted(path.stem for path in (CONFIGS_DIR / "hardware").glob("*.yaml")))
def test_hardware_profiles_hold_only_what_differs(profile):
    usual, changed = config(hardware=None).model_dump(), config(hardware=profile).model_dump()
    written = {(section, key) for section, value in load_layer(profile).items() for key in value}
    assert written == {(section, key) for section, value in usual.items() if isinstance(value, dict)
                       for key in value if value[key] != changed[section][key]}
    assert changed["cost"]["gpu"] is None or find_gpu(changed["cost"]["gpu"])[0] == profile


def load_layer(profile):
    from config_loader import read_layer
    return read_layer(CONFIGS_DIR / "hardware" / f"{profile}.yaml").values


def test_checkpointing_is_off_where_the_estimate_says_that_it_fits(monkeypatch):
    """8B in 4 bits: two rows of 2048 tokens fit 80 GiB without it, not 24 GiB; a word of the user's own rules."""
    entry = model_entry("llama-3.1-8b-instruct")
    values = config("quantization.mode=nf4", "training.micro_batch=2", "training.max_tokens=2048", "compute.dtype=bfloat16")
    for gib, expected in ((80, False), (24, True)):
        monkeypatch.setattr(job, "free_bytes", lambda device, gib=gib: gib * 2**30)
        assert job.choose_checkpointing(values, entry)[0] is expected
        assert f"{gib}.0 GiB" in job.choose_checkpointing(values, entry)[1]
    for word in (True, False):
        said = config(f"training.gradient_checkpointing={str(word).lower()}")
        assert job.choose_checkpointing(said, entry) == (word, "as configured")


def test_a_resumed_run_keeps_to_what_it_chose():
    """The trial that chooses a CPU's precision may go the other way on a busy day; the run would then be another one."""
    values, entry = config("training.gradient_checkpointing=false"), model_entry(NAME)
    for dtype in ("bfloat16", "float32"):
        chosen = {"device": "cpu", "dtype": dtype, "attention": "sdpa"}
        assert job.without_auto(values, entry, chosen)[0].compute.model_dump() == chosen
    other = job.without_auto(values, entry, {"device": "cuda", "dtype": "bfloat16", "attention": "flash_attention_2"})[0].compute
    assert (other.device, other.attention) == ("cpu", "packed-sdpa")


def test_an_unsloth_run_is_refused_with_a_way_on():
    with pytest.raises(UserError, match="unsloth needs an environment of its own") as error:
        job.check_backend("unsloth")
    assert "backend=trl" in error.value.hint
    job.check_backend("trl")
