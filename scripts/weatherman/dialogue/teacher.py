"""A teacher: a chat model that is asked through any OpenAI-compatible endpoint, and whose every answer is kept by what was asked.

What is asked leaves this machine for the endpoint; the key is read from the environment and stands in no message, file or log.
"""
import os
import threading
from collections import Counter
from dataclasses import dataclass

from paths import CONFIGS_DIR, folder, show
from weatherman.cli import UserError, log, positive_int
from weatherman.corpus.addresses import BadAddress, checked_url
from weatherman.files import parse_json_line, read_lines, sha256_bytes, to_json_line
from weatherman.parallel import in_order

SETTINGS = CONFIGS_DIR / "dialogue" / "teacher.yaml"
LOOPBACK = {"localhost", "127.0.0.1", "[::1]"}
ENVIRONMENT = "set -a; . ./.env; set +a (.env.example says how)"


@dataclass(frozen=True)
class Reply:
    """What the model answered. `finish_reason`: "stop", or "length" for an answer that was cut; tokens as the endpoint counts them."""

    content: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int


class NoReply(Exception):
    """One request stays without a usable answer, all tries included; the text says why. `final`: asking again would not help."""

    def __init__(self, message, final=False):
        super().__init__(message)
        self.final = final


# --- flags ------------------------------------------------------------------------------------------------------------

def add_teacher_flags(flags, what):
    """Add --teacher and its companions. what: what a teacher does in this script, for --help."""
    group = flags.add_argument_group("teacher", f"""{what}
The texts asked about are SENT to the endpoint. Keys are read from the environment (.env.example
names them). Answers are kept under data/synthetic/teacher/ and never asked for twice.""")
    group.add_argument("--teacher", metavar="URL|FOLDER", help="base address of an OpenAI-compatible endpoint, such as "
                       "https://api.groq.com/openai/v1; or a model to run here: a folder, or a name of configs/models.yaml")
    group.add_argument("--teacher-model", metavar="NAME", help="the model's name at the endpoint")
    group.add_argument("--teacher-limit", metavar="N", type=positive_int, help="ask about the first N records only (default: all of them)")


def load_settings():
    """Return configs/dialogue/teacher.yaml as a plain dict."""
    from config_loader import load_config
    from weatherman.text_schemas import TeacherSettings
    return load_config(SETTINGS, TeacherSettings).plain


def open_teacher(args, local_model):
    """Return the Teacher that the flags name, None without --teacher. Raises UserError before anything is asked.

    local_model(name) gives (complete, model name) for a model that is run here: a later room's work, so the script hands it over.
    """
    if args.teacher is None:
        if args.teacher_model or args.teacher_limit:
            raise UserError("--teacher-model and --teacher-limit belong to --teacher.", "--teacher https://api.groq.com/openai/v1")
        return None
    settings = load_settings()
    client = settings["client"]
    if "://" not in args.teacher:
        if args.teacher_model:
            raise UserError("--teacher-model names a model at an endpoint; a model that is run here is named by --teacher alone.")
        complete, model = local_model(args.teacher)
        client = {**client, "in_flight": 1}  # one model, one answer at a time
    elif not args.teacher_model:
        raise UserError("--teacher with an address needs --teacher-model: the model's name there.",
                        "--teacher-model with a name that the endpoint's /models lists")
    else:
        complete, model = endpoint(args.teacher, args.teacher_model, client, settings["keys"]), args.teacher_model
    cache = Cache(folder("synthetic") / "teacher" / "answers.jsonl")
    return Teacher(complete, model, cache, {**settings, "client": client}, args.teacher_limit)


def teacher_identity(teacher):
    """Return what a step's result depends on, for its configuration: another teacher, limit or task is another result."""
    if teacher is None:
        return {}
    tasks = {key: value for key, value in teacher.settings.items() if key not in ("client", "keys")}
    return {"teacher": {"model": teacher.model, "limit": teacher.limit, **tasks}}


