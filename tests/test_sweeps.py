"""Promises about the whole tree: every config loads, every key is read, every script answers. The documents: test_documents.py."""
import re
import resource
import subprocess
import sys

import pytest
import yaml

from paths import CONFIGS_DIR, SCRIPTS_DIR
from weatherman import schemas

SCRIPTS = sorted(p for p in SCRIPTS_DIR.glob("*.py"))
HELP_LIMIT_S = 0.3
# Read by name from outside our code: `name` of a prompt is shown in the report's JSON, extends by the loader itself.
READ_ELSEWHERE = {"extends"}


def test_sweeps_find_their_files():
    assert len(SCRIPTS) >= 12


def children_s():
    """Return the processor's seconds that finished child processes took; other programs' work is not in it."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda p: p.name)
def test_help_is_quick_and_names_an_example(script):
    for _ in range(3):  # a busy machine slows even the processor's time, a little
        before = children_s()
        done = subprocess.run([sys.executable, str(script), "--help"], capture_output=True, text=True)
        took = children_s() - before
        assert done.returncode == 0, done.stderr
        if took < HELP_LIMIT_S:
            break
    assert f"python scripts/{script.name}" in done.stdout
    assert took < HELP_LIMIT_S, f"--help took {took:.2f} s"


@pytest.mark.parametrize("name", sorted(set(schemas.SCHEMAS) - {"hosts.yaml"}))  # that one is each user's own
def test_every_configuration_loads(name):
    assert schemas.load_file(CONFIGS_DIR / name).plain


def test_every_yaml_file_is_covered():
    layers = {p for folder in ("presets", "hardware") for p in (CONFIGS_DIR / folder).glob("*.yaml")}
    known = {CONFIGS_DIR / name for name in schemas.SCHEMAS} | layers
    loaded_by_their_module = {CONFIGS_DIR / "hosts.example.yaml", CONFIGS_DIR / "hosts.yaml", *(CONFIGS_DIR / "dialogue").rglob("*.yaml"),
                              *(CONFIGS_DIR / "corpus").glob("*.yaml"), *(CONFIGS_DIR / "accelerate").glob("*.yaml"),
                              CONFIGS_DIR / "sky.yaml"}  # by SkyPilot: test_sky.py
    assert set(CONFIGS_DIR.rglob("*.yaml")) <= known | loaded_by_their_module
    assert len(layers) >= 2


@pytest.mark.parametrize("folder,flag", [("presets", "preset"), ("hardware", "hardware")])
def test_every_layer_fits_the_training_configuration(folder, flag):
    for path in (CONFIGS_DIR / folder).glob("*.yaml"):
        resolved = schemas.load_file(CONFIGS_DIR / "training_config.yaml", **{flag: path.stem})
        assert any(f"{folder}/{path.name}" in place for place in resolved.places.values())


def test_every_model_of_the_registry_fits():
    for name in yaml.safe_load((CONFIGS_DIR / "models.yaml").read_text())["models"]:
        resolved = schemas.load_file(CONFIGS_DIR / "training_config.yaml", name)
        entry = schemas.load_file(CONFIGS_DIR / "models.yaml").values.models[name]
        assert resolved.values.model == name and (CONFIGS_DIR / "templates" / entry.template).is_file()


def schema_keys(model, seen=None):
    """Return every field name of a pydantic model and of the models inside it."""
    from typing import get_args
    keys, seen = set(), seen if seen is not None else set()
    if model in seen:
        return keys
    seen.add(model)
    for name, field in model.model_fields.items():
        keys.add(name)
        for inner in (field.annotation, *get_args(field.annotation)):
            if hasattr(inner, "model_fields"):
                keys |= schema_keys(inner, seen)
    return keys


def test_every_key_has_a_reader():
    code = "\n".join(p.read_text() for p in SCRIPTS_DIR.rglob("*.py") if p.name != "schemas.py")
    keys = set().union(*(schema_keys(schema) for schema in schemas.SCHEMAS.values()))
    assert len(keys) > 60
    # A scenario is read by the function of its name.
    unread = {key for key in keys - READ_ELSEWHERE if not re.search(rf"\.{key}\b|[\"']{key}[\"']|^def {key}\(talk", code, re.M)}
    assert not unread, f"no code reads: {sorted(unread)}"


# A room imports the basics, itself and those before it. `box` runs where nothing is installed, so it stands alone.
ROOMS = ["box", "corpus", "dialogue", "machines", "remote", "models", "training", "preflight", "evaluation", "serving"]


def test_rooms_import_one_way():
    modules = sorted((SCRIPTS_DIR / "weatherman").glob("*/*.py"))
    assert len(modules) > 100 and {path.parent.name for path in modules} <= set(ROOMS)
    wrong = []
    for path in modules:
        allowed = ROOMS[:ROOMS.index(path.parent.name) + 1] if path.parent.name != "box" else ["box"]
        for room in re.findall(r"^\s*(?:from|import) weatherman\.(\w+)", path.read_text(), re.M):
            if room in ROOMS and (room not in allowed or (room == "box") != (path.parent.name == "box")):
                wrong.append(f"{path.relative_to(SCRIPTS_DIR)} imports {room}")
    assert not wrong
