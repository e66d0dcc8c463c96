"""Problem sources, and the stage that turns one into records.

A source is a module with ``load(split, *, …) -> Iterator[Problem]``. One that reads files also has
``files(split, *, …) -> list[Path]``, so that a changed file is noticed; it takes the same settings.
"""

from __future__ import annotations

import dataclasses
import random
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from itertools import islice
from typing import Annotated, Any

from pydantic import Field

from porism import console, recipe, store
from porism.errors import DataError, RecipeError
from porism.find import find
from porism.records import Problem

__all__ = ["PARTS", "MissingData", "Settings", "inputs", "run", "settings"]

PARTS = "porism.problems"


class Settings(recipe.Settings):
    """Settings of every ``porism problems SOURCE``."""

    makes = (Problem,)

    split: Annotated[str, Field(description="train or test, as the source names them")] = "train"
    limit: Annotated[int | None, Field(description="take at most this many", ge=1)] = None
    shuffle: Annotated[recipe.Seed | None, Field(description="shuffle with this seed before the limit")] = None
    set: Annotated[str, Field(description="the name under which results are reported; the source's if empty")] = ""
    optional: Annotated[bool, Field(description="go on with no problems where the source's file is missing")] = False


def settings(part: str, values: Mapping[str, Any]) -> type[Settings]:
    """The settings of a source: the verb's and its own.

    Raises:
        RecipeError: no such source.
    """
    del values
    return recipe.settings_of(find(PARTS, part, "load"), Settings)


def inputs(part: str, settings: Settings) -> dict[str, str]:
    """Hashes of the files that the source reads."""
    listing = getattr(sys.modules.get(find(PARTS, part, "load").__module__), "files", None)
    return store.hashes(recipe.bind(listing, settings)(settings.split)) if listing else {}


def run(part: str, settings: Settings, out: store.Output) -> None:
    """Write the problems of a source.

    Raises:
        DataError: the source is missing or malformed, or gives no problem.
    """
    load: Callable[..., Iterator[Problem]] = recipe.bind(find(PARTS, part, "load"), settings)
    try:
        problems = _checked(part, load(settings.split))
        if settings.shuffle is not None:
            everything = list(problems)
            random.Random(settings.shuffle).shuffle(everything)
            problems = iter(everything)
        chosen = [_named(problem, settings.set) for problem in islice(problems, settings.limit)]
    except MissingData as error:
        if not settings.optional:
            raise
        console.notice(f"  skipped: {error}")
        chosen = []
    if not chosen and not settings.optional:
        raise DataError("the source gave no problem. Check the split and the limit.")
    out.write(map(store.Placed, range(len(chosen)), chosen))


def _checked(part: str, found: object) -> Iterator[Problem]:
    """What a source gives, as it comes.

    Raises:
        RecipeError: it is no problem.
    """
    if not isinstance(found, Iterable):
        raise RecipeError(f"problems {part}: expected load(split, …) to yield Problem records, got {found!r:.80}.")
    for item in found:
        if not isinstance(item, Problem) or not isinstance(item.question, str) or not isinstance(item.answer, str):
            raise RecipeError(
                f"problems {part}: expected load(split, …) to yield Problem records with question and answer as texts, "
                f"got {item!r:.120}."
            )
        yield item


def _named(problem: Problem, name: str) -> Problem:
    """The problem under the name of a set; where none is given, the source's."""
    return dataclasses.replace(problem, set=name or problem.set or problem.source)


class MissingData(DataError):
    """A source's file is not there."""
