"""Problems of several sets in one: shares by quota, or by the sets' sizes at a temperature.

At temperature T a set of n problems has a share in proportion to n to the power 1/T (as T5 mixes its tasks: Raffel et
al., 2020, arXiv:1910.10683): 1 takes them as they are, and the higher T, the more alike the shares become. No problem
is taken twice; what a small set cannot give is taken from the others.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from porism.errors import RecipeError, nearest
from porism.mixture import allocate, tempered
from porism.records import Problem

__all__ = ["fused"]


def fused(
    problems: Sequence[Problem], total: int | None, quotas: Mapping[str, float], temperature: float, seed: int
) -> list[Problem]:
    """The problems that are taken, in their order.

    Args:
        problems: of any sets.
        total: how many in all; None for as many as the weights allow without leaving their proportion.
        quotas: set → its weight, 0 for those not named; by size where there are none.
        temperature: of the shares by size.
        seed: of the draw within each set.

    Raises:
        RecipeError: a quota names a set that is not there, or is no weight.
    """
    sets: dict[str, list[int]] = {}
    for at, problem in enumerate(problems):
        sets.setdefault(problem.set or problem.source, []).append(at)
    for name, weight in quotas.items():
        if name not in sets:
            raise RecipeError(f"quotas: no set {name!r} in the input.{nearest(name, sets)} Sets: {', '.join(sets)}.")
        if not 0 <= weight < float("inf"):
            raise RecipeError(f"quotas: expected a weight of at least 0 for {name!r}, got {weight!r}.")
    if quotas and not any(quotas.values()):
        raise RecipeError("quotas: expected a weight above 0 for at least one set.")
    sizes = [len(found) for found in sets.values()]
    weights = [quotas.get(name, 0.0) for name in sets] if quotas else tempered(sizes, temperature)
    taken: set[int] = set()
    for name, count in zip(sets, allocate(sizes, weights, total or 0), strict=True):
        taken.update(random.Random(f"{seed}/{name}").sample(sets[name], count))
    return [problem for at, problem in enumerate(problems) if at in taken]
