"""Other people's chat data as our records: OpenAI messages, ShareGPT, Alpaca and plain questions with answers, told apart row by row."""
import csv
import json
import re
from hashlib import sha256
from pathlib import Path

from paths import show
from weatherman.cli import UserError
from weatherman.corpus.hygiene import CONTROL_TOKEN
from weatherman.files import read_lines

CALL_ID = re.compile(r"[A-Za-z0-9]{9}")
SHAREGPT_ROLES = {"system": "system", "human": "user", "user": "user",
                  "gpt": "assistant", "chatgpt": "assistant", "model": "assistant", "assistant": "assistant",
                  "function_call": "call", "tool_call": "call", "observation": "tool", "tool": "tool",
                  "function_response": "tool", "tool_response": "tool"}
ALPACA_ANSWERS = ("output", "response", "completion", "answer")
QUESTIONS = ("question", "prompt", "query", "input", "q", "user")
ANSWERS = ("answer", "completion", "response", "output", "a", "assistant", "chosen")
# "Q:" and "A:" at the start of a line, as in a list of frequent questions.
QUESTION_MARK, ANSWER_MARK = r"(?:Q|Question|User|Human|Prompt)\s*[:.]", r"(?:A|Answer|Assistant|AI|Bot|Response)\s*[:.]"
TEXT_PAIR = re.compile(rf"^{QUESTION_MARK}\s*(?P<question>.+?)\n\s*{ANSWER_MARK}\s*(?P<answer>.+?)(?=\n+{QUESTION_MARK}|\Z)",
                       re.I | re.M | re.S)


class BadConversation(ValueError):
    """A row that is no usable conversation. `reason`: what it is counted as."""

    def __init__(self, reason, detail=""):
        super().__init__(detail or reason)
        self.reason = reason


# --- reading ----------------------------------------------------------------------------------------------------------

def read_rows(path):
    """Yield (number from 1, start, end, row) for each row of a .jsonl, .json, .csv, .tsv or .txt file.

    row: a dict, or a BadConversation where it cannot be read; start, end: its bytes in the file, the whole file where rows have none.
    Raises UserError for a file that is none of these.
    """
    path = Path(path)
    readers = {".jsonl": _json_lines, ".json": _json_array, ".csv": _table, ".tsv": _table, ".txt": _question_list}
    if path.suffix.lower() not in readers:
        raise UserError(f"{show(path)}: chat data comes as {', '.join(readers)}.", f"file '{path}'")
    yield from readers[path.suffix.lower()](path)


def _json_lines(path):
    import orjson
    start = 0
    for number, line in read_lines(path):
        if line is None:
            raise UserError(f"{show(path)}:{number}: the line is too long to be a conversation.", f"wc -L '{path}'")
        end = start + len(line) + 1
        if line.strip():
            try:
                row = orjson.loads(line.removeprefix(b"\xef\xbb\xbf"))
            except orjson.JSONDecodeError as error:
                row = BadConversation("not_json", str(error))
            yield number, start, end - 1, row if isinstance(row, dict | BadConversation) else BadConversation("not_an_object", str(row))
        start = end


