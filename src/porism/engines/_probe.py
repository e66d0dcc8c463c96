"""Does a server say what a model says? Log-probabilities of fixed texts, by a plain forward pass and by the server.

A server that was given new weights may serve others: an older file, the base without its adapter, an adapter whose
scale it reads differently. None of that is an error to the server. It shows in the log-probabilities.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from porism.engines import Request
from porism.engines._raw import load_tokenizer
from porism.engines._weights import Weights
from porism.errors import ModelError
from porism.models import facts, memory
from porism.models.load import load

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = [
    "PAIRS",
    "QUANTISED",
    "TEXTS",
    "TOLERANCES",
    "Agreement",
    "compare",
    "forward",
    "reference",
    "refuse_too_large",
]

TEXTS = (
    (
        "A train leaves at 9 o'clock and travels 120 kilometres in 2 hours. Its speed is",
        " 60 kilometres an hour, since 120 / 2 = 60.",
    ),
    ("def mean(values):\n", "    return sum(values) / len(values)\n"),
    ("Question: What is 17 + 25?\nAnswer:", " 17 + 25 = 42, so the answer is 42."),
    (
        "Once upon a time",
        " there was a small village by the sea, and in it lived a fisher who had never learnt to swim.",
    ),
)
"""Prompt and completion: some that are likely to be trained on, and some that are not."""

PAIRS = [(Request(text=prompt), completion) for prompt, completion in TEXTS]
"""The same, as an engine scores them."""

TOLERANCES = {"float32": 2e-4, "float16": 0.01, "bfloat16": 0.06, "auto": 0.06}
"""Dtype of the server → the mean difference at which two models are taken for the same one, in nats."""
QUANTISED = 0.3
"""The same where the server quantises the weights."""


class Agreement(NamedTuple):
    """How far a server is from the model that it should serve, over all tokens of :data:`TEXTS`."""

    difference: float
    """Mean absolute difference of log-probabilities, in nats."""
    tolerance: float
    moved: float = math.nan
    """The same between the model and its base, where it is an adapter: what there is to be seen."""

    @property
    def holds(self) -> bool:
        """Whether the difference is within the tolerance."""
        return self.difference <= self.tolerance  # false for NaN


def reference(weights: Weights, network: PreTrainedModel | None = None) -> tuple[list[list[float]], list[list[float]]]:
    """What the model itself says, and what its base says where it is an adapter.

    Args:
        weights: the model.
        network: it in memory; left out, it is loaded in float32 for this.
    """
    tokenizer = load_tokenizer(str(weights.tokenizer))
    if network is None:
        network = load(str(weights.folder)).model
    disabled = getattr(network, "disable_adapter", None)  # of peft
    if disabled is None:
        return forward(network, tokenizer), []
    own = forward(network, tokenizer)
    with disabled():
        return own, forward(network, tokenizer)


def refuse_too_large(weights: Weights) -> None:
    """Before a model is loaded for the comparison alone: is there memory for it?

    Raises:
        ModelError: float32 weights would take more than what is free.
    """
    needed = 4 * sum(tensor.size for tensor in facts.tensors_of(weights.base).values())
    free = memory.available().free
    if needed > free:
        raise ModelError(
            f"{weights.base} takes {needed / 1e9:.0f} GB in float32 to compare log-probabilities with the server's, "
            f"and {free / 1e9:.0f} GB are free. Set probe to false, or give swap the network or its log-probabilities."
        )


def forward(network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[list[float]]:
    """Log-probability of each token of each completion in :data:`TEXTS`, by one plain forward pass each.

    Args:
        network: a model that is in memory, an adapter's included; its dropout is off meanwhile.
        tokenizer: its own.
    """
    import torch

    found = []
    with torch.inference_mode(), _still(network):
        for prompt, completion in TEXTS:
            before = list(tokenizer(prompt)["input_ids"])
            after = list(tokenizer(completion, add_special_tokens=False)["input_ids"])
            ids = torch.tensor([before + after], device=network.device)
            logits = network(input_ids=ids, use_cache=False).logits[0, len(before) - 1 : -1].float()
            found.append(logits.log_softmax(-1).gather(1, ids[0, len(before) :, None])[:, 0].tolist())
    return found


def compare(
    found: Sequence[Sequence[float]],
    wanted: Sequence[Sequence[float]],
    tolerance: float,
    base: Sequence[Sequence[float]] = (),
) -> Agreement:
    """How far two models are apart.

    Args:
        found: log-probabilities from the server.
        wanted: from the model that it should serve.
        tolerance: in nats.
        base: from that model's base, where it is an adapter.

    Raises:
        ModelError: the texts have other numbers of tokens.
    """
    sizes, own = ([len(values) for values in side] for side in (found, wanted))
    if sizes != own:
        raise ModelError(
            f"the probe's texts have {own} tokens for the model and {sizes} for the server: two tokenizers."
        )
    return Agreement(_apart(found, wanted), tolerance, _apart(base, wanted) if base else math.nan)


def _apart(one: Sequence[Sequence[float]], other: Sequence[Sequence[float]]) -> float:
    pairs = [pair for a, b in zip(one, other, strict=True) for pair in zip(a, b, strict=True)]
    return math.fsum(abs(a - b) for a, b in pairs) / len(pairs)


@contextmanager
def _still(network: Any) -> Iterator[None]:
    """Evaluation mode for a while."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)
