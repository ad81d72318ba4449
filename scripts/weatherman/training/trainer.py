"""TRL's trainers with exact held-out evaluation, and ready for what happens to long runs: no memory, no number, no box.

What transformers has for this does not fit: its out-of-memory handling (auto_find_batch_size) begins the run anew with another batch
size, so other updates; its checkpoint on SIGTERM (enable_jit_checkpoint) ends with status 0, like a finished run, and does not reach
into an evaluation; its rotation counts checkpoints that are not whole.
"""
import math
from dataclasses import dataclass
from pathlib import Path

from paths import show
from weatherman.checkpoints import latest_whole
from weatherman.cli import GateError, Interrupted, UserError, log
from weatherman.files import write_json
from weatherman.training import distributed, memory, recovery, runs
from weatherman.training.modeling import held_out_losses

NOTE = "weatherman"  # our entry in the checkpoint's trainer_state.json


@dataclass(frozen=True)
class Care:
    """What a trainer needs to look after a run.

    folder: the run folder; stop: its recovery.StopRequest; keep: newest checkpoints to keep; conversations: [Encoded] it trains on.
    """

    folder: Path
    stop: recovery.StopRequest
    keep: int
    conversations: list


def trainer_class(base, measure, care=None):
    """Return a subclass of a TRL trainer class whose `evaluate` reports `measure(model)`, a dict with at least `eval_loss`.

    care: None leaves out all that follows. An update that runs out of memory is done again in smaller passes; one whose loss or
    gradient is no number stops the run before the weights are touched (GateError); checkpoints are sealed and rotated; a stop during
    an evaluation saves first, and the evaluation is made up for on the next start.
    """

    class Evaluating(base):
        def evaluate(self, *args, **kwargs):
            was_training = self.model.training
            self.model.eval()  # TRL logs what the training batches gathered under the name of the mode it finds
            metrics = measure(self.model)
            self.log(dict(metrics))
            self.model.train(was_training)
            self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
            return metrics

    return Evaluating if care is None else careful(Evaluating, care)


def careful(base, care):
    """Return a subclass of a trainer class that looks after the run; see trainer_class."""

    class Careful(base):
        passes = memory.passes_of(care.folder)  # of a micro-batch
        share = 1.0  # of the micro-batch that is computed now
        caught_up = False

        # --- an update: out of memory, no number -----------------------------------------------------------------------

        def train(self, *args, **kwargs):
            distributed.check_sharding(self.is_fsdp_enabled)
            with memory.explained("training, outside the passes"):  # the optimiser's first step claims its own
                return super().train(*args, **kwargs)

        def get_batch_samples(self, *args):
            self.batches, items = super().get_batch_samples(*args)  # the micro-batches of the update that begins
            self.losses = []
            return self.batches, items

        def training_step(self, model, inputs, num_items_in_batch=None):
            todo = [inputs]
            while (loss := self.try_passes(model, todo, num_items_in_batch)) is None:
                self.take_more_passes(inputs)
                model.zero_grad()  # what the update gathered may hold a part of the failed pass
                todo = self.batches[:len(self.losses) + 1]
            self.losses.append(loss)
            return loss

        def try_passes(self, model, batches, items):
            """Return the loss of the last of `batches`, None when there was not enough memory."""
            try:
                for inputs in batches:
                    loss = 0.0
                    for part, share in memory.split(inputs, self.passes_of_all(inputs)):
                        self.share = share
                        loss = loss + super().training_step(model, part, items)
                return loss
            except (RuntimeError, MemoryError) as error:
                if not memory.is_out_of_memory(error):
                    raise
            finally:
                self.share = 1.0
            return None  # outside `except`, whose traceback holds on to the tensors of the failed pass

        def passes_of_all(self, inputs):
            """Return how many passes a micro-batch takes. All processes take the same number, or they would wait for each other."""
            return 1 if self.passes == 1 else min(distributed.gather([min(self.passes, memory.most_passes(inputs))]))

        def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
            result = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
            if num_items_in_batch is not None:  # the loss is a sum over tokens, divided by those of the whole update
                return result
            return (result[0] * self.share, result[1]) if return_outputs else result * self.share  # a mean over rows

        def take_more_passes(self, inputs):
            """Double the passes, for the next starts too. Raises UserError where that cannot help."""
            from accelerate.utils.memory import clear_device_cache
            step = self.state.global_step
            if self.passes >= memory.most_passes(inputs):
                raise UserError(f"step {step + 1}: out of memory with one conversation at a time, {inputs['input_ids'].numel():,} tokens "
                                "in this pass.", memory.SMALLER)
            self.passes = min(2 * self.passes, memory.most_passes(inputs))
            memory.remember(care.folder, self.passes, step)
            if distributed.several():  # the others are past this pass, or wait in it: they cannot be asked to do it again
                raise UserError(f"step {step + 1}: out of memory.", f"the same command: it goes on with {self.passes} passes a micro-batch")
            log(f"step {step + 1}: out of memory; each micro-batch now takes {self.passes} smaller passes, the update stays the same")
            clear_device_cache(garbage_collection=True)

        def _get_grad_norm(self, model, grad_norm=None):
            norm = super()._get_grad_norm(model, grad_norm)  # called between the update's last backward pass and the optimiser
            losses = [float(loss) for loss in self.losses]
            if distributed.anyone(not all(map(math.isfinite, [*losses, float(norm)]))):
                raise no_number(self, losses, float(norm), care)
            return norm

        # --- checkpoints and stops --------------------------------------------------------------------------------------

        def _maybe_log_save_evaluate(self, *args, **kwargs):
            try:
                super()._maybe_log_save_evaluate(*args, **kwargs)
            except Interrupted:  # out of `evaluate`, before anything came of it; the update before it is whole
                self._save_checkpoint(self.model, None)
                self.control = self.callback_handler.on_save(self.args, self.state, self.control)
                self.control.should_evaluate = self.control.should_save = False
                self.control.should_training_stop = True

        def evaluate(self, *args, **kwargs):
            with care.stop.at_once(), memory.explained("held-out evaluation"):
                return super().evaluate(*args, **kwargs)

        def _save_checkpoint(self, model, trial):
            self.caught_up = True  # from here on the note is this start's own
            self.state.stateful_callbacks[NOTE] = {
                "evaluation_owed": self.control.should_evaluate, "logged_step": self._globalstep_last_logged,
                "loss_since": self.accelerator.gather(self._tr_loss).mean().item()}  # since the last log line
            super()._save_checkpoint(model, trial)
            distributed.wait()  # every process has a file in it
            if self.args.should_save:
                recovery.seal(self.checkpoint())
                recovery.rotate(self.args.output_dir, care.keep, self.state.best_model_checkpoint)
            self.control.should_training_stop |= distributed.anyone(care.stop.asked)  # it came during the save

        def create_model_card(self, *args, **kwargs):
            """TRL writes one beside the checkpoints with each of them; the run's own comes at its end (runs.py)."""

        def checkpoint(self):
            """Return the path of the checkpoint of the last update, made or not."""
            return Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"

        def _run_epoch(self, **kwargs):
            self.catch_up()
            self.control.should_training_stop |= self.state.global_step >= self.state.max_steps
            if not self.control.should_training_stop:  # else transformers would do one update more
                super()._run_epoch(**kwargs)

        def _finalize_training(self, *args):
            self.catch_up()  # no epoch was left
            return super()._finalize_training(*args)

        def catch_up(self):
            """After the start from a checkpoint: take over what it had begun, the mean loss of a log line and an evaluation."""
            note = self.state.stateful_callbacks.get(NOTE)
            if note is None or self.caught_up:
                return
            self.caught_up = True
            self._tr_loss += note["loss_since"]
            self._globalstep_last_logged = note["logged_step"]
            if distributed.is_main():
                recovery.drop_later(self.args.output_dir, self.state.global_step)
            if note["evaluation_owed"]:
                if self._determine_best_metric(self._evaluate(None, None), None):
                    self.state.best_model_checkpoint = str(self.checkpoint())
                note["evaluation_owed"] = self.control.should_save = False

    return Careful


