"""A conversation with a model: in the terminal, or over a pipe with a question a line.

The answer is shown as it is made. Ctrl-C stops it, and what was said stays in the conversation; at the prompt Ctrl-C
and Ctrl-D leave.
"""

from __future__ import annotations

import contextlib
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from threading import Event
from types import FrameType
from typing import Annotated, Any

from pydantic import Field

from porism import recipe
from porism.chat._session import Answer, ContextFull, Reading, Session
from porism.chat._terminal import Terminal
from porism.chat._thoughts import Splitter
from porism.engines import Engine, Sampling
from porism.errors import RecipeError, UserError, nearest
from porism.find import find
from porism.models.names import home
from porism.records import Message

__all__ = ["ContextFull", "Session", "Settings", "Terminal", "settings", "talk"]

_COMMANDS = {
    "help": "what can be typed",
    "system": "TEXT: set the system message; without a text, take it away",
    "reset": "begin a new conversation; the system message stays",
    "regenerate": "answer the last question again",
    "set": "NAME VALUE: change a setting, such as temperature 0.2; alone, show them",
    "exit": "leave, as Ctrl-D does",
}
_COMMAND = re.compile(r"/[a-z]")
_SAMPLING = ("temperature", "top_p", "top_k", "min_p", "max_tokens", "stop", "seed")


