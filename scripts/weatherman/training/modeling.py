"""Models in memory: load frozen base weights, add or read an adapter, measure held-out loss."""
import functools
import importlib.util
import math
import time

from weatherman.cli import UserError, progress
from weatherman.models.templates import IGNORED
from weatherman.training import attention, distributed

TRIAL_ROWS, TRIAL_WIDTH = 256, 768  # tokens and hidden size of the trial product: a small model's, 0.6 GFLOP
PASS_TOKENS = 2048                  # of a pass of held_out_losses: at a vocabulary of 128,256 its logits take at most 1.6 GB
ATTENTIONS = {attention.NAME: None, "sdpa": None, "eager": None, "flash_attention_2": "flash_attn"}  # and the module each needs
BFLOAT16_PAYS = 1.2                 # below this the casts beside the products cost more than is won


def choose_device(compute):
    """Return cuda, mps or cpu. Raises UserError when the one that was asked for is not here."""
    import torch
    here = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if compute.device == "auto":
        return next(name for name, found in here.items() if found)
    if not here[compute.device]:
        raise UserError(f"compute.device is {compute.device}, but this machine shows no {compute.device.upper()} device.",
                        "--hardware cpu, or run on the GPU box")
    return compute.device


def choose_dtype(compute):
    """Return bfloat16 or float32; `auto` takes bfloat16 where the device computes in it, not merely emulates it."""
    import torch
    if compute.dtype != "auto":
        return compute.dtype
    fast = {"cuda": lambda: torch.cuda.is_bf16_supported(including_emulation=False),
            "mps": lambda: torch.backends.mps.is_macos_or_newer(14, 0),
            "cpu": lambda: bfloat16_gain() > BFLOAT16_PAYS}
    return "bfloat16" if fast[choose_device(compute)]() else "float32"


@functools.cache
def bfloat16_gain():
    """Return how many times faster than in float32 this CPU multiplies matrices in bfloat16: the best of three, about 0.05 s."""
    import torch

    def best_s(dtype):
        x, weight = torch.ones(TRIAL_ROWS, TRIAL_WIDTH, dtype=dtype), torch.ones(2 * TRIAL_WIDTH, TRIAL_WIDTH, dtype=dtype)
        times = []
        for _ in range(4):  # the first one also chooses the kernel
            started = time.perf_counter()
            torch.nn.functional.linear(x, weight)
            times.append(time.perf_counter() - started)
        return min(times[1:])

    with torch.no_grad():
        return best_s(torch.float32) / best_s(torch.bfloat16)


def choose_attention(compute):
    """Return the name transformers takes. `auto`: flash_attention_2 on cuda in bfloat16 where its package is installed, else packed-sdpa.

    Raises UserError for a name that is not known, or whose package is missing.
    """
    installed = {name: importlib.util.find_spec(name) is not None for name in ("flash_attn", "kernels")}
    if compute.attention == "auto":
        flash = installed["flash_attn"] and (choose_device(compute), choose_dtype(compute)) == ("cuda", "bfloat16")
        return "flash_attention_2" if flash else attention.NAME
    hub_kernel = "/" in compute.attention
    if not hub_kernel and compute.attention not in ATTENTIONS:
        raise UserError(f'compute.attention is "{compute.attention}"; expected auto, {", ".join(ATTENTIONS)}, or a hub kernel OWNER/NAME.')
    needs = "kernels" if hub_kernel else ATTENTIONS[compute.attention]
    if needs and not installed[needs]:
        package = needs.replace("_", "-")
        raise UserError(f"compute.attention is {compute.attention}, but its package {package} is not installed here.",
                        f"pip install {package}, or --set compute.attention=auto")
    return compute.attention


def resolve_compute(compute):
    """Return `compute` without "auto": what this machine uses, fit to be written down and used again when a run is resumed."""
    return compute.model_copy(update={"device": choose_device(compute), "dtype": choose_dtype(compute),
                                      "attention": choose_attention(compute)})


