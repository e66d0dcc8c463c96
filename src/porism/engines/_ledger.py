"""What an engine behind HTTP has used: requests, tokens, money; and the budget that ends it."""

from __future__ import annotations

import asyncio
from typing import NamedTuple

__all__ = ["Ledger", "OverBudget", "Usage"]

_PER = 1_000_000
"""Prices are for this many tokens."""


class Usage(NamedTuple):
    """Totals since the engine was started."""

    requests: int = 0
    """Requests that were answered."""
    retries: int = 0
    """Tries after the first."""
    failed: int = 0
    """Requests that failed for good."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost: float = 0.0
    """In the money of the prices."""


class OverBudget(Exception):
    """The request could cost more than is left."""


class Ledger:
    """Counts tokens and money.

    A request is let in only if all that is spent, all that is in flight at its dearest, and itself at its dearest stay
    within the budget. So the budget is never exceeded by what the server tells.

    Args:
        price_in: for a million prompt tokens.
        price_out: for a million generated tokens.
        budget: in the same money; 0 for no limit.
    """

    def __init__(self, price_in: float = 0.0, price_out: float = 0.0, budget: float = 0.0) -> None:
        self._price_in, self._price_out, self._budget = price_in, price_out, budget
        self._reserved = 0.0
        self._changed = asyncio.Event()
        self._closed = False
        self.usage = Usage()

    def price(self, prompt_tokens: int, completion_tokens: int) -> float:
        """What so many tokens cost."""
        return (prompt_tokens * self._price_in + completion_tokens * self._price_out) / _PER

    async def admit(self, dearest: float) -> None:
        """Let a request in, once what is in flight has told what it cost.

        Raises:
            OverBudget: it does not fit; nor is any later one let in.
        """
        if not self._budget:
            return
        while not self._closed and self.usage.cost + self._reserved + dearest > self._budget and self._reserved > 0:
            self._changed.clear()
            await self._changed.wait()
        if self._closed or self.usage.cost + dearest > self._budget:
            self._closed = True
            self._changed.set()
            raise OverBudget("budget used up")
        self._reserved += dearest

    def release(self, dearest: float) -> None:
        """End what :meth:`admit` let in; call :meth:`spend` before, where it cost something."""
        if self._budget:
            self._reserved = max(0.0, self._reserved - dearest)
            self._changed.set()

    def spend(self, prompt_tokens: int, completion_tokens: int) -> None:
        """Count an answered request."""
        now = self.usage
        self.usage = now._replace(
            requests=now.requests + 1,
            prompt_tokens=now.prompt_tokens + prompt_tokens,
            completion_tokens=now.completion_tokens + completion_tokens,
            cost=now.cost + self.price(prompt_tokens, completion_tokens),
        )

    def count(self, *, retries: int = 0, failed: int = 0) -> None:
        """Count tries after the first, and requests that failed for good."""
        self.usage = self.usage._replace(retries=self.usage.retries + retries, failed=self.usage.failed + failed)
