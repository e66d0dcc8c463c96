"""Programs: the answer is code, which is run in a sandbox and held against the problem's tests.

The reference answer is the tests: code with ``assert``, calls of a function with the value expected, or runs of a whole
program with input and output (:mod:`porism.problems._tests`). The outcome of each test and the sandbox's tier stand in
the verdict's ``detail``. A program that fails a test, raises, or reaches a limit is wrong; where the machine was too
busy to give it its time the status is ``timeout``.
"""

from __future__ import annotations

import ast
from typing import Any, NamedTuple

from porism import sandbox as box
from porism.errors import DataError
from porism.graders._outputs import same_output
from porism.graders._program import program
from porism.problems._python import tree
from porism.problems._tests import Call, CodeTests, Run, parse
from porism.records import Attempt, Problem, Status, Verdict

__all__ = ["PARALLEL", "RUNS_PROGRAMS", "grade"]

PARALLEL = True
RUNS_PROGRAMS = True
"""No extraction profile applies: what counts is what the program does."""

_WALL = 4
"""Wall time for each second of processor time: a limit for programs that wait."""
_SHOWN = 120
_LIMITS = {
    "cpu": "reached its limit of processor time",
    "wall": "waited until its wall time was over",
    "memory": "reached its limit of memory",
    "output": "wrote more than it may",
    "processes": "started more processes than it may",
}


class _Found(NamedTuple):
    """What the tests showed."""

    outcomes: list[str]
    """``passed``, or how it failed, one each."""
    tier: str
    limit: str = ""
    failed: str = ""
    """Why the program was not tested to the end."""
    broken: str = ""
    """What is wrong with the tests."""


def grade(problem: Problem, attempt: Attempt, *, profile: str = "auto", sandbox: str = box.AUTO) -> Verdict:
    """Run the program in a text against the problem's tests.

    Args:
        problem: its answer holds the tests.
        attempt: its text holds the program.
        profile: ignored.
        sandbox: the tier.

    Raises:
        Refused: the sandbox cannot be had here.
    """
    del profile
    tier = {"sandbox": box.described(sandbox)}
    try:
        tests = parse(problem.answer)
    except DataError as error:
        return Verdict(status=Status.GOLD_UNPARSED, reason=str(error), detail=tier)
    source = program(attempt.text, tests)
    if source is None:
        return Verdict(status=Status.UNPARSED, reason="no Python code in the text", detail=tier)
    limits = box.Limits(
        cpu_seconds=tests.cpu_seconds, wall_seconds=_WALL * tests.cpu_seconds, memory_mb=tests.memory_mb
    )
    run = {"code": _by_code, "calls": _by_calls, "runs": _by_runs}[tests.kind]
    try:
        found = run(source, tests, limits, sandbox)
    except box.SandboxError as error:
        return Verdict(status=Status.ERROR, answer=source, reason=str(error), detail=tier)
    return _verdict(found, source)


def _verdict(found: _Found, source: str) -> Verdict:
    passed = found.outcomes.count("passed")
    detail: dict[str, Any] = {"sandbox": found.tier, "passed": passed, "tests": found.outcomes}
    if found.limit:
        detail["limit"] = found.limit
    if found.broken:
        return Verdict(status=Status.GOLD_UNPARSED, answer=source, reason=f"the tests: {found.broken}", detail=detail)
    if found.limit == "starved":
        reason = "the machine was too busy to run the program to its end; grade it again"
        return Verdict(status=Status.TIMEOUT, answer=source, reason=reason, detail=detail)
    if passed == len(found.outcomes) and not found.failed:
        return Verdict(status=Status.CORRECT, answer=source, rule="tests", detail=detail)
    first = next((outcome for outcome in found.outcomes if outcome != "passed"), "")
    number = found.outcomes.index(first) + 1 if first else 0
    reason = found.failed or f"test {number} of {len(found.outcomes)} {first}"
    if found.limit in _LIMITS:
        reason = f"the program {_LIMITS[found.limit]}"
    return Verdict(status=Status.WRONG, answer=source, rule="tests", reason=reason, detail=detail)


