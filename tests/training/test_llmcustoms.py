"""llmcustoms: settings, models from a hub that misbehaves, and a folder of texts that becomes an adapter."""
import functools
import json
import logging
import shutil
from types import SimpleNamespace

import pytest

import hub_server
import llmcustoms
from config_loader import ConfigError
from conftest import NAME
from hub_server import FILES
from llmcustoms import Config, FineTuner, ModelManager
from weatherman.cli import UserError
from weatherman.dialogue.teacher import Teacher, load_settings
from weatherman.models import download
from weatherman.models.registry import model_entry
from weatherman.training.environment import KEYS

HUB_MODEL = "tinyllama-1.1b-chat"
QUICK = ["training.max_steps=4", "training.eval_steps=2", "training.save_steps=2", "training.learning_rate=0.01",
         "compute.dtype=float32"]


@pytest.fixture(autouse=True)
def bare(monkeypatch):
    for name in (*KEYS, "HF_ENDPOINT", "HF_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FORCE_CPU", "1")
    level, handlers = logging.root.level, logging.root.handlers[:]
    yield
    logging.root.level, logging.root.handlers = level, handlers


# --- Config -------------------------------------------------------------------------------------------------------------

def test_the_environment_is_above_the_file_and_the_file_above_the_defaults(tmp_path, monkeypatch):
    path = tmp_path / "env"
    path.write_text("# mine\nDEFAULT_PRESET=highspeed  # quick\nexport MAX_VRAM_GB='8'\nCACHE_DIR=\"/some where\"\nOTHER=1\n#LOG_LEVEL=x\n")
    monkeypatch.setenv("MAX_VRAM_GB", "6")
    found = Config.load_env_config(path)
    assert found == {**Config.get_default_config(), "DEFAULT_PRESET": "highspeed", "MAX_VRAM_GB": 6.0, "CACHE_DIR": "/some where",
                     "FORCE_CPU": True}
    assert "GROQ_API_KEY" not in found
    monkeypatch.setenv("GROQ_API_KEY", "gsk")
    assert Config.load_env_config(path)["GROQ_API_KEY"] == "gsk"


def test_merging_keeps_what_none_says_nothing_about():
    assert Config.merge_configs({"a": 1, "b": None}, {"a": None, "b": 2, "c": None}) == {"a": 1, "b": 2, "c": None}


def test_all_mistakes_are_named_at_once():
    with pytest.raises(ConfigError) as error:
        Config.validate_config({"DEFAULT_MODEL": "gpt", "DEFAULT_PRESET": "best", "LOG_LEVEL": "loud", "MAX_VRAM_GB": "x", "FORCE_CPU": "x",
                                "DEFAULT_MODLE": "auto"})
    for part in ('no model "gpt"', "DEFAULT_PRESET=best", "LOG_LEVEL=loud", "MAX_VRAM_GB=x", "FORCE_CPU=x", "unknown key DEFAULT_MODLE"):
        assert part in str(error.value)


def test_a_damaged_env_file_is_named_with_its_line(tmp_path):
    (tmp_path / "env").write_text("A=1\nB='open\n")
    with pytest.raises(ConfigError, match="env:2: No closing quotation"):
        Config.load_env_config(tmp_path / "env")
    with pytest.raises(ConfigError, match="no such file"):
        Config.load_env_config(tmp_path / "absent")


# --- models from a hub --------------------------------------------------------------------------------------------------

def fetch(cache, *addresses, tries=2, weights=True):
    settings = SimpleNamespace(mirrors=list(addresses), tries=tries, wait_s=0.0, connections=2, stall_s=5.0, min_bytes_per_s=0)
    return download.fetch(HUB_MODEL, model_entry(HUB_MODEL), cache, settings, weights)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(tmp_path))
    return tmp_path / "cache"


@pytest.fixture
def hub():
    """Return hub_server.hub as the hub of HUB_MODEL."""
    entry = model_entry(HUB_MODEL)
    return functools.partial(hub_server.hub, repo=entry.hub_id, commit=entry.revision, cdn=False)


