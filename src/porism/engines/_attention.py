"""Attention over a cache in three parts: what all prompts begin with, each prompt, and each row's own tokens.

The samples of one prompt read its keys and values together, once; what all prompts begin with is read once for all.
A row that is alone has its prompt and its own tokens in one piece, which takes fewer operations.
Heads that share keys are not expanded, and nothing is padded in the prefill. Registered with transformers'
``AttentionInterface``, so that a model's own layers run unchanged: they are shown all rows as one sequence.

Shapes: ``R`` rows (one token of each a step), ``G`` prompts, ``S`` rows of the largest prompt, ``H`` key heads, ``E``
query heads per key head, ``P`` tokens of a prompt, ``T`` own tokens, ``D`` size of a head.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import NamedTuple

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
    """Keys [G, H, D, P] and values [G, H, P, D]: the prompts, padded at the end."""
    own: tuple[torch.Tensor, torch.Tensor] | None = None
    """Keys [R, H, D, room] and values [R, H, room, D]: many small products are twice as fast with keys laid out so."""
    whole: tuple[torch.Tensor, torch.Tensor] | None = None
    """[1, H, room, D] each: the prompt and the own tokens of a row that is alone."""


class Cache:
    """Keys and values of everything that rows still need.

    Args:
        alone: there is one prompt and one row from beginning to end.
    """

    def __init__(self, *, alone: bool = False) -> None:
        self._alone = alone
        self.layers: dict[int, _Layer] = {}
        self.lead_length = 0
        self.prompt_lengths: list[int] = []
        self.row_prompt: list[int] = []
        """The prompt of each row."""
        self.row_lengths: list[int] = []
        """Own tokens of each row."""
        self._prefill: Sequence[int] | None = None
        self._places: torch.Tensor | None = None
        self._seats, self._full = 0, False
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
        if self._alone and self.row_prompt:
            raise RuntimeError("a second row in the cache of a row that is alone")
        self.row_prompt.append(prompt)
        self.row_lengths.append(0)
        self._places = None

    @contextmanager
    def stepping(self) -> Iterator[None]:
        """In here, a forward pass over one token of each row stores it and attends to all before it."""
        self._step = None if self._alone else self._prepare()
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
                room = min(layer.own[1].shape[2], longest + _GROW)
                own_k, own_v = layer.own
                layer.own = own_k[..., :room].index_select(0, chosen), own_v[:, :, :room].index_select(0, chosen)
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
        if self._alone:
            return self._advance_alone(layer, (query, key, value), how)
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
            if self._alone:
                layer.whole = (k, v)
            elif self._is_lead:
                layer.lead = (k[0], v[0])
            else:
                layer.prompts.append((k[0], v[0]))
                layer.grid = None
            if layer.lead is not None and not self._is_lead:
                k, v = (torch.cat([lead[None], new], 2) for lead, new in zip(layer.lead, own, strict=True))
            parts.append(_causal(q, k, v, how))
        return torch.cat(parts, dim=2).transpose(1, 2)

    def _advance_alone(
        self, layer: _Layer, tensors: tuple[torch.Tensor, torch.Tensor, torch.Tensor], how: _How
    ) -> torch.Tensor:
        query, *new = tensors
        if layer.whole is None:
            raise RuntimeError("the prompt was not computed")
        now = self.prompt_lengths[0] + self.row_lengths[0]
        if now >= layer.whole[0].shape[2]:
            more = (0, 0, 0, now + _GROW - layer.whole[0].shape[2])
            layer.whole = functional.pad(layer.whole[0], more), functional.pad(layer.whole[1], more)
        for part, token in zip(layer.whole, new, strict=True):
            part[:, :, now : now + 1] = token
        seen = slice(0 if how.window is None else max(0, now + 1 - how.window), now + 1)
        key, value = (part[:, :, seen] for part in layer.whole)
        heads, size = key.shape[1], key.shape[3]
        q = query.view(1, heads, -1, size)  # query heads that share keys read them as so many tokens would
        if how.softcap is None:
            out = functional.scaled_dot_product_attention(q, key, value, scale=how.scaling)
        else:
            out = _read(q * how.scaling, key.transpose(2, 3), value, None, how).out
        return out.reshape(1, 1, -1, size)

    def _advance(
        self, layer: _Layer, step: _Step, tensors: tuple[torch.Tensor, torch.Tensor, torch.Tensor], how: _How
    ) -> torch.Tensor:
        query, key, value = tensors
        rows, heads, size = key.shape[2], key.shape[1], key.shape[3]
        if layer.grid is None:
            layer.grid = _padded(layer.prompts, step.widest)
        layer.own = _with_room(layer.own, rows, step.longest, key)
        own_k, own_v = layer.own
        new_k, new_v = key[0].transpose(0, 1), value[0].transpose(0, 1)
        if step.level:
            own_k[:rows, :, :, step.longest - 1] = new_k
            own_v[:rows, :, step.longest - 1] = new_v
        else:
            own_k[step.row_index, :, :, step.own_index] = new_k
            own_v[step.row_index, :, step.own_index] = new_v
        own = own_k[:rows, :, :, : step.longest], own_v[:rows, :, : step.longest]
        q = query[0].transpose(0, 1).reshape(rows, heads, -1, size) * how.scaling
        parts = [_read(q, *own, step.own_mask(how.window), how), self._read_prompts(q, layer.grid, step, how)]
        if layer.lead is not None:
            flat = q.transpose(0, 1).reshape(heads, -1, size)
            mask = step.lead_mask(how.window, q.shape[2])
            read = _read(flat, layer.lead[0].transpose(1, 2), layer.lead[1], mask, how)
            parts.append(_Read(*(part.view(heads, rows, -1, part.shape[-1]).transpose(0, 1) for part in read)))
        return _joined(parts, q.dtype).reshape(1, rows, -1, size)

    @staticmethod
    def _read_prompts(q: torch.Tensor, grid: tuple[torch.Tensor, torch.Tensor], step: _Step, how: _How) -> _Read:
        """What each row reads in its prompt: the rows of one prompt read it together."""
        heads, each, size = q.shape[1:]
        if not step.full:
            seated = q.new_zeros(step.prompts * step.seats, heads, each, size)
            seated[step.places] = q
            q = seated
        q = q.view(step.prompts, step.seats, heads, each, size).transpose(1, 2)
        q = q.reshape(step.prompts, heads, step.seats * each, size)
        found = []
        for part in _read(q, *grid, step.prompt_mask(how.window, each), how):
            rows = part.view(step.prompts, heads, step.seats, each, -1).transpose(1, 2).flatten(0, 1)
            found.append(rows if step.full else rows[step.places])
        return _Read(*found)

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
            self._full = places == list(range(len(self.prompt_lengths) * self._seats))
        return _Step(
            places=self._places,
            seats=self._seats,
            full=self._full,
            prompts=len(self.prompt_lengths),
            lead=self.lead_length,
            widest=max(self.prompt_lengths),
            padded=min(self.prompt_lengths) < max(self.prompt_lengths),
            level=min(self.row_lengths) == max(self.row_lengths),
            longest=max(self.row_lengths) + 1,
            furthest=self.lead_length + max(self.prompt_lengths) + max(self.row_lengths),
            prompt_lengths=torch.tensor([self.prompt_lengths[at] for at in self.row_prompt], device=device),
            row_index=torch.arange(len(self.row_prompt), device=device),
            own_index=torch.tensor(self.row_lengths, device=device),
        )


@dataclass(frozen=True)
class _How:
    """A model's own settings of its attention."""

    scaling: float
    softcap: float | None = None
    window: int | None = None


