"""A small server on loopback that speaks OpenAI's protocol, does as a test's script says, and remembers what it saw."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass
class Seen:
    """A request that came."""

    path: str
    body: dict[str, Any]
    headers: dict[str, str]
    number: int
    at: float


@dataclass
class Act:
    """What to do instead of answering well."""

    status: int = 200
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0
    drop: bool = False
    """Close the connection without a word."""
    then: bool = False
    """Answer well after the delay."""


def words(text: str) -> list[str]:
    """The fake's tokens."""
    return re.findall(r"\s*\S+|\s+$", text)


class Fake:
    """The server. ``with Fake() as fake: fake.url``."""

    def __init__(
        self,
        script: Callable[[Seen], Act | None] = lambda seen: None,
        *,
        answer: Callable[[dict[str, Any], int], str] = lambda body, number: f"answer {number}",
        port: int = 0,
        **features: Any,
    ) -> None:
        self.script, self.answer = script, answer
        self.models: list[dict[str, Any]] | None = [{"id": "m", "object": "model", "owned_by": "test"}]
        self.takes_n = True
        self.template = ""
        """Put before every raw prompt."""
        self.tokenizes = False
        self.echoes = True
        self.pause = 0.0
        """Between two parts of a stream."""
        self.finish = "stop"
        self.message: dict[str, Any] = {}
        self.counts = True
        for name, value in features.items():
            assert hasattr(self, name)
            setattr(self, name, value)
        self.seen: list[Seen] = []
        self.aborted = 0
        self.now = self.most = 0
        self._lock = threading.Lock()
        self.connections: set[socket.socket] = set()
        handler = type("Handler", (_Handler,), {"fake": self})
        self.server = ThreadingHTTPServer(("127.0.0.1", port), handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/v1"
        self._thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()
        self._thread.join()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def asked(self, end: str = "completions") -> list[Seen]:
        """The requests to some path, in the order in which they came."""
        return [seen for seen in self.seen if seen.path.endswith(end)]

    def note(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> Seen:
        with self._lock:
            seen = Seen(path, body, headers, len(self.seen), time.monotonic())
            self.seen.append(seen)
            self.now += 1
            self.most = max(self.most, self.now)
            return seen

    def done(self) -> None:
        with self._lock:
            self.now -= 1

    def reply(self, seen: Seen) -> Any:
        """A good answer."""
        if seen.path.endswith("/models"):
            return {"object": "list", "data": self.models}
        if seen.path.endswith("/tokenize"):
            text = seen.body.get("prompt") or " ".join(m["content"] for m in seen.body["messages"])
            return {"tokens": [len(word) for word in words(text)]}
        chat = "chat" in seen.path
        prompt = seen.body.get("prompt", "")
        size = len(prompt) if isinstance(prompt, list) else len(words(self.template + prompt))
        if chat:
            size = sum(len(words(message["content"])) for message in seen.body["messages"]) + 3
        texts = [self.answer(seen.body, number) for number in range(seen.body.get("n", 1) if self.takes_n else 1)]
        choices = [self._choice(seen.body, at, text, chat=chat) for at, text in enumerate(texts)]
        reply = {"id": "x", "object": "chat.completion" if chat else "text_completion", "choices": choices}
        if self.counts:
            most = len(texts) * 10**6 if chat else seen.body["max_tokens"]
            made = sum(min(len(words(text)), most) for text in texts)
            reply["usage"] = {"prompt_tokens": size, "completion_tokens": made, "total_tokens": size + made}
        return reply

    def _choice(self, body: dict[str, Any], at: int, text: str, *, chat: bool) -> dict[str, Any]:
        stops = [end for stop in body.get("stop", ()) if (end := text.find(stop)) >= 0]
        text = text[: min(stops)] if stops else text
        choice: dict[str, Any] = {"index": at, "finish_reason": self.finish}
        if chat:
            choice["message"] = {"role": "assistant", "content": text, **self.message}
            if body.get("logprobs"):
                choice["logprobs"] = {"content": [{"token": w, "logprob": -0.5} for w in words(text)]}
            return choice
        prompt = body["prompt"]
        said = words(text)[: body["max_tokens"]]
        if body.get("echo") and self.echoes:
            said = [*([f"<{i}>" for i in prompt] if isinstance(prompt, list) else words(prompt)), *said]
        choice["text"] = "".join(said)
        if body.get("logprobs") is not None:
            starts = [len("".join(said[:i])) for i in range(len(said))]
            values = [None if body.get("echo") and not i else -float(len(word)) for i, word in enumerate(said)]
            choice["logprobs"] = {"tokens": said, "token_logprobs": values, "text_offset": starts}
        return choice

    def stream(self, reply: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """The parts of an answer, the choices in turns."""
        parts = []
        for choice in reply["choices"]:
            message = choice.get("message")
            text = message["content"] if message else choice["text"]
            for at, word in enumerate(words(text)):
                part: dict[str, Any] = {"index": choice["index"], "finish_reason": None}
                part |= {"delta": {"content": word}} if message else {"text": word}
                if choice.get("logprobs") and message:
                    part["logprobs"] = {"content": [choice["logprobs"]["content"][at]]}
                parts.append((at, part))
            if message and message.get("reasoning_content"):
                parts.append(
                    (-1, {"index": choice["index"], "delta": {"reasoning_content": message["reasoning_content"]}})
                )
            end = {"index": choice["index"], "finish_reason": choice["finish_reason"]}
            parts.append((10**6, end | ({"delta": {}} if message else {"text": ""})))
        for _, part in sorted(parts, key=lambda pair: pair[0]):
            yield {"id": "x", "choices": [part]}
        yield {"id": "x", "choices": [], "usage": reply.get("usage")}


class _Handler(BaseHTTPRequestHandler):
    fake: Fake
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.fake.connections.add(self.connection)

    def finish(self) -> None:
        self.fake.connections.discard(self.connection)
        super().finish()

    def log_message(self, *_: object) -> None:
        """Nothing."""

    def do_GET(self) -> None:
        self._handle({})

    def do_POST(self) -> None:
        self._handle(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _handle(self, body: dict[str, Any]) -> None:
        seen = self.fake.note(self.path, body, {name.lower(): value for name, value in self.headers.items()})
        try:
            self._act(seen, self.fake.script(seen))
        except (BrokenPipeError, ConnectionResetError):
            self.fake.aborted += 1
            self.close_connection = True
        finally:
            self.fake.done()

    def _act(self, seen: Seen, act: Act | None) -> None:
        if act and act.delay:
            time.sleep(act.delay)
        if act and act.drop:
            self.close_connection = True
        elif act and not act.then:
            self._send(act.status, act.body, act.headers)
        elif (self.path.endswith("/models") and self.fake.models is None) or (
            self.path.endswith("/tokenize") and not self.fake.tokenizes
        ):
            self._send(404, {"error": {"message": "no such path"}}, {})
        elif seen.body.get("stream"):
            self._stream(self.fake.reply(seen))
        else:
            self._send(200, self.fake.reply(seen), {})

    def _send(self, status: int, body: Any, headers: dict[str, str]) -> None:
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self.send_response(status)
        kind = {"Content-Type": "text/html" if isinstance(body, str) else "application/json"}
        self.send_header("Content-Length", str(len(data)))
        for name, value in (kind | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def _stream(self, reply: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        for part in self.fake.stream(reply):
            self.wfile.write(f"data: {json.dumps(part)}\n\n".encode())
            self.wfile.flush()
            time.sleep(self.fake.pause)
        self.wfile.write(b"data: [DONE]\n\n")


if __name__ == "__main__":
    with Fake(port=int(sys.argv[1])) as running:
        print(running.url, flush=True)
        threading.Event().wait()
