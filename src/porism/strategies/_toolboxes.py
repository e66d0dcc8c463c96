"""Toolboxes that all attempts of a process share, so that a user's tool is not started for each."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from porism.tools import Toolbox

__all__ = ["shared"]


def shared(
    names: Sequence[str], settings: Mapping[str, Mapping[str, Any]] | None = None, seconds: float = 10.0
) -> Toolbox:
    """The toolbox with these tools.

    Args:
        names: see :class:`porism.tools.Toolbox`.
        settings: of the tools; plain values.
        seconds: how long a call of a user's function may take.

    Raises:
        RecipeError: see :class:`porism.tools.Toolbox`.
    """
    return _kept(tuple(names), json.dumps(settings or {}, sort_keys=True), seconds)


@functools.lru_cache(maxsize=8)
def _kept(names: tuple[str, ...], settings: str, seconds: float) -> Toolbox:
    return Toolbox(names, json.loads(settings), seconds)
