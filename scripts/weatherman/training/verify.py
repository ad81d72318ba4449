"""Is a model on this disk what was downloaded, and fit to be trained? Bytes, weights, shape, tokenizer, template, one forward pass."""
import json
import math
import os

from weatherman.cli import UserError, progress
from weatherman.machines.storage import FAILURE, FINE, GB, WARNING
from weatherman.models import model_files

SENTENCE = ("The capital of France is Paris, and the capital of Italy is Rome. When it rains, people open their umbrellas, "
            "and when the sun comes out again, they close them.")
SENSIBLE_SHARE = 0.5  # of ln(vocabulary), which is guessing: SmolLM2-135M, our smallest, has 0.21 on SENTENCE
MAX_TOKENS = 2048     # of the probe conversations
LOADED_ROOM = 1.2     # memory that loading takes, as a multiple of the weights
KEYS = {"layers": "num_hidden_layers", "hidden": "hidden_size", "intermediate": "intermediate_size", "heads": "num_attention_heads",
        "kv_heads": "num_key_value_heads", "head_size": "head_dim", "vocabulary": "vocab_size", "context": "max_position_embeddings"}


def verify(folder, entry, forward):
    """Return [(check, outcome, found)] for the model in `folder`. entry: of the registry, None for another model.

    Files that are not what was downloaded are noted in the manifest, so that download_model.py fetches them and no others.
    """
    rows = check_files(folder) + check_weights(folder, entry) + check_config(folder, entry) + check_tokenizer(folder, entry)
    if forward and any(outcome == FAILURE for _, outcome, _ in rows):
        rows.append(("forward pass", WARNING, "left out: the rows above say what is wrong"))
    elif forward:
        rows.append(check_forward(folder))
    return rows


def check_files(folder):
    """Return the rows on the bytes of every file, against the manifest that the download wrote."""
    manifest = model_files.read_manifest(folder)
    if manifest is None:
        return [("files", FAILURE, f"no {model_files.MANIFEST}: nothing says what was downloaded")]
    files = manifest["files"]
    trouble = {name: model_files.checked(folder, name, files[name]) for name in progress(files, "files", len(files), "files")}
    broken = {name: why for name, why in trouble.items() if why}
    if sorted(broken) != manifest["broken"]:
        model_files.mark_broken(folder, broken)
    strange = [path.name for path in folder.glob("*.safetensors") if path.name not in files and model_files.is_weights(path.name)]
    rows = [(name, FAILURE, why) for name, why in broken.items()]
    rows += [(name, FAILURE, f"was not downloaded, and might be loaded in place of what was: rm '{folder / name}'") for name in strange]
    total = sum(file["bytes"] for file in files.values()) / GB
    return rows or [("files", FINE, f"{len(files)}, {total:.2f} GB, each byte as {manifest['checksums_from']} has it")]


def check_weights(folder, entry):
    """Return the rows on the safetensors files: headers that cover their files, an index that names every shard and tensor."""
    from safetensors import SafetensorError, safe_open
    tensors, rows = {}, []
    try:
        names = model_files.shards(folder)
        index = model_files.weight_map(folder) if (folder / model_files.INDEX).is_file() else None
    except UserError as error:
        return [("weights", FAILURE, str(error))]
    for name in names:
        try:
            with safe_open(folder / name, framework="numpy") as file:
                for key in file.keys():  # noqa: SIM118  (it is no dict)
                    part = file.get_slice(key)
                    tensors[key] = (name, part.get_dtype(), math.prod(part.get_shape()))
        except (SafetensorError, OSError) as error:
            rows.append((name, FAILURE, f"no whole safetensors file: {str(error) or type(error).__name__}"))
    if rows:
        return rows
    if index is not None and index != {key: name for key, (name, _, _) in tensors.items()}:
        odd = sorted(index.items() ^ {key: name for key, (name, _, _) in tensors.items()}.items())[0]
        return [(model_files.INDEX, FAILURE, f"does not agree with the shards about {odd[0]} ({odd[1]})")]
    count, dtypes = sum(size for _, _, size in tensors.values()), sorted({dtype for _, dtype, _ in tensors.values()})
    said = f"{count:,} parameters in {len(tensors)} tensors of {', '.join(dtypes)}, {len(names)} file{'s' if len(names) > 1 else ''}"
    if entry and count != entry.parameters:
        return [("weights", FAILURE, f"{said}; configs/models.yaml says {entry.parameters:,}")]
    return [("weights", FINE, said)]


