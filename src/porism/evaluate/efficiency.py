"""What answers cost: tokens, truncation, what a smaller budget would have given, and seconds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from porism.evaluate.clusters import bootstrap, clustered_mean, resampled, totals
from porism.evaluate.statistics import Interval, mean_interval
from porism.evaluate.tries import by_problem, is_right
from porism.records import Attempt

__all__ = ["accuracy_within", "latency", "tokens_per_answer", "tokens_per_correct", "truncated"]


def tokens_per_answer(attempts: Sequence[Attempt]) -> Interval:
    """The mean number of tokens of an attempt; problems are the independent units."""
    return clustered_mean([one.completion_tokens for one in attempts], [one.problem.id for one in attempts])


def tokens_per_correct(attempts: Sequence[Attempt]) -> Interval:
    """All tokens for each correct attempt, with the bootstrap's interval over problems; NaN where none is correct."""
    sums = totals(
        [[one.completion_tokens, float(is_right(one))] for one in attempts], [one.problem.id for one in attempts]
    )

    def ratio(total: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(total[:, 1] > 0, total[:, 0] / total[:, 1], np.nan)

    return bootstrap(sums, ratio) if attempts else Interval(math.nan, math.nan, math.nan)


def truncated(attempts: Sequence[Attempt]) -> Interval:
    """The share of attempts that the token limit cut off, whether or not they had stated an answer before."""
    return _share(attempts, [one.finish == "length" for one in attempts])


def accuracy_within(attempts: Sequence[Attempt], budget: int) -> Interval:
    """The share of attempts that are correct and took at most ``budget`` tokens.

    A text is not graded anew as if it had been cut there: an attempt over the budget counts as not answered (Snell et
    al., 2024, arXiv:2408.03314, compare at equal budgets so).
    """
    return _share(attempts, [is_right(one) and one.completion_tokens <= budget for one in attempts])


def _share(attempts: Sequence[Attempt], true: Sequence[bool]) -> Interval:
    """The mean over problems of the share of their attempts."""
    known = {id(one): value for one, value in zip(attempts, true, strict=True)}
    tries = by_problem(attempts).values()
    return mean_interval([sum(known[id(one)] for one in tried) / len(tried) for tried in tries])


def latency(attempts: Sequence[Attempt], quantile: float) -> Interval:
    """A quantile of the seconds that answers took, with the bootstrap's interval.

    Args:
        attempts: those without ``meta.seconds`` are left out; only engines that answer request by request tell it.
        quantile: such as 0.5 or 0.95.

    Returns:
        NaN where no attempt tells.
    """
    found = sorted(float(one.meta["seconds"]) for one in attempts if isinstance(one.meta.get("seconds"), int | float))
    seconds = np.asarray(found)

    def at(weights: Any) -> Any:
        seen = np.cumsum(weights, axis=1)
        return seconds[np.argmax(seen >= quantile * seen[:, -1:] - 1e-9, axis=1)]

    return resampled(len(found), at, resamples=1000)
