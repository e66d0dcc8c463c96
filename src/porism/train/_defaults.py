"""Learning rates and batches that suit a model's size, each with where it comes from."""

from __future__ import annotations

from typing import NamedTuple

from porism.errors import RecipeError

__all__ = ["Rate", "batch_rows", "learning_rate", "micro_tokens"]


class Rate(NamedTuple):
    """A setting to begin with: a learning rate, or a size of batches."""

    value: float
    source: str


_SMALL = 500_000_000
_MIDDLE = 2_000_000_000

_SUPERVISED = {
    (True, "small"): Rate(1e-3, "measured on a 135M model"),
    (True, "middle"): Rate(2e-4, "usual for LoRA from 1B on (QLoRA, arXiv:2305.14314)"),
    (True, "large"): Rate(2e-4, "usual for LoRA from 1B on (QLoRA, arXiv:2305.14314)"),
    (False, "small"): Rate(2e-4, "measured on a 135M model"),
    (False, "middle"): Rate(5e-5, "between what suits 135M and 8B"),
    (False, "large"): Rate(2e-5, "Magpie's supervised fine-tuning of 8B (arXiv:2406.08464)"),
}
_PREFERENCE = {
    (True, "small"): Rate(5e-5, "ten times the rate of full training, as is usual for adapters"),
    (True, "middle"): Rate(1e-5, "ten times the rate of full training, as is usual for adapters"),
    (True, "large"): Rate(5e-6, "ten times the rate of full training, as is usual for adapters"),
    (False, "small"): Rate(5e-6, "ten times that of 8B, since small models move less a step"),
    (False, "middle"): Rate(1e-6, "PromptCoT's self-play DPO of 1.5B to 7B"),
    (False, "large"): Rate(5e-7, "Magpie's DPO of 8B (arXiv:2406.08464)"),
}
_SCORE = {
    (True, "small"): Rate(5e-4, "half of the supervised rate: one number an answer is less to learn from"),
    (True, "middle"): Rate(1e-4, "TRL's for reward models"),
    (True, "large"): Rate(1e-4, "TRL's for reward models"),
    (False, "small"): Rate(5e-5, "a quarter of the supervised rate: one number an answer is less to learn from"),
    (False, "middle"): Rate(1e-5, "usual for reward models"),
    (False, "large"): Rate(5e-6, "usual for reward models of 7B and more"),
}
_POLICY = {
    (True, "small"): Rate(1e-4, "ten times the rate of full training, as is usual for adapters"),
    (True, "middle"): Rate(2e-5, "ten times the rate of full training, as is usual for adapters"),
    (True, "large"): Rate(1e-5, "ten times the rate of full training, as is usual for adapters"),
    (False, "small"): Rate(1e-5, "ten times that of 7B, since small models move less a step"),
    (False, "middle"): Rate(2e-6, "between what suits 135M and 7B"),
    (False, "large"): Rate(1e-6, "TRL's for GRPO, and DeepSeekMath's of 7B (arXiv:2402.03300)"),
}
_TABLES = {"supervised": _SUPERVISED, "preference": _PREFERENCE, "score": _SCORE, "policy": _POLICY}


def learning_rate(kind: str, parameters: int, *, adapted: bool) -> Rate:
    """The learning rate to begin with.

    Args:
        kind: ``supervised``, ``preference``, ``score`` or ``policy``.
        parameters: of the model.
        adapted: whether adapters are trained.

    Raises:
        RecipeError: an unknown kind.
    """
    if kind not in _TABLES:
        raise RecipeError(f"learning rate: expected one of {', '.join(_TABLES)}, got {kind!r}.")
    found = _TABLES[kind][adapted, _size(parameters)]
    return found._replace(source=f"{found.source}; for {'adapters on ' if adapted else ''}{parameters / 1e6:,.3g}M")


_ROWS = {
    ("supervised", "small"): Rate(16, "a few thousand rows still make some hundred steps"),
    ("supervised", "middle"): Rate(16, "a few thousand rows still make some hundred steps"),
    ("supervised", "large"): Rate(32, "Magpie's supervised fine-tuning of 8B (arXiv:2406.08464)"),
    ("preference", "small"): Rate(16, "a thousand pairs still make some sixty steps"),
    ("preference", "middle"): Rate(32, "between what suits 135M and 8B"),
    ("preference", "large"): Rate(128, "Magpie's DPO of 8B (arXiv:2406.08464)"),
    ("score", "small"): Rate(16, "a thousand rows still make some sixty steps"),
    ("score", "middle"): Rate(32, "between what suits 135M and 6B"),
    ("score", "large"): Rate(64, "InstructGPT's reward model of 6B (arXiv:2203.02155)"),
}
_TOKENS = {
    "small": Rate(4096, "about 1 MB of activations a token at 135M in float32"),
    "middle": Rate(4096, "about 3 MB of activations a token at 1B in bfloat16"),
    "large": Rate(2048, "about 5 MB of activations a token at 7B in bfloat16"),
}


def batch_rows(kind: str, parameters: int) -> Rate:
    """The rows in an optimiser step to begin with; a kind without a table has that of supervised training.

    Args:
        kind: see :func:`learning_rate`.
        parameters: of the model.
    """
    size = _size(parameters)
    found = _ROWS.get((kind, size)) or _ROWS["supervised", size]
    return found._replace(source=f"{found.source}; for {parameters / 1e6:,.3g}M")


def micro_tokens(parameters: int) -> Rate:
    """The most tokens in memory at once to begin with.

    Args:
        parameters: of the model.
    """
    return _TOKENS[_size(parameters)]


def _size(parameters: int) -> str:
    return "small" if parameters < _SMALL else "middle" if parameters < _MIDDLE else "large"
