"""What a training run needs before a weight is loaded: checked conversations, and this machine's choices in place of "auto"."""
import time
from dataclasses import dataclass, field

from paths import base_dir
from weatherman.cli import GateError, UserError, log, table
from weatherman.manifest import check_input


@dataclass(frozen=True)
class Job:
    """What a run needs. config: schemas.TrainingConfig without "auto"; encoded: {"train": [Encoded], "validation": [Encoded]}."""

    config: object
    entry: object
    model_dir: object
    tokenizer: object
    encoded: dict
    notes: dict  # why "auto" became what it did
    began: float = field(default_factory=time.monotonic)  # loading the model is paid for too


def read_data(data, read):
    """Return ({"train": records, "validation": records}, {"train": describe_file(...), ...}): hashed, then read and checked by `read`.

    data: schemas.TrainingData; read: templates.read_chat or preference.read_pairs.
    """
    paths = {"train": base_dir() / data.train, "validation": base_dir() / data.validation}
    files = {name: check_input(path) for name, path in paths.items()}
    return {name: read(path) for name, path in paths.items()}, files


def prepare(resolved, records, names=None, chosen=None):
    """Return the Job of a Resolved training configuration and {"train": [dict], "validation": [dict]}; nothing is written.

    names: how messages call the records' files. chosen: what "auto" became when the run began, for a run that is resumed.
    Every conversation has passed every check of templates.py. Raises UserError, GateError and ConfigError.
    """
    from weatherman.models.registry import model_entry, model_folder
    from weatherman.models.templates import encode_all, load_tokenizer
    from weatherman.training.quiet import quiet_libraries
    from weatherman.training.trackers import check_trackers
    config = resolved.values
    check_backend(config.backend)
    check_trackers(config.report_to)
    entry = model_entry(config.model)
    quiet_libraries()
    model_dir = model_folder(config.model, entry)
    tokenizer = load_tokenizer(model_dir, entry)
    encoded = {name: encode_all(tokenizer, rows, config.training.max_tokens, (names or {}).get(name, name))
               for name, rows in records.items()}
    check_no_leak(encoded)
    config, notes = without_auto(config, entry, chosen)
    return Job(config, entry, model_dir, tokenizer, encoded, notes)


def check_backend(backend):
    """Raise UserError for a backend whose package is not installed here."""
    if backend == "unsloth":
        raise UserError("backend: unsloth needs an environment of its own (it wants older transformers and trl than ours), and this "
                        "version cannot train with it.", "--set backend=trl; quantization.mode=nf4-resident is the fast path here")


def check_no_leak(encoded):
    """Raise GateError when a held-out conversation is also trained on, token for token."""
    trained = {tuple(item.input_ids) for item in encoded["train"]}
    leaked = [item.id for item in encoded["validation"] if tuple(item.input_ids) in trained]
    if leaked:
        raise GateError(f"{len(leaked)} validation conversations are also in the training set, first {leaked[0]}.",
                        "python scripts/08_build_dataset.py --force")


def without_auto(config, entry, chosen=None):
    """Return (the configuration with this machine's choices in place of "auto", {key: why}). `chosen` is kept to on the same device."""
    from weatherman.training.modeling import resolve_compute
    wanted = config.compute
    if chosen and wanted.device in ("auto", chosen["device"]):
        kept = {key: chosen[key] for key in ("device", "dtype", "attention") if getattr(wanted, key) == "auto"}
        wanted = wanted.model_copy(update=kept)
    config = config.model_copy(update={"compute": resolve_compute(wanted)})
    checkpointing, why = choose_checkpointing(config, entry)
    training = config.training.model_copy(update={"gradient_checkpointing": checkpointing})
    return config.model_copy(update={"training": training}), {"gradient_checkpointing": why}


def choose_checkpointing(config, entry):
    """Return (whether activations are recomputed, why): `auto` recomputes where the estimate says that they do not fit."""
    wanted = config.training.gradient_checkpointing
    if wanted != "auto":
        return wanted, "as configured"
    from weatherman.training.estimate import fits_without_checkpointing
    memory = free_bytes(config.compute.device)
    fits = fits_without_checkpointing(entry, config, memory)
    return not fits, f"the estimate without it {'fits' if fits else 'does not fit'} the {memory / 2**30:,.1f} GiB that are free"


def free_bytes(device):
    """Return the memory in bytes that is free now on "cuda", "mps" or "cpu"; MAX_VRAM_GB and a container's limit are kept to."""
    import psutil
    import torch

    from weatherman.training.hardware import detect
    free = torch.cuda.mem_get_info()[0] if device == "cuda" else psutil.virtual_memory().available
    return min(free, detect(force_cpu=True if device == "cpu" else None).memory_bytes)


def machine_rows(job):
    """Return the rows of the plan that every kind of training has: what is trained, and on what."""
    config, compute = job.config, job.config.compute
    weights = compute.dtype if config.quantization.mode == "none" else config.quantization.mode
    return [["model", f"{config.model}, {job.entry.parameters / 1e6:,.0f} M parameters, {weights} on {compute.device}"],
            ["computing", f"{compute.dtype}, attention {compute.attention}"],
            ["checkpointing", f"{'on' if config.training.gradient_checkpointing else 'off'}: {job.notes['gradient_checkpointing']}"]]


def plan(job):
    """Print what is about to be trained, and on what."""
    from weatherman.training.distributed import count
    from weatherman.training.sft import accumulation
    from weatherman.training.sft import per_row as rows_of
    training = job.config.training
    rows = machine_rows(job)
    for name, items in job.encoded.items():
        tokens, loss_tokens = sum(len(i.input_ids) for i in items), sum(i.loss_tokens for i in items)
        rows.append([name, f"{len(items):,} conversations, {tokens:,} tokens, {loss_tokens:,} trained ({loss_tokens / tokens:.0%})"])
        longest = max(len(i.input_ids) for i in items)
        rows.append(["  longest", f"{longest:,} of {training.max_tokens:,} tokens"])
    steps, per_row = accumulation(training, job.encoded["train"], count()), rows_of(training, job.encoded["train"])
    processes = f" x {count()} processes" if count() > 1 else ""
    rows.append(["update", f"{training.micro_batch} row(s) x {steps} accumulated{processes}: about "
                           f"{training.micro_batch * steps * count() * per_row:.0f} conversations, {training.effective_batch} asked for"])
    log(table(rows, ["plan", ""]))


def choices(config):
    """Return what this machine chose, as it is kept with the run."""
    return {**config.compute.model_dump(), "gradient_checkpointing": config.training.gradient_checkpointing}
