"""The concepts that come with Porism, by subject and level, and those of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple, cast

from porism import store
from porism.errors import DataError, RecipeError, nearest
from porism.records import Concepts

__all__ = ["DOMAINS", "Concept", "Shipped", "key", "only", "read", "shipped"]

DOMAINS = ("math", "code")


class Concept(NamedTuple):
    """One concept of a shipped set."""

    name: str
    subject: str
    level: str


class Shipped(NamedTuple):
    """A shipped set."""

    concepts: tuple[Concept, ...]
    levels: Mapping[str, tuple[str, ...]]
    """Level, from easy to hard → the levels whose concepts fit a problem of it."""


@cache
def shipped(domain: str) -> Shipped:
    """The concepts of mathematics or of programming.

    Raises:
        RecipeError: no such domain.
    """
    if domain not in DOMAINS:
        raise RecipeError(f"domain: expected {' or '.join(DOMAINS)}, got {domain!r}.")
    text = resources.files("porism.synth").joinpath(f"concepts_{domain}.txt").read_text(encoding="utf-8")
    concepts: list[Concept] = []
    levels: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        subject, level, names = (part.strip() for part in line.split("|"))
        if subject == "level":
            levels[level] = tuple(name.strip() for name in names.split(","))
        else:
            concepts += [Concept(name.strip(), subject, level) for name in names.split(";")]
    return Shipped(tuple(concepts), levels)


def only(domain: str, subjects: Sequence[str], levels: Sequence[str]) -> list[Concepts]:
    """The shipped concepts of some subjects and levels, one a record; of all where none are named.

    Raises:
        RecipeError: an unknown domain, subject or level, or nothing that is both.
    """
    there = shipped(domain)
    for name, wanted, known in (
        ("subjects", subjects, dict.fromkeys(one.subject for one in there.concepts)),
        ("levels", levels, there.levels),
    ):
        for value in wanted:
            if value not in known:
                raise RecipeError(
                    f"{name}: {domain} has no {value!r}.{nearest(value, known)} Known: {', '.join(known)}."
                )
    found = [
        Concepts(concepts=[one.name], level=one.level, subject=one.subject, domain=domain)
        for one in there.concepts
        if (not subjects or one.subject in subjects) and (not levels or one.level in levels)
    ]
    if not found:
        raise RecipeError(f"no concept of {domain} is of these subjects and of these levels.")
    return found


def read(paths: Sequence[str]) -> list[Concepts]:
    """The records of concepts in some files, none of them empty.

    Raises:
        DataError: there are none, or one is empty.
    """
    found = [cast("Concepts", record) for path in paths for record in store.read(path, Concepts)]
    if not found:
        raise DataError(f"{', '.join(paths)}: no concepts in the input.")
    for one in found:
        if not one.concepts or not all(name.strip() for name in one.concepts):
            raise DataError(f"{', '.join(paths)}: the record {one.id} has an empty concept. Remove it.")
    return found


def key(concept: str) -> str:
    """What two spellings of a concept have in common: case and white space do not count."""
    return " ".join(concept.casefold().split())
