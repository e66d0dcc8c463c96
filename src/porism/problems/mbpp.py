"""MBPP: 974 short Python tasks in a sentence each, with three tests (Austin et al., 2021, arXiv:2108.07732).

The published file ``mbpp.jsonl`` and the hub's copy are read. Splits go by number, as published: prompt 1–10,
test 11–510, validation 511–600, train 601–974; all of them, from a file, is ``all``. The question shows the first of
the tests, so that the function's name is known.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from typing import Any

from porism.errors import RecipeError, nearest
from porism.problems import _source
from porism.problems._python import tree
from porism.problems._source import Place, Source
from porism.problems._tests import CodeTests
from porism.records import Problem

__all__ = ["files", "load"]

_SOURCE = Source(
    "MBPP",
    ("mbpp.jsonl",),
    hub="google-research-datasets/mbpp",
    config="full",
    origin="the google-research repository (mbpp)",
)
_SPLITS = {
    "all": range(1, 975),
    "prompt": range(1, 11),
    "test": range(11, 511),
    "validation": range(511, 601),
    "train": range(601, 975),
}
_ASK = "{}\n\nYour code should pass this test:\n\n```python\n{}\n```\n\nReply with one block of Python code."


def _source_of(split: str, place: Place) -> Source:
    """Raises RecipeError for a split that there is not."""
    if split not in _SPLITS:
        raise RecipeError(f"MBPP has no split {split!r}.{nearest(split, _SPLITS)} Known: {', '.join(_SPLITS)}.")
    if split == "all" and place.fetch and not _source.local(_SOURCE, split, place.path):
        raise RecipeError("MBPP: the hub has the splits apart. Choose prompt, test, validation or train.")
    return _SOURCE


def _problem(row: Mapping[str, Any], split: str) -> Problem | None:
    number, text, code = (row.get(key) for key in ("task_id", "text", "code"))
    tests = _texts(row.get("test_list"))
    if not (isinstance(number, int) and isinstance(text, str) and isinstance(code, str) and tests):
        raise ValueError("no MBPP row: expected task_id, text, code and test_list (a list of texts)")
    if number not in _SPLITS[split]:
        return None
    setup = _lines(str(row.get("test_setup_code") or ""))
    wanted = CodeTests(tests=[_lines(test) for test in tests], setup=setup, functions=_functions(code, tests))
    return Problem(
        question=_ASK.format(text.strip(), tests[0].strip()),
        answer=wanted.text(),
        solution=f"```python\n{_lines(code).strip()}\n```",
        kind="code",
        source="mbpp",
        meta={"task": number},
    )


def _texts(value: Any) -> list[str]:
    """The texts in a list; none where it holds anything else."""
    return value if isinstance(value, list) and all(isinstance(item, str) for item in value) else []


def _lines(code: str) -> str:
    return code.replace("\r\n", "\n")


def _functions(code: str, tests: Sequence[str]) -> list[str]:
    """The functions and classes that the tests use and the reference defines, also with a built-in's name."""
    found = tree(_lines(code))
    nodes = ast.walk(found) if found else ()
    defined = {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    trees = [one for one in map(tree, map(_lines, tests)) if one]
    used = {node.id for one in trees for node in ast.walk(one) if isinstance(node, ast.Name)}
    return sorted(defined & used)


load, files = _source.published(_problem, _source_of)
