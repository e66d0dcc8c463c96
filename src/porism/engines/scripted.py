r"""Answers written in advance, for tests of recipes, strategies and stages: no model, no waiting.

from porism.engines.scripted import Scripted
engine = Scripted({"What is 2 + 2?": "2 + 2 = 4\n#### 4"})
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from threading import Event
from typing import Annotated

from pydantic import Field

from porism.engines import OnText, Reply, Request, Sample
from porism.errors import DataError
from porism.files import load_json

__all__ = ["Scripted", "start"]


class Scripted:
    """An engine that looks its answers up.

    Args:
        script: the user's last message → the answer, or a list with one answer a sample; or a function of the
            request and the sample's number.
        default: the answer where the script has none.
    """

    takes_first = True

    def __init__(
        self,
        script: Mapping[str, str | Sequence[str]] | Callable[[Request, int], str],
        default: str = "",
    ) -> None:
        self.model = "scripted"
        self._script, self._default = script, default
        self.requests: list[Request] = []
        """Every request so far, for a test to look at."""

    def generate(
        self, requests: Sequence[Request], *, on_text: OnText | None = None, cancel: Event | None = None
    ) -> list[Reply]:
        """Answer from the script. Tokens are counted as words; ``max_tokens`` cuts after that many."""
        self.requests.extend(requests)
        if cancel is not None and cancel.is_set():
            ended = Sample(text="", finish="error", error="cancelled")
            return [Reply(samples=(ended,) * request.n) for request in requests]
        replies = [
            Reply(samples=tuple(self._sample(r, r.first + i) for i in range(r.n)), prompt_tokens=_words(r))
            for r in requests
        ]
        if on_text is not None:
            for index, reply in enumerate(replies):
                for number, sample in enumerate(reply.samples):
                    on_text(index, number, sample.text)
        return replies

    def score(self, pairs: Sequence[tuple[Request, str]]) -> list[list[float]]:
        """Every word has the log-probability −1."""
        return [[-1.0] * len(text.split()) for _, text in pairs]

    def close(self) -> None:
        """Nothing is held."""

    def _sample(self, request: Request, number: int) -> Sample:
        if callable(self._script):
            text = self._script(request, number)
        else:
            found = self._script.get(_asked(request), self._default)
            text = found if isinstance(found, str) else found[number % len(found)]
        for stop in request.sampling.stop:
            text = text.partition(stop)[0]
        words = text.split(" ")
        limit = request.sampling.max_tokens
        if len(words) > limit:
            return Sample(text=request.prefix + " ".join(words[:limit]), finish="length", tokens=limit)
        return Sample(text=request.prefix + text, tokens=len(words))


def _asked(request: Request) -> str:
    return request.messages[-1]["content"] if request.messages else request.text or " ".join(map(str, request.ids))


def _words(request: Request) -> int:
    return sum(len(message["content"].split()) for message in request.messages) or len(_asked(request).split())


def start(
    model: str,
    *,
    script: Annotated[str, Field(description="a JSON file: user's last message → answer, or list of answers")] = "",
    default: Annotated[str, Field(description="the answer where the script has none")] = "",
) -> Scripted:
    """An engine with the answers of a JSON file; the model's name is ignored.

    Raises:
        DataError: the file is missing or is not an object of answers.
    """
    del model
    if not script:
        return Scripted({}, default)
    value = load_json(Path(script).expanduser())
    if not isinstance(value, dict):
        raise DataError(f"{script}: expected a JSON object of question → answer, got {type(value).__name__}.")
    for asked, answer in value.items():
        answers = answer if isinstance(answer, list) else [answer]
        if not answers or not all(isinstance(text, str) for text in answers):
            raise DataError(f"{script}: expected a text or a list of texts for {asked[:60]!r}, got {answer!r:.60}.")
    return Scripted(value, default)
