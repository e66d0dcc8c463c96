"""Sequences laid end to end in one row, each attending to itself alone: nothing is padded, no mask is built.

The answers of one prompt stand behind it, one after the other: each attends to the prompt and to itself, and begins at
the position where the prompt ends, so that the prompt is computed once for all of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.nn import functional
from transformers import AttentionInterface

__all__ = ["ATTENTION", "Answer", "Batch", "Item", "Totals", "moved", "pack", "pick", "totals", "unpack"]

ATTENTION = "porism_packed"
"""Name of the attention, for ``attn_implementation``."""

Batch = dict[str, Any]
"""What :func:`pack` makes."""


class Answer(NamedTuple):
    """What follows a prompt, as token ids."""

    ids: Sequence[int]
    weights: Sequence[float] | None = None
    """Of the loss of each token; 1 for all where there are none. A token of weight 0 carries no loss."""
    marks: Sequence[int] | None = None
    """Tokens, counted from 0, after which a score is read; the last where there are none."""


class Item(NamedTuple):
    """A training row: a prompt and the answers that share it."""

    prompt: Sequence[int]
    answers: Sequence[Answer]
    values: Mapping[str, Sequence[float]] = {}
    """Numbers of the row that its loss needs, by name."""
    row: int = 0
    """Which of the stored rows this is."""

    @property
    def tokens(self) -> int:
        """Tokens in all, the prompt counted once."""
        return len(self.prompt) + sum(len(answer.ids) for answer in self.answers)


class Totals(NamedTuple):
    """Counts of an optimiser step, over all micro-batches and processes, that losses are divided by."""

    items: torch.Tensor
    answers: torch.Tensor
    tokens: torch.Tensor
    """With a loss."""
    weights: torch.Tensor
    """Sum of the weights of these."""
    first: torch.Tensor
    """Those among them that belong to the first answer of their row."""
    values: torch.Tensor
    """Numbers in ``values["labels"]``."""


def pack(items: Sequence[Item]) -> Batch:
    """One training row out of several.

    Returns:
        ``input_ids`` and ``position_ids`` [1, T]; ``layout``, for each row the length of the prompt and of each answer;
        ``logits_to_keep`` [N], the positions whose next token carries a loss; ``targets`` and ``weights`` [N], those
        tokens and how much they count; ``answer`` [N], the answer that each belongs to; ``answers``, how many there
        are; ``marks`` [M], where scores are read; ``values``, the rows' numbers by name, one after the other;
        ``counts``, see :class:`Totals`; ``rows``.
    """
    ids: list[int] = []
    positions: list[int] = []
    keep: list[int] = []
    targets: list[int] = []
    weights: list[float] = []
    owner: list[int] = []
    marks: list[int] = []
    answers = 0
    values: dict[str, list[float]] = {}
    first = 0
    for item in items:
        last_of_prompt = len(ids) + len(item.prompt) - 1
        ids.extend(item.prompt)
        positions.extend(range(len(item.prompt)))
        for number, answer in enumerate(item.answers):
            start, width = len(ids), len(answer.ids)
            before = [last_of_prompt, *range(start, start + width - 1)]
            counted = answer.weights if answer.weights is not None else [1.0] * width
            for at, weight in enumerate(counted):
                if weight:
                    keep.append(before[at])
                    targets.append(answer.ids[at])
                    weights.append(weight)
                    owner.append(answers)
                    first += number == 0
            ids.extend(answer.ids)
            positions.extend(range(len(item.prompt), len(item.prompt) + width))
            marks.extend(start + at for at in (answer.marks if answer.marks is not None else [width - 1]))
            answers += 1
        for name, numbers in item.values.items():
            values.setdefault(name, []).extend(numbers)
    counts = [len(items), answers, len(keep), sum(weights), first, len(values.get("labels", ()))]
    return {
        "input_ids": torch.tensor(ids)[None],
        "position_ids": torch.tensor(positions)[None],
        "layout": [[len(item.prompt), *(len(answer.ids) for answer in item.answers)] for item in items],
        "logits_to_keep": torch.tensor(keep, dtype=torch.long),
        "targets": torch.tensor(targets, dtype=torch.long),
        "weights": torch.tensor(weights, dtype=torch.float32),
        "answer": torch.tensor(owner, dtype=torch.long),
        "answers": answers,
        "marks": torch.tensor(marks, dtype=torch.long),
        "values": {name: torch.tensor(numbers, dtype=torch.float32) for name, numbers in values.items()},
        "counts": torch.tensor(counts, dtype=torch.float64),
        "rows": [item.row for item in items],
    }


def unpack(batch: Batch) -> list[list[list[int]]]:
    """The token ids of each row's prompt and answers."""
    ids, found, at = batch["input_ids"][0].tolist(), [], 0
    for lengths in batch["layout"]:
        parts = []
        for length in lengths:
            parts.append(ids[at : at + length])
            at += length
        found.append(parts)
    return found


