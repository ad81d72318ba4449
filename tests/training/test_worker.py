"""A model in a process of its own: it answers, says what it read and wrote, and its end is told."""
import shutil

import psutil
import pytest

from config_loader import ConfigError
from paths import TEMPLATES_DIR
from weatherman.cli import UserError
from weatherman.serving.worker import local_model

ASKED = [{"role": "user", "content": "Name a river."}]


def test_a_local_model_answers_one_request_after_the_other_and_its_end_is_told(tiny_model, tmp_path):
    folder = shutil.copytree(tiny_model, tmp_path / "chatty")
    shutil.copy(TEMPLATES_DIR / "smollm2.jinja", folder / "chat_template.jinja")
    complete, name = local_model(str(folder))
    first, second = complete(ASKED, {"max_tokens": 4, "temperature": 0.7}), complete(ASKED, {"max_tokens": 2})
    assert first.completion_tokens == 4 and first.finish_reason == "length" and second.completion_tokens == 2
    assert first.prompt_tokens == second.prompt_tokens > 4 and name.startswith("chatty@")
    next(child for child in psutil.Process().children() if "weatherman.serving.worker" in child.cmdline()).kill()
    with pytest.raises(UserError, match="has ended"):
        complete(ASKED, {"max_tokens": 2})


def test_the_name_tells_other_weights_apart(tiny_model, tmp_path):
    other = shutil.copytree(tiny_model, tmp_path / tiny_model.name)
    assert local_model(str(other))[1] == local_model(str(tiny_model))[1]
    with open(other / "model.safetensors", "ab") as handle:
        handle.write(b"\0")
    assert local_model(str(other))[1] != local_model(str(tiny_model))[1]


def test_what_cannot_run_is_told_before_a_process_is_started(tiny_model, tmp_path):
    from weatherman.serving.engine import load_chat_model
    with pytest.raises(ConfigError, match="There are: smollm2-135m"):
        local_model("nowhere")
    with pytest.raises(UserError, match="no config.json"):
        local_model(str(tmp_path))
    with pytest.raises(UserError, match="no chat template"):
        load_chat_model(tiny_model)
