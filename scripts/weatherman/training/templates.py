"""From chat records to token ids and labels, through a template that marks what the assistant says.

Every fault below has cost somebody a paid run in silence, so `encode` raises instead (DESIGN §6): all labels masked, loss on
words that are not the assistant's, an end of turn that is not learned, a double BOS, schemas padded with nulls, calls or
results that the template drops or quotes, conversations longer than a row.
"""
import functools
import json
from dataclasses import dataclass

from paths import TEMPLATES_DIR, show
from weatherman.cli import GateError, UserError
from weatherman.files import read_jsonl
from weatherman.manifest import check_input

IGNORED = -100  # the label that cross-entropy skips (torch.nn.CrossEntropyLoss, ignore_index)


@dataclass(frozen=True)
class Encoded:
    """One conversation: `input_ids` and `labels` are lists of equal length; labels are IGNORED outside assistant turns."""

    id: str
    input_ids: list
    labels: list

    @property
    def loss_tokens(self):
        return sum(label != IGNORED for label in self.labels)


class TemplateFault(ValueError):
    """A conversation that would train something else than it shows."""


def load_tokenizer(folder, entry, template=None):
    """Return the tokenizer of a model folder with our training template and a pad token that is not the end of turn.

    template: a file to read instead of the registry's, such as the one kept in a run folder.
    """
    from transformers import AutoTokenizer
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = (template or TEMPLATES_DIR / entry.template).read_text(encoding="utf-8")
    tokenizer.pad_token, tokenizer.eos_token = entry.pad_token, entry.end_of_turn
    check_tokenizer(tokenizer, entry)
    return tokenizer


def check_tokenizer(tokenizer, entry):
    """Raise UserError unless pad and end-of-turn are two different tokens of the vocabulary."""
    vocabulary = tokenizer.get_vocab()
    for role, token in (("pad_token", entry.pad_token), ("end_of_turn", entry.end_of_turn)):
        if token not in vocabulary:
            raise UserError(f"configs/models.yaml: {role} {token!r} is not a token of {entry.hub_id}.")
    if entry.pad_token == entry.end_of_turn:
        raise UserError(f"configs/models.yaml: pad_token and end_of_turn of {entry.hub_id} are both {entry.pad_token!r}: padding is "
                        "masked, so the end of turn would never be learned.")


def read_chat(path):
    """Return the chat records (dicts) of a JSONL file. Raises UserError at the first line that is no whole ChatRecord or repeats an id."""
    from weatherman.records import ChatRecord, check
    check_input(path)
    records, seen_ids = [], set()
    for number, row in read_jsonl(path):
        try:
            check(ChatRecord, row)
            if row["id"] in seen_ids:
                raise ValueError(f'the id "{row["id"]}" was there before')
        except ValueError as error:
            raise UserError(f"{show(path)}:{number}: {error}", "python scripts/08_build_dataset.py --force") from None
        seen_ids.add(row["id"])
        records.append(row)
    if not records:
        raise UserError(f"{show(path)}: no conversation in it.", "python scripts/08_build_dataset.py")
    return records


def as_template_messages(messages):
    """Return messages as chat templates want them: arguments as objects, absent fields left out."""
    turns = []
    for message in messages:
        turn = {key: value for key, value in message.items() if value is not None}
        if "tool_calls" in turn:
            turn["tool_calls"] = [{**call, "function": {**call["function"], "arguments": json.loads(call["function"]["arguments"])}}
                                  for call in turn["tool_calls"]]
        turns.append(turn)
    return turns


def takes_parallel_calls(tokenizer):
    """Return whether the tokenizer's template writes two calls of one turn; Llama 3.1's refuses them."""
    return _takes_parallel_calls(tokenizer, tokenizer.chat_template)


@functools.lru_cache(maxsize=16)
def _takes_parallel_calls(tokenizer, template):
    from jinja2 import TemplateError
    calls = [{"id": name * 9, "type": "function", "function": {"name": name, "arguments": {}}} for name in "ab"]
    results = [{"role": "tool", "name": call["function"]["name"], "tool_call_id": call["id"], "content": "{}"} for call in calls]
    probe = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "", "tool_calls": calls}, *results,
             {"role": "assistant", "content": "!"}]
    try:
        tokenizer.apply_chat_template(probe, chat_template=template, tokenize=False)
    except TemplateError:
        return False
    return True


def one_call_a_turn(messages):
    """Return messages with parallel calls made one after the other: each in a turn of its own, its result behind it."""
    results = {message["tool_call_id"]: message for message in messages if message["role"] == "tool"}
    turns = []
    for message in messages:
        calls = message.get("tool_calls") or []
        if len(calls) > 1:
            for at, call in enumerate(calls):
                turns += [{**message, "content": message["content"] if at == 0 else "", "tool_calls": [call]}, results.pop(call["id"])]
        elif message["role"] != "tool" or message["tool_call_id"] in results:
            turns.append(message)
    return turns


