"""Problems from your own file: JSON Lines, or one JSON array of objects.

Each object has a question and an answer, and may have a worked solution; name the keys if yours differ.
An answer that ends in ``#### N`` is taken apart into solution and answer. With ``kind: code`` the answer is tests.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from porism import store
from porism.errors import DataError
from porism.problems import MissingData
from porism.problems import _tests as code_tests
from porism.records import Problem

__all__ = ["files", "load"]

_NO_NUMBERS = {"nan", "inf", "infinity"}

PathSetting = Annotated[str, Field(description="the file, .jsonl or .json")]


def load(
    split: str = "",
    *,
    path: PathSetting,
    question: Annotated[str, Field(description="the key of the question")] = "question",
    answer: Annotated[str, Field(description="the key of the reference answer")] = "answer",
    solution: Annotated[str, Field(description="the key of the worked solution")] = "solution",
    group: Annotated[str, Field(description="the key that results are broken down by")] = "group",
    kind: Annotated[str, Field(description="the grader that judges answers")] = "number",
) -> Iterator[Problem]:
    """The problems in a file, in its order; ``split`` is ignored.

    Raises:
        MissingData: no such file.
        DataError: a malformed row; names file and line (or the item's number).
    """
    del split
    file = Path(path).expanduser()
    if not file.is_file():
        what = (
            "expected a file, found a folder. Name a file in it." if file.is_dir() else "no such file. Check the path."
        )
        raise MissingData(f"{file}: {what}")
    for place, row in _objects(file):
        asked = _text(row, question, place)
        if kind == "code":
            yield Problem(
                question=asked,
                answer=_tests(row, answer, place),
                solution=str(row.get(solution) or ""),
                kind=kind,
                source=file.stem,
                group=str(row.get(group) or ""),
            )
            continue
        wanted = _text(row, answer, place)
        worked, mark, final = wanted.rpartition("####")
        final = final.strip().replace(",", "") if mark else wanted.strip()
        if not final or final.casefold().lstrip("+-") in _NO_NUMBERS:
            raise DataError(f"{place}: expected an answer under {answer!r}, got {wanted[-40:]!r}. Mend or remove it.")
        yield Problem(
            question=asked,
            answer=final,
            solution=str(row.get(solution) or (wanted if worked.strip() else "")),
            kind=kind,
            source=file.stem,
            group=str(row.get(group) or ""),
        )


def files(
    split: str = "",
    *,
    path: PathSetting,
    question: str = "question",
    answer: str = "answer",
    solution: str = "solution",
    group: str = "group",
    kind: str = "number",
) -> list[Path]:
    """The file that ``load`` reads; none where it is missing."""
    del split, question, answer, solution, group, kind
    file = Path(path).expanduser()
    return [file] if file.is_file() else []


def _objects(file: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    with file.open("rb") as opened:
        is_array = opened.read(64).removeprefix(codecs.BOM_UTF8).lstrip().startswith(b"[")
    if not is_array:
        for number, row in store.rows(file):
            yield f"{file}, line {number}", row
        return
    for number, item in enumerate(store.load_json(file), 1):
        if not isinstance(item, dict):
            raise DataError(f"{file}, item {number}: expected an object, got {type(item).__name__}.")
        yield f"{file}, item {number}", item


def _tests(row: dict[str, Any], key: str, place: str) -> str:
    """The tests of a code problem, which are its answer."""
    if key not in row:
        raise DataError(f"{place}: expected tests under {key!r}. Keys in this row: {', '.join(row) or 'none'}.")
    return code_tests.read_tests(row[key], place).text()


def _text(row: dict[str, Any], key: str, place: str) -> str:
    value = row.get(key)
    if isinstance(value, bool):  # the answers of StrategyQA
        value = "true" if value else "false"
    elif isinstance(value, (int, float)):
        value = str(value)
    if not isinstance(value, str) or not value.strip():
        have = ", ".join(row) or "none"
        raise DataError(f"{place}: expected a text under {key!r}, got {row.get(key)!r}. Keys in this row: {have}.")
    if not value.isascii() and any("\ud800" <= sign <= "\udfff" for sign in value):
        raise DataError(
            f"{place}: the text under {key!r} has half of a surrogate pair ({value[:40]!r}), which no model can read. "
            "Mend or remove it."
        )
    return value
