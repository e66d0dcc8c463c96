"""What several programs make of the same inputs, run in the sandbox.

A function is called on all inputs in one process, each call with a limit of time; a whole program is run once for each
input. Results are plain data: what JSON cannot hold counts as no result, as does an exception.

Shapes: ``S`` programs, ``I`` inputs.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from porism import sandbox as box
from porism.sandbox.inside.compare import same_value

__all__ = ["NOTHING", "TOLERANCE", "Majority", "Nothing", "agree", "majority", "outputs", "same"]

TOLERANCE = 1e-6
"""Numbers may differ by this share, or by this much."""

_AT_ONCE = 4
_LONGEST = 20_000
"""Characters of a result."""

_HARNESS = """
import contextlib, io, json, os, signal, sys

def _porism():
    given = json.loads(%(given)r)
    out = os.dup(1)
    space = {"__name__": "solution"}

    def told(value):
        os.write(out, (given["mark"] + json.dumps(value, allow_nan=False) + "\\n").encode())

    def plain(value, depth=0):
        if depth > 50:
            raise ValueError("too deep")
        if isinstance(value, (set, frozenset)):
            return sorted((plain(one, depth + 1) for one in value), key=repr)
        if isinstance(value, (list, tuple)):
            return [plain(one, depth + 1) for one in value]
        if isinstance(value, dict):
            return {key if isinstance(key, str) else repr(key): plain(one, depth + 1) for key, one in value.items()}
        return value

    class Over(BaseException):
        pass

    def over(*_):
        raise Over

    signal.signal(signal.SIGALRM, over)
    silent = io.StringIO()
    with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
        exec(compile(given["source"], "solution.py", "exec"), space)
    for at, arguments in enumerate(given["calls"]):
        row = {"at": at}
        try:
            with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
                signal.setitimer(signal.ITIMER_REAL, given["seconds"])
                try:
                    value = space[given["function"]](*arguments)
                    row["value"] = plain(value)
                    if len(json.dumps(row["value"], allow_nan=False)) > given["longest"]:
                        del row["value"]
                finally:
                    signal.setitimer(signal.ITIMER_REAL, 0)
        except Over:
            row = {"at": at, "over": True}
        except BaseException as error:
            row = {"at": at, "raised": type(error).__name__}
        told(row)
        if "over" in row:
            given["patience"] -= 1
            if given["patience"] <= 0:
                break

_porism()
"""


class Nothing(NamedTuple):
    """No result, and why."""

    why: str


NOTHING = Nothing("not run")


class Majority(NamedTuple):
    """The result that most programs give for one input."""

    value: Any
    votes: int
    programs: tuple[int, ...]
    """Which ones."""


def outputs(
    sources: Sequence[str],
    inputs: Sequence[Any],
    *,
    function: str = "",
    sandbox: str = box.AUTO,
    limits: box.Limits | None = None,
    seconds: float = 1.0,
    patience: int = 3,
) -> list[list[Any]]:
    """What each program gives for each input, a value or :class:`Nothing`, as [S, I].

    Args:
        sources: the programs.
        inputs: the arguments of calls; or texts for standard input, where no function is named.
        function: what is called.
        sandbox: the tier.
        limits: of each process.
        seconds: of each call.
        patience: calls that may run out of time before a program is given up.

    Raises:
        Refused: the sandbox cannot be had here.
        SandboxError: it failed.
    """
    chosen = limits or box.Limits()

    def calls(source: str) -> list[Any]:
        mark = secrets.token_hex(8)
        given = {
            "source": source,
            "function": function,
            "calls": list(inputs),
            "mark": mark,
            "seconds": seconds,
            "patience": patience,
            "longest": _LONGEST,
        }
        ran = box.run(_HARNESS % {"given": json.dumps(given)}, limits=chosen, sandbox=sandbox)
        return _read(ran.out, mark, len(inputs))

    def runs(source: str) -> list[Any]:
        return [_of_run(box.run(source, text, limits=chosen, sandbox=sandbox)) for text in inputs]

    with ThreadPoolExecutor(_AT_ONCE) as threads:
        return list(threads.map(calls if function else runs, sources))


def _read(out: str, mark: str, count: int) -> list[Any]:
    found: list[Any] = [NOTHING] * count
    for line in out.splitlines():
        if not line.startswith(mark):
            continue
        try:
            row = json.loads(line.removeprefix(mark))
        except (ValueError, RecursionError):
            continue
        if isinstance(row, dict) and isinstance(row.get("at"), int) and 0 <= row["at"] < count:
            why = "out of time" if "over" in row else f"raised {row.get('raised', 'nothing')}"
            found[row["at"]] = row["value"] if "value" in row else Nothing(why)
    return found


def _of_run(ran: box.Ran) -> Any:
    if ran.limit:
        return Nothing(f"reached its limit: {ran.limit}")
    if ran.code:
        return Nothing(f"exit code {ran.code}")
    if len(ran.out) > _LONGEST:
        return Nothing("too long")
    return "\n".join(line.rstrip() for line in ran.out.rstrip().splitlines())


def same(one: Any, other: Any) -> bool:
    """Whether two results are equal; no result is equal to nothing."""
    if isinstance(one, Nothing) or isinstance(other, Nothing):
        return False
    return same_value(one, other, tolerance=TOLERANCE)


def majority(column: Sequence[Any]) -> Majority:
    """The result of one input that most programs give; of several, the one that came first. None, 0 if there is none.

    Args:
        column: what each program gives. [S]
    """
    groups: list[tuple[Any, list[int]]] = []
    for at, value in enumerate(column):
        if isinstance(value, Nothing):
            continue
        for known, members in groups:
            if same(known, value):
                members.append(at)
                break
        else:
            groups.append((value, [at]))
    value, members = max(groups, key=lambda group: len(group[1]), default=(None, []))
    return Majority(value, len(members), tuple(members))


def agree(found: Sequence[Sequence[Any]], *, share: float, least: int) -> list[Majority | None]:
    """The majority of each input where enough programs agree, else None, as [I].

    Args:
        found: what each program gives for each input. [S, I]
        share: more than this share of all programs must agree.
        least: and so many of them.
    """
    kept: list[Majority | None] = []
    for column in zip(*found, strict=True):
        one = majority(column)
        kept.append(one if one.votes >= least and one.votes > share * len(found) else None)
    return kept
