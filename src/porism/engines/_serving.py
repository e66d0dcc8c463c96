"""A server as a child process: whether it is up, what its log says, and its end."""

from __future__ import annotations

import http.client
import os
import re
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path

from porism import console
from porism.engines import _watch
from porism.errors import ModelError

__all__ = ["Server", "free_port", "new_key"]

_GRACE = 15.0
"""Seconds that a server has to end by itself."""
_LOOK = 0.2
_SAY = 30.0
"""Seconds between two notices while a server starts."""
_ERRORS, _LINES, _WIDTH = 6, 12, 300
"""How much of a log an error shows: lines with exceptions, or else its last lines; and characters of each."""
_ERROR = re.compile(r"(?:\b[\w.]*(?:Error|Exception|Interrupt)\b|\berror): .+")
_NOISE = re.compile(r"nanobind|^ - |resource_tracker|warnings\.warn|\[shutdown\]")
_HINTS = {
    "torchvision::nms": "Its torchvision is for another torch: remove torchvision, torchaudio and torchcodec there.",
    "out of memory": "Lower gpu_memory or max_model_len, or raise tensor_parallel.",
    "on kv cache": "Free memory, or set VLLM_CPU_KVCACHE_SPACE to fewer gigabytes.",
}
"""What stands in a log → what to do."""
_MODULE = "vllm.entrypoints.openai.api_server"


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def new_key() -> str:
    """A key for one server."""
    return secrets.token_urlsafe(32)


class Server:
    """A running server. It ends with :meth:`stop`, and with this process, however that ends.

    Args:
        python: the interpreter.
        arguments: of the server.
        port: that it listens on.
        variables: its environment.
        log: the file that it writes to.
        key: to be kept out of messages.
    """

    def __init__(
        self, python: str, arguments: Sequence[str], *, port: int, variables: Mapping[str, str], log: Path, key: str
    ) -> None:
        self.log, self.port, self._key = log, port, key
        watcher = [sys.executable, "-I", "-S", str(_watch.__file__), str(os.getpid()), str(_GRACE)]
        command = [*watcher, python, "-m", _MODULE, "--host", "127.0.0.1", "--port", str(port), *arguments]
        with log.open("wb") as out:
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=out, stderr=out, env=dict(variables), start_new_session=True
            )
        self._end = weakref.finalize(self, _stop, self._process, os.getpid())

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    def wait(self, seconds: float) -> None:
        """Wait until it answers.

        Raises:
            ModelError: it ended, or was not ready in time; with the last lines of its log.
        """
        began = said = time.monotonic()
        while not self._healthy():
            now = time.monotonic()
            if not self.alive:
                raise self.failed("ended before it was ready")
            if now - began > seconds:
                raise self.failed(f"was not ready within start_timeout={seconds:g} s")
            if now - said > _SAY:
                said = now
                console.notice(f"  vLLM is still starting ({now - began:.0f} s): {(self._tail() or ['…'])[-1][:100]}")
            time.sleep(_LOOK)
        if not self.alive:  # then somebody else has the port, and must not be sent the key
            raise self.failed("ended before it was ready")
        console.notice(f"  vLLM is ready after {time.monotonic() - began:.0f} s")

    def failed(self, what: str) -> ModelError:
        """The error that says what happened, shows what the log says of it, and what may help."""
        code = self._process.poll()
        lines = self._tail()
        text = "\n".join(lines).lower()
        hints = [f"\n{advice}" for sign, advice in _HINTS.items() if sign in text]
        ended = f" with exit code {code}" if code is not None else ""
        errors = list(dict.fromkeys(found[0] for line in lines if (found := _ERROR.search(line))))
        shown = [*errors[:_ERRORS], *([] if errors else lines[-_LINES:])]
        return ModelError(
            "\n    ".join([f"vLLM {what}{ended}. From its log, {self.log}:", *(line[:_WIDTH] for line in shown)])
            + "".join(hints)
        )

    def stop(self) -> None:
        """End it and everything that it has started; may be called again."""
        self._end()

    def _healthy(self) -> bool:
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with direct.open(f"http://127.0.0.1:{self.port}/health", timeout=2) as reply:
                return bool(reply.status == 200)
        except (OSError, http.client.HTTPException):  # urllib's own errors are OSErrors
            return False

    def _tail(self) -> list[str]:
        """The last lines of the log that say something, without the key."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - 65_536))
            text = file.read().decode("utf-8", "replace").replace(self._key, "***")
        return [line.rstrip() for line in text.splitlines() if line.strip() and not _NOISE.search(line)]


def _stop(process: subprocess.Popen[bytes], owner: int) -> None:
    """End a watcher, which ends its server."""
    if os.getpid() != owner:  # a forked copy of the process that started it
        return
    if process.stdin:
        process.stdin.close()
    if process.poll() is None:
        process.terminate()
    try:
        process.wait(_GRACE + 5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
