"""A smaller set with a chosen mix of difficulties and subjects, and within each with records that differ most."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, Literal

import numpy as np
import numpy.typing as npt
from pydantic import Field

from porism import embeddings
from porism.curate import _minhash, _text
from porism.curate._shares import allocate, draw, tempered
from porism.curate._similar import Encoder, EncoderModel
from porism.curate._tags import tagged
from porism.embeddings import fingerprint
from porism.recipe import Seed
from porism.records import Record

__all__ = ["curate", "hashes"]

Floats = npt.NDArray[np.float32]
Diversity = Annotated[
    Literal["none", "ngrams", "semantic"],
    Field(description="take records that differ: by n-grams, by embeddings, or at random"),
]

_SKETCH = 256
"""Numbers that stand for a text's n-grams."""
_GROUP = 4_000
"""Records among which the most different are sought at once: the work grows with the square of it."""


def curate(
    records: Iterable[Record],
    *,
    count: Annotated[int, Field(description="records to keep", ge=1)],
    by: Annotated[list[str], Field(description="tags whose values make the groups")] = ["subject", "difficulty"],  # noqa: B006
    weights: Annotated[
        dict[str, float], Field(description="value of a tag → how much more often it is taken; 0 for never")
    ] = {},  # noqa: B006
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
    """
    groups: dict[tuple[str, ...], list[int]] = defaultdict(list)
    order: list[int] = []
    texts: list[str] = []
    for at, record in enumerate(records):
        groups[tuple(str(tagged(record, name)) for name in by)].append(at)
        order.append(draw(seed, record.id))
        if diversity != "none":
            texts.append(_text.question_of(record)[: _text.LONGEST])
    names = sorted(groups)
    sizes = [len(groups[name]) for name in names]
    favoured = [
        weight * _product(weights.get(value, 1.0) for value in name)
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
        yield record, "" if at in kept else shown[tuple(str(tagged(record, name)) for name in by)]


def hashes(
    *, diversity: Diversity = "ngrams", encoder: Encoder = "sentence", encoder_model: EncoderModel = ""
) -> dict[str, str]:
    """The fingerprint of the encoder, where one is used."""
    return {"encoder": fingerprint(encoder, encoder_model)} if diversity == "semantic" else {}


def _product(values: Iterable[float]) -> float:
    found = 1.0
    for value in values:
        found *= max(0.0, value)
    return found


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
