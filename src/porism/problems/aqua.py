"""AQuA-RAT: algebra with five options and rationales (Ling et al., 2017, arXiv:1705.04146).

The published files (``train.json``, ``dev.json``, ``test.json``: JSON Lines), ``aqua_SPLIT.jsonl`` and the hub's copy
are read. The options stand below the question. The solution is the rationale with the letter below it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from porism.problems import Unreadable, _choices, _source
from porism.problems._source import DataHosts, Endpoint, Fetch, Place, PlaceSetting, Source, Update
from porism.records import Problem

__all__ = ["files", "load"]

_HERE = Source(
    "AQuA-RAT",
    ("aqua_{split}.jsonl", "AQuA/{split}.json", "{split}.json", "{split}.jsonl"),
    hub="deepmind/aqua_rat",
    config="raw",
    splits={"validation": "dev"},
    origin="the google-deepmind/AQuA repository",
)
_FETCHED = _HERE._replace(splits={"dev": "validation"})


def load(
    split: str = "train",
    *,
    path: PlaceSetting = "",
    fetch: Fetch = "",
    endpoint: Endpoint = "",
    data_host: DataHosts = [],  # noqa: B006 (never changed)
    update: Update = False,
) -> Iterator[Problem | Unreadable]:
    """The problems of a split (train, validation or dev, test), in the file's order.

    Raises:
        MissingData: the file is in none of the places.
        DataError: the file cannot be read.
        ModelError: it cannot be fetched.
    """
    for row in _source.rows(_source_of(split, path, fetch), split, Place(path, fetch, endpoint, data_host, update)):
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
    place = Place(path, fetch, endpoint, data_host, update)
    return _source.place_files(_source_of(split, path, fetch), split, place)


def _source_of(split: str, path: str, fetch: str) -> Source:
    """The set as its files here call the splits, or as the hub does."""
    return _FETCHED if fetch and not _source.local(_HERE, split, path) else _HERE


def _problem(row: Mapping[str, Any]) -> Problem:
    question, rationale = row.get("question"), row.get("rationale")
    if not isinstance(question, str) or not isinstance(rationale, str):
        raise ValueError("no AQuA row: expected texts under 'question' and 'rationale'")  # noqa: TRY004 (a row)
    options = _choices.plain(row.get("options"))
    letter = _choices.letter(row.get("correct"), options)
    return Problem(
        question=_choices.ask(question, options),
        answer=letter,
        solution=f"{rationale.strip()}\n#### {letter}",
        kind="choice",
        source="aqua",
        meta={"options": options},
    )
