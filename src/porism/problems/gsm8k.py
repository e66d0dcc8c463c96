"""GSM8K: grade-school word problems with worked solutions (Cobbe et al., 2021, arXiv:2110.14168).

The published files, ``gsm8k_train.jsonl`` and ``gsm8k_test.jsonl`` (or ``train.jsonl`` and ``test.jsonl``), are looked
for in ``path``, else in ``$PORISM_DATA``, ``../shared/data`` and ``data``; or fetched from a hub where that is wanted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from porism.problems import Unreadable, _source
from porism.problems._source import DataHosts, Endpoint, Fetch, Place, PlaceSetting, Source, Update
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


def load(
    split: str = "train",
    *,
    path: PlaceSetting = "",
    fetch: Fetch = "",
    endpoint: Endpoint = "",
    data_host: DataHosts = [],  # noqa: B006 (never changed)
    update: Update = False,
) -> Iterator[Problem | Unreadable]:
    """The problems of a split, in the file's order.

    Calculator annotations are taken out of the solutions; ``meta`` keeps the annotated one where there are some, so
    that numbers can be changed and the answer computed anew.

    Raises:
        MissingData: the file is in none of the places.
        DataError: the file cannot be read.
        ModelError: it cannot be fetched.
    """
    for row in _source.rows(_SOURCE, split, Place(path, fetch, endpoint, data_host, update)):
        if isinstance(row, Unreadable):
            yield row
            continue
        question, worked = row.value.get("question"), row.value.get("answer")
        final = worked.rpartition("####")[2].strip().replace(",", "") if isinstance(worked, str) else ""
        if not isinstance(question, str) or not isinstance(worked, str) or "####" not in worked or not final:
            reason = "no GSM8K row: expected question and answer texts, the answer ending in '#### N'"
            yield Unreadable(row.place, reason, str(row.value))
            continue
        yield Problem(
            question=question,
            answer=final,
            solution=unannotated(worked),
            source="gsm8k",
            meta={"annotated": worked} if _ANNOTATION.search(worked) else {},
        )


def files(
    split: str = "train",
    *,
    path: PlaceSetting = "",
    fetch: Fetch = "",
    endpoint: Endpoint = "",
    data_host: DataHosts = [],  # noqa: B006
    update: Update = False,
) -> list[Path]:
    """The file that ``load`` reads, or a hub's list of files; none where it is missing."""
    return _source.place_files(_SOURCE, split, Place(path, fetch, endpoint, data_host, update))


def unannotated(worked: str) -> str:
    """A worked solution without its calculator annotations."""
    return _ANNOTATION.sub("", worked)
