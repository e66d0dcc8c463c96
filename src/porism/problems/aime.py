"""AIME: the American Invitational Mathematics Examination; every answer is a whole number from 0 to 999.

No file of it is published by its makers; the hub's collections are read, and files in their layouts.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from porism.problems import Unreadable, _source
from porism.problems._source import DataHosts, Endpoint, Fetch, Place, PlaceSetting, Source, Update
from porism.records import Problem

__all__ = ["files", "load"]

_ALL = Source(
    "AIME",
    ("aime_{split}.jsonl", "aime.jsonl", "AIME_Dataset_1983_2024.csv", "{split}.jsonl"),
    hub="di-zhang-fdu/AIME_1983_2024",
    origin="a collection of your choice",
)
_HUBS = {2024: "HuggingFaceH4/aime_2024", 2025: "MathArena/aime_2025"}
_YEAR = re.compile(r"(?<!\d)(?:19[89]|20\d)\d(?!\d)")

Year = Annotated[int, Field(description="only of this year; all if 0", ge=0)]


def load(
    split: str = "train",
    *,
    year: Year = 0,
    path: PlaceSetting = "",
    fetch: Fetch = "",
    endpoint: Endpoint = "",
    data_host: DataHosts = [],  # noqa: B006 (never changed)
    update: Update = False,
) -> Iterator[Problem | Unreadable]:
    """The problems, in the file's order; ``group`` is the year. The hub's collections have one split, ``train``.

    Raises:
        MissingData: the file is in none of the places.
        DataError: the file cannot be read.
        ModelError: it cannot be fetched.
    """
    for row in _source.rows(_source_of(year), split, Place(path, fetch, endpoint, data_host, update)):
        if isinstance(row, Unreadable):
            yield row
            continue
        try:
            problem = _problem(row.value)
        except ValueError as error:
            yield Unreadable(row.place, str(error), str(row.value))
            continue
        if not year or problem.group in ("", str(year)):
            yield problem


def files(
    split: str = "train",
    *,
    year: Year = 0,
    path: PlaceSetting = "",
    fetch: Fetch = "",
    endpoint: Endpoint = "",
    data_host: DataHosts = [],  # noqa: B006
    update: Update = False,
) -> list[Path]:
    """The file that ``load`` reads, or a hub's list of files; none where it is missing."""
    return _source.place_files(_source_of(year), split, Place(path, fetch, endpoint, data_host, update))


def _source_of(year: int) -> Source:
    return _ALL._replace(title=f"AIME {year}", hub=_HUBS.get(year, _ALL.hub)) if year else _ALL


def _problem(row: Mapping[str, Any]) -> Problem:
    row = {key.casefold(): value for key, value in row.items()}
    question = row.get("problem") or row.get("question")
    if not isinstance(question, str):
        raise ValueError("no AIME row: expected a text under 'problem' or 'question'")  # noqa: TRY004 (a row)
    answer = str(row.get("answer", "")).strip()
    if not re.fullmatch(r"\d{1,3}(\.0)?", answer):
        raise ValueError(f"no answer: expected a whole number from 0 to 999, got {answer[:40]!r}")
    solution = row.get("solution")
    told = [row.get(key) for key in ("year", "url", "id")]
    years = [found[0] for found in (_YEAR.search(str(value)) for value in told if value is not None) if found]
    return Problem(
        question=question,
        answer=str(int(float(answer))),
        solution=solution if isinstance(solution, str) else "",
        source="aime",
        group=years[0] if years else "",
    )
