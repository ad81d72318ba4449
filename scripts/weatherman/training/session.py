"""One training run, from checked records to a finished run folder: what train.py, llmcustoms.py and the preflight's probe share."""
import contextlib
import math
import resource
import sys
import time

from paths import show
from weatherman.checkpoints import step_of
from weatherman.cli import DONE, GATE, INTERRUPTED, GateError, log, tee
from weatherman.files import sha256_bytes, to_json_line
from weatherman.training import distributed, packing
from weatherman.training.job import choices, plan, prepare

PROBE_WARM_UP = 2  # updates that are not timed: kernels are chosen, memory is claimed


def fine_tune(resolved, records, target, *, resume=False, data_files=None, script="train.py"):
    """Train on `records`, {"train": [dict], "validation": [dict]}, and write the run folder `target`. Returns (exit status, figures).

    data_files: {"train": describe_file(...), ...} of the files the records were read from; without it the records are hashed.
    script: what the run folder says it was made by.
    DONE with the figures of run.json; INTERRUPTED with {} when it was asked to stop, and the same call goes on; GATE
    with the figures when no checkpoint beats the base. Raises UserError, GateError and ConfigError.
    """
    data = data_files or {name: describe_records(rows) for name, rows in records.items()}
    names = {name: file["path"] for name, file in (data_files or {}).items()}
    distributed.check_launch()
    with opened(target, resolved, lambda chosen: prepare(resolved, records, names, chosen), plan, script, data, resume) as \
            (job, checkpoint, started, stop):
        before, state = train(job, target, checkpoint, stop, started)
        if state is None:
            return INTERRUPTED, {}
        return finish(job, target, started, records, measure(job, target, before, state))


@contextlib.contextmanager
def opened(target, resolved, make_job, show_plan, script, data, resume):
    """Open the run folder `target` for one start of a run; gives (Job, checkpoint to go on from or None, started.json, StopRequest).

    make_job(chosen): the Job, given what "auto" became when the run began; show_plan(job): prints what is about to be trained.
    Inside, this process alone may write to the folder, a full disk is a UserError, and signals are requests.
    """
    from weatherman.training import runs
    from weatherman.training.recovery import LOG, StopRequest, alone_in, disk_errors
    distributed.choose_gpu()
    with distributed.only_main_speaks(), contextlib.ExitStack() as stack:
        checkpoint = runs.open_run(target, resume)
        job = make_job(runs.chosen_before(target))
        started = runs.begin(target, script=script, resolved=resolved, chosen=choices(job.config), resume=resume, data=data,
                             base=runs.base_model(resolved.values.model, job.entry, job.model_dir))
        stack.enter_context(disk_errors(target))
        if distributed.is_main():
            stack.enter_context(alone_in(target))
            tee(target / LOG)
        show_plan(job)
        yield job, checkpoint, started, stack.enter_context(StopRequest())


def describe_records(rows):
    """Return what describe_file says, for records that were in no file of their own."""
    data = b"".join(map(to_json_line, rows))
    return {"path": None, "sha256": sha256_bytes(data), "bytes": len(data), "rows": len(rows)}


def train(job, target, checkpoint, stop, started):
    """Return (held-out loss of the base, the TrainerState at the end); the state is None when the run was asked to stop."""
    from weatherman.training import memory, modeling, monitor, sft
    ended = ended_state(checkpoint, job.config.training.patience) if checkpoint else None
    if ended:
        return monitor.first_loss(target / "metrics.jsonl"), ended
    with stop.at_once(), memory.explained("the base model and its held-out loss"):  # nothing to save yet
        base = modeling.load_base(job.model_dir, job.config.quantization, job.config.compute)
        before = loss_before(target, lambda: sft.held_out_metrics(base, job.encoded["validation"]))
    log(f"held-out loss before training: {before:.4f} nats a token" + (f"; resuming from {checkpoint.name}" if checkpoint else ""))
    return before, updates(job, target, checkpoint, stop, started, job.encoded["train"], lambda callbacks: sft.make_trainer(
        base, job.tokenizer, job.encoded["train"], job.encoded["validation"], job.config, target, callbacks, stop))


