"""Policy-gradient algorithms, one a file: how rewards become advantages, and what is minimised.

A module has ``advantages(rollouts, …) -> Estimates`` and ``loss(tokens, …) -> Minimised``. Their keyword-only
parameters are settings of ``porism train rl``. A module says ``CRITIC = True`` where it needs a value of every token,
and ``KL = "reward"`` where the divergence from the reference is taken off the rewards unless a setting says otherwise.

Shapes: ``A`` answers, ``N`` their tokens one answer after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

import torch

__all__ = [
    "Average",
    "Estimates",
    "Minimised",
    "Rollouts",
    "Tokens",
    "after_penalty",
    "averaged",
    "clipped",
    "spread",
    "summed",
    "surrogate",
    "whitened",
]

Average = Literal["answer", "token", "constant"]

_LEAST = 1e-8
"""Added to a deviation before it divides."""


class Rollouts(NamedTuple):
    """The answers of one iteration, before anything is learnt from them."""

    rewards: torch.Tensor
    """[A]; NaN where there is none."""
    group: torch.Tensor
    """[A]: the problem that each answers, numbered from 0."""
    answer: torch.Tensor
    """[N]: the answer of each token, from 0 up."""
    penalty: torch.Tensor
    """[N]: what the divergence from the reference takes off the reward at each token; 0 where it does not."""
    values: torch.Tensor | None = None
    """[N]: what the critic expects from before each token on."""


class Estimates(NamedTuple):
    """What roll-outs are worth."""

    advantages: torch.Tensor
    """[N]; 0 where nothing is to be learnt."""
    returns: torch.Tensor | None = None
    """[N]: what the critic is to expect."""


class Tokens(NamedTuple):
    """The tokens of a micro-batch, with what the loss needs of them."""

    logps: torch.Tensor
    """[N], with a gradient."""
    old: torch.Tensor
    """[N]: the same before the iteration's first update."""
    advantages: torch.Tensor
    """[N]."""
    answer: torch.Tensor
    """[N]."""
    lengths: torch.Tensor
    """[A]: tokens of each answer."""
    answers: torch.Tensor
    """Answers in the whole optimiser step."""
    tokens: torch.Tensor
    """Tokens in the whole optimiser step."""
    weights: torch.Tensor
    """[N]: corrects for a sampler that was not quite the policy; 1 where it was."""
    divergence: torch.Tensor | None = None
    """[N]: from the reference, times its weight, where it belongs to the loss."""
    values: torch.Tensor | None = None
    """[N], with a gradient."""
    old_values: torch.Tensor | None = None
    returns: torch.Tensor | None = None


class Minimised(NamedTuple):
    """A loss, divided by a count of the whole optimiser step, so that micro-batches add up."""

    loss: torch.Tensor
    figures: Mapping[str, torch.Tensor] = {}
    """What else is logged, divided in the same way."""


def summed(each_N: torch.Tensor, answer_N: torch.Tensor, answers: int) -> torch.Tensor:
    """The sum over the tokens of each answer: [A]."""
    return each_N.new_zeros(answers).index_add(0, answer_N, each_N)


def spread(each_A: torch.Tensor, answer_N: torch.Tensor) -> torch.Tensor:
    """Each answer's number at all of its tokens, 0 where it is NaN: [N]."""
    return torch.nan_to_num(each_A, nan=0.0)[answer_N]


def after_penalty(rollouts: Rollouts) -> torch.Tensor:
    """Rewards minus what the divergence takes off over the whole answer: [A]."""
    return rollouts.rewards.index_add(0, rollouts.answer, -rollouts.penalty.to(rollouts.rewards))


def averaged(each_N: torch.Tensor, tokens: Tokens, average: Average, longest: int) -> torch.Tensor:
    """One number out of the losses of all tokens, the divergence added where it belongs to the loss.

    Args:
        each_N: the losses.
        tokens: the micro-batch, with the counts of the whole step.
        average: ``answer``: the mean over the tokens of each answer, then over answers (GRPO; favours short right
            answers and long wrong ones). ``token``: the mean over all tokens (DAPO, arXiv:2503.14476). ``constant``:
            divided by answers times the longest possible one, so that length has no say (Dr. GRPO, arXiv:2503.20783).
        longest: most tokens of an answer.
    """
    if tokens.divergence is not None:
        each_N = each_N + tokens.divergence
    if average == "token":
        return each_N.sum() / tokens.tokens
    if average == "constant":
        return each_N.sum() / (tokens.answers * longest)
    return (summed(each_N, tokens.answer, len(tokens.lengths)) / tokens.lengths).sum() / tokens.answers


def surrogate(
    log_ratio_N: torch.Tensor, tokens: Tokens, clip: tuple[float, float], average: Average, longest: int
) -> Minimised:
    """The clipped objective of every token, weighted for the sampler, as one number; and the share that was clipped.

    Args:
        log_ratio_N: log(policy / old policy) that each token counts with: its own, or its answer's.
        tokens: the micro-batch.
        clip: how far the ratio counts below and above 1; see :func:`clipped`.
        average: see :func:`averaged`.
        longest: most tokens of an answer.
    """
    each, cut = clipped(log_ratio_N, tokens.advantages, *clip)
    return Minimised(averaged(each * tokens.weights, tokens, average, longest), {"clipped": cut.sum() / tokens.tokens})


def whitened(each_N: torch.Tensor, judged_N: torch.Tensor) -> torch.Tensor:
    """Numbers made to have mean 0 and deviation 1 (with n − 1) over those that count; the others are 0.

    Args:
        each_N: such as advantages. Equal ones become 0, a single one stays.
        judged_N: which of them count.
    """
    there = each_N[judged_N]
    if len(there) > 1:
        # equal numbers and their mean may differ by a rounding error, which the deviation would blow up
        apart = (each_N - there.mean()) / (there.std() + _LEAST)
        each_N = apart if bool(there.max() > there.min()) else torch.zeros_like(each_N)
    return torch.where(judged_N, each_N, 0.0)


def clipped(
    log_ratio: torch.Tensor, advantages: torch.Tensor, clip_low: float, clip_high: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """PPO's clipped objective, to be minimised, and where it was clipped.

    Schulman et al., 2017, arXiv:1707.06347, equation 7; two bounds: DAPO, arXiv:2503.14476.

    Args:
        log_ratio: log(policy / old policy), of tokens or of answers.
        advantages: of the same shape.
        clip_low: the ratio counts down to 1 − this.
        clip_high: the ratio counts up to 1 + this.
    """
    ratio = torch.exp(log_ratio)
    inside = ratio.clamp(1 - clip_low, 1 + clip_high)
    low = (ratio < 1 - clip_low) & (advantages < 0)
    high = (ratio > 1 + clip_high) & (advantages > 0)
    return -torch.minimum(ratio * advantages, inside * advantages), low | high
