"""AIME: the American Invitational Mathematics Examination; every answer is a whole number from 0 to 999.

No file of it is published by its makers; the hub's collections are read, and files in their layouts. ``group`` is
the year.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from porism.problems import _source
from porism.problems._source import Place, Source
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


def _source_of(split: str, place: Place, *, year: Year = 0) -> Source:
    """The hub's collections have one split, ``train``."""
    del split, place
    return _ALL._replace(title=f"AIME {year}", hub=_HUBS.get(year, _ALL.hub)) if year else _ALL


def _problem(row: Mapping[str, Any], split: str, *, year: Year = 0) -> Problem | None:
    """A row that does not tell its year is of the year that is asked for."""
    del split
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
    group = years[0] if years else ""
    if year and group not in ("", str(year)):
        return None
    return Problem(
        question=question,
        answer=str(int(float(answer))),
        solution=solution if isinstance(solution, str) else "",
        source="aime",
        group=group,
    )


load, files = _source.published(_problem, _source_of)
