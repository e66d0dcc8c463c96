"""Settings: from YAML, flags and function signatures to checked, typed values.

A recipe is a YAML file:

    name: quickstart
    seed: 7
    model: smollm2-135m          # the default for every stage that takes a model
    stages:
      - problems: gsm8k          # verb: part
        limit: 100               # the part's and the verb's settings
      - solve: cot
        name: before             # solve-cot if left out
      - evaluate:

``before.max_tokens=200`` on the command line overrides one setting of the stage called ``before``;
``seed=3`` one of the recipe's own. An unknown key is an error that names the nearest known one.
"""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, TypeVar

import pydantic
import yaml

from porism.errors import RecipeError, nearest
from porism.files import read_text
from porism.records import Record

__all__ = [
    "NOT_IN_KEY",
    "Recipe",
    "Seed",
    "Settings",
    "StageEntry",
    "bind",
    "build",
    "load",
    "number_of",
    "override",
    "scalar",
    "settings_of",
]


class Settings(pydantic.BaseModel):
    """Base of every group of settings: typed strictly, no unknown keys, no change after it is made."""

    model_config = pydantic.ConfigDict(extra="forbid", frozen=True, strict=True)

    reads: ClassVar[tuple[type[Record], ...]] = ()
    """Classes of the records that the stage can use; any if there is none."""
    makes: ClassVar[tuple[type[Record], ...] | None] = None
    """Classes of the records that it writes; None where that depends on what it reads, or is not known."""

    not_in_key: ClassVar[frozenset[str]] = frozenset()
    """Settings that cannot change the records; a stage is not redone when they change."""


Seed = Annotated[int, pydantic.Field(ge=0, lt=2**32)]
"""The seeds that numpy takes."""
NOT_IN_KEY = "not in key"
"""In a parameter's ``Annotated[…]``: a setting that cannot change the records; see :class:`Settings`."""

S = TypeVar("S", bound=Settings)
R = TypeVar("R")


class StageEntry(Settings):
    """One stage as a recipe states it, not yet checked against the verb's own settings."""

    verb: str
    part: str = ""
    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    settings: dict[str, Any] = {}


class Recipe(Settings):
    """A recipe as written, overrides applied."""

    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
    seed: Seed = 0
    model: str = "smollm2-135m"
    stages: list[StageEntry]


class _Loader(yaml.SafeLoader):
    """YAML as people write it: ``1e-5`` is a number, and a key that stands twice is an error."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+.0123456789")
)


def load(path: str | Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply overrides.

    Args:
        path: the YAML file.
        overrides: ``stage.key=value`` or ``key=value``; values are YAML.

    Raises:
        RecipeError: no such file, bad YAML, an unknown key, or a value of the wrong type.
    """
    file = Path(path).expanduser()
    if not file.exists():
        raise RecipeError(f"{file}: no such recipe. Shipped ones are in recipes/.")
    text = read_text(file)
    try:
        value = yaml.load(text, _Loader)  # noqa: S506  (a subclass of SafeLoader)
    except (yaml.YAMLError, ValueError, TypeError) as error:
        raise RecipeError(f"{file}: not valid YAML: {' '.join(str(error).split())}") from None
    except RecursionError:
        raise RecipeError(f"{file}: the YAML is nested too deeply to be read.") from None
    if not isinstance(value, dict):
        raise RecipeError(f"{file}: expected a mapping with the keys name and stages, got {type(value).__name__}.")
    value = {**value, "stages": _stages(value.get("stages"), file)}
    for text in overrides:
        override(value, text)
    place = file.resolve()
    name = place.parent.name if place.name == "recipe.yaml" else place.stem
    return build(Recipe, {"name": name, **value}, str(file))


def _stages(value: object, file: Path) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not value:
        raise RecipeError(f"{file}: expected a list under 'stages', such as '- problems: gsm8k'.")
    entries: list[dict[str, Any]] = []
    for number, item in enumerate(value, 1):
        entry = {item: None} if isinstance(item, str) else item
        if not isinstance(entry, dict) or not entry:
            raise RecipeError(f"{file}, stage {number}: expected 'verb: part' and settings, got {item!r}.")
        (verb, part), *settings = entry.items()
        if not isinstance(verb, str) or not isinstance(part, str | None):
            raise RecipeError(f"{file}, stage {number}: the first key must be 'verb: part', got {verb!r}: {part!r}.")
        rest = dict(settings)
        entries.append({"verb": verb, "part": part or "", "name": rest.pop("name", "") or "", "settings": rest})
    for entry in entries:
        part = re.sub(
            r"[^A-Za-z0-9_-]+", "-", entry["part"].rpartition(":")[2]
        )  # outside code is named by its function
        entry["name"] = entry["name"] or "-".join(filter(None, (entry["verb"], part)))
    names = [entry["name"] for entry in entries]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(f"{file}: two stages are called {name!r}. Give one of them a 'name'.")
    return entries


