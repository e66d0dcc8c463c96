"""Problems from your own file: JSON Lines, a JSON array, CSV or Parquet, in any of the usual layouts.

The layout of each row is told by its keys (see :mod:`porism.problems._layouts`): question and answer, alpaca, ShareGPT,
messages, TRL's. Name the keys if yours differ. An answer that ends in ``#### N``, or that states its answer in another
way, is taken apart into solution and answer. With ``kind: code`` the answer is tests.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from porism import recipe
from porism.errors import DataError
from porism.problems import MissingData, Unreadable, _layouts, _rows, _tests
from porism.problems._layouts import Columns, Fields, Layout, LeftOut
from porism.problems._rows import DEEP, Row
from porism.records import Problem

__all__ = [
    "KindSetting",
    "LayoutSetting",
    "files",
    "load",
    "problems",
]

PathSetting = Annotated[str, Field(description="the file: .jsonl, .json, .csv, .tsv, .parquet or .arrow, plain or .gz")]
LayoutSetting = Annotated[Layout, Field(description="how a row is written; told by its keys if auto")]
KindSetting = Annotated[str, Field(description="the grader that judges answers; the one that fits each if empty")]


@recipe.flat
def load(
    split: str = "", *, path: PathSetting, layout: LayoutSetting = "auto", columns: Columns, kind: KindSetting = ""
) -> Iterator[Problem | Unreadable]:
    """The problems in a file, in its order; ``split`` is ignored.

    Raises:
        MissingData: no such file.
        DataError: the file cannot be read at all.
    """
    del split
    file = Path(path).expanduser()
    if not file.is_file():
        what = (
            "expected a file, found a folder. Name a file in it, or use the source 'hub' for a data set's folder."
            if file.is_dir()
            else "no such file. Check the path."
        )
        raise MissingData(f"{file}: {what}")
    source = file.name.partition(".")[0] or file.stem
    yield from problems(_rows.read(file), columns, layout, kind, source)


def problems(
    rows: Iterable[Row | Unreadable], columns: Columns, layout: Layout, kind: str, source: str
) -> Iterator[Problem | Unreadable]:
    """Rows → problems.

    Args:
        rows: of a file.
        columns: its keys.
        layout: how rows are written.
        kind: the grader; empty for the one that fits an answer.
        source: where they come from.
    """
    for row in rows:
        if isinstance(row, Unreadable):
            yield row
            continue
        try:
            found = _code(row, columns) if kind == "code" else _layouts.fields(row.value, columns, layout)
        except (DataError, ValueError) as error:
            is_defect = not isinstance(error, LeftOut)
            yield Unreadable(row.place, str(error), str(row.value)[:200], is_defect=is_defect)
            continue
        except RecursionError:
            yield Unreadable(row.place, DEEP, str(row.value)[:200])
            continue
        yield Problem(
            question=found.question,
            answer=found.answer,
            solution=found.solution,
            kind=kind or _layouts.kind_for(found),
            source=source,
            group=found.group,
            meta={**found.meta, **_layouts.kept(row.value, columns)},
        )


def _code(row: Row, columns: Columns) -> Fields:
    """A code problem, whose answer is tests.

    Raises:
        DataError: they are no tests.
        ValueError: there are none, or no question.
    """
    if row.value.get(columns.answer) is None:
        raise ValueError(f"no tests: expected them under {columns.answer!r}.")
    tests = _tests.read_tests(row.value[columns.answer], "tests")
    broken = _tests.broken(tests)
    if broken:
        raise ValueError(f"tests: {broken} is no Python.")
    solution, group = (str(row.value.get(key) or "") for key in (columns.solution, columns.group))
    return Fields(_layouts.text_of(row.value, columns.question), tests.text(), solution, group)


def files(split: str = "", *, path: PathSetting) -> list[Path]:
    """The file that ``load`` reads; none where it is missing."""
    del split
    file = Path(path).expanduser()
    return [file] if file.is_file() else []
