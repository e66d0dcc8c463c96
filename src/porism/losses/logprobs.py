"""Log-probabilities of chosen tokens from hidden states, without keeping the scores of the whole vocabulary.

The scores are made in chunks of positions. What the backward pass needs of them is kept where it is small, and computed
again where it is not, so that memory does not grow with positions times vocabulary.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch.autograd.function import once_differentiable
from torch.nn import functional

__all__ = ["chunks", "selected", "token_logprobs"]

_CHUNK = 2**26
"""Bytes of float32 scores that are made at once."""
_KEPT = 2**28
"""Most bytes of scores that are kept for the backward pass."""


def chunks(positions: int, vocabulary: int) -> Iterator[slice]:
    """The positions in parts whose scores in float32 take at most 64 MB."""
    rows = max(1, _CHUNK // (4 * vocabulary))
    for start in range(0, positions, rows):
        yield slice(start, min(start + rows, positions))


def token_logprobs(
    hidden_N_H: torch.Tensor, weight_V_H: torch.Tensor, targets_N: torch.Tensor, dtype: torch.dtype | None = None
) -> torch.Tensor:
    """Log-probability of the target at every position, [N] in float32, in nats.

    Args:
        hidden_N_H: what the last layer's norm gives.
        weight_V_H: the output embeddings.
        targets_N: the token that came next.
        dtype: to multiply in; that of the hidden states if not given. The softmax is always float32.
    """
    found: torch.Tensor = _TokenLogProbs.apply(  # type: ignore[no-untyped-call]
        hidden_N_H, weight_V_H, targets_N, dtype or hidden_N_H.dtype
    )
    return found


def selected(logits_N_V: torch.Tensor, targets_N: torch.Tensor) -> torch.Tensor:
    """The same from scores that are there already."""
    return -functional.cross_entropy(logits_N_V.float(), targets_N, reduction="none")


class _TokenLogProbs(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden: torch.Tensor, weight: torch.Tensor, targets: torch.Tensor, dtype: torch.dtype
    ) -> torch.Tensor:
        positions, vocabulary = len(targets), weight.shape[0]
        narrow, head = hidden.to(dtype), weight.to(dtype)
        needed = ctx.needs_input_grad[0] or ctx.needs_input_grad[1]
        keep = needed and 4 * positions * vocabulary <= _KEPT
        found = hidden.new_empty(positions, dtype=torch.float32)
        kept = []
        for part in chunks(positions, vocabulary):
            logs = torch.log_softmax((narrow[part] @ head.T).float(), dim=-1)
            found[part] = logs.gather(-1, targets[part, None])[:, 0]
            if keep:
                kept.append(logs)
        ctx.save_for_backward(hidden, weight, targets)
        ctx.dtype, ctx.kept = dtype, kept
        return found

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor | None, torch.Tensor | None, None, None]:
        hidden, weight, targets = ctx.saved_tensors
        for_hidden, for_weight, *_ = ctx.needs_input_grad
        narrow, head = hidden.to(ctx.dtype), weight.to(ctx.dtype)
        kept, ctx.kept = ctx.kept, []
        to_hidden = torch.empty_like(narrow) if for_hidden else None
        to_weight = torch.zeros_like(weight) if for_weight else None
        for number, part in enumerate(chunks(len(targets), weight.shape[0])):
            logs = kept[number] if kept else torch.log_softmax((narrow[part] @ head.T).float(), dim=-1)
            scores = logs.exp_().mul_(-gradient[part, None])
            scores.scatter_add_(-1, targets[part, None], gradient[part, None])
            scores = scores.to(ctx.dtype)
            if kept:
                kept[number] = None
            if to_hidden is not None:
                torch.mm(scores, head, out=to_hidden[part])
            if to_weight is not None:
                to_weight.add_(scores.T @ narrow[part])
        return None if to_hidden is None else to_hidden.to(hidden.dtype), to_weight, None, None
