"""Preference training (DPO, Rafailov et al. 2023) with TRL: pairs of answers in, a better adapter and its figures out.

The ids are ours, not TRL's: a pair is rendered through the same template and checks as a conversation (templates.py). Prompt and
generation prompt are what a server sends; log-probabilities are taken on the assistant's tokens of the answer, so a tool result
inside it counts neither for nor against. Nothing is cut.

Log-probabilities of whole answers differ by a few nats, so they are never taken or summed in bfloat16 (it has steps of 2 at 300 nats).
"""
import functools
import math
import shutil
from dataclasses import dataclass
from pathlib import Path

from weatherman.cli import GateError
from weatherman.models import faults, templates
from weatherman.models.faults import TemplateFault
from weatherman.models.templates import IGNORED, Encoded
from weatherman.training import distributed
from weatherman.training.modeling import held_out_losses
from weatherman.training.sft import loop_arguments
from weatherman.training.trainer import Care, trainer_class


@dataclass(frozen=True)
class EncodedPair:
    """Two answers to one prompt. Both Encoded hold prompt and answer; their labels are IGNORED outside the answer's assistant turns."""

    id: str
    prompt_tokens: int
    chosen: Encoded
    rejected: Encoded


def read_pairs(path):
    """Return the preference pairs (dicts) of a JSONL file. Raises UserError at the first line that is no whole PreferencePair."""
    from weatherman.records import PreferencePair
    return templates.read_records(path, PreferencePair, "docs/DATA_FORMAT.md shows a pair")


def encode_pair(tokenizer, pair, max_tokens):
    """Return the EncodedPair of a preference pair (a dict). Raises TemplateFault that says what is wrong with it."""
    faults.check_no_nulls(pair["tools"], "tools")
    prompt = templates.prompt_ids(tokenizer, pair["prompt"], pair["tools"])
    chosen, rejected = (encode_answer(tokenizer, pair, name, prompt, max_tokens) for name in ("chosen", "rejected"))
    if chosen.input_ids == rejected.input_ids:
        raise TemplateFault("chosen and rejected are the same text: there is nothing to prefer")
    return EncodedPair(pair["id"], len(prompt), chosen, rejected)


def encode_answer(tokenizer, pair, name, prompt, max_tokens):
    """Return the Encoded of prompt and one answer ("chosen" or "rejected"), trained on that answer alone. Raises TemplateFault."""
    if len(pair[name][-1].get("tool_calls") or ()) > 1 and not templates.takes_parallel_calls(tokenizer):
        raise TemplateFault(f"{name}: ends with several calls at once, and this model's template writes one call a turn")
    record = {"id": pair["id"], "messages": [*pair["prompt"], *pair[name]], "tools": pair["tools"]}
    try:
        whole = templates.encode(tokenizer, record, max_tokens)
    except TemplateFault as fault:
        raise TemplateFault(f"{name}: {fault}") from None
    start = len(prompt)
    if whole.input_ids[:start] != prompt:
        raise TemplateFault(f"{name}: the template writes the prompt in another way when an answer follows, so the answer would be trained "
                            "behind a prompt that no server sends")
    if whole.labels[start] == IGNORED:
        raise TemplateFault(f"{name}: the first token of the answer would not be trained")
    return Encoded(pair["id"], whole.input_ids, [IGNORED] * start + whole.labels[start:])


def encode_pairs(tokenizer, pairs, max_tokens, names):
    """Return {"train": [EncodedPair], "validation": [EncodedPair]}. Raises GateError at faulty pairs and at held-out prompts that train.

    pairs: {split: [dict]}; names: how messages call the splits.
    """
    encoded = {split: templates.encode_all(tokenizer, rows, max_tokens, names[split], encode_pair) for split, rows in pairs.items()}
    trained = {tuple(prompt_of(pair)) for pair in encoded["train"]}
    leaked = [pair.id for pair in encoded["validation"] if tuple(prompt_of(pair)) in trained]
    if leaked:
        raise GateError(f"{len(leaked)} validation pairs answer a prompt that is also in the training set, first {leaked[0]}.",
                        "split the pairs by prompt")
    return encoded


def prompt_of(pair):
    """Return the token ids of an EncodedPair's prompt."""
    return pair.chosen.input_ids[:pair.prompt_tokens]


def answers(pairs):
    """Return [Encoded] of both answers to every pair: chosen, rejected, chosen, ..."""
    return [answer for pair in pairs for answer in (pair.chosen, pair.rejected)]