def load_base(folder, quantization, compute):
    """Return the base model in evaluation mode; "auto" in `compute` is resolved by `resolve_compute`.

    quantization.mode nf4 keeps the frozen weights in 4 bits (bitsandbytes; Dettmers et al. 2023, QLoRA); nf4-resident unpacks the same
    4-bit weights once and keeps them in compute.dtype, as plain layers: four times the memory, no unpacking in every pass; none takes
    the weights as they are.
    """
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    compute = resolve_compute(compute)
    attention.register()
    dtype = getattr(torch, compute.dtype)
    four_bit = None
    if quantization.mode != "none":
        four_bit = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype,
                                      bnb_4bit_use_double_quant=quantization.double_quantization,
                                      # FSDP shares out tensors of one floating type only; the bits in them are the same
                                      bnb_4bit_quant_storage=dtype if distributed.sharded() else torch.uint8)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation=compute.attention, quantization_config=four_bit,
                                                 device_map={"": compute.device}, use_safetensors=True)
    if quantization.mode == "nf4":
        keep_nf4_format(model)
    elif quantization.mode == "nf4-resident":
        model.dequantize(dtype)
        del model.is_loaded_in_4bit  # transformers leaves it, and TRL would round the adapter of such a model to bfloat16
    return model.eval()


def keep_nf4_format(model):
    """Stop bitsandbytes from repacking the 4-bit weights.

    On a CPU with AVX512-BF16 the first pass without gradients, our held-out loss, would turn them for good into a format for inference
    only: no gradient goes through it, and its rounding is another one.
    """
    from bitsandbytes.nn import Linear4bit
    for module in model.modules():
        if isinstance(module, Linear4bit):
            module.support_avx512bf16_for_cpu = False


def read_adapter(base, folder):
    """Return `base` with the adapter of a run folder on it, frozen. `model.disable_adapter()` gives the base again."""
    from peft import PeftModel
    return PeftModel.from_pretrained(base, folder).eval()


def spare_input_copies(model):
    """Let adapters take their inputs as they come; for a model that is only called under bfloat16 autocast.

    peft would make a float32 copy of every input, which dropout runs over and autocast turns into bfloat16 again.
    """
    from peft.tuners.lora import LoraLayer
    for module in model.modules():
        if isinstance(module, LoraLayer):
            module.cast_input_dtype_enabled = False


def in_float32(model):
    """Keep what is trained in float32.

    TRL rounds adapters over 4-bit weights to bfloat16, whose steps are 0.4 % of a weight: the small updates at the end of a schedule
    would be lost, and `nf4` would train otherwise than `nf4-resident`.
    """
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()


def adapter_change(model):
    """Return the Frobenius norm of all LoRA B matrices together: they start at zero, so zero means nothing was learned."""
    return math.sqrt(sum(float(p.detach().float().pow(2).sum()) for name, p in model.named_parameters() if "lora_B" in name))


def held_out_losses(model, encoded, label="held-out loss"):
    """Return [(summed loss, number of loss tokens)] for each Encoded conversation, in nats.

    Several conversations share a pass, each with its own positions, so none sees another; nothing is padded, and logits are made for
    the loss tokens alone.
    """
    import torch
    was_training = model.training
    model.eval()
    passes, results = list(fill_passes(encoded, PASS_TOKENS)), []
    with torch.no_grad():
        for items in progress(passes, label, len(passes), "passes"):
            results += losses_of_pass(model, items)
    model.train(was_training)
    return results


def fill_passes(encoded, max_tokens):
    """Yield lists of neighbouring conversations of at most `max_tokens` together; a longer one is alone."""
    items, tokens = [], 0
    for item in encoded:
        if items and tokens + len(item.input_ids) > max_tokens:
            yield items
            items, tokens = [], 0
        items.append(item)
        tokens += len(item.input_ids)
    if items:
        yield items


def losses_of_pass(model, items):
    """Return [(summed loss, number of loss tokens)] for conversations that are packed into one row."""
    import torch
    ids, positions, keep, targets, counts = [], [], [], [], []
    for item in items:
        told = [at for at, target in enumerate(item.labels[1:]) if target != IGNORED]  # logits at `at` foretell the token behind it
        keep += [len(ids) + at for at in told]
        targets += [item.labels[at + 1] for at in told]
        counts.append(len(told))
        ids += item.input_ids
        positions += range(len(item.input_ids))
    ids, positions, keep, targets = (torch.tensor(values, device=model.device) for values in (ids, positions, keep, targets))
    with torch.autocast(model.device.type, torch.bfloat16, enabled=model.dtype == torch.bfloat16):  # as in training
        # With a cache, transformers would not look for conversations in the positions, and neighbours would see each other.
        logits = model(input_ids=ids[None], position_ids=positions[None], logits_to_keep=keep, use_cache=False).logits[0]
    losses = torch.nn.functional.cross_entropy(logits.float(), targets, reduction="none")  # (loss tokens,)
    return [(float(part.sum()), len(part)) for part in losses.split(counts)]


def mean_loss(results):
    """Return the loss per token in nats over [(summed loss, tokens)]."""
    return sum(loss for loss, _ in results) / sum(tokens for _, tokens in results)
