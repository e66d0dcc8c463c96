"""A conversation: what has been said, and the next answer."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

from porism.engines import Engine, Request, Sampling
from porism.errors import ModelError, RecipeError, UserError
from porism.prompts.render import encode, prompt_text
from porism.records import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Answer", "ContextFull", "Reading", "Session"]


class ContextFull(UserError):
    """The conversation and the answer do not fit what the model can read."""


class Answer(NamedTuple):
    """What came back."""

    text: str
    tokens: int
    seconds: float
    ended: str
    """``stop``; ``length``: cut off by max_tokens; ``full``: by the model's context; ``stopped``: by the user."""

    @property
    def rate(self) -> float:
        """Tokens a second, the time to read the prompt included."""
        return self.tokens / self.seconds if self.seconds else 0.0


class Reading(NamedTuple):
    """How a model in this process reads a conversation."""

    tokenizer: PreTrainedTokenizerBase
    context: int
    """Tokens that it can read and write; 0 if it is not stated."""


class Session:
    """The messages so far, and an engine to answer them.

    Args:
        engine: who answers.
        reading: to count tokens before they are sent; None where the engine is elsewhere.
        system: the system message; None for none of ours.
    """

    def __init__(self, engine: Engine, reading: Reading | None = None, system: str | None = None) -> None:
        self._engine, self._reading = engine, reading
        self.system = system
        self._said: list[Message] = []
        self._asked = 0

    @property
    def messages(self) -> list[Message]:
        """The conversation with its system message."""
        lead = [] if self.system is None else [Message(role="system", content=self.system)]
        return [*lead, *self._said]

    @property
    def begins_in_thought(self) -> bool:
        """Whether the template itself writes the tag that opens a thought."""
        if self._reading is None:
            return False
        text = prompt_text(self._reading.tokenizer, [Message(role="user", content="?")])
        return text.rstrip().endswith(("<think>", "<thinking>"))

    def reset(self) -> None:
        """Forget what was said; the system message stays."""
        self._said.clear()

    def ask(
        self, question: str, sampling: Sampling, seed: int, on_text: Callable[[str], None], cancel: Event
    ) -> Answer:
        """Say something and get an answer, which both become part of the conversation. A stopped answer stays as it is.

        Args:
            question: what the user says; empty to answer the last question again.
            sampling: how tokens are chosen; ``max_tokens`` is lowered to what the context leaves.
            seed: of the conversation; each answer draws from another.
            on_text: told of the text as it is made.
            cancel: stops the answer once it is set.

        Raises:
            ContextFull: nothing fits any more.
            UserError: the engine cannot answer, or there is no question yet. The conversation is then as it was before.
        """
        before = list(self._said)
        if question:
            self._said.append(Message(role="user", content=question))
        elif self._said:
            self._said.pop()
        else:
            raise RecipeError("there is no answer yet that could be made again.")
        answer: Answer | None = None
        try:
            answer = self._answered(sampling, seed, on_text, cancel)
        finally:
            if answer is None or (answer.ended == "stopped" and not answer.text):
                self._said = before
        return answer

    def _answered(self, sampling: Sampling, seed: int, on_text: Callable[[str], None], cancel: Event) -> Answer:
        room = self._room()
        lowered = room is not None and room < sampling.max_tokens
        if room is not None and lowered:
            sampling = dataclasses.replace(sampling, max_tokens=room)
        told: list[str] = []

        def tell(_request: int, _sample: int, text: str) -> None:
            told.append(text)
            on_text(text)

        request = Request(messages=self.messages, sampling=sampling, seed=seed + self._asked)
        self._asked += 1
        begun = time.monotonic()
        sample = self._engine.generate([request], on_text=tell, cancel=cancel)[0].samples[0]
        seconds = time.monotonic() - begun
        text = "".join(told)
        if sample.finish != "error":
            if len(sample.text) > len(text) and sample.text.startswith(text):  # an engine that does not stream
                on_text(sample.text[len(text) :])
            text = sample.text
        elif not cancel.is_set():
            raise ModelError(f"no answer: {sample.error}")
        ended: str = "stopped" if sample.finish == "error" else sample.finish
        if ended == "length" and lowered:
            ended = "full"
        self._said.append(Message(role="assistant", content=text))
        return Answer(text, sample.tokens or len(told), seconds, ended)

    def _room(self) -> int | None:
        """How many tokens an answer may have; None where that cannot be told.

        Raises:
            ContextFull: none.
            ModelError: the conversation cannot be tokenised.
        """
        if self._reading is None or not self._reading.context:
            return None
        try:
            length, context = len(encode(self._reading.tokenizer, self.messages)), self._reading.context
        except TypeError as error:
            raise ModelError(f"the question cannot be tokenised: {error}.") from None
        if length >= context:
            raise ContextFull(
                f"the conversation has {length:,} tokens, and the model reads {context:,} at most. Begin a new one "
                "with /reset, or ask something shorter."
            )
        return context - length
