"""configs/sky.yaml: SkyPilot's own schema takes it, nothing secret would travel, and what it calls is there.

Of SkyPilot only the modules with the schema are loaded; the whole of it wants forty packages. What they ask of its other modules
is a few lists of allowed words, read from the source of those.
"""
import ast
import copy
import enum
import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
import types
from pathlib import Path

import pytest
import yaml

from paths import CONFIGS_DIR, REPO_DIR
from weatherman import schemas
from weatherman.remote import inventory

SKY = importlib.util.find_spec("sky")
needs_sky = pytest.mark.skipif(SKY is None, reason="SkyPilot's schema is not installed here: ./setup_local.sh --add sky")
TASK = yaml.safe_load((CONFIGS_DIR / "sky.yaml").read_text(encoding="utf-8"))
WANTED = {"sky.skylet.autostop_lib": ["AutostopWaitFor"], "sky.data.storage": ["StoreType", "StorageMode", "FileMountType"]}


def words_of(source, name):
    """Return the Enum `name` of a Python source, made from its plain assignments of text, without running the source."""
    body = next(node.body for node in ast.parse(source).body if isinstance(node, ast.ClassDef) and node.name == name)
    words = {line.targets[0].id: line.value.value for line in body if isinstance(line, ast.Assign) and isinstance(line.value, ast.Constant)}
    assert len(words) >= 3, f"{name} is written otherwise now"
    return enum.Enum(name, words)


@pytest.fixture(scope="module")
def sky():
    """SkyPilot's (schemas, validator) modules; whatever else of it was put in sys.modules goes again."""
    root = Path(SKY.submodule_search_locations[0])
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in sys.modules if name.partition(".")[0] == "sky"]:
            patch.delitem(sys.modules, name)
        for name in ("sky", "sky.data"):  # without what their __init__.py would import
            package = types.ModuleType(name)
            package.__path__, package.__version__ = [str(root.parent / name.replace(".", "/"))], "0"
            patch.setitem(sys.modules, name, package)
        for name, classes in WANTED.items():
            module = types.ModuleType(name)
            source = (root.parent / f"{name.replace('.', '/')}.py").read_text(encoding="utf-8")
            for words in (words_of(source, wanted) for wanted in classes):
                words.supported_modes = classmethod(lambda cls: [word.value for word in cls])
                setattr(module, words.__name__, words)
            patch.setitem(sys.modules, name, module)
        server = types.ModuleType("sky.server")  # words for `config:`, which the task has not
        server.daemons = types.SimpleNamespace(INTERNAL_REQUEST_DAEMONS=[])
        patch.setitem(sys.modules, "sky.server", server)
        yield importlib.import_module("sky.utils.schemas"), importlib.import_module("sky.utils.validator")
        for name in [name for name in sys.modules if name.startswith("sky.")]:
            patch.delitem(sys.modules, name, raising=False)


def faults(sky, task):
    """Return what SkyPilot's schemas of a task, its resources and its buckets say against `task`."""
    schema, validator = sky[0], sky[1].get_schema_validator()
    parts = [(task, schema.get_task_schema()), (task["resources"], schema.get_resources_schema())]
    parts += [(mount, schema.get_storage_schema()) for mount in task["file_mounts"].values() if isinstance(mount, dict)]
    return [error.message for part, rules in parts for error in validator(rules).iter_errors(part)]


@needs_sky
def test_skypilots_schema_takes_the_task(sky):
    assert faults(sky, TASK) == []


@needs_sky
@pytest.mark.parametrize("path,value,complaint", [
    (("accelerators",), "A100:1", "'accelerators' was unexpected"), (("setup",), ["ls"], "is not of type 'string'"),
    (("envs", "HOURS"), 12, "12 is not of type 'string', 'null'"), (("resources", "use_sport"), True, "'use_sport' was unexpected"),
    (("resources", "max_hourly_cost"), 0, "less than or equal to the minimum of 0"),
    (("resources", "autostop", "idle_minutes"), "ten", "not valid under any of the given schemas"),
    (("resources", "job_recovery", "recover_on_exit_codes"), [256], "not valid under any of the given schemas"),
    (("resources", "any_of", 0, "acelerators"), "L4:1", "'acelerators' was unexpected"),
    (("file_mounts", "~/weatherman/adapters", "mode"), "MOUNT_CASHED", "'MOUNT_CASHED' is not one of"),
    (("file_mounts", "~/weatherman/adapters", "bucket"), "x", "'bucket' was unexpected")])
