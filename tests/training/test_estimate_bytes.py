"""The estimate's bytes against real tensors, counted without a GPU: frozen weights, adapters, what autograd saves; and TRL's packing."""
import random
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from paths import CONFIGS_DIR
from weatherman.models.templates import Encoded
from weatherman.schemas import load_file
from weatherman.training import estimate, packing, sft
from weatherman.training.modeling import in_float32, spare_input_copies

SEVEN = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
SHAPE = SimpleNamespace(layers=4, hidden=96, intermediate=320, heads=6, kv_heads=2, head_size=16, vocabulary=512)


def adapted(dropout=0.05, targets=SEVEN):
    """Return a random Llama of SHAPE in bf16 with LoRA in float32, in training mode."""
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaConfig, LlamaForCausalLM
    config = LlamaConfig(vocab_size=SHAPE.vocabulary, hidden_size=SHAPE.hidden, intermediate_size=SHAPE.intermediate,
                         num_hidden_layers=SHAPE.layers, num_attention_heads=SHAPE.heads, num_key_value_heads=SHAPE.kv_heads,
                         head_dim=SHAPE.head_size, attn_implementation="sdpa")
    model = get_peft_model(LlamaForCausalLM(config).to(torch.bfloat16), LoraConfig(r=4, lora_dropout=dropout, target_modules=list(targets)))
    in_float32(model)
    spare_input_copies(model)
    return model.train()


def saved_bytes(model, tokens, checkpointing=False):
    """Return the bytes that autograd keeps of a forward pass, parameters and buffers apart; bf16 autocast, as on a GPU."""
    if checkpointing:
        model.gradient_checkpointing_enable({"use_reentrant": False})
        model.enable_input_require_grads()
    own = {tensor.untyped_storage().data_ptr() for tensor in [*model.parameters(), *model.buffers()]}
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor
        return tensor

    vocabulary = model.config.vocab_size
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), torch.autocast("cpu", torch.bfloat16):
        out = model.get_base_model().model(input_ids=torch.randint(0, vocabulary, (1, tokens)), use_cache=False).last_hidden_state
    del out
    return sum(tensor.untyped_storage().nbytes() for place, tensor in kept.items() if place not in own)


def lora(dropout=0.05, targets=SEVEN, r=4):
    return SimpleNamespace(r=r, dropout=dropout, target_modules=targets)


@pytest.mark.parametrize("dropout, targets", [(0.05, SEVEN), (0.0, SEVEN), (0.05, ["q_proj", "v_proj"]), (0.0, ["o_proj", "up_proj"])])
@pytest.mark.parametrize("tokens", [48, 200])
def test_a_layer_saves_exactly_what_is_counted(dropout, targets, tokens):
    """Two models that differ by two layers: what is saved once falls out. A CPU's dropout mask has its input's width."""
    saved = {}
    for layers in (2, 4):
        SHAPE.layers = layers
        saved[layers] = saved_bytes(adapted(dropout, targets), tokens)
    counted = estimate.layer_bytes(SHAPE, lora(dropout, targets), mask=2) * tokens
    casts = 2 * estimate.adapter_parameters(SHAPE, lora(dropout, targets)) / SHAPE.layers
    assert (saved[4] - saved[2]) / 2 == counted + casts