# --- log-probabilities and figures ------------------------------------------------------------------------------------

def answer_losses(model, pairs, label="held-out answers"):
    """Return [(chosen, rejected)], each (-log p(answer | prompt) in nats, tokens), for every EncodedPair."""
    losses = held_out_losses(model, answers(pairs), label)
    return list(zip(losses[::2], losses[1::2]))


def rewards(policy, reference, beta):
    """Return [(chosen, rejected)]: the implicit rewards beta * log(p(answer) / p_reference(answer)) of Rafailov et al. 2023, eq. 5.

    policy, reference: what answer_losses says of the trained and of the frozen adapter.
    """
    return [tuple(beta * (frozen - trained) for (trained, _), (frozen, _) in zip(now, before)) for now, before in zip(policy, reference)]


def held_out_figures(policy, reference, beta):
    """Return the figures of held-out pairs, means over pairs.

    eval_loss: -log sigmoid(margin), whatever loss is trained: log 2 means that the judge's choices are no better told than by a coin.
    eval_rewards/accuracies: share of pairs whose chosen answer has the higher reward, ties counted half.
    eval_nll/*: nats a token of the answers; where that of the chosen ones climbs, preference is bought with fluency.
    """
    margins = [chosen - rejected for chosen, rejected in rewards(policy, reference, beta)]
    per_token = [sum(pair[side][0] for pair in policy) / sum(pair[side][1] for pair in policy) for side in (0, 1)]
    return {"eval_loss": sum(softplus(-margin) for margin in margins) / len(margins), "eval_rewards/margins": sum(margins) / len(margins),
            "eval_rewards/accuracies": sum((margin > 0) + (margin == 0) / 2 for margin in margins) / len(margins),
            "eval_nll/chosen": per_token[0], "eval_nll/rejected": per_token[1]}


def softplus(x):
    """Return log(1 + e^x)."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def held_out_rows(held_out):
    """Return rows [what, before, after] of the held-out figures as text."""
    forms = {"eval_loss": ("preference loss, nats a pair", "{:.4f}"), "eval_rewards/margins": ("reward margin", "{:+.4f}"),
             "eval_rewards/accuracies": ("chosen answer ahead", "{:.0%}"), "eval_nll/chosen": ("chosen answers, nats a token", "{:.4f}"),
             "eval_nll/rejected": ("rejected answers, nats a token", "{:.4f}")}
    return [[name, *(form.format(held_out[when][key]) for when in ("before", "after"))] for key, (name, form) in forms.items()]


# --- training ---------------------------------------------------------------------------------------------------------

def load_reference(base, folder):
    """Return `base` with the supervised run's adapter on it, trainable, in float32: where training starts, and its reference."""
    from peft import PeftModel
    model = PeftModel.from_pretrained(base, folder, is_trainable=True)
    model.peft_config["default"].base_model_name_or_path = base.name_or_path  # else every checkpoint asks the hub for the base's config
    return model


def as_dataset(pairs, reference=None):
    """Return a datasets.Dataset of numbers alone, so Arrow has no tool schema to pad. `reference`: its answer_losses, or None."""
    from datasets import Dataset
    columns = {f"{name}_{key}": [list(getattr(getattr(pair, name), key)) for pair in pairs]
               for name in ("chosen", "rejected") for key in ("input_ids", "labels")}
    if reference is not None:
        columns |= {f"ref_{name}_logps": [-losses[side][0] for losses in reference] for side, name in enumerate(("chosen", "rejected"))}
    return Dataset.from_dict(columns)


def collate(rows, pad_token_id):
    """Return TRL's preference batch: the chosen answers, then the rejected ones, padded on the right.

    input_ids, attention_mask, completion_mask: int64 (2 * pairs, longest); the last is 1 on the tokens whose log-probability counts.
    ref_chosen_logps, ref_rejected_logps: float32 (pairs,), where the rows hold them.
    """
    import torch
    answers = [(row[f"{name}_input_ids"], row[f"{name}_labels"]) for name in ("chosen", "rejected") for row in rows]
    longest = max(len(ids) for ids, _ in answers)

    def padded(lists, value):
        return torch.tensor([values + [value] * (longest - len(values)) for values in lists])

    batch = {"input_ids": padded([ids for ids, _ in answers], pad_token_id),
             "attention_mask": padded([[1] * len(ids) for ids, _ in answers], 0),
             "completion_mask": padded([[int(label != IGNORED) for label in labels] for _, labels in answers], 0)}
    return batch | {key: torch.tensor([row[key] for row in rows]) for key in ("ref_chosen_logps", "ref_rejected_logps") if key in rows[0]}