def test_a_fault_in_the_task_is_found(sky, path, value, complaint):
    task = copy.deepcopy(TASK)
    place = task
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    found = faults(sky, task)
    assert len(found) == 1 and complaint in found[0]


def local_mounts():
    """Return {place there: path here, relative to the repository} of what is uploaded."""
    return {there: here.removeprefix("./") for there, here in TASK["file_mounts"].items() if isinstance(here, str)}


def test_only_what_the_sync_scripts_send_is_uploaded():
    assert "workdir" not in TASK
    for there, here in local_mounts().items():
        assert there == f"~/weatherman/{here}"
        assert any(Path(here).match(entry) for entry in inventory.CODE) or here.startswith(inventory.DATA), here
        assert not inventory.is_withheld(here) and not Path(here).is_absolute()
    # A git-ignored file is left out of a folder, but not when it is named.
    assert not any((REPO_DIR / here).is_dir() for here in local_mounts().values() if here.startswith("data/"))


def test_folders_hold_back_what_the_sync_scripts_withhold(tmp_path):
    folders = [here for here in local_mounts().values() if (REPO_DIR / here).is_dir()]
    assert folders == ["scripts", "configs"]
    planted = [pattern.replace("*", "x").replace(".ds_store", ".DS_Store") for pattern in inventory.SECRETS + inventory.WORK_FILES]
    for folder in folders:
        (tmp_path / folder / "below").mkdir(parents=True)
        shutil.copy(REPO_DIR / folder / ".skyignore", tmp_path / folder)
        for name in [*planted, "kept.yaml"]:
            (tmp_path / folder / name).write_text("planted")
            (tmp_path / folder / "below" / name).write_text("planted")
        # As SkyPilot calls rsync for a folder that has a .skyignore.
        subprocess.run(["rsync", "-a", "--filter=dir-merge,- .skyignore", f"{folder}/", f"{folder}.arrived/"], cwd=tmp_path, check=True)
        arrived = sorted(str(path.relative_to(tmp_path)) for path in (tmp_path / f"{folder}.arrived").rglob("*") if path.is_file())
        assert arrived == [f"{folder}.arrived/{name}" for name in (".skyignore", "below/kept.yaml", "kept.yaml")]


def test_its_commands_and_values_are_ours():
    commands = TASK["setup"] + TASK["run"]
    assert len(re.findall(r"scripts/\w+\.py", commands)) == 3
    for path in re.findall(r"scripts/\w+\.py|setup_remote\.sh|requirements-\w+\.txt", commands + str(local_mounts())):
        assert (REPO_DIR / path).is_file(), path
    needed = set(re.findall(r"(?:environment|requirements)-\w+\.(?:yml|txt)", (REPO_DIR / "setup_remote.sh").read_text(encoding="utf-8")))
    assert {name for name in needed if "cpu" not in name} == {here for here in local_mounts().values() if re.match("env|req", here)}
    model = schemas.load_file(CONFIGS_DIR / "models.yaml").values.models[TASK["envs"]["MODEL"]]
    assert model.license.startswith("llama") == TASK["envs"]["RUN"].startswith("Llama")
    assert re.findall(r"--([a-z-]+)", TASK["run"]) == ["kill-after", "model", "run"]
    known = schemas.load_file(CONFIGS_DIR / "gpus.yaml").values.gpus
    for entry in TASK["resources"]["any_of"]:
        name, _, count = entry["accelerators"].lower().replace("-", "_").partition(":")
        cards = [gpu for key, gpu in known.items() if key in (name, f"{name}_80gb")]
        assert len(cards) == 1 and count == "1" and cards[0].memory_mib > 40_000, entry
        assert cards[0].usd_per_hour <= TASK["resources"]["max_hourly_cost"]
