"""A peer in an environment of its own: a process that answers one line of JSON with another."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["Ask", "answering"]

Ask = Callable[[dict[str, Any] | None], dict[str, Any]]
"""Puts a question and waits for the answer; None waits for what the peer says by itself when it is ready."""


@contextlib.contextmanager
def answering(python: str, script: Path, arguments: list[str], environment: Mapping[str, str]) -> Iterator[Ask]:
    """Start a script with another interpreter; at the end it and all that it started is killed.

    Args:
        python: the interpreter of the peer's environment.
        script: beside this file; writes a line when it is ready, then one for each line that it reads.
        arguments: the script's.
        environment: variables beside those of this process.

    Raises:
        SystemExit: asked when the process has ended.
    """
    whole = {**os.environ, "HF_HUB_OFFLINE": "1", **environment}
    whole.pop("PYTHONPATH", None)
    child = subprocess.Popen(
        [python, str(script), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=whole,
        text=True,
        start_new_session=True,
    )

    def ask(question: dict[str, Any] | None) -> dict[str, Any]:
        if child.stdin is None or child.stdout is None:
            raise SystemExit(f"{script.name}: the process has no pipes")
        if question is not None:
            child.stdin.write(json.dumps(question) + "\n")
            child.stdin.flush()
        line = child.stdout.readline()
        if not line:
            raise SystemExit(f"{python}: {script.name} ended; run it by hand to see why")
        answer: dict[str, Any] = json.loads(line)
        return answer

    try:
        yield ask
    finally:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()
