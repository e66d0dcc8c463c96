"""Test cases for programs: inputs from a model and from types, outputs by the agreement of several solutions.

A model proposes inputs (edge, complex, error-prone, critical-path), over several rounds; functions also get inputs
made from their types and the examples in the problem. Solutions (sampled here, the attempts of an earlier stage, the
problem's own) are run on them in the sandbox, and a test is kept where enough of them agree. Mutants of a solution
show what the tests are worth; tests that reject none of them are named.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Self, cast

from pydantic import Field, model_validator

from porism import sandbox as box
from porism import store
from porism.errors import DataError
from porism.records import Attempt, Problem, content_id
from porism.synth import _blocks
from porism.synth._cases import FOCUSES, Maker, Rule
from porism.synth._drops import count_drops
from porism.synth._engines import AskSettings, Engines, model_hash

__all__ = ["Settings", "check", "inputs", "run"]


class Settings(AskSettings):
    """Settings of ``porism synth testcases``."""

    reads = (Problem, Attempt)
    makes = (Problem,)

    input: Annotated[list[str], Field(description="code problems, and attempts at them: files or stage folders")]
    rounds: Annotated[int, Field(description="rounds of proposals by the model; 0 for none", ge=0)] = 4
    focuses: Annotated[list[str], Field(description=f"what it is asked for in each round: {', '.join(FOCUSES)}")] = [
        *FOCUSES
    ]
    temperature: Annotated[float, Field(description="of the proposals", ge=0)] = 0.8
    max_tokens: Annotated[int, Field(description="longest proposal", ge=1)] = 512
    constrained: Annotated[bool, Field(description="let the engine allow only a JSON object in a proposal")] = True
    typed: Annotated[int, Field(description="inputs made from types and examples, for functions", ge=0)] = 100
    solutions: Annotated[int, Field(description="solutions to sample from the model", ge=0)] = 8
    solution_temp: Annotated[float, Field(description="temperature of the solutions", ge=0)] = 0.8
    solution_tokens: Annotated[int, Field(description="longest solution", ge=1)] = 2048
    own: Annotated[bool, Field(description="count the problem's own solution as one of them, where it has one")] = True
    agreement: Annotated[float, Field(description="more than this share of the solutions must agree", ge=0, lt=1)] = 0.5
    least: Annotated[int, Field(description="and so many of them; 1 trusts a single solution", ge=1)] = 2
    most: Annotated[int, Field(description="most tests of a problem", ge=1)] = 64
    mutants: Annotated[int, Field(description="mutants for the mutation score; 0 for none", ge=0)] = 30
    drop_weak: Annotated[bool, Field(description="leave out tests that reject no mutant, where others do")] = False
    sandbox: Annotated[str, Field(description="the sandbox's tier")] = box.AUTO
    cpu_seconds: Annotated[int, Field(description="processor time of a process", ge=1)] = 10
    call_seconds: Annotated[float, Field(description="time of one call of a function", gt=0)] = 0.5
    at_once: Annotated[int, Field(description="problems in one unit of work", ge=1)] = 16

    @model_validator(mode="after")
    def _together(self) -> Self:
        """Find what does not go together.

        Raises:
            ValueError: settings exclude one another.
        """
        unknown = [name for name in self.focuses if name not in FOCUSES]
        if unknown:
            raise ValueError(f"focuses: expected some of {', '.join(FOCUSES)}, got {unknown[0]!r}.")
        if not self.rounds and not self.typed:
            raise ValueError("typed: with no rounds either there are no inputs. Set one of them.")
        if self.rounds > 1 and not self.temperature:
            raise ValueError("temperature: at 0 all rounds would propose the same. Set it, or rounds to 1.")
        if self.solutions > 1 and not self.solution_temp:
            raise ValueError("solution_temp: at 0 all solutions would be the same. Set it, to 0.8 say.")
        return self


def check(settings: Settings) -> None:
    """Find before anything runs that there is no such sandbox.

    Raises:
        RecipeError: there is none of that name.
    """
    box.described(settings.sandbox)


def inputs(settings: Settings) -> dict[str, str]:
    """Hashes of the records, of the model where one is loaded, and of the prompt."""
    found = store.hashes(store.locate(path) for path in settings.input)
    if settings.rounds or settings.solutions:
        found |= model_hash(settings)
    return found | {"prompts": content_id(_blocks.template("testcase"))}


def run(settings: Settings, out: store.Output) -> None:
    """Make the tests of every problem.

    Raises:
        DataError: no code problems, the engine failed too often, or no tests were kept.
        Refused: the sandbox cannot be had here.
    """
    problems, attempts = _read(settings.input, allow_empty=settings.allow_empty)
    if problems:
        box.ready(settings.sandbox)  # so that nothing is generated in vain
    rule = Rule(
        rounds=settings.rounds,
        focuses=tuple(settings.focuses),
        temperature=settings.temperature,
        max_tokens=settings.max_tokens,
        constrained=settings.constrained,
        typed=settings.typed,
        solutions=settings.solutions,
        solution_temp=settings.solution_temp,
        solution_tokens=settings.solution_tokens,
        own=settings.own,
        agreement=settings.agreement,
        least=settings.least,
        most=settings.most,
        mutants=settings.mutants,
        drop_weak=settings.drop_weak,
        sandbox=settings.sandbox,
        cpu_seconds=settings.cpu_seconds,
        call_seconds=settings.call_seconds,
        seed=settings.seed,
    )
    units = [
        range(start, min(start + settings.at_once, len(problems)))
        for start in range(0, len(problems), settings.at_once)
    ]
    with Engines(settings, out) as engines:
        maker = Maker(engines.own, rule)

        def work(places: Sequence[int]) -> Iterator[store.Placed]:
            chosen = [problems[at] for at in places]
            made = maker.make(chosen, [attempts.get(one.question, []) for one in chosen])
            for at, (problem, reason) in zip(places, made, strict=True):
                yield store.Placed(at, problem, reason)

        out.process(units, work, title=f"synth testcases: {len(problems)} problems", unit="problems")
    count_drops(out, "synth testcases", settings.max_failed, allow_empty=settings.allow_empty)
    out.figures |= _figures(out)


def _read(paths: Sequence[str], *, allow_empty: bool) -> tuple[list[Problem], dict[str, list[Attempt]]]:
    """The problems, each once, in order; and the attempts by their problem's question.

    Raises:
        DataError: there are none; where ``allow_empty`` is set, only if there is something else.
    """
    seen = 0
    problems: dict[str, Problem] = {}
    attempts: dict[str, list[Attempt]] = {}
    for path in paths:
        for record in store.read(path, Problem, Attempt):
            seen += 1
            problem = record.problem if isinstance(record, Attempt) else cast("Problem", record)
            if problem.kind == "code":
                problems.setdefault(problem.question, problem)
                if isinstance(record, Attempt) and record.finish == "stop":
                    attempts.setdefault(problem.question, []).append(record)
    if not problems and (seen or not allow_empty):
        raise DataError(f"{', '.join(paths)}: no problems of the kind 'code' in the input.")
    return list(problems.values()), attempts


def _figures(out: store.Output) -> dict[str, float | int]:
    """Tests, mutants and how many of these were killed, over all problems."""
    metas = [row["meta"]["testcases"] for _, row in store.rows(out.records)]
    total, gone = sum(one["mutants"] for one in metas), sum(one["killed"] for one in metas)
    figures: dict[str, float | int] = {
        "tests": sum(one["tests"] for one in metas),
        "mutants": total,
        "killed": gone,
        "weak_tests": sum(len(one["weak"]) for one in metas),
    }
    return figures | ({"mutation_score": round(gone / total, 4)} if total else {})
