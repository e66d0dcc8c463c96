"""Sequences laid end to end in one row, each attending to itself alone: nothing is padded, no mask is built."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface

from porism.prompts.render import Rendered

__all__ = ["ATTENTION", "pack"]

ATTENTION = "porism_packed"
"""Name of the attention, for ``attn_implementation``."""


def pack(rows: Sequence[Rendered]) -> dict[str, Any]:
    """One training row out of several.

    Returns:
        ``input_ids`` and ``position_ids`` [1, T]; ``logits_to_keep`` [N], the positions whose next token carries a
        loss; ``shift_labels`` [N], those tokens; ``sequence_lengths``, the length of each sequence. ``labels`` is
        ``shift_labels`` again: only a batch that has it is counted by transformers' Trainer, which a step of several
        micro-batches needs.
    """
    ids: list[int] = []
    positions: list[int] = []
    keep: list[int] = []
    lengths: list[int] = []
    for row in rows:
        first = len(ids) + len(row.prompt)
        keep.extend(range(first - 1, first - 1 + len(row.completion)))
        length = len(row.prompt) + len(row.completion)
        ids.extend(row.prompt + row.completion)
        positions.extend(range(length))
        lengths.append(length)
    ids_T, keep_N = torch.tensor(ids), torch.tensor(keep)
    return {
        "input_ids": ids_T[None],
        "position_ids": torch.tensor(positions)[None],
        "logits_to_keep": keep_N,
        "shift_labels": ids_T[keep_N + 1],
        "labels": ids_T[keep_N + 1],
        "sequence_lengths": lengths,
    }


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    sequence_lengths: Sequence[int],
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each sequence of a packed row.

    Args:
        module: the attention layer.
        query: [1, heads, T, head size].
        key: [1, key heads, T, head size]; grouped heads are not expanded.
        value: like ``key``.
        attention_mask: ignored: the lengths say all.
        sequence_lengths: the length of each sequence; they sum to T.
        scaling: factor on the scores.
        dropout: probability of dropping an attention weight.
    """
    del module, attention_mask
    parts = [
        functional.scaled_dot_product_attention(
            q, k, v, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=True
        )
        for q, k, v in zip(
            *(torch.split(tensor, list(sequence_lengths), dim=2) for tensor in (query, key, value)), strict=True
        )
    ]
    return torch.cat(parts, dim=2).transpose(1, 2).contiguous(), None


AttentionInterface.register(ATTENTION, _attend)
