"""Models whose layers do not take the cached attention: transformers' ``generate`` runs them, and we choose the tokens.

Whether a model fits is tried out, not looked up: a few tokens through :mod:`porism.engines._attention` must give the
logits that its own forward pass gives.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from transformers import GenerationConfig, LogitsProcessor, LogitsProcessorList, StoppingCriteria, StoppingCriteriaList

from porism.engines._attention import Cache, attention

if TYPE_CHECKING:
    from transformers import PreTrainedModel

__all__ = ["generate", "unfit"]

_PROBE = 12
"""Tokens that are tried; the last goes through the cache."""
_CLOSE = {torch.float32: 1e-3, torch.bfloat16: 5e-2, torch.float16: 1e-2}
"""Largest difference between two ways to the same logits, as a share of the largest logit."""


def unfit(network: PreTrainedModel) -> str:
    """Why a model cannot run on the cached attention; nothing where it can."""
    vocabulary = network.get_input_embeddings().weight.shape[0]
    ids = torch.arange(_PROBE, device=network.device) * 7 % vocabulary
    with torch.inference_mode():
        expected = network(input_ids=ids[None], use_cache=False).logits[0, -2:].float()
        try:
            with attention(network):
                found = _through_cache(network, ids)
        except (AttributeError, AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
            return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
    difference = float((found - expected).abs().max() / expected.abs().max().clamp(min=1e-9))
    if difference <= _CLOSE.get(network.dtype, 5e-2):
        return ""
    return f"its logits would differ by {difference:.2g} of the largest"


def _through_cache(network: PreTrainedModel, ids: torch.Tensor) -> torch.Tensor:
    """Logits [2, V] of the last two tokens: one at the end of a prompt, one in a step."""
    cache, before = Cache(), _PROBE - 1
    places = torch.arange(_PROBE, device=ids.device)[None]

    def last(part: slice) -> torch.Tensor:
        out: Any = network(input_ids=ids[None, part], position_ids=places[:, part], use_cache=False, porism_cache=cache)
        logits: torch.Tensor = out.logits[0, -1]
        return logits

    with cache.prefilling([before]):
        prompt = last(slice(before))
    if not cache.layers:
        raise TypeError("its layers never ask for attention")
    cache.admit(0)
    with cache.stepping():
        return torch.stack([prompt, last(slice(before, None))]).float()


class _Choosing(LogitsProcessor):  # type: ignore[misc]  # transformers imports it lazily, as Any
    def __init__(self, take: Callable[[torch.Tensor], Sequence[int]]) -> None:
        self._take = take

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """Scores that leave only the chosen token."""
        del input_ids
        chosen = torch.tensor(self._take(scores.clone()), device=scores.device)
        return torch.full_like(scores, float("-inf")).scatter_(1, chosen[:, None], 0.0)


class _Ending(StoppingCriteria):  # type: ignore[misc]
    def __init__(self, done: Callable[[], Sequence[bool]]) -> None:
        self._done = done

    def __call__(self, input_ids: torch.Tensor, scores: Any, **_: object) -> torch.Tensor:
        """Which rows are done."""
        del scores
        return torch.tensor(self._done(), device=input_ids.device)


def generate(
    network: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    most: int,
    take: Callable[[torch.Tensor], Sequence[int]],
    done: Callable[[], Sequence[bool]],
) -> None:
    """Run ``generate`` on prompts of one length; what comes of it goes through ``take``.

    Args:
        network: the model; its own generation settings are not used.
        prompts: token ids, all of the same number, so that nothing is padded.
        most: most new tokens.
        take: logits [R, V], which it may change → the token of each row.
        done: whether each row has ended.
    """
    ids = torch.tensor([list(prompt) for prompt in prompts], device=network.device)
    plain = GenerationConfig(max_new_tokens=most, do_sample=False, pad_token_id=0)
    own, network.generation_config = network.generation_config, plain  # what one leaves open is taken from the other
    try:
        network.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            generation_config=plain,
            logits_processor=LogitsProcessorList([_Choosing(take)]),
            stopping_criteria=StoppingCriteriaList([_Ending(done)]),
        )
    finally:
        network.generation_config = own
