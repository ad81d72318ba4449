"""The model registry: what configs/models.yaml says, and where a model's files lie."""
import importlib.util
import shutil
from pathlib import Path

from config_loader import ConfigError, load_config
from paths import CONFIGS_DIR, folder, show
from weatherman.cli import UserError, log
from weatherman.files import sha256_file
from weatherman.models import model_files
from weatherman.training_schemas import Models


def registry():
    """Return configs/models.yaml (training_schemas.Models): `models`, {name: entry}, and how they are downloaded."""
    return load_config(CONFIGS_DIR / "models.yaml", Models).values


def model_entry(name):
    """Return the registry entry (schemas.Model) called `name`. Raises ConfigError that lists the known ones."""
    models = registry().models
    if name not in models:
        raise ConfigError(f'configs/models.yaml has no model "{name}". There are: {", ".join(models)}.')
    return models[name]


def model_folder(name, entry):
    """Return the folder with the model's weights and tokenizer: models/NAME, unpacked from its package on first use.

    Raises UserError when the model is neither there nor embedded.
    """
    target = folder("models") / name
    if (target / "config.json").is_file():
        return target
    if entry.package is None:
        raise UserError(f"{show(target)}: the model is not there.", f"python scripts/download_model.py {name}")
    return unpack_gguf(package_gguf(entry.package), target)


def package_gguf(package):
    """Return the path of the GGUF file that a Python package carries, without importing the package."""
    found = importlib.util.find_spec(package)
    files = [p for root in (found.submodule_search_locations if found else []) for p in Path(root).glob("*.gguf")]
    if not files:
        raise UserError(f"the package {package}, which carries the model, is not installed in this environment.",
                        "bash setup_remote.sh --cpu, then .venv-cpu/bin/python …")
    return files[0]


def unpack_gguf(gguf, target):
    """Dequantise a GGUF file to bfloat16 safetensors in the folder `target` and return it. Written aside, hashed, renamed when whole."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    log(f"unpacking {gguf.name} to {show(target)} (once)")
    aside = target.with_name(target.name + ".part")
    shutil.rmtree(aside, ignore_errors=True)
    source = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    AutoTokenizer.from_pretrained(**source).save_pretrained(aside)
    model = AutoModelForCausalLM.from_pretrained(**source, quantization_config=GgufConfig(dequantize=True), dtype=torch.bfloat16)
    model.save_pretrained(aside)
    model_files.record(aside, {"repo": gguf.name, "revision": sha256_file(gguf), "source": "package", "checksums_from": "unpacking"})
    aside.rename(target)
    return target
