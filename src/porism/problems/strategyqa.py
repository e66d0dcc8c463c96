"""StrategyQA: yes-or-no questions whose steps are left unsaid (Geva et al., 2021, arXiv:2101.02235).

The published files (``strategyqa_train.json``: one JSON array) and the hub's copy are read. The chain of thought is
the list of facts, with yes or no below it; ``meta`` has the question's decomposition. The published test split has no
answers.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from porism.problems import Unreadable, _source
from porism.problems._source import DataHosts, Endpoint, Fetch, Place, PlaceSetting, Source, Update
from porism.records import Problem

__all__ = ["files", "load"]

_SOURCE = Source(
    "StrategyQA",
    ("strategyqa_{split}.json", "strategyqa_{split}.jsonl", "{split}.json", "{split}.jsonl"),
    hub="ChilleD/StrategyQA",
    splits={"validation": "dev"},
    origin="the eladsegal/strategyqa repository",
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
    """The problems of a split (train, dev; on the hub train, test), in the file's order.

    Raises:
        MissingData: the file is in none of the places.
        DataError: the file cannot be read.
        ModelError: it cannot be fetched.
    """
    for row in _source.rows(_SOURCE, split, Place(path, fetch, endpoint, data_host, update)):
        if isinstance(row, Unreadable):
            yield row
            continue
        try:
            yield _problem(row.value)
        except ValueError as error:
            yield Unreadable(row.place, str(error), str(row.value))


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


def _problem(row: Mapping[str, Any]) -> Problem:
    question, answer, facts = row.get("question"), row.get("answer"), row.get("facts")
    if not isinstance(question, str) or not isinstance(answer, bool):
        raise ValueError("no StrategyQA row: expected a text under 'question' and true or false under 'answer'")  # noqa: TRY004 (a row)
    known = [facts] if isinstance(facts, str) else facts if isinstance(facts, list) else []
    lines = [fact.strip() for fact in known if isinstance(fact, str) and fact.strip()]
    steps = row.get("decomposition")
    said = "yes" if answer else "no"
    return Problem(
        question=question,
        answer=said,
        solution="\n".join([*lines, f"#### {said}"]) if lines else "",
        kind="boolean",
        source="strategyqa",
        meta={"decomposition": steps} if isinstance(steps, list) and steps else {},
    )
