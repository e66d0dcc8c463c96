"""Scores by a reward model or verifier, as tags: the reward of an answer, and by how much a pair's better one leads."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from porism.errors import DataError
from porism.graders import scorer_of
from porism.records import Attempt, Example, Message, Pair, Record

__all__ = ["rewards"]

_DIGITS = 6


def rewards(scorer: str, records: Sequence[Record]) -> list[dict[str, Any]]:
    """The tags of each record: ``reward``; of a pair ``chosen_reward``, ``rejected_reward`` and ``margin``.

    Args:
        scorer: a reward model or verifier.
        records: attempts, examples and pairs.

    Raises:
        DataError: a record without an answer that could be scored.
        ModelError: the scorer cannot be loaded.
    """
    asked = [_answers(record) for record in records]
    found = iter(scorer_of(scorer).scored([one for answers in asked for one in answers]))
    tags: list[dict[str, Any]] = []
    for record, answers in zip(records, asked, strict=True):
        scored = [next(found) for _ in answers]
        error = next((one.error for one in scored if one.error), "")
        numbers = [round(one.score, _DIGITS) for one in scored]
        if error:
            tags.append({"reward_error": error})
        elif isinstance(record, Pair):
            chosen, rejected = numbers
            margin = round(chosen - rejected, _DIGITS)
            tags.append({"chosen_reward": chosen, "rejected_reward": rejected, "margin": margin})
        else:
            tags.append({"reward": numbers[0]})
    return tags


def _answers(record: Record) -> list[tuple[Sequence[Message], str]]:
    """Prompt and text of the answers in a record.

    Raises:
        DataError: it has none.
    """
    if isinstance(record, Attempt):
        return [(record.messages, record.text)]
    if isinstance(record, Example) and record.completion:
        *before, last = record.completion
        return [([*record.prompt, *before], last["content"])]
    if isinstance(record, Pair) and record.chosen and record.rejected:
        sides = (record.chosen, record.rejected)
        return [([*record.prompt, *side[:-1]], side[-1]["content"]) for side in sides]
    raise DataError(
        f"the record {record.id} ({type(record).__name__.lower()}) has no answer that a scorer could score. "
        "Tag attempts, examples or pairs."
    )
