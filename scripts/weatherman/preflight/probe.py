"""Twenty updates of the real run on the real card: how fast, and in how much memory. Nothing of them is kept but the figures."""
from weatherman.cli import UserError
from weatherman.manifest import now
from weatherman.training.estimate import find_gpu, flops_per_token


def measured(resolved, entry, records, folder, updates):
    """Return the figures of a probe: {model, card, quantization, micro_batch, checkpointing, tokens_per_second, utilization, …}.

    folder: an empty one that the trainer may write to. Raises UserError where there is no CUDA card, or gpus.yaml does not know it.
    """
    import torch

    from weatherman.training import job, session
    if not torch.cuda.is_available():
        raise UserError("a probe measures a CUDA card, and this machine shows none.", "this command on the GPU box")
    name = torch.cuda.get_device_name()
    found = find_gpu(name)
    if found is None:
        raise UserError(f"configs/gpus.yaml does not know {name!r}.", "add the card there: names, memory, TFLOP/s, price")
    prepared = job.prepare(resolved, records)
    config = prepared.config
    figures = session.probe(prepared, folder, updates)
    checkpointing = config.training.gradient_checkpointing
    work = flops_per_token(entry, config.lora, checkpointing=checkpointing, **session.shares(prepared.encoded["train"]))  # as cost.flops
    arithmetic = figures["tokens_per_second"] * work
    return {"model": config.model, "card": found[0], "name": name, "quantization": config.quantization.mode,
            "micro_batch": config.training.micro_batch, "checkpointing": checkpointing, **figures,
            "utilization": arithmetic / (found[1].bf16_tflops * 1e12), "measured_at": now()}
