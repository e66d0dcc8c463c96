"""A smaller set with a chosen mix of difficulties and subjects, and within each with records that differ most."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from porism import console, embeddings
from porism.curate import _minhash, _text
from porism.curate._draw import draw
from porism.curate._similar import Encoder, EncoderModel
from porism.curate._tags import tagged
from porism.embeddings import fingerprint
from porism.errors import RecipeError
from porism.mixture import allocate, tempered
from porism.recipe import Seed
from porism.records import Record

__all__ = ["check", "curate", "hashes"]

Floats = npt.NDArray[np.float32]
Diversity = Annotated[
    Literal["none", "ngrams", "semantic"],
    Field(description="take records that differ: by n-grams, by embeddings, or at random"),
]

Weights = Annotated[
    dict[str, float], Field(description="value of a tag → how much more often it is taken; 0 for never")
]

_HEAVIEST = 1_000_000
_SKETCH = 256
"""Numbers that stand for a text's n-grams."""
_LONGEST = 200
"""Characters of a tag's value."""
_GROUP = 4_000
"""Records among which the most different are sought at once: the work grows with the square of it."""


def curate(
    records: Iterable[Record],
    *,
    count: Annotated[int, Field(description="records to keep", ge=1)],
    by: Annotated[list[str], Field(description="tags whose values make the groups")] = ["subject", "difficulty"],  # noqa: B006
    weights: Weights = {},  # noqa: B006
    temperature: Annotated[
        float, Field(description="1 takes groups in proportion to their sizes, more makes them equal", gt=0)
    ] = 1.0,
    diversity: Diversity = "ngrams",
    encoder: Encoder = "sentence",
    encoder_model: EncoderModel = "",
    seed: Annotated[Seed, Field(description="of the choice")] = 0,
) -> Iterator[tuple[Record, str]]:
    """Keep ``count`` records. Which ones does not depend on the order of the input.

    Within a group the first is taken at random, then always the one that is least like those taken (farthest-first;
    Gonzalez, 1985). Large groups are cut at random into parts, of which each gives its share.

    Raises:
        RecipeError: a weight that is out of range.
    """
    check(weights=weights)
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    order: list[int] = []
    texts: list[str] = []
    for at, record in enumerate(records):
        groups[_group(record, by)].append(at)
        order.append(draw(seed, record.id))
        if diversity != "none":
            texts.append(_text.question_of(record)[: _text.LONGEST])
    _tell_of_unseen(groups, by)
    names = sorted(groups)
    sizes = [len(groups[name]) for name in names]
    favoured = [
        weight * math.prod(weights.get(value, 1.0) for value in name)
        for weight, name in zip(tempered(sizes, temperature), names, strict=True)
    ]
    wanted = allocate(sizes, favoured, min(count, sum(sizes)))
    vectors = _vectors(texts, diversity, encoder, encoder_model)
    kept: set[int] = set()
    for name, number in zip(names, wanted, strict=True):
        places = sorted(groups[name], key=lambda at: (order[at], at))
        kept.update(places[:number] if vectors is None else _different(vectors, places, number))
    shown = {
        name: f"not sampled: {', '.join(name)}: {n:,} of {size:,} are"
        for name, n, size in zip(names, wanted, sizes, strict=True)
    }
    for at, record in enumerate(records):
        yield record, "" if at in kept else shown[_group(record, by)]


def check(*, weights: Weights = {}) -> None:  # noqa: B006
    """The weights are numbers that weigh something.

    Raises:
        RecipeError: one is not.
    """
    for value, weight in weights.items():
        if not 0 <= weight <= _HEAVIEST:
            raise RecipeError(
                f"curate sample: weights: expected a number from 0 to {_HEAVIEST:,} for {value!r}, got {weight!r}."
            )


def hashes(
    *, diversity: Diversity = "ngrams", encoder: Encoder = "sentence", encoder_model: EncoderModel = ""
) -> dict[str, str]:
    """The fingerprint of the encoder, where one is used."""
    return {"encoder": fingerprint(encoder, encoder_model)} if diversity == "semantic" else {}


def _tell_of_unseen(groups: Iterable[tuple[str, ...]], by: Sequence[str]) -> None:
    """Say which tags no record has: they may be mistyped, or not written yet."""
    for at, name in enumerate(by):
        if all(values[at] == str(None) for values in groups):
            console.notice(f"  no record has the tag {name!r}: it makes no groups. 'porism curate tag' writes tags.")


def _group(record: Record, by: Sequence[str]) -> tuple[str, ...]:
    """What the record's tags say, as much of it as tells values apart."""
    return tuple(str(tagged(record, name))[:_LONGEST] for name in by)


def _vectors(texts: Sequence[str], diversity: str, encoder: str, encoder_model: str) -> Floats | None:
    """A vector of length 1 for each text; None where records are taken at random. [N, D]."""
    if diversity == "none":
        return None
    if diversity == "semantic":
        return embeddings.embed(texts, encoder=encoder, model=encoder_model)
    found: Floats = np.zeros((len(texts), _SKETCH), np.float32)
    for start in range(0, len(texts), 2_000):
        sets = _minhash.grams([_text.normal(text) for text in texts[start : start + 2_000]])
        owners = np.repeat(np.arange(len(sets.starts) - 1), np.diff(sets.starts)) + start
        signs = np.where(sets.values >> np.uint32(31), np.float32(1), np.float32(-1))
        np.add.at(found, (owners, (sets.values % _SKETCH).astype(np.int64)), signs)
    found /= np.maximum(np.linalg.norm(found, axis=1, keepdims=True), 1e-12)
    return found


def _different(vectors: Floats, places: Sequence[int], wanted: int) -> list[int]:
    """The wanted number of places whose vectors differ most, from a random order of them."""
    if not wanted or wanted >= len(places):
        return list(places)[:wanted]
    parts = -(-len(places) // _GROUP)
    cut = [places[part::parts] for part in range(parts)]
    shares = allocate([len(part) for part in cut], [float(len(part)) for part in cut], wanted)
    return [place for part, share in zip(cut, shares, strict=True) for place in _farthest(vectors, part, share)]


def _farthest(vectors: Floats, places: Sequence[int], wanted: int) -> list[int]:
    if not wanted:
        return []
    inside = vectors[list(places)]
    chosen = [0]
    closest = inside @ inside[0]
    closest[0] = np.inf
    for _ in range(wanted - 1):
        at = int(closest.argmin())
        chosen.append(at)
        closest = np.maximum(closest, inside @ inside[at])
        closest[at] = np.inf
    return [places[at] for at in chosen]
