"""HumanEval: 164 Python functions to complete, each with tests (Chen et al., 2021, arXiv:2107.03374).

The published file, ``HumanEval.jsonl.gz`` (or ``HumanEval.jsonl``), and the hub's copy are read. There is one split,
``test``, whatever is asked for. The question asks for the whole function; the tests are the answer.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from porism.problems import _source
from porism.problems._python import tree
from porism.problems._source import Place, Source
from porism.problems._tests import CodeTests
from porism.records import Problem

__all__ = ["files", "load"]

_SOURCE = Source(
    "HumanEval",
    ("HumanEval.jsonl.gz", "HumanEval.jsonl"),
    hub="openai/openai_humaneval",
    config="openai_humaneval",
    origin="the openai/human-eval repository",
)
_ASK = "Complete this Python function. Reply with the whole function in one block of code.\n\n```python\n{}\n```"


def _source_of(split: str, place: Place) -> Source:
    del place
    return _SOURCE._replace(splits={split: "test"})


def _problem(row: Mapping[str, Any], split: str) -> Problem:
    del split
    texts = [row.get(key) for key in ("task_id", "prompt", "entry_point", "canonical_solution", "test")]
    if not all(isinstance(text, str) for text in texts):
        raise ValueError("no HumanEval row: expected the texts task_id, prompt, entry_point, canonical_solution, test")
    name, prompt, function, solution, test = (str(text) for text in texts)
    return Problem(
        question=_ASK.format(prompt.strip("\n")),
        answer=_tests(prompt, function, test).text(),
        solution=f"```python\n{prompt.lstrip()}{solution.rstrip()}\n```",
        kind="code",
        source="humaneval",
        meta={"task": name, "function": function},
    )


def _tests(prompt: str, function: str, test: str) -> CodeTests:
    """The statements of ``check(candidate)``, one test each; what the prompt defines belongs to the tests.

    Raises:
        ValueError: there is no such function.
    """
    found = tree(test)
    if found is None:
        raise ValueError("the test is no Python")
    checks = [node for node in found.body if isinstance(node, ast.FunctionDef) and node.name == "check"]
    if not checks or len(checks[0].args.args) != 1:
        raise ValueError("no tests: expected the test to define check(candidate)")
    return CodeTests(
        tests=[ast.unparse(node) for node in checks[0].body],
        function=function,
        start=prompt,
        helpers=prompt,
        aliases={checks[0].args.args[0].arg: function},
    )


load, files = _source.published(_problem, _source_of, "test")
