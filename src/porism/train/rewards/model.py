"""A reward model's number, as ``porism train reward`` makes them."""

from __future__ import annotations

from collections.abc import Sequence

from porism.errors import RecipeError
from porism.graders import scorer_of
from porism.records import Attempt

__all__ = ["reward"]


def reward(
    attempts: Sequence[Attempt], *, scorer: str = "", reward_scale: float = 1.0, reward_clip: float = 0.0
) -> list[float | None]:
    """The score of each attempt; nothing for one that the engine failed on, or that cannot be scored.

    Args:
        attempts: the answers; those to one prompt share its computation.
        scorer: a folder, an alias, or a training stage's output.
        reward_scale: scores are multiplied by it.
        reward_clip: and then cut to plus and minus this; 0 for no limit.

    Raises:
        RecipeError: ``scorer`` is not set.
        ModelError: it cannot be loaded, or gives no score.
    """
    if not scorer:
        raise RecipeError("rewards: 'model' needs scorer: a folder that 'porism train reward' wrote.")
    places = [at for at, one in enumerate(attempts) if one.finish != "error"]
    found = scorer_of(scorer).scored([(attempts[at].messages, attempts[at].text) for at in places])
    scores: list[float | None] = [None] * len(attempts)
    for at, told in zip(places, found, strict=True):
        if not told.error:
            worth = told.score * reward_scale
            scores[at] = max(-reward_clip, min(reward_clip, worth)) if reward_clip else worth
    return scores