class _Read(NamedTuple):
    """What queries read in one part of the cache."""

    out: torch.Tensor
    """[…, N, D]: the attention over this part alone."""
    mass: torch.Tensor
    """[…, N, 1]: the logarithm of the sum of ``exp(score)`` over this part, by which parts are weighed."""


@dataclass
class _Step:
    """What all layers of one step share. Masks are None where every row may look everywhere."""

    places: torch.Tensor
    """Each row's seat in the grid of prompts × seats."""
    seats: int
    full: bool
    """Whether the rows fill the grid in order."""
    prompts: int
    lead: int
    widest: int
    padded: bool
    """Whether some prompt is shorter than the widest."""
    level: bool
    """Whether all rows have as many own tokens."""
    longest: int
    furthest: int
    """The largest position."""
    prompt_lengths: torch.Tensor
    row_index: torch.Tensor
    own_index: torch.Tensor
    _masks: dict[tuple[str, int | None], torch.Tensor] = field(default_factory=dict)

    def own_mask(self, window: int | None) -> torch.Tensor | None:
        """[R, 1, 1, T]."""
        window = self._biting(window, self.longest - 1)
        if self.level and window is None:
            return None
        return self._kept("own", window, lambda: self._own_mask(window)[:, None, None])

    def prompt_mask(self, window: int | None, each: int) -> torch.Tensor | None:
        """[G, 1, S·E or 1, P]."""
        window = self._biting(window, self.furthest)
        if not self.padded and window is None:
            return None
        return self._kept("prompt", window, lambda: self._prompt_mask(window, each))

    def lead_mask(self, window: int | None, each: int) -> torch.Tensor | None:
        """[1, R·E, lead]."""
        window = self._biting(window, self.furthest)
        if window is None:
            return None
        column = torch.arange(self.lead, device=self.places.device)
        return self._kept(
            "lead",
            window,
            lambda: _blocked(self._now() - column >= window).repeat_interleave(each, dim=0)[None],
        )

    def _kept(self, name: str, window: int | None, make: Callable[[], torch.Tensor]) -> torch.Tensor:
        if (name, window) not in self._masks:
            self._masks[name, window] = make()
        return self._masks[name, window]

    @staticmethod
    def _biting(window: int | None, furthest: int) -> int | None:
        """The window, where it keeps any row from anything."""
        return window if window is not None and furthest >= window else None

    def _now(self) -> torch.Tensor:
        """[R, 1]: each row's position."""
        return (self.lead + self.prompt_lengths + self.own_index)[:, None]

    def _own_mask(self, window: int | None) -> torch.Tensor:
        column, reached = torch.arange(self.longest, device=self.places.device), self.own_index[:, None]
        unseen = column > reached
        if window is not None:
            unseen |= reached - column >= window
        return _blocked(unseen)

    def _prompt_mask(self, window: int | None, each: int) -> torch.Tensor:
        column = torch.arange(self.widest, device=self.places.device)
        unseen = column >= self.prompt_lengths[:, None]
        if window is None:
            lengths = self.prompt_lengths.new_zeros(self.prompts)
            lengths[self.places // self.seats] = self.prompt_lengths
            return _blocked(column >= lengths[:, None])[:, None, None]
        unseen |= self._now() - (self.lead + column) >= window
        seated = unseen.new_zeros(self.prompts * self.seats, self.widest)
        seated[self.places] = unseen
        seated = seated.view(self.prompts, 1, self.seats, self.widest)
        return _blocked(seated).repeat_interleave(each, dim=2)


_NEVER = -1e30
"""The score of what may not be seen: finite, so that a part of which a row sees nothing weighs zero, and is not NaN."""


def _blocked(unseen: torch.Tensor) -> torch.Tensor:
    return torch.zeros(unseen.shape, device=unseen.device).masked_fill_(unseen, _NEVER)


def _read(q: torch.Tensor, k: torch.Tensor, v: torch.Tensor, mask: torch.Tensor | None, how: _How) -> _Read:
    """Attend to one part of the cache: queries […, N, D], keys […, D, P], values […, P, D]. Weights are float32."""
    scores = (q @ k).float()
    if how.softcap:
        scores.div_(how.softcap).tanh_().mul_(how.softcap)
    if mask is not None:
        scores += mask
    weights = torch.softmax(scores, dim=-1)
    mass = scores.amax(-1, keepdim=True) - weights.amax(-1, keepdim=True).log_()  # the largest weight is exp(top) / sum
    return _Read(weights.to(q.dtype) @ v, mass)


def _joined(parts: Sequence[_Read], dtype: torch.dtype) -> torch.Tensor:
    """The attention over all parts, from the attention over each."""
    shares = torch.softmax(torch.cat([part.mass for part in parts], dim=-1), dim=-1)
    out = parts[0].out * shares[..., :1]
    for at, part in enumerate(parts[1:], start=1):
        out = torch.addcmul(out, part.out.to(out.dtype), shares[..., at : at + 1])
    return out.to(dtype)


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
    """Keys [G, H, D, P] and values [G, H, P, D] of prompts side by side."""
    heads, _, size = prompts[0][0].shape
    keys = prompts[0][0].new_zeros(len(prompts), heads, size, width)
    values = prompts[0][1].new_zeros(len(prompts), heads, width, size)
    for at, (key, value) in enumerate(prompts):
        keys[at, :, :, : key.shape[1]] = key.transpose(1, 2)
        values[at, :, : value.shape[1]] = value
    return keys, values


def _with_room(
    own: tuple[torch.Tensor, torch.Tensor] | None, rows: int, length: int, like: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Keys [R, H, D, room] and values [R, H, room, D] with room for ``rows`` rows of ``length`` tokens."""
    have = (0, 0) if own is None else (own[1].shape[0], own[1].shape[2])
    if own is not None and have[0] >= rows and have[1] >= length:
        return own
    room = max(have[1], -(-length // _GROW) * _GROW)
    heads, size = like.shape[1], like.shape[3]
    keys, values = like.new_zeros(rows, heads, size, room), like.new_zeros(rows, heads, room, size)
    if own is not None:
        keys[: have[0], :, :, : have[1]], values[: have[0], :, : have[1]] = own
    return keys, values


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
