"""Training. One trainer runs every algorithm; a part (``sft``, …) says which rows it takes and what its loss is.

A part is a module with ``Settings`` and ``run(settings, out)``. The trained model, or its adapter, is in the
output's ``model`` folder.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from porism import recipe, store
from porism.errors import RecipeError
from porism.find import find
from porism.models.load import fingerprint

__all__ = ["PARTS", "follow", "inputs", "run", "settings"]

PARTS = "porism.train"

_ROWS = ("input", "eval_input", "eval_problems")
_MODELS = ("model", "teacher", "reference_model", "rollout_model", "scorer")


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
    """Hashes of the rows, of the models (the start, a teacher, a reference), and of what else a part reads."""
    rows = [path for name in _ROWS for path in getattr(settings, name, [])]
    models = {name: getattr(settings, name, "") for name in _MODELS}
    named = {name: fingerprint(model) for name, model in models.items() if model}
    own = getattr(sys.modules.get(_of(part, "run").__module__), "inputs", None) if ":" not in part else None
    found = own(settings) if own else {}
    return {**store.hashes(store.locate(path) for path in dict.fromkeys(rows)), **named, **found}


def run(part: str, settings: recipe.Settings, out: store.Output) -> None:
    """Train.

    Raises:
        UserError: the data, the model or a setting is unfit; see the algorithm.
    """
    _of(part, "run")(settings, out)


def follow(part: str, settings: recipe.Settings, target: str | Path, key: store.Key) -> store.Manifest:
    """Take part in a training that another process leads; that one writes, and this one does not.

    Args:
        part: the algorithm.
        settings: its settings.
        target: where the first process writes.
        key: what the output depends on.

    Raises:
        UserError: see :func:`run`.
    """
    from porism.train._follower import Follower

    out = Follower(target)
    if not out.is_done(key):
        run(part, settings, out)
    return store.Manifest(key)


def _of(part: str, attribute: str) -> Any:
    """``Settings`` or ``run`` of an algorithm: of a module here, or of an outside object that has both."""
    found = find(PARTS, part, attribute)
    if ":" not in part:
        return found
    if not hasattr(found, attribute):
        raise RecipeError(f"{part!r}: expected an object with 'Settings' and 'run(settings, out)', such as a class.")
    return getattr(found, attribute)
