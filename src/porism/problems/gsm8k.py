"""GSM8K: grade-school word problems with worked solutions (Cobbe et al., 2021, arXiv:2110.14168).

The published files, ``gsm8k_train.jsonl`` and ``gsm8k_test.jsonl`` (or ``train.jsonl`` and ``test.jsonl``), are looked
for in ``path``, else in ``$PORISM_DATA``, ``../shared/data`` and ``data``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from porism import store
from porism.errors import DataError
from porism.problems import MissingData
from porism.records import Problem

__all__ = ["files", "load"]

_ANNOTATION = re.compile(r"<<[^<>]*>>")
PathSetting = Annotated[str, Field(description="the file, or the folder that holds gsm8k_SPLIT.jsonl")]


def load(split: str = "train", *, path: PathSetting = "") -> Iterator[Problem]:
    """The problems of a split, in the file's order, calculator annotations taken out of the solutions.

    Raises:
        MissingData: the file is in none of the places.
        DataError: a row without question, answer or ``####``; names file and line.
    """
    file = _find(split, path)
    for number, row in store.rows(file):
        question, worked = row.get("question"), row.get("answer")
        final = worked.rpartition("####")[2].strip().replace(",", "") if isinstance(worked, str) else ""
        if not isinstance(question, str) or not isinstance(worked, str) or "####" not in worked or not final:
            raise DataError(
                f"{file}, line {number}: expected question and answer texts, the answer ending in '#### N'."
            )
        yield Problem(
            question=question,
            answer=final,
            solution=_ANNOTATION.sub("", worked),
            source="gsm8k",
        )


def files(split: str = "train", *, path: PathSetting = "") -> list[Path]:
    """The file that ``load`` reads; none where it is missing."""
    try:
        return [_find(split, path)]
    except MissingData:
        return []


def _find(split: str, path: str) -> Path:
    given = Path(path).expanduser() if path else None
    if given and given.is_file():
        return given
    folders = [given] if given else [Path(os.environ.get("PORISM_DATA") or "../shared/data"), Path("data")]
    for folder in folders:
        for name in (f"gsm8k_{split}.jsonl", f"{split}.jsonl"):
            if (folder / name).is_file():
                return folder / name
    places = ", ".join(str(folder) for folder in folders)
    raise MissingData(
        f"GSM8K's {split} split: expected gsm8k_{split}.jsonl in {places}. "
        "Download it from the openai/grade-school-math repository and give its place with path=…"
    )
