"""Sets of concepts from which problems are to be written: drawn by co-occurrence and similarity, each with a level.

The definition stands in :mod:`porism.synth._sampling`. How often concepts stand together is counted in the records of
the input: with single concepts, as they are shipped, similarity alone decides.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, Self

from pydantic import Field, model_validator

from porism import console, store
from porism.errors import DataError, RecipeError, nearest
from porism.records import Concepts
from porism.synth import _concepts
from porism.synth._diversity import diversity
from porism.synth._sampling import Batch, Sampler, count
from porism.synth.concepts_encode import EncodeSettings, vectors, vectors_file

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Settings", "inputs", "run"]


class Settings(EncodeSettings):
    """Settings of ``porism synth concepts-sample``."""

    reads = (Concepts,)
    makes = (Concepts,)

    input: Annotated[list[str], Field(description="concepts, or sets of them: files or stage folders")]
    embed: Annotated[str, Field(description="the output of 'synth concepts-encode'; embedded here if empty")] = ""
    total: Annotated[int, Field(description="how many sets to draw", ge=1)] = 1000
    size: Annotated[int, Field(description="concepts in a set", ge=1)] = 5
    temperature: Annotated[float, Field(description="of the softmax: the lower, the more alike", gt=0)] = 0.2
    cooccurrence: Annotated[float, Field(description="weight of how often concepts stand together", ge=0)] = 1.0
    similarity: Annotated[float, Field(description="weight of how similar concepts are", ge=0)] = 1.0
    balance: Annotated[float, Field(description="prefer what was drawn less: 0 for the definition alone", ge=0)] = 0.0
    levels: Annotated[dict[str, float], Field(description="weights of levels; all alike where none is given")] = {}
    fit: Annotated[bool, Field(description="take only concepts that fit the level of the set")] = True
    repeats: Annotated[bool, Field(description="keep sets that were drawn before at the same level")] = False
    seed: Annotated[int, Field(description="of the draws", ge=0, lt=2**32)] = 0

    @model_validator(mode="after")
    def _together(self) -> Self:
        """Find weights that leave nothing.

        Raises:
            ValueError: they do.
        """
        weights = self.levels.values()
        if weights and not (all(0 <= weight < math.inf for weight in weights) and any(weights)):
            raise ValueError("levels: expected finite weights of at least 0, one of them above 0.")
        return self


class _Pool(NamedTuple):
    """What there is to draw from."""

    names: list[str]
    subjects: list[str]
    records: list[list[int]]
    seen: list[set[str]]
    """The levels of the records that hold each concept."""
    domain: str
    levels: list[str]


def inputs(settings: Settings) -> dict[str, str]:
    """Hashes of the concepts, and of the encoder or its vectors."""
    files = [store.locate(path) for path in settings.input]
    if settings.embed:
        there = vectors_file(settings.embed)
        return store.hashes([*files, store.locate(settings.embed), *([there] if there.is_file() else [])])
    from porism.embeddings import fingerprint

    return store.hashes(files) | {"encoder": fingerprint(settings.encoder, settings.encoder_model)}


def run(settings: Settings, out: store.Output) -> None:
    """Draw.

    Raises:
        DataError: no concepts, of several domains, or too few that fit a level.
        RecipeError: an unknown level.
    """
    import numpy as np

    pool = _pool(settings.input)
    levels = _weights(settings.levels, pool)
    fits_L_N = np.array([_fits(pool, level, every=not settings.fit) for level in levels])
    for level, fits_N in zip(levels, fits_L_N, strict=True):
        if fits_N.sum() < settings.size:
            raise DataError(
                f"{fits_N.sum()} concepts fit the level {level!r}, and a set has {settings.size}. Lower size, add "
                "concepts, or set fit to false."
            )
    vectors_N_D = vectors(pool.names, settings, settings.embed)
    sampler = Sampler(
        count(pool.records, len(pool.names)),
        vectors_N_D,
        fits_L_N,
        temperature=settings.temperature,
        cooccurrence=settings.cooccurrence,
        similarity=settings.similarity,
        balance=settings.balance,
    )
    weights_L = np.array(list(levels.values()))
    batches = list(sampler.draw(settings.total, settings.size, weights_L=weights_L, seed=settings.seed))
    out.write(_placed(batches, pool, list(levels), settings))
    drawn = np.concatenate([batch.concepts for batch in batches])
    measured = diversity(drawn, vectors_N_D, seed=settings.seed)
    figures = {name: None if np.isnan(value) else round(value, 6) for name, value in measured.items()}
    out.figures["diversity"] = figures
    repeated = out.counts.pop("dropped", 0)
    if repeated:
        out.counts["dropped: repeat"] = repeated
    told = ", ".join(f"{name.replace('_', ' ')} {value:.3f}" for name, value in figures.items() if value is not None)
    console.notice(f"  diversity: {told}")


def _placed(batches: Sequence[Batch], pool: _Pool, levels: Sequence[str], settings: Settings) -> Iterator[store.Placed]:
    """The draws as records; a set that came before is dropped, unless repeats are wanted."""
    before: dict[tuple[object, ...], int] = {}
    at = 0
    for batch in batches:
        for level, concepts in zip(batch.levels.tolist(), batch.concepts.tolist(), strict=True):
            meta: dict[str, Any] = {"draw": at, "seed": settings.seed, "temperature": settings.temperature}
            record = Concepts(
                concepts=[pool.names[one] for one in concepts],
                level=levels[level],
                subject=pool.subjects[concepts[0]],
                domain=pool.domain,
                meta=meta,
            )
            first = before.setdefault((level, *sorted(concepts)), at)
            repeat = first != at and not settings.repeats
            yield store.Placed(at, record, f"repeat: of draw {first}" if repeat else "")
            at += 1


def _pool(paths: Sequence[str]) -> _Pool:
    """The concepts of the input, each once, in order.

    Raises:
        DataError: none, or of several domains.
    """
    read = _concepts.read(paths)
    domains = sorted({one.domain for one in read})
    if len(domains) > 1:
        raise DataError(f"{', '.join(paths)}: expected concepts of one domain, got {', '.join(map(repr, domains))}.")
    places: dict[str, int] = {}
    names: list[str] = []
    subjects: list[str] = []
    seen: list[set[str]] = []
    records: list[list[int]] = []
    for one in read:
        members = []
        for name in one.concepts:
            at = places.setdefault(_concepts.key(name), len(names))
            if at == len(names):
                names.append(name)
                subjects.append(one.subject)
                seen.append(set())
            seen[at].add(one.level)
            members.append(at)
        records.append(members)
    known = list(_concepts.shipped(domains[0]).levels) if domains[0] in _concepts.DOMAINS else []
    found = {level for levels in seen for level in levels}
    order = [level for level in known if level in found] + sorted(found - set(known) - {""})
    return _Pool(names, subjects, records, seen, domains[0], order)


def _weights(given: Mapping[str, float], pool: _Pool) -> dict[str, float]:
    """Level → weight; one level without a name where the concepts have none.

    Raises:
        RecipeError: a level that the concepts have not.
    """
    for level in given:
        if pool.levels and level not in pool.levels:
            raise RecipeError(
                f"levels: no concept has the level {level!r}.{nearest(level, pool.levels)} "
                f"Known: {', '.join(pool.levels)}."
            )
    return {level: weight for level, weight in given.items() if weight} or dict.fromkeys(pool.levels, 1.0) or {"": 1.0}


def _fits(pool: _Pool, level: str, *, every: bool) -> npt.NDArray[np.bool_]:
    """Which concepts fit a level: those of the levels that go with it, and those without a level, as [N]."""
    import numpy as np

    if every or not pool.levels:
        return np.ones(len(pool.names), bool)
    shipped = _concepts.shipped(pool.domain).levels if pool.domain in _concepts.DOMAINS else {}
    wanted = {*shipped.get(level, (level,)), ""}
    return np.array([bool(levels & wanted) for levels in pool.seen])