def _json_array(path):
    """A .json file holds one array of rows; some files of JSON lines are named so too."""
    import orjson
    data = path.read_bytes()
    try:
        rows = orjson.loads(data.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError:
        yield from _json_lines(path)
        return
    for number, row in enumerate(rows if isinstance(rows, list) else [rows], 1):
        yield number, 0, len(data), row if isinstance(row, dict | list) else BadConversation("not_an_object", str(row))


def _table(path):
    size = path.stat().st_size
    with open(path, encoding="utf-8-sig", newline="") as handle:
        rows = csv.DictReader(handle, dialect=csv.excel_tab if path.suffix.lower() == ".tsv" else csv.excel)
        try:
            for number, row in enumerate(rows, 1):
                broken = None in row or None in row.values()
                yield number, 0, size, BadConversation("wrong_columns", str(row)) if broken else row
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{show(path)}:{rows.line_num}: {error}; expected UTF-8 text in columns.", f"file '{path}'") from None


def _question_list(path):
    text = path.read_bytes().decode("utf-8", "replace")
    for number, match in enumerate(TEXT_PAIR.finditer(text), 1):
        start, end = (len(text[:at].encode()) for at in match.span())
        yield number, start, end, {name: value.strip() for name, value in match.groupdict().items()}


# --- converting -------------------------------------------------------------------------------------------------------

def convert(row):
    """Return (shape, messages, tools) of one row. Raises BadConversation.

    Turns of the assistant before the first user turn and user turns behind its last answer are left out.
    """
    if isinstance(row, BadConversation):
        raise row
    shape = shape_of(row)
    if shape is None:
        keys = ", ".join(map(str, row)) if isinstance(row, dict) else "a list"
        raise BadConversation("unknown_shape", f"no conversation in {keys}")
    messages, tools = CONVERTERS[shape](row)
    for message in messages:
        message["content"] = message["content"].strip()
        if CONTROL_TOKEN.search(message["content"]):
            raise BadConversation("template_tokens", message["content"])
    return shape, _whole_turns(messages), tools


def shape_of(row):
    """Return "openai", "sharegpt", "alpaca", "qa", or None for a row that holds no conversation."""
    if isinstance(row, list):
        return "openai" if row and isinstance(row[0], dict) and "role" in row[0] else None
    if isinstance(row.get("messages"), list):
        return "openai"
    if isinstance(row.get("conversations", row.get("conversation")), list):
        return "sharegpt"
    if "instruction" in row and any(key in row for key in (*ALPACA_ANSWERS, "instances")):
        return "alpaca"
    return "qa" if _first(row, QUESTIONS) and _first(row, ANSWERS, but=_first(row, QUESTIONS)) else None


def _first(row, keys, but=None):
    """Return the row's own name of the first of `keys` it has, whatever its case."""
    names = {str(name).lower(): name for name in row}
    return next((names[key] for key in keys if key in names and names[key] != but), None)


def _openai(row):
    turns = row if isinstance(row, list) else row["messages"]
    row = {} if isinstance(row, list) else row
    tools = _tools(row.get("tools")) or _tools(row.get("functions"))
    messages, last_id = [], None
    for turn in _objects(turns):
        role = {"developer": "system", "function": "tool"}.get(_text(turn, "role"), turn["role"])
        message = {"role": role, "content": _content(turn.get("content"))}
        legacy = [{"id": None, "function": turn["function_call"]}] if turn.get("function_call") else []
        calls = _objects(turn.get("tool_calls") or legacy)
        if calls:
            message["tool_calls"] = [_call(call.get("id") or f"call {len(messages)}", call.get("function")) for call in calls]
            last_id = message["tool_calls"][-1]["id"]
        if role == "tool":
            given = turn.get("tool_call_id")
            message["tool_call_id"] = call_id(given) if given else last_id
            message["name"] = turn.get("name") or None
        messages.append(message)
    return messages, tools


def _sharegpt(row):
    messages, last_id = [], None
    if row.get("system"):
        messages.append({"role": "system", "content": _text(row, "system")})
    for turn in _objects(row.get("conversations", row.get("conversation"))):
        role, value = SHAREGPT_ROLES.get(_text(turn, "from").lower()), _text(turn, "value")
        if role is None:
            raise BadConversation("unknown_role", turn["from"])
        message = {"role": role, "content": value}
        if role == "call":
            call = _loaded(value)
            message = {"role": "assistant", "content": "", "tool_calls": [_call(f"call {len(messages)}", call)]}
            last_id = message["tool_calls"][0]["id"]
        elif role == "tool":
            message["tool_call_id"] = last_id
        messages.append(message)
    return messages, _tools(row.get("tools"))


def _alpaca(row):
    given = _objects(row["instances"])[0] if row.get("instances") else row
    answer = next((key for key in ALPACA_ANSWERS if key in given), "output")
    context = next((given[key] for key in ("input", "context") if given.get(key)), "")
    question = "\n\n".join(part for part in (_text(row, "instruction"), str(context)) if part.strip())
    system = [{"role": "system", "content": _text(row, "system")}] if row.get("system") else []
    earlier = [dict(zip(("user", "assistant"), pair)) for pair in _list(row.get("history")) if isinstance(pair, list)]
    history = [{"role": role, "content": _text(pair, role)} for pair in earlier for role in ("user", "assistant")]
    return [*system, *history, {"role": "user", "content": question}, {"role": "assistant", "content": _text(given, answer)}], []


def _qa(row):
    question = _first(row, QUESTIONS)
    return [{"role": "user", "content": _text(row, question)},
            {"role": "assistant", "content": _text(row, _first(row, ANSWERS, but=question))}], []


CONVERTERS = {"openai": _openai, "sharegpt": _sharegpt, "alpaca": _alpaca, "qa": _qa}


def _text(row, key):
    value = row.get(key) if isinstance(row, dict) else None
    if not isinstance(value, str):
        raise BadConversation("not_text", f"{key}: {value!r}")
    return value


def _list(value):
    if value is not None and not isinstance(value, list):
        raise BadConversation("not_a_list", repr(value))
    return value or []


def _objects(value):
    """Return a list of which every member is an object."""
    for member in _list(value):
        if not isinstance(member, dict):
            raise BadConversation("not_an_object", repr(member))
    return _list(value)


def _content(value):
    """Return a message's text; OpenAI writes null beside calls, and lists of parts."""
    if isinstance(value, list):
        if any(part.get("type") != "text" for part in _objects(value)):
            raise BadConversation("not_text", "a part that is an image, a sound or a file")
        return "".join(_text(part, "text") for part in value)
    if value is None or isinstance(value, str):
        return value or ""
    raise BadConversation("not_text", repr(value))


def _loaded(value):
    """Return JSON that some files hold as text."""
    try:
        return json.loads(value) if isinstance(value, str) and value.strip() else value
    except ValueError:
        raise BadConversation("not_json", value) from None


def _tools(value):
    """Return tools in OpenAI's form; some files hold them as JSON text, or the functions alone."""
    tools = [tool if isinstance(tool.get("function"), dict) else {"type": "function", "function": tool}
             for tool in _objects(_loaded(value))]
    for tool in tools:
        _text(tool["function"], "name")
    return tools


def _call(name, function):
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise BadConversation("bad_call", repr(function))
    arguments = function.get("arguments", function.get("parameters", {}))
    return {"id": call_id(name), "type": "function",
            "function": {"name": function["name"],
                         "arguments": arguments if isinstance(arguments, str) else json.dumps(arguments, ensure_ascii=False)}}


def call_id(name):
    """Return a call id of nine letters and digits, as Mistral demands: the given one where it is such, else one drawn from its hash."""
    name = str(name)
    return name if CALL_ID.fullmatch(name) else sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:9]


def _whole_turns(messages):
    system = [message for message in messages[:1] if message["role"] == "system"]
    turns = messages[len(system):]
    first = next((at for at, message in enumerate(turns) if message["role"] == "user"), None)
    last = next((at for at in reversed(range(len(turns))) if turns[at]["role"] == "assistant" and not turns[at].get("tool_calls")), None)
    if first is None or last is None or last < first:
        raise BadConversation("no_answer", "no user turn with an answer behind it")
    return [message for message in system if message["content"]] + turns[first:last + 1]
