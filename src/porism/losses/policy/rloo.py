"""REINFORCE with the mean reward of the other answers as its baseline (leave one out).

Ahmadian et al., 2024, arXiv:2402.14740. The divergence from the reference is taken off the reward of the whole answer,
and the ratio is that of the whole answer.
"""

from __future__ import annotations

from porism.losses.policy import Estimates, Minimised, Rollouts, Tokens, _groups, after_penalty, clipped, spread, summed

__all__ = ["KL", "advantages", "loss"]

KL = "reward"
_LEAST = 1e-4


def advantages(rollouts: Rollouts, *, normalise: bool = False) -> Estimates:
    """Reward minus the mean of the other answers' rewards: [N].

    Args:
        rollouts: with rewards; the penalty is taken off as a whole.
        normalise: make the advantages of the batch have mean 0 and deviation 1.
    """
    rewards = after_penalty(rollouts)
    found = rewards - _groups.without_own(rewards, rollouts.group)
    if normalise:
        mean, deviation = _groups.overall(found)
        found = (found - mean) / (deviation + _LEAST)
    return Estimates(spread(found, rollouts.answer))


def loss(tokens: Tokens, *, clip_low: float = 0.2, clip_high: float = 0.2) -> Minimised:
    """The clipped objective of every answer, with the ratio of the whole answer; the mean over answers.

    Args:
        tokens: the micro-batch; the advantage is the same at all tokens of an answer.
        clip_low: see :func:`porism.losses.policy.clipped`.
        clip_high: see there.
    """
    answers = len(tokens.lengths)
    log_ratio_A = summed(tokens.logps - tokens.old, tokens.answer, answers)
    advantages_A = summed(tokens.advantages, tokens.answer, answers) / tokens.lengths
    weights_A = summed(tokens.weights, tokens.answer, answers) / tokens.lengths
    each_A, cut_A = clipped(log_ratio_A, advantages_A, clip_low, clip_high)
    each_A = each_A * weights_A
    if tokens.divergence is not None:
        each_A = each_A + summed(tokens.divergence, tokens.answer, answers)
    return Minimised(each_A.sum() / tokens.answers, {"clipped": cut_A.sum() / tokens.answers})
