"""Group sequence policy optimisation: GRPO whose ratio is that of the whole answer, not of each token.

Zheng et al., 2025, arXiv:2507.18071, equations 5 and 7. The paper's bounds are far narrower than GRPO's: ``clip_low``
3e-4 and ``clip_high`` 4e-4.
"""

from __future__ import annotations

from porism.losses.policy import Average, Minimised, Tokens, grpo, summed, surrogate

__all__ = ["advantages", "loss"]

advantages = grpo.advantages


def loss(
    tokens: Tokens,
    *,
    clip_low: float = 3e-4,
    clip_high: float = 4e-4,
    average: Average = "answer",
    max_tokens: int = 256,
) -> Minimised:
    """The clipped objective of every answer: its ratio is the geometric mean of its tokens' ratios.

    Args:
        tokens: the micro-batch.
        clip_low: see :func:`porism.losses.policy.clipped`.
        clip_high: see there.
        average: see :func:`porism.losses.policy.averaged`.
        max_tokens: longest answer, for ``average constant``.
    """
    log_ratio_A = summed(tokens.logps - tokens.old, tokens.answer, len(tokens.lengths)) / tokens.lengths
    return surrogate(log_ratio_A[tokens.answer], tokens, (clip_low, clip_high), average, max_tokens)
