"""What a run shows while it trains, and what it decides by that: figures, progress, the best checkpoint, when to end."""
import math
import sys
import time
from dataclasses import dataclass

from weatherman.cli import log
from weatherman.files import read_jsonl, to_json_line, write_bytes
from weatherman.training import distributed

LABELS = {"loss": "loss {:.4f}", "eval_loss": "held-out loss {:.4f}",
          "rewards/margins": "margin {:+.3f}", "rewards/accuracies": "{:.0%} right",  # of preference training
          "eval_rewards/margins": "held-out margin {:+.3f}", "eval_rewards/accuracies": "{:.0%} right",
          "tokens_per_second": "{:,.0f} tokens/s", "utilization": "{:.0%} of the card", "usd": "${:.2f}", "left_s": "{} left"}

REPEATED = ("num_tokens", "train_runtime", "train_tokens_per_second")  # counted by the libraries too, but anew after every start


@dataclass(frozen=True)
class Rates:
    """What turns tokens and seconds into utilisation and dollars; None where it is not known."""

    flops_per_token: float | None = None
    card_flops: float | None = None
    usd_per_hour: float | None = None


class Pace:
    """Time, tokens and money of a run. `clock` returns seconds; what evaluation and saving take does not count as training."""

    def __init__(self, rates, step, tokens, spent_s, clock=time.monotonic):
        self.rates, self.clock, self.first_step = rates, clock, step
        self.spent_s = spent_s  # before the first update: by earlier starts of the run, and by loading and measuring the base
        self.started = self.step_ended = self.window_began = clock()
        self.window_tokens = tokens

    def step_done(self):
        self.step_ended = self.clock()

    def other_work_done(self):
        """Take what lies between the last update and now out of the training time."""
        now = self.clock()
        self.window_began += now - self.step_ended
        self.step_ended = now

    def elapsed_s(self):
        return self.spent_s + self.clock() - self.started

    def usd(self):
        return None if self.rates.usd_per_hour is None else self.rates.usd_per_hour * self.elapsed_s() / 3600

    def figures(self, step, max_steps, tokens, trained):
        """Return {elapsed_s, tokens_per_second, utilization, usd, left_s}, each where it is known. trained: updates were just logged."""
        now, known = self.clock(), {"elapsed_s": round(self.elapsed_s(), 2)}
        if trained and now > self.window_began:
            rate = (tokens - self.window_tokens) / (now - self.window_began)
            self.window_began, self.window_tokens = now, tokens
            known["tokens_per_second"] = round(rate, 1)
            if self.rates.flops_per_token and self.rates.card_flops:
                known["utilization"] = round(rate * self.rates.flops_per_token / self.rates.card_flops, 4)
        if self.rates.usd_per_hour is not None:
            known["usd"] = round(self.usd(), 4)
        if step > self.first_step:
            known["left_s"] = round((max_steps - step) * (now - self.started) / (step - self.first_step), 1)
        return known


def run_callback(folder, stop, rates, patience, began):
    """Return the callback of a training run. Put it before those that report: it adds to what they are given.

    began: when this start of the run began, by time.monotonic(); what came before the first update is paid for too.
    Writes FOLDER/metrics.jsonl, shows progress, has a checkpoint made of every best held-out loss, and ends the run
    when `stop` asks for it or `patience` evaluations brought nothing better. A resumed run goes on where its checkpoint was.
    """
    from transformers import TrainerCallback
    path = folder / "metrics.jsonl"

    class RunCallback(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            spent_s = trim_metrics(path, state.global_step) if state.is_world_process_zero else 0.0
            self.pace = Pace(rates, state.global_step, state.num_input_tokens_seen, spent_s + time.monotonic() - began)
            self.shown = Progress(state.max_steps, state.global_step)

        def on_step_end(self, args, state, control, **kwargs):
            self.pace.step_done()
            if distributed.anyone(stop.asked):
                control.should_save = control.should_training_stop = True

        def on_evaluate(self, args, state, control, metrics, **kwargs):
            self.pace.other_work_done()
            if is_better(metrics["eval_loss"], state.best_metric):
                control.should_save = True  # the best is always one of the checkpoints
            elif out_of_patience(state, patience):
                control.should_save = control.should_training_stop = True

        def on_save(self, args, state, control, **kwargs):
            self.pace.other_work_done()

        def on_log(self, args, state, control, logs=None, **kwargs):
            if not state.is_world_process_zero or not {"loss", "eval_loss"} & logs.keys():
                return
            for key in REPEATED:
                logs.pop(key, None)
            logs.update(self.pace.figures(state.global_step, state.max_steps, state.num_input_tokens_seen, "loss" in logs))
            row = {"step": state.global_step, **logs, "epoch": round(state.epoch or 0, 4)}
            append(path, row)
            self.shown.show(row)

        def on_train_end(self, args, state, control, **kwargs):
            self.shown.close()

    return RunCallback()


def is_better(loss, best):
    """Return whether a held-out loss beats the best one so far (None: there is none). A loss that is no number never does."""
    return not math.isnan(loss) and (best is None or loss < best)


def out_of_patience(state, patience):
    """Return whether the last `patience` evaluations of a TrainerState brought nothing better; never when patience is 0."""
    later = [row for row in state.log_history if "eval_loss" in row and row["step"] > (state.best_global_step or 0)]
    return 0 < patience <= len(later)


def append(path, row):
    """Add a row to metrics.jsonl."""
    with open(path, "ab") as handle:
        handle.write(to_json_line(row))


def first_loss(path):
    """Return the held-out loss before the first update that metrics.jsonl has, None where it has none."""
    return next((row["eval_loss"] for row in read_metrics(path) if row["step"] == 0), None)


def read_metrics(path):
    """Return the whole lines of metrics.jsonl as dicts; [] where there is no such file yet."""
    return [row for _, row in read_jsonl(path, on_bad=lambda *bad: None)] if path.is_file() and path.stat().st_size else []


def trim_metrics(path, step):
    """Return the seconds the run has taken so far, and drop the lines after `step`, which a resumed run writes again.

    A last line that a full disk cut off goes too. The seconds include the dropped lines': they were paid for.
    """
    if not path.is_file():
        return 0.0
    rows = read_metrics(path)
    write_bytes(path, b"".join(to_json_line(row) for row in rows if row["step"] <= step))
    return max((row.get("elapsed_s", 0.0) for row in rows), default=0.0)


class Progress:
    """Shows a row of figures: a bar on a terminal, a line elsewhere."""

    def __init__(self, max_steps, step):
        self.max_steps, self.bar = max_steps, None
        if sys.stderr.isatty():
            from tqdm import tqdm
            self.bar = tqdm(total=max_steps, initial=step, desc="training", unit="step", file=sys.stderr)

    def show(self, row):
        words = describe(row)
        if self.bar is None:
            log(f"step {row['step']}/{self.max_steps}  {words}")
        else:
            self.bar.set_postfix_str(words, refresh=False)
            self.bar.update(row["step"] - self.bar.n)

    def close(self):
        if self.bar is not None:
            self.bar.close()


def describe(row):
    """Return the figures of a row in words: loss 1.2345  1,234 tokens/s  41% of the card  $0.12  1:02:03 left."""
    values = {**row, "left_s": clock_text(row["left_s"])} if "left_s" in row else row
    return "  ".join(form.format(values[key]) for key, form in LABELS.items() if key in values)


def clock_text(seconds):
    """3723 -> 1:02:03"""
    hours, rest = divmod(round(seconds), 3600)
    return f"{hours}:{rest // 60:02}:{rest % 60:02}" if hours else f"{rest // 60}:{rest % 60:02}"
