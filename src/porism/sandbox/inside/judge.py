"""Holds tests against a program, in a process that the program cannot reach.

Tests that are code call the program through stand-ins, which pass plain values. What comes back is made anew here from
plain data: it has no methods of the program's. An object that is no plain value stays where it is; the tests get a
handle, equal to itself alone, whose attributes they may read and set and which they may pass back. Tests that are calls
take plain values alone.
"""

from __future__ import annotations

import ast
import builtins
import gc
import importlib
import sys
from collections.abc import Iterator
from typing import Any

from porism.sandbox.inside.compare import same_value
from porism.sandbox.inside.wire import Broken, Caller, Failed, Gone, Line, Unsendable, encode

__all__ = ["judge"]

_WORDS = 300
_ENDS = (StopIteration, StopAsyncIteration)
"""Would end an iteration of the tests', and with it what they hold of all items."""
_VALUE = 60


def judge(program: Line, report: Line, tests: dict[str, Any]) -> None:
    """Run the tests and send the outcome of each.

    Args:
        program: to the program's process.
        report: to whoever asked.
        tests: see :func:`porism.sandbox.judge`.
    """
    gc.enable()
    found: list[dict[str, Any]] = []
    outcome: dict[str, Any] = {"nonce": tests["nonce"], "tests": found}
    try:
        _judge(program, tests, found)
    except Gone as error:
        outcome["failed"], outcome["ended"] = str(error), True
    except Failed as error:
        outcome["failed"] = str(error)[:_WORDS]
    except _Broken as error:
        outcome["broken"] = str(error)[:_WORDS]
    report.send(outcome)


class _Broken(Exception):
    """Something is wrong with the tests themselves."""


def _judge(program: Line, tests: dict[str, Any], found: list[dict[str, Any]]) -> None:
    if "calls" in tests:
        caller = Caller(program)
        caller.ask("load")
        outcomes = (_called(caller, test, tests) for test in tests["calls"])
    else:
        remote = _Remote(program)
        remote.ask("load")
        space = _space(remote, tests)
        _set_up(tests["setup"], space, remote)
        outcomes = (_asserted(remote, test, space) for test in tests["tests"])
    for status, why, asked in outcomes:
        found.append({"status": status, "why": why[:_WORDS], "asked": asked})
        if status == "ended":
            return


def _called(caller: Caller, test: dict[str, Any], tests: dict[str, Any]) -> tuple[str, str, int]:
    """How one call went: passed, failed, raised, or ended."""
    name = tests["function"]
    try:
        got = caller.ask("call", name=name, arguments=encode(test["args"]), options=encode(test["kwargs"]))
        expected = test["expected"]
        same = same_value(expected, got, tolerance=tests["tolerance"], unordered=tests["unordered"])
    except Failed as error:
        missing = error.kind == "KeyError" and str(error) == f"KeyError: {name!r}"
        return "raised", f"the program defines no {name!r}" if missing else str(error), 1
    except Unsendable as error:
        return "failed", f"the program gave {error}", 1
    except Gone as error:
        return "ended", str(error), 1
    except (RecursionError, MemoryError, ArithmeticError, ValueError, TypeError) as error:
        return "failed", f"the values cannot be compared ({type(error).__name__})", 1
    return ("passed", "", 1) if same else ("failed", f"expected {_short(expected)}, got {_short(got)}", 1)


def _short(value: object) -> str:
    """The value, cut to a line; a number with too many digits to be written is said to be one."""
    try:
        text = repr(value)
    except (ValueError, RecursionError):
        return "a very long or deep value"
    return text if len(text) <= _VALUE else f"{text[:_VALUE]}…"


def _asserted(remote: _Remote, test: str, space: dict[str, Any]) -> tuple[str, str, int]:
    """How one piece of test code went, and how often it called the program."""
    before = remote.asked
    try:
        _run(test, space)
    except Gone as error:
        status, why = "ended", str(error)
    except Failed as error:
        status, why = "raised", str(error)
    except Unsendable as error:
        status, why = "failed", f"the program gave {error}"
    except AssertionError as error:
        status, why = "failed", _words(error)
    except BaseException as error:  # noqa: BLE001  (TypeError where the program gave None, and the like)
        status, why = "failed", _told(error)
    else:
        status, why = ("ended", remote.gone) if remote.gone else ("passed", "")  # which a bare except may have hidden
    return status, why, remote.asked - before


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {_words(error)}"


def _words(error: BaseException) -> str:
    """What an exception says, which may be a value of the program's."""
    try:
        return str(error)
    except (ValueError, RecursionError, MemoryError):
        return "a value that cannot be written"


def _run(code: str, space: dict[str, Any]) -> None:
    exec(compile(code, "tests.py", "exec", dont_inherit=True), space)  # noqa: S102  (this process is confined as well)


def _set_up(code: str, space: dict[str, Any], remote: _Remote) -> None:
    """Run the code before the tests; where it has asked the program for something, what goes wrong is the program's."""
    try:
        _run(code, space)
    except (Failed, Gone):
        raise
    except BaseException as error:  # noqa: BLE001  (the tests' own code)
        lacking = isinstance(error, NameError) and error.name in remote.lacking
        told = _told(error)
        raise (Failed("the tests' setup", told) if remote.used or lacking else _Broken(told)) from None


