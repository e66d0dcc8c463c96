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

Stages that are done several times stand under ``repeat``; the files of one round feed the next:

      - repeat: 3
        name: em
        stages:
          - synth: concepts-rationales
            model: {first: smollm2-135m, then: train}
          - train: sft

Their names get the number of the round: ``train-sft.1``, ``train-sft.2``. A name without a number is the latest such
stage before. ``{first: a, then: b}`` is a in the first round and b in the others. Where no seed is set, round r has the
recipe's seed + r − 1. ``em.rounds=5`` overrides the number of rounds, ``train-sft.lr=1e-4`` a setting of every round,
``train-sft.2.lr=1e-4`` one of the second.
"""

from __future__ import annotations

import functools
import inspect
import re
import typing
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
    "REPEAT",
    "Recipe",
    "Seed",
    "Settings",
    "StageEntry",
    "bind",
    "build",
    "flat",
    "load",
    "names_stage",
    "number_of",
    "override",
    "scalar",
    "seed_of",
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

REPEAT = "repeat"
"""In the place of a verb: the stages below it are done several times."""
_MOST_ROUNDS = 100

S = TypeVar("S", bound=Settings)
R = TypeVar("R")


class StageEntry(Settings):
    """One stage as a recipe states it, not yet checked against the verb's own settings."""

    verb: str
    part: str = ""
    name: str = pydantic.Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*(\.[0-9]+)?$")
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
    stages = _stages(value.get("stages"), file)
    later = [text for text in overrides if not _override_rounds(stages, text)]
    value = {**value, "stages": _unrolled(stages, file)}
    for text in later:
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
        if verb == REPEAT:
            entries.append(_block(entry, f"{file}, stage {number}"))
            continue
        if not isinstance(verb, str) or not isinstance(part, str | None):
            raise RecipeError(f"{file}, stage {number}: the first key must be 'verb: part', got {verb!r}: {part!r}.")
        rest = dict(settings)
        entries.append({"verb": verb, "part": part or "", "name": rest.pop("name", "") or "", "settings": rest})
    for entry in entries:
        part = re.sub(
            r"[^A-Za-z0-9_-]+", "-", entry["part"].rpartition(":")[2]
        )  # outside code is named by its function
        entry["name"] = entry["name"] or "-".join(filter(None, (entry["verb"], part)))
    names = [one["name"] for entry in entries for one in (entry, *entry.get("stages", ()))]
    for name in names:
        if names.count(name) > 1:
            raise RecipeError(f"{file}: two stages are called {name!r}. Give one of them a 'name'.")
    return entries


def _block(entry: Mapping[Any, Any], where: str) -> dict[str, Any]:
    """Stages that are repeated, as they are written.

    Raises:
        RecipeError: they are not written as such, or hold others that are repeated.
    """
    unknown = [str(key) for key in entry if key not in (REPEAT, "name", "stages")]
    if unknown:
        raise RecipeError(f"{where}: unknown key {unknown[0]!r} beside 'repeat'. Known: repeat, name, stages.")
    stages = _stages(entry.get("stages"), Path(where))
    if any(one["verb"] == REPEAT for one in stages):
        raise RecipeError(f"{where}: a 'repeat' cannot stand in another one.")
    return {"verb": REPEAT, "part": "", "name": entry.get("name") or "", "rounds": entry[REPEAT], "stages": stages}


def _override_rounds(entries: Sequence[dict[str, Any]], text: str) -> bool:
    """Apply a ``key=value`` that belongs to a block of repeated stages, or to all rounds of one of them.

    Returns:
        Whether it did.
    """
    path, equals, raw = text.partition("=")
    target, _, key = path.rpartition(".")
    for block in (entry for entry in entries if entry["verb"] == REPEAT and equals):
        if target == block["name"] and key == "rounds":
            block["rounds"] = scalar(raw)
            return True
        for stage in block["stages"]:
            if target == stage["name"]:
                stage["settings"][key] = scalar(raw)
                return True
    return False


