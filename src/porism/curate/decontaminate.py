"""Refuse, mark or drop training records whose question also stands in a test set, word for word or nearly.

Each hit is shown beside what it matched. Only questions are compared: answers may well be the same.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from porism import store
from porism.curate import _matching
from porism.curate._matching import Hit
from porism.curate._similar import Encoder, EncoderModel
from porism.curate._source import others
from porism.curate._text import question_of
from porism.embeddings import fingerprint
from porism.errors import DataError
from porism.records import Record

__all__ = ["curate", "files", "hashes"]

Against = Annotated[list[str], Field(description="records that must not be trained on: files or stage folders")]
Methods = Annotated[
    list[Literal["exact", "ngrams", "near", "semantic"]],
    Field(description="how questions are compared; the first that hits is named"),
]

_AT_ONCE = 1_000
_SHOWN = 200


def curate(
    records: Iterable[Record],
    *,
    against: Against,
    action: Annotated[
        Literal["refuse", "drop", "mark"],
        Field(description="stop at the first hit, drop it, or keep it with the hit in meta"),
    ] = "refuse",
    methods: Methods = ["exact", "ngrams", "near"],  # noqa: B006 (a setting's default, never changed)
    ngram: Annotated[int, Field(description="words of an n-gram", ge=3)] = 13,
    near_threshold: Annotated[float, Field(description="least Jaccard similarity for near", gt=0, le=1)] = 0.75,
    numbers: Annotated[
        Literal["apart", "alike"],
        Field(description="for near and semantic: whether a question with other numbers is another question"),
    ] = "alike",
    semantic_threshold: Annotated[float, Field(description="least cosine for semantic", gt=0, le=1)] = 0.9,
    encoder: Encoder = "sentence",
    encoder_model: EncoderModel = "",
) -> Iterator[tuple[Record, str]]:
    """Pass on what does not stand in the test sets.

    Raises:
        DataError: ``action`` is ``refuse`` and a record hits, the message shows both questions; or a test set is not
            there.
    """
    held_out = [(f"{path} {record.id}", question_of(record)) for path, record in others(against)]
    matcher = _matching.Matcher(
        [question for _, question in held_out],
        methods=methods,
        ngram=ngram,
        near_threshold=near_threshold,
        numbers=numbers,
        semantic_threshold=semantic_threshold,
        encoder=encoder,
        encoder_model=encoder_model,
    )
    for batch in _batches(records):
        hits = matcher.hits([question_of(record) for record in batch])
        for record, hit in zip(batch, hits, strict=True):
            if hit is None:
                yield record, ""
                continue
            place, question = held_out[hit.place]
            if action == "refuse":
                raise DataError(_refusal(record, hit, place, question))
            if action == "mark":
                told = {"method": hit.method, "score": hit.score, "with": place, "question": question[:_SHOWN]}
                yield dataclasses.replace(record, meta={**record.meta, "contaminated": told}), ""
            else:
                score = "" if hit.method == "exact" else f"{hit.score:.2f} "
                yield record, f"{hit.label}: {score}with {place}: {question[:_SHOWN]!r}"


def files(*, against: Against) -> list[Path]:
    """The test sets' files."""
    return [store.locate(path) for path in against]


def hashes(*, methods: Methods, encoder: Encoder = "sentence", encoder_model: EncoderModel = "") -> dict[str, str]:
    """The fingerprint of the encoder, where one is used."""
    return {"encoder": fingerprint(encoder, encoder_model)} if "semantic" in methods else {}


def _batches(records: Iterable[Record]) -> Iterator[Sequence[Record]]:
    iterator = iter(records)
    while batch := [record for _, record in zip(range(_AT_ONCE), iterator, strict=False)]:
        yield batch


def _refusal(record: Record, hit: Hit, place: str, question: str) -> str:
    """What is said of the first hit."""
    what = "asks what" if hit.method == "exact" else f"({hit.label}, {hit.score:.2f}) is too like what"
    return (
        f"the training record {record.id} {what} the test record {place} asks: "
        f"{question_of(record)[:_SHOWN]!r}, {question[:_SHOWN]!r}. "
        "Remove it from one of the sets, or set action to drop."
    )
