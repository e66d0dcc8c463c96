"""Attention over a cache in three parts: what all prompts begin with, each prompt, and each row's own tokens.

The samples of one prompt read its keys and values together, once; what all prompts begin with is read once for all.
Heads that share keys are not expanded, and nothing is padded in the prefill. Registered with transformers'
``AttentionInterface``, so that a model's own layers run unchanged: they are shown all rows as one sequence.

Shapes: ``R`` rows (one token of each a step), ``G`` prompts, ``S`` rows of the largest prompt, ``H`` key heads, ``E``
query heads per key head, ``P`` tokens of a prompt, ``T`` own tokens, ``D`` size of a head.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.nn import functional
from transformers import AttentionInterface, PreTrainedModel

__all__ = ["ATTENTION", "Cache", "attention"]

ATTENTION = "porism_cached"
_GROW = 64
"""Own tokens for which room is made at a time."""


@dataclass
class _Layer:
    """Keys and values of one layer."""

    lead: tuple[torch.Tensor, torch.Tensor] | None = None
    """[H, P, D] each: of what all prompts begin with."""
    prompts: list[tuple[torch.Tensor, torch.Tensor]] = field(default_factory=list)
    """[H, P, D] each, one prompt after the other."""
    grid: tuple[torch.Tensor, torch.Tensor] | None = None
    """[G, H, P, D]: the prompts, padded at the end."""
    own: tuple[torch.Tensor, torch.Tensor] | None = None
    """[R, H, room, D]."""


class Cache:
    """Keys and values of everything that rows still need."""

    def __init__(self) -> None:
        self.layers: dict[int, _Layer] = {}
        self.lead_length = 0
        self.prompt_lengths: list[int] = []
        self.row_prompt: list[int] = []
        """The prompt of each row."""
        self.row_lengths: list[int] = []
        """Own tokens of each row."""
        self._prefill: Sequence[int] | None = None
        self._places: torch.Tensor | None = None
        self._step: _Step | None = None

    # --- what the engine does ---

    @contextmanager
    def prefilling(self, lengths: Sequence[int], *, lead: bool = False) -> Iterator[None]:
        """In here, a forward pass over prompts laid end to end stores their keys and values.

        Args:
            lengths: tokens of each prompt, without the lead.
            lead: these tokens are what all prompts begin with.
        """
        self._prefill = lengths
        self._is_lead = lead
        yield
        self._prefill = None
        if lead:
            self.lead_length = lengths[0]
        else:
            self.prompt_lengths.extend(lengths)

    def admit(self, prompt: int) -> None:
        """Add a row that answers a prompt which has been computed."""
        self.row_prompt.append(prompt)
        self.row_lengths.append(0)
        self._places = None

    @contextmanager
    def stepping(self) -> Iterator[None]:
        """In here, a forward pass over one token of each row stores it and attends to all before it."""
        self._step = self._prepare()
        yield
        self._step = None
        self.row_lengths = [length + 1 for length in self.row_lengths]

    def positions(self) -> list[int]:
        """The position of each row's next token."""
        return [
            self.lead_length + self.prompt_lengths[prompt] + own
            for prompt, own in zip(self.row_prompt, self.row_lengths, strict=True)
        ]

    def keep(self, rows: Sequence[int]) -> list[int]:
        """Drop all other rows, and prompts that no row answers.

        Returns:
            Old number of each prompt that is left.
        """
        prompts = sorted({self.row_prompt[row] for row in rows})
        renumbered = {old: new for new, old in enumerate(prompts)}
        longest = max((self.row_lengths[row] for row in rows), default=0)
        for layer in self.layers.values():
            if layer.own is not None:
                chosen = torch.tensor(rows, dtype=torch.long, device=layer.own[0].device)
                room = min(layer.own[0].shape[2], longest + _GROW)
                layer.own = _both(lambda old, at=chosen, to=room: old[:, :, :to].index_select(0, at), layer.own)
            if len(prompts) < len(layer.prompts):
                layer.prompts = [layer.prompts[old] for old in prompts]
                layer.grid = None
        self.row_prompt = [renumbered[self.row_prompt[row]] for row in rows]
        self.row_lengths = [self.row_lengths[row] for row in rows]
        self.prompt_lengths = [self.prompt_lengths[old] for old in prompts]
        self._places = None
        return prompts

    # --- what a layer asks ---

    def attend(
        self,
        layer_number: int,
        query: torch.Tensor,
        key: torch.Tensor,
        value: torch.Tensor,
        how: _How,
    ) -> torch.Tensor:
        """The attention's output for [1, H·E, N, D] queries: [1, N, H·E, D]."""
        layer = self.layers.setdefault(layer_number, _Layer())
        if self._prefill is not None:
            return self._fill(layer, self._prefill, (query, key, value), how)
        if self._step is None:
            raise RuntimeError("neither prefilling nor stepping")
        return self._advance(layer, self._step, (query, key, value), how)

    def _fill(
        self,
        layer: _Layer,
        lengths: Sequence[int],
        tensors: tuple[torch.Tensor, torch.Tensor, torch.Tensor],
        how: _How,
    ) -> torch.Tensor:
        parts = []
        split = (torch.split(tensor, list(lengths), dim=2) for tensor in tensors)
        for q, *own in zip(*split, strict=True):
            k, v = own
            if self._is_lead:
                layer.lead = (k[0], v[0])
            else:
                layer.prompts.append((k[0], v[0]))
                layer.grid = None
            if layer.lead is not None and not self._is_lead:
                k, v = (torch.cat([lead[None], new], 2) for lead, new in zip(layer.lead, own, strict=True))
            parts.append(_causal(q, k, v, how))
        return torch.cat(parts, dim=2).transpose(1, 2)

    def _advance(
        self, layer: _Layer, step: _Step, tensors: tuple[torch.Tensor, torch.Tensor, torch.Tensor], how: _How
    ) -> torch.Tensor:
        query, key, value = tensors
        rows, heads, size = key.shape[2], key.shape[1], key.shape[3]
        if layer.grid is None:
            layer.grid = _padded(layer.prompts, step.widest)
        layer.own = _with_room(layer.own, rows, max(self.row_lengths) + 1, key)
        for store, new in zip(layer.own, (key, value), strict=True):
            store[step.row_index, :, step.own_index] = new[0].transpose(0, 1)
        own_k, own_v = (store[:, :, : step.longest] for store in layer.own)
        q = query[0].transpose(0, 1).reshape(rows, heads, -1, size) * how.scaling
        each = q.shape[2]
        grid_q = q.new_zeros(step.prompts * step.seats, heads, each, size)
        grid_q[step.places] = q
        grid_q = grid_q.view(step.prompts, step.seats, heads, each, size).transpose(1, 2)
        grid_q = grid_q.reshape(step.prompts, heads, step.seats * each, size)
        scores = [_seated(grid_q @ layer.grid[0].transpose(2, 3), step, each), q @ own_k.transpose(2, 3)]
        if layer.lead is not None:
            flat = q.transpose(0, 1).reshape(heads, rows * each, size)
            lead = flat @ layer.lead[0].transpose(1, 2)
            scores.insert(0, lead.view(heads, rows, each, -1).transpose(0, 1))
        joined = torch.cat(scores, dim=-1)
        if how.softcap:
            joined = torch.tanh(joined / how.softcap) * how.softcap
        weights = torch.softmax(joined + step.mask(how.window, joined.dtype), dim=-1, dtype=torch.float32).to(q.dtype)
        parts = torch.split(weights, [score.shape[-1] for score in scores], dim=-1)
        out = parts[-1] @ own_v
        out += self._from_prompts(parts[-2], layer.grid[1], step, each)
        if layer.lead is not None:
            flat = parts[0].transpose(0, 1).reshape(heads, rows * each, -1)
            out += (flat @ layer.lead[1]).view(heads, rows, each, size).transpose(0, 1)
        return out.reshape(1, rows, heads * each, size)

    @staticmethod
    def _from_prompts(weights: torch.Tensor, values: torch.Tensor, step: _Step, each: int) -> torch.Tensor:
        heads = values.shape[1]
        grid = weights.new_zeros(step.prompts * step.seats, heads, each, weights.shape[-1])
        grid[step.places] = weights
        grid = grid.view(step.prompts, step.seats, heads, each, -1).transpose(1, 2)
        return _seated(grid.reshape(step.prompts, heads, step.seats * each, -1) @ values, step, each)

    def _prepare(self) -> _Step:
        """What all layers of one step share."""
        device = next(iter(self.layers.values())).prompts[0][0].device
        if self._places is None:
            seats: dict[int, int] = {}
            taken = []
            for prompt in self.row_prompt:
                taken.append(seats.get(prompt, 0))
                seats[prompt] = taken[-1] + 1
            self._seats = max(seats.values())
            places = [prompt * self._seats + seat for prompt, seat in zip(self.row_prompt, taken, strict=True)]
            self._places = torch.tensor(places, device=device)
        return _Step(
            places=self._places,
            seats=self._seats,
            prompts=len(self.prompt_lengths),
            lead=self.lead_length,
            widest=max(self.prompt_lengths),
            prompt_lengths=torch.tensor([self.prompt_lengths[at] for at in self.row_prompt], device=device),
            row_index=torch.arange(len(self.row_prompt), device=device),
            own_index=torch.tensor(self.row_lengths, device=device),
            longest=max(self.row_lengths) + 1,
        )