def updates(job, target, checkpoint, stop, started, items, make):
    """Train and return the TrainerState at the end, None when the run was asked to stop.

    items: [Encoded] of what is trained, for the utilisation; make(callbacks): returns the trainer.
    """
    from weatherman.training import monitor, trackers
    patience = job.config.training.patience
    watch = monitor.run_callback(target, stop, rates(job.config, job.entry, items), patience, job.began)
    step = step_of(checkpoint) if checkpoint else 0
    with trackers.trackers(target, job.config.report_to, started["config"], started["started_at"], step) as reporters:
        trainer = make([watch, *reporters])
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    if not has_ended(trainer.state, patience):  # asked to stop, here or in another process
        log(f"stopped at step {trainer.state.global_step} of {trainer.state.max_steps}, checkpoint saved.\n"
            "  Try: the same command, it goes on from there")
        return None
    return trainer.state


def has_ended(state, patience):
    """Return whether a TrainerState has done all its updates or run out of patience, and was evaluated since."""
    from weatherman.training.monitor import out_of_patience
    from weatherman.training.trainer import evaluation_owed
    return not evaluation_owed(state) and (state.global_step >= state.max_steps or out_of_patience(state, patience))


def ended_state(checkpoint, patience):
    """Return the TrainerState of a checkpoint after which nothing is left to do, else None: a box may go just before run.json."""
    from transformers import TrainerState
    state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
    return state if has_ended(state, patience) else None


def loss_before(target, measure):
    """Return the held-out loss before the first update: measured (`measure()`: metrics) once a run, kept as step 0 of metrics.jsonl."""
    from weatherman.training import monitor
    path = target / "metrics.jsonl"
    known = monitor.first_loss(path)
    if known is None:
        metrics = measure()
        known = metrics["eval_loss"]
        if distributed.is_main():
            monitor.append(path, {"step": 0, **metrics})
    return known


def rates(config, entry, items):
    """Return the Rates of training on `items`, [Encoded]: utilisation where the card is known, dollars where there is a price."""
    import torch

    from weatherman.training.estimate import find_gpu, flops_per_token
    from weatherman.training.monitor import Rates
    cost, cuda = config.cost, config.compute.device == "cuda"
    name = cost.gpu or (torch.cuda.get_device_name() if cuda else None)
    _, card = (find_gpu(name) if name else None) or (None, None)
    usd = cost.usd_per_hour if cost.usd_per_hour is not None else card and card.usd_per_hour
    usd = usd and usd * distributed.count()
    if card is None or not cuda:
        return Rates(usd_per_hour=usd)
    # Model FLOPs utilisation (Chowdhery et al. 2022, PaLM): what checkpointing computes twice does not count as work.
    work = flops_per_token(entry, config.lora, **shares(items))
    return Rates(work, card.bf16_tflops * 1e12 * distributed.count(), usd)


def shares(items):
    """Return {loss_share, context}, what estimate.flops_per_token wants to know of conversations, [Encoded]."""
    sizes = [len(item.input_ids) for item in items]
    return {"loss_share": sum(item.loss_tokens for item in items) / sum(sizes), "context": packing.mean_context(sizes)}


def measure(job, target, before, state):
    """Return the figures of a run whose last checkpoint has `state`. Raises GateError when nothing was learned."""
    from weatherman.training import sft
    figures = run_figures(job, target, state, sft.accumulation(job.config.training, job.encoded["train"], distributed.count()))
    change = adapter_norm(target / "checkpoints" / f"checkpoint-{state.best_global_step}")
    if change == 0:
        raise GateError("the adapter is still zero after training: nothing was learned.",
                        "check training.learning_rate and lora.target_modules")
    return {**figures, "loss_before": before, "loss_after": state.best_metric, "adapter_norm": change}


