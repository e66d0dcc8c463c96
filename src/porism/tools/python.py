"""Runs a Python program in the sandbox, and says what it printed."""

from __future__ import annotations

import ast
import re
from typing import Annotated

from pydantic import Field

from porism import sandbox as box
from porism.problems._python import tree
from porism.tools import Answer
from porism.tools._answer import shortened

__all__ = ["call"]

_LAST = "__last__"
_NEWLINE = re.compile(r"\r\n?")
"""Ends a line to Python; what else ends one for str.splitlines may stand within a text."""
_LIMITS = {
    "cpu": "stopped: it reached its limit of processor time",
    "wall": "stopped: its time was over",
    "starved": "stopped: the machine was too busy",
    "memory": "stopped: it reached its limit of memory",
    "output": "stopped: it wrote too much",
    "processes": "stopped: it started too many processes",
}

Seconds = Annotated[int, Field(description="limit of processor time", ge=1)]
Memory = Annotated[int, Field(description="limit of memory, in MB", ge=64)]
Sandbox = Annotated[str, Field(description="where it runs: auto, bubblewrap, gvisor or unsafe")]


def call(
    text: Annotated[str, Field(description="a program that prints its result")],
    *,
    sandbox: Sandbox = box.AUTO,
    cpu_seconds: Seconds = 10,
    memory_mb: Memory = 1024,
) -> Answer:
    r"""What a program prints, and the value of its last line where that is an expression; then its error, if any.

    Args:
        text: the program.
        sandbox: the tier.
        cpu_seconds: its limit of processor time; four times as much passes at most.
        memory_mb: its limit of memory.

    Raises:
        Refused: the sandbox cannot be had here.
        SandboxError: the sandbox itself failed.

    >>> call("a = 6 * 7\na").text
    '42'
    """
    limits = box.Limits(cpu_seconds=cpu_seconds, wall_seconds=4 * cpu_seconds, memory_mb=memory_mb)
    ran = box.run(_showing(text), limits=limits, sandbox=sandbox)
    parts = [ran.out.rstrip("\n")]
    if ran.limit:
        parts.append(_LIMITS[ran.limit])
    elif ran.code:
        parts.append(ran.err.strip() or f"ended with exit code {ran.code}")
    said = "\n".join(part for part in parts if part)
    return Answer(shortened(said), failed=bool(ran.limit or ran.code), sandbox=ran.tier)


def _showing(text: str) -> str:
    """The program, with its last expression printed, as an interactive session would."""
    text = _NEWLINE.sub("\n", text)
    found = tree(text)
    last = found.body[-1] if found and found.body else None  # what is no Python says so itself
    if not isinstance(last, ast.Expr) or last.end_lineno is None:
        return text
    lines = text.split("\n")
    lines[last.lineno - 1 :] = [lines[last.lineno - 1].encode()[: last.col_offset].decode()]
    before = "\n".join(lines)
    value = ast.get_source_segment(text, last.value)
    return f"{before}{_LAST} = (\n{value}\n)\nif {_LAST} is not None: print(repr({_LAST}))\n"