def dpo_arguments(config, folder):
    """Return the DPOConfig for a schemas.PreferenceRun without "auto"."""
    from trl import DPOConfig
    shared = loop_arguments(config.training, config.compute, folder, accumulation(config.training, distributed.count()))
    return DPOConfig(**{**shared, "beta": config.preference.beta, "loss_type": [config.preference.loss],
                        "label_smoothing": config.preference.label_smoothing, "disable_dropout": True, "remove_unused_columns": False,
                        "max_length": None})  # TRL would cut and drop; encode_pair has refused what is too long


def accumulation(settings, processes=1):
    """Return how many micro-batches make an update of about `effective_batch` pairs."""
    return max(1, round(settings.effective_batch / (settings.micro_batch * processes)))


def make_trainer(model, tokenizer, pairs, held_out, before, config, folder, callbacks=(), stop=None):
    """Return TRL's DPOTrainer on EncodedPairs that evaluates exactly on `held_out`.

    model: what load_reference returned; the trainer copies its adapter to one called "ref", which stays as it is, also when a checkpoint
    is loaded. before: answer_losses of `held_out` by the reference. config: schemas.PreferenceRun without "auto".
    stop: a recovery.StopRequest, None for a trial that nobody resumes.
    """
    from transformers import PrinterCallback, set_seed
    from trl import DPOTrainer

    class PairTrainer(DPOTrainer):
        def _prepare_dataset(self, dataset, *_):
            return dataset  # it is tokenised already

        def _save(self, output_dir=None, state_dict=None):
            super()._save(output_dir, state_dict)
            # transformers 5.20 resumes from the adapters in subfolders *instead of* the one beside them: with the reference in its
            # subfolder "ref", the trained adapter would be left out, and training would begin anew from the reference.
            shutil.rmtree(Path(output_dir) / "ref")

    def measure(model):
        return held_out_figures(answer_losses(model, held_out), before, config.preference.beta)

    arguments, precompute = dpo_arguments(config, folder), config.preference.precompute_reference
    distributed.check_world()
    supervised = {name: weight.detach().clone() for name, weight in model.named_parameters() if weight.requires_grad}
    reference = answer_losses(model, pairs, "reference") if precompute else None
    care = stop and Care(folder, stop, config.training.keep_checkpoints, answers(pairs))
    set_seed(config.training.seed)
    trainer = trainer_class(PairTrainer, measure, care)(
        model=model, args=arguments, processing_class=tokenizer, train_dataset=as_dataset(pairs, reference),
        eval_dataset=as_dataset(held_out), data_collator=functools.partial(collate, pad_token_id=tokenizer.pad_token_id),
        callbacks=list(callbacks))
    trainer.remove_callback(PrinterCallback)  # prints every log once more, as a dict
    # Set here and not by DPOConfig: TRL would first hash all weights, then take the log-probabilities in the model's dtype.
    trainer.precompute_ref_logps = precompute
    use_chunked_log_probabilities(trainer)
    set_adapters(model, supervised)
    return trainer


def use_chunked_log_probabilities(trainer):
    """Have TRL take log-probabilities in float32, on the answers' tokens alone, chunk by chunk.

    It calls this path use_liger_kernel and asks for that package, of which the path needs nothing. An adapted head it cannot do.
    """
    from trl.models.utils import _ForwardRedirection
    head = trainer.accelerator.unwrap_model(trainer.model).get_output_embeddings()
    trainer.use_liger_kernel = type(head).__module__.startswith("torch.nn")
    trainer._forward_redirection = _ForwardRedirection()


def set_adapters(model, weights):
    """Give both adapters, the trained one and its frozen copy, the supervised `weights`, {parameter name: tensor}.

    TRL rounds an adapter over 4-bit weights to bfloat16. A weight of 0.01 has steps of 6e-5 there, DPO's updates are of 5e-6 and less:
    they would all be rounded away, and the run would learn nothing. Its copy leaves out rows of trained tokens.
    """
    for name, weight in weights.items():
        for adapter in ("default", "ref"):
            twin = ".".join(adapter if word == "default" else word for word in name.split("."))
            model.get_parameter(twin).data = weight.clone()
