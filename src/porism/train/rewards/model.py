"""A reward model's number, as ``porism train reward`` makes them."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from porism.errors import RecipeError
from porism.graders import Scorer
from porism.records import Attempt

__all__ = ["reward"]


def reward(
    attempts: Sequence[Attempt], *, reward_model: str = "", reward_scale: float = 1.0, reward_clip: float = 0.0
) -> list[float | None]:
    """The score of each attempt; nothing for one that the engine failed on.

    Args:
        attempts: the answers to one prompt stand together, and share its computation.
        reward_model: a folder, an alias, or a training stage's output.
        reward_scale: scores are multiplied by it.
        reward_clip: and then cut to plus and minus this; 0 for no limit.

    Raises:
        RecipeError: ``reward_model`` is not set.
        ModelError: it cannot be loaded, or gives no score.
    """
    if not reward_model:
        raise RecipeError("rewards: 'model' needs reward_model: a folder that 'porism train reward' wrote.")
    scorer = _scorer(reward_model)
    scores: list[float | None] = [None] * len(attempts)
    start = 0
    while start < len(attempts):
        end = start
        while end < len(attempts) and list(attempts[end].messages) == list(attempts[start].messages):
            end += 1
        places = [at for at in range(start, end) if attempts[at].finish != "error"]
        if places:
            told = scorer.score(attempts[start].messages, [attempts[at].text for at in places])
            for at, score in zip(places, told, strict=True):
                worth = score * reward_scale
                scores[at] = max(-reward_clip, min(reward_clip, worth)) if reward_clip else worth
        start = end
    return scores


@functools.lru_cache(maxsize=2)
def _scorer(model: str) -> Scorer:
    return Scorer(model)
