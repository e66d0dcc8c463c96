"""MBPP: 974 short Python tasks in a sentence each, with three tests (Austin et al., 2021, arXiv:2108.07732).

The published file, ``mbpp.jsonl``, is looked for in ``path``, else in ``$PORISM_DATA``, ``../shared/data`` and
``data``. With ``path: hub`` a split comes from the Hugging Face hub (google-research-datasets/mbpp). Splits go by
number, as published: prompt 1–10, test 11–510, validation 511–600, train 601–974; all of them, from a file, is ``all``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from porism.errors import DataError, RecipeError, nearest
from porism.problems import MissingData
from porism.problems._published import HUB, Published, find, rows
from porism.problems._python import tree
from porism.problems._tests import CodeTests
from porism.records import Problem

__all__ = ["files", "load"]

_SPLITS = {
    "all": range(1, 975),
    "prompt": range(1, 11),
    "test": range(11, 511),
    "validation": range(511, 601),
    "train": range(601, 975),
}
_ASK = "{}\n\nYour code should pass this test:\n\n```python\n{}\n```\n\nReply with one block of Python code."
PathSetting = Annotated[str, Field(description="the file, the folder that holds it, or hub")]


def load(split: str = "train", *, path: PathSetting = "") -> Iterator[Problem]:
    """The problems of a split, in the file's order. The question shows the first of the tests.

    Raises:
        RecipeError: no such split.
        MissingData: the file is in none of the places.
        DataError: a row without task_id, text, code and tests; names its place.
    """
    numbers = _numbers(split)
    if split == "all" and path == HUB:
        raise RecipeError("MBPP: the hub has the splits apart. Choose prompt, test, validation or train.")
    for place, row in rows(find(_data(split), path)):
        number, text, code = (row.get(key) for key in ("task_id", "text", "code"))
        tests: list[str] = _texts(row.get("test_list"))
        if not (isinstance(number, int) and isinstance(text, str) and isinstance(code, str) and tests):
            raise DataError(f"{place}: expected task_id, text, code and test_list (a list of texts).")
        if number in numbers:
            setup = _lines(str(row.get("test_setup_code") or ""))
            wanted = CodeTests(tests=[_lines(test) for test in tests], setup=setup, functions=_functions(code, tests))
            yield Problem(
                question=_ASK.format(text.strip(), tests[0].strip()),
                answer=wanted.text(),
                solution=f"```python\n{_lines(code).strip()}\n```",
                kind="code",
                source="mbpp",
                meta={"task": number},
            )


def files(split: str = "train", *, path: PathSetting = "") -> list[Path]:
    """The file that ``load`` reads; none where it is missing, or comes from the hub."""
    try:
        return [] if path == HUB else [find(_data(split), path)]
    except MissingData:
        return []


def _numbers(split: str) -> range:
    if split not in _SPLITS:
        raise RecipeError(f"MBPP has no split {split!r}.{nearest(split, _SPLITS)} Known: {', '.join(_SPLITS)}.")
    return _SPLITS[split]


def _data(split: str) -> Published:
    file = f"full/{split}-00000-of-00001.parquet"
    source = "the google-research repository (mbpp)"
    return Published("MBPP", ("mbpp.jsonl",), source, "google-research-datasets/mbpp", file)


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
