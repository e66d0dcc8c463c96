"""Programs a second in the sandbox against a plain subprocess without isolation, two at a time on both sides.

python benchmarks/sandbox.py               # → results/sandbox.json
python benchmarks/sandbox.py --small       # a few programs, to standard output: does it still work?

The programs are MBPP's references, each with its tests; one in four is changed so that it fails them. Without
isolation a program and its tests are one file, for which Python is started: ``subprocess.run([python, file])``, its
exit code is the verdict. The sandbox gives each program and its tests a process of their own, and compares plain
values. The two take turns; each verdict must be the same on both sides. The sandbox has been started before, as it
has in a stage.
"""

from __future__ import annotations

import ast
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import _kit
from porism import sandbox
from porism.graders import grade_all
from porism.problems import Unreadable, mbpp
from porism.problems._python import tree
from porism.records import Attempt, Problem
from porism.sandbox._tiers import bwrap

AT_ONCE = 2
ROUNDS = 3
TARGETS = {"ratio_subprocess": 0.6}
SECONDS = 40


class Case(NamedTuple):
    """A program with its tests, for both sides."""

    attempt: Attempt
    file: Path


def cases(folder: Path, most: int | None) -> list[Case]:
    """MBPP's references, the longest-running ones included; every fourth gives another value than it should."""
    found = []
    rows = {row["task_id"]: row for row in map(json.loads, (_kit.DATA / "mbpp.jsonl").read_text().splitlines())}
    for number, problem in enumerate(mbpp.load("all", path=str(_kit.DATA))):
        if isinstance(problem, Unreadable):
            raise SystemExit(f"{problem.place}: {problem.reason}")
        source = problem.solution.removeprefix("```python\n").removesuffix("\n```")
        if number % 4 == 3:
            source = without_returns(source)
        row = rows[problem.meta["task"]]
        file = folder / f"{number}.py"
        file.write_text("\n".join([source, row["test_setup_code"], *row["test_list"]]))
        found.append(Case(attempt_at(problem, source), file))
    step = len(found) // most | 1 if most else 1  # odd, so that changed ones are among them
    return found[::step]


def attempt_at(problem: Problem, source: str) -> Attempt:
    """The program as an answer to its problem."""
    return Attempt(problem=problem, strategy="", messages=[], text=f"```python\n{source}\n```")


def without_returns(source: str) -> str:
    """The program with every return giving nothing."""
    found = tree(source)
    if found is None:
        raise SystemExit("a reference is no Python")
    for node in ast.walk(found):
        if isinstance(node, ast.Return):
            node.value = None
    return ast.unparse(found)


def isolated(chosen: Sequence[Case]) -> list[bool]:
    """The sandbox's verdicts."""
    return [verdict.correct for verdict in grade_all([case.attempt for case in chosen])]


def plain(chosen: Sequence[Case]) -> list[bool]:
    """The verdicts of plain runs, with the same interpreter: no virtual environment to look through."""
    python = str(Path(getattr(sys, "_base_executable", sys.executable)).resolve())

    def passes(case: Case) -> bool:
        try:
            done = subprocess.run(
                [python, str(case.file)], stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS, check=False
            )
        except subprocess.TimeoutExpired:
            return False
        return done.returncode == 0

    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(passes, chosen))


def measured(side: Callable[[Sequence[Case]], list[bool]], chosen: Sequence[Case]) -> tuple[float, list[bool]]:
    """Seconds for all programs, and the verdicts."""
    began = time.perf_counter()
    found = side(chosen)
    return time.perf_counter() - began, found


def compare(chosen: Sequence[Case], rounds: int) -> dict[str, Any]:
    """Alternate the sides."""
    sides = {"sandbox": isolated, "subprocess": plain}
    for side in sides.values():
        side(chosen[:4])
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    judged: dict[str, list[bool]] = {}
    for _ in range(rounds):
        for name, side in sides.items():
            took, found = measured(side, chosen)
            seconds[name].append(round(took, 3))
            if judged.setdefault(name, found) != found:
                raise SystemExit(f"{name} judged the same programs differently in two rounds")
    differ = [
        case.attempt.problem.meta["task"]
        for case, one, other in zip(chosen, judged["sandbox"], judged["subprocess"], strict=True)
        if one != other
    ]
    if differ:
        raise SystemExit(f"the two sides judge these tasks differently: {differ}")
    rates = {name: len(chosen) / statistics.median(took) for name, took in seconds.items()}
    return {
        "ratio_subprocess": round(rates["sandbox"] / rates["subprocess"], 2),
        "targets": TARGETS,
        "programs": len(chosen),
        "correct": sum(judged["sandbox"]),
        "tier": sandbox.ready("auto"),
        "at_once": AT_ONCE,
        "seconds": seconds,
        "programs_per_second": {name: round(rate, 1) for name, rate in rates.items()},
        "load": round(os.getloadavg()[0], 2),
    }


def main() -> None:
    """Measure, print, write."""
    parser = _kit.parser(__doc__, "a few programs")
    parser.add_argument("--programs", type=int, default=None, help="so many of them")
    parser.add_argument("--note", default="", help="what is to be said of the conditions")
    arguments = parser.parse_args()
    if not _kit.has_data("mbpp.jsonl"):
        return
    try:
        sandbox.ready("auto")
    except sandbox.Refused as error:
        sys.stdout.write(json.dumps({"command": "", "skipped": str(error)}) + "\n")
        return
    most, rounds = (20, 1) if arguments.small else (arguments.programs, ROUNDS)
    with tempfile.TemporaryDirectory() as folder:
        result = compare(cases(Path(folder), most), rounds)
    asked = " --small" if arguments.small else f" --programs {most}" if most else ""
    command = f"python benchmarks/sandbox.py{asked}"
    noted = {"note": arguments.note} if arguments.note else {}
    said = subprocess.run([bwrap(), "--version"], capture_output=True, text=True, check=True).stdout.split()
    versions = {"bubblewrap": said[-1]}
    _kit.finish(
        "sandbox",
        {**result, **noted, "command": command, "versions": versions},
        ["porism"],
        small=arguments.small,
    )


if __name__ == "__main__":
    main()
