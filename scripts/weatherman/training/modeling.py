"""Models in memory: load frozen base weights, add or read an adapter, measure held-out loss."""
import math

from weatherman.cli import UserError, progress
from weatherman.training.templates import IGNORED


def load_base(folder, quantization, compute):
    """Return the base model in evaluation mode on `compute.device`.

    quantization.mode nf4 keeps the frozen weights in 4 bits (bitsandbytes; Dettmers et al. 2023, QLoRA), none in compute.dtype.
    """
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    if compute.device == "cuda" and not torch.cuda.is_available():
        raise UserError("compute.device is cuda, but this machine shows no CUDA device.", "--hardware cpu, or run on the GPU box")
    dtype = getattr(torch, compute.dtype)
    four_bit = None
    if quantization.mode == "nf4":
        four_bit = BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype,
                                      bnb_4bit_use_double_quant=quantization.double_quantization)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, attn_implementation=compute.attention, quantization_config=four_bit,
                                                 device_map={"": compute.device}, use_safetensors=True)
    return model.eval()


def read_adapter(base, folder):
    """Return `base` with the adapter of a run folder on it, frozen. `model.disable_adapter()` gives the base again."""
    from peft import PeftModel
    return PeftModel.from_pretrained(base, folder).eval()


def adapter_change(model):
    """Return the Frobenius norm of all LoRA B matrices together: they start at zero, so zero means nothing was learned."""
    return math.sqrt(sum(float(p.detach().float().pow(2).sum()) for name, p in model.named_parameters() if "lora_B" in name))


def held_out_losses(model, encoded, label="held-out loss"):
    """Return [(summed loss, number of loss tokens)] for each Encoded conversation, in nats, one forward pass each.

    Each conversation is alone in its pass: no padding and no neighbour can touch the figure.
    """
    import torch
    was_training = model.training
    model.eval()
    results = []
    with torch.no_grad():
        for item in progress(encoded, label, len(encoded), "conversations"):
            ids = torch.tensor([item.input_ids], device=model.device)          # (1, tokens)
            labels = torch.tensor(item.labels[1:], device=model.device)        # (tokens - 1,)
            keep = labels != IGNORED
            hidden = model(input_ids=ids).logits[0, :-1][keep].float()         # (loss tokens, vocabulary)
            results.append((float(torch.nn.functional.cross_entropy(hidden, labels[keep], reduction="sum")), int(keep.sum())))
    model.train(was_training)
    return results


def mean_loss(results):
    """Return the loss per token in nats over [(summed loss, tokens)]."""
    return sum(loss for loss, _ in results) / sum(tokens for _, tokens in results)
