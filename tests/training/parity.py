"""Our templates against the model makers' own encoders: do they give the same token ids?

    .venv-cpu/bin/python tests/training/parity.py data/processed/test.jsonl    # any file of chat records; prints a table

Tokenizers are made from packages (makers.py), no hub is asked. Encoders: Meta's ChatFormat (llama-models), Mistral's
encode_chat_completion (mistral-common), and the hub's own templates of Llama 3.1 and Qwen2.5 as TRL carries them to recognise
the models. Where these disagree, our template's header says which is followed; here that shows in `told` and `_plain_results`.
"""
import json
import sys
import tempfile
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path[:0] = [str(ROOT / "scripts"), str(ROOT / "tests")]

from training.makers import MAKERS  # noqa: E402 (the path is set above)
from weatherman.models import templates  # noqa: E402
from weatherman.models.registry import model_entry  # noqa: E402

LLAMA, MISTRAL, QWEN = "llama-3.1-8b-instruct", "mistral-7b-instruct-v0.3", "qwen2.5-7b-instruct"


def meta_ids(tokenizer, messages, tools):
    """Return the token ids of template messages by Meta's ChatFormat; the words under each header are those of `told`."""
    from llama_models.datatypes import RawMessage
    chat = _meta_format()
    system = messages[0]["content"] if messages[0]["role"] == "system" else ""
    turns = messages[1:] if messages[0]["role"] == "system" else messages
    head = ("Environment: ipython\n" if tools else "") + "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul 2024\n\n"
    raw = [RawMessage(role="system", content=head + system.strip())]
    raw += [RawMessage(role=turn["role"], content=told(turn, tools if at == 0 else [])) for at, turn in enumerate(turns)]
    return [chat.tokenizer.special_tokens["<|begin_of_text|>"],
            *(token for message in raw for token in chat.encode_message(message, None)[0])]


def told(turn, tools):
    """Return what Llama 3.1 reads under a turn's header: as on the hub, but for a tool result, which is not quoted once more."""
    if turn.get("tool_calls"):
        function = turn["tool_calls"][0]["function"]
        return json.dumps({"name": function["name"], "parameters": function["arguments"]}, ensure_ascii=False)
    if turn["role"] == "tool":
        return turn["content"]
    offer = ("Given the following functions, please respond with a JSON for a function call with its proper arguments that best answers "
             'the given prompt.\n\nRespond in the format {"name": function name, "parameters": dictionary of argument name and its value}.'
             "Do not use variables.\n\n")
    schemas = "".join(json.dumps(tool, indent=4, ensure_ascii=False) + "\n\n" for tool in tools)
    return (offer + schemas if tools else "") + turn["content"].strip()


@cache
def _meta_format():
    import llama_models.llama3.tokenizer as meta
    from llama_models.llama3.chat_format import ChatFormat
    return ChatFormat(meta.Tokenizer(Path(meta.__file__).with_name("tokenizer.model")))


def mistral_ids(tokenizer, messages, tools):
    """Return the token ids of template messages by mistral-common's v3 encoder, its checks of the conversation included."""
    from mistral_common.protocol.instruct.request import ChatCompletionRequest
    plain = []
    for message in messages:
        calls = [{**call, "function": {**call["function"], "arguments": json.dumps(call["function"]["arguments"])}}
                 for call in message.get("tool_calls", [])]
        plain.append({**message, "content": message["content"] or None, "tool_calls": calls} if calls else message)
    request = ChatCompletionRequest(messages=plain, tools=tools or None)
    return _mistral_tokenizer().encode_chat_completion(request).tokens


@cache
def _mistral_tokenizer():
    from mistral_common.protocol.instruct.validator import ValidationMode
    from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
    source = MistralTokenizer._data_path() / "mistral_instruct_tokenizer_240323.model.v3"
    return MistralTokenizer.from_file(source, mode=ValidationMode.finetuning)


def hub_ids(name):
    """Return an encoder that renders with the hub's template, `name`.jinja of TRL."""
    def encoder(tokenizer, messages, tools):
        return tokenizer.apply_chat_template(messages, tools=tools or None, chat_template=_hub_template(name),
                                             return_dict=True)["input_ids"]
    return encoder


@cache
def _hub_template(name):
    import trl
    text = (Path(trl.__file__).parent / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")
    return _plain_results(text) if name == "llama3_1" else text


def _plain_results(template):
    """Return Llama's hub template without its second quoting of a tool result that is text already."""
    quoted = "{{- message.content | tojson }}"
    assert template.count(quoted) == 1
    return template.replace(quoted, "{{- message.content }}")


ENCODERS = {(LLAMA, "llama-models"): meta_ids, (LLAMA, "hub template"): hub_ids("llama3_1"),
            (MISTRAL, "mistral-common"): mistral_ids, (QWEN, "hub template"): hub_ids("qwen2_5")}


def as_mistral_reads(record):
    """Return the record with its tool results respelled: mistral-common reads a JSON result and writes it with its own blanks."""
    messages = [{**message, "content": json.dumps(json.loads(message["content"]), ensure_ascii=False)} if message["role"] == "tool"
                else message for message in record["messages"]]
    return {**record, "messages": messages}


def difference(tokenizer, record, encoder):
    """Return (row, position, our text from there, the maker's text from there) of the first difference in token ids, or None."""
    if encoder is mistral_ids:
        record = as_mistral_reads(record)
    for number, row in enumerate(templates.rows(tokenizer, record)):
        messages = templates.template_messages(tokenizer, row["messages"])
        ours = list(tokenizer.apply_chat_template(messages, tools=row["tools"] or None, return_dict=True)["input_ids"])
        theirs = list(encoder(tokenizer, messages, row["tools"]))
        if ours != theirs:
            at = next((n for n, pair in enumerate(zip(ours, theirs)) if pair[0] != pair[1]), min(len(ours), len(theirs)))
            return number, at, tokenizer.decode(ours[at:at + 12]), tokenizer.decode(theirs[at:at + 12])
    return None


def differing(tokenizers, records, encoder):
    """Return [(record id, difference)] of the records that differ. encoder: a key of ENCODERS; tokenizers: {model: tokenizer}."""
    found = [(record["id"], difference(tokenizers[encoder[0]], record, ENCODERS[encoder])) for record in records]
    return [(number, what) for number, what in found if what]


def makers_tokenizers(folder):
    """Return {model: tokenizer with our template}, made below `folder`."""
    return {name: templates.load_tokenizer(write(Path(folder) / name), model_entry(name)) for name, write in MAKERS.items()}


def main(argv):
    records = [record for path in argv for record in templates.read_chat(Path(path))]
    status = 0
    with tempfile.TemporaryDirectory() as folder:
        print(f"{'model':26}{'encoder':16}{'conversations':>14}{'identical':>11}{'differing':>11}")
        tokenizers = makers_tokenizers(folder)
        for model, name in ENCODERS:
            found = differing(tokenizers, records, (model, name))
            print(f"{model:26}{name:16}{len(records):14,}{len(records) - len(found):11,}{len(found):11,}", flush=True)
            for record_id, (row, at, ours, theirs) in found[:3]:
                print(f"    {record_id}, row {row}, token {at}: ours {ours!r}, theirs {theirs!r}")
            status = status or int(bool(found))
    return status


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
