"""Learning rates that suit a model's size, each with where it comes from."""

from __future__ import annotations

from typing import NamedTuple

from porism.errors import RecipeError

__all__ = ["Rate", "learning_rate"]


class Rate(NamedTuple):
    """A learning rate."""

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
    size = "small" if parameters < _SMALL else "middle" if parameters < _MIDDLE else "large"
    found = _TABLES[kind][adapted, size]
    return found._replace(source=f"{found.source}; for {'adapters on ' if adapted else ''}{parameters / 1e6:,.3g}M")
