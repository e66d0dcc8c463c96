"""Responses to instructions that are there: several candidates each, SFT rows and Align pairs.

For problems with a reference answer the verdicts come from it, else from the candidates' agreement. The instructions
may have been written by another model than the one that answers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple, Self

from pydantic import Field, model_validator

from porism import sandbox as box
from porism import store
from porism.engines import LOADS
from porism.engines._stage import Staged, kept
from porism.errors import DataError
from porism.models.load import fingerprint
from porism.records import Attempt, Example, Message, Problem, content_id
from porism.synth import _products
from porism.synth._responses import Responder, ResponseSettings, prompt_hash, reward_code, scorer_hash

__all__ = ["Settings", "check", "inputs", "run"]


class Settings(ResponseSettings):
    """Settings of ``porism synth respond``."""

    reads = (Problem, Attempt, Example)
    makes = (Attempt,)

    input: Annotated[list[str], Field(description="problems, attempts, or SFT rows: files or stage folders")]
    model: Annotated[str, Field(description="who answers: an alias, a folder, or a training stage's output")] = (
        "smollm2-135m"
    )
    engine: Annotated[str, Field(description="who runs it")] = "local"
    responses: Annotated[int, Field(description="responses to each instruction", ge=1)] = 1
    at_once: Annotated[int, Field(description="instructions in one unit of work", ge=1)] = 64

    @model_validator(mode="after")
    def _together(self) -> Self:
        """Refuse several responses that would all be the same.

        Raises:
            ValueError: they would.
        """
        if self.responses > 1 and not self.res_temp:
            raise ValueError("res_temp: at 0 all responses would be the same. Set it, to 0.8 say, or responses to 1.")
        return self


class _Asked(NamedTuple):
    """An instruction, and what was said before it."""

    problem: Problem
    before: list[Message]


def check(settings: Settings) -> None:
    """Find a wrong prompt, code for rewards that is not there, or the name of no sandbox, before anything runs.

    Raises:
        UserError: one of them is.
    """
    box.described(settings.sandbox)
    prompt_hash(settings)
    reward_code(settings)


def inputs(settings: Settings) -> dict[str, str]:
    """Hashes of the instructions, of the model where one is loaded, and of a shipped prompt."""
    found = store.hashes(map(store.locate, settings.input)) | prompt_hash(settings) | scorer_hash(settings)
    if settings.engine in LOADS:
        found["model"] = fingerprint(getattr(settings, "adapter", "") or settings.model)
    return found


def run(settings: Settings, out: store.Output) -> None:
    """Answer every instruction, and make the products.

    Raises:
        DataError: no instructions, or the engine failed too often.
    """
    asked = _instructions(settings.input)
    known = out.manifest.key.inputs.get("model", "") if out.manifest else ""
    with Staged(settings.engine, settings.model, settings, out) as staged:
        engine = kept(staged, settings, known, wanted=settings.cache)
        responder = Responder("respond", engine, settings, settings.responses)

        def work(places: Sequence[int]) -> Iterator[store.Placed]:
            chosen = [asked[at] for at in places]
            found = responder.respond([one.problem for one in chosen], [one.before for one in chosen])
            for at, tries in zip(places, found, strict=True):
                for number, (attempt, reason) in enumerate(tries):
                    yield store.Placed(at * settings.responses + number, attempt, reason)

        units = [range(at, min(at + settings.at_once, len(asked))) for at in range(0, len(asked), settings.at_once)]
        try:
            out.process(units, work, title=f"synth respond: {len(asked)} instructions", unit="instructions")
        finally:
            staged.account()
    _products.finish(out, settings, "synth respond", candidates=settings.responses)


def _instructions(paths: Sequence[str]) -> list[_Asked]:
    """The instructions of the input, each once, in order.

    An answer that an earlier stage took from agreement is no reference: it is left out. An SFT row's last user turn is
    an instruction, with what stands before it.

    Raises:
        DataError: there are none.
    """
    found: dict[str, _Asked] = {}
    for path in paths:
        for record in store.read(path, Problem, Attempt, Example):
            if isinstance(record, Attempt):
                agreed = record.meta.get("verified") == "agreement"
                problem = dataclasses.replace(record.problem, answer="") if agreed else record.problem
                one = _Asked(problem, list(record.meta.get("before", [])))
            elif isinstance(record, Problem):
                one = _Asked(record, [])
            elif isinstance(record, Example):
                one = _of_row(record, path)
            found.setdefault(content_id(one.problem.id, one.before), one)
    if not found:
        raise DataError(f"{', '.join(paths)}: no instructions in the input.")
    return list(found.values())


def _of_row(row: Example, path: str) -> _Asked:
    """The instruction of an SFT row.

    Raises:
        DataError: its prompt does not end with a user's turn.
    """
    if not row.prompt or row.prompt[-1]["role"] != "user":
        raise DataError(f"{path}: the row {row.id} has no user's turn at the end of its prompt.")
    said = {name: str(row.meta.get(name, "")) for name in ("kind", "group")}
    problem = Problem(question=row.prompt[-1]["content"], answer="", kind=said["kind"] or "math", group=said["group"])
    return _Asked(problem, list(row.prompt[:-1]))