def _by_code(source: str, tests: CodeTests, limits: box.Limits, sandbox: str) -> _Found:
    code = [test for test in tests.tests if isinstance(test, str)]
    functions = [*([tests.function] if tests.function else []), *tests.functions]
    given = {
        "tests": code,
        "setup": tests.setup,
        "helpers": tests.helpers,
        "functions": functions,
        "aliases": dict(tests.aliases),
    }
    judged = box.judge(source, given, limits=limits, sandbox=sandbox)
    counted = [_is_test(test) for test in code]
    if not any(counted):  # the asserts are in functions of the setup
        counted = [True] * len(code)
    outcomes = [_told(one.status, one.why or test) for one, test in zip(judged.tests, code, strict=False)]
    whole = [*outcomes, *["not run"] * (len(code) - len(outcomes))]
    shown = [outcome for outcome, counts in zip(whole, counted, strict=True) if counts]
    failed, broken = judged.failed, judged.broken
    if not failed and all(outcome == "passed" for outcome in shown):  # a statement between the tests may have failed
        failed = next((outcome for outcome in outcomes if outcome != "passed"), "")
        if not failed and not any(one.asked for one in judged.tests):
            broken = broken or "they never call the program"
    return _Found(shown, judged.tier, judged.limit, failed, broken)


def _is_test(code: str) -> bool:
    """Whether a piece of test code asserts something that is not plainly true."""
    found = tree(code)
    nodes = ast.walk(found) if found else ()
    asserts = any(isinstance(node, ast.Assert) and not isinstance(node.test, ast.Constant) for node in nodes)
    return asserts or found is None


def _by_calls(source: str, tests: CodeTests, limits: box.Limits, sandbox: str) -> _Found:
    given = {
        "calls": [test.model_dump() for test in tests.tests if isinstance(test, Call)],
        "function": tests.function,
        "tolerance": tests.tolerance,
        "unordered": tests.unordered,
    }
    judged = box.judge(source, given, limits=limits, sandbox=sandbox)
    outcomes = [_told(one.status, one.why) for one in judged.tests]
    outcomes += ["not run"] * (len(tests.tests) - len(outcomes))
    return _Found(outcomes, judged.tier, judged.limit, judged.failed)


def _by_runs(source: str, tests: CodeTests, limits: box.Limits, sandbox: str) -> _Found:
    runs = [test for test in tests.tests if isinstance(test, Run)]
    outcomes: list[str] = []
    tier, limit = box.described(sandbox), ""
    for test in runs:
        ran = box.run(source, test.input, limits=limits, sandbox=sandbox)
        if ran.limit:
            limit = ran.limit
            outcomes.append(f"ended: {_LIMITS.get(limit, 'the machine was too busy')}")
            break
        outcomes.append(_output(test, ran, tests))
    return _Found([*outcomes, *["not run"] * (len(runs) - len(outcomes))], tier, limit)


def _output(test: Run, ran: box.Ran, tests: CodeTests) -> str:
    if ran.code:
        last = ran.err.rstrip().rpartition("\n")[2]
        return f"raised: {last or f'exit code {ran.code}'}"[:_SHOWN]
    if same_output(test.output, ran.out, tolerance=tests.tolerance, unordered=tests.unordered):
        return "passed"
    return f"failed: expected {_short(test.output)}, got {_short(ran.out)}"


def _told(status: str, why: str) -> str:
    return "passed" if status == "passed" else f"{status}: {why}"[:_SHOWN] if why else status


def _short(value: object) -> str:
    """The value, cut to a line; a number with too many digits to be written is said to be one."""
    try:
        text = repr(value)
    except ValueError:
        return "a very long number"
    return text if len(text) <= _SHOWN // 3 else f"{text[: _SHOWN // 3]}…"
