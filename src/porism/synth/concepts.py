"""Concepts that come with Porism: of mathematics or of programming, by subject and level."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from porism import recipe, store
from porism.records import Concepts, content_id
from porism.synth import _concepts

__all__ = ["Settings", "check", "inputs", "run"]


class Settings(recipe.Settings):
    """Settings of ``porism synth concepts``."""

    makes = (Concepts,)

    domain: Annotated[Literal["math", "code"], Field(description="which set")] = "math"
    subjects: Annotated[list[str], Field(description="of these subjects only, such as algebra")] = []
    levels: Annotated[list[str], Field(description="of these levels only, such as high school")] = []


def inputs(settings: Settings) -> dict[str, str]:
    """A hash of the set."""
    return {"concepts": content_id(_concepts.shipped(settings.domain))}


def check(settings: Settings) -> None:
    """Find an unknown subject or level before anything runs.

    Raises:
        RecipeError: there is one.
    """
    _concepts.only(settings.domain, settings.subjects, settings.levels)


def run(settings: Settings, out: store.Output) -> None:
    """Write the concepts, one a record."""
    found = _concepts.only(settings.domain, settings.subjects, settings.levels)
    out.write(store.Placed(at, one) for at, one in enumerate(found))
