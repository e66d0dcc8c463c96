"""Problems of several sets in one: shares by quota, or by the sets' sizes at a temperature.

At temperature T a set of n problems has a share in proportion to n to the power 1/T (as T5 mixes its tasks: Raffel et
al., 2020, arXiv:1910.10683): 1 takes them as they are, and the higher T, the more alike the shares become. No problem
is taken twice; what a small set cannot give is taken from the others.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

from porism.errors import RecipeError, nearest
from porism.records import Problem

__all__ = ["fused", "shares"]


def fused(
    problems: Sequence[Problem], total: int | None, quotas: Mapping[str, float], temperature: float, seed: int
) -> list[Problem]:
    """The problems that are taken, in their order.

    Args:
        problems: of any sets.
        total: how many in all; all if None.
        quotas: set → its weight, 0 for those not named; by size where there are none.
        temperature: of the shares by size.
        seed: of the draw within each set.

    Raises:
        RecipeError: a quota names a set that is not there.
    """
    sets: dict[str, list[int]] = {}
    for at, problem in enumerate(problems):
        sets.setdefault(problem.set or problem.source, []).append(at)
    for name in quotas:
        if name not in sets:
            raise RecipeError(f"quotas: no set {name!r} in the input.{nearest(name, sets)} Sets: {', '.join(sets)}.")
    weights = {name: quotas.get(name, 0.0) if quotas else len(sets[name]) ** (1 / temperature) for name in sets}
    counts = shares({name: len(found) for name, found in sets.items()}, weights, total)
    taken: set[int] = set()
    for name, count in counts.items():
        taken.update(random.Random(f"{seed}/{name}").sample(sets[name], count))
    return [problem for at, problem in enumerate(problems) if at in taken]


def shares(sizes: Mapping[str, int], weights: Mapping[str, float], total: int | None) -> dict[str, int]:
    """How many of each set are taken.

    Args:
        sizes: set → how many there are.
        weights: set → its weight.
        total: how many in all; None for as many as the weights allow without leaving their proportion.

    >>> shares({"a": 100, "b": 10}, {"a": 1, "b": 1}, 50)
    {'a': 40, 'b': 10}
    >>> shares({"a": 100, "b": 10}, {"a": 2, "b": 1}, None)
    {'a': 20, 'b': 10}
    """
    wanted = {name: weight for name, weight in weights.items() if weight > 0 and sizes[name]}
    if total is None:
        scale = min((sizes[name] / weight for name, weight in wanted.items()), default=0.0)
        return {name: min(sizes[name], round(scale * wanted.get(name, 0.0))) for name in sizes}
    counts = dict.fromkeys(sizes, 0)
    left = min(total, sum(sizes[name] for name in wanted))
    while left:
        open_ = {name: weight for name, weight in wanted.items() if counts[name] < sizes[name]}
        sum_ = sum(open_.values())
        exact = {name: left * weight / sum_ for name, weight in open_.items()}
        whole = {name: min(int(exact[name]), sizes[name] - counts[name]) for name in open_}
        if not any(whole.values()):
            for name in sorted(open_, key=lambda name: (-exact[name], name))[:left]:
                whole[name] = 1
        for name, count in whole.items():
            counts[name] += count
            left -= count
    return counts
