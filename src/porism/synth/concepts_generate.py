"""Problems from concepts: a rationale, then the problem; judged by several judges; solved several times.

A problem is kept if every judge's verdict is good enough and, where answers can be compared, enough solutions of it
agree: their answer becomes the problem's. Every record names its concepts, its rationale and what the judges said.
``rows.jsonl`` beside the records holds prompt and completion of each, to train a writer with.

PromptCoT (Zhao et al., 2025, arXiv:2503.02324).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal, NamedTuple, Self

from pydantic import Field, model_validator

from porism import recipe, store
from porism.engines import LOADS, Engine
from porism.models.load import fingerprint
from porism.records import Concepts, Example, Message, Problem, content_id
from porism.synth import _blocks, _concepts
from porism.synth._drops import count_drops
from porism.synth._engines import AskSettings, Engines, model_hash, other_options
from porism.synth._judging import Judge, Judgement, kept
from porism.synth._responses import Responder, ResponseSettings
from porism.synth._writing import Draft, How, Writer, prompt

__all__ = ["Settings", "check", "inputs", "run"]


class Settings(AskSettings):
    """Settings of ``porism synth concepts-generate``."""

    reads = (Concepts,)
    makes = (Problem,)

    input: Annotated[list[str], Field(description="sets of concepts: files or stage folders")]
    limit: Annotated[int, Field(description="take only the first so many sets; 0 for all", ge=0)] = 0
    samples: Annotated[int, Field(description="problems from each set", ge=1)] = 1
    temperature: Annotated[float, Field(description="of rationale and problem", ge=0)] = 0.8
    top_p: Annotated[float, Field(description="nucleus sampling", gt=0, le=1)] = 1.0
    rationale_tokens: Annotated[int, Field(description="longest rationale", ge=1)] = 1024
    problem_tokens: Annotated[int, Field(description="longest problem", ge=1)] = 512
    blocks: Annotated[
        Literal["forced", "free"], Field(description="ask for each block, its marks given, or let the model write both")
    ] = "forced"
    long: Annotated[
        Literal["close", "drop"], Field(description="a forced rationale that is too long: end it, or drop it")
    ] = "close"
    judges: Annotated[
        list[str],
        Field(description="who judges, two or more: models or training stages; an empty name is the model itself"),
    ] = ["", ""]
    judge_engine: Annotated[
        str, Field(description="who runs judges with a name, and the solver; the same engine if empty")
    ] = ""
    judge_options: Annotated[dict[str, Any], Field(description="settings of that engine")] = {}
    judge_temp: Annotated[float, Field(description="temperature of the judges", ge=0)] = 0.6
    judge_tokens: Annotated[int, Field(description="longest verdict", ge=1)] = 128
    constrained: Annotated[bool, Field(description="let the engine allow only ratings in a verdict")] = True
    keep: Annotated[Literal["perfect", "acceptable", "bad"], Field(description="the least verdict of every judge")] = (
        "perfect"
    )
    solutions: Annotated[int, Field(description="solutions that are compared; 0 for none", ge=0)] = 8
    solver: Annotated[str, Field(description="who solves: a model or training stage; the model itself if empty")] = ""
    solution_temp: Annotated[float, Field(description="temperature of the solutions", ge=0)] = 0.8
    solution_tokens: Annotated[int, Field(description="longest solution", ge=1)] = 2048
    agreement: Annotated[float, Field(description="more than this share must state one answer", ge=0, lt=1)] = 0.5

    @model_validator(mode="after")
    def _together(self) -> Self:
        """Find what does not go together.

        Raises:
            ValueError: settings exclude one another.
        """
        if self.samples > 1 and not self.temperature:
            raise ValueError("temperature: at 0 all problems of a set would be the same. Set it, or samples to 1.")
        if len(self.judges) == 1:
            raise ValueError("judges: expected at least two, or none ([]), got one.")
        if len(set(self.judges)) < len(self.judges) and not self.judge_temp:
            raise ValueError("judge_temp: at 0 a model that judges twice says the same twice. Set it, or name others.")
        if self.solutions > 1 and not self.solution_temp:
            raise ValueError("solution_temp: at 0 all solutions would be the same. Set it, to 0.8 say.")
        if self.solutions == 1:
            raise ValueError("solutions: expected at least two that can agree, or 0 for none, got 1.")
        return self


class _Place(NamedTuple):
    """One problem that is to be written."""

    concepts: Concepts
    number: int
    at: int


def check(settings: Settings) -> None:
    """Find a wrong engine of judges or solver before anything runs.

    Raises:
        RecipeError: there is one.
    """
    if any(settings.judges) or settings.solver:
        other_options(settings.judge_engine or settings.engine, settings.judge_options, "judge_options")


def inputs(settings: Settings) -> dict[str, str]:
    """Hashes of the concepts, of the models that are loaded, and of the prompts."""
    found = store.hashes(store.locate(path) for path in settings.input) | model_hash(settings)
    found["prompts"] = content_id([_blocks.template(name) for name in ("math", "code", "judge")])
    if (settings.judge_engine or settings.engine) in LOADS:
        adapter = str(settings.judge_options.get("adapter") or "")
        if any(settings.judges):
            found["judges"] = content_id([fingerprint(adapter or name) if name else "" for name in settings.judges])
        if settings.solver:
            found["solver"] = fingerprint(adapter or settings.solver)
    return found


def run(settings: Settings, out: store.Output) -> None:
    """Write, judge and solve.

    Raises:
        DataError: no concepts, the engine failed too often, or nothing was kept.
    """
    draws = _concepts.read(settings.input)
    draws = draws[: settings.limit] if settings.limit else draws
    places = [
        _Place(one, number, at * settings.samples + number)
        for at, one in enumerate(draws)
        for number in range(settings.samples)
    ]
    units = [places[start : start + settings.at_once] for start in range(0, len(places), settings.at_once)]
    with Engines(settings, out) as engines:
        work = _Work(settings, engines)
        out.process(units, work.unit, title=f"synth concepts-generate: {len(places)} problems", unit="problems")
    count_drops(out, "synth concepts-generate", settings.max_failed, allow_empty=settings.allow_empty)


class _Work:
    """Makes the problems of one unit after the other.

    Args:
        settings: of the stage.
        engines: of the stage.
    """

    def __init__(self, settings: Settings, engines: Engines) -> None:
        self._settings = settings
        self._engine = engines.own
        how = How(
            settings.temperature,
            settings.top_p,
            settings.rationale_tokens,
            settings.problem_tokens,
            settings.blocks,
            settings.long,
        )
        self._writer = Writer(engines.own, how)
        asked = _asked(settings, engines)
        self._judges = _judges(settings, asked)
        solving = ResponseSettings(
            res_temp=settings.solution_temp,
            res_max_tokens=settings.solution_tokens,
            agreement=settings.agreement,
            seed=settings.seed,
        )
        solver = asked[settings.solver]
        self._solver = Responder("concepts", solver, solving, settings.solutions) if settings.solutions else None

    def unit(self, places: Sequence[_Place]) -> Iterator[store.Placed]:
        """The records of some places: the problem, and where it is kept the row that trains a writer."""
        drafts = self._writer.write([(place.concepts, place.number) for place in places], self._settings.seed)
        good = [at for at, draft in enumerate(drafts) if not draft.reason]
        judged = dict(zip(good, self._judged([(places[at].concepts, drafts[at]) for at in good]), strict=True))
        problems = [
            self._problem(place, draft, judged.get(at, []))
            for at, (place, draft) in enumerate(zip(places, drafts, strict=True))
        ]
        reasons = [draft.reason or kept(judged[at], self._settings.keep) for at, draft in enumerate(drafts)]
        passed = [at for at, reason in enumerate(reasons) if not reason]
        for at, (problem, reason) in zip(passed, self._solved([problems[at] for at in passed]), strict=True):
            problems[at], reasons[at] = problem, reason
        for place, draft, problem, reason in zip(places, drafts, problems, reasons, strict=True):
            yield store.Placed(2 * place.at, problem, reason)
            if not reason:
                yield store.Placed(2 * place.at + 1, _row(place.concepts, draft, problem), part="rows")

    def _judged(self, written: Sequence[tuple[Concepts, Draft]]) -> list[list[Judgement]]:
        """What every judge says of each."""
        asked = [(concepts, draft.rationale, draft.problem) for concepts, draft in written]
        by_judge = [judge.rate(asked, self._settings.seed) for judge in self._judges]
        return [[said[at] for said in by_judge] for at in range(len(asked))]

    def _problem(self, place: _Place, draft: Draft, judged: Sequence[Judgement]) -> Problem:
        concepts, code = place.concepts, place.concepts.domain == "code"
        meta: dict[str, Any] = {
            "concepts": list(concepts.concepts),
            "level": concepts.level,
            "draw": concepts.id,
            "sample": place.number,
            "rationale": draft.rationale,
            "judges": [one.plain() for one in judged],
            "model": self._engine.model,
            "temperature": self._settings.temperature,
            "seed": self._settings.seed,
            "tokens": draft.tokens,
        }
        return Problem(
            question=draft.problem or draft.text,
            answer="",
            kind="code" if code else "math",
            source="concepts",
            group=concepts.subject,
            meta={name: value for name, value in meta.items() if value not in ("", [])},
        )

    def _solved(self, problems: Sequence[Problem]) -> list[tuple[Problem, str]]:
        """The problems with the answer that their solutions agree on, and a reason where they do not."""
        if self._solver is None or not problems:
            return [(problem, "") for problem in problems]
        solvable = [at for at, problem in enumerate(problems) if problem.kind != "code"]
        found = [(problem, "") for problem in problems]
        tries = self._solver.respond([problems[at] for at in solvable]) if solvable else []
        for at, attempts in zip(solvable, tries, strict=True):
            first = attempts[0][0]
            failed = next((one.error for one, _ in attempts if one.finish == "error"), "")
            agreed = first.meta.get("agreement")
            if agreed and agreed[0] > 1:
                meta = {**problems[at].meta, "agreement": agreed, "verified": "agreement"}
                found[at] = dataclasses.replace(problems[at], answer=first.problem.answer, meta=meta), ""
            elif failed:
                found[at] = problems[at], f"engine: {failed}"
            else:
                share = f"two, and more than {self._settings.agreement:g}, of {len(attempts)} solutions"
                found[at] = problems[at], f"unsolved: no answer is stated by at least {share}"
        return found


def _asked(settings: Settings, engines: Engines) -> dict[str, Engine]:
    """Model → its engine, for judges and solver; an empty name is the one that writes."""
    name = settings.judge_engine or settings.engine
    found = {"": engines.own}
    for number, model in enumerate([*settings.judges, settings.solver]):
        if model not in found:
            options: recipe.Settings = other_options(name, settings.judge_options, "judge_options")
            prefix = f"judge{number}_" if number < len(settings.judges) else "solver_"
            found[model] = engines.other(name, model, options, prefix)
    return found


def _judges(settings: Settings, asked: Mapping[str, Engine]) -> list[Judge]:
    """The judges; those of one name share an engine."""
    return [
        Judge(
            number=number,
            engine=asked[model],
            temperature=settings.judge_temp,
            max_tokens=settings.judge_tokens,
            constrained=settings.constrained,
        )
        for number, model in enumerate(settings.judges)
    ]


def _row(concepts: Concepts, draft: Draft, problem: Problem) -> Example:
    """What a writer is trained with: concepts in, both blocks out."""
    text = _blocks.assembled(draft.rationale, draft.problem)
    meta = {"problem": problem.id, "concepts": list(concepts.concepts), "level": concepts.level}
    meta |= {name: value for name, value in problem.meta.items() if name == "judges"}
    return Example(
        prompt=prompt(concepts),
        completion=[Message(role="assistant", content=text)],
        meta=meta,
    )
