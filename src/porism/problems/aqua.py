"""AQuA-RAT: algebra with five options and rationales (Ling et al., 2017, arXiv:1705.04146).

The published files (``train.json``, ``dev.json``, ``test.json``: JSON Lines), ``aqua_SPLIT.jsonl`` and the hub's copy
are read. The options stand below the question. The solution is the rationale with the letter below it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from porism.problems import _choices, _source
from porism.problems._source import Place, Source
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


def _source_of(split: str, place: Place) -> Source:
    """The set as its files here call the splits (train, dev, test), or as the hub does (train, validation, test)."""
    return _FETCHED if place.fetch and not _source.local(_HERE, split, place.path) else _HERE


def _problem(row: Mapping[str, Any], split: str) -> Problem:
    del split
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


load, files = _source.published(_problem, _source_of)
