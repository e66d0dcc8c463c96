"""Several tools under their names: described to a model, and called by it without harm."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from porism.errors import RecipeError, nearest
from porism.find import find, summary
from porism.records import Problem
from porism.sandbox import SandboxError
from porism.tools._answer import Answer, Call, shortened
from porism.tools._apart import Apart
from porism.tools._described import Described, described

__all__ = ["PARTS", "Toolbox"]

PARTS = "porism.tools"


class _Tool(NamedTuple):
    described: Described
    apart: Apart | None
    """Where it runs, if it is code from outside."""


class Toolbox:
    """Tools that a model may call.

    Those of Porism have limits of their own and run here; a user's function runs in a process of its own, which is
    killed when it overruns.

    Args:
        names: of tools: files of this package, ``package.module:name``, or ``path/file.py:name``, which is then called
            ``name``, or after its file where that is ``call``.
        settings: values of the tools' settings, by the tools' names.
        seconds: how long a call of a user's function may take.

    Raises:
        RecipeError: no such tool or setting, or two of the same name.
    """

    def __init__(
        self, names: Sequence[str], settings: Mapping[str, Mapping[str, Any]] | None = None, seconds: float = 10.0
    ) -> None:
        given = dict(settings or {})
        self._seconds = seconds
        self._tools: dict[str, _Tool] = {}
        for name in names:
            label = _label(name)
            if label in self._tools:
                raise RecipeError(f"tools: two are called {label!r}. Give one of the functions another name.")
            own = given.pop(label, {})
            outside = ":" in name
            if outside and own:
                raise RecipeError(f"the tool {name}: settings are for Porism's own tools. Give yours defaults.")
            known = described(find(PARTS, name, "call"), label, own)
            if not outside:
                known = known._replace(description=summary(PARTS, label))
            self._tools[label] = _Tool(known, Apart(name) if outside else None)
        if given:
            raise RecipeError(f"tools: settings for {', '.join(map(repr, given))}, which is not among the tools.")

    @property
    def names(self) -> list[str]:
        """What the tools are called."""
        return list(self._tools)

    def description(self, name: str) -> str:
        """What a tool does, in a line."""
        return self._tools[name].described.description

    def schema(self, name: str) -> dict[str, Any]:
        """The arguments of a tool, as JSON schema."""
        return self._tools[name].described.schema

    def specs(self) -> list[dict[str, Any]]:
        """The tools as OpenAI's ``tools`` describes them."""
        return [
            {
                "type": "function",
                "function": {
                    "name": name,
                    "description": self.description(name),
                    "parameters": self.schema(name),
                },
            }
            for name in self._tools
        ]

    def single(self, name: str) -> str:
        """The one argument of a tool that has a single required text; empty for another one."""
        schema = self.schema(name)
        required = schema.get("required", [])
        texts = [field for field in required if schema["properties"][field].get("type") == "string"]
        return texts[0] if len(required) == len(texts) == 1 else ""

    def call(self, call: Call, *, seconds: float | None = None, asked: Problem | None = None) -> Answer:
        """What a tool says. A call that makes no sense, and a tool that fails, are answers, too.

        Args:
            call: what is asked of it.
            seconds: less than the toolbox's own limit, where less is left.
            asked: the problem that is being solved, for tools that must not give its solution away.

        Raises:
            RecipeError: the sandbox that the tool needs cannot be had here, or the user's code cannot be imported.
        """
        if call.wrong:
            return Answer(call.wrong, failed=True)
        known = self._tools.get(call.tool)
        if known is None:
            return Answer(
                f"there is no tool {call.tool[:60]!r}.{nearest(call.tool, self._tools)} "
                f"Known: {', '.join(self._tools)}.",
                failed=True,
            )
        if not isinstance(call.arguments, Mapping):
            return Answer(f"{call.tool}: expected arguments by name, got {call.arguments!r:.60}", failed=True)
        try:
            arguments = known.described.checked(call.arguments)
        except ValueError as error:
            return Answer(f"{call.tool}: {error}", failed=True)
        limit = self._seconds if seconds is None else min(seconds, self._seconds)
        if known.apart:
            return known.apart.call(known.described.arguments(**arguments).model_dump(mode="json"), limit)
        try:
            answer = known.described.call(arguments, asked)
        except SandboxError as error:
            return Answer(f"{call.tool}: {error}", failed=True)
        return answer._replace(text=shortened(answer.text))

    def close(self) -> None:
        """End the processes of the user's functions."""
        for known in self._tools.values():
            if known.apart:
                known.apart.close()


def _label(name: str) -> str:
    """What a tool is called: a name that OpenAI's format allows."""
    place, colon, function = name.rpartition(":")
    if not colon:
        return name.replace("-", "_")
    last = Path(place).stem if place.endswith(".py") else place.rpartition(".")[2]
    return last if function == "call" else function