@dataclass(frozen=True)
class _How:
    """A model's own settings of its attention."""

    scaling: float
    softcap: float | None = None
    window: int | None = None


@dataclass
class _Step:
    """What all layers of one step share."""

    places: torch.Tensor
    seats: int
    prompts: int
    lead: int
    widest: int
    prompt_lengths: torch.Tensor
    row_index: torch.Tensor
    own_index: torch.Tensor
    longest: int
    _masks: dict[int | None, torch.Tensor] = field(default_factory=dict)

    def mask(self, window: int | None, dtype: torch.dtype) -> torch.Tensor:
        """[R, 1, 1, lead + P + T]: zero where a row may look, minus infinity elsewhere."""
        if window not in self._masks:
            device = self.places.device
            lead = torch.arange(self.lead, device=device).expand(len(self.places), -1)
            prompt = torch.arange(self.widest, device=device)[None]
            own = torch.arange(self.longest, device=device)[None]
            lengths, reached = self.prompt_lengths[:, None], self.own_index[:, None]
            seen = [torch.ones_like(lead, dtype=torch.bool), prompt < lengths, own <= reached]
            if window is not None:
                now = self.lead + lengths + reached
                seen[0] &= now - lead < window
                seen[1] = seen[1] & (now - (self.lead + prompt) < window)
                seen[2] = seen[2] & (reached - own < window)
            blocked = ~torch.cat(seen, dim=1)
            self._masks[window] = torch.zeros(blocked.shape, dtype=dtype, device=device).masked_fill_(
                blocked, float("-inf")
            )[:, None, None]
        return self._masks[window]


