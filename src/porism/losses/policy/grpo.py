"""Group-relative policy optimisation: an answer is as good as it is better than the others to its problem.

Shao et al., 2024, arXiv:2402.03300. ``scale none`` with ``average constant`` is Dr. GRPO (Liu et al., 2025,
arXiv:2503.20783), which takes out two biases: that tokens of short right answers and of short wrong ones count more,
and that problems count more which are nearly always or nearly never solved. ``clip_high 0.28`` with ``average token``
is DAPO's loss (Yu et al., 2025, arXiv:2503.14476).
"""

from __future__ import annotations

from typing import Literal

from porism.losses.policy import (
    Average,
    Estimates,
    Minimised,
    Rollouts,
    Tokens,
    _groups,
    after_penalty,
    spread,
    surrogate,
)

__all__ = ["advantages", "loss"]

_LEAST = 1e-4
"""Added to a deviation before it divides, as in TRL."""


def advantages(rollouts: Rollouts, *, scale: Literal["group", "batch", "none"] = "group") -> Estimates:
    """Reward minus the group's mean, divided by a standard deviation: [N].

    Args:
        rollouts: with rewards; the penalty is taken off as a whole.
        scale: divide by the deviation of the ``group`` or of the whole ``batch``, or by nothing.
    """
    rewards = after_penalty(rollouts)
    found = rewards - _groups.mean(rewards, rollouts.group)
    if scale == "group":
        found = found / (_groups.deviation(rewards, rollouts.group) + _LEAST)
    elif scale == "batch":
        found = found / (_groups.overall(rewards)[1] + _LEAST)
    return Estimates(spread(found, rollouts.answer))


def loss(
    tokens: Tokens,
    *,
    clip_low: float = 0.2,
    clip_high: float = 0.2,
    average: Average = "answer",
    max_tokens: int = 256,
) -> Minimised:
    """The clipped objective of every token, and the divergence where it belongs to the loss.

    Args:
        tokens: the micro-batch.
        clip_low: see :func:`porism.losses.policy.clipped`.
        clip_high: see there.
        average: see :func:`porism.losses.policy.averaged`.
        max_tokens: longest answer, for ``average constant``.
    """
    return surrogate(tokens.logps - tokens.old, tokens, (clip_low, clip_high), average, max_tokens)
