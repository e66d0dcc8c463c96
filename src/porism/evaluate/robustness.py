"""How much of an accuracy is left when problems are changed, and how it spreads over instances of one template.

A changed problem says in ``meta.of`` from which it was made and in ``meta.change`` how (``problems perturb``). It is
held against the attempts at that problem, which is the independent unit.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from porism.evaluate.clusters import bootstrap, clustered_mean, totals
from porism.evaluate.statistics import Interval, mean_interval, paired_difference, wilson
from porism.evaluate.tries import is_right
from porism.records import Attempt

__all__ = ["Drop", "Spread", "drops", "relative_drop", "spread"]

_NAN = Interval(math.nan, math.nan, math.nan)


class Drop(NamedTuple):
    """What a change of problems does to accuracy."""

    problems: int
    """Originals with attempts at both."""
    original: Interval
    """Accuracy at those problems as they were."""
    changed: Interval
    difference: Interval
    """Changed minus original."""
    relative: Interval
    """1 − changed / original: 0 where nothing is lost, 1 where all is. Negative where the changed ones are easier."""


class Spread(NamedTuple):
    """Accuracy over sets that hold one instance of each template."""

    templates: int
    sets: int
    """How many such sets there are: the fewest instances that a template has."""
    mean: float
    deviation: float
    """Standard deviation of the sets' accuracies; NaN for one set."""
    low: float
    """The worst set's accuracy."""
    high: float
    all_right: Interval
    """The share of templates of which every instance was right in every attempt."""


def drops(attempts: Sequence[Attempt]) -> dict[str, Drop]:
    """Of each set of changed problems the drop against the originals, where there are attempts at these.

    Args:
        attempts: graded, at originals and changed problems together.
    """
    by_problem: dict[str, list[Attempt]] = defaultdict(list)
    changed: dict[str, list[Attempt]] = defaultdict(list)
    for one in attempts:
        by_problem[one.problem.id].append(one)
        if "of" in one.problem.meta:
            changed[one.problem.set].append(one)
    return {name: found for name, some in changed.items() if (found := relative_drop(by_problem, some)).problems}


def relative_drop(originals: dict[str, list[Attempt]], changed: Sequence[Attempt]) -> Drop:
    """The drop from originals to changed problems, with intervals from whole originals drawn with replacement.

    The relative drop is GSM-Plus's performance drop rate (Li et al., 2024, arXiv:2402.19255).

    Args:
        originals: attempts by their problem's id.
        changed: attempts at problems made from these; others are left out.
    """
    rows: dict[str, list[float]] = {}
    variants: dict[str, list[bool]] = defaultdict(list)
    for one in changed:
        variants[str(one.problem.meta["of"])].append(is_right(one))
    for name, right in variants.items():
        tries = originals.get(name, [])
        if tries:
            shares = sum(map(is_right, tries)) / len(tries), sum(right) / len(right)
            rows[name] = [*shares, 1.0]
    if not rows:
        return Drop(0, _NAN, _NAN, _NAN, _NAN)
    sums = totals(list(rows.values()), list(rows))

    def lost(total: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(total[:, 0] > 0, 1 - total[:, 1] / total[:, 0], np.nan)

    return Drop(
        len(rows),
        _share([row[0] for row in rows.values()]),
        _share([row[1] for row in rows.values()]),
        _difference([(row[0], row[1]) for row in rows.values()]),
        bootstrap(sums, lost),
    )


def _share(shares: Sequence[float]) -> Interval:
    """Wilson's interval for one attempt each, else that of the mean."""
    if all(share in (0.0, 1.0) for share in shares):
        return wilson(round(sum(shares)), len(shares))
    return mean_interval(shares)


def _difference(pairs: Sequence[tuple[float, float]]) -> Interval:
    """Changed minus original: Newcombe's interval for one attempt each, else that of the mean of the differences."""
    if all(share in (0.0, 1.0) for pair in pairs for share in pair):
        counts = Counter(pairs)
        return paired_difference(counts[1.0, 1.0], counts[1.0, 0.0], counts[0.0, 1.0], counts[0.0, 0.0])
    return clustered_mean([after - before for before, after in pairs], range(len(pairs)))


def _template(attempt: Attempt) -> str:
    """What a problem is an instance of; empty where that is not known. A subject or a task is no template."""
    problem = attempt.problem
    return str(problem.meta["of"]) if "of" in problem.meta else problem.group if "/" in problem.group else ""


def spread(attempts: Sequence[Attempt]) -> Spread | None:
    """How accuracy spreads over instances of the same templates; None where no template has two instances.

    Mirzadeh et al., 2024, arXiv:2410.05229 (GSM-Symbolic): the i-th instance of every template makes the i-th set.

    Args:
        attempts: graded. A template is the original of changed problems, or a group such as ``gsm_symbolic/7``; those
            with one instance are left out.
    """
    instances: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for one in attempts:
        instances[_template(one)][one.problem.id].append(is_right(one))
    several = {name: list(some.values()) for name, some in instances.items() if len(some) > 1 and name}
    if not several:
        return None
    shares = [[sum(tries) / len(tries) for tries in some] for some in several.values()]
    count = min(map(len, shares))
    sets = [math.fsum(some[number] for some in shares) / len(shares) for number in range(count)]
    whole = [float(min(some) == 1) for some in shares]
    return Spread(
        len(shares),
        count,
        math.fsum(sets) / count,
        float(np.std(sets, ddof=1)) if count > 1 else math.nan,
        min(sets),
        max(sets),
        clustered_mean(whole, range(len(whole))),
    )
