"""The settings of one machine for llmcustoms: customs_config.yaml's `environment`, below .env, below the environment."""
import os
import shlex
from pathlib import Path

from config_loader import ConfigError, load_config
from paths import CONFIGS_DIR, REPO_DIR, show
from weatherman.training.hardware import parse_gigabytes, parse_switch

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
KEYS = ("DEFAULT_MODEL", "DEFAULT_PRESET", "OUTPUT_DIR", "CACHE_DIR", "LOG_LEVEL", "MAX_VRAM_GB", "FORCE_CPU", "GROQ_API_KEY")


def settings():
    """Return configs/customs_config.yaml (training_schemas.CustomsConfig)."""
    from weatherman.training_schemas import CustomsConfig
    return load_config(CONFIGS_DIR / "customs_config.yaml", CustomsConfig).values


def defaults():
    """Return {key: value} of customs_config.yaml. GROQ_API_KEY has none: only a teacher at Groq asks for it."""
    return settings().environment.model_dump()


def merge(*configs):
    """Return dicts laid over each other: the last wins, but None says nothing."""
    merged = {}
    for config in configs:
        merged.update({key: value for key, value in config.items() if value is not None or key not in merged})
    return merged


def validate(config):
    """Return a config with every value in its type. Raises ConfigError with all mistakes: unknown keys, names and values."""
    problems = [f"unknown key {key}. There are: {', '.join(KEYS)}." for key in config if key not in KEYS]
    valid = dict(config)
    for key, check in (("DEFAULT_MODEL", known_model), ("DEFAULT_PRESET", known_preset), ("LOG_LEVEL", known_level),
                       ("MAX_VRAM_GB", parse_gigabytes), ("FORCE_CPU", parse_switch)):
        try:
            valid |= {key: check(config[key], key)} if key in config else {}
        except ConfigError as error:
            problems.append(str(error))
    if problems:
        raise ConfigError("\n".join(problems), "correct it in .env or the environment")
    return valid


def known_model(name, key):
    """Return the name of a model, or "auto". Raises ConfigError for an unknown one."""
    from weatherman.models.registry import model_entry
    if name != "auto":
        model_entry(name)
    return name


def known_preset(name, key):
    """Return the name of a preset. Raises ConfigError for an unknown one."""
    known = sorted(path.stem for path in (CONFIGS_DIR / "presets").glob("*.yaml"))
    if name not in known:
        raise ConfigError(f"{key}={name}: there is no such preset. There are: {', '.join(known)}.")
    return name


def known_level(name, key):
    """Return a logging level in capitals. Raises ConfigError for an unknown one."""
    if str(name).upper() not in LEVELS:
        raise ConfigError(f"{key}={name}: expected one of {', '.join(LEVELS)}.")
    return str(name).upper()


def load(env_file=None):
    """Return the valid config of defaults, a .env file (None: the repository's, where there is one) and the environment."""
    path = Path(env_file or REPO_DIR / ".env")
    if env_file and not path.is_file():
        raise ConfigError(f"{path}: no such file.", "cp .env.example .env && chmod 600 .env")
    given = {key: os.environ[key] for key in KEYS if os.environ.get(key)}
    return validate(merge(defaults(), read_env(path) if path.is_file() else {}, given))


def read_env(path):
    """Return those of KEYS that a .env file sets: KEY=VALUE lines, quotes and comments as the shell has them."""
    found = {}
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), 1):
        try:
            words = shlex.split(line, comments=True)
        except ValueError as error:
            raise ConfigError(f"{show(path)}:{number}: {error}.") from None
        pairs = (word.partition("=")[::2] for word in words)
        found.update({key: value for key, value in pairs if value and key in KEYS})
    return found