def encode(tokenizer, record, max_tokens):
    """Return the Encoded of one chat record (a dict). Raises TemplateFault that says what is wrong with it.

    Parallel calls are written as such where the template can, else one after the other.
    """
    check_no_nulls(record["tools"], "tools")
    messages = record["messages"] if takes_parallel_calls(tokenizer) else one_call_a_turn(record["messages"])
    messages = as_template_messages(messages)
    rendered = tokenizer.apply_chat_template(messages, tools=record["tools"] or None, tokenize=True, return_dict=True,
                                             return_assistant_tokens_mask=True)
    ids, mask = list(rendered["input_ids"]), list(rendered["assistant_masks"])
    check_length(ids, max_tokens)
    check_bos(tokenizer, ids)
    check_mask(tokenizer, messages, ids, mask)
    check_nothing_lost(tokenizer.decode(ids), messages)
    return Encoded(record["id"], ids, [token if bit else IGNORED for token, bit in zip(ids, mask)])


def encode_all(tokenizer, records, max_tokens, name):
    """Return [Encoded] for every record. Raises GateError that lists the faults (the first five in full), all counted."""
    encoded, faults = [], []
    for record in records:
        try:
            encoded.append(encode(tokenizer, record, max_tokens))
        except TemplateFault as fault:
            faults.append(f"  {record['id']}: {fault}")
    if faults:
        raise GateError(f"{name}: {len(faults)} of {len(faults) + len(encoded)} conversations would train wrongly; nothing was started.\n"
                        + "\n".join(faults[:5]), "mend these records, or choose another model, template or training.max_tokens")
    return encoded


def check_no_nulls(value, where):
    """Raise TemplateFault at the first null inside a tool schema: Arrow pads records that offer different tools with them."""
    if value is None:
        raise TemplateFault(f"{where} is null: the schema was padded by Arrow (read the JSON lines, not a Dataset)")
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, below in items:
        if key != "default":  # a JSON schema may well say that the default is null
            check_no_nulls(below, f"{where}.{key}")


def check_length(ids, max_tokens):
    if len(ids) > max_tokens:
        raise TemplateFault(f"{len(ids)} tokens, and a row holds {max_tokens}: the end would be cut (training.max_tokens)")


def check_bos(tokenizer, ids):
    bos = tokenizer.bos_token_id
    # A ChatML model may use <|im_start|> as BOS: only two in a row at the start are a fault.
    if bos is not None and ids[:2] == [bos, bos]:
        raise TemplateFault(f"the conversation begins with {tokenizer.bos_token} twice")


def spans(mask):
    """Return [(start, end)] of the runs of ones in `mask`."""
    edges = [i for i in range(len(mask) + 1) if (mask[i] if i < len(mask) else 0) != (mask[i - 1] if i else 0)]
    return list(zip(edges[::2], edges[1::2]))


def check_mask(tokenizer, messages, ids, mask):
    """Raise TemplateFault unless the loss covers every assistant turn, its end of turn, and nothing else."""
    turns = [message for message in messages if message["role"] == "assistant"]
    found = spans(mask)
    if not found:
        raise TemplateFault("no token would be trained: the template has no generation markers, or marks nothing")
    if len(found) != len(turns):
        raise TemplateFault(f"{len(found)} spans would be trained, but the assistant speaks {len(turns)} times")
    for turn, (start, end) in zip(turns, found):
        text = tokenizer.decode(ids[start:end])
        if ids[end - 1] != tokenizer.eos_token_id:
            raise TemplateFault(f"the end of turn {tokenizer.eos_token} after {text[-40:]!r} would not be learned")
        spoken = text.removesuffix(tokenizer.eos_token)
        calls = turn.get("tool_calls", [])
        if not calls and spoken.strip() != turn["content"].strip():
            raise TemplateFault(f"the loss covers {spoken[:60]!r}, but the assistant says {turn['content'][:60]!r}")
        for other in messages:
            if other["role"] in ("user", "system") and len(other["content"]) > 20 and other["content"] in spoken:
                raise TemplateFault(f"the loss covers words of the {other['role']}: {other['content'][:60]!r}")


def check_nothing_lost(text, messages):
    """Raise TemplateFault unless every call (name and argument values) and every tool result stands in the rendered text."""
    for message in messages:
        for call in message.get("tool_calls", []):
            function = call["function"]
            values = [value if isinstance(value, str) else json.dumps(value) for value in function["arguments"].values()]
            lost = [value for value in [function["name"], *values] if value not in text]
            if lost:
                raise TemplateFault(f"the template drops {lost[0]!r} of a call to {function['name']}")
        if message["role"] == "tool" and message["content"] not in text:
            raise TemplateFault(f"the tool result {message['content'][:60]!r} is not in the rendered text as it is: dropped or quoted")