@pytest.mark.parametrize("tokens", [48, 200])
def test_checkpointing_keeps_the_inputs_of_the_layers(tokens):
    SHAPE.layers = 4
    last_norm = (estimate.NORM * SHAPE.hidden + 4) * tokens
    assert saved_bytes(adapted(), tokens, True) == SHAPE.layers * SHAPE.hidden * 2 * tokens + last_norm


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="only Linux lets a process reset its own peak of memory")
def test_logits_take_as_much_as_is_counted_however_many_tokens_have_a_loss(tokenizer, tmp_path, loss_tokens=3072):
    """A training step of one thin layer under the real vocabulary: its peak is the logits'. All of them at once are 12 chunks.

    A part may lie in memory that the process had freed but not given back.
    """
    from transformers import LlamaConfig, LlamaForCausalLM
    thin = LlamaConfig(vocab_size=49152, hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
                       max_position_embeddings=4096, tie_word_embeddings=True)
    config = load_file(CONFIGS_DIR / "training_config.yaml", "smollm2-135m", "cpu", "smoke",
                       ["training.max_tokens=4096", "training.packing=false", "compute.dtype=float32", "compute.attention=sdpa"]).values
    talk = Encoded("long", list(range(9, 10 + loss_tokens)), [-100, *range(10, 10 + loss_tokens)])
    trainer = sft.make_trainer(LlamaForCausalLM(thin), tokenizer, [talk], [talk], config, tmp_path)
    trainer.create_optimizer()
    batch = next(iter(trainer.get_train_dataloader()))
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = memory_bytes("VmRSS")
    trainer.training_step(trainer.model, batch, num_items_in_batch=torch.tensor(loss_tokens))
    entry = SimpleNamespace(shape=SimpleNamespace(vocabulary=thin.vocab_size))
    assert 0.6 < (memory_bytes("VmHWM") - before) / estimate.logit_bytes(entry) < 1.2


def memory_bytes(name):
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(f"{name}:"))
    return int(line.split()[1]) * 1024


@pytest.mark.parametrize("double", [True, False])
def test_frozen_weights_in_four_bits_take_what_is_counted(tmp_path, double):
    """As load_base loads them; the tables of bitsandbytes, about 1 kB a projection, are not counted."""
    from transformers import LlamaConfig, LlamaForCausalLM

    from weatherman.training.modeling import load_base
    shape = SimpleNamespace(layers=2, hidden=256, intermediate=512, heads=4, kv_heads=2, head_size=64, vocabulary=512)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=512, hidden_size=256, intermediate_size=512, num_hidden_layers=2,
                                         num_attention_heads=4, num_key_value_heads=2))
    model.to(torch.bfloat16).save_pretrained(tmp_path)
    overrides = ["quantization.mode=nf4", "compute.dtype=bfloat16", f"quantization.double_quantization={str(double).lower()}"]
    config = load_file(CONFIGS_DIR / "training_config.yaml", None, "cpu", None, overrides).values
    base = load_base(tmp_path, config.quantization, config.compute)
    real = sum(p.numel() * p.element_size() + constants_bytes(p) for p in base.parameters())
    counted = estimate.weight_bytes(SimpleNamespace(shape=shape, parameters=model.num_parameters()), config.quantization, 2)
    assert 0 <= real - counted <= 1100 * 7 * shape.layers


def constants_bytes(parameter):
    """Return the bytes beside a 4-bit weight, 0 for any other."""
    states = [state for state in (getattr(parameter, "quant_state", None),) if state is not None]
    states += [state.state2 for state in states if state.nested]
    return sum(tensor.numel() * tensor.element_size() for state in states for tensor in (state.absmax, state.code))


@pytest.mark.parametrize("count, longest, row", [(10, 50, 64), (2500, 900, 1024), (1, 5, 8)])
def test_rows_are_those_of_trls_packing(count, longest, row):
    from datasets import Dataset
    from trl.data_utils import pack_dataset
    rng = random.Random(count)
    lengths = [rng.randint(1, longest) for _ in range(count)]
    dataset = Dataset.from_dict({"input_ids": [[0] * length for length in lengths]}).shuffle(seed=42)
    theirs = [len(ids) for ids in pack_dataset(dataset, row, "bfd")["input_ids"]]
    ours = packing.pack(lengths, SimpleNamespace(packing=True, seed=42, max_tokens=row))
    assert sorted(ours.fills) == sorted(theirs) and ours.fill == sum(theirs) / len(theirs) / row


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a card to probe")
def test_a_probe_without_a_card_says_so(tmp_path):
    from weatherman.cli import UserError
    from weatherman.preflight.probe import measured
    with pytest.raises(UserError, match="this machine shows none"):
        measured(None, None, {}, tmp_path, 20)
