"""A chat model in a process of its own, for scripts whose environment has no torch: a JSON request a line in, an answer a line out.

Started by `local_model`; by hand: cd scripts && ../.venv-cpu/bin/python -m weatherman.serving.worker smollm2-135m
"""
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

from paths import REPO_DIR, SCRIPTS_DIR
from weatherman.cli import UserError, run
from weatherman.files import parse_json_line, sha256_by_name, sha256_bytes, to_json_line

CPU_PYTHON = REPO_DIR / ".venv-cpu" / "bin" / "python"
DIGEST_CHARS = 12


def local_model(name):
    """Return (complete, model name) for a folder or a name of configs/models.yaml; a folder's name gets a digest of its weights.

    complete(messages, parameters) -> Reply reads max_tokens alone and decodes greedily; its first call starts the process, with this
    Python or .venv-cpu's, whichever has torch. Raises UserError where neither has, and when the process ends.
    """
    from weatherman.dialogue.teacher import Reply
    from weatherman.models.registry import model_entry
    python = Path(sys.executable if importlib.util.find_spec("torch") else CPU_PYTHON)
    if not python.is_file():
        raise UserError(f"{name}: a model that is run here needs torch, and neither this Python nor .venv-cpu has it.",
                        "./setup_remote.sh --cpu; or serve the model elsewhere and give its address")
    place, model = name, name
    if Path(name).is_dir():
        if not (Path(name) / "config.json").is_file():
            raise UserError(f"{name}: no model in this folder (no config.json).", "a folder as save_pretrained or hf download writes it")
        place = str(Path(name).resolve())
        weights = sha256_bytes(to_json_line(sha256_by_name(Path(name).glob("*.safetensors"))))
        model = f"{Path(place).name}@{weights[:DIGEST_CHARS]}"
    else:
        model_entry(name)  # raises for a name that is not there
    worker = []

    def complete(messages, parameters):
        if not worker:  # it ends when our end of its stdin closes, with us
            worker.append(subprocess.Popen([python, "-m", "weatherman.serving.worker", place], cwd=SCRIPTS_DIR,
                                           stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        try:
            worker[0].stdin.write(to_json_line({"messages": messages, "max_tokens": parameters["max_tokens"]}))
            worker[0].stdin.flush()
            answer, _ = parse_json_line(worker[0].stdout.readline())
        except BrokenPipeError:
            answer = None
        if answer is None:
            raise UserError(f"{name}: the process that ran the model has ended (status {worker[0].wait()}); it said why above.")
        return Reply(**answer)

    return complete, model


def main(argv=None):
    """Load the model and answer until stdin ends. stdout is the parent's: what libraries print goes to stderr."""
    from weatherman.models.registry import model_entry, model_folder
    from weatherman.serving.engine import generate, load_chat_model
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    name = (argv or sys.argv[1:])[0]
    model, tokenizer = load_chat_model(Path(name) if Path(name).is_dir() else model_folder(name, model_entry(name)))
    for line in sys.stdin.buffer:
        request, _ = parse_json_line(line)
        text, read, written, ended = generate(model, tokenizer, [(request["messages"], [])], request["max_tokens"])[0]
        answers.write(to_json_line({"content": text, "finish_reason": "stop" if ended else "length", "prompt_tokens": read,
                                    "completion_tokens": written}))
        answers.flush()
    return 0


if __name__ == "__main__":
    sys.exit(run(main))
