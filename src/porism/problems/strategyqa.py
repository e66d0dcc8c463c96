"""StrategyQA: yes-or-no questions whose steps are left unsaid (Geva et al., 2021, arXiv:2101.02235).

The published files (``strategyqa_train.json``: one JSON array) and the hub's copy are read. The chain of thought is
the list of facts, with yes or no below it; ``meta`` has the question's decomposition. The published test split has no
answers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from porism.problems import _source
from porism.problems._source import Place, Source
from porism.records import Problem

__all__ = ["files", "load"]

_SOURCE = Source(
    "StrategyQA",
    ("strategyqa_{split}.json", "strategyqa_{split}.jsonl", "{split}.json", "{split}.jsonl"),
    hub="ChilleD/StrategyQA",
    splits={"validation": "dev"},
    origin="the eladsegal/strategyqa repository",
)


def _source_of(split: str, place: Place) -> Source:
    del split, place
    return _SOURCE


def _problem(row: Mapping[str, Any], split: str) -> Problem:
    del split
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


load, files = _source.published(_problem, _source_of)