def _space(remote: _Remote, tests: dict[str, Any]) -> dict[str, Any]:
    """The names that the tests see: their own helpers', built-in ones, and for all others the program's.

    Raises:
        _Broken: the tests are no Python, or their helpers fail.
    """
    space: dict[str, Any] = {"__name__": "tests", "__builtins__": builtins}
    functions = set(tests["functions"])
    try:
        own = set(_names(tests["setup"]))
        wanted = own | {name for text in tests["tests"] for name in _names(text)} | functions
        for name in {name for text in (tests["setup"], *tests["tests"]) for name in _modules(text)} - functions:
            space[name] = importlib.import_module(name)
        _run(tests["helpers"], space)
    except BaseException as error:  # noqa: BLE001  (the tests' own code)
        raise _Broken(_told(error)) from None
    asked = sorted((wanted - set(space) - set(dir(builtins))) | functions)
    given = _names_of(remote.ask("get", names=asked))
    remote.lacking = set(asked) - set(given)
    for name in (name for name in asked if name in given):  # and no other, whatever the program sends
        kind, value = given[name]
        space[name] = _Function(remote, value) if kind == "function" else value
        remote.used = remote.used or name in own
    for name in functions:
        if not isinstance(space.get(name), _Function):
            space[name] = _Missing(name)
    space.update({alias: space[name] for alias, name in tests["aliases"].items()})
    return space


def _names_of(reply: Any) -> dict[str, tuple[str, Any]]:
    """What the program has under the names that were asked for.

    Raises:
        Broken: it says something else.
    """
    if not isinstance(reply, dict) or not all(isinstance(one, tuple) and len(one) == 2 for one in reply.values()):
        raise Broken("the program wrote to its channel what is no reply")
    return reply


def _names(code: str) -> Iterator[str]:
    """The names that a piece of code reads."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            yield node.id


def _modules(code: str) -> Iterator[str]:
    """The modules of the standard library whose attributes a piece of code reads: never the program's own objects."""
    for node in ast.walk(ast.parse(code)):
        base = node.value if isinstance(node, ast.Attribute) else None
        if isinstance(base, ast.Name) and base.id in sys.stdlib_module_names:
            yield base.id


class _Remote:
    """The program, as the tests can use it."""

    def __init__(self, line: Line) -> None:
        self._handles: dict[int, _Handle] = {}
        self._caller = Caller(line, self.handle)
        self.asked = 0
        """Calls so far."""
        self.used = False
        """Whether the code before the tests uses names of the program's."""
        self.gone = ""
        """Why it answers no more."""
        self.lacking: set[str] = set()
        """Names that the tests use and the program does not define."""

    def ask(self, what: str, **parts: Any) -> Any:
        self.asked += what == "call"
        try:
            return self._caller.ask(what, **parts)
        except Failed as error:
            raise _as_raised(error) from None
        except Gone as error:
            self.gone = str(error)
            raise

    def handle(self, number: int) -> _Handle:
        """The one handle for an object of the program."""
        if number not in self._handles:
            self._handles[number] = _Handle(self, number)
        return self._handles[number]

    def call(self, number: int, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        """What an object of the program gives when it is called."""
        return self.ask("call", object=number, arguments=_sent(arguments), options=_sent(options))


def _sent(value: object) -> Any:
    return encode(value, _number)


def _number(value: object) -> int:
    """The number of what stands for an object of the program."""
    if type(value) in (_Handle, _Function):
        return int(object.__getattribute__(value, "_number"))
    raise TypeError(f"the test passes a {type(value).__name__}, which is no plain value, to the program")


class _Function:
    """A function or class of the program."""

    def __init__(self, remote: _Remote, number: int) -> None:
        self._remote, self._number = remote, number

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._remote.call(self._number, arguments, options)


class _Handle:
    """An object of the program that is no plain value."""

    def __init__(self, remote: _Remote, number: int) -> None:
        object.__setattr__(self, "_remote", remote)
        object.__setattr__(self, "_number", number)

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        return self._remote.call(self._number, arguments, options)

    def __getattr__(self, name: str) -> Any:
        return self._remote.ask("attribute", object=self._number, attribute=name)

    def __setattr__(self, name: str, value: object) -> None:
        self._remote.ask("set", object=self._number, attribute=name, value=_sent(value))

    def __iter__(self) -> Iterator[Any]:
        return iter(self._remote.ask("items", object=self._number))

    def __bool__(self) -> bool:
        raise TypeError("the program gave an object that is no plain value, where a truth value is wanted")


class _Missing:
    """A function that the program should define and does not."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, *_: Any, **__: Any) -> Any:
        raise Failed("NameError", f"the program defines no {self._name!r}")


def _as_raised(error: Failed) -> Failed:
    """The failure as an exception of the built-in class that the program named, so that a test may expect it."""
    kind = getattr(builtins, error.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, Exception)) or issubclass(kind, _ENDS):
        return error
    try:
        made: Failed = type(error.kind, (Failed, kind), {})(error.kind, str(error).partition(": ")[2])
    except TypeError:  # a class whose layout does not go with ours
        return error
    return made
