"""The run folder: everything needed to evaluate, serve and trace an adapter later, in one place (DESIGN §3)."""
import platform
import shutil

from paths import show
from weatherman.cli import GateError, UserError, log
from weatherman.files import sha256_file, write_bytes, write_json
from weatherman.manifest import config_sha256, git_state, now, versions
from weatherman.training.distributed import is_main

ADAPTER_FILES = ("adapter_model.safetensors", "adapter_config.json", "chat_template.jinja")  # what makes the tuned model
NO_NUMBER = "nonfinite.json"  # what was in the update whose loss or gradient was no number
STARTED = "started.json"  # what a run was begun with; becomes part of run.json when it is finished
# What a resumed run may have otherwise: where and how often, but not what is learned. A dot at the end stands for a whole section.
MAY_CHANGE = ("compute.", "cost.", "report_to", "training.gradient_checkpointing", "training.log_steps", "training.save_steps",
              "training.keep_checkpoints", "training.patience")
FIXED = ("config.model", "config.lora.", "config.reference.", "base_model.")  # of other ones, no checkpoint would fit
AGAIN = "bring the run from the GPU box again: scripts/sync_from_remote.sh, or train it again"


def default_name(model, preset, license):
    """Return the name of a run that was given none. Llama's licence wants names of models made from it to begin with "Llama"."""
    name = f"{model}-{preset or 'default'}"
    return "Llama" + name.removeprefix("llama") if is_llama(license) else name


def is_llama(license):
    """Return whether a licence of the registry is one of Meta's for Llama."""
    return license.lower().startswith("llama")


def open_run(folder, resume):
    """Return the newest whole checkpoint of an unfinished run, None when it starts from the beginning. Writes nothing.

    Raises UserError when the run is finished, or the folder holds something else; GateError when the loss was no number and the user
    does not say, with `resume`, that something has changed.
    """
    from weatherman.checkpoints import latest_whole
    if (folder / "run.json").is_file():
        raise UserError(f"{show(folder)}: this run is finished.", f"python scripts/eval_model.py {folder.name}, or --run NAME for another")
    begun = (folder / STARTED).is_file()
    if not begun and folder.exists() and any(path.suffix != ".part" for path in folder.iterdir()):
        raise UserError(f"{show(folder)}: exists, and holds no run of ours that could go on.", "--run NAME for another")
    checkpoint = latest_whole(folder / "checkpoints")
    if (folder / NO_NUMBER).is_file() and not resume:
        raise GateError(f"{show(folder)}: the loss was no number here, and the same again gives the same; see {show(folder / NO_NUMBER)}.",
                        "mend the records, or lower training.learning_rate, and add --resume to go on from "
                        f"{checkpoint.name if checkpoint else 'the beginning'}")
    return checkpoint


def begin(folder, *, script, resolved, base, data, chosen, resume):
    """Write what a run begins with, config.resolved.yaml and started.json, and return the latter; a resumed run keeps its own.

    base: base_model(...); data: {split: describe_file(...)}, both taken before training; chosen: what "auto" became.
    Raises UserError when an unfinished run was begun with other settings, data or another base, and `resume` does not allow it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    now_given = {"config": resolved.plain, "base_model": base, "data": data}
    path = folder / STARTED
    if path.is_file():
        started = read_json(path)
        changes = check_unchanged(folder, started, now_given, resume)
        if resume and is_main():
            (folder / NO_NUMBER).unlink(missing_ok=True)
        if not changes:
            return started
        log(f"{show(folder)}: goes on with other settings or data:\n" + "\n".join(changes))
        started |= {**now_given, "config_sha256": config_sha256(resolved.plain),
                    "changes": [*started.get("changes", []), {"at": now(), "changed": changes}]}
    else:
        started = {"run": folder.name, "script": script, "git": git_state(), **now_given,
                   "config_sha256": config_sha256(resolved.plain), "chosen": chosen, "started_at": now()}
    if is_main():
        write_json(path, started)
        write_config(folder, resolved)
    return started


def chosen_before(folder):
    """Return what "auto" became when the run of a folder began, None for a run that begins now."""
    return read_json(folder / STARTED)["chosen"] if (folder / STARTED).is_file() else None


def check_unchanged(folder, started, given, resume):
    """Return lines that name what an unfinished run would do otherwise than it began.

    Raises UserError when there are some and `resume` is not set, or the adapter would no longer fit.
    """
    before, after = ({path: value for part in ("config", "base_model", "data") for path, value in leaves(source[part], part)}
                     for source in (started, given))
    changed = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path) and not may_change(path)]
    lines = [f"  {path.removeprefix('config.')}: {before.get(path)} -> {after.get(path)}" for path in sorted(changed)]
    fixed = any(path.startswith(FIXED) for path in changed)
    if fixed or (changed and not resume):
        allow = "" if fixed else "--resume to go on with the new ones, or "
        raise UserError(f"{show(folder)}: this run was begun with other settings, data or another base:\n" + "\n".join(lines),
                        f"the settings it had (config.resolved.yaml), or {allow}--run NAME for a new run")
    return lines


def may_change(path):
    """Return whether a resumed run may differ in `path`: MAY_CHANGE, and where a file lies as long as its bytes are the same."""
    key = path.removeprefix("config.")
    return any(key.startswith(free) if free.endswith(".") else key == free for free in MAY_CHANGE) \
        or path.startswith("config.data.") or path.endswith(".path")


def leaves(value, path):
    """Yield ("config.training.seed", 42) for every value below a plain mapping."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from leaves(below, f"{path}.{key}")
    else:
        yield path, value


def base_model(name, entry, folder):
    """Return what is recorded of the base: its registry entry and the hash of its config.json (revision null: not pinned)."""
    return {"name": name, **entry.model_dump(exclude={"training", "shape"}), "config_sha256": sha256_file(folder / "config.json")}


def take_adapter(checkpoint, folder, entry):
    """Copy the adapter, tokenizer and template of a checkpoint into the run folder; the base gets its name on the hub, not here."""
    import orjson
    for path in sorted(checkpoint.iterdir()):
        if path.name in ADAPTER_FILES or path.name.startswith("tokenizer"):
            shutil.copyfile(path, folder / path.name)
    config = orjson.loads((folder / "adapter_config.json").read_bytes())
    write_json(folder / "adapter_config.json", {**config, "base_model_name_or_path": entry.hub_id, "revision": entry.revision})


def read_run(folder):
    """Return run.json of a finished run folder. Raises UserError when it is not one, or is damaged."""
    path = folder / "run.json"
    if not path.is_file():
        raise UserError(f"{show(folder)}: not a finished run (no run.json).", "ls adapters; or train it: python scripts/train.py --help")
    return read_json(path)


def run_config(trained):
    """Return the configuration in a run.json, typed: a schemas.PreferenceRun of a preference run, else a schemas.TrainingConfig."""
    from config_loader import Layer, resolve
    from weatherman.training_schemas import PreferenceRun, TrainingConfig
    return resolve([Layer(trained["config"])], PreferenceRun if trained["script"] == "train_dpo.py" else TrainingConfig).values


def read_json(path):
    """Return the value of one of our JSON files. Raises UserError when it is damaged."""
    import orjson
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


def finish(folder, started, figures):
    """Write run.json, the run's manifest, last of all: its presence means the run is finished."""
    write_json(folder / "run.json", {**started, "files": {name: sha256_file(folder / name) for name in ADAPTER_FILES},
                                     "machine": machine(), "versions": versions(), **figures, "finished_at": now()})
    (folder / STARTED).unlink()
