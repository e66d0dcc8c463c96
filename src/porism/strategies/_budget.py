"""Budgets of an attempt: in tokens, in calls of the model, in seconds."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple

from pydantic import Field

from porism.engines import Engine, Reply, Request

__all__ = ["Budget", "Made", "Purse", "Stopped", "generate"]


class Budget(NamedTuple):
    """What one attempt may cost; where it is used up, the best answer so far is taken, and marked."""

    budget_tokens: Annotated[int, Field(description="most tokens generated for an attempt; 0: no limit", ge=0)] = 0
    budget_calls: Annotated[int, Field(description="most texts generated for an attempt; 0: no limit", ge=0)] = 0
    budget_seconds: Annotated[
        float, Field(description="seconds from the beginning of a batch of problems; 0: no limit", ge=0)
    ] = 0.0


class Stopped(Exception):
    """A budget is used up, or the engine failed: the message is what the trace says."""


class Purse:
    """What is left of a budget.

    Args:
        budget: of the attempt.
        began: when its batch began, on the monotonic clock.
    """

    def __init__(self, budget: Budget, began: float) -> None:
        self._budget = budget
        self.tokens = self.calls = 0
        self.deadline = began + budget.budget_seconds if budget.budget_seconds else None

    def admit(self, wanted: int, max_tokens: int) -> tuple[int, int]:
        """How many of the texts that are wanted can be had, and how long each may become.

        Raises:
            Stopped: none.
        """
        if self.deadline is not None and time.monotonic() >= self.deadline:
            raise Stopped("seconds")
        if self._budget.budget_calls:
            wanted = min(wanted, self._budget.budget_calls - self.calls)
            if wanted < 1:
                raise Stopped("calls")
        if self._budget.budget_tokens:
            left = self._budget.budget_tokens - self.tokens
            if left < 1:
                raise Stopped("tokens")
            wanted = min(wanted, left)
            max_tokens = min(max_tokens, left // wanted)
        return wanted, max_tokens

    def spend(self, calls: int, tokens: int) -> None:
        """Account for texts that were generated."""
        self.calls += calls
        self.tokens += tokens


class Made(NamedTuple):
    """A reply, and what each of its tokens took."""

    reply: Reply
    seconds: float
    """Of the batch's time, for one token."""


def generate(engine: Engine, requests: Sequence[Request], deadline: float | None) -> list[Made]:
    """Replies to a batch of requests; what is not finished by the deadline ends with the error ``cancelled``."""
    began = time.monotonic()
    with _cancelled(deadline) as cancel:
        replies = engine.generate(requests, cancel=cancel) if cancel else engine.generate(requests)
    tokens = sum(sample.tokens for reply in replies for sample in reply.samples)
    each = (time.monotonic() - began) / max(tokens, 1)
    return [Made(reply, each) for reply in replies]


@contextlib.contextmanager
def _cancelled(deadline: float | None) -> Iterator[threading.Event | None]:
    """An event that is set when the deadline passes."""
    if deadline is None:
        yield None
        return
    event = threading.Event()
    timer = threading.Timer(max(0.0, deadline - time.monotonic()), event.set)
    timer.daemon = True
    timer.start()
    try:
        yield event
    finally:
        timer.cancel()
