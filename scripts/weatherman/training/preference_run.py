"""One preference run, from checked pairs and a supervised run to a finished run folder: what train_dpo.py does."""

from paths import show
from weatherman.cli import DONE, GATE, INTERRUPTED, GateError, UserError, log, table
from weatherman.training import distributed, preference, session
from weatherman.training.job import Job, machine_rows, without_auto

FLUENCY_LOST = 0.1  # nats a token by which the chosen answers may become less likely before we say so


def resolve_run(path, overrides, source):
    """Return the Resolved PreferenceRun of a configuration file and the supervised run in the folder `source`.

    Model, LoRA, quantisation and template are the supervised run's: of other ones, its adapter would be another model.
    Raises UserError when the folder is no finished run or its adapter is damaged, ConfigError.
    """
    from config_loader import Layer, load_config, resolve
    from weatherman.training.runs import check_adapter, read_run
    from weatherman.training_schemas import PreferenceConfig, PreferenceRun
    trained = read_run(source)
    check_adapter(source, trained["files"])
    own = load_config(path, PreferenceConfig, overrides=overrides)
    taken = {"reference": {"run": source.name, "adapter_sha256": trained["files"]["adapter_model.safetensors"]},
             **{key: trained["config"][key] for key in ("model", "lora", "quantization")}}
    places = {(key,): show(source / "run.json") for key in taken}
    places |= {(key, below): show(source / "run.json") for key, value in taken.items() if isinstance(value, dict) for below in value}
    return resolve([Layer(taken, places), Layer(own.plain, own.places)], PreferenceRun)


def prepare(resolved, pairs, source, names, chosen=None):
    """Return the Job of a Resolved PreferenceRun and {"train": [dict], "validation": [dict]}; nothing is written.

    source: folder of the supervised run. names: how messages call the pairs' files. chosen: what "auto" became when the run began.
    Raises UserError when the base is not the one the adapter was trained on, GateError at faulty pairs.
    """
    from weatherman.models.registry import model_entry, model_folder
    from weatherman.models.templates import load_tokenizer
    from weatherman.training.quiet import quiet_libraries
    from weatherman.training.runs import base_model, read_run
    from weatherman.training.trackers import check_trackers
    config = resolved.values
    check_trackers(config.report_to)
    entry = model_entry(config.model)
    quiet_libraries()
    model_dir = model_folder(config.model, entry)
    before, here = read_run(source)["base_model"], base_model(config.model, entry, model_dir)
    if changed := [key for key in ("hub_id", "revision", "config_sha256") if before[key] != here[key]]:
        raise UserError(f"{show(source)}: was trained on another base: {changed[0]} was {before[changed[0]]}, is {here[changed[0]]}.",
                        "the base it was trained on, or train it again: python scripts/train.py")
    tokenizer = load_tokenizer(model_dir, entry, template=source / "chat_template.jinja")
    encoded = preference.encode_pairs(tokenizer, pairs, config.training.max_tokens, names)
    two_rows = config.training.model_copy(update={"micro_batch": 2 * config.training.micro_batch})  # a pair is two rows of memory
    fitted, notes = without_auto(config.model_copy(update={"training": two_rows}), entry, chosen)
    training = fitted.training.model_copy(update={"micro_batch": config.training.micro_batch})
    return Job(fitted.model_copy(update={"training": training}), entry, model_dir, tokenizer, encoded, notes)


def plan(job):
    """Print what is about to be trained, and on what."""
    config, training = job.config, job.config.training
    smoothing = f", label smoothing {config.preference.label_smoothing:g}" if config.preference.label_smoothing else ""
    rows = [["starts from", f"{config.reference.run}, whose adapter stays as the reference"], *machine_rows(job),
            ["loss", f"{config.preference.loss}, beta {config.preference.beta:g}{smoothing}, reference "
                     f"{'measured once' if config.preference.precompute_reference else 'computed beside the policy'}"]]
    for name, pairs in job.encoded.items():
        rows.append([name, f"{len(pairs):,} pairs; tokens of the answers: {sum(pair.chosen.loss_tokens for pair in pairs):,} chosen, "
                           f"{sum(pair.rejected.loss_tokens for pair in pairs):,} rejected"])
        rows.append(["  longest", f"{max(len(item.input_ids) for item in preference.answers(pairs)):,} of {training.max_tokens:,} tokens"])
    steps = preference.accumulation(training, distributed.count())
    rows.append(["update", f"{training.micro_batch} pair(s) x {steps} accumulated x {distributed.count()} process(es)"])
    log(table(rows, ["plan", ""]))


