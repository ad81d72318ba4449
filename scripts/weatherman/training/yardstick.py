"""One run for `make bench-train`: ours as train.py does it, or what a competent newcomer writes with TRL's documentation.

The newcomer's has the same weights, adapter, labels, conversations, order, batches and schedule; attention, padding, loss and precision
are as TRL and transformers have them by default. Nothing else uses it.
"""
import math


def measure_ours(resolved, records, target):
    """Train as train.py does into the run folder `target`; return the figures of `figures`."""
    from weatherman.training import monitor, session
    _, found = session.fine_tune(resolved, records, target)
    rows = [row for row in monitor.read_metrics(target / "metrics.jsonl") if "loss" in row]
    tokens = [row["num_input_tokens_seen"] for row in rows]
    windows = [((now - before) / row["tokens_per_second"], now - before) for row, before, now in zip(rows[1:], tokens, tokens[1:])]
    compute = resolved_compute(resolved)
    how = f"{compute.dtype}, {compute.attention}, no padding"
    return figures(windows, found["loss_before"], found["loss_after"], found["peak_bytes"], how)


def measure_plain(resolved, records, target):
    """Train with the plain script; return the figures of `figures`."""
    from weatherman.training import modeling, session
    from weatherman.training.job import prepare
    job = prepare(resolved, records)
    config, held_out = job.config, job.encoded["validation"]
    mode = "none" if config.quantization.mode == "none" else "nf4"  # nf4-resident is ours
    base = modeling.load_base(job.model_dir, config.quantization.model_copy(update={"mode": mode}),
                              config.compute.model_copy(update={"attention": "sdpa"}))
    before = modeling.mean_loss(modeling.held_out_losses(base, held_out))
    model, windows = train_plain(base, config, job.tokenizer, job.encoded["train"], target)
    after = modeling.mean_loss(modeling.held_out_losses(model, held_out))
    how = f"{config.compute.dtype}{', bf16 autocast' if config.compute.dtype == 'bfloat16' else ''}, sdpa, padded to the longest of a batch"
    return figures(windows, before, after, session.peak_bytes(), how)


def resolved_compute(resolved):
    from weatherman.training.modeling import resolve_compute
    return resolve_compute(resolved.values.compute)


def figures(windows, before, after, peak_bytes, how):
    """Return what one run comes to. windows: [(seconds, real tokens)] of every update but the first, in which kernels are chosen."""
    seconds, tokens = (sum(each) for each in zip(*windows))
    return {"real_tokens_per_second": tokens / seconds, "timed_tokens": tokens, "updates": len(windows) + 1, "peak_bytes": peak_bytes,
            "loss_before": before, "loss_after": after, "how": how}


def train_plain(base, config, tokenizer, train, folder):
    """Return (the trained model, [(seconds, real tokens)] of every update but the first). The trainer leaves nothing in `folder`."""
    from transformers import set_seed
    from trl import SFTTrainer

    from weatherman.training import session
    from weatherman.training.sft import as_dataset, lora_config
    timer = session.timer_callback()
    set_seed(config.training.seed)  # or the two would begin with different adapters
    trainer = SFTTrainer(model=base, args=plain_arguments(config, folder), train_dataset=as_dataset(train), processing_class=tokenizer,
                         peft_config=lora_config(config.lora), callbacks=[timer])
    trainer.train()
    marks = [timer.marks[step] for step in sorted(timer.marks)]
    return trainer.model, [(then[0] - now[0], then[1] - now[1]) for now, then in zip(marks, marks[1:])]


def plain_arguments(config, folder):
    """Return the SFTConfig: what our configuration says, everything else as TRL has it."""
    from trl import SFTConfig
    settings = config.training
    return SFTConfig(
        output_dir=str(folder), num_train_epochs=settings.epochs, per_device_train_batch_size=settings.micro_batch,
        gradient_accumulation_steps=math.ceil(settings.effective_batch / settings.micro_batch), learning_rate=settings.learning_rate,
        lr_scheduler_type=settings.scheduler, warmup_steps=settings.warmup_share, weight_decay=settings.weight_decay,
        max_grad_norm=settings.max_grad_norm, max_length=settings.max_tokens, gradient_checkpointing=settings.gradient_checkpointing,
        bf16=config.compute.dtype == "bfloat16", use_cpu=config.compute.device == "cpu", seed=settings.seed, data_seed=settings.seed,
        shuffle_dataset=True, save_strategy="no", logging_steps=1, report_to="none", disable_tqdm=True,
        include_num_input_tokens_seen="non_padding")
