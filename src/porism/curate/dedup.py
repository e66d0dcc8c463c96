"""Drop duplicates: equal records, near-duplicates by n-grams, or records that mean the same by their embeddings.

Whatever is joined by a chain of similar pairs is one cluster, of which one record is kept. Which one, and what belongs
together, depends on the records alone, not on their order; a second run drops nothing more.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Annotated, Any, Literal

from pydantic import Field

from porism.curate._minhash import Grams
from porism.curate._similar import Encoder, EncoderModel, Found, Keep, Method, Numbers, Threshold, find, threshold_of
from porism.curate._text import By
from porism.embeddings import fingerprint
from porism.records import Record

__all__ = ["check", "curate", "hashes"]

_NAMES = {"exact": "duplicate", "near": "near duplicate", "semantic": "semantic duplicate"}


def curate(
    records: Iterable[Record],
    *,
    by: By = "all",
    method: Method = "exact",
    threshold: Threshold = None,
    action: Annotated[
        Literal["drop", "mark"], Field(description="drop duplicates, or keep all and only write the fields")
    ] = "drop",
    keep: Keep = "stable",
    numbers: Numbers = "apart",
    grams: Grams = "characters",
    gram_size: Annotated[int, Field(description="units of an n-gram; 0: 5 characters (3 in CJK), 2 words", ge=0)] = 0,
    encoder: Encoder = "sentence",
    encoder_model: EncoderModel = "",
) -> Iterator[tuple[Record, str]]:
    """Keep one record of each cluster. The reason names it, and the most similar record where that is another one.

    Records with neighbours get Magpie's fields in ``meta``, and with ``semantic`` all do: ``repeat_count``, how many
    others are as similar as the threshold asks; ``min_similar_conversation_id``, the earliest of these in the input or
    the record itself; ``min_neighbor_distance``, to the most similar other record: the squared distance of the unit
    vectors (2 − 2 cos) for ``semantic``, 1 − Jaccard for ``near``, 0 for ``exact``.
    """
    found = find(
        records,
        by=by,
        method=method,
        threshold=threshold,
        keep=keep,
        numbers=numbers,
        grams=grams,
        gram_size=gram_size,
        encoder=encoder,
        encoder_model=encoder_model,
    )
    for at, record in enumerate(records):
        fields = _fields(found, at, method)
        marked = dataclasses.replace(record, meta={**record.meta, **fields}) if fields else record
        is_kept = action == "mark" or found.head[at] == at
        yield marked, "" if is_kept else _reason(found, at, method)


def check(*, method: Method = "exact", threshold: Threshold = None) -> None:
    """The method has a threshold, where one is named.

    Raises:
        RecipeError: it has none.
    """
    threshold_of(method, threshold)


def hashes(
    *, method: Method = "exact", encoder: Encoder = "sentence", encoder_model: EncoderModel = ""
) -> dict[str, str]:
    """The fingerprint of the encoder, where one is used."""
    return {"encoder": fingerprint(encoder, encoder_model)} if method == "semantic" else {}


def _fields(found: Found, at: int, method: str) -> dict[str, Any]:
    """Magpie's fields of a record; none where nothing is known."""
    repeats = int(found.repeats[at])
    if not repeats and method != "semantic":
        return {}
    fields: dict[str, Any] = {"repeat_count": repeats}
    if repeats:
        fields["min_similar_conversation_id"] = found.ids[int(found.earliest[at])]
    if found.other[at] >= 0:
        similarity = float(found.similarity[at])
        distance = 2 - 2 * similarity if method == "semantic" else 1 - similarity
        fields["min_neighbor_distance"] = round(max(0.0, distance), 6)
    return fields


def _reason(found: Found, at: int, method: str) -> str:
    head, link = int(found.head[at]), int(found.link[at])
    text = f"{_NAMES[method]}: of {found.ids[head]}"
    if method == "exact" or link < 0:
        return text
    chain = "" if link == head else f"; most like {found.ids[link]}"
    return f"{text}{chain}, {found.link_similarity[at]:.3f}"
