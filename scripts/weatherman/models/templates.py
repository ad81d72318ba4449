"""From chat records to token ids and labels, through a template that marks what the assistant says.

Whatever would train something else than the record shows raises a TemplateFault (faults.py). Where the model maker's encoder and
the template on the hub differ, the header of our template says which one it follows; tests/training/parity.py compares token ids.
"""
import functools
import json
from dataclasses import dataclass

from paths import TEMPLATES_DIR, show
from weatherman.cli import GateError, UserError
from weatherman.files import read_jsonl
from weatherman.manifest import check_input
from weatherman.models import faults
from weatherman.models.faults import TemplateFault

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
    from weatherman.records import ChatRecord
    return read_records(path, ChatRecord, "python scripts/08_build_dataset.py --force")


def read_records(path, kind, hint):
    """Return the records (dicts) of a JSONL file. Raises UserError at the first line that is no whole `kind` or repeats an id."""
    from weatherman.records import check
    check_input(path)
    records, seen_ids = [], set()
    for number, row in read_jsonl(path):
        try:
            check(kind, row)
            if row["id"] in seen_ids:
                raise ValueError(f'the id "{row["id"]}" was there before')
        except ValueError as error:
            raise UserError(f"{show(path)}:{number}: {error}", hint) from None
        seen_ids.add(row["id"])
        records.append(row)
    if not records:
        raise UserError(f"{show(path)}: no record in it.", hint)
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


def template_messages(tokenizer, messages):
    """Return messages as the tokenizer's template wants them; parallel calls one after the other where it cannot write them."""
    return as_template_messages(messages if takes_parallel_calls(tokenizer) else one_call_a_turn(messages))


def prompt_ids(tokenizer, messages, tools):
    """Return the token ids of a conversation up to where the assistant speaks next: what a server gives the model."""
    return list(tokenizer.apply_chat_template(template_messages(tokenizer, messages), tools=tools or None, add_generation_prompt=True,
                                              tokenize=True, return_dict=True)["input_ids"])


@functools.lru_cache(maxsize=16)
def _moves_the_system_text(tokenizer, template):
    """Return whether a later question takes the system text away from the first, as Mistral's template does."""
    first = [{"role": "system", "content": "?"}, {"role": "user", "content": "?"}]
    later = [*first, {"role": "assistant", "content": "!"}, {"role": "user", "content": "?"}]
    short, long = (tokenizer.apply_chat_template(turns, chat_template=template, tokenize=False) for turns in (first, later))
    return not long.startswith(short)


def rows(tokenizer, record):
    """Return the chat records (dicts) that train `record` as serving will show it: [record], or one for each of its questions.

    Mistral writes system text and tools before the last question only, so an earlier answer was given to a prompt that the whole
    conversation no longer holds. There each row ends behind the answer to its own question, and trains nothing before that question.
    """
    if not _moves_the_system_text(tokenizer, tokenizer.chat_template):
        return [record]
    messages = record["messages"]
    questions = [at for at, message in enumerate(messages) if message["role"] == "user"]
    return [{**record, "messages": messages[:end]} for end in [*questions[1:], len(messages)]]


def encode_rows(tokenizer, record, max_tokens):
    """Return [Encoded] of all rows of a chat record (a dict). Raises TemplateFault that says what is wrong with it."""
    return [encode(tokenizer, row, max_tokens) for row in rows(tokenizer, record)]


def _rendered(tokenizer, messages, tools):
    """Return (token ids, mask of the assistant's tokens) of template messages. Raises TemplateFault if the template refuses them."""
    from jinja2 import TemplateError
    try:
        made = tokenizer.apply_chat_template(messages, tools=tools or None, tokenize=True, return_dict=True,
                                             return_assistant_tokens_mask=True)
    except TemplateError as error:
        raise TemplateFault(f"the template refuses it: {error}") from None
    return list(made["input_ids"]), list(made["assistant_masks"])


def _trained(tokenizer, messages, mask):
    """Return [(index of the message, first token, end)] of the assistant turns that a row trains."""
    turns = [at for at, message in enumerate(messages) if message["role"] == "assistant"]
    last_question = max(at for at, message in enumerate(messages) if message["role"] == "user")
    begin = last_question if _moves_the_system_text(tokenizer, tokenizer.chat_template) else 0
    return [(at, *span) for at, span in zip(turns, faults.spans(mask)) if at >= begin]


def encode(tokenizer, record, max_tokens):
    """Return the Encoded of one row (see `rows`). Raises TemplateFault that says what is wrong with it.

    Parallel calls are written as such where the template can, else one after the other.
    """
    tools, messages = record["tools"], template_messages(tokenizer, record["messages"])
    faults.check_no_nulls(tools, "tools")
    faults.check_words(tokenizer, messages, tools)
    ids, mask = _rendered(tokenizer, messages, tools)
    faults.check_length(ids, max_tokens)
    faults.check_bos(tokenizer, ids)
    faults.check_mask(tokenizer, messages, ids, mask)
    faults.check_nothing_lost(faults.decoded(tokenizer, ids), messages, tools)
    labels = [IGNORED] * len(ids)
    for _, start, end in _trained(tokenizer, messages, mask):
        labels[start:end] = ids[start:end]
    return Encoded(record["id"], ids, labels)


def check_prompts(tokenizer, record):
    """Raise TemplateFault unless what serving sends before each trained turn is, token by token, what stands before it in training.

    Renders every prompt anew (with add_generation_prompt), so it costs as much as `encode` once more for each turn.
    """
    for row in rows(tokenizer, record):
        turns = row["messages"] if takes_parallel_calls(tokenizer) else one_call_a_turn(row["messages"])
        ids, mask = _rendered(tokenizer, as_template_messages(turns), row["tools"])
        for at, start, _ in _trained(tokenizer, turns, mask):
            prompt = prompt_ids(tokenizer, turns[:at], row["tools"])
            if prompt != ids[:start]:
                differ = next((n for n, pair in enumerate(zip(prompt, ids)) if pair[0] != pair[1]), min(len(prompt), start))
                raise TemplateFault(f"messages[{at}]: serving sends {faults.decoded(tokenizer, prompt[differ:])[:40]!r} where training has "
                                    f"{faults.decoded(tokenizer, ids[differ:start + 1])[:40]!r}")


def encode_all(tokenizer, records, max_tokens, name, encode_one=None):
    """Return [Encoded] of all rows of every record. Raises GateError that lists the faults (the first five in full), all counted.

    encode_one: what makes one record of another kind ready, in place of `encode`.
    """
    encoded, wrong = [], []
    for record in records:
        try:
            encoded += [encode_one(tokenizer, record, max_tokens)] if encode_one else encode_rows(tokenizer, record, max_tokens)
        except TemplateFault as fault:
            wrong.append(f"  {record['id']}: {fault}")
    if wrong:
        raise GateError(f"{name}: {len(wrong)} of {len(records)} records would train wrongly; nothing was started.\n"
                        + "\n".join(wrong[:5]), "mend these records, or choose another model, template or training.max_tokens")
    return encoded
