"""The exception tree, on one screen.

    PorismError                 ours: a defect or a broken invariant     exit code 1
    └── UserError               something that the user can mend         exit code 2
        ├── RecipeError         a recipe, setting or flag
        ├── DataError           a record, a row or a data file
        ├── ModelError          a model that is missing, unsafe or unfit
        ├── StorageError        disk full, no permission, folder in use
        └── MissingExtra        an optional dependency is not installed

A message says what was expected, what came, where, and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = [
    "DataError",
    "MissingExtra",
    "ModelError",
    "PorismError",
    "RecipeError",
    "StorageError",
    "UserError",
    "nearest",
]


class PorismError(Exception):
    """Base of every error that Porism raises on purpose."""

    exit_code = 1


class UserError(PorismError):
    """Something that the user can mend; shown without a traceback."""

    exit_code = 2


class RecipeError(UserError):
    """A recipe, a setting or a flag is wrong."""


class DataError(UserError):
    """A data file or a row in it is wrong; the message names both."""


class ModelError(UserError):
    """A model is missing, unsafe to load, or unfit for the task."""


class StorageError(UserError):
    """The disk is full, a path cannot be written, or a folder is in use."""


class MissingExtra(UserError):
    """An optional dependency is missing; the message is the install line."""

    def __init__(self, package: str, requirement: str, purpose: str) -> None:
        super().__init__(
            f"{purpose} needs the package {package!r}, which is not installed. "
            f"Install it with: pip install {requirement}"
        )


def nearest(name: str, known: Iterable[str]) -> str:
    """`` Did you mean 'x'?`` for the known name that is nearest, or nothing."""
    match = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {match[0]!r}?" if match else ""
