"""Several files of records as one, by quotas, by weights, or in proportion to their sizes with a temperature."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from typing import Annotated

from pydantic import Field

from porism.curate import Made, Source
from porism.curate._draw import draw
from porism.errors import RecipeError
from porism.mixture import allocate, tempered
from porism.recipe import Seed

__all__ = ["make"]


def make(
    records: Source,
    *,
    count: Annotated[int, Field(description="records in all; 0: as many as the proportions allow", ge=0)] = 0,
    weights: Annotated[list[float], Field(description="a weight for each input, in order")] = [],  # noqa: B006
    quotas: Annotated[list[int], Field(description="most records of each input, in order; 0 for all")] = [],  # noqa: B006
    temperature: Annotated[
        float, Field(description="without weights: 1 takes sizes as they are, more makes them equal", gt=0)
    ] = 1.0,
    repeats: Annotated[int, Field(description="how often one record may be taken", ge=1)] = 1,
    seed: Annotated[Seed, Field(description="of the choice")] = 0,
) -> Iterator[Made]:
    """A random choice from each input, spread evenly over the result; what is not taken is dropped with the reason.

    Raises:
        RecipeError: weights or quotas that are not one for each input, negative, or both.
    """
    parts = records.parts
    sizes = [len(part) for part in parts]
    taken = _taken(sizes, count=count, weights=weights, quotas=quotas, temperature=temperature, repeats=repeats)
    streams = [
        _spread(number, part, sizes[number], taken[number], seed) for number, part in enumerate(parts) if sizes[number]
    ]
    for _, _, _, made in heapq.merge(*streams, key=lambda item: item[:3]):
        yield made


def _taken(
    sizes: list[int], *, count: int, weights: list[float], quotas: list[int], temperature: float, repeats: int
) -> list[int]:
    """How many records each input gives."""
    for name, given in (("weights", weights), ("quotas", quotas)):
        if given and len(given) != len(sizes):
            raise RecipeError(f"curate mix: {name}: expected one for each of {len(sizes)} inputs, got {len(given)}.")
        if not all(0 <= value < float("inf") for value in given):
            raise RecipeError(f"curate mix: {name}: expected numbers that are not negative, got {given}.")
    if weights and quotas:
        raise RecipeError("curate mix: expected weights or quotas, got both. Leave one out.")
    limits = [size * repeats for size in sizes]
    if quotas:
        limits = [
            min(limit, quota) if quota else size for limit, quota, size in zip(limits, quotas, sizes, strict=True)
        ]
        return allocate(limits, [float(limit) for limit in limits], count) if count else limits
    if not weights and not count and temperature == 1.0:
        return limits if repeats > 1 else sizes
    return allocate(limits, weights or tempered(sizes, temperature), count)


def _spread(number: int, part: Source, size: int, taken: int, seed: int) -> Iterator[tuple[float, int, int, Made]]:
    """Each record of an input, as often as it is taken, with its place in the result, between 0 and 1; places rise."""
    whole, rest = divmod(taken, size)
    chosen = _smallest(part, rest, seed)
    passes = max(1, whole + bool(rest))
    for turn in range(passes):
        for at, record in enumerate(part):
            times = whole + (at in chosen)
            place = (turn + (at + 0.5) / size) / passes
            if turn < times:
                yield place, number, at, Made(record)
            elif not turn:
                yield place, number, at, Made(record, f"not taken: {taken:,} of {size:,} of this input are")


def _smallest(part: Source, wanted: int, seed: int) -> set[int]:
    """The places of the records that a random order puts first; equal records are drawn apart by their places."""
    if not wanted:
        return set()
    drawn = ((draw(seed, record.id, at), at) for at, record in enumerate(part))
    return {at for _, at in heapq.nsmallest(wanted, drawn)}
