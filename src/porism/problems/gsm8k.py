"""GSM8K: grade-school word problems with worked solutions (Cobbe et al., 2021, arXiv:2110.14168).

The published files, ``gsm8k_train.jsonl`` and ``gsm8k_test.jsonl`` (or ``train.jsonl`` and ``test.jsonl``), are looked
for in ``path``, else in ``$PORISM_DATA``, ``../shared/data`` and ``data``; or fetched from a hub where that is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from porism.problems import _source
from porism.problems._source import Place, Source
from porism.records import Problem

__all__ = ["files", "load", "unannotated"]

_ANNOTATION = re.compile(r"<<[^<>]*>>")
_SOURCE = Source(
    "GSM8K",
    ("gsm8k_{split}.jsonl", "{split}.jsonl"),
    hub="openai/gsm8k",
    modelscope="AI-ModelScope/gsm8k",
    config="main",
    origin="the openai/grade-school-math repository",
)


def _source_of(split: str, place: Place) -> Source:
    del split, place
    return _SOURCE


def _problem(row: Mapping[str, Any], split: str) -> Problem:
    """A row's problem. Calculator annotations are taken out of the solution.

    ``meta`` keeps the annotated one where there are some, so that numbers can be changed and the answer computed anew.
    """
    del split
    question, worked = row.get("question"), row.get("answer")
    final = worked.rpartition("####")[2].strip().replace(",", "") if isinstance(worked, str) else ""
    if not isinstance(question, str) or not isinstance(worked, str) or "####" not in worked or not final:
        raise ValueError("no GSM8K row: expected question and answer texts, the answer ending in '#### N'")
    return Problem(
        question=question,
        answer=final,
        solution=unannotated(worked),
        source="gsm8k",
        meta={"annotated": worked} if _ANNOTATION.search(worked) else {},
    )


def unannotated(worked: str) -> str:
    """A worked solution without its calculator annotations."""
    return _ANNOTATION.sub("", worked)


load, files = _source.published(_problem, _source_of)