def test_a_model_is_downloaded_once_at_its_pinned_revision_and_linked(cache, tmp_path, hub):
    with hub() as server:
        assert fetch(cache, server.address) == tmp_path / "models" / HUB_MODEL
        asked = len(server.log)
        fetch(cache, server.address)
        assert len(server.log) == asked
    assert (tmp_path / "models" / HUB_MODEL).resolve() == cache / HUB_MODEL
    assert (cache / HUB_MODEL / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert not (cache / HUB_MODEL / "consolidated.safetensors").exists()
    assert all(model_entry(HUB_MODEL).revision in path for _, path, _, _ in server.log)
    names = [path.rsplit("/", 1)[-1] for command, path, _, _ in server.log if command == "GET"]
    assert names[-1] == "config.json"  # what says that the model is whole comes last


def test_a_failing_hub_is_tried_again_and_then_its_mirror_which_gets_no_token(cache, monkeypatch, hub):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    with hub(*[403] * 99) as bad, hub() as good:
        monkeypatch.setenv("HF_ENDPOINT", bad.address)
        fetch(cache, good.address)
        assert {token for *_, token, _ in bad.log} == {"Bearer hf_secret"}
        assert {token for *_, token, _ in good.log} == {None}
    assert ModelManager(cache).check_local_model(HUB_MODEL)


def test_where_no_mirror_has_it_all_are_named(cache, hub):
    with hub(*[404] * 99) as one, hub(files={"config.json": b"{}", "tokenizer.json": b"{}"}) as two:
        with pytest.raises(UserError, match="could not be downloaded") as error:
            fetch(cache, one.address, two.address)
    assert f"{one.address}: no repository is called" in str(error.value)
    assert f"{two.address}: the repository there is not whole: no model.safetensors" in str(error.value)
    assert not ModelManager(cache).check_local_model(HUB_MODEL)


def test_the_tokenizer_alone_is_no_whole_model(cache, hub):
    with hub() as server:
        place = fetch(cache, server.address, weights=False)
        assert (place / "tokenizer.json").is_file() and not (place / "config.json").exists()
        assert not ModelManager(cache).check_local_model(HUB_MODEL)
        fetch(cache, server.address)
    assert ModelManager(cache).check_local_model(HUB_MODEL)


def test_every_shard_must_be_there(cache):
    folder = cache / HUB_MODEL
    folder.mkdir(parents=True)
    for name in ("config.json", "tokenizer.json", "model-1.safetensors"):
        (folder / name).write_text("{}")
    (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}')
    assert download.missing(folder) == "no model-2.safetensors"


def test_a_model_that_lies_elsewhere_is_taken(cache, tmp_path, tiny_model):
    manager = ModelManager(cache)
    with pytest.raises(UserError, match="no whole model: no tokenizer.json"):
        manager.cache_model(NAME, tmp_path)
    place = manager.cache_model(NAME, tiny_model)
    assert place == tmp_path / "models" / NAME and (cache / NAME / "model.safetensors").is_file()
    info = manager.get_model_info(NAME)
    assert info["local"] and info["parameters"] == 134515008 and info["license"] == "Apache-2.0" and info["context"] == 8192
    with pytest.raises(ConfigError, match='no model "gpt"'):
        manager.get_model_info("gpt")


def test_another_folder_in_the_models_place_is_not_overwritten(cache, tmp_path, tiny_model):
    shutil.copytree(tiny_model, tmp_path / "models" / NAME)
    with pytest.raises(UserError, match="is another folder than the cache's"):
        ModelManager(cache).cache_model(NAME, tiny_model)


# --- FineTuner ----------------------------------------------------------------------------------------------------------

def texts(folder, count=30):
    """Write a folder of texts in which every part is made, placed and cared for in its own way."""
    folder.mkdir()
    metals, rooms = ["brass", "copper", "iron", "oak", "steel"], ["galley", "cabin", "wheelhouse", "engine room", "locker"]
    lines = [f"The part {n} is made of {metals[n % 5]}. The part {n} must be oiled in the {rooms[n % 4]} every {2 + n % 7} weeks."
             for n in range(count)]
    (folder / "parts.txt").write_text("\n\n".join(lines))
    return folder


@pytest.fixture
def bench(tmp_path, tiny_model, monkeypatch):
    """A base folder with the tiny model and a folder of texts."""
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(tmp_path))
    shutil.copytree(tiny_model, tmp_path / "models" / NAME)
    return texts(tmp_path / "texts")


@pytest.mark.parametrize("given,message", [
    ({"data_path": "absent"}, "no such file or folder"), ({"data_path": "."}, "no .txt file here"),
    ({"model": "gpt"}, 'no model "gpt"'), ({"preset": "best"}, "preset=best"),
    ({"overrides": ["training.speed=9"]}, 'unknown key "training.speed"'),
])
def test_what_is_wrong_is_said_before_anything_is_written(bench, tmp_path, monkeypatch, given, message):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises((UserError, ConfigError), match=message):
        FineTuner(**{"data_path": bench, **given})
    assert not (tmp_path / "data").exists() and not (tmp_path / "adapters").exists()


