"""Supervised fine-tuning with TRL: our records in, an adapter and its figures out."""
import math
import time
from pathlib import Path

from weatherman.cli import log
from weatherman.files import read_jsonl, to_json_line, write_bytes
from weatherman.training.modeling import held_out_losses, mean_loss
from weatherman.training.recovery import seal


def accumulation(config, encoded):
    """Return how many micro-batches make an update of about `effective_batch` conversations.

    A packed row holds several conversations, so the number follows from their mean length.
    """
    tokens = sum(len(item.input_ids) for item in encoded)
    per_row = max(1.0, config.max_tokens * len(encoded) / tokens) if config.packing else 1.0
    return max(1, round(config.effective_batch / (config.micro_batch * per_row)))


def sft_arguments(config, folder, steps_per_update):
    """Return the SFTConfig for a schemas.TrainingConfig; every key of the configuration that TRL has goes through here."""
    from trl import SFTConfig
    settings, cpu = config.training, config.compute.device == "cpu"
    return SFTConfig(
        output_dir=str(folder / "checkpoints"), num_train_epochs=settings.epochs, max_steps=settings.max_steps,
        per_device_train_batch_size=settings.micro_batch, per_device_eval_batch_size=1,
        gradient_accumulation_steps=steps_per_update, learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.scheduler, warmup_steps=settings.warmup_share, weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm, max_length=settings.max_tokens, packing=settings.packing, packing_strategy="bfd",
        eval_packing=False, shuffle_dataset=True, gradient_checkpointing=settings.gradient_checkpointing,
        gradient_checkpointing_kwargs={"use_reentrant": False} if settings.gradient_checkpointing else None,
        logging_steps=settings.log_steps, eval_strategy="steps", eval_steps=settings.eval_steps,
        save_strategy="steps", save_steps=settings.save_steps, save_total_limit=settings.keep_checkpoints,
        seed=settings.seed, data_seed=settings.seed, use_cpu=cpu, bf16=config.compute.dtype == "bfloat16" and not cpu,
        dataloader_pin_memory=not cpu, report_to=list(config.report_to) or "none", include_num_input_tokens_seen="all",
        disable_tqdm=True, run_name=folder.name,
    )


def lora_config(config):
    """Return the peft LoraConfig for a schemas.Lora."""
    from peft import LoraConfig
    return LoraConfig(r=config.r, lora_alpha=config.alpha, lora_dropout=config.dropout, target_modules=list(config.target_modules),
                      bias="none", task_type="CAUSAL_LM")


def as_dataset(encoded):
    """Return a datasets.Dataset of ids and labels: plain integers, so Arrow has no schema to pad."""
    from datasets import Dataset
    return Dataset.from_dict({"input_ids": [item.input_ids for item in encoded], "labels": [item.labels for item in encoded]})


def make_trainer(model, tokenizer, train, validation, config, folder, stop):
    """Return a TRL SFTTrainer on `model` (frozen base) that evaluates exactly, writes metrics.jsonl and honours `stop`."""
    from transformers import PrinterCallback, set_seed
    from trl import SFTTrainer

    class Trainer(SFTTrainer):
        """TRL's trainer; the held-out loss is per token over whole conversations, not a mean of batch means."""

        def evaluate(self, *args, **kwargs):
            loss = mean_loss(held_out_losses(self.model, validation))
            metrics = {"eval_loss": loss, "eval_perplexity": math.exp(min(loss, 50))}
            self.log(metrics)
            self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
            return metrics

    arguments = sft_arguments(config, folder, accumulation(config.training, train))
    set_seed(config.training.seed)  # the trainer sets it too, but only after peft has drawn the adapter's first weights
    trainer = Trainer(model=model, args=arguments, train_dataset=as_dataset(train), eval_dataset=as_dataset(validation),
                      processing_class=tokenizer, peft_config=lora_config(config.lora), callbacks=[run_callback(folder, stop)])
    trainer.remove_callback(PrinterCallback)  # prints every log once more, as a dict
    return trainer


def final_held_out_loss(trainer):
    """Return the held-out loss after the last update; measured now unless the loop just did."""
    last = next((row for row in reversed(trainer.state.log_history) if "eval_loss" in row), {"step": None})
    return last["eval_loss"] if last["step"] == trainer.state.global_step else trainer.evaluate()["eval_loss"]


def run_callback(folder, stop):
    """Return the callback that writes metrics.jsonl, shows progress, seals checkpoints and stops when asked."""
    from transformers import TrainerCallback

    class RunCallback(TrainerCallback):
        def on_train_begin(self, args, state, control, **kwargs):
            self.started, self.first_step = time.monotonic(), state.global_step
            trim_metrics(folder / "metrics.jsonl", state.global_step)

        def on_step_end(self, args, state, control, **kwargs):
            if stop.asked:
                control.should_save = control.should_training_stop = True

        def on_save(self, args, state, control, **kwargs):
            seal(Path(args.output_dir) / f"checkpoint-{state.global_step}")

        def on_log(self, args, state, control, logs=None, **kwargs):
            spent_s = time.monotonic() - self.started
            row = {"step": state.global_step, "epoch": round(state.epoch or 0, 4), "elapsed_s": round(spent_s, 2), **logs}
            with open(folder / "metrics.jsonl", "ab") as handle:
                handle.write(to_json_line(row))
            if {"loss", "eval_loss"} & row.keys():
                log(progress_line(row, state.max_steps, self.first_step, spent_s))

    return RunCallback()


def trim_metrics(path, step):
    """Drop the lines after `step`, which a resumed run writes again, and a last line that a full disk cut off."""
    if path.is_file():
        rows = [row for _, row in read_jsonl(path, on_bad=lambda *bad: None)] if path.stat().st_size else []
        write_bytes(path, b"".join(to_json_line(row) for row in rows if row["step"] <= step))


def progress_line(row, max_steps, first_step, spent_s):
    """Return one line: step, what was logged, time left at the pace so far."""
    done = row["step"] - first_step
    left = f"  {(max_steps - row['step']) * spent_s / done:,.0f} s left" if done and row["step"] < max_steps else ""
    names = {"loss": "loss", "eval_loss": "held-out loss", "grad_norm": "gradient norm", "learning_rate": "lr"}
    shown = [f"{label} {float(row[key]):.4g}" for key, label in names.items() if key in row]
    return f"step {row['step']}/{max_steps}  {'  '.join(shown)}{left}"