def run_figures(job, target, state, accumulation):
    """Return the figures of any run whose last checkpoint has `state`. Raises GateError when no evaluation gave a number."""
    from weatherman.training import memory, monitor
    if state.best_global_step is None:
        raise GateError("no held-out evaluation gave a number.", "a lower training.learning_rate; metrics.jsonl shows where it began")
    rows = monitor.read_metrics(target / "metrics.jsonl")
    return {"records": {name: len(items) for name, items in job.encoded.items()}, "steps": state.global_step,
            "planned_steps": state.max_steps, "best_step": state.best_global_step,
            "micro_batch": job.config.training.micro_batch, "passes_per_micro_batch": memory.passes_of(target),
            "accumulation": accumulation, "processes": distributed.count(),
            "tokens_seen": int(state.num_input_tokens_seen), "seconds": max(row.get("elapsed_s", 0.0) for row in rows),
            "usd": next((row["usd"] for row in reversed(rows) if "usd" in row), None), "peak_bytes": peak_bytes()}


def adapter_norm(checkpoint):
    """Return the Frobenius norm of all LoRA B matrices of a saved adapter: they start at zero, so zero means nothing was learned."""
    from safetensors.torch import load_file
    weights = load_file(checkpoint / "adapter_model.safetensors")
    return math.sqrt(sum(float(value.float().pow(2).sum()) for name, value in weights.items() if "lora_B" in name))


def peak_bytes():
    """Return the most memory this process has held: of the GPU where it used one, else of the machine."""
    import torch
    used = torch.cuda.max_memory_allocated() if torch.cuda.is_available() else 0
    return used or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def finish(job, target, started, records, figures):
    """Write adapter, card and run.json from the best checkpoint. Returns (exit status, figures)."""
    from weatherman.training import card, runs
    before, after, best = figures["loss_before"], figures["loss_after"], figures["best_step"]
    if distributed.is_main():
        runs.take_adapter(target / "checkpoints" / f"checkpoint-{best}", target, job.entry)
        card.write_card(target, started, job.entry, card.supervised_sections(target.name, started, job.entry, records, figures), "sft")
        runs.finish(target, started, figures)
    if figures["steps"] < figures["planned_steps"]:
        log(f"ended early at step {figures['steps']} of {figures['planned_steps']}: the held-out loss has not fallen since step {best} "
            f"(training.patience: {job.config.training.patience}).")
    log(f"held-out loss {before:.4f} -> {after:.4f} nats a token (best at step {best}); wrote {show(target)}")
    if after >= before:
        log("no checkpoint beats the base: this adapter is worse than no adapter. It was kept so that you can look at it.\n"
            "  Try: a lower training.learning_rate, fewer epochs, more conversations")
        return GATE, {"run": show(target), **figures}
    log(f"  Next: python scripts/eval_model.py {target.name}")
    return DONE, {"run": show(target), **figures}


def probe(job, folder, steps):
    """Return {tokens_per_second, seconds_per_update, peak_bytes} of `steps` updates; `folder` is for the trainer and stays empty."""
    from weatherman.training import modeling, sft
    base = modeling.load_base(job.model_dir, job.config.quantization, job.config.compute)
    timer = timer_callback()
    trainer = sft.make_trainer(base, job.tokenizer, job.encoded["train"], job.encoded["validation"], job.config, folder, [timer],
                               max_steps=steps + PROBE_WARM_UP, eval_strategy="no", save_strategy="no", logging_strategy="no")
    trainer.train()
    (began, tokens), (ended, tokens_then) = timer.marks[PROBE_WARM_UP], timer.marks[trainer.state.global_step]
    seconds, updates = ended - began, trainer.state.global_step - PROBE_WARM_UP
    return {"tokens_per_second": (tokens_then - tokens) / seconds, "seconds_per_update": seconds / updates, "peak_bytes": peak_bytes()}


def timer_callback():
    """Return a callback whose `marks` are {step: (seconds, tokens seen)}, taken when the device has done the update's work."""
    import torch
    from transformers import TrainerCallback

    class Timer(TrainerCallback):
        marks = {}

        def on_step_end(self, args, state, control, **kwargs):
            if torch.cuda.is_available():
                torch.cuda.synchronize()
            self.marks[state.global_step] = (time.monotonic(), state.num_input_tokens_seen)

    return Timer()