def _unrolled(entries: Sequence[Mapping[str, Any]], file: Path) -> list[dict[str, Any]]:
    """The stages with each repeated one in every round, under the round's name.

    Raises:
        RecipeError: the number of rounds is none.
    """
    found: list[dict[str, Any]] = []
    for entry in entries:
        if entry["verb"] != REPEAT:
            found.append(dict(entry))
            continue
        rounds = entry["rounds"]
        if type(rounds) is not int or not 1 <= rounds <= _MOST_ROUNDS:
            raise RecipeError(f"{file}: repeat: expected a number of rounds from 1 to {_MOST_ROUNDS}, got {rounds!r}.")
        found += [
            {
                **stage,
                "name": f"{stage['name']}.{number}",
                "settings": {name: _in_round(item, number) for name, item in stage["settings"].items()},
            }
            for number in range(1, rounds + 1)
            for stage in entry["stages"]
        ]
    return found


def _in_round(value: Any, number: int) -> Any:
    """A setting in one round: ``{first: …, then: …}`` is one of the two."""
    if isinstance(value, list):
        return [_in_round(item, number) for item in value]
    if isinstance(value, dict) and value.keys() == {"first", "then"}:
        return value["first"] if number == 1 else value["then"]
    return value


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

    Of the rounds of a repeated stage, a name without a round's number, or the verb, means the last one.

    Args:
        label: what the user wrote.
        stages: name and verb of each.
        where: what the label stands in, for the message.

    Raises:
        RecipeError: none, or more than one.
    """
    matches = [at for at, (name, _) in enumerate(stages) if name == label]
    matches = matches or [at for at, (name, _) in enumerate(stages) if _base(name) == label]
    matches = matches or [at for at, (_, verb) in enumerate(stages) if verb == label]
    if len({_base(stages[at][0]) or at for at in matches}) == 1:  # rounds of one stage: the latest
        matches = matches[-1:]
    if len(matches) != 1:
        names, verbs = zip(*stages, strict=True) if stages else ((), ())
        problem = "several stages are" if matches else "no stage is"
        raise RecipeError(
            f"{where}: {problem} called {label!r}.{nearest(label, names + verbs)} Stages: {', '.join(names)}."
        )
    return matches[0]


def names_stage(label: str, stages: Sequence[tuple[str, str]]) -> bool:
    """Whether a label is the name or the verb of a stage, or a repeated stage's name without the round."""
    return any(label in (name, verb, _base(name)) for name, verb in stages)


def seed_of(seed: int, name: str) -> int:
    """The seed of a stage that sets none: the recipe's; each further round of a repeated stage has the next one.

    >>> seed_of(7, "try"), seed_of(7, "try.1"), seed_of(7, "try.3")
    (7, 7, 9)
    """
    base, _, number = name.rpartition(".")
    return (seed + int(number) - 1) % 2**32 if base else seed


def _base(name: str) -> str:
    """A repeated stage's name without the number of its round; nothing for another stage."""
    base, dot, _ = name.rpartition(".")
    return base if dot else ""


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


def flat(function: Callable[..., R]) -> Callable[..., R]:
    """A function whose keyword-only parameters that are named tuples are taken apart into settings of their own.

    Settings that several functions share are so written once, as the fields of a ``NamedTuple``: each field is a
    setting, with the field's type and default; a call collects them again.

    Args:
        function: its annotations can be evaluated where it is defined.

    Raises:
        ValueError: two groups have a field of the same name.
    """
    signature = inspect.signature(function, eval_str=True)
    groups: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in signature.parameters.values():
        kind = parameter.annotation
        if parameter.kind is not parameter.KEYWORD_ONLY or not hasattr(kind, "_field_defaults"):
            parameters.append(parameter)
            continue
        groups[parameter.name] = kind
        types = typing.get_type_hints(kind, include_extras=True)
        parameters += [
            parameter.replace(
                name=field, annotation=types[field], default=kind._field_defaults.get(field, parameter.empty)
            )
            for field in kind._fields
        ]

    @functools.wraps(function)
    def collected(*args: Any, **given: Any) -> R:
        whole = {
            name: kind(**{field: given.pop(field) for field in kind._fields if field in given})
            for name, kind in groups.items()
        }
        return function(*args, **given, **whole)

    collected.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return collected


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
    code = getattr(inspect.unwrap(function), "__code__", None)
    return f"{code.co_filename}:{name}" if code else name
