"""What every configuration file may hold. Types and bounds only: values live in the YAML files."""
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, StringConstraints, model_validator

from config_loader import ConfigError, load_config, part, read_layer
from paths import CONFIGS_DIR
from weatherman.section import Section, Share, sums_to_one
from weatherman.training_schemas import CustomsConfig, Gpus, Models, PreferenceConfig, TrainingConfig

# --- data_config.yaml -------------------------------------------------------------------------------------------------

class Book(Section):
    id: int = Field(gt=0)
    title: str
    author: str
    persona: Literal["twain", "franklin"]
    year: int
    begins: str | None = None  # absent: the whole body is the author's
    ends: str | None = None
    mojibake: bool = False  # true: its characters are known to be damaged so, and are repaired


class Fetching(Section):
    wait_s: float = Field(ge=0)
    timeout_s: float = Field(gt=0)
    deadline_s: float = Field(gt=0)
    retries: int = Field(ge=0)
    max_bytes: int = Field(gt=0)
    max_redirects: int = Field(ge=0)


class Gutenberg(Fetching):
    mirror: str
    gutendex: str
    books: list[Book] = Field(min_length=1)

    @model_validator(mode="after")
    def ids_differ(self):
        ids = [book.id for book in self.books]
        if twice := {number for number in ids if ids.count(number) > 1}:
            raise ValueError(f"two books have the id {min(twice)}")
        return self


class Subreddit(Section):
    source: Literal["reddit-theonion", "reddit-nottheonion"]
    license: str


class Reddit(Section):
    max_lower_case_share: float = Share
    listing: Literal["new", "hot", "top"]
    limit: int = Field(ge=1, le=1000)
    subreddits: dict[str, Subreddit] = Field(min_length=1)


class Web(Fetching):
    public_only: bool
    reading_s: float = Field(gt=0)


class Cleaning(Section):
    min_words: int = Field(gt=0)
    target_words: int = Field(gt=0)
    max_words: int = Field(gt=0)
    straight_quotes: bool
    headline_min_words: int = Field(gt=0)
    headline_max_words: int = Field(gt=0)
    min_word_share: float = Share
    min_mean_word_chars: float = Field(gt=0)
    max_mean_word_chars: float = Field(gt=0)
    max_symbol_share: float = Share
    min_stop_words: int = Field(ge=0)
    max_capital_share: float = Share
    max_bullet_share: float = Share
    max_ellipsis_share: float = Share
    min_ended_share: float = Share
    max_repeated_lines: float = Share
    max_repeated_line_chars: float = Share
    max_top_runs: list[Annotated[float, Share]] = Field(min_length=3, max_length=3)
    max_repeated_runs: list[Annotated[float, Share]] = Field(min_length=6, max_length=6)
    language: str
    language_min_words: int = Field(gt=0)

    @model_validator(mode="after")
    def sizes_are_in_order(self):
        if not (self.min_words <= self.target_words <= self.max_words and self.headline_min_words <= self.headline_max_words):
            raise ValueError("min_words, target_words, max_words and the headline's sizes must not decrease")
        return self


class Dedup(Section):
    threshold: float = Field(gt=0, le=1)
    word_shingle: int = Field(gt=0)
    character_shingle: int = Field(gt=0)
    short_text_words: int = Field(gt=0)
    coverage: float = Field(gt=0, le=1)
    permutations: int = Field(gt=0)
    bands: int = Field(gt=0)

    @model_validator(mode="after")
    def bands_divide_permutations(self):
        if self.permutations % self.bands:
            raise ValueError(f"{self.permutations} permutations cannot be divided into {self.bands} bands")
        return self


class Chat(Section):
    max_answer_words: int = Field(gt=0)
    min_answer_words: int = Field(gt=0)
    opening_words: int = Field(gt=0)
    max_turns: int = Field(ge=4)
    tellings: dict[Literal["whole", "halves", "go_on"], Annotated[float, Share]] = Field(min_length=3)

    @model_validator(mode="after")
    def shares_add_up(self):
        sums_to_one(self.tellings, "tellings")
        return self


class PersonaShares(Section):
    neutral: float = Share
    twain: float = Share
    franklin: float = Share


class Scenarios(Section):
    current: float = Share
    chain: float = Share
    forecast: float = Share
    one_day: float = Share
    compare: float = Share
    follow_up: float = Share
    missing_place: float = Share
    impossible: float = Share
    no_tool: float = Share
    small_talk: float = Share
    error: float = Share
    unit_change: float = Share
    correction: float = Share


class Typing(Section):
    greeting: float = Share
    polite: float = Share
    no_capitals: float = Share
    no_stops: float = Share
    slips: float = Share
    chat_words: float = Share


class ToolUse(Section):
    count: int = Field(gt=0)
    max_days: int = Field(ge=2, le=14)
    personas: PersonaShares
    scenarios: Scenarios
    remarks: PersonaShares
    typing: Typing

    @model_validator(mode="after")
    def shares_add_up(self):
        sums_to_one(self.personas.model_dump(), "personas")
        sums_to_one(self.scenarios.model_dump(), "scenarios")
        return self


Kind = Literal["literary", "satire", "tool_use", "hybrid", "imported"]


class Mixture(Section):
    total: int = Field(gt=0)
    shares: dict[Kind, Annotated[float, Share]]
    least: dict[Kind, dict[str, Annotated[float, Share]]]
    tellings_per_passage: float = Field(gt=0)

    @model_validator(mode="after")
    def shares_add_up(self):
        if missing := set(get_args(Kind)) - set(self.shares):
            raise ValueError(f'no share is given for "{min(missing)}"')
        sums_to_one(self.shares, "mixture shares")
        return self


