"""DPO with log-ratios divided by the answers' lengths, so that long answers do not weigh more.

Lambert et al., 2024, arXiv:2411.15124 (Tülu 3), equation 6.
"""

from __future__ import annotations

import torch
from torch.nn import functional

from porism.losses.preferences import Pairs

__all__ = ["loss"]


def loss(pairs: Pairs, *, beta: float) -> torch.Tensor:
    """−log σ(β · difference of the log-ratios a token): [B].

    Args:
        pairs: log-probabilities.
        beta: strength of the tie to the reference; larger than plain DPO's (2 to 5), since ratios are a token's.
    """
    return -functional.logsigmoid(beta * pairs.difference_by_token)
