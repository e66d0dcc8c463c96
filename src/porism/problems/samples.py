"""Small sets that ship with Porism, written for it: Chinese primary-school mathematics, and pairs of answers.

``chinese_math``: 77 problems with worked solutions, whose every step has a calculator annotation. ``preferences``: 36
questions with a right answer and one with a typical mistake; the wrong one is ``meta.rejected``, and ``group`` is the
kind of mistake. Both are MIT, as Porism is.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from porism import store
from porism.problems.gsm8k import unannotated
from porism.records import Problem

__all__ = ["files", "load", "path"]

Which = Annotated[Literal["chinese_math", "preferences"], Field(description="the set")]


def load(split: str = "", *, which: Which = "chinese_math") -> Iterator[Problem]:
    """The problems of a set; there are no splits."""
    del split
    for _, row in store.rows(path(which)):
        if which == "preferences":
            yield Problem(
                question=row["prompt"],
                answer=row["answer"],
                solution=row["chosen"],
                kind="math" if "/" in row["answer"] else "number",
                source=which,
                group=row["error"],
                meta={"rejected": row["rejected"]},
            )
        else:
            worked = row["answer"]
            yield Problem(
                question=row["question"],
                answer=worked.rpartition("####")[2].strip(),
                solution=unannotated(worked),
                source=which,
                group=row["group"],
                meta={"annotated": worked},
            )


def files(split: str = "", *, which: Which = "chinese_math") -> list[Path]:
    """The file of a set."""
    del split
    return [path(which)]


def path(which: str) -> Path:
    """The file of a set, for other programs: ``question``/``answer`` rows, or ``prompt``/``chosen``/``rejected``."""
    return Path(__file__).parent / "data" / f"{which}.jsonl"