# --- an endpoint ------------------------------------------------------------------------------------------------------

def endpoint(url, model, client, keys):
    """Return complete(messages, parameters) -> Reply for an endpoint. It raises NoReply, or UserError where every request would fail.

    client: teacher.yaml's `client`; keys: {host: environment variable}, "*" for every other host.
    """
    openai = import_openai()
    address, host, key = checked_endpoint(url, keys)
    api = openai.OpenAI(base_url=address, api_key=key or "none", timeout=client["timeout_s"], max_retries=client["retries"])

    def complete(messages, parameters):
        for _ in range(client["retries"] + 1):
            try:
                answer = api.chat.completions.with_raw_response.create(model=model, messages=messages, extra_body=parameters)
            except openai.APIError as error:
                raise _explained(error, host, model, key) from None
            if reply := read_reply(answer.http_response.content):
                return reply
        raise NoReply("the answer is no chat completion (not JSON, or without choices)")

    return complete


def import_openai():
    """Return the openai package. Raises UserError where it is not installed."""
    try:
        import openai
    except ImportError:
        raise UserError("--teacher with an address needs openai, which is not installed here.", "./setup_local.sh --add teacher") from None
    return openai


def checked_endpoint(url, keys):
    """Return (address, host, key or None). Raises UserError for no web address, for a secret in it, and for a key sent unencrypted."""
    try:
        parts = checked_url(url)
        if parts.query:
            raise BadAddress("holds a query, where a key might stand")
    except BadAddress as problem:
        raise UserError(f"--teacher: the address {problem}; expected one like https://api.groq.com/openai/v1.",
                        f"the key in .env instead, then {ENVIRONMENT}") from None
    variable = keys.get(parts.host, keys["*"])
    key = os.environ.get(variable, "").strip() or None  # a stray line end would make the client quote the key in its complaint
    if not key and parts.host in keys:
        raise UserError(f"{parts.host} needs {variable} in the environment.", ENVIRONMENT)
    if key and parts.scheme == "http" and parts.host not in LOOPBACK:
        raise UserError(f"{parts.host}: {variable} would travel unencrypted over http.", "https, or an ssh tunnel to localhost")
    return parts.url, parts.host, key


def _explained(error, host, model, key):
    """Return what to raise for an error of openai's: UserError where no request can succeed, else NoReply."""
    status = getattr(error, "status_code", None)
    text = f"{type(error).__name__}: {error}" if status else f"{type(error).__name__}: {error.__cause__ or error}"
    text = " ".join((text.replace(key, "***") if key else text).split())[:300]  # an endpoint may quote the key that it refuses
    if status in (401, 403):
        return UserError(f"{host} refused the key, or this key may not use {model}. {text}", f"the right key in .env, then {ENVIRONMENT}")
    if status == 404:
        return UserError(f'{host} has no model "{model}", or --teacher is not the base address (it often ends in /v1). {text}',
                         "--teacher-model with a name that the endpoint's /models lists")
    wait = error.response.headers.get("Retry-After") if status == 429 else None
    return NoReply(f"{text} (Retry-After: {wait} s)" if wait else text, final=status in (400, 413, 422))


def read_reply(body):
    """Return the Reply in the bytes of a chat completion, None where they are not one."""
    found, _ = parse_json_line(body)
    try:
        choice = found["choices"][0]
        content, finish_reason = choice["message"].get("content") or "", choice.get("finish_reason") or "stop"
        usage = found.get("usage") or {}
        tokens = [int(usage.get(name) or 0) for name in ("prompt_tokens", "completion_tokens")]
    except (TypeError, KeyError, IndexError, AttributeError, ValueError):
        return None
    return Reply(content, finish_reason, *tokens) if isinstance(content, str) else None


# --- what was answered before -----------------------------------------------------------------------------------------