def test_a_folder_becomes_an_adapter_and_the_same_seed_the_same(bench, tmp_path, monkeypatch, capsys):
    from weatherman.training.runs import check_adapter, read_run
    tuner = FineTuner(bench, preset="highspeed", overrides=QUICK)
    assert tuner.model == NAME
    counts = tuner.prepare_data()
    assert counts["train"] > counts["validation"] > 0 < counts["test"] and counts["chunks"] >= 10
    place = tuner.train()
    assert place == tmp_path / "adapters" / f"{NAME}-highspeed-texts"
    assert tuner.figures["loss_after"] < tuner.figures["loss_before"]  # on questions of chunks that were never trained on
    check_adapter(place, read_run(place)["files"])
    (pair,) = tuner.test_model("What is the part 7 made of?")
    assert set(pair) == {"prompt", "before", "after"} and pair["before"] != pair["after"]
    assert len(tuner.test_model()) == 3

    monkeypatch.setenv("OUTPUT_DIR", str(tmp_path / "mine"))
    again = FineTuner(bench, preset="highspeed", run="again", overrides=QUICK)
    assert again.train() == tmp_path / "mine" / "again"
    assert (place / "adapter_model.safetensors").read_bytes() == (tmp_path / "mine" / "again" / "adapter_model.safetensors").read_bytes()
    with pytest.raises(UserError, match="this run is finished"):
        again.train()
    assert "nothing changed" in capsys.readouterr().err  # the questions are not made twice


def test_the_embedded_model_beats_its_base_on_questions_it_never_saw(real_model, tmp_path, monkeypatch, here):
    """The command itself on SmolLM2's real weights: four updates; `test` questions neither trained nor chose the checkpoint."""
    import eval_model
    monkeypatch.setenv("WEATHERMAN_BASE_DIR", str(tmp_path))
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / NAME).symlink_to(real_model)
    data = texts(tmp_path / "texts")
    few = [word for key in ("max_steps=4", "eval_steps=2", "save_steps=2", "effective_batch=4") for word in ("--set", f"training.{key}")]
    status, out, err = here(llmcustoms.main, "--data", str(data), "--preset", "highspeed", "--run", "parts", "--test", "What is oak?",
                            "--json", "--set", "compute.dtype=bfloat16", *few)
    assert status == 0, err
    result = json.loads(out)
    assert result["loss_after"] < result["loss_before"] - 0.3 and [pair["prompt"] for pair in result["answers"]] == ["What is oak?"]
    status, out, err = here(eval_model.main, "parts", "--data", str(tmp_path / "data/processed/custom/parts/test.jsonl"), "--json",
                            "--set", "max_new_tokens=2")
    assert status == 0, err
    assert json.loads(out)["held_out"]["change_high"] < 0  # the whole 95 % interval is below zero


def test_questions_that_a_teacher_worded_are_kept_where_there_is_none(bench):
    asks_nothing = Teacher(None, "m", None, load_settings(), limit=0)
    first = FineTuner(bench, preset="highspeed", teacher=asks_nothing).prepare_data()
    assert FineTuner(bench, preset="highspeed").prepare_data() == first  # as on the GPU box, where no teacher is asked
    (bench / "new.txt").write_text("The lamp is made of tin.")
    with pytest.raises(UserError, match="a teacher worded the questions, and texts, settings or code have changed"):
        FineTuner(bench, preset="highspeed").prepare_data()


def test_a_teacher_needs_the_local_environment(bench, here):
    status, _, err = here(llmcustoms.main, "--data", str(bench), "--teacher", NAME, "--prepare")
    assert status == 1 and "packages that are not in this environment" in err and ".venv-local/bin/python" in err


def test_the_command_prepares_and_answers_in_json(bench, tmp_path, here):
    (bench / "kurz.txt").write_text("Der Kessel ist aus Kupfer. Er ist alt. Das Wasser kocht darin schnell. Man gießt es dann ab.")
    status, out, err = here(llmcustoms.main, "--data", str(bench), "--preset", "highspeed", "--prepare", "--json", "--run", "trial")
    counts = json.loads(out)
    assert status == 0 and set(counts) == {"train", "validation", "test", "chunks", "words"}
    assert "kurz.txt seems not to be English" in err and "words are little to learn from" in err and "on CPU" in err
    rows = (tmp_path / "data" / "processed" / "custom" / "trial" / "train.jsonl").read_text().splitlines()
    assert len(rows) == counts["train"] and not (tmp_path / "adapters").exists()
