"""The program's own process: it runs untrusted code, and tells what that gives when it is asked.

Nothing here is kept from the code, and nothing that is decided here counts: whatever the code does to this process, it
can only give other values than it should.
"""

from __future__ import annotations

import atexit
import builtins
import gc
import itertools
import os
import sys
import threading
import traceback
import types
from typing import Any

from porism.sandbox.inside.wire import Gone, Line, Unsendable, decode, encode

__all__ = ["answer", "run"]

_MOST_ITEMS = 1_000_000
_MODULE = "solution"
_FRAMES = 16
"""Calls below the program's own, which shall not count against its depth."""


def run(source: str) -> None:
    """Run a whole program as ``python program.py`` would, and end the process as it says."""
    code = 0
    try:
        _module("__main__", source, "program.py")
    except SystemExit as error:
        code = _exit_code(error)
    except BaseException:  # noqa: BLE001  (what it raises is its own affair)
        _show()
        code = 1
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # noqa: SLF001  (waits for its threads)
        atexit._run_exitfuncs()  # noqa: SLF001
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except BaseException:  # noqa: BLE001
        code = code or 120
    os._exit(code & 0xFF)


def _exit_code(error: SystemExit) -> int:
    if error.code is None or isinstance(error.code, int):
        return error.code or 0
    sys.stderr.write(f"{error.code}\n")
    return 1


def _show() -> None:
    """Print the exception as Python does, without the lines of this file."""
    kind, error, trace = sys.exc_info()
    while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
        trace = trace.tb_next
    traceback.print_exception(kind, error, trace)


def _module(name: str, source: str, file: str) -> dict[str, Any]:
    """Run a source text as a module of that name."""
    module = types.ModuleType(name)
    module.__dict__.update(__file__=file, __builtins__=builtins)
    sys.modules[name] = module
    sys.argv = [file]
    gc.enable()
    sys.setrecursionlimit(sys.getrecursionlimit() + _FRAMES)
    exec(compile(source, file, "exec", dont_inherit=True), module.__dict__)  # noqa: S102  (the walls stand)
    return module.__dict__


class _Objects:
    """Objects that are no plain values, by number."""

    def __init__(self) -> None:
        self._numbers: dict[int, int] = {}
        self._kept: list[Any] = []

    def number(self, value: object) -> int:
        """The number of an object, which is kept from now on."""
        if id(value) not in self._numbers:
            self._numbers[id(value)] = len(self._kept)
            self._kept.append(value)
        return self._numbers[id(value)]

    def __getitem__(self, number: int) -> Any:
        return self._kept[number]


def answer(line: Line, source: str) -> None:
    """Answer questions until nobody asks any more."""
    names: dict[str, Any] = {}
    objects = _Objects()
    while True:
        try:
            question = line.receive()
        except Gone:
            return
        reply: dict[str, Any] = {"nonce": question["nonce"]}
        handle = objects.number if question["handles"] else None
        try:
            reply["value"] = encode(_answered(question, source, names, objects), handle)
        except Unsendable as error:
            reply["refused"] = str(error)
        except BaseException as error:  # noqa: BLE001  (SystemExit as well: it is an answer)
            reply["error"] = [type(error).__name__, _words(error)]
        try:
            line.send(reply)
        except Unsendable as error:
            line.send({"nonce": question["nonce"], "refused": str(error)})


def _words(error: BaseException) -> str:
    try:
        return str(error)[:500]
    except BaseException:  # noqa: BLE001
        return ""


def _answered(question: dict[str, Any], source: str, names: dict[str, Any], objects: _Objects) -> Any:
    what = question["ask"]
    if what == "load":
        names.update(_module(_MODULE, source, f"{_MODULE}.py"))
        return None
    if what == "get":
        return {name: _described(names[name], objects) for name in question["names"] if name in names}
    target = objects[question["object"]] if "object" in question else names[question["name"]]
    if what == "call":
        arguments = decode(question["arguments"], objects.__getitem__)
        options = decode(question["options"], objects.__getitem__)
        return target(*arguments, **options)
    if what == "attribute":
        return getattr(target, question["attribute"])
    if what == "set":
        setattr(target, question["attribute"], decode(question["value"], objects.__getitem__))
        return None
    return list(itertools.islice(iter(target), _MOST_ITEMS))


def _described(value: Any, objects: _Objects) -> Any:
    """``("function", number)`` for what can be called, ``("value", value)`` for the rest."""
    return ("function", objects.number(value)) if callable(value) else ("value", value)
