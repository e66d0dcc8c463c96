"""A function as a tool: what a model may fill in, as a JSON schema, and the check of what it did."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pydantic

from porism.errors import RecipeError
from porism.records import Problem
from porism.tools._answer import Answer

__all__ = ["Described", "described"]

_CONFIG = pydantic.ConfigDict(extra="forbid", coerce_numbers_to_str=True)


class Described(NamedTuple):
    """A function that a model may call."""

    function: Callable[..., Any]
    description: str
    arguments: type[pydantic.BaseModel]
    """What stands before the star in its signature."""
    settings: Mapping[str, Any]
    """What stands behind it, as the user set it."""
    wants_problem: bool = False
    """Whether ``asked``, the problem that is being solved, stands behind it."""

    @property
    def schema(self) -> dict[str, Any]:
        """Of the arguments, as JSON schema."""
        found: dict[str, Any] = _without_titles(self.arguments.model_json_schema())
        return found

    def checked(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The arguments as the function takes them.

        Raises:
            ValueError: one is unknown, missing, or of another type; the message says what was expected.
        """
        try:
            given = self.arguments.model_validate({str(name): _clean(value) for name, value in arguments.items()})
        except pydantic.ValidationError as error:
            raise ValueError("; ".join(map(_complaint, error.errors(include_url=False)))) from None
        return {name: getattr(given, name) for name in self.arguments.model_fields}

    def call(self, arguments: Mapping[str, Any], asked: Problem | None = None) -> Answer:
        """What the function says to arguments that were checked.

        Args:
            arguments: see :meth:`checked`.
            asked: the problem that is being solved, for a function that has this parameter behind the star.
        """
        own = {"asked": asked} if self.wants_problem else {}
        said = self.function(**arguments, **self.settings, **own)
        return said if isinstance(said, Answer) else Answer(str(said))


def described(function: Callable[..., Any], label: str, settings: Mapping[str, Any] | None = None) -> Described:
    """A function as a tool.

    Args:
        function: its parameters before the star are the model's, and have types or are texts; those behind it are
            settings, but for ``asked``, which is the problem that is being solved.
        label: what it is called in messages.
        settings: values of those.

    Raises:
        RecipeError: it cannot be called so, or has no such setting.
    """
    try:
        parameters = inspect.signature(function, eval_str=True).parameters.values()
    except (TypeError, ValueError, NameError) as error:
        raise RecipeError(f"the tool {label}: expected a function with types that can be read ({error}).") from None
    wrong = next((one for one in parameters if one.kind not in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)), None)
    if wrong:
        raise RecipeError(f"the tool {label}: expected named parameters, got {wrong}. Name what it takes.")
    fields: dict[str, Any] = {}
    known = {one.name: one for one in parameters if one.kind is one.KEYWORD_ONLY}
    wants_problem = known.pop("asked", None) is not None
    for one in parameters:
        if one.kind is one.POSITIONAL_OR_KEYWORD:
            kind = str if one.annotation is one.empty else one.annotation
            fields[one.name] = (kind, ... if one.default is one.empty else one.default)
    if not fields:
        raise RecipeError(f"the tool {label}: it takes nothing, so there is nothing to ask it.")
    try:
        arguments = pydantic.create_model(label.rpartition(":")[2] or "call", __config__=_CONFIG, **fields)
        arguments.model_json_schema()
    except (pydantic.errors.PydanticUserError, NameError) as error:
        reason = str(error).splitlines()[0]
        raise RecipeError(f"the tool {label}: its parameters cannot be written as JSON: {reason}") from None
    text = (inspect.getdoc(function) or "").partition("\n")[0]
    return Described(function, text, arguments, _settings(known, label, settings or {}), wants_problem)


def _settings(known: Mapping[str, inspect.Parameter], label: str, given: Mapping[str, Any]) -> dict[str, Any]:
    unknown = next((name for name in given if name not in known), None)
    if unknown is not None:
        has = f"Known: {', '.join(known)}." if known else "It has none."
        raise RecipeError(f"the tool {label}: unknown setting {unknown!r}. {has}")
    missing = next((name for name, one in known.items() if one.default is one.empty and name not in given), None)
    if missing is not None:
        raise RecipeError(f"the tool {label}: needs the setting {missing!r}.")
    checked: dict[str, Any] = {}
    for name, value in given.items():
        kind = known[name].annotation
        try:
            checked[name] = _adapter(kind).validate_python(value) if kind is not inspect.Parameter.empty else value
        except pydantic.ValidationError as error:
            raise RecipeError(f"the tool {label}: {name}: {error.errors()[0]['msg']}, got {value!r}.") from None
    return checked


@functools.cache
def _adapter(kind: Any) -> Any:
    return pydantic.TypeAdapter(kind)


def _clean(value: Any) -> Any:
    """A text without half characters, which no program takes."""
    return value.encode("utf-8", "replace").decode() if isinstance(value, str) else value


def _complaint(item: Any) -> str:
    place = ".".join(map(str, item["loc"]))
    if item["type"] == "missing":
        return f"{place} is missing"
    if item["type"] == "extra_forbidden":
        return f"{place} is not known"
    return f"{place}: {item['msg'][0].lower()}{item['msg'][1:]}, got {item['input']!r:.60}"


def _without_titles(value: Any) -> Any:
    """A schema without the titles that pydantic adds, which a model would have to read."""
    if isinstance(value, dict):
        kept = {name: item for name, item in value.items() if not (name == "title" and isinstance(item, str))}
        return {name: _without_titles(item) for name, item in kept.items()}
    return [_without_titles(item) for item in value] if isinstance(value, list) else value
