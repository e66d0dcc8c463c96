"""Domains: what a system message steers the instructions to, and how many of each there are to be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Annotated

from pydantic import Field

from porism import recipe
from porism.errors import DataError, RecipeError, nearest
from porism.files import rows
from porism.mixture import allocate
from porism.records import Message, content_id

__all__ = ["MATHEMATICS", "NONE", "Domain", "chosen", "known", "quotas"]

MATHEMATICS = ("algebra", "calculus", "geometry", "statistics", "number_theory", "discrete")
NONE = "none"
"""No system message of ours: the template is left as it is."""

_SHIPPED = Path(str(resources.files("porism.synth").joinpath("domains.jsonl")))


class Domain(recipe.Settings):
    """One line of a file of domains."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
    system: str = ""
    """The system message; empty for the template's own, or none."""
    shown: list[Annotated[list[str], Field(min_length=2, max_length=2)]] = []
    """Questions and answers that stand as earlier turns, for small models, which a system message hardly steers."""
    show: Annotated[int, Field(ge=0)] = 0
    """How many of them stand before each instruction, in turn; 0 for all."""
    temperature: Annotated[float, Field(ge=0)] = 1.0
    """Of the instructions."""
    kind: str = "math"
    """The grader that compares answers to its problems; ``judge`` where final answers cannot be compared."""
    words: Annotated[list[str], Field(max_length=1000)] = []
    """A problem of this domain has at least one of these."""

    @property
    def prompts(self) -> int:
        """How many different conversations there are."""
        return len(self.shown) if 0 < self.show < len(self.shown) else 1

    def conversation(self, number: int = 0) -> list[Message]:
        """What stands before the first user turn.

        Args:
            number: of the instruction; one after the other begins with another of the shown questions.
        """
        first = number % self.prompts
        size = self.show if self.prompts > 1 else len(self.shown)
        turns = [
            Message(role=role, content=text)
            for pair in (self.shown[first:] + self.shown[:first])[:size]
            for role, text in zip(("user", "assistant"), pair, strict=True)
        ]
        return [*([Message(role="system", content=self.system)] if self.system else []), *turns]

    @property
    def id(self) -> str:
        """A short hash of all that it says."""
        return content_id("domain", self.model_dump())


def known(file: str = "") -> dict[str, Domain]:
    """The domains that there are: the shipped ones, and those of a file, which come first.

    Raises:
        DataError: the file is not there or holds no domain, or a name stands twice in it.
        RecipeError: a line of it is no domain.
    """
    shipped = {NONE: Domain(name=NONE), **_read(_SHIPPED)}
    return {**shipped, **_read(Path(file).expanduser())} if file else shipped


def chosen(names: Sequence[str], file: str = "") -> list[Domain]:
    """The domains of these names, in order.

    Raises:
        RecipeError: no names, there is none of a name, or a name stands twice.
        DataError: see :func:`known`.
    """
    there = known(file)
    if not names:
        raise RecipeError(f"domains: expected at least one name. Known: {', '.join(there)}.")
    for name in names:
        if name not in there:
            raise RecipeError(
                f"domains: no domain {name!r}.{nearest(name, there)} Known: {', '.join(there)}; others come from a "
                "file of yours (domain_file)."
            )
        if list(names).count(name) > 1:
            raise RecipeError(f"domains: {name!r} stands twice. Its share is set by quotas.")
    return [there[name] for name in names]


def quotas(total: int, domains: Sequence[Domain], weights: Mapping[str, float]) -> list[int]:
    """How many instructions each domain gets: in proportion to the weights, which add up to ``total`` exactly.

    The largest remainders get what rounding leaves over, earlier domains first.

    Raises:
        RecipeError: a weight for something else, a weight below 0, or nothing but zeros.
    """
    names = [domain.name for domain in domains]
    for name, weight in weights.items():
        if name not in names:
            raise RecipeError(f"quotas: {name!r} is none of the domains ({', '.join(names)}).{nearest(name, names)}")
        if not 0 <= weight < float("inf"):
            raise RecipeError(f"quotas: expected a weight of at least 0 for {name!r}, got {weight!r}.")
    shares = [weights.get(name, 1.0) for name in names]
    if not any(shares):
        raise RecipeError("quotas: expected a weight above 0 for at least one domain.")
    return allocate([total] * len(shares), shares, total)


def _read(file: Path) -> dict[str, Domain]:
    if file == _SHIPPED:
        return _shipped()
    if not file.is_file():
        raise DataError(f"domain_file: {file}: no such file. Each line of it is one domain: a JSON object with a name.")
    found: dict[str, Domain] = {}
    for number, row in rows(file):
        domain = recipe.build(Domain, row, f"{file}, line {number}")
        if domain.name in found:
            raise DataError(f"{file}, line {number}: the domain {domain.name!r} stands in the file twice. Rename one.")
        found[domain.name] = domain
    if not found:
        raise DataError(f"domain_file: {file}: no domain in it. Each line is one: a JSON object with a name.")
    return found


@cache
def _shipped() -> dict[str, Domain]:
    return {domain.name: domain for domain in (recipe.build(Domain, row, _SHIPPED.name) for _, row in rows(_SHIPPED))}
