"""The run folder: everything needed to evaluate, serve and trace an adapter later, in one place (DESIGN §3)."""
import platform

from paths import show
from weatherman.cli import UserError
from weatherman.files import sha256_file, write_bytes, write_json
from weatherman.manifest import config_sha256, describe_file, git_state, now, versions

ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json", "chat_template.jinja")  # what makes the tuned model
AGAIN = "bring the run from the GPU box again: scripts/sync_from_remote.sh, or train it again"


def read_run(folder):
    """Return run.json of a finished run folder. Raises UserError when it is not one, or is damaged."""
    import orjson
    path = folder / "run.json"
    if not path.is_file():
        raise UserError(f"{show(folder)}: not a finished run (no run.json).", "ls adapters; or train it: python scripts/train.py --help")
    try:
        return orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise UserError(f"{show(path)}: damaged, it is not JSON any more: {error}.", AGAIN) from None


def check_adapter(folder, files):
    """Raise UserError unless the adapter's files are those of `files`, {name: sha256} as run.json has them."""
    for name, sha256 in files.items():
        path = folder / name
        if not path.is_file() or sha256_file(path) != sha256:
            raise UserError(f"{show(path)}: {'its bytes are not those that train.py wrote' if path.is_file() else 'no such file'}.", AGAIN)


def write_config(folder, resolved):
    """Write config.resolved.yaml: every value and, as a comment, the file and line it came from."""
    import yaml
    lines = ["# The resolved configuration of this run; comments say where each value came from."]
    for section, value in resolved.plain.items():
        if isinstance(value, dict):
            lines.append(f"{section}:")
            lines += [f"  {key}: {_inline(yaml, below)}    # {resolved.places.get((section, key), '')}" for key, below in value.items()]
        else:
            lines.append(f"{section}: {_inline(yaml, value)}    # {resolved.places.get((section,), '')}")
    write_bytes(folder / "config.resolved.yaml", ("\n".join(lines) + "\n").encode())


def _inline(yaml, value):
    return yaml.safe_dump(value, default_flow_style=True, width=10**6).removesuffix("\n").removesuffix("\n...")


def machine():
    """Return what the run was computed on: {gpu, cpu_threads, platform}."""
    import torch
    gpu = torch.cuda.get_device_name(0) if torch.cuda.is_available() else None
    return {"gpu": gpu, "cpu_threads": torch.get_num_threads(), "platform": platform.platform()}


def write_run(folder, *, resolved, entry, data_files, figures):
    """Write run.json: the run's manifest. Called last: its presence means the run is finished."""
    write_json(folder / "run.json", {
        "run": folder.name, "script": "train.py", "git": git_state(),
        "config": resolved.plain, "config_sha256": config_sha256(resolved.plain),
        "base_model": {"name": resolved.plain["model"], **entry.model_dump(exclude={"training"})},
        "data": {name: describe_file(path) for name, path in data_files.items()},
        "files": {name: sha256_file(folder / name) for name in ADAPTER_FILES},
        "machine": machine(), "versions": versions(), **figures, "finished_at": now()})


def write_card(folder, *, resolved, entry, figures):
    """Write README.md, the model card: base, data, figures, licence."""
    plain = resolved.plain
    text = f"""---
base_model: {entry.hub_id}
library_name: peft
license: {entry.license.lower()}
tags: [lora, sft, weatherman-lora]
---
# {folder.name}

A LoRA adapter for [{entry.hub_id}](https://huggingface.co/{entry.hub_id}), trained by Weatherman-LoRA's `train.py`.

| | |
|---|---|
| conversations (training / validation) | {figures['records']['train']:,} / {figures['records']['validation']:,} |
| updates, tokens seen | {figures['steps']:,}, {figures['tokens_seen']:,} |
| held-out loss per token, before → after | {figures['loss_before']:.4f} → {figures['loss_after']:.4f} nats |
| LoRA rank, alpha | {plain['lora']['r']}, {plain['lora']['alpha']} |
| learning rate, seed | {plain['training']['learning_rate']:g}, {plain['training']['seed']} |

Only the assistant's words were trained. `config.resolved.yaml` holds every setting, `run.json` the hashes of the data and the
versions of the software, `metrics.jsonl` the loss curve, `chat_template.jinja` the template the model was trained with.

The base model's licence ({entry.license}) applies to the adapter. The training data's licences are listed with its records.
"""
    write_bytes(folder / "README.md", text.encode())
