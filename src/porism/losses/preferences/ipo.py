"""Identity preference optimisation: a squared error, which does not push without bound.

Azar et al., 2023, arXiv:2310.12036, equation 17. As in TRL, log-ratios are divided by the answers' lengths, which the
paper's authors have confirmed.
"""

from __future__ import annotations

import torch

from porism.losses.preferences import Pairs

__all__ = ["loss"]


def loss(pairs: Pairs, *, beta: float) -> torch.Tensor:
    """(difference of the log-ratios a token − 1 / 2β)²: [B].

    Args:
        pairs: log-probabilities.
        beta: the paper's τ.
    """
    return (pairs.difference_by_token - 1 / (2 * beta)) ** 2
