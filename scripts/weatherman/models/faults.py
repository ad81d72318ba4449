"""What can be silently wrong with one rendered conversation; each check raises TemplateFault with what it found.

Each has cost somebody a paid run (DESIGN §6): all labels masked, loss on words that are not the assistant's, an end of turn that
is not learned, a double BOS, schemas padded with nulls, words, calls or results that the template drops or quotes, words that
turn into control tokens, conversations longer than a row, prompts that serving will send otherwise.
"""
import functools
import json
import re
import unicodedata


class TemplateFault(ValueError):
    """A conversation that would train something else than it shows."""


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


def check_words(tokenizer, messages, tools):
    """Raise TemplateFault where words, a call or a schema spell a control token: the tokenizer would make it one, whoever wrote it."""
    control = _control_words(tokenizer, tokenizer.chat_template)
    texts = [(message["role"], message["content"]) for message in messages]
    texts += [("assistant", json.dumps(message["tool_calls"], ensure_ascii=False)) for message in messages if "tool_calls" in message]
    for role, text in [*texts, ("tools", json.dumps(tools, ensure_ascii=False))]:
        found = control.search(text)
        if found:
            around = text[max(0, found.start() - 20):found.end() + 20]
            raise TemplateFault(f"{role}: {found[0]!r} in {around!r} would become a control token, not the words it is")


@functools.lru_cache(maxsize=16)
def _control_words(tokenizer, template):
    """Return a pattern of the tokens added to the vocabulary and of the tags, ordinary text to some models, that the template writes."""
    tags = re.findall(r"<[|/]?\w+\|?>", template)
    return re.compile("|".join(re.escape(word) for word in sorted({*tokenizer.get_added_vocab(), *tags}, reverse=True)))


def spans(mask):
    """Return [(start, end)] of the runs of ones in `mask`."""
    edges = [i for i in range(len(mask) + 1) if (mask[i] if i < len(mask) else 0) != (mask[i - 1] if i else 0)]
    return list(zip(edges[::2], edges[1::2]))


def decoded(tokenizer, ids):
    """Return the text of token ids as it was written: no space taken out before punctuation."""
    return tokenizer.decode(ids, clean_up_tokenization_spaces=False)


def _in(words, text):
    """Return whether `text` holds `words`, but for outer blanks and the way accents are composed (Qwen normalises both)."""
    return unicodedata.normalize("NFC", words.strip()) in unicodedata.normalize("NFC", text)


def check_mask(tokenizer, messages, ids, mask):
    """Raise TemplateFault unless the loss covers every assistant turn, its words and calls and end of turn, and nothing else."""
    turns = [message for message in messages if message["role"] == "assistant"]
    found = spans(mask)
    if not found:
        raise TemplateFault("no token would be trained: the template has no generation markers, or marks nothing")
    if len(found) != len(turns):
        raise TemplateFault(f"{len(found)} spans would be trained, but the assistant speaks {len(turns)} times")
    for turn, (start, end) in zip(turns, found):
        text = decoded(tokenizer, ids[start:end])
        if ids[end - 1] != tokenizer.eos_token_id:
            raise TemplateFault(f"the end of turn {tokenizer.eos_token} after {text[-40:]!r} would not be learned")
        check_spoken(turn, text.removesuffix(tokenizer.eos_token))
        for other in messages if "tool_calls" in turn else []:  # a turn without calls was compared word by word
            if other["role"] in ("user", "system") and len(other["content"]) > 20 and _in(other["content"], text):
                raise TemplateFault(f"the loss covers words of the {other['role']}: {other['content'][:60]!r}")


def check_spoken(turn, spoken):
    """Raise TemplateFault unless `spoken`, the text that the loss covers, is what the assistant says in `turn`, calls included."""
    calls = turn.get("tool_calls", [])
    if not _in(turn["content"], spoken):
        what = "the template drops the words beside the call" if calls else f"the loss covers {spoken[:60]!r}, but the assistant says"
        raise TemplateFault(f"{what} {turn['content'][:60]!r}")
    if not calls and not _in(spoken, turn["content"]):
        raise TemplateFault(f"the loss covers {spoken[:60]!r}, but the assistant says {turn['content'][:60]!r}")
    for call in calls:
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        for value in [name, *arguments, *arguments.values()]:
            if not _in(json.dumps(value, ensure_ascii=False), spoken):
                raise TemplateFault(f"the template drops {value!r} of a call to {name}")


def check_nothing_lost(text, messages, tools):
    """Raise TemplateFault unless every word said, every tool result as it is and every tool offered stands in the rendered text."""
    for message in messages:
        if message["role"] == "tool" and not _in(message["content"], text):
            raise TemplateFault(f"the tool result {message['content'][:60]!r} is not in the rendered text as it is: dropped or quoted")
        if message["role"] in ("system", "user") and not _in(message["content"], text):
            raise TemplateFault(f"the template drops words of the {message['role']}: {message['content'][:60]!r}")
    for tool in tools:
        function = tool["function"]
        lost = [name for name in [function["name"], *function.get("parameters", {}).get("properties", {})] if name not in text]
        if lost:
            raise TemplateFault(f"the template drops {lost[0]!r} of the tool {function['name']}")
