"""Engines generate text. All share one interface, so a strategy does not know which one runs.

An engine is a module with ``start(model, **options) -> Engine``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from porism.errors import RecipeError
from porism.records import Finish, Message

__all__ = ["Engine", "Reply", "Request", "Sample", "Sampling"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are chosen and when to stop.

    Raises:
        RecipeError: a value outside its range.
    """

    temperature: float = 0.0
    """0 takes the most likely token each time."""
    top_p: float = 1.0
    """Nucleus: the smallest set of tokens whose probabilities reach this. In (0, 1]."""
    top_k: int = 0
    """Only the k most likely tokens; 0 for all."""
    max_tokens: int = 256
    """Most tokens to generate."""
    stop: tuple[str, ...] = ()
    """Texts that end the generation; they are kept out of the reply."""

    def __post_init__(self) -> None:
        limits = (
            (self.temperature >= 0, "temperature", "at least 0", self.temperature),
            (0 < self.top_p <= 1, "top_p", "in (0, 1]", self.top_p),
            (self.top_k >= 0, "top_k", "at least 0", self.top_k),
            (self.max_tokens >= 1, "max_tokens", "at least 1", self.max_tokens),
            (all(self.stop), "stop", "texts that are not empty", self.stop),
        )
        for holds, name, wanted, value in limits:
            if not holds:
                raise RecipeError(f"{name}: expected {wanted}, got {value!r}.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One prompt to be answered ``n`` times."""

    messages: Sequence[Message]
    sampling: Sampling = field(default_factory=Sampling)
    n: int = 1
    seed: int = 0
    """Sample ``i`` draws from a generator seeded by ``(seed, i)`` alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One answer."""

    text: str
    finish: Finish = "stop"
    tokens: int = 0
    """Tokens generated, the end token included."""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answers to one request."""

    samples: tuple[Sample, ...]
    prompt_tokens: int = 0


class Engine(Protocol):
    """Generates text."""

    @property
    def model(self) -> str:
        """Fingerprint of the weights that answer."""

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer every request, in order. A request that fails has samples with ``finish="error"``."""

    def close(self) -> None:
        """Release what the engine holds."""
