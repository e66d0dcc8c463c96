"""Trajectories: several solutions of each problem at a temperature, graded, with the problem's pass rate.

Reasoning and answer stand apart: ``meta`` says where each is in the text. A problem without a reference answer is
graded by the majority of its solutions, where enough of them agree; programs are run against their tests.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Annotated, Self, cast

from pydantic import Field, model_validator

from porism import sandbox as box
from porism import store
from porism.errors import DataError
from porism.records import JUDGED, Attempt, Problem
from porism.synth._drops import count_drops
from porism.synth._engines import AskSettings, Engines, model_hash
from porism.synth._responses import Responder, ResponseSettings, prompt_hash

__all__ = ["Settings", "check", "inputs", "pass_rate", "run"]


class Settings(AskSettings):
    """Settings of ``porism synth trajectories``."""

    reads = (Problem,)
    makes = (Attempt,)

    input: Annotated[list[str], Field(description="problems: files or stage folders")]
    samples: Annotated[int, Field(description="solutions of each problem", ge=1)] = 8
    temperature: Annotated[float, Field(description="of the solutions", ge=0)] = 1.2
    top_p: Annotated[float, Field(description="nucleus sampling", gt=0, le=1)] = 1.0
    max_tokens: Annotated[int, Field(description="longest solution, its reasoning included", ge=1)] = 4096
    prompt: Annotated[str, Field(description="a prompt template around each problem: a shipped one, or a file")] = ""
    system: Annotated[
        str | None, Field(description="a system message, '' for an empty one; left to the template if not given")
    ] = None
    agreement: Annotated[
        float, Field(description="without a reference, more than this share must state one answer", ge=0, lt=1)
    ] = 0.5
    sandbox: Annotated[str, Field(description="where programs run: auto, bubblewrap, gvisor or unsafe")] = box.AUTO

    @model_validator(mode="after")
    def _together(self) -> Self:
        """Refuse several solutions that would all be the same.

        Raises:
            ValueError: they would.
        """
        if self.samples > 1 and not self.temperature:
            raise ValueError("temperature: at 0 all solutions would be the same. Set it, to 0.8 say, or samples to 1.")
        return self


def check(settings: Settings) -> None:
    """Find a wrong prompt, or the name of no sandbox, before anything runs.

    Raises:
        UserError: one is wrong.
    """
    box.described(settings.sandbox)
    prompt_hash(_asked(settings))


def inputs(settings: Settings) -> dict[str, str]:
    """Hashes of the problems, of the model where one is loaded, and of a shipped prompt."""
    files = store.hashes(store.locate(path) for path in settings.input)
    return files | model_hash(settings) | prompt_hash(_asked(settings))


def run(settings: Settings, out: store.Output) -> None:
    """Solve every problem several times.

    Raises:
        DataError: no problems, or the engine failed too often.
        Refused: there are programs to run, and the sandbox cannot be had here.
    """
    problems = [cast("Problem", record) for path in settings.input for record in store.read(path, Problem)]
    if not problems and not settings.allow_empty:
        raise DataError(f"{', '.join(settings.input)}: no problems in the input.")
    if any(problem.kind == "code" for problem in problems):
        box.ready(settings.sandbox)  # so that nothing is generated in vain
    units = [
        range(start, min(start + settings.at_once, len(problems)))
        for start in range(0, len(problems), settings.at_once)
    ]
    with Engines(settings, out) as engines:
        responder = Responder("trajectories", engines.own, _asked(settings), settings.samples)

        def work(places: Sequence[int]) -> Iterator[store.Placed]:
            found = responder.respond([problems[at] for at in places])
            for at, tries in zip(places, found, strict=True):
                passes, judged = pass_rate([attempt for attempt, _ in tries])
                for number, (attempt, reason) in enumerate(tries):
                    meta = {**attempt.meta, "passes": passes, "judged": judged}
                    noted = dataclasses.replace(attempt, meta=meta)
                    yield store.Placed(at * settings.samples + number, noted, reason)

        out.process(units, work, title=f"synth trajectories: {len(problems)} problems", unit="problems")
    count_drops(out, "synth trajectories", settings.max_failed, allow_empty=settings.allow_empty)
    out.figures["pass_rates"] = _rates(out)


def pass_rate(attempts: Sequence[Attempt]) -> tuple[int, int]:
    """How many of the attempts at a problem are right, and how many could be judged."""
    judged = [one.verdict for one in attempts if one.verdict is not None and one.verdict.status in JUDGED]
    return sum(verdict.correct for verdict in judged), len(judged)


def _asked(settings: Settings) -> ResponseSettings:
    return ResponseSettings(
        res_temp=float(settings.temperature),
        res_top_p=float(settings.top_p),
        res_max_tokens=settings.max_tokens,
        res_prompt=settings.prompt,
        res_system=settings.system,
        agreement=float(settings.agreement),
        sandbox=settings.sandbox,
        seed=settings.seed,
    )


def _rates(out: store.Output) -> dict[str, int]:
    """How many problems have which pass rate: none right, up to half, more than half, all; or none could be judged."""
    counts = dict.fromkeys(("none", "up to half", "more than half", "all", "not judged"), 0)
    seen = {}
    for _, row in store.rows(out.records):
        meta = row["meta"]
        seen[row["problem"]["question"]] = meta["passes"], meta["judged"]
    for passes, judged in seen.values():
        if not judged:
            counts["not judged"] += 1
        elif not passes:
            counts["none"] += 1
        elif passes == judged:
            counts["all"] += 1
        else:
            counts["up to half" if 2 * passes <= judged else "more than half"] += 1
    return counts