class Split(Section):
    validation: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)

    @model_validator(mode="after")
    def something_trains(self):
        if self.validation + self.test >= 1:
            raise ValueError("validation and test leave nothing to train on")
        return self


class Diversity(Section):
    min_skeletons: int = Field(gt=0)
    max_answer_skeleton: float = Share
    max_prompt_skeleton: float = Share
    max_near_duplicates: float = Share
    self_bleu_sample: int = Field(ge=2)


class Render(Section):
    models: list[str]
    max_tokens: int = Field(gt=0)


class Weather(Section):
    open_meteo: str
    open_meteo_geocoding: str
    openweathermap: str
    timeout_s: float = Field(gt=0)
    deadline_s: float = Field(gt=0)
    retries: int = Field(ge=0)
    wait_s: float = Field(ge=0)
    max_bytes: int = Field(gt=0)


class DataConfig(Section):
    seed: int
    gutenberg: Gutenberg
    reddit: Reddit
    web: Web
    cleaning: Cleaning
    dedup: Dedup
    retention: dict[Literal["gutenberg", "reddit-theonion", "reddit-nottheonion", "web"], Annotated[float, Share]]
    chat: Chat
    tool_use: ToolUse
    weather: Weather
    mixture: Mixture
    split: Split
    diversity: Diversity
    render: Render


# --- eval_config.yaml -------------------------------------------------------------------------------------------------

class Prompt(Section):
    name: str
    system: str
    user: str
    tools: bool


class EvalConfig(Section):
    max_new_tokens: int = Field(gt=0)
    prompts: list[Prompt] = Field(min_length=1)


# --- hosts.yaml -------------------------------------------------------------------------------------------------------

# ssh, rsync and the far shell all read these texts: only characters that none of them acts on.
FilePath = Annotated[str, StringConstraints(pattern=r'^[^"%$\\\r\n]+$')]


class Host(Section):
    """One machine that is reached over ssh. `folder`: absolute, or relative to the home folder there. Absent keys: see the example file."""

    provider: Literal["runpod", "lambda", "home", "other"]
    host: str = Field(pattern=r"^[A-Za-z0-9:][A-Za-z0-9.:-]*$")
    port: int = Field(ge=1, le=65535)
    user: str = Field(pattern=r"^[A-Za-z_][A-Za-z0-9._-]*$")
    key: FilePath
    folder: str = Field(pattern=r"^(~?/)?[A-Za-z0-9._][A-Za-z0-9._/-]*$")
    id: str | None = Field(default=None, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    jump: str | None = Field(default=None, pattern=r"^([A-Za-z_][A-Za-z0-9._-]*@)?[A-Za-z0-9][A-Za-z0-9.-]*(:[0-9]{1,5})?$")
    setup: Literal["auto", "venv", "cpu"] = "auto"
    volume_gb: float | None = Field(default=None, gt=0)
    usd_per_hour: float | None = Field(default=None, gt=0)
    stop: list[str] | None = Field(default=None, min_length=1)


class Hosts(Section):
    hosts: dict[Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")], Host] = Field(min_length=1)


# --- loading ----------------------------------------------------------------------------------------------------------

SCHEMAS = {"data_config.yaml": DataConfig, "training_config.yaml": TrainingConfig, "dpo_config.yaml": PreferenceConfig,
           "customs_config.yaml": CustomsConfig, "models.yaml": Models, "gpus.yaml": Gpus, "eval_config.yaml": EvalConfig,
           "demo_data.yaml": DataConfig, "hosts.example.yaml": Hosts, "hosts.yaml": Hosts}


def data_config(args):
    """Return the Resolved data configuration for a data step's flags (--config, --set, --seed)."""
    overrides = [*args.overrides, *([f"seed={args.seed}"] if args.seed is not None else [])]
    return load_config(args.config or CONFIGS_DIR / "data_config.yaml", DataConfig, overrides=overrides)


def training_config(args):
    """Return the Resolved training configuration for the flags of cli.add_training_flags."""
    model = args.model or load_file(args.config).values.model
    return load_file(args.config, model, args.hardware, args.preset, args.overrides)


def training_layers(model, hardware, preset):
    """Return the Layers above a training configuration: model entry, hardware profile, preset; None leaves one out."""
    layers = []
    if model is not None:
        entry = part(read_layer(CONFIGS_DIR / "models.yaml"), ("models", model))
        layers += [part(entry, ("training",))] if entry.values.get("training") else []
        layers += [_name_layer(model)]
    for folder, name in (("hardware", hardware), ("presets", preset)):
        if name is not None:
            layers.append(read_layer(_known_file(folder, name)))
    return layers


def _name_layer(model):
    from config_loader import Layer
    return Layer({"model": model}, {("model",): "--model"})


def _known_file(folder, name):
    path = CONFIGS_DIR / folder / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml")))
        raise ConfigError(f"configs/{folder}/ has no {name}.yaml. There are: {known}.")
    return path


def load_file(path, model=None, hardware=None, preset=None, overrides=()):
    """Return any file of configs/ Resolved, by its name. Layers apply to training configurations."""
    path = Path(path)
    schema = SCHEMAS.get(path.name)
    if schema is None:
        raise ConfigError(f"{path}: no schema is known for this name. There are: {', '.join(SCHEMAS)}.")
    return load_config(path, schema, training_layers(model, hardware, preset), overrides)
