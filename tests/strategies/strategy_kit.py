"""What tests of strategies share: a strategy with its settings, an engine that says what a function says."""

from collections.abc import Callable, Sequence
from typing import Any

from porism import recipe, strategies
from porism.engines import Engine, Reply, Request, Sample, Sampling
from porism.engines.scripted import Scripted
from porism.records import Attempt, Problem
from porism.solve import Settings
from porism.strategies import Trace


def bound(name: str, **values: object) -> strategies.Strategy:
    """A strategy with its settings filled in."""
    kind = recipe.settings_of(strategies.function(name), Settings)
    return strategies.bind(name, recipe.build(kind, {"input": [], **values}, "test"))


def solved(
    name: str, problems: Sequence[Problem], engine: Engine, sampling: Sampling | None = None, **values: object
) -> list[Attempt]:
    """One attempt at each problem."""
    found = bound(name, **values)(problems, engine, sampling or Sampling(temperature=0.7))
    assert [len(tries) for tries in found] == [1] * len(problems)
    return [tries[0] for tries in found]


def traced(attempt: Attempt) -> Trace:
    found = strategies.trace_of(attempt)
    assert found is not None
    assert found.row() == attempt.meta["trace"], "what is read is what was written"
    return found


class Batches(Scripted):
    """A scripted engine that knows how many requests came at a time, and fails where it is told to."""

    def __init__(
        self, script: Callable[[Request, int], str], fails: Callable[[Request], bool] = lambda request: False
    ) -> None:
        super().__init__(script)
        self.batches: list[int] = []
        self._fails = fails

    def generate(self, requests: Sequence[Request], **options: Any) -> list[Reply]:
        self.batches.append(len(requests))
        broken = Sample(text="", finish="error", error="the server is gone")
        return [
            Reply(samples=(broken,) * request.n) if self._fails(request) else reply
            for request, reply in zip(requests, super().generate(requests, **options), strict=True)
        ]


def asked(request: Request) -> str:
    """The last message."""
    return request.messages[-1]["content"]