def check_config(folder, entry):
    """Return the row on config.json: the sizes that models.yaml has."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except (OSError, ValueError) as error:
        return [("config.json", FAILURE, f"cannot be read: {error}")]
    found = shape_of(config)
    if entry is None:
        return [("config.json", FINE, ", ".join(f"{name} {value:,}" for name, value in found.items() if value))]
    odd = [f"{name} is {found[name]}, configs/models.yaml says {value}" for name, value in entry.shape.model_dump().items()
           if found[name] != value]
    return [("config.json", FAILURE, "; ".join(odd)) if odd else ("config.json", FINE, "the shape of configs/models.yaml")]


def shape_of(config):
    """Return {name of training_schemas.Shape: number} of a config.json; None for what it does not say."""
    found = {name: config.get(key) for name, key in KEYS.items()}
    found["kv_heads"] = found["kv_heads"] or found["heads"]
    if found["head_size"] is None and found["heads"] and found["hidden"]:
        found["head_size"] = found["hidden"] // found["heads"]
    return found


def check_tokenizer(folder, entry):
    """Return the rows on the tokenizer and on our template, which must train a conversation and a tool call as serving shows them."""
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # it warns that there is no torch; tokenizers need none
    from transformers import AutoTokenizer

    from weatherman.models import templates
    try:
        tokenizer = templates.load_tokenizer(folder, entry) if entry else AutoTokenizer.from_pretrained(folder)
        size, room = len(tokenizer), json.loads((folder / "config.json").read_bytes()).get("vocab_size", 0)
    except UserError as error:
        return [("tokenizer", FAILURE, str(error))]
    except Exception as error:  # tokenizers raises bare Exceptions; whatever it is, it is the finding
        return [("tokenizer", FAILURE, f"does not load: {type(error).__name__}: {str(error).strip()[:200]}")]
    if size > room:
        return [("tokenizer", FAILURE, f"{size:,} tokens; the weights have rows for {room:,}")]
    if entry is None:
        return [("tokenizer", FINE, f"{size:,} tokens"), ("template", WARNING, "not checked: configs/models.yaml does not know this model")]
    rows = [("tokenizer", FINE, f"{size:,} tokens; a turn ends with {entry.end_of_turn}, padding is {entry.pad_token}")]
    try:
        trained = [templates.encode_rows(tokenizer, record, MAX_TOKENS)[-1].loss_tokens for record in probes()]
        for record in probes():
            templates.check_prompts(tokenizer, record)
    except templates.TemplateFault as fault:
        return [*rows, (entry.template, FAILURE, str(fault))]
    return [*rows, (entry.template, FINE, f"trains {trained[0]} tokens of a conversation and {trained[1]} of a tool call, nothing else")]


def probes():
    """Return two chat records (dicts): an exchange, and one with a tool call."""
    asked = [{"role": "system", "content": "You are a river pilot."}, {"role": "user", "content": "How warm is it in Lisbon?"}]
    answer = {"role": "assistant", "content": "It is 21.4 degrees and mainly clear."}
    arguments = '{"latitude": 38.7, "longitude": -9.1, "unit": "celsius"}'
    call = {"id": "a1B2c3D4e", "type": "function", "function": {"name": "get_current_weather", "arguments": arguments}}
    result = {"role": "tool", "content": '{"temperature": 21.4, "condition": "mainly clear"}', "tool_call_id": "a1B2c3D4e",
              "name": "get_current_weather"}
    numbers = {name: {"type": "number"} for name in ("latitude", "longitude")}
    tool = {"type": "function", "function": {"name": "get_current_weather", "description": "Current weather at a place.", "parameters": {
        "type": "object", "properties": {**numbers, "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
        "required": ["latitude", "longitude", "unit"]}}}
    return [{"id": "probe", "messages": [*asked, answer], "tools": []},
            {"id": "probe with a tool", "messages": [*asked, {"role": "assistant", "content": "", "tool_calls": [call]}, result, answer],
             "tools": [tool]}]


def check_forward(folder):
    """Return the row on one pass over SENTENCE: finite numbers, and a loss well below that of guessing.

    Raises UserError where torch is not installed.
    """
    import importlib.util
    if not importlib.util.find_spec("torch"):
        raise UserError("a forward pass needs torch, which this Python does not have.",
                        ".venv-remote/bin/python scripts/verify_model.py … --forward, or .venv-cpu's")
    import torch
    from transformers import AutoTokenizer

    from weatherman.training import hardware, modeling
    from weatherman.training_schemas import Compute, Quantization
    here, needs = hardware.detect(), LOADED_ROOM * sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    if needs > here.memory_bytes:
        return "forward pass", WARNING, f"left out: it needs {needs / GB:.0f} GB, and {here.name} has {here.memory_bytes / GB:.0f}"
    model = modeling.load_base(folder, Quantization(mode="none", double_quantization=False),
                               Compute(device=here.device, dtype="bfloat16", attention="sdpa"))
    ids = AutoTokenizer.from_pretrained(folder)(SENTENCE, return_tensors="pt")["input_ids"].to(model.device)  # (1, tokens)
    with torch.no_grad():
        made = model(input_ids=ids, labels=ids)
    guessing = math.log(model.config.vocab_size)
    loss = made.loss.item()
    if not torch.isfinite(made.logits).all():
        return "forward pass", FAILURE, "it gives numbers that are not finite: weights are damaged"
    said = f"{loss:.2f} nats a token on an English sentence; guessing has {guessing:.2f}"
    return "forward pass", FINE if loss < SENSIBLE_SHARE * guessing else FAILURE, said