def override(recipe: dict[str, Any], text: str) -> None:
    """Apply one ``key=value`` to a recipe that was read but not yet checked.

    Raises:
        RecipeError: no ``=``, or no stage of that name.
    """
    path, equals, raw = text.partition("=")
    if not equals or not path:
        raise RecipeError(f"expected key=value, got {text!r}. Example: train.lr=1e-5")
    target, _, key = path.rpartition(".")
    if not target:
        if key == "stages":
            raise RecipeError(f"{text!r}: the stages themselves stand in the recipe; override one as stage.key=value.")
        recipe[key] = scalar(raw)
        return
    names = [(entry["name"], entry["verb"]) for entry in recipe["stages"]]
    recipe["stages"][number_of(target, names, repr(text))]["settings"][key] = scalar(raw)


def number_of(label: str, stages: Sequence[tuple[str, str]], where: str) -> int:
    """The position of the stage that a label means: its name, or its verb where only one stage has that verb.

    Args:
        label: what the user wrote.
        stages: name and verb of each.
        where: what the label stands in, for the message.

    Raises:
        RecipeError: none, or more than one.
    """
    matches = [at for at, (name, _) in enumerate(stages) if name == label]
    matches = matches or [at for at, (_, verb) in enumerate(stages) if verb == label]
    if len(matches) != 1:
        names, verbs = zip(*stages, strict=True) if stages else ((), ())
        problem = "several stages are" if matches else "no stage is"
        raise RecipeError(
            f"{where}: {problem} called {label!r}.{nearest(label, names + verbs)} Stages: {', '.join(names)}."
        )
    return matches[0]


def scalar(text: str) -> Any:
    """The value that a piece of YAML stands for: ``1e-5`` → 1e-05, ``[1, 2]`` → a list, ``cot`` → ``"cot"``."""
    try:
        return yaml.load(text, _Loader)  # noqa: S506  (a subclass of SafeLoader)
    except (yaml.YAMLError, ValueError, TypeError):
        return text
    except RecursionError:
        raise RecipeError(f"the value {text[:40]!r}… is nested too deeply to be read.") from None


def build(kind: type[S], values: Mapping[str, Any], where: str) -> S:
    """Check values against a group of settings.

    Args:
        kind: the settings class.
        values: name → value.
        where: what the values belong to, for the message.

    Raises:
        RecipeError: one line for each wrong key or value: what was expected, what came, where.
    """
    try:
        return kind.model_validate(dict(values))
    except pydantic.ValidationError as error:
        raise RecipeError("\n".join(_complaint(kind, item, where) for item in error.errors())) from None


def _complaint(kind: type[Settings], item: Mapping[str, Any], where: str) -> str:
    path = ".".join(str(part) for part in item["loc"])
    known = list(kind.model_fields)
    if item["type"] == "extra_forbidden":
        return f"{where}: unknown setting {path!r}.{nearest(path, known)} Known: {', '.join(known)}."
    if item["type"] == "missing":
        return f"{where}: the setting {path!r} is required."
    if item["type"] == "value_error":  # a check of ours, which says all
        return f"{where}: {f'{path}: ' if path else ''}{item['msg'].removeprefix('Value error, ')}"
    return f"{where}: {path}: {item['msg'][0].lower()}{item['msg'][1:]}, got {item['input']!r}."


def settings_of(function: Callable[..., Any], base: type[S]) -> type[S]:
    """A settings class with the keyword-only parameters of a function added to those of ``base``.

    A parameter that ``base`` has already keeps the definition in ``base``.

    Raises:
        RecipeError: it is no function whose parameters have types that settings can have.
    """
    fields: dict[str, Any] = {}
    for parameter in _own_settings(function):
        if parameter.name in base.model_fields:
            continue
        if parameter.annotation is parameter.empty:
            raise RecipeError(
                f"{_label(function)}: the parameter {parameter.name!r} has no type, which a setting needs. "
                f"Write one, such as '{parameter.name}: int'."
            )
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[parameter.name] = (parameter.annotation, default)
    try:
        made: type[S] = pydantic.create_model(base.__name__, __base__=base, __module__=base.__module__, **fields)
    except (pydantic.errors.PydanticUserError, NameError) as error:
        reason = str(error).splitlines()[0]
        raise RecipeError(f"{_label(function)}: its keyword-only parameters cannot be settings: {reason}") from None
    apart = {name for name, (kind, _) in fields.items() if NOT_IN_KEY in getattr(kind, "__metadata__", ())}
    made.not_in_key = base.not_in_key | apart
    return made


def bind(function: Callable[..., R], settings: Settings) -> functools.partial[R]:
    """The function with each keyword-only parameter that ``settings`` has filled in from there."""
    names = [parameter.name for parameter in _own_settings(function)]
    return functools.partial(function, **{name: getattr(settings, name) for name in names if hasattr(settings, name)})


def _own_settings(function: Callable[..., Any]) -> list[inspect.Parameter]:
    try:
        parameters = inspect.signature(function, eval_str=True).parameters.values()
    except (TypeError, ValueError, NameError) as error:
        raise RecipeError(
            f"{_label(function)}: expected a function whose keyword-only parameters are settings with types ({error})."
        ) from None
    return [parameter for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY]


def _label(function: Callable[..., Any]) -> str:
    """A function as a person looks for it: file and name."""
    name = getattr(function, "__qualname__", repr(function))
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{name}" if code else name
