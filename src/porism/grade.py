"""Stored attempts, scored again without generating: another profile, another grader, or a grader that was mended.

The attempts are written anew with their verdicts; ``changes.json`` counts what became of each verdict.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, cast

from pydantic import Field

from porism import store
from porism.errors import DataError
from porism.graders import Grading, GradingSettings, asks_engine, grade_all, grading_inputs, profile_of, tally
from porism.records import Attempt

__all__ = ["Settings", "inputs", "run", "settings"]

_PROGRAMS = 32
"""Attempts in one unit of work where programs are run: what a stage that was killed has to run again."""


class Settings(GradingSettings):
    """Settings of ``porism grade``."""

    reads = (Attempt,)
    makes = (Attempt,)

    input: Annotated[list[str], Field(description="attempts: files or stage folders")]
    kind: Annotated[str, Field(description="a grader for all of them, instead of the one that each problem names")] = ""
    at_once: Annotated[int, Field(description="attempts in one unit of work; 32 programs at most", ge=1)] = 1024


def settings(part: str, values: Mapping[str, Any]) -> type[Settings]:
    """The settings; there are no parts."""
    del part, values
    return Settings


def inputs(part: str, settings: Settings) -> dict[str, str]:
    """Hashes of the attempts, and of what the grading reads besides.

    Raises:
        RecipeError: no such profile or grader.
    """
    del part
    profile_of(settings.profile)
    if settings.kind:
        asks_engine(settings.kind)
    files = [store.locate(path) for path in settings.input]
    return store.hashes(files) | grading_inputs(settings, files)


def run(part: str, settings: Settings, out: store.Output) -> None:
    """Grade every attempt again.

    Raises:
        DataError: no attempts, or too large a share that could not be judged.
    """
    del part
    attempts = [cast("Attempt", record) for path in settings.input for record in store.read(path, Attempt)]
    if not attempts:
        raise DataError(f"{', '.join(settings.input)}: no attempts in the input.")
    if settings.kind:
        attempts = [
            dataclasses.replace(one, problem=dataclasses.replace(one.problem, kind=settings.kind)) for one in attempts
        ]
    with Grading(settings, grade_all) as grading:

        def work(places: Sequence[int]) -> Iterator[store.Placed]:
            chosen = [attempts[at] for at in places]
            asks = any(asks_engine(one.problem.kind) for one in chosen)
            for at, attempt, verdict in zip(places, chosen, grading.verdicts(chosen, asks=asks), strict=True):
                yield store.Placed(at, dataclasses.replace(attempt, verdict=verdict))

        slow = any(one.problem.kind == "code" for one in attempts)
        size = min(settings.at_once, _PROGRAMS) if slow else settings.at_once
        plan = [range(start, min(start + size, len(attempts))) for start in range(0, len(attempts), size)]
        out.process(plan, work, title=f"grading {len(attempts)} attempts", unit="attempts")
    target = out.beside("changes.json")
    changes = _changes(attempts, out)
    store.write_json(target, changes)
    out.add(target)
    out.figures["changed"] = sum(count for pair, count in changes.items() if len(set(pair.split(" → "))) > 1)
    tally(settings, out)


def _changes(before: Sequence[Attempt], out: store.Output) -> dict[str, int]:
    """``wrong → correct`` and its like, each with how often it happened."""
    counted: Counter[str] = Counter()
    for old, record in zip(before, store.read(out.records, Attempt), strict=True):
        new = cast("Attempt", record)
        counted[
            f"{old.verdict.status if old.verdict else 'none'} → {new.verdict.status if new.verdict else 'none'}"
        ] += 1
    return dict(counted.most_common())
