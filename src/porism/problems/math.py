r"""MATH: competition problems with worked solutions (Hendrycks et al., 2021, arXiv:2103.03874), and MATH-500 of them.

``math500`` is the 500 test problems that Lightman et al. (2023, arXiv:2305.20050) held out. The original
folder (``train/algebra/1.json``), JSON Lines and the hub's copies are read. The answer is the last box of the solution
where it has no key of its own. ``group`` is the subject, and ``meta`` has the level.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from porism import chains
from porism.problems import _source
from porism.problems._source import Place, Source
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
Levels = Annotated[list[int], Field(description="only of these levels, 1 to 5; all if empty")]
Subjects = Annotated[list[str], Field(description="only of these subjects, such as Algebra; all if empty")]


def _source_of(split: str, place: Place, *, subset: Subset = "math") -> Source:
    del split, place
    return _SOURCES[subset]


def _problem(
    row: Mapping[str, Any],
    split: str,
    *,
    subset: Subset = "math",
    levels: Levels = [],  # noqa: B006 (never changed)
    subjects: Subjects = [],  # noqa: B006
) -> Problem | None:
    del split
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
    group = subject if isinstance(subject, str) else ""
    if (levels and meta.get("level") not in levels) or (subjects and _plain(group) not in map(_plain, subjects)):
        return None
    return Problem(
        question=question,
        answer=answer.strip(),
        solution=solution,
        kind="math",
        source=subset,
        group=group,
        meta=meta,
    )


def _boxed(solution: str) -> str:
    """What stands in the last box of a solution; empty where there is none."""
    found = [s for s in chains.read(solution).statements if s.rule == "boxed" and s.closed]
    return found[-1].answer.of(solution) if found else ""


def _plain(subject: str) -> str:
    return " ".join(subject.casefold().replace("&", "and").replace("_", " ").split())


load, files = _source.published(_problem, _source_of)
