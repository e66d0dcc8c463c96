"""Synthesis: problems, and answers to them, from a model.

A part (``magpie``, …) is a module with ``Settings``, ``run(settings, out)`` and ``inputs(settings)``, which names the
hashes of all that it reads besides its settings; it may have ``check(settings)``, for mistakes that can be found before
anything runs. Where its settings have a field ``engine``, that engine's settings are added.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from porism import recipe, store
from porism.engines._stage import with_engine
from porism.errors import RecipeError
from porism.find import find

__all__ = ["PARTS", "check", "inputs", "run", "settings"]

PARTS = "porism.synth"


def settings(part: str, values: Mapping[str, Any]) -> type[recipe.Settings]:
    """The settings of a part, and those of the engine that ``values`` names.

    Raises:
        RecipeError: no such part or engine.
    """
    found = _of(part, "Settings")
    if not (isinstance(found, type) and issubclass(found, recipe.Settings)):
        raise RecipeError(f"{part!r}: expected 'Settings' to be a class on porism.recipe.Settings, got {found!r:.80}.")
    return with_engine(found, values, f"synth {part}") if "engine" in found.model_fields else found


def check(part: str, settings: recipe.Settings) -> None:
    """Find before anything runs what is wrong.

    Raises:
        UserError: see the part.
    """
    checked = getattr(find(PARTS, part) if ":" in part else _module(part), "check", None)
    if checked:
        checked(settings)


def inputs(part: str, settings: recipe.Settings) -> dict[str, str]:
    """Hashes of files, models and shipped texts."""
    found: dict[str, str] = _of(part, "inputs")(settings)
    return found


def run(part: str, settings: recipe.Settings, out: store.Output) -> None:
    """Synthesise.

    Raises:
        UserError: a model, a file or a setting is unfit; see the part.
    """
    _of(part, "run")(settings, out)


def _module(part: str) -> Any:
    return sys.modules[_of(part, "run").__module__]


def _of(part: str, attribute: str) -> Any:
    """``Settings``, ``run`` or ``inputs`` of a part: of a module here, or of an outside object that has all three."""
    found = find(PARTS, part, attribute)
    if ":" not in part:
        return found
    if not hasattr(found, attribute):
        raise RecipeError(
            f"{part!r}: expected an object with 'Settings', 'inputs(settings)' and 'run(settings, out)', such as a "
            "class."
        )
    return getattr(found, attribute)
