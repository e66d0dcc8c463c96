"""Odds-ratio preference optimisation: supervised learning and preference in one, no reference.

Hong et al., 2024, arXiv:2403.07691, equations 6 and 7. Its cross-entropy is that of the chosen answers' tokens; TRL's
trainer counts the prompts' tokens too.
"""

from __future__ import annotations

import math

import torch
from torch.nn import functional

from porism.losses.preferences import Pairs

__all__ = ["REFERENCE", "SFT_WEIGHT", "loss"]

REFERENCE = False
SFT_WEIGHT = 1.0


def loss(pairs: Pairs, *, beta: float) -> torch.Tensor:
    """−β · log σ(log odds(chosen) − log odds(rejected)), with probabilities of the mean token: [B].

    Args:
        pairs: log-probabilities; the reference's are not used.
        beta: weight of the odds ratio (the paper's λ).
    """
    chosen, rejected = pairs.chosen / pairs.chosen_tokens, pairs.rejected / pairs.rejected_tokens
    log_odds = (chosen - rejected) - (_log1mexp(chosen) - _log1mexp(rejected))
    return -beta * functional.logsigmoid(log_odds)


def _log1mexp(value: torch.Tensor) -> torch.Tensor:
    """log(1 − exp(value)) for negative values, without cancellation on either side of −log 2."""
    return torch.where(value < -math.log(2), torch.log1p(-torch.exp(value)), torch.log(-torch.expm1(value)))
