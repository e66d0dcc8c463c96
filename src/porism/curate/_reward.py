"""The reward of an answer, by a reward model or a verifier."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from porism.curate._export_rows import exchange
from porism.curate._text import LONGEST
from porism.errors import ModelError, RecipeError
from porism.graders import Scorer
from porism.records import Record

__all__ = ["rewards"]


def rewards(model: str) -> Callable[[Record], dict[str, Any]]:
    """What scores a record's answer: ``reward``; of a pair also ``reward_difference``, chosen less rejected.

    A record without an answer has no reward; where the model's template refuses the turns, ``reward_error`` says so.

    Args:
        model: a folder that ``porism train reward`` or ``verifier`` wrote, or another classifier with one label.

    Raises:
        RecipeError: none is named.
        ModelError: it cannot be loaded, or gives no score.
    """
    if not model:
        raise RecipeError("curate tag: a reward is given by a reward model. Set reward_model, or ask a judge for it.")
    scorer = Scorer(model)

    def scored(record: Record) -> dict[str, Any]:
        try:
            found = exchange(record)
        except ValueError:
            return {}
        if not found.completion:
            return {}
        prompt = [*found.prompt, *found.completion[:-1]]
        answers = [turns[-1]["content"][:LONGEST] for turns in (found.completion, found.rejected) if turns]
        try:
            scores = scorer.score(prompt, answers)
        except ModelError as error:
            return {"reward_error": str(error)[:200]}
        more = {"reward_difference": round(scores[0] - scores[1], 6)} if len(scores) > 1 else {}
        return {"reward": round(scores[0], 6), **more}

    return scored