def pick(batch: Batch, number: int) -> Batch:
    """The same rows with one of their answers only, the ``number``-th (from 0). Their values are left out."""
    keep, weights = batch["logits_to_keep"].tolist(), batch["weights"].tolist()
    by_answer: dict[int, list[tuple[int, float]]] = {}
    for owner, position, weight in zip(batch["answer"].tolist(), keep, weights, strict=True):
        by_answer.setdefault(owner, []).append((position, weight))
    items, start, number_of = [], 0, 0
    for (prompt, *answers), row in zip(unpack(batch), batch["rows"], strict=True):
        first = start + len(prompt)
        for at, answer in enumerate(answers):
            if at == number:
                counted = [0.0] * len(answer)
                for position, weight in by_answer.get(number_of, ()):
                    counted[max(0, position - first + 1)] = weight
                items.append(Item(prompt, [Answer(answer, counted)], row=row))
            first += len(answer)
            number_of += 1
        start = first
    return moved(pack(items), batch["input_ids"].device)


def moved(batch: Batch, device: torch.device) -> Batch:
    """The batch with its tensors on a device."""
    found = {name: value.to(device) if isinstance(value, torch.Tensor) else value for name, value in batch.items()}
    return {**found, "values": {name: value.to(device) for name, value in batch["values"].items()}}


def totals(batches: Iterable[Batch]) -> torch.Tensor:
    """The counts of several batches together, in the order of :class:`Totals`."""
    return torch.stack([batch["counts"] for batch in batches]).sum(0)


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    layout: Sequence[Sequence[int]],
    scaling: float | None = None,
    dropout: float = 0.0,
    softcap: float | None = None,
    sliding_window: int | None = None,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """Causal attention within each sequence of a packed row; answers after the first also see their prompt.

    Args:
        module: the attention layer.
        query: [1, heads, T, head size].
        key: [1, key heads, T, head size]; grouped heads are not expanded.
        value: like ``key``.
        attention_mask: ignored: the layout says all.
        layout: for each row the length of the prompt and of each answer; they sum to T.
        scaling: factor on the scores.
        dropout: probability of dropping an attention weight.
        softcap: bound that scores are pressed under.
        sliding_window: how many tokens back a token sees, itself among them.
    """
    del module, attention_mask
    sizes = [size for prompt, first, *others in layout for size in (prompt + first, *others)]
    parts = zip(*(torch.split(tensor, sizes, dim=2) for tensor in (query, key, value)), strict=True)
    how: dict[str, Any] = {"scaling": scaling, "dropout": dropout, "softcap": softcap, "window": sliding_window}
    found = []
    for prompt, *others in layout:
        q, k, v = next(parts)
        found.append(_causal(q, k, v, **how))
        for _other in others[1:]:
            q, own_k, own_v = next(parts)
            keys = torch.cat([k[:, :, :prompt], own_k], dim=2)
            values = torch.cat([v[:, :, :prompt], own_v], dim=2)
            found.append(_causal(q, keys, values, **how))
    return torch.cat(found, dim=2).transpose(1, 2).contiguous(), None


def _causal(
    q: torch.Tensor,
    k: torch.Tensor,
    v: torch.Tensor,
    *,
    scaling: float | None,
    dropout: float,
    softcap: float | None,
    window: int | None,
) -> torch.Tensor:
    """Each of the last tokens attends to all before it and itself: [1, heads, T, head size]."""
    length, before = q.shape[2], k.shape[2] - q.shape[2]
    windowed = window is not None and window < k.shape[2]
    if not before and not windowed and softcap is None:
        return functional.scaled_dot_product_attention(
            q, k, v, dropout_p=dropout, is_causal=True, scale=scaling, enable_gqa=True
        )
    row = torch.arange(before, before + length, device=q.device)[:, None]
    column = torch.arange(k.shape[2], device=q.device)[None]
    seen = column <= row
    if windowed and window is not None:
        seen &= row - column < window
    if softcap is None:
        return functional.scaled_dot_product_attention(
            q, k, v, attn_mask=seen, dropout_p=dropout, scale=scaling, enable_gqa=True
        )
    groups = q.shape[1] // k.shape[1]
    k, v = (tensor.repeat_interleave(groups, dim=1) for tensor in (k, v))
    factor = scaling if scaling is not None else q.shape[-1] ** -0.5
    scores = torch.tanh(q @ k.transpose(2, 3) * factor / softcap) * softcap
    weights = torch.softmax(scores.masked_fill(~seen, float("-inf")), dim=-1, dtype=torch.float32)
    return functional.dropout(weights, dropout).to(q.dtype) @ v


AttentionInterface.register(ATTENTION, _attend)