def _seated(grid: torch.Tensor, step: _Step, each: int) -> torch.Tensor:
    """[G, H, S·E, X] → [R, H, E, X]."""
    heads, last = grid.shape[1], grid.shape[3]
    seats = grid.view(step.prompts, heads, step.seats, each, last).transpose(1, 2)
    return seats.reshape(step.prompts * step.seats, heads, each, last)[step.places]


def _causal(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, how: _How) -> torch.Tensor:
    """Each of the last tokens attends to all before it and itself: [1, H·E, N, D]."""
    length, before = q.shape[2], k.shape[2] - q.shape[2]
    windowed = how.window is not None and how.window < k.shape[2]
    if not before and not windowed and how.softcap is None:
        return functional.scaled_dot_product_attention(q, k, v, is_causal=True, scale=how.scaling, enable_gqa=True)
    row = torch.arange(before, before + length, device=q.device)[:, None]
    column = torch.arange(k.shape[2], device=q.device)[None]
    seen = column <= row
    if windowed and how.window is not None:
        seen &= row - column < how.window
    if how.softcap is None:
        return functional.scaled_dot_product_attention(q, k, v, attn_mask=seen, scale=how.scaling, enable_gqa=True)
    groups = q.shape[1] // k.shape[1]
    k, v = (tensor.repeat_interleave(groups, dim=1) for tensor in (k, v))
    scores = torch.tanh(q @ k.transpose(2, 3) * how.scaling / how.softcap) * how.softcap
    weights = torch.softmax(scores.masked_fill(~seen, float("-inf")), dim=-1, dtype=torch.float32)
    return weights.to(q.dtype) @ v


def _padded(prompts: list[tuple[torch.Tensor, torch.Tensor]], width: int) -> tuple[torch.Tensor, torch.Tensor]:
    heads, _, size = prompts[0][0].shape
    found = []
    for which in (0, 1):
        grid = prompts[0][0].new_zeros(len(prompts), heads, width, size)
        for at, prompt in enumerate(prompts):
            grid[at, :, : prompt[which].shape[1]] = prompt[which]
        found.append(grid)
    return found[0], found[1]


def _with_room(
    own: tuple[torch.Tensor, torch.Tensor] | None, rows: int, length: int, like: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys and values with room for ``rows`` rows of ``length`` tokens."""
    have = (0, 0) if own is None else (own[0].shape[0], own[0].shape[2])
    if own is not None and have[0] >= rows and have[1] >= length:
        return own
    shape = rows, like.shape[1], max(have[1], -(-length // _GROW) * _GROW), like.shape[3]
    grown = (like.new_zeros(shape), like.new_zeros(shape))
    if own is not None:
        for old, new in zip(own, grown, strict=True):
            new[: have[0], :, : have[1]] = old
    return grown


def _both(change: Any, pair: tuple[torch.Tensor, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
    return change(pair[0]), change(pair[1])


def _attend(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    porism_cache: Cache,
    scaling: float | None = None,
    softcap: float | None = None,
    sliding_window: int | None = None,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """What transformers calls in each layer; see :meth:`Cache.attend`."""
    del attention_mask
    how = _How(scaling if scaling is not None else query.shape[-1] ** -0.5, softcap, sliding_window)
    return porism_cache.attend(int(module.layer_idx), query, key, value, how), None  # type: ignore[arg-type]


@contextmanager
def attention(network: PreTrainedModel) -> Iterator[None]:
    """In here the model attends through a :class:`Cache`; afterwards it attends as before."""
    before = network.config._attn_implementation  # noqa: SLF001  # transformers has no public reader
    network.set_attn_implementation(ATTENTION)
    try:
        yield
    finally:
        network.set_attn_implementation(before)


AttentionInterface.register(ATTENTION, _attend)
