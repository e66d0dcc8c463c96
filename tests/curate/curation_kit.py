"""Writing records and running a step of curation on them."""

import json
from collections.abc import Iterable
from pathlib import Path

from porism import pipeline, store
from porism.records import Record, to_row

WORDS = (
    "river stone lamp cloud paper garden winter bread copper violin market harbour candle forest engine".split()  # noqa: SIM905
)
"""Texts made of these have little in common but by design."""


def write(path: Path, records: Iterable[Record]) -> str:
    path.write_text("".join(json.dumps(to_row(record)) + "\n" for record in records))
    return str(path)


def run(step: str, target: Path, *records: str, **settings: object) -> store.Manifest:
    return pipeline.execute(pipeline.prepare("curate", step, {"input": list(records), **settings}), target)


def kept(folder: Path) -> list[Record]:
    return list(store.read(folder))
