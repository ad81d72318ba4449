"""A chat endpoint on loopback, as OpenAI's clients know it, that answers rightly or wrongly as its script tells it to."""
import contextlib
import http.server
import json
import socket
import struct
import threading
import time

from misbehaving import running

STALL_S = 3.0  # longer than any client of these tests waits


class Handler(http.server.BaseHTTPRequestHandler):
    """`server.log` keeps (time, headers, body) of every request; `server.script(number, body)` gives what to answer request `number`:
    a text, or a (method of this class, arguments...) tuple."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.server.lock:
            number = len(self.server.log)
            self.server.log.append((time.monotonic(), dict(self.headers), body))
        if self.path != "/v1/chat/completions":
            return self.status(404, "no such path")
        answer = self.server.script(number, body)
        with contextlib.suppress(ConnectionError):  # the client may have had enough
            getattr(self, answer[0])(*answer[1:]) if isinstance(answer, tuple) else self.say(answer)

    def send(self, status, body, headers=None):
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def say(self, content, finish_reason="stop"):
        choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": finish_reason}
        self.send(200, json.dumps({"id": "c", "object": "chat.completion", "choices": [choice],
                                   "usage": {"prompt_tokens": 10, "completion_tokens": 3, "total_tokens": 13}}).encode())

    def raw(self, body):
        self.send(200, body)

    def status(self, status, message, headers=None):
        self.send(status, json.dumps({"error": {"message": message, "type": "t", "code": None}}).encode(), headers)

    def refuse_key(self):
        self.status(401, f"wrong key: {self.headers['Authorization'].removeprefix('Bearer ')}")

    def stall(self):
        self.close_connection = True
        self.server.stopped.wait(STALL_S)

    def slow(self, seconds, content):
        time.sleep(seconds)
        self.say(content)

    def reset(self):
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True
        self.connection.close()

    def log_message(self, *args):
        pass


@contextlib.contextmanager
def serving(script):
    """Give a running server with `log` and `address` (a base address). script: a function as Handler says, or a list of answers in turn."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    answers = script
    server.script = script if callable(script) else lambda number, body: answers[number]
    server.lock = threading.Lock()
    server.address = f"http://127.0.0.1:{server.server_address[1]}/v1"
    with running(server):
        yield server
