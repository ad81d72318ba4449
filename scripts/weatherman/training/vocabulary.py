"""Does the model know the control tokens it is to write? A base model may never have seen <|im_end|>: LoRA leaves that row as it is, so
the end of a turn is not learned. Measured on the weights, as makers do not say it of every model."""
import math
import re

from weatherman.cli import GateError

TINY = 0.1      # of the median row's length: began at zero, or weight decay shrank it (Llama 3 base: <|eot_id|>)
ALIKE, HEAP = 0.99, 4  # cosine without the mean row; rows never written are all pushed the same way and lie in one heap
LONE = 1.5      # times the nearest cosine that chance gives: never read, so still where it was drawn (Qwen base models of 2023)
SAMPLE = 64     # other rows that are measured to see what the vocabulary's rows are like
CHUNK = 16384   # rows compared at once: a 32B model's table is 3 GB in float32


def untrained_tokens(model, tokenizer):
    """Return {module name: [token ids]} of the template's control tokens that a table of the model never learned; {} if there are none.

    It is what peft's LoraConfig wants as `trainable_token_indices`. Both tables are named when they are not tied. Signs of an untrained
    row: Land and Bartolo 2024, "Fishing for Magikarp".
    """
    template = re.sub(r"\{#.*?#\}", "", tokenizer.chat_template, flags=re.DOTALL)
    ids = sorted(number for token, number in tokenizer.get_added_vocab().items() if token in template or number == tokenizer.eos_token_id)
    tables = {id(table.weight): table for table in (model.get_output_embeddings(), model.get_input_embeddings())}.values()
    untrained = sorted({number for table in tables for number in untrained_rows(table.weight.detach(), ids)})
    names = [name.rsplit(".", 1)[-1] for name, module in model.named_modules() if any(module is table for table in tables)]
    return {name: untrained for name in names} if untrained else {}


def check_end_of_turn_known(model, tokenizer):
    """Raise GateError when the model never learned its end-of-turn token and no adapter on it trains that token."""
    trained = [config.trainable_token_indices or {} for config in getattr(model, "peft_config", {}).values()]
    if any(tokenizer.eos_token_id in ids for named in trained for ids in named.values()):
        return
    untrained = untrained_tokens(model, tokenizer)
    if any(tokenizer.eos_token_id in ids for ids in untrained.values()):
        raise GateError(f"{model.config._name_or_path}: the model never learned {tokenizer.eos_token}, and LoRA alone cannot teach it: its "
                        "answers would not end.", "peft's trainable_token_indices, as vocabulary.untrained_tokens gives them")


def untrained_rows(weight, ids):
    """Return those of the token ids whose row of `weight`, (vocabulary, hidden), looks as if it was never trained.

    A vocabulary whose rows all look drawn by chance, as a new model's, tells nothing: then only TINY and HEAP count.
    """
    import torch
    lengths = torch.cat([chunk.float().norm(dim=1) for chunk in weight.split(CHUNK)])
    mean = sum(chunk.float().sum(dim=0) for chunk in weight.split(CHUNK)) / len(weight)
    generator = torch.Generator().manual_seed(0)
    others = torch.randperm(len(weight), generator=generator)[:SAMPLE].tolist()
    alike = (_cosines(weight, ids, mean) > ALIKE).sum(dim=1)  # (ids,), itself among them
    nearest = _cosines(weight, [*ids, *others], torch.zeros_like(mean)).topk(2, dim=1).values[:, 1]  # the first is itself
    lone = nearest < LONE * math.sqrt(2 * math.log(len(weight)) / weight.shape[1])
    chance = lone[len(ids):].float().mean() > 0.5
    tiny = lengths[ids] < TINY * lengths.median()
    return [number for at, number in enumerate(ids) if tiny[at] or alike[at] > HEAP or (lone[at] and not chance)]


def _cosines(weight, ids, centre):
    """Return the cosines, (ids, vocabulary), between rows of `weight` seen from `centre`."""
    import torch
    from torch.nn.functional import normalize
    rows = normalize(weight[ids].float() - centre, dim=1)
    return torch.cat([rows @ normalize(chunk.float() - centre, dim=1).T for chunk in weight.split(CHUNK)], dim=1)
