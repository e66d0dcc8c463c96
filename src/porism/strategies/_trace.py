"""What a strategy did on the way to an answer, as it stands in the attempt's ``meta.trace``."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from porism.records import Attempt

__all__ = ["Branch", "Trace", "Turn", "trace_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Branch:
    """An answer that could be chosen."""

    sample: int = 0
    branch: str = ""
    """Where it grew, for a strategy whose answers are no samples of one prompt."""
    answer: str | None = None
    """The final answer that was read in it."""
    score: float | None = None
    tokens: int = 0
    """Generated for it."""
    seconds: float | None = None
    """Its share of the time in which its batch was generated, by tokens."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One generation, or one call of a tool."""

    does: str
    """What it was for: ``thought``, ``value``, ``feedback``, ``call``, …"""
    branch: str = ""
    """Where in the strategy's tree or sequence: ``1.0`` is the first branch below the second one."""
    text: str = ""
    """What came back."""
    score: float | None = None
    tokens: int = 0
    prompt_tokens: int = 0
    seconds: float = 0.0
    """As in :class:`Branch`; of a tool the time that it took."""
    call: Mapping[str, Any] = field(default_factory=dict)
    """The call, in OpenAI's format."""
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace:
    """All that was tried for one attempt."""

    candidates: Sequence[Branch] = ()
    chosen: int | None = None
    """The place of the candidate that was taken."""
    votes: Mapping[str, float] | None = None
    """Answer → weight, one entry for each class of equal answers."""
    turns: Sequence[Turn] = ()
    stopped: str = ""
    """What ended it before it was through: ``tokens``, ``calls`` or ``seconds`` for a budget, or what the engine said.

    The attempt is the best answer up to then.
    """
    calls: int = 0
    """Texts that were generated."""
    tokens: int = 0
    seconds: float | None = None

    def row(self) -> dict[str, Any]:
        """The trace as a JSON object, empty fields left out."""
        found: dict[str, Any] = _plain(self)
        return found


def trace_of(attempt: Attempt) -> Trace | None:
    """The trace that an attempt carries; None where it has none.

    Raises:
        ValueError: what stands there is no trace.
    """
    row = attempt.meta.get("trace")
    return None if row is None else _reader().validate_python(row)


@functools.cache
def _reader() -> Any:
    import pydantic

    return pydantic.TypeAdapter(Trace)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value):
        items = {one.name: _plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
        return {name: item for name, item in items.items() if item not in (None, "", [], {})}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return round(value, 6) if isinstance(value, float) else value
