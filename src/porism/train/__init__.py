"""Training. One trainer runs every algorithm; a part (``sft``, …) says which rows it takes and what its loss is.

A part is a module with ``Settings`` and ``run(settings, out)``. The trained model, or its adapter, is in the
output's ``model`` folder.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from porism import recipe, store
from porism.errors import RecipeError
from porism.find import find
from porism.models.load import fingerprint

__all__ = ["PARTS", "inputs", "run", "settings"]

PARTS = "porism.train"


def settings(part: str, values: Mapping[str, Any]) -> type[recipe.Settings]:
    """The settings of an algorithm.

    Raises:
        RecipeError: no such algorithm.
    """
    del values
    found = _of(part, "Settings")
    if not (isinstance(found, type) and issubclass(found, recipe.Settings)):
        raise RecipeError(f"{part!r}: expected 'Settings' to be a class on porism.recipe.Settings, got {found!r:.80}.")
    return found


def inputs(part: str, settings: recipe.Settings) -> dict[str, str]:
    """Hashes of the rows and of the model that training starts from."""
    del part
    rows: list[str] = getattr(settings, "input", [])
    return {**store.hashes(store.locate(path) for path in rows), "model": fingerprint(getattr(settings, "model", ""))}


def run(part: str, settings: recipe.Settings, out: store.Output) -> None:
    """Train.

    Raises:
        UserError: the data, the model or a setting is unfit; see the algorithm.
    """
    _of(part, "run")(settings, out)


def _of(part: str, attribute: str) -> Any:
    """``Settings`` or ``run`` of an algorithm: of a module here, or of an outside object that has both."""
    found = find(PARTS, part, attribute)
    if ":" not in part:
        return found
    if not hasattr(found, attribute):
        raise RecipeError(f"{part!r}: expected an object with 'Settings' and 'run(settings, out)', such as a class.")
    return getattr(found, attribute)
