"""Text that arrives in parts: stop strings cut off here, thoughts that are sent apart, streams put together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from porism.engines import Request

__all__ = ["Cutter", "Stream", "joined", "overlap"]

_THINK, _SAID = "<think>\n", "\n</think>\n\n"
"""What stands around thoughts that a server sends apart from the answer."""


def joined(thoughts: str, text: str, cutter: Cutter) -> Iterable[str]:
    """Thoughts and answer as one text; each ends at a stop string."""
    if thoughts:
        yield _THINK
        yield cutter.feed(thoughts) + cutter.flush()
        if text and not cutter.done:
            yield _SAID
    yield cutter.feed(text) + cutter.flush()


class Cutter:
    """Lets text through until a stop string comes, which may arrive in parts.

    Args:
        stops: the stop strings.
    """

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops, self._held = stops, ""
        self.done = False
        """A stop string has come."""

    def feed(self, text: str) -> str:
        """What can be passed on."""
        if self.done:
            return ""
        self._held += text
        ends = [at for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if ends:
            self.done = True
            out, self._held = self._held[: min(ends)], ""
            return out
        wait = max((overlap(self._held, stop) for stop in self._stops), default=0)
        out, self._held = self._held[: len(self._held) - wait], self._held[len(self._held) - wait :]
        return out

    def flush(self) -> str:
        """What was held back and turned out not to be a stop string."""
        out, self._held = self._held, ""
        return out


def overlap(text: str, stop: str) -> int:
    """How many characters at the end of ``text`` begin ``stop``."""
    return next((size for size in range(min(len(stop) - 1, len(text)), 0, -1) if text.endswith(stop[:size])), 0)


@dataclass
class _Growing:
    """A choice that is being streamed."""

    cutter: Cutter
    thoughts: list[str] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    ids: list[int] = field(default_factory=list)
    content: list[Any] = field(default_factory=list)
    tokens: list[Any] = field(default_factory=list)
    token_logprobs: list[Any] = field(default_factory=list)
    finish: str = ""

    def choice(self, index: int) -> dict[str, Any]:
        return {
            "index": index,
            "message": {"content": "".join(self.text), "reasoning": "".join(self.thoughts)},
            "finish_reason": self.finish,
            "token_ids": self.ids,
            "logprobs": {"content": self.content, "tokens": self.tokens, "token_logprobs": self.token_logprobs},
        }


class Stream:
    """Puts a streamed reply together, and passes its text on as it comes.

    Args:
        request: what was asked.
        numbers: which samples.
        tell: called with a sample's number and what was added to its text.
    """

    def __init__(self, request: Request, numbers: Sequence[int], tell: Callable[[int, str], None]) -> None:
        self._request, self._numbers, self._tell = request, numbers, tell
        self._choices: dict[int, _Growing] = {}
        self._usage: Any = None
        self.shown = False

    def feed(self, chunk: Any) -> None:
        """Take one part.

        Raises:
            ValueError: it is not a part of such a reply.
        """
        try:
            self._usage = chunk.get("usage") or self._usage
            for choice in chunk.get("choices") or ():
                self._take(int(choice.get("index") or 0), choice)
        except (AttributeError, KeyError, TypeError):
            raise ValueError(f"not a part of a streamed answer: {str(chunk)[:80]!r}") from None

    def _take(self, index: int, choice: Mapping[str, Any]) -> None:
        if index < len(self._numbers):
            if index not in self._choices:
                self._choices[index] = _Growing(Cutter(self._request.sampling.stop))
                self._say(index, self._request.prefix)
            self._add(index, self._choices[index], choice)

    def _add(self, index: int, to: _Growing, choice: Mapping[str, Any]) -> None:
        delta = choice.get("delta") or {}
        thought = delta.get("reasoning_content") or delta.get("reasoning") or ""
        text = delta.get("content") or delta.get("refusal") or choice.get("text") or ""
        if thought:
            self._say(index, ("" if to.thoughts else _THINK) + to.cutter.feed(thought))
            to.thoughts.append(thought)
        if text:
            if to.thoughts and not to.text:
                self._say(index, to.cutter.flush() + ("" if to.cutter.done else _SAID))
            self._say(index, to.cutter.feed(text))
            to.text.append(text)
        logprobs = choice.get("logprobs") or {}
        for name in ("content", "tokens", "token_logprobs"):
            getattr(to, name).extend(logprobs.get(name) or ())
        to.ids.extend(choice.get("token_ids") or ())
        if choice.get("finish_reason"):
            to.finish = str(choice["finish_reason"])
            self._say(index, to.cutter.flush())

    def _say(self, index: int, text: str) -> None:
        if text:
            self.shown = True
            self._tell(self._numbers[index], text)

    def reply(self) -> dict[str, Any]:
        """The whole, in the layout of a reply that was not streamed.

        Raises:
            ValueError: the stream ended early.
        """
        if not self._choices or not all(choice.finish for choice in self._choices.values()):
            raise ValueError("the stream ended early")
        return {"choices": [grown.choice(at) for at, grown in self._choices.items()], "usage": self._usage}
