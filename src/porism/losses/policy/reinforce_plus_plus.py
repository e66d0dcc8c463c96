"""REINFORCE++: no critic, no groups needed; the divergence is taken off at every token, the advantages are whitened.

Hu et al., 2025, arXiv:2501.03262, equations 5 to 8. ``baseline`` takes the group's mean off first, as the paper does
for problems of reasoning (REINFORCE++-baseline).
"""

from __future__ import annotations

import torch

from porism.losses.policy import Average, Estimates, Minimised, Rollouts, Tokens, _groups, grpo, spread, whitened

__all__ = ["KL", "advantages", "loss"]

KL = "reward"


def advantages(rollouts: Rollouts, *, baseline: bool = True) -> Estimates:
    """The reward minus the divergence from each token on, made to have mean 0 and deviation 1 over the batch: [N].

    Args:
        rollouts: with rewards and penalties.
        baseline: take the mean reward of the group off first.
    """
    rewards = rollouts.rewards
    if baseline:
        rewards = rewards - _groups.mean(rewards, rollouts.group)
    judged = ~torch.isnan(rewards)[rollouts.answer]
    found = spread(rewards, rollouts.answer) - _from_here_on(rollouts)
    return Estimates(whitened(found, judged))


def loss(
    tokens: Tokens,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    average: Average = "token",
    max_tokens: int = 256,
) -> Minimised:
    """PPO's clipped objective of every token; see :func:`porism.losses.policy.grpo.loss`."""
    return grpo.loss(tokens, clip_low=clip_low, clip_high=clip_high, average=average, max_tokens=max_tokens)


def _from_here_on(rollouts: Rollouts) -> torch.Tensor:
    """The penalties of each token and of those after it in its answer: [N]."""
    lengths = torch.bincount(rollouts.answer, minlength=len(rollouts.rewards)).tolist()
    parts = torch.split(rollouts.penalty, lengths)
    return torch.cat([part.flip(0).cumsum(0).flip(0) for part in parts]) if parts else rollouts.penalty
