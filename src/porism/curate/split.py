"""Parts such as train and test, of whole clusters: two records that say nearly the same are never in different parts.

The first part is the stage's ``records.jsonl``; the others are files beside it. In a recipe, ``split/test`` is the file
``test.jsonl`` of the stage ``split``.
"""

from __future__ import annotations

import dataclasses
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated

from pydantic import Field

from porism import console
from porism.curate import Made
from porism.curate._clusters import UnionFind
from porism.curate._draw import draw
from porism.curate._similar import Encoder, EncoderModel, Method, Numbers, Threshold, find
from porism.curate._tags import tagged
from porism.curate._text import By
from porism.embeddings import fingerprint
from porism.errors import DataError, RecipeError
from porism.recipe import Seed
from porism.records import Record

__all__ = ["check", "hashes", "make"]

Sizes = Annotated[dict[str, float], Field(description="name of a part → its share; the first is the main one")]

_SIZES = {"train": 0.9, "test": 0.1}
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
_TAKEN = ("records", "dropped", "manifest", "report")
_ROUNDING = 1e-6


def make(
    records: Iterable[Record],
    *,
    sizes: Sizes = _SIZES,
    by: By = "question",
    method: Method = "near",
    threshold: Threshold = None,
    numbers: Numbers = "alike",
    together: Annotated[str, Field(description="a tag whose equal values also stay together, such as group")] = "",
    encoder: Encoder = "sentence",
    encoder_model: EncoderModel = "",
    seed: Annotated[Seed, Field(description="of the choice")] = 0,
) -> Iterator[Made]:
    """Each record in its part, in the order of the input, with the part's name in ``meta`` as ``split``.

    Clusters are dealt out, the largest first and those of one size in a random order, each to the part that lacks most
    of its share, of those that it fits into: so shares are kept as well as the largest clusters allow.

    Raises:
        RecipeError: fewer than two parts, a share that is not positive, or a name that is no file's.
        DataError: the main part would be empty.
    """
    check(sizes=sizes)
    found = find(
        records,
        by=by,
        method=method,
        threshold=threshold,
        numbers=numbers,
        encoder=encoder,
        encoder_model=encoder_model,
    )
    sets = UnionFind(len(found.ids))
    sets.join(enumerate(found.head.tolist()))
    if together:
        first: dict[str, int] = {}
        for at, record in enumerate(records):
            value = tagged(record, together)
            if value not in (None, ""):
                sets.join([(at, first.setdefault(str(value), at))])
        if not first:
            console.notice(f"  no record has the tag {together!r}: it keeps nothing together.")
    heads = sets.heads().tolist()
    part_of = _deal(heads, found.ids, sizes, seed)
    main = next(iter(sizes))
    _tell_of_empty(sizes, part_of, main)
    for head, record in zip(heads, records, strict=True):
        name = part_of[head]
        marked = dataclasses.replace(record, meta={**record.meta, "split": name})
        yield Made(marked, part="" if name == main else name)


def hashes(
    *, method: Method = "near", encoder: Encoder = "sentence", encoder_model: EncoderModel = ""
) -> dict[str, str]:
    """The fingerprint of the encoder, where one is used."""
    return {"encoder": fingerprint(encoder, encoder_model)} if method == "semantic" else {}


def check(*, sizes: Sizes = _SIZES) -> None:
    """The parts have names and shares that fit.

    Raises:
        RecipeError: they do not.
    """
    if len(sizes) < 2:
        raise RecipeError(f"curate split: sizes: expected at least two parts, got {len(sizes)}.")
    for name, share in sizes.items():
        if not _NAME.fullmatch(name) or name in _TAKEN:
            raise RecipeError(
                f"curate split: sizes: expected a part's name of letters, digits, _ and -, other than "
                f"{', '.join(_TAKEN)}; got {name!r}."
            )
        if not 0 < share < float("inf"):
            raise RecipeError(f"curate split: sizes: expected a positive share for {name!r}, got {share!r}.")


def _tell_of_empty(sizes: Mapping[str, float], part_of: Mapping[int, str], main: str) -> None:
    """Say which parts got nothing.

    Raises:
        DataError: the main one is among them.
    """
    for name in (name for name in sizes if name not in part_of.values()):
        text = f"the part {name!r} is empty: there are {len(part_of):,} groups of records that stay together"
        if name == main:
            raise DataError(f"curate split: {text}. Take more records, or a method that finds fewer twins.")
        console.notice(f"  {text}.")


def _deal(heads: list[int], ids: list[str], sizes: Mapping[str, float], seed: int) -> dict[int, str]:
    """Head of a cluster → the part that it goes to. The smallest id of a cluster decides on its place in the order."""
    members: dict[int, int] = defaultdict(int)
    name: dict[int, str] = {}
    for at, head in enumerate(heads):
        members[head] += 1
        name[head] = min(name.get(head, ids[at]), ids[at])
    total = sum(sizes.values())
    wanted = {part: len(heads) * share / total for part, share in sizes.items()}
    have = dict.fromkeys(sizes, 0)
    part_of = {}
    for head in sorted(members, key=lambda head: (-members[head], draw(seed, name[head]), name[head])):
        lacking = {part: wanted[part] - have[part] for part in sizes}
        fitting = [part for part in sizes if members[head] <= lacking[part] + _ROUNDING]
        shares = {part: (lacking[part] / wanted[part], lacking[part]) for part in fitting}
        part_of[head] = part = max(shares, key=shares.__getitem__) if shares else max(lacking, key=lacking.__getitem__)
        have[part] += members[head]
    return part_of
