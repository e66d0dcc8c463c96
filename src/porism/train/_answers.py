"""Accuracy on generated answers while training runs: the model as it is now answers problems, and graders judge."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, cast

from porism import graders, store
from porism.engines import Request, Sampling
from porism.errors import DataError
from porism.models.load import Loaded
from porism.models.packing import ATTENTION
from porism.records import JUDGED, Attempt, Message, Problem

__all__ = ["Answering", "generating"]


@contextmanager
def generating(network: Any) -> Iterator[None]:
    """In here a network in training generates: without dropout, and on another attention than packed rows need."""
    was = network.training
    network.eval()
    network.set_attn_implementation("sdpa")
    try:
        yield
    finally:
        network.train(was)
        network.set_attn_implementation(ATTENTION)


class Answering:
    """Answers the problems of an evaluation at temperature 0 and grades the answers.

    Args:
        loaded: the model; its weights are looked at each time.
        paths: files or stage folders with problems.
        max_tokens: longest answer.
        ask: makes messages of a problem.

    Raises:
        DataError: no problems.
    """

    def __init__(
        self, loaded: Loaded, paths: Sequence[str], max_tokens: int, ask: Callable[[Problem], list[Message]]
    ) -> None:
        self._loaded, self._sampling, self._ask = loaded, Sampling(max_tokens=max_tokens), ask
        self._problems = [cast("Problem", record) for path in paths for record in store.read(path, Problem)]
        if not self._problems:
            raise DataError(f"{', '.join(paths)}: no problems to answer.")

    def __call__(self) -> Mapping[str, float]:
        """``accuracy``, and ``judged``: the share of answers on which there is a judgement."""
        from porism.engines.local import Local

        with generating(self._loaded.model):
            replies = Local(self._loaded).generate(
                [Request(messages=self._ask(one), sampling=self._sampling) for one in self._problems]
            )
        attempts = [
            Attempt(
                problem=problem,
                strategy="direct",
                messages=self._ask(problem),
                text=reply.samples[0].text,
                finish=reply.samples[0].finish,
            )
            for problem, reply in zip(self._problems, replies, strict=True)
        ]
        verdicts = graders.grade_all(attempts)
        total = len(verdicts)
        return {
            "accuracy": sum(verdict.correct for verdict in verdicts) / total,
            "judged": sum(verdict.status in JUDGED for verdict in verdicts) / total,
        }
