"""Vectors of concepts, by a sentence encoder or the last token's state of a causal model.

The records are the concepts, each once; ``vectors.npy`` beside them holds the vectors, in their order. ``synth
concepts-sample`` embeds what it needs itself, from the same cache: this is for vectors that are to be seen or kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from porism import recipe, store
from porism.errors import DataError
from porism.records import Concepts
from porism.synth import _concepts

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["VECTORS", "EncodeSettings", "Settings", "inputs", "run", "vectors", "vectors_file"]

VECTORS = "vectors.npy"


class EncodeSettings(recipe.Settings):
    """Settings of every part that embeds concepts."""

    not_in_key: ClassVar[frozenset[str]] = frozenset({"threads"})

    encoder: Annotated[str, Field(description="sentence or last-token")] = "sentence"
    encoder_model: Annotated[str, Field(description="what the encoder loads; its own default if empty")] = ""
    threads: Annotated[int, Field(description="threads of torch; 0: as many as processors are idle", ge=0)] = 0


class Settings(EncodeSettings):
    """Settings of ``porism synth concepts-encode``."""

    reads = (Concepts,)
    makes = (Concepts,)

    input: Annotated[list[str], Field(description="concepts: files or stage folders")]


def inputs(settings: Settings) -> dict[str, str]:
    """Hashes of the concepts and of the encoder."""
    from porism.embeddings import fingerprint

    found = store.hashes(store.locate(path) for path in settings.input)
    return found | {"encoder": fingerprint(settings.encoder, settings.encoder_model)}


def run(settings: Settings, out: store.Output) -> None:
    """Write each concept once, and its vector.

    Raises:
        DataError: there are no concepts.
        ModelError: the encoder's model is unknown or cannot be had.
    """
    import numpy as np

    single: dict[str, Concepts] = {}
    for one in _concepts.read(settings.input):
        for name in one.concepts:
            alone = Concepts(concepts=[name], level=one.level, subject=one.subject, domain=one.domain)
            single.setdefault(_concepts.key(name), alone)
    found = vectors([one.concepts[0] for one in single.values()], settings)
    out.write(store.Placed(at, one) for at, one in enumerate(single.values()))
    target = out.beside(VECTORS)
    np.save(target, found, allow_pickle=False)
    out.add(target)
    out.figures["dimensions"] = found.shape[1]


def vectors_file(stage: str) -> Path:
    """Where the vectors stand that a stage has written."""
    records = store.locate(stage)
    stem = "" if records.name == "records.jsonl" else f"{records.stem}."
    return records.with_name(f"{stem}{VECTORS}")


def vectors(concepts: list[str], settings: EncodeSettings, stage: str = "") -> npt.NDArray[np.float32]:
    """The vectors of concepts, as [N, D].

    Args:
        concepts: their names.
        settings: of the encoder.
        stage: the output of a stage that has embedded them; they are embedded here where it is empty.

    Raises:
        DataError: that stage has no vectors, or lacks a concept.
    """
    import numpy as np

    if not stage:
        from porism.embeddings import embed

        made: npt.NDArray[np.float32] = embed(
            concepts, encoder=settings.encoder, model=settings.encoder_model, threads=settings.threads
        )
        return made
    file = vectors_file(stage)
    names = [_concepts.key(one.concepts[0]) for one in _concepts.read([stage])]
    try:
        with file.open("rb") as handle:
            there = np.lib.format.read_array(handle, allow_pickle=False)
        fit = there.dtype.kind == "f" and bool(np.isfinite(there).all())
    except (OSError, ValueError):
        fit = False
    if not fit:
        raise DataError(f"{file}: expected vectors as 'porism synth concepts-encode' writes them.")
    places = {name: at for at, name in enumerate(names)}
    missing = [name for name in concepts if _concepts.key(name) not in places]
    if missing or there.ndim != 2 or len(there) != len(names):
        lacking = f"the concept {missing[0]!r}" if missing else f"a vector for each of {len(names)} concepts"
        raise DataError(f"{stage}: lacks {lacking}. Embed the same concepts with 'porism synth concepts-encode'.")
    return np.asarray(there[[places[_concepts.key(name)] for name in concepts]], np.float32)