def evaluation_owed(state):
    """Return whether a TrainerState was saved, by a stop, before the evaluation that was due at its step."""
    return bool(state.stateful_callbacks.get(NOTE, {}).get("evaluation_owed"))


def no_number(trainer, losses, norm, care):
    """Return the GateError for an update whose losses, one a micro-batch, or gradient norm are not finite; write runs.NO_NUMBER.

    The file names the records of the update, and those whose loss is no number by themselves: where there are some, look at them; where
    there are none, at the learning rate and the precision.
    """
    known = {tuple(item.input_ids): item for item in care.conversations}
    batches = [[known[ids] for ids in segments(batch) if ids in known] for batch in trainer.batches]
    tried = [] if distributed.sharded() else [item for items in batches for item in items]  # there, all processes pass together or none
    alone = [item.id for item in tried if not math.isfinite(held_out_losses(trainer.model, [item])[0][0])]
    step, good, path = trainer.state.global_step + 1, latest_whole(trainer.args.output_dir), care.folder / runs.NO_NUMBER
    report = {"step": step, "losses": [str(loss) for loss in losses], "gradient_norm": str(norm),
              "records": distributed.gather([[item.id for item in items] for items in batches]),
              "no_number_alone": distributed.gather(alone), "last_good_checkpoint": good.name if good else None}
    if distributed.is_main():
        write_json(path, report)
    blame = f"no number even alone: {', '.join(report['no_number_alone'][:5])}" if report["no_number_alone"] else \
        "each alone gives a number, so look at the learning rate and the precision rather than at them"
    return GateError(f"step {step}: the loss or its gradient is no number (gradient norm {norm}). The last good checkpoint is "
                     f"{report['last_good_checkpoint']}.\n  The update's records are in {show(path)}; {blame}.",
                     "mend these records, or lower training.learning_rate, or compute.dtype=float32; then --resume, or --run NAME")


def segments(batch):
    """Yield the token ids (a tuple) of each conversation of a batch of TRL's collators."""
    for part, _ in memory.split(batch, memory.most_passes(batch)):
        kept = part["attention_mask"].bool() if "attention_mask" in part else [slice(None)] * len(part["input_ids"])
        yield from (tuple(row[keep].tolist()) for row, keep in zip(part["input_ids"], kept))
