"""Simple preference optimisation: mean log-probabilities as rewards, a target margin, no reference.

Meng et al., 2024, arXiv:2405.14734, equation 6.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from porism.losses.preferences import Pairs

__all__ = ["REFERENCE", "loss"]

REFERENCE = False


def loss(pairs: Pairs, *, beta: float, gamma: float) -> torch.Tensor:
    """−log σ(β · difference of the mean log-probabilities − γ): [B].

    Args:
        pairs: log-probabilities; the reference's are not used.
        beta: scale of the rewards (the paper: 2 to 2.5).
        gamma: the margin that is aimed at.
    """
    difference = pairs.chosen / pairs.chosen_tokens - pairs.rejected / pairs.rejected_tokens
    return -functional.logsigmoid(beta * difference - gamma)