class Cache:
    """Replies by the SHA-256 of their request, in a JSON Lines file that only ever grows, a whole line a write.

    So a killed process leaves at most one torn line, which is skipped, and two processes may write to it.
    """

    def __init__(self, path):
        self.path, self._replies, self._handle, self._lock = path, {}, None, threading.Lock()
        damaged = 0
        for _, line in read_lines(path) if path.is_file() else ():
            if line:
                row, _ = parse_json_line(line)
                try:
                    self._replies.setdefault(row["request"], Reply(**row["reply"]))
                except (TypeError, KeyError):
                    damaged += 1
        if damaged:
            log(f"{show(path)}: {damaged} damaged lines are left out; what they held is asked again")

    def get(self, key):
        """Return the Reply to a request, None when it was never asked."""
        return self._replies.get(key)

    def put(self, key, model, reply):
        """Keep a Reply; the first one to a request stays."""
        line = to_json_line({"request": key, "model": model, "reply": vars(reply)})
        with self._lock:
            self._replies.setdefault(key, reply)
            self._handle = self._handle or self._opened()
            if self._handle.write(line) != len(line):
                raise UserError(f"{show(self.path)}: only half a line went in; the disk is full.", "python scripts/check_storage.py")

    def _opened(self):
        """Return a handle that appends without a buffer; a torn last line gets its end, so that the next one stands alone."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        handle = open(self.path, "ab+", buffering=0)
        if size := handle.seek(0, os.SEEK_END):
            handle.seek(size - 1)
            if handle.read(1) != b"\n":
                handle.write(b"\n")
        return handle


def request_key(model, messages, parameters):
    """Return the SHA-256 of a request. The endpoint's address is not in it: the same model elsewhere is the same model."""
    import orjson
    return sha256_bytes(orjson.dumps([model, messages, parameters], option=orjson.OPT_SORT_KEYS))


# --- the teacher ------------------------------------------------------------------------------------------------------

class Teacher:
    """A model, the cache before it, and the count of what was asked. `ask` may be called from several threads."""

    def __init__(self, complete, model, cache, settings, limit=None):
        self.complete, self.model, self.cache, self.settings, self.limit = complete, model, cache, settings, limit
        self.counts = Counter()
        self._lock, self._failed_in_a_row = threading.Lock(), 0

    def ask(self, messages, parameters):
        """Return the Reply to chat messages, from the cache where the same was asked before.

        Raises NoReply; UserError when the endpoint has failed `client.max_failures` times in a row.
        """
        key = request_key(self.model, messages, parameters)
        reply = self.cache.get(key)
        if reply is not None:
            self._count(from_cache=1)
            return reply
        try:
            reply = self.complete(messages, parameters)
        except NoReply as failure:
            self._count(unanswered=1, failed=1)
            if self._failed_in_a_row >= self.settings["client"]["max_failures"]:
                raise UserError(f"the teacher failed {self._failed_in_a_row} times in a row, the last time with: {failure}",
                                "the same command later: what was answered is kept and not asked again") from None
            raise
        self.cache.put(key, self.model, reply)
        self._count(requests=1, prompt_tokens=reply.prompt_tokens, completion_tokens=reply.completion_tokens)
        return reply

    def _count(self, failed=0, **counts):
        with self._lock:
            self.counts.update(counts)
            self._failed_in_a_row = self._failed_in_a_row + 1 if failed else 0

    def figures(self):
        """Return {"teacher requests": …} for the step's notes and table."""
        c = self.counts
        return {"teacher": self.model, "teacher requests": c["requests"], "teacher answers from the cache": c["from_cache"],
                "teacher tokens": f"{c['prompt_tokens']:,} read, {c['completion_tokens']:,} written"}

    def map(self, function, items):
        """Yield function(item) for each item in order, `client.in_flight` of them at work at once.

        An interrupt waits for the requests that are under way: their answers are paid for and kept.
        """
        from concurrent.futures import ThreadPoolExecutor
        threads = self.settings["client"]["in_flight"]
        pool = ThreadPoolExecutor(threads)
        try:
            yield from in_order(pool, function, items, threads)
        finally:
            pool.shutdown(cancel_futures=True)
