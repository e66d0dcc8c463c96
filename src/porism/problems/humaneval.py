"""HumanEval: 164 Python functions to complete, each with tests (Chen et al., 2021, arXiv:2107.03374).

The published file, ``HumanEval.jsonl.gz`` (or ``HumanEval.jsonl``), is looked for in ``path``, else in
``$PORISM_DATA``, ``../shared/data`` and ``data``. With ``path: hub`` it comes from the Hugging Face hub
(openai/openai_humaneval).
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from porism.errors import DataError
from porism.problems import MissingData
from porism.problems._published import HUB, Published, find, rows
from porism.problems._python import tree
from porism.problems._tests import CodeTests
from porism.records import Problem

__all__ = ["files", "load"]

_DATA = Published(
    "HumanEval",
    ("HumanEval.jsonl.gz", "HumanEval.jsonl"),
    "the openai/human-eval repository",
    "openai/openai_humaneval",
    "openai_humaneval/test-00000-of-00001.parquet",
)
_ASK = "Complete this Python function. Reply with the whole function in one block of code.\n\n```python\n{}\n```"
PathSetting = Annotated[str, Field(description="the file, the folder that holds it, or hub")]


def load(split: str = "test", *, path: PathSetting = "") -> Iterator[Problem]:
    """The problems, in the file's order; there is one split.

    Raises:
        MissingData: the file is in none of the places.
        DataError: a row without prompt, entry point, solution or test; names its place.
    """
    del split
    for place, row in rows(find(_DATA, path)):
        texts = [row.get(key) for key in ("task_id", "prompt", "entry_point", "canonical_solution", "test")]
        if not all(isinstance(text, str) for text in texts):
            raise DataError(f"{place}: expected the texts task_id, prompt, entry_point, canonical_solution and test.")
        name, prompt, function, solution, test = (str(text) for text in texts)
        yield Problem(
            question=_ASK.format(prompt.strip("\n")),
            answer=_tests(prompt, function, test, place).text(),
            solution=f"```python\n{prompt.lstrip()}{solution.rstrip()}\n```",
            kind="code",
            source="humaneval",
            meta={"task": name, "function": function},
        )


def files(split: str = "test", *, path: PathSetting = "") -> list[Path]:
    """The file that ``load`` reads; none where it is missing, or comes from the hub."""
    del split
    try:
        return [] if path == HUB else [find(_DATA, path)]
    except MissingData:
        return []


def _tests(prompt: str, function: str, test: str, place: str) -> CodeTests:
    """The statements of ``check(candidate)``, one test each; what the prompt defines belongs to the tests.

    Raises:
        DataError: there is no such function.
    """
    found = tree(test)
    if found is None:
        raise DataError(f"{place}: the test is no Python.")
    checks = [node for node in found.body if isinstance(node, ast.FunctionDef) and node.name == "check"]
    if not checks or len(checks[0].args.args) != 1:
        raise DataError(f"{place}: expected the test to define check(candidate).")
    return CodeTests(
        tests=[ast.unparse(node) for node in checks[0].body],
        function=function,
        start=prompt,
        helpers=prompt,
        aliases={checks[0].args.args[0].arg: function},
    )
