"""Profiles: named, versioned and hashed ways to ask and to score as other harnesses do.

A profile is a file in ``porism/prompts/profiles``: the prompt to the byte, examples, stops, token limit, and the names
of the scores that its harness reports, each with the extraction profile of :mod:`porism.graders` that gives it.
``lm-eval/gsm8k@3`` names one and its version; without ``@`` the version that is here is meant.
"""

from __future__ import annotations

import functools
import json
import random
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, NamedTuple

from porism.errors import DataError, RecipeError, nearest
from porism.records import Message, Problem, content_id

__all__ = ["SEED", "TaskProfile", "Worked", "known", "load"]

SEED = 1234
"""Of the draw of examples: lm-eval's default."""

_FOLDER = resources.files("porism.prompts").joinpath("profiles")
_HOLE = re.compile(r"\{(question|solution|answer|worked)\}")
_DRAWN = "drawn"


class Worked(NamedTuple):
    """An example that is shown."""

    question: str
    solution: str = ""
    answer: str = ""
    worked: str = ""
    """The data set's own solution, calculator annotations and ``####`` among it."""


class TaskProfile(NamedTuple):
    """How a harness asks and scores one task."""

    name: str
    version: str
    source: str
    """Where it was read."""
    question: str
    """What is written for a question, with ``{question}``."""
    response: str
    """What is written for an example's answer."""
    between: str
    """Between a question and an example's answer, in a prompt without turns."""
    after: str
    """Behind an example's answer, in a prompt without turns."""
    shots: int
    examples: str
    """A shipped file of examples; ``drawn`` for examples that are drawn anew for each problem."""
    chat: str
    """``text``: one text to which no chat template is applied. ``turns``: turns of a chat."""
    stop: tuple[str, ...]
    max_tokens: int
    scores: Mapping[str, str]
    """The harness's name of a score → an extraction profile, or ``symbolic``. The first is what it reports."""
    shown: tuple[Worked, ...] = ()

    @property
    def label(self) -> str:
        """Name and version."""
        return f"{self.name}@{self.version}"

    @property
    def hash(self) -> str:
        """A hash of all that it says, examples among it."""
        return content_id(*(dict(value) if isinstance(value, Mapping) else value for value in self))

    @property
    def draws(self) -> bool:
        """Whether examples have to be given."""
        return self.examples == _DRAWN

    def text(self, problem: Problem, examples: Sequence[Worked] | None = None) -> str:
        """The prompt of a problem as one text.

        Args:
            problem: what is asked.
            examples: what is shown first; the profile's own if left out.
        """
        shown = self.shown if examples is None else examples
        turns = (f"{self._asked(one)}{self.between}{_filled(self.response, one)}{self.after}" for one in shown)
        return "".join([*turns, self._asked(_of(problem))])

    def messages(self, problem: Problem, examples: Sequence[Worked] | None = None) -> list[Message]:
        """The prompt as turns of a chat; of a profile without turns, its one text as the user's turn."""
        if self.chat == "text":
            return [Message(role="user", content=self.text(problem, examples))]
        found: list[Message] = []
        for one in self.shown if examples is None else examples:
            found += [
                Message(role="user", content=self._asked(one)),
                Message(role="assistant", content=_filled(self.response, one)),
            ]
        return [*found, Message(role="user", content=self._asked(_of(problem)))]

    def drawn(self, examples: Sequence[Problem], problems: int) -> list[list[Worked]]:
        """The examples of each of so many problems, as lm-eval draws them, one problem after the other.

        Args:
            examples: the training split, all of it and in its order.
            problems: how many there are.

        Raises:
            DataError: too few examples.
        """
        if len(examples) < self.shots:
            raise DataError(f"{self.label}: expected at least {self.shots} examples, got {len(examples)}.")
        rng = random.Random(SEED)
        pool = list(map(_of, examples))
        return [rng.sample(pool, self.shots) for _ in range(problems)]

    def _asked(self, one: Worked) -> str:
        return _filled(self.question, one)


def _of(problem: Problem) -> Worked:
    worked = problem.meta.get("annotated")
    return Worked(
        problem.question, problem.solution, problem.answer, worked if isinstance(worked, str) else problem.solution
    )


def _filled(template: str, one: Worked) -> str:
    return _HOLE.sub(lambda hole: getattr(one, hole[1]), template)


def known() -> list[str]:
    """The names of all profiles, with their versions."""
    return sorted(one.label for one in _all().values())


def load(name: str) -> TaskProfile:
    """A profile by its name.

    Args:
        name: such as ``lm-eval/gsm8k@3`` or ``lm-eval/gsm8k``.

    Raises:
        RecipeError: no such profile, or another version of it.
    """
    bare, _, version = name.partition("@")
    found = _all().get(bare)
    if found is None:
        raise RecipeError(f"no profile {name!r}.{nearest(bare, _all())} Known: {', '.join(known())}.")
    if version and version != found.version:
        raise RecipeError(
            f"{name}: expected version {found.version}, which is the one that is here, got {version}. Figures of "
            "another version cannot be compared."
        )
    return found


@functools.cache
def _all() -> dict[str, TaskProfile]:
    import yaml

    found = {}
    for entry in _FOLDER.iterdir():
        if entry.name.endswith(".yaml"):
            values: dict[str, Any] = yaml.safe_load(entry.read_text(encoding="utf-8"))
            values["stop"] = tuple(values["stop"])
            if values["examples"] and values["examples"] != _DRAWN:
                rows = _FOLDER.joinpath(f"{values['examples']}.jsonl").read_text(encoding="utf-8").splitlines()
                values["shown"] = tuple(Worked(**json.loads(row)) for row in rows)
            profile = TaskProfile(**values)
            found[profile.name] = profile
    return found
