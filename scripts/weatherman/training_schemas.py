"""What the files of training may hold: training_config.yaml, dpo_config.yaml, models.yaml, gpus.yaml."""
from typing import Literal

from pydantic import Field, model_validator

from weatherman.section import Section


class TrainingData(Section):
    train: str
    validation: str


class Loop(Section):
    """What supervised and preference training share."""

    epochs: float = Field(gt=0)
    max_steps: int = Field(ge=-1)
    micro_batch: int = Field(gt=0)
    effective_batch: int = Field(gt=0)
    learning_rate: float = Field(gt=0)
    scheduler: Literal["cosine", "linear", "constant"]
    warmup_share: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    max_grad_norm: float = Field(gt=0)
    max_tokens: int = Field(gt=0)
    gradient_checkpointing: Literal["auto"] | bool
    patience: int = Field(ge=0)
    log_steps: int = Field(gt=0)
    eval_steps: int = Field(gt=0)
    save_steps: int = Field(gt=0)
    keep_checkpoints: int = Field(ge=2)  # an older one goes before the newest is sealed
    seed: int


class Training(Loop):
    packing: bool


class Lora(Section):
    r: int = Field(gt=0)
    alpha: int = Field(gt=0)
    dropout: float = Field(ge=0, lt=1)
    target_modules: list[str] = Field(min_length=1)


class Quantization(Section):
    mode: Literal["nf4", "nf4-resident", "none"]
    double_quantization: bool


class Compute(Section):
    device: Literal["auto", "cuda", "cpu", "mps"]
    dtype: Literal["auto", "bfloat16", "float32"]
    attention: str  # auto, packed-sdpa, sdpa, eager, flash_attention_2, or a hub kernel "owner/name"


class Cost(Section):
    gpu: str | None
    usd_per_hour: float | None = Field(ge=0)


Trackers = list[Literal["wandb", "trackio"]]


class TrainingConfig(Section):
    model: str
    backend: Literal["trl", "unsloth"]
    data: TrainingData
    training: Training
    lora: Lora
    quantization: Quantization
    compute: Compute
    cost: Cost
    report_to: Trackers


# TRL's "sft" is left out: it looks at the chosen answer alone, as train.py does.
PreferenceLoss = Literal["sigmoid", "hinge", "ipo", "exo_pair", "nca_pair", "robust", "bco_pair", "sppo_hard", "aot", "aot_unpaired",
                         "apo_zero", "apo_down", "discopop", "sigmoid_norm"]
SMOOTHED = ("robust", "exo_pair", "aot", "aot_unpaired")  # the losses of TRL 1.14 that read label_smoothing
SORTED = ("aot", "aot_unpaired")  # these compare the sorted margins of a micro-batch; of one pair they are the sigmoid loss


class Preference(Section):
    beta: float = Field(gt=0)
    loss: PreferenceLoss
    label_smoothing: float = Field(ge=0, lt=0.5)
    precompute_reference: bool

    @model_validator(mode="after")
    def the_loss_reads_the_smoothing(self):
        if self.label_smoothing and self.loss not in SMOOTHED:
            raise ValueError(f'label_smoothing {self.label_smoothing:g} would do nothing: the loss "{self.loss}" does not read it. '
                             f'Those that do: {", ".join(SMOOTHED)}; "robust" is the sigmoid loss for judges that err')
        if self.loss == "exo_pair" and not self.label_smoothing:
            raise ValueError('the loss "exo_pair" needs a label_smoothing above 0; its paper recommends 1.0e-3')
        return self


class PreferenceConfig(Section):
    data: TrainingData
    training: Loop
    preference: Preference
    compute: Compute
    cost: Cost
    report_to: Trackers

    @model_validator(mode="after")
    def enough_pairs_to_sort(self):
        if self.preference.loss in SORTED and self.training.micro_batch < 2:
            raise ValueError(f'the loss "{self.preference.loss}" sorts the pairs of a micro-batch: training.micro_batch must be 2 or more')
        return self


class Reference(Section):
    """The supervised run whose adapter is trained further, and the hash of that adapter's weights."""

    run: str
    adapter_sha256: str


class PreferenceRun(PreferenceConfig):
    """What the run.json of a preference run holds: its own configuration and what it took over from the supervised run."""

    reference: Reference
    model: str
    lora: Lora
    quantization: Quantization


# --- models.yaml, gpus.yaml ---------------------------------------------------------------------------------------------

class Shape(Section):
    """The sizes that decide memory and arithmetic, as the model's config.json has them."""

    layers: int = Field(gt=0)
    hidden: int = Field(gt=0)
    intermediate: int = Field(gt=0)
    heads: int = Field(gt=0)
    kv_heads: int = Field(gt=0)
    head_size: int = Field(gt=0)
    vocabulary: int = Field(gt=0)
    context: int = Field(gt=0)


class Model(Section):
    """One entry of models.yaml. `package`: a Python package that carries the weights as GGUF, instead of a hub id."""

    hub_id: str
    revision: str | None
    package: str | None
    kind: Literal["base", "instruct"]
    license: str
    gated: bool
    parameters: int = Field(gt=0)
    shape: Shape
    template: str
    end_of_turn: str
    pad_token: str
    tool_format: str | None
    vllm_parser: str | None
    training: dict | None


class Download(Section):
    mirrors: list[str] = Field(min_length=1)
    tries: int = Field(ge=1)
    wait_s: float = Field(ge=0)
    connections: int = Field(ge=1)
    stall_s: float = Field(gt=0)
    min_bytes_per_s: float = Field(ge=0)


class Models(Section):
    download: Download
    models: dict[str, Model]


class Gpu(Section):
    """One card. `names`: how what nvidia-smi and torch call it ends. Rates are dense, per second, without sparsity."""

    names: list[str] = Field(min_length=1)
    memory_mib: int = Field(gt=0)
    bf16_tflops: float = Field(gt=0)
    usd_per_hour: float = Field(gt=0)


class Gpus(Section):
    utilization: float = Field(gt=0, le=1)
    setup_minutes: float = Field(ge=0)
    gpus: dict[str, Gpu]


# --- customs_config.yaml ------------------------------------------------------------------------------------------------

class CustomsEnvironment(Section):
    DEFAULT_MODEL: str
    DEFAULT_PRESET: str
    OUTPUT_DIR: str | None
    CACHE_DIR: str | None
    LOG_LEVEL: Literal["DEBUG", "INFO", "WARNING", "ERROR"]
    MAX_VRAM_GB: float | None = Field(gt=0)
    FORCE_CPU: bool


class Texts(Section):
    max_file_bytes: int = Field(gt=0)
    few_words: int = Field(ge=0)
    chunk_tokens: int = Field(gt=0)
    min_chunk_tokens: int = Field(gt=0)
    min_chunks: int = Field(ge=3)


class Questions(Section):
    a_chunk: int = Field(gt=0)
    system: str = Field(min_length=1)


class HeldOut(Section):
    validation: float = Field(gt=0, lt=0.5)
    test: float = Field(gt=0, lt=0.5)


class ShownAnswers(Section):
    shown: int = Field(ge=0)
    max_new_tokens: int = Field(gt=0)


class CustomsConfig(Section):
    environment: CustomsEnvironment
    texts: Texts
    questions: Questions
    split: HeldOut
    row_tokens: int = Field(gt=0)
    answers: ShownAnswers
