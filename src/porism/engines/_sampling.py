"""Logits → one token a row, drawn exactly and cheaply.

The draw inverts the cumulative distribution at one uniform number a row. The vocabulary is summed in blocks first, and
only the block that the number falls into is summed token by token, so that no 49,152-wide running sum is made. The
numbers come from a generator that each row seeds for itself: what shares the batch changes nothing.

Shapes: ``R`` rows, ``V`` vocabulary.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

import torch

from porism.engines import Sampling
from porism.records import content_id

__all__ = ["choose", "generator", "logprobs"]

_COLDEST = 1e-6
"""Below it only the likeliest token is left, and scores that are divided by it would overflow."""
_BLOCK = 256
_NUCLEUS = 1_024
"""Likeliest tokens that are sorted for ``top_p``; a row whose nucleus is larger is sorted whole."""


def generator(seed: int, sample: int) -> random.Random:
    """The random numbers of one sample of a request."""
    return random.Random(int(content_id(seed, sample), 16))


def choose(
    logits_R_V: torch.Tensor,
    sampling: Sampling,
    generators: Sequence[random.Random],
    allowed_R_V: torch.Tensor | None = None,
) -> torch.Tensor:
    """One token a row.

    Args:
        logits_R_V: the model's scores; changed in place.
        sampling: how to choose; the same for all rows.
        generators: one a row; each gives one number, or none for the likeliest token.
        allowed_R_V: tokens that a guide allows; None for all.
    """
    for token, bias in sampling.logit_bias:
        logits_R_V[:, token] += bias
    if allowed_R_V is not None:
        logits_R_V.masked_fill_(~allowed_R_V, float("-inf"))
    if sampling.temperature < _COLDEST:
        return logits_R_V.argmax(-1)
    scores = logits_R_V.float()
    if sampling.temperature != 1:
        scores.div_(sampling.temperature)
    if sampling.top_k:
        least = scores.topk(min(sampling.top_k, scores.shape[1]), dim=-1).values[:, -1:]
        scores.masked_fill_(scores < least, float("-inf"))
    if sampling.min_p:
        floor = scores.amax(-1, keepdim=True) + torch.log(torch.tensor(sampling.min_p))
        scores.masked_fill_(scores < floor, float("-inf"))
    if sampling.top_p < 1:
        _cut_to_nucleus(scores, sampling.top_p)
    numbers = torch.tensor([one.random() for one in generators], dtype=torch.float64, device=scores.device)
    return _invert(scores, numbers)


def logprobs(logits_R_V: torch.Tensor, tokens_R: torch.Tensor) -> torch.Tensor:
    """Log-probability of each row's token under the model itself: temperature 1, nothing cut off. Float32, [R]."""
    scores = logits_R_V.float()
    return scores.gather(1, tokens_R[:, None])[:, 0] - torch.logsumexp(scores, -1)


def _cut_to_nucleus(scores_R_V: torch.Tensor, top_p: float) -> None:
    """Keep the fewest likeliest tokens whose probabilities reach ``top_p`` (Holtzman et al., 2020), in place."""
    total = torch.logsumexp(scores_R_V, -1, keepdim=True)
    width = min(_NUCLEUS, scores_R_V.shape[1])
    best = scores_R_V.topk(width, dim=-1).values
    reached = (best - total).exp().cumsum(-1)
    if width < scores_R_V.shape[1] and bool((reached[:, -1] < top_p).any()):
        best = scores_R_V.sort(dim=-1, descending=True).values
        reached = (best - total).exp().cumsum(-1)
    last = (reached < top_p).sum(-1, keepdim=True).clamp_(max=best.shape[1] - 1)
    scores_R_V.masked_fill_(scores_R_V < best.gather(1, last), float("-inf"))


def _invert(scores_R_V: torch.Tensor, numbers_R: torch.Tensor) -> torch.Tensor:
    """The token at which the running sum of the probabilities passes each row's number. Uses up the scores."""
    rows, width = scores_R_V.shape
    weights = scores_R_V.sub_(scores_R_V.amax(-1, keepdim=True)).exp_()
    if width % _BLOCK:
        weights = torch.nn.functional.pad(weights, (0, -width % _BLOCK))
    weights = weights.view(rows, -1, _BLOCK)
    blocks = weights.sum(-1).double().cumsum(-1)
    target = (numbers_R * blocks[:, -1])[:, None]
    block = torch.searchsorted(blocks, target, right=True).clamp_(max=blocks.shape[1] - 1)
    before = torch.where(block > 0, blocks.gather(1, (block - 1).clamp_(min=0)), 0.0)
    inside = weights[torch.arange(rows, device=weights.device), block[:, 0]].double()
    running = inside.cumsum(-1)
    # float32 block sums and float64 running sums differ in the last bits: stay within the block, on a possible token
    token = torch.searchsorted(running, torch.minimum(target - before, running[:, -1:] * (1 - 1e-12)), right=True)
    token = token.clamp_(max=_BLOCK - 1)
    last_possible = (inside > 0).long().mul_(torch.arange(1, _BLOCK + 1, device=inside.device)).max(-1, keepdim=True)
    token = torch.minimum(token, last_possible.values - 1)
    return (block * _BLOCK + token)[:, 0]
