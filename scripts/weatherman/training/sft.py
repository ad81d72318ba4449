"""Supervised fine-tuning with TRL: our configuration and records in, a trainer out."""
import math

from weatherman.training import distributed, packing
from weatherman.training.modeling import held_out_losses, in_float32, mean_loss, spare_input_copies
from weatherman.training.trainer import Care, trainer_class
from weatherman.training.vocabulary import check_end_of_turn_known, untrained_tokens

MAX_NATS = 50  # e to this is still a number one can print


def per_row(config, encoded):
    """Return how many conversations a row holds on average: what their mean length lets fit when rows are packed, else one."""
    return packing.conversations_per_row(config, [len(item.input_ids) for item in encoded])


def accumulation(config, encoded, processes=1):
    """Return how many micro-batches each process computes for an update of about `effective_batch` conversations."""
    return packing.accumulation(config, [len(item.input_ids) for item in encoded], processes)


def loop_arguments(settings, compute, folder, steps_per_update):
    """Return the arguments that TRL's SFTConfig and DPOConfig share, as a dict.

    settings: schemas.Loop without "auto"; compute: schemas.Compute without "auto". Reporting is left to our own callbacks.
    """
    cpu = compute.device == "cpu"
    return {
        "output_dir": str(folder / "checkpoints"), "run_name": folder.name, "report_to": "none", "disable_tqdm": True,
        "num_train_epochs": settings.epochs, "max_steps": settings.max_steps,
        "per_device_train_batch_size": settings.micro_batch, "per_device_eval_batch_size": 1,
        "gradient_accumulation_steps": steps_per_update,
        "learning_rate": settings.learning_rate, "lr_scheduler_type": settings.scheduler, "warmup_steps": settings.warmup_share,
        "weight_decay": settings.weight_decay, "max_grad_norm": settings.max_grad_norm,
        "max_length": settings.max_tokens, "gradient_checkpointing": settings.gradient_checkpointing,
        "gradient_checkpointing_kwargs": {"use_reentrant": False} if settings.gradient_checkpointing else None,
        "logging_steps": settings.log_steps, "logging_nan_inf_filter": False,  # it would write the mean of the losses before for a NaN
        "eval_strategy": "steps", "eval_steps": settings.eval_steps,
        # The best checkpoint is never rotated away; run_callback has one made of every best.
        "metric_for_best_model": "eval_loss", "greater_is_better": False,
        "save_strategy": "steps", "save_steps": settings.save_steps,  # the trainer of ours rotates, after sealing
        "seed": settings.seed, "data_seed": settings.seed,
        "use_cpu": cpu, "bf16": compute.dtype == "bfloat16", "dataloader_pin_memory": compute.device == "cuda",
        "include_num_input_tokens_seen": "non_padding",
        "ddp_find_unused_parameters": False,  # every trained weight is in every pass
    }


def sft_arguments(config, folder, steps_per_update, **changes):
    """Return the SFTConfig for a schemas.TrainingConfig without "auto"; every key of the configuration that TRL has goes through here."""
    from trl import SFTConfig
    shared = loop_arguments(config.training, config.compute, folder, steps_per_update)
    packing, flat = config.training.packing, not config.training.packing and config.training.micro_batch > 1
    return SFTConfig(**{**shared, "packing": packing, "packing_strategy": "bfd", "eval_packing": False, "shuffle_dataset": True,
                        "padding_free": flat,  # conversations are laid end to end instead of padded; packing does so by itself
                        **({"max_length": None} if flat else {}),  # TRL cuts nothing then; what is too long was refused before
                        **changes})


def lora_config(config, untrained=None):
    """Return the peft LoraConfig for a schemas.Lora. untrained: tokens that the base never learned (vocabulary.untrained_tokens)."""
    from peft import LoraConfig
    return LoraConfig(r=config.r, lora_alpha=config.alpha, lora_dropout=config.dropout, target_modules=list(config.target_modules),
                      trainable_token_indices=untrained or None, bias="none", task_type="CAUSAL_LM")


def as_dataset(encoded):
    """Return a datasets.Dataset of ids and labels: plain integers, so Arrow has no schema to pad."""
    from datasets import Dataset
    return Dataset.from_dict({"input_ids": [item.input_ids for item in encoded], "labels": [item.labels for item in encoded]})


def held_out_metrics(model, validation):
    """Return {eval_loss, eval_perplexity}: per token over whole conversations, not a mean of batch means."""
    loss = mean_loss(held_out_losses(model, validation))
    return {"eval_loss": loss, "eval_perplexity": math.exp(min(loss, MAX_NATS))}


def make_trainer(model, tokenizer, train, validation, config, folder, callbacks=(), stop=None, **changes):
    """Return TRL's SFTTrainer on `model` (frozen base) that evaluates exactly on `validation`, both lists of Encoded.

    config: schemas.TrainingConfig without "auto"; stop: a recovery.StopRequest, None for a trial that nobody resumes; changes: further
    arguments of SFTConfig.
    """
    from transformers import PrinterCallback, set_seed
    from trl import SFTTrainer
    arguments = sft_arguments(config, folder, accumulation(config.training, train, distributed.count()), **changes)
    distributed.check_world()
    care = stop and Care(folder, stop, config.training.keep_checkpoints, train)
    set_seed(config.training.seed)  # the trainer sets it too, but only after peft has drawn the adapter's first weights
    trainer = trainer_class(SFTTrainer, lambda model: held_out_metrics(model, validation), care)(
        model=model, args=arguments, train_dataset=as_dataset(train), eval_dataset=as_dataset(validation),
        processing_class=tokenizer, callbacks=list(callbacks),
        peft_config=lora_config(config.lora, untrained_tokens(model, tokenizer)))
    in_float32(trainer.model)
    if arguments.bf16:
        spare_input_copies(trainer.model)
    check_end_of_turn_known(trainer.model, tokenizer)
    trainer.remove_callback(PrinterCallback)  # prints every log once more, as a dict
    arguments.max_steps = fewest_steps(arguments, len(trainer.get_train_dataloader()))
    return trainer


def fewest_steps(arguments, micro_batches):
    """Return the number of updates that both epochs and max_steps allow. transformers would let max_steps rule alone."""
    return packing.updates(micro_batches, arguments.gradient_accumulation_steps, arguments.num_train_epochs, arguments.max_steps)