def align(resolved, pairs, source, target, *, resume=False, data_files):
    """Train the adapter of the run folder `source` on `pairs` and write the run folder `target`. Returns (exit status, figures).

    pairs: {"train": [dict], "validation": [dict]}; data_files: {"train": describe_file(...), ...} of what they were read from.
    DONE with the figures of run.json; INTERRUPTED with {} when it was asked to stop, and the same call goes on; GATE with the figures
    when no checkpoint prefers better than the reference. Raises UserError, GateError and ConfigError.
    """
    distributed.check_launch()
    if distributed.sharded():
        raise UserError("preference training keeps a whole model on every GPU; it does not share the weights out (FSDP).",
                        "torchrun --standalone --nproc-per-node N -- scripts/train_dpo.py ..., or one process")
    names = {name: file["path"] for name, file in data_files.items()}
    with session.opened(target, resolved, lambda chosen: prepare(resolved, pairs, source, names, chosen), plan, "train_dpo.py", data_files,
                        resume) as (job, checkpoint, started, stop):
        state = train(job, source, target, checkpoint, stop, started)
        if state is None:
            return INTERRUPTED, {}
        return finish(job, source, target, started, pairs, measure(job, source, target, state))


def train(job, source, target, checkpoint, stop, started):
    """Return the TrainerState at the end, None when the run was asked to stop.

    The reference is read from `source` on every start, never from a checkpoint.
    """
    from weatherman.training import modeling
    ended = session.ended_state(checkpoint, job.config.training.patience) if checkpoint else None
    if ended:
        return ended
    beta, held_out = job.config.preference.beta, job.encoded["validation"]
    with stop.at_once():  # nothing to save yet
        model = preference.load_reference(modeling.load_base(job.model_dir, job.config.quantization, job.config.compute), source)
        reference = preference.answer_losses(model, held_out)
        session.loss_before(target, lambda: preference.held_out_figures(reference, reference, beta))
    if checkpoint:
        log(f"resuming from {checkpoint.name}")

    def make(callbacks):
        with stop.at_once():
            return preference.make_trainer(model, job.tokenizer, job.encoded["train"], held_out, reference, job.config, target, callbacks,
                                           stop)

    return session.updates(job, target, checkpoint, stop, started, preference.answers(job.encoded["train"]), make)


def measure(job, source, target, state):
    """Return the figures of a run whose last checkpoint has `state`. Raises GateError when the adapter is still the reference."""
    from weatherman.training.monitor import read_metrics
    figures = session.run_figures(job, target, state, preference.accumulation(job.config.training, distributed.count()))
    change = adapter_change(target / "checkpoints" / f"checkpoint-{state.best_global_step}", source)
    if change == 0:
        raise GateError("the adapter is still the supervised one: nothing was learned.", "a higher training.learning_rate")
    rows = {row["step"]: row for row in read_metrics(target / "metrics.jsonl") if "eval_loss" in row}
    before, after = ({key: row[key] for key in row if key.startswith("eval_")} for row in (rows[0], rows[state.best_global_step]))
    return {**figures, "loss_before": before["eval_loss"], "loss_after": after["eval_loss"], "adapter_change": change,
            "held_out": {"before": before, "after": after}}


def adapter_change(checkpoint, source):
    """Return the Frobenius norm of what training added to the supervised adapter's weights."""
    from safetensors.torch import load_file
    old, new = (load_file(folder / "adapter_model.safetensors") for folder in (source, checkpoint))
    return sum(float((new[name].float() - old[name].float()).pow(2).sum()) for name in old) ** 0.5


def finish(job, source, target, started, pairs, figures):
    """Write adapter, card and run.json from the best checkpoint, show the figures. Returns (exit status, figures)."""
    from weatherman.training import card, runs
    best = figures["best_step"]
    if distributed.is_main():
        runs.take_adapter(target / "checkpoints" / f"checkpoint-{best}", target, job.entry)
        card.write_card(target, started, job.entry, card.preference_sections(target.name, started, job.entry, pairs, figures), "dpo")
        runs.finish(target, started, figures)
    headers = [f"held out, {figures['records']['validation']:,} pairs", "before", f"step {best}"]
    log(table(preference.held_out_rows(figures["held_out"]), headers))
    log(f"wrote {show(target)}")
    lost = figures["held_out"]["after"]["eval_nll/chosen"] - figures["held_out"]["before"]["eval_nll/chosen"]
    if lost > FLUENCY_LOST:
        log(f"the chosen answers have become less likely, by {lost:.2f} nats a token: the adapter may speak worse than before.\n"
            "  Try: python scripts/eval_model.py for both runs; a lower training.learning_rate or a higher preference.beta")
    if figures["loss_after"] >= figures["loss_before"]:
        log("no checkpoint tells the held-out pairs better than the reference does. The last best was kept so that you can look at it.\n"
            "  Try: another training.learning_rate, more pairs, pairs whose answers differ in what you want")
        return GATE, {"run": show(target), **figures}
    log(f"  Next: python scripts/eval_model.py {target.name}")
    return DONE, {"run": show(target), **figures}
