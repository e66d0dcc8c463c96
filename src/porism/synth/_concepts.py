"""The concepts that come with Porism, by subject and level, and those of a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Any, NamedTuple

from porism import store
from porism.errors import DataError, RecipeError, nearest
from porism.records import Concepts

__all__ = ["DOMAINS", "Concept", "Shipped", "key", "only", "read", "shipped"]

DOMAINS = ("math", "code")
_LONGEST = 1_000
"""Characters of a concept."""
_SAID = ("level", "subject", "domain")
_EXAMPLE = '{"concepts": ["unit fractions"], "level": "primary", "subject": "fractions"}'


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
    """The concepts in some files, none of them empty: records, or rows that have one ``concept`` each.

    Fields that a record does not have go into its ``meta``.

    Raises:
        DataError: there are none, one is empty or too long, or a row holds something else; names file and line.
    """
    found = []
    for path in paths:
        file = store.locate(path)
        for number, row in store.rows(file):
            one = _record(row)
            if one is None:
                raise DataError(
                    f"{file}, line {number}: expected concepts, such as {_EXAMPLE}, got the fields "
                    f"{', '.join(sorted(row)) or 'of nothing'}. Mend or remove that line."
                )
            if not one.concepts or not all(name.strip() for name in one.concepts):
                raise DataError(f"{file}, line {number}: an empty concept. Remove it.")
            if max(map(len, one.concepts)) > _LONGEST:
                raise DataError(f"{file}, line {number}: a concept of more than {_LONGEST:,} characters. Shorten it.")
            found.append(one)
    if not found:
        raise DataError(f"{', '.join(paths)}: no concepts in the input.")
    return found


def _record(row: Mapping[str, Any]) -> Concepts | None:
    """The record that a row stands for; None where it holds no concepts."""
    names = row.get("concepts", [row["concept"]] if "concept" in row else None)
    said = {name: str(row.get(name, "")) for name in _SAID if isinstance(row.get(name, ""), str | int | float)}
    meta = row.get("meta", {})
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        return None
    if len(said) < len(_SAID) or not isinstance(meta, dict):
        return None
    known = {"id", "concept", "concepts", "meta", *_SAID}
    return Concepts(concepts=names, **said, meta={**meta, **{name: row[name] for name in row if name not in known}})


def key(concept: str) -> str:
    """What two spellings of a concept have in common: case and white space do not count."""
    return " ".join(concept.casefold().split())
