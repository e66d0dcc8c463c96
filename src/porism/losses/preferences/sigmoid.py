"""Direct preference optimisation. Rafailov et al., 2023, arXiv:2305.18290, equation 7."""

from __future__ import annotations

import torch
from torch.nn import functional

from porism.losses.preferences import Pairs

__all__ = ["loss"]


def loss(pairs: Pairs, *, beta: float) -> torch.Tensor:
    """−log σ(β · difference of the log-ratios): [B].

    Args:
        pairs: log-probabilities.
        beta: strength of the tie to the reference.
    """
    return -functional.logsigmoid(beta * pairs.difference)