class Settings(recipe.Settings):
    """Settings of ``porism chat``."""

    engine: Annotated[str, Field(description="who answers")] = "local"
    system: Annotated[
        str | None, Field(description="a system message, '' for an empty one; left to the template if not given")
    ] = None
    temperature: Annotated[float, Field(description="0 takes the likeliest token", ge=0)] = 0.7
    top_p: Annotated[float, Field(description="nucleus sampling", gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(description="only the k likeliest tokens; 0 for all", ge=0)] = 0
    min_p: Annotated[float, Field(description="only tokens this share as likely as the likeliest", ge=0, le=1)] = 0.0
    max_tokens: Annotated[int, Field(description="longest answer", ge=1)] = 1024
    stop: Annotated[list[str], Field(description="texts that end an answer")] = []
    seed: Annotated[recipe.Seed, Field(description="of the sampling: the same session gives the same answers")] = 0
    history: Annotated[bool, Field(description="keep what is typed for the next session")] = True

    @property
    def sampling(self) -> Sampling:
        """How tokens are chosen."""
        chosen = {name: getattr(self, name) for name in _SAMPLING if name not in ("stop", "seed")}
        return Sampling(**chosen, stop=tuple(self.stop))


def settings(values: Mapping[str, Any]) -> type[Settings]:
    """The settings of a conversation: its own, and those of the engine that ``values`` names.

    Raises:
        RecipeError: no such engine.
    """
    return recipe.settings_of(_start(str(values.get("engine", "local"))), Settings)


def talk(model: str, chosen: Settings, terminal: Terminal | None = None) -> None:
    """Hold a conversation until the user leaves, or the pipe ends.

    Args:
        model: an alias, a folder, or a server's name for a model.
        chosen: the settings.
        terminal: where to talk; the standard streams if not given.

    Raises:
        UserError: the model cannot be had or has no chat template; over a pipe, also what befalls a question.
    """
    place = terminal or Terminal(history=home() / "chat_history" if chosen.history else None)
    reading = _reading(model) if chosen.engine == "local" else None
    if place.interactive:
        place.remark(f"Loading {model} …")
    engine = recipe.bind(_start(chosen.engine), chosen)(model)
    try:
        _Talk(Session(engine, reading, chosen.system), chosen, place).run(model)
    finally:
        engine.close()


class _Talk:
    """Questions, answers and commands in turn.

    Args:
        session: the conversation.
        chosen: the settings, which commands change.
        place: where it is held.
    """

    def __init__(self, session: Session, chosen: Settings, place: Terminal) -> None:
        self._session, self._chosen, self._place = session, chosen, place
        self._thinks = session.begins_in_thought

    def run(self, model: str) -> None:
        """Talk until there is no more to be said.

        Raises:
            UserError: over a pipe, what befalls a question or a command.
        """
        if self._place.interactive:
            self._place.remark(f"{model}. /help for help, Ctrl-C stops an answer, Ctrl-D leaves.")
        for text in self._place.questions():
            try:
                if _COMMAND.match(text):
                    if not self._obey(text):
                        return
                else:
                    self._answer(text)
            except UserError as error:
                if not self._place.interactive:
                    raise
                self._place.complain(str(error))

    def _answer(self, question: str) -> None:
        splitter = Splitter(thinking=self._thinks)
        cancel = Event()
        try:
            with _stopped_by_user(cancel):
                answer = self._session.ask(
                    question,
                    self._chosen.sampling,
                    self._chosen.seed,
                    lambda text: self._show(splitter.feed(text)),
                    cancel,
                )
        finally:
            self._show(splitter.flush())
        self._place.end()
        if self._place.interactive:
            self._place.remark(_summary(answer, self._chosen))
        elif answer.ended in ("full", "length"):
            self._place.remark(_ENDS[answer.ended].format(self._chosen.max_tokens).capitalize() + ".")

    def _show(self, parts: Any) -> None:
        for part in parts:
            self._place.write(part)

    def _obey(self, text: str) -> bool:
        """Do what a command says. False to leave.

        Raises:
            RecipeError: there is no such command, or it cannot be done.
        """
        name, _, rest = text[1:].partition(" ")
        does: dict[str, Callable[[str], None]] = {
            "help": self._help,
            "system": self._system,
            "reset": self._reset,
            "regenerate": self._regenerate,
            "set": self._set,
        }
        if name == "exit":
            return False
        if name not in does:
            known = ", ".join(f"/{command}" for command in _COMMANDS)
            raise RecipeError(f"no command /{name}.{nearest(name, _COMMANDS)} Known: {known}.")
        does[name](rest.strip())
        return True

    def _help(self, rest: str) -> None:
        del rest
        for name, text in _COMMANDS.items():
            self._place.remark(f"/{name:<11} {text}")
        self._place.remark('""" begins a question of several lines, and ends it.')

    def _system(self, rest: str) -> None:
        self._session.system = rest or None
        self._place.remark(f"System message: {rest}" if rest else "No system message of yours.")

    def _reset(self, rest: str) -> None:
        del rest
        self._session.reset()
        self._place.remark("A new conversation.")

    def _regenerate(self, rest: str) -> None:
        del rest
        self._answer("")

    def _set(self, rest: str) -> None:
        name, _, value = rest.partition(" ")
        if name:
            if name not in _SAMPLING:
                raise RecipeError(f"no setting {name!r}.{nearest(name, _SAMPLING)} Known: {', '.join(_SAMPLING)}.")
            given = recipe.scalar(value) if name != "stop" else [value] if value else []
            changed = {**self._chosen.model_dump(), name: given}
            self._chosen = recipe.build(type(self._chosen), changed, "/set")
        self._place.remark(", ".join(f"{one} {getattr(self._chosen, one)}" for one in _SAMPLING))


_ENDS = {
    "stop": "",
    "stopped": "stopped",
    "length": "cut off at max_tokens {}; raise it with /set max_tokens, or say: go on",
    "full": "cut off: the model's context is full; /reset begins a new conversation",
}
"""How an answer ended → what to say of it."""


def _summary(answer: Answer, chosen: Settings) -> str:
    """Tokens, their rate, and how the answer ended where that is not as it should."""
    said = [f"{answer.tokens:,} tokens", f"{answer.rate:.1f} tokens/s", _ENDS[answer.ended].format(chosen.max_tokens)]
    return f"[{', '.join(part for part in said if part)}]"


@contextlib.contextmanager
def _stopped_by_user(cancel: Event) -> Iterator[None]:
    """While this lasts, Ctrl-C sets ``cancel``; where the engine does not heed that, a second one ends the chat."""

    def stop(number: int, frame: FrameType | None) -> None:
        del number, frame
        if cancel.is_set():
            raise KeyboardInterrupt
        cancel.set()

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _start(name: str) -> Callable[..., Engine]:
    start: Callable[..., Engine] = find("porism.engines", name, "start")
    return start


def _reading(model: str) -> Reading:
    """How a model on this machine reads a conversation, found before its weights are loaded.

    Raises:
        ModelError: unknown or unsafe, or without a chat template.
    """
    from porism.models import facts
    from porism.prompts.render import encode

    where = facts.place_of(model)
    tokenizer = facts.tokenizer_of(where)
    encode(tokenizer, [Message(role="user", content="?")])
    return Reading(tokenizer, facts.context_of(facts.config_of(where)).get("max_position_embeddings", 0))
