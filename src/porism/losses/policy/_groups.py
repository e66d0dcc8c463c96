"""Means and deviations of the rewards of one problem's answers; an answer without a reward has no part in them.

Sums are of what exceeds the group's least reward: where all rewards are equal the mean is that very number, so that
nothing is left of an advantage, not even a rounding error, which an optimiser that scales its steps would learn from.
"""

from __future__ import annotations

import torch

__all__ = ["deviation", "mean", "overall", "without_own"]


def mean(rewards_A: torch.Tensor, group_A: torch.Tensor) -> torch.Tensor:
    """The mean reward of each answer's group: [A]; NaN where no answer of a group has one."""
    least_A = _least(rewards_A, group_A)
    total, count = _sums(rewards_A - least_A, group_A)
    return least_A + (total / count)[group_A]


def deviation(rewards_A: torch.Tensor, group_A: torch.Tensor) -> torch.Tensor:
    """The standard deviation within each answer's group, with n − 1: [A]; NaN where fewer than two have a reward."""
    away = (rewards_A - mean(rewards_A, group_A)) ** 2
    total, count = _sums(away, group_A)
    return torch.where(count > 1, total / (count - 1), torch.nan).sqrt()[group_A]


def without_own(rewards_A: torch.Tensor, group_A: torch.Tensor) -> torch.Tensor:
    """The mean reward of the other answers of each answer's group: [A]; NaN where there is no other."""
    least_A = _least(rewards_A, group_A)
    above_A = rewards_A - least_A
    total, count = _sums(above_A, group_A)
    return least_A + (total[group_A] - above_A) / (count[group_A] - 1)


def overall(rewards_A: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation (with n − 1) of all that have a reward; the deviation of fewer than two is 0."""
    there = rewards_A[~torch.isnan(rewards_A)]
    return there.mean(), there.std() if len(there) > 1 else there.new_zeros(())


def _count(group_A: torch.Tensor) -> int:
    return int(group_A.max()) + 1 if len(group_A) else 0


def _least(rewards_A: torch.Tensor, group_A: torch.Tensor) -> torch.Tensor:
    """The least reward of each answer's group: [A]; infinite where no answer of a group has one."""
    none = rewards_A.new_full((_count(group_A),), torch.inf)
    return none.scatter_reduce(0, group_A, torch.where(torch.isnan(rewards_A), torch.inf, rewards_A), "amin")[group_A]


def _sums(values_A: torch.Tensor, group_A: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Sum and count of each group's numbers, without NaN."""
    groups = _count(group_A)
    there = ~torch.isnan(values_A)
    total = values_A.new_zeros(groups).index_add(0, group_A, torch.nan_to_num(values_A, nan=0.0))
    return total, values_A.new_zeros(groups).index_add(0, group_A, there.to(values_A.dtype))
