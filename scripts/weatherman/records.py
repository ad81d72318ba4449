"""The shapes of everything we write: the only place that knows them (DESIGN §3)."""
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError, model_validator

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
CallId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{9}$")]  # Mistral accepts no other form
Text = Annotated[str, StringConstraints(min_length=1)]
Persona = Literal["twain", "franklin", "neutral"]
Source = Literal["gutenberg", "reddit-theonion", "reddit-nottheonion", "web", "synthetic", "imported"]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class Passage(Strict):
    """A piece of a collected document. `start`/`end`: byte offsets into the raw file, end exclusive."""

    id: Text
    source: Source
    text: Text
    title: str
    author: str
    persona: Persona
    year: int | None
    url: str
    license: Text
    document_sha256: Sha256
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    word_count: int = Field(ge=1)
    matched_keywords: list[str]


class Function(Strict):
    name: Text
    arguments: str  # a JSON object as text, as OpenAI writes it


class ToolCall(Strict):
    id: CallId
    type: Literal["function"]
    function: Function


class Message(Strict):
    role: Literal["system", "user", "assistant", "tool"]
    content: str
    tool_calls: list[ToolCall] | None = None
    tool_call_id: CallId | None = None
    name: str | None = None


class Tags(Strict):
    persona: Persona
    tone: Literal["humorous", "satirical", "ironic", "didactic", "neutral"]
    domain: Literal["weather", "humor", "tool_use", "general"]
    source: Source
    scenario: str | None = None
    device: str | None = None


class DocumentRef(Strict):
    """Where text came from: document id, hash of its raw bytes, byte range, licence."""

    id: Text
    sha256: Sha256
    start: int = Field(ge=0)
    end: int = Field(ge=0)
    license: Text


class Provenance(Strict):
    """`split_group`: records that share a source document or a sentence template carry the same one and stay in one split."""

    documents: list[DocumentRef]
    generator: Text
    seed: int
    split_group: Text


class ChatRecord(Strict):
    id: Text
    messages: list[Message] = Field(min_length=2)
    tools: list[dict]
    tags: Tags
    provenance: Provenance

    @model_validator(mode="after")
    def turns_are_in_order(self):
        check_turns(self.messages, tool_names(self.tools))
        return self


class Judgement(Strict):
    """Why one answer was preferred. `judge`: the model or person that said so; `margin`: by how much, on the judge's own scale."""

    criterion: Text
    judge: Text
    margin: float | None = Field(default=None, ge=0)


class PreferencePair(Strict):
    """Two answers to one prompt. An answer is what follows the prompt: it may call tools, and end with the call it makes.

    A rejected answer may call a tool that was not offered: that can be why it was rejected.
    """

    id: Text
    prompt: list[Message] = Field(min_length=1)
    chosen: list[Message] = Field(min_length=1)
    rejected: list[Message] = Field(min_length=1)
    tools: list[dict]
    judgement: Judgement
    provenance: Provenance

    @model_validator(mode="after")
    def both_answers_follow_the_prompt(self):
        called = {call.function.name for message in self.rejected for call in message.tool_calls or ()}
        offered = {"chosen": tool_names(self.tools), "rejected": tool_names(self.tools) | called}
        for name, answer in (("chosen", self.chosen), ("rejected", self.rejected)):
            if any(message.role in ("system", "user") for message in answer):
                raise ValueError(f"{name}: an answer holds the assistant's turns and tool results only")
            try:
                check_turns([*self.prompt, *answer], offered[name], may_end_with_calls=True)
            except ValueError as error:
                raise ValueError(f"prompt + {name}: {error}") from None
            if answer[0].role != "assistant":
                raise ValueError(f"{name}: begins with a tool result; its call belongs to the prompt, so does the result")
        return self


class Reject(Strict):
    """A row that was kept out. `line`: number in `file`, from 1; null where the file has no lines."""

    file: str
    line: int | None
    id: str | None
    reason: Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]+$")]
    excerpt: str


class Sidecar(Strict):
    """What is known of one collected file, beside it as NAME.json. `etag`, `last_modified`: what the server called this state of it."""

    id: Text
    title: str
    author: str
    language: str
    rights: str
    encoding: str
    url: str
    sha256: Sha256
    fetched_at: str
    etag: str | None = None
    last_modified: str | None = None


class PageSidecar(Sidecar):
    """Of a web page. `date`: ISO 8601 day it was published, "" unknown; `canonical`: the address it gives itself, "" none;
    `charset`: what the bytes of its .html were read with."""

    date: str
    canonical: str
    charset: Text


def tool_names(tools):
    """Return the names of the tools offered."""
    return {tool.get("function", {}).get("name") for tool in tools}


def check_turns(messages, offered, may_end_with_calls=False):
    """Raise ValueError unless: system first (if any), user and assistant alternate, tool answers follow the calls they
    name, calls use an offered tool and carry a JSON object, the last turn is the assistant's own words.

    may_end_with_calls: the last turn may also be the assistant's calls.
    """
    import orjson
    turns = messages[1:] if messages[0].role == "system" else messages
    if not turns or turns[0].role != "user":
        raise ValueError("the first turn after an optional system message must be the user's")
    before, open_calls = None, []
    for number, message in enumerate(turns, len(messages) - len(turns)):
        where = f"messages[{number}]"
        if message.role == "system":
            raise ValueError(f"{where}: a system message may only be the first")
        if message.role == "tool":
            if message.tool_call_id not in open_calls:
                raise ValueError(f"{where}: answers the call {message.tool_call_id!r}, which is not open")
            open_calls.remove(message.tool_call_id)
        elif open_calls:
            raise ValueError(f"{where}: the call {open_calls[0]} has no tool answer yet")
        elif message.role == "user" and before not in (None, "assistant"):
            raise ValueError(f"{where}: user after {before}")
        elif message.role == "assistant" and before not in ("user", "tool"):
            raise ValueError(f"{where}: assistant after {before}")
        if message.role != "tool" and message.tool_call_id is not None:
            raise ValueError(f"{where}: only a tool message has a tool_call_id")
        if message.tool_calls is not None:
            if message.role != "assistant" or not message.tool_calls:
                raise ValueError(f"{where}: tool_calls belong to an assistant message and are not empty")
            for call in message.tool_calls:
                if call.function.name not in offered:
                    raise ValueError(f"{where}: calls {call.function.name!r}, which is not among the tools offered")
                try:
                    arguments = orjson.loads(call.function.arguments)
                except orjson.JSONDecodeError:
                    arguments = None
                if not isinstance(arguments, dict):
                    raise ValueError(f"{where}: the arguments of {call.function.name} are not a JSON object")
                open_calls.append(call.id)
        elif message.role != "tool" and not message.content.strip():
            raise ValueError(f"{where}: {message.role} says nothing")
        before = message.role
    if before != "assistant" or (turns[-1].tool_calls and not may_end_with_calls):
        raise ValueError("the last turn must be the assistant's words")


_ADAPTERS = {}


def check(kind, value):
    """Return `value` as an instance of the model `kind`. Raises ValueError with every problem on one line."""
    adapter = _ADAPTERS.setdefault(kind, TypeAdapter(kind))
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        parts = [f"{'.'.join(map(str, e['loc'])) or 'record'}: {re.sub('^Value error, ', '', e['msg'])}" for e in error.errors()]
        raise ValueError("; ".join(parts)) from None
