"""``porism eval --power``: what a benchmark will be able to show, as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import cast

from porism import store
from porism.errors import RecipeError
from porism.evaluate import tables
from porism.evaluate.power import Design, plan
from porism.records import Problem

__all__ = ["show"]

_ACCURACIES = (0.1, 0.3, 0.5, 0.7, 0.9)


def show(
    *,
    problems: int,
    paths: Sequence[str],
    accuracies: Sequence[float],
    correlation: float,
    samples: int,
    cluster_correlation: float,
    gain: float,
    alpha: float,
    comparisons: int,
    chance: float,
) -> None:
    """Print a row for each accuracy.

    Args:
        problems: how many; or 0 and ``paths``.
        paths: files of problems.
        accuracies: of the models; five from 10 to 90 % if there is none.
        correlation: of two models' answers.
        samples: attempts at each problem.
        cluster_correlation: of answers to problems of one group.
        gain: a difference to be found; 0 for none.
        alpha: level of the test.
        comparisons: at once; the level is divided by their number, as Holm's first step does.
        chance: power.

    Raises:
        RecipeError: neither problems nor files are given, or both, or a share is not between 0 and 1.
        DataError: a file has none.
    """
    if bool(problems) == bool(paths):
        raise RecipeError("--power: expected either --problems, how many there are, or --input, a file of them.")
    for name, value in (*(("accuracy", one) for one in accuracies), ("alpha", alpha), ("chance", chance)):
        if not 0 < value < 1:
            raise RecipeError(f"--power: {name}: expected a share between 0 and 1, got {value:g}.")
    size = 1.0
    if paths:
        groups = Counter(
            (one.set, one.group or one.id)
            for path in paths
            for one in (cast("Problem", record) for record in store.read(path, Problem))
        )
        problems = groups.total()
        # the mean size that a problem's own cluster has (Kish, 1965)
        size = sum(count**2 for count in groups.values()) / problems if problems else 1.0
    designs = [
        Design(
            accuracy=one,
            correlation=correlation,
            samples=samples,
            alpha=alpha / comparisons,
            power=chance,
            cluster_size=size,
            cluster_correlation=cluster_correlation,
        )
        for one in accuracies or _ACCURACIES
    ]
    tables.show_power(plan(problems, designs, gain or None))
    print(
        f"\nIn percentage points: a difference between two models is found with a chance of {chance:.0%} at the level "
        f"{alpha:g}{f'/{comparisons}' if comparisons > 1 else ''}."
    )
