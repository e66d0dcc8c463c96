"""Engines generate text. All share one interface, so a strategy does not know which one runs.

An engine is a module with ``start(model, **options) -> Engine``.
"""

from __future__ import annotations

import math
import reprlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Event
from types import UnionType
from typing import TYPE_CHECKING, Protocol

from porism.errors import RecipeError
from porism.records import Finish, Message

if TYPE_CHECKING:
    from porism.engines._shelf import Shelf

__all__ = ["LOADS", "Engine", "OnText", "Reply", "Request", "Sample", "Sampling", "cached", "kept"]


LOADS = ("local", "vllm")
"""Engines that load a model's folder, whose hash therefore names the weights that answer."""
_MAX_STOPS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How tokens are chosen and when to stop.

    Raises:
        RecipeError: a value outside its range, or of another type.
    """

    temperature: float = 0.0
    """0 takes the most likely token each time."""
    top_p: float = 1.0
    """Nucleus: the smallest set of tokens whose probabilities reach this. In (0, 1]."""
    top_k: int = 0
    """Only the k most likely tokens; 0 for all."""
    max_tokens: int = 256
    """Most tokens to generate."""
    min_p: float = 0.0
    """Only tokens at least this share as likely as the likeliest (Nguyen et al., 2024). In [0, 1]."""
    stop: tuple[str, ...] = ()
    """Texts that end the generation; they are kept out of the reply."""
    logit_bias: tuple[tuple[int, float], ...] = ()
    """Token id → what is added to its logit, before everything else."""
    json_schema: str = ""
    """A JSON schema that the answer follows; behind a prefix, what comes after it."""
    regex: str = ""
    """A regular expression that the whole answer matches; behind a prefix, all that comes after it."""

    def __post_init__(self) -> None:
        for name in ("temperature", "top_p", "min_p"):
            _must(isinstance(getattr(self, name), int | float), name, "a number", getattr(self, name))
        for name in ("top_k", "max_tokens"):
            _must(isinstance(getattr(self, name), int), name, "a whole number", getattr(self, name))
        for name in ("json_schema", "regex"):
            _must(isinstance(getattr(self, name), str), name, "a text", getattr(self, name))
        _must(_all_are(self.stop, str), "stop", "a tuple of texts, such as ('END',)", self.stop)
        _must(_is_bias(self.logit_bias), "logit_bias", "a tuple of pairs (token id, finite number)", self.logit_bias)
        limits = (
            (0 <= self.temperature < math.inf, "temperature", "at least 0, and finite", self.temperature),
            (0 < self.top_p <= 1, "top_p", "in (0, 1]", self.top_p),
            (self.top_k >= 0, "top_k", "at least 0", self.top_k),
            (0 <= self.min_p <= 1, "min_p", "in [0, 1]", self.min_p),
            (self.max_tokens >= 1, "max_tokens", "at least 1", self.max_tokens),
            (all(self.stop), "stop", "texts that are not empty", self.stop),
            (len(self.stop) <= _MAX_STOPS, "stop", f"at most {_MAX_STOPS} texts", len(self.stop)),
            (not (self.json_schema and self.regex), "regex", "none beside json_schema", self.regex),
        )
        for holds, name, wanted, value in limits:
            _must(holds, name, wanted, value)


def _must(holds: bool, name: str, wanted: str, value: object) -> None:
    if not holds:
        raise RecipeError(f"{name}: expected {wanted}, got {reprlib.repr(value)}.")


def _all_are(values: object, kind: type | UnionType) -> bool:
    return isinstance(values, tuple) and all(isinstance(value, kind) for value in values)


def _is_bias(values: object) -> bool:
    return isinstance(values, tuple) and all(
        _all_are(pair, int | float) and len(pair) == 2 and isinstance(pair[0], int) and math.isfinite(pair[1])
        for pair in values
    )


def _is_message(value: object) -> bool:
    return isinstance(value, Mapping) and all(isinstance(value.get(name), str) for name in ("role", "content"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One prompt to be answered ``n`` times: messages, or bare text, or token ids.

    Raises:
        RecipeError: none of the three or several of them, ``n`` below 1, or a value of another type.
    """

    messages: Sequence[Message] = ()
    text: str = ""
    """A prompt to which no chat template is applied."""
    ids: Sequence[int] = ()
    """A prompt as token ids."""
    prefix: str = ""
    """What the answer begins with; it is part of the sample's text."""
    sampling: Sampling = field(default_factory=Sampling)
    n: int = 1
    seed: int = 0
    """Sample ``i`` draws from a generator seeded by ``(seed, i)`` alone."""
    logprobs: bool = False
    """Whether samples carry the log-probability of each of their tokens."""
    first: int = 0
    """Number of the first sample, for an engine that says ``takes_first``: the others are there already."""

    def __post_init__(self) -> None:
        given = [name for name in ("messages", "text", "ids") if len(getattr(self, name))]
        if len(given) != 1:
            raise RecipeError(f"a request takes one of messages, text and ids, got {', '.join(given) or 'none'}.")
        wanted = "a list of {'role': text, 'content': text}"
        _must(all(map(_is_message, self.messages)), "messages", wanted, self.messages)
        _must(all(isinstance(token, int) for token in self.ids), "ids", "whole numbers", self.ids)
        for name in ("text", "prefix"):
            _must(isinstance(getattr(self, name), str), name, "a text", getattr(self, name))
        for name, least in (("n", 1), ("first", 0)):
            value = getattr(self, name)
            _must(isinstance(value, int) and value >= least, name, f"at least {least}, and whole", value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One answer."""

    text: str
    finish: Finish = "stop"
    tokens: int = 0
    """Tokens generated, the end token included."""
    error: str = ""
    ids: tuple[int, ...] = ()
    """The generated tokens, the end token included; not every engine tells them."""
    logprobs: tuple[float, ...] = ()
    """Of each generated token under the model itself (temperature 1, nothing cut off), where they were asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """The answers to one request."""

    samples: tuple[Sample, ...]
    prompt_tokens: int = 0
    weights: int = 0
    """Version of the weights that answered: it rises whenever a trainer has changed them."""


OnText = Callable[[int, int, str], None]
"""Called with a request's number, a sample's number and the text that was added."""


class Engine(Protocol):
    """Generates text."""

    @property
    def model(self) -> str:
        """Fingerprint of the weights that answer."""

    def generate(
        self, requests: Sequence[Request], *, on_text: OnText | None = None, cancel: Event | None = None
    ) -> list[Reply]:
        """Answer every request, in order. A request that fails has samples with ``finish="error"``.

        Args:
            requests: what to answer.
            on_text: told of text as it is made, where the engine can stream.
            cancel: once it is set, what is not finished ends with ``finish="error"``, error ``cancelled``.
        """

    def score(self, pairs: Sequence[tuple[Request, str]]) -> list[list[float]]:
        """Log-probability of each token of a completion, given its prompt.

        Raises:
            ModelError: the engine cannot score.
        """

    def close(self) -> None:
        """Release what the engine holds."""


def cached(engine: Engine, model: str, made_by: Mapping[str, object], *, single: bool = False) -> Engine:
    """The engine with its replies kept on disk, so that asking again costs nothing.

    Args:
        engine: who answers what is not kept; it is not asked for anything else.
        model: fingerprint of its weights.
        made_by: its name, and those of its settings that may change a reply.
        single: sample ``i`` of a request depends on its seed and on ``i`` alone, so that samples are kept one by one.

    Returns:
        An engine; its ``taken`` counts the samples that were not made again.
    """
    from porism.engines._cached import Cached

    return Cached(engine, kept(), model, made_by, single=single)


def kept() -> Shelf:
    """The replies that are kept: ``$PORISM_HOME/replies``, at most ``$PORISM_REPLIES_MB`` megabytes (1024; 0: none).

    Raises:
        RecipeError: that variable is no number.
    """
    from porism.engines._shelf import replies

    return replies()
