"""A model hub on loopback with one repository, that answers as the real one does, and misbehaves where it is told to.

Large files (LFS) are redirected to a "CDN" on another port, as the hub does; HF_ENDPOINT, or a list of mirrors, points at `address`.
"""
import contextlib
import hashlib
import http.server
import json
import re
import struct
import time

from misbehaving import running

REPO, COMMIT = "org/tiny", "0123456789abcdef0123456789abcdef01234567"
GOOD_TOKEN = "hf_good"
STALL_S = 5.0  # longer than any client of these tests waits


def weights(*names, size=4000):
    """Return the bytes of a safetensors file: the tensors `names`, bfloat16, each of `size` bytes of a pattern of its own."""
    header = {name: {"dtype": "BF16", "shape": [size // 2], "data_offsets": [at * size, (at + 1) * size]} for at, name in enumerate(names)}
    head = json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + b"".join((bytes(range(at, 251)) * (size // 240 + 1))[:size] for at in range(len(names)))


FILES = {"config.json": b'{"model_type": "llama"}', "tokenizer.json": b'{"a": 1}', "tokenizer_config.json": b"{}",
         "LICENSE": b"Do as you like.", "README.md": b"no", "modeling_own.py": b"print()", "pytorch_model.bin": b"pickled",
         "model.safetensors": weights("a", "b"), "consolidated.safetensors": b"again"}
SHARDED = {**{name: data for name, data in FILES.items() if name != "model.safetensors"},
           "model-00001-of-00002.safetensors": weights("a"), "model-00002-of-00002.safetensors": weights("b"),
           "model.safetensors.index.json": json.dumps({"metadata": {}, "weight_map": {
               "a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}}).encode()}


class Hub(http.server.BaseHTTPRequestHandler):
    """`server.plan`: statuses of the next answers, 0 for a right one. `server.faults`: {file: [method below, or function of the handler,
    for its next GETs]}. `server.gate`: "licence" or "private"; `server.accepted`: tokens whose account may read."""

    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        server, token = self.server, self.headers.get("Authorization")
        server.log.append((self.command, self.path, token, self.headers.get("Range")))
        self.close_connection = True
        status = server.plan.pop(0) if server.plan else 0
        with contextlib.suppress(ConnectionError):
            if status:
                return self.error(status, "RepoNotFound" if status == 404 else None)
            if self.path.startswith(f"/api/models/{server.repo}/tree/"):
                return self.tree()
            found = re.fullmatch(rf"/{server.repo}/resolve/([^/]+)/(.+)", self.path)
            if self.path.startswith("/cdn/"):
                return self.file(self.path[5:])
            return self.resolve(*found.groups()) if found else self.error(404, "RepoNotFound")

    def tree(self):
        """Two pages, so that the second is asked for."""
        rows = [row(name, data) for name, data in self.server.files.items()] + [{"type": "directory", "path": "onnx", "oid": "0" * 40}]
        half, second = len(rows) // 2, self.path.endswith("page=2")
        link = {} if second else {"Link": f'<{self.server.address}{self.path}?page=2>; rel="next"'}
        self.send(200, json.dumps(rows[half:] if second else rows[:half]).encode(), {"Content-Type": "application/json", **link})

    def resolve(self, revision, name):
        server = self.server
        if refusal := self.refusal():
            return self.error(*refusal)
        if revision not in (server.commit, "main"):
            return self.error(404, "RevisionNotFound")
        if name not in server.files:
            return self.error(404, "EntryNotFound")
        headers = {"X-Repo-Commit": server.commit} if server.commit else {}
        if server.cdn and is_large(name):
            data = server.files[name]
            return self.send(302, b"", {**headers, "Location": f"{server.cdn.address}/cdn/{name}", "X-Linked-Size": str(len(data)),
                                        "X-Linked-Etag": f'"{hashlib.sha256(data).hexdigest()}"'})
        self.file(name, {**headers, "ETag": f'"{row(name, server.files[name])["oid"]}"'})

    def refusal(self):
        """Return (status, code, message) as the hub words them, None for who may read."""
        token = (self.headers.get("Authorization") or "").removeprefix("Bearer ")
        if token and token not in self.server.tokens:
            return 401, None, "Invalid credentials in Authorization header"
        if not self.server.gate or token in self.server.accepted:
            return None
        if self.server.gate == "private":
            return (404, "RepoNotFound", "Repository not found") if token else (401, "RepoNotFound", "Invalid username or password.")
        if not token:
            return 401, "GatedRepo", "Access to this model is restricted. You must be authenticated to access it. Please log in."
        return 403, "GatedRepo", "Your request to access this model is awaiting a review from the repo authors."

    def error(self, status, code, message="no"):
        headers = {"Content-Type": "application/json", "X-Error-Message": message, "Retry-After": "0"}
        self.send(status, json.dumps({"error": message}).encode(), headers | ({"X-Error-Code": code} if code else {}))

    def file(self, name, headers=None):
        faults = self.server.faults.get(name, []) if self.command == "GET" else []
        fault = faults.pop(0) if faults else Hub.whole
        data, start = self.server.files[name], 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if asked and fault is not Hub.no_ranges:
            start = int(asked[1])
            headers = {**(headers or {}), "Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"}
        self.send_response(206 if start else 200)
        for key, value in {"Content-Length": str(len(data) - start), "Connection": "close", **(headers or {})}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            fault(self, data[start:])

    def send(self, status, body, headers):
        self.send_response(status)
        for key, value in {"Content-Length": str(len(body)), "Connection": "close", **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    # what becomes of the body of a file

    def whole(self, data):
        self.wfile.write(data)

    def no_ranges(self, data):
        self.whole(data)

    def cut(self, data):
        self.wfile.write(data[:len(data) // 2])

    def flip(self, data):
        middle = len(data) // 2
        self.wfile.write(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1:])

    def stall(self, data):
        self.wfile.write(data[:len(data) // 2])
        self.wfile.flush()
        self.server.stopped.wait(STALL_S)

    def drip(self, data):
        """A byte now and then: no silence is long enough for a socket's timeout."""
        end = time.monotonic() + STALL_S
        for at in range(len(data)):
            if time.monotonic() > end or self.server.stopped.wait(0.02):
                return
            self.wfile.write(data[at:at + 1])

    def log_message(self, *_):
        pass


def is_large(name):
    """Return whether a file lies in LFS, as .gitattributes has it on the hub."""
    return name.endswith((".safetensors", ".bin"))


def row(name, data):
    """Return what the hub's tree says of a file."""
    known = {"type": "file", "path": name, "size": len(data), "oid": hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()}
    return known | ({"lfs": {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}} if is_large(name) else {})


@contextlib.contextmanager
def hub(*plan, files=FILES, repo=REPO, commit=COMMIT, gate=None, faults=None, cdn=True):
    """Give a running hub: `address`, and `log` of (command, path, Authorization, Range)."""
    with contextlib.ExitStack() as stack:
        servers = [stack.enter_context(running(http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub))) for _ in range(1 + cdn)]
        for server in servers:
            server.address, server.plan, server.files, server.cdn = f"http://127.0.0.1:{server.server_port}", [], dict(files), None
            server.repo, server.commit, server.gate = repo, commit, gate
            server.tokens, server.accepted, server.faults = {GOOD_TOKEN}, set(), {key: list(value) for key, value in (faults or {}).items()}
        servers[0].plan, servers[0].cdn = list(plan), servers[1] if cdn else None
        yield servers[0]
