"""A network in training, seen as log-probabilities: the one way from a packed batch to the numbers that losses take."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.utils.checkpoint import checkpoint

from porism.losses.logprobs import chunks, selected, token_logprobs
from porism.models.packing import Answer, Batch, Item, moved, pack

__all__ = ["LanguageModel"]

_INPUTS = ("input_ids", "position_ids", "layout")
_ALMOST = 1e-4


class LanguageModel:
    """A causal language model whose output layer is applied only where there is a loss, in chunks.

    Where a model does more with its last hidden states than multiply them (a cap, a factor), or where its weights are
    spread over machines, its own scores are used instead.

    Args:
        network: plain, or wrapped by PEFT; its attention must be the packed one.
        dtype: to compute in.
        neftune: amount of noise on embeddings in training, 0 for none (Jain et al., 2023, arXiv:2310.05914).
        fused: apply the output layer here; tried out first.
        temperature: scores are divided by it, as they were when the answers were sampled.
    """

    def __init__(
        self,
        network: Any,
        dtype: torch.dtype = torch.float32,
        *,
        neftune: float = 0.0,
        fused: bool = True,
        temperature: float = 1.0,
    ) -> None:
        self.network, self.dtype, self.neftune, self.temperature = network, dtype, neftune, temperature
        head = network.get_output_embeddings()
        self._head = head if fused and type(head) is torch.nn.Linear and head.bias is None else None
        if self._head is not None and not self._is_plain():
            self._head = None

    @property
    def fused(self) -> bool:
        """Whether the output layer is applied here."""
        return self._head is not None

    def logprobs(self, model: Any, batch: Batch) -> torch.Tensor:
        """Log-probability of each target, [N] in float32.

        Args:
            model: the network, as the trainer has wrapped it.
            batch: see :func:`porism.models.packing.pack`.
        """
        return self._of_targets(self._run(model, batch, batch["logits_to_keep"]), batch)

    def with_hidden(self, model: Any, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """The same, and the last hidden states from which each target was told, [N, H]; only where :attr:`fused`."""
        hidden = self._run(model, batch, batch["logits_to_keep"])
        return self._of_targets(hidden, batch), hidden

    def _of_targets(self, out: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Log-probability of each target from what :meth:`_run` gave."""
        if self.temperature != 1:
            out = out / self.temperature
        if self._head is None:
            return selected(out, batch["targets"])
        return token_logprobs(out, self._head.weight, batch["targets"], self.dtype)

    def autocast(self, device: torch.device) -> contextlib.AbstractContextManager[Any]:
        """In here it is computed as in training."""
        if self.dtype == torch.float32:
            return contextlib.nullcontext()
        return torch.autocast(device.type, dtype=self.dtype)

    def by_answer(self, logps_N: torch.Tensor, batch: Batch) -> torch.Tensor:
        """Log-probability of each whole answer, [A]."""
        return logps_N.new_zeros(batch["answers"]).index_add(0, batch["answer"], logps_N)

    def tokens(self, batch: Batch) -> torch.Tensor:
        """Tokens with a loss of each answer, [A], at least 1."""
        ones = torch.ones_like(batch["weights"])
        return ones.new_zeros(batch["answers"]).index_add(0, batch["answer"], ones).clamp(min=1)

    def scores(self, model: Any, batch: Batch) -> Callable[[slice], torch.Tensor]:
        """The scores of the whole vocabulary, for one part of the positions at a time."""
        out = self._run(model, batch, batch["logits_to_keep"])
        if self._head is None:
            return lambda part: out[part]
        head = self._head.weight
        return lambda part: (out[part].to(self.dtype) @ head.to(self.dtype).T).float()

    def mapped(
        self,
        model: Any,
        batch: Batch,
        others: Callable[[slice], torch.Tensor],
        function: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    ) -> torch.Tensor:
        """``function(scores, other scores)`` of every position, chunk by chunk; nothing of it is kept in between."""
        own = self.scores(model, batch)

        def part_of(part: slice) -> torch.Tensor:
            with torch.no_grad():
                other = others(part)
            return function(own(part), other)

        vocabulary = self.network.config.get_text_config().vocab_size
        parts = chunks(len(batch["targets"]), vocabulary)
        found = [checkpoint(part_of, part, use_reentrant=False) for part in parts]
        return torch.cat(found)

    def _run(self, model: Any, batch: Batch, keep: torch.Tensor) -> torch.Tensor:
        """What the model gives at the positions to keep: hidden states [N, H], or scores [N, V] where not fused."""
        inputs = {name: batch[name] for name in _INPUTS}
        with self._noise(batch), self._without_head():
            found: torch.Tensor = model(**inputs, logits_to_keep=keep, use_cache=False).logits[0]
        return found

    @contextmanager
    def _without_head(self) -> Iterator[None]:
        """In here the output layer passes on what it is given."""
        if self._head is None:
            yield
            return
        self._head.forward = lambda hidden: hidden
        try:
            yield
        finally:
            del self._head.forward

    @contextmanager
    def _noise(self, batch: Batch) -> Iterator[None]:
        """Uniform noise on the embeddings of every sequence, of a size that its length sets."""
        if not self.neftune or not self.network.training:
            yield
            return
        sizes = [
            size for prompt, *answers in batch["layout"] for size in [prompt + sum(answers)] * (prompt + sum(answers))
        ]

        def add(module: torch.nn.Module, given: Any, out: torch.Tensor) -> torch.Tensor:
            del module, given
            lengths = torch.tensor(sizes, dtype=out.dtype, device=out.device)[None, :, None]
            return out + torch.empty_like(out).uniform_(-1, 1) * self.neftune / (lengths * out.shape[-1]).sqrt()

        handle = self.network.get_input_embeddings().register_forward_hook(add)
        try:
            yield
        finally:
            handle.remove()

    @torch.no_grad()
    def _is_plain(self) -> bool:
        """Whether the scores are the output layer's product with the hidden states, and no more, as tried on a row."""
        device = self.network.get_input_embeddings().weight.device
        batch = moved(pack([Item([1, 2], [Answer([3, 4])])]), device)
        was, head = self.network.training, self._head
        self.network.eval()
        try:
            hidden = self._run(self.network, batch, batch["logits_to_keep"])
            self._head = None
            whole = self._run(self.network, batch, batch["logits_to_keep"])
        finally:
            self._head = head
            self.network.train(was)
        if head is None or hidden.shape[-1] != head.weight.shape[1]:
            return False
        close = (hidden @ head.weight.T - whole).abs().max() <= _ALMOST * max(1.0, float(whole.abs().max()))
        return bool(close) and math.isfinite(float(whole.sum()))
