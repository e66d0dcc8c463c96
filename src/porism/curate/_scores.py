"""Rewards as tags: what a reward model or a verifier says of the answers in records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from porism.curate._export_rows import exchange
from porism.curate._text import LONGEST
from porism.graders import scorer_of
from porism.records import Message, Record

__all__ = ["rewards"]

_DIGITS = 6


def rewards(scorer: str, records: Sequence[Record]) -> list[dict[str, Any]]:
    """The tags of each record: ``reward``; of a pair also ``reward_difference``, chosen less rejected.

    A record without an answer has none. Where an answer cannot be scored, because the model's template refuses the
    turns or because it is no text, ``reward_error`` says so.

    Args:
        scorer: a reward model or verifier.
        records: of any kind; their answers are scored together.

    Raises:
        ModelError: the scorer cannot be loaded, or gives no score.
    """
    asked = [_answers(record) for record in records]
    found = iter(scorer_of(scorer).scored([one for answers in asked for one in answers]))
    tags: list[dict[str, Any]] = []
    for answers in asked:
        scored = [next(found) for _ in answers]
        error = next((one.error for one in scored if one.error), "")
        if error:
            tags.append({"reward_error": error})
            continue
        tag = {"reward": round(scored[0].score, _DIGITS)} if scored else {}
        if len(scored) > 1:
            tag["reward_difference"] = round(scored[0].score - scored[1].score, _DIGITS)
        tags.append(tag)
    return tags


def _answers(record: Record) -> list[tuple[Sequence[Message], str]]:
    """Prompt and text of the answers in a record; of a pair the chosen one first."""
    try:
        found = exchange(record)
    except ValueError:
        return []
    sides = [side for side in (found.completion, found.rejected) if side]
    return [([*found.prompt, *side[:-1]], side[-1]["content"][:LONGEST]) for side in sides] if found.completion else []
