r"""MATH: competition problems with worked solutions (Hendrycks et al., 2021, arXiv:2103.03874), and MATH-500 of them.

``math500`` is the 500 test problems that Lightman et al. (2023, arXiv:2305.20050) held out. The original
folder (``train/algebra/1.json``), JSON Lines and the hub's copies are read. The answer is the last box of the solution
where it has no key of its own.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from porism import chains
from porism.problems import Unreadable, _source
from porism.problems._source import DataHosts, Endpoint, Fetch, Place, PlaceSetting, Source, Update
from porism.records import Problem

__all__ = ["files", "load"]

_SOURCES = {
    "math": Source(
        "MATH",
        ("math_{split}.jsonl", "MATH/{split}/*/*.json", "{split}/*/*.json", "{split}.jsonl"),
        hub="DigitalLearningGmbH/MATH-lighteval",
        config="default",
        origin="the hendrycks/math repository",
    ),
    "math500": Source(
        "MATH-500",
        ("math500_{split}.jsonl", "math500.jsonl", "MATH-500/{split}.jsonl", "{split}.jsonl"),
        hub="HuggingFaceH4/MATH-500",
        modelscope="AI-ModelScope/MATH-500",
        origin="the openai/prm800k repository",
    ),
}
_LEVEL = re.compile(r"(?:level\s*)?([1-5])", re.IGNORECASE)

Subset = Annotated[Literal["math", "math500"], Field(description="all of MATH, or the 500 that are held out")]


def load(
    split: str = "train",
    *,
    subset: Subset = "math",
    levels: Annotated[list[int], Field(description="only of these levels, 1 to 5; all if empty")] = [],  # noqa: B006
    subjects: Annotated[list[str], Field(description="only of these subjects, such as Algebra; all if empty")] = [],  # noqa: B006
    path: PlaceSetting = "",
    fetch: Fetch = "",
    endpoint: Endpoint = "",
    data_host: DataHosts = [],  # noqa: B006
    update: Update = False,
) -> Iterator[Problem | Unreadable]:
    """The problems of a split, in the file's order; ``group`` is the subject, ``meta`` has the level.

    Raises:
        MissingData: the file is in none of the places.
        DataError: the file cannot be read.
        ModelError: it cannot be fetched.
    """
    wanted = {_plain(subject) for subject in subjects}
    for row in _source.rows(_SOURCES[subset], split, Place(path, fetch, endpoint, data_host, update)):
        if isinstance(row, Unreadable):
            yield row
            continue
        try:
            problem = _problem(row.value, subset)
        except ValueError as error:
            yield Unreadable(row.place, str(error), str(row.value))
            continue
        if (not levels or problem.meta.get("level") in levels) and (not wanted or _plain(problem.group) in wanted):
            yield problem


def files(
    split: str = "train",
    *,
    subset: Subset = "math",
    path: PlaceSetting = "",
    fetch: Fetch = "",
    endpoint: Endpoint = "",
    data_host: DataHosts = [],  # noqa: B006
    update: Update = False,
) -> list[Path]:
    """The files that ``load`` reads, or a hub's list of files; none where they are missing."""
    return _source.place_files(_SOURCES[subset], split, Place(path, fetch, endpoint, data_host, update))


def _problem(row: Mapping[str, Any], subset: str) -> Problem:
    question, solution, answer = row.get("problem"), row.get("solution"), row.get("answer")
    if not isinstance(question, str) or not isinstance(solution, str):
        raise ValueError("no MATH row: expected texts under 'problem' and 'solution'")  # noqa: TRY004 (a row)
    if answer is None:
        answer = _boxed(solution)
    if not isinstance(answer, str) or not answer.strip():
        raise ValueError("no answer: the solution has no box")
    level, subject = _LEVEL.fullmatch(str(row.get("level", "")).strip()), row.get("subject") or row.get("type")
    meta: dict[str, Any] = {"level": int(level[1])} if level else {}
    if isinstance(row.get("unique_id"), str):
        meta["unique_id"] = row["unique_id"]
    return Problem(
        question=question,
        answer=answer.strip(),
        solution=solution,
        kind="math",
        source=subset,
        group=subject if isinstance(subject, str) else "",
        meta=meta,
    )


def _boxed(solution: str) -> str:
    """What stands in the last box of a solution; empty where there is none."""
    found = [s for s in chains.read(solution).statements if s.rule == "boxed" and s.closed]
    return found[-1].answer.of(solution) if found else ""


def _plain(subject: str) -> str:
    return " ".join(subject.casefold().replace("&", "and").replace("_", " ").split())
