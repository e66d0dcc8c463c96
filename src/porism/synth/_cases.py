"""Makes the tests of code problems; see :mod:`porism.synth.testcases`."""

from __future__ import annotations

import ast
import dataclasses
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from porism import sandbox as box
from porism.engines import Engine, Request, Sampling
from porism.errors import DataError
from porism.graders._program import program
from porism.problems._tests import Call, CodeTests, Run, parse
from porism.records import Attempt, Message, Problem, content_id
from porism.synth import _mutation
from porism.synth._blocks import filled
from porism.synth._inputs import arguments, fits
from porism.synth._runs import TOLERANCE, Majority, Nothing, agree, outputs, same
from porism.synth._signature import Parameter, examples, signature

__all__ = ["FOCUSES", "Maker", "Rule"]

FOCUSES: Mapping[str, str] = {
    "edge": "an edge case: a smallest, largest or empty input at a limit of what is allowed",
    "complex": "a complex case: a large, valid input that needs every part of the program",
    "error-prone": "an error-prone case: an input that a common mistake gets wrong",
    "critical-path": "a case of the critical path: a plain input that tests what the program is for",
}
"""Name → what is asked for."""

_LONGEST_INPUT = 10_000


@dataclass(frozen=True, kw_only=True)
class Rule:
    """How tests are made; the settings of the stage."""

    rounds: int
    focuses: tuple[str, ...]
    temperature: float
    max_tokens: int
    constrained: bool
    typed: int
    solutions: int
    solution_temp: float
    solution_tokens: int
    own: bool
    agreement: float
    least: int
    most: int
    mutants: int
    drop_weak: bool
    sandbox: str
    cpu_seconds: int
    call_seconds: float
    seed: int


class _Form(NamedTuple):
    """What a problem asks for."""

    function: str
    """Empty for a whole program."""
    tests: CodeTests
    """For reading programs in texts: the tests that there are, or an empty one."""


class _Told(NamedTuple):
    """What the model said of one problem."""

    found: list[Any]
    errors: list[str]
    """Of what was asked in vain, as the engine tells them."""


class Maker:
    """Makes tests.

    Args:
        engine: who proposes inputs and writes solutions.
        rule: how.
    """

    def __init__(self, engine: Engine, rule: Rule) -> None:
        self._engine, self._rule = engine, rule
        self._limits = box.Limits(cpu_seconds=rule.cpu_seconds, wall_seconds=4.0 * rule.cpu_seconds)

    def make(self, problems: Sequence[Problem], attempts: Sequence[Sequence[Attempt]]) -> list[tuple[Problem, str]]:
        """The problems with their tests, or a reason why one has none.

        Args:
            problems: of the kind ``code``.
            attempts: solutions of each that are there already.

        Raises:
            Refused: the sandbox cannot be had here.
        """
        forms = [_form(problem) for problem in problems]
        proposed = self._proposed(problems, forms)
        sampled = self._sampled(problems)
        found = []
        for problem, form, inputs, texts, tried in zip(problems, forms, proposed, sampled, attempts, strict=True):
            solutions = self._programs(problem, form, [*(one.text for one in tried), *texts.found])
            every = _unique([*inputs.found, *self._typed(problem, form)])
            try:
                tested = self._tested(problem, form, every, solutions)
            except box.SandboxError as error:
                tested = problem, f"sandbox: {error}"
            found.append(_with_errors(*tested, [*inputs.errors, *texts.errors]))
        return found

    def _proposed(self, problems: Sequence[Problem], forms: Sequence[_Form]) -> list[_Told]:
        """What the model proposes as inputs of each problem; what cannot be read or has another type is left out."""
        rule = self._rule
        names = [focus for _ in range(rule.rounds) for focus in rule.focuses]
        requests = [
            _proposal(problem, form, focus, number, rule)
            for problem, form in zip(problems, forms, strict=True)
            for number, focus in enumerate(names)
        ]
        replies = iter(self._engine.generate(requests) if requests else [])
        told = []
        for problem, form in zip(problems, forms, strict=True):
            samples = [next(replies).samples[0] for _ in names]
            whole = [one for one in samples if one.finish != "error"]
            parameters = _parameters(problem, form) or []
            inputs = [
                value
                for one in whole
                if (value := _read(one.text, form)) is not None and (not form.function or _fits(parameters, value))
            ]
            told.append(_Told(inputs, [one.error for one in samples if one.finish == "error"]))
        return told

    def _sampled(self, problems: Sequence[Problem]) -> list[_Told]:
        """Texts of solutions that the model writes."""
        rule = self._rule
        if not rule.solutions:
            return [_Told([], []) for _ in problems]
        sampling = Sampling(temperature=rule.solution_temp, max_tokens=rule.solution_tokens)
        requests = [
            Request(
                messages=[Message(role="user", content=problem.question)],
                sampling=sampling,
                n=rule.solutions,
                seed=int(content_id("solutions", rule.seed, problem.question), 16),
            )
            for problem in problems
        ]
        return [
            _Told(
                [one.text for one in reply.samples if one.finish == "stop"],
                [one.error for one in reply.samples if one.finish == "error"],
            )
            for reply in self._engine.generate(requests)
        ]

    def _programs(self, problem: Problem, form: _Form, texts: Sequence[str]) -> list[str]:
        """The programs in texts; the same program counts once, the problem's own first."""
        own = [problem.solution] if self._rule.own and problem.solution else []
        found = [source for text in [*own, *texts] if (source := program(text, form.tests)) is not None]
        return list({_normal(source): source for source in reversed(found)}.values())[::-1]

    def _typed(self, problem: Problem, form: _Form) -> list[list[Any]]:
        """Inputs of a function from its types and from the examples in the question, not from the tests it has."""
        if not form.function or not self._rule.typed:
            return []
        parameters = _parameters(problem, form)
        seeds = examples(f"{problem.question}\n{form.tests.start}", form.function)
        if parameters is None:
            return seeds
        seed = int(content_id("typed", self._rule.seed, problem.question), 16)
        return arguments(parameters, seeds, count=self._rule.typed, seed=seed)

    def _tested(
        self, problem: Problem, form: _Form, inputs: Sequence[Any], solutions: Sequence[str]
    ) -> tuple[Problem, str]:
        """The problem with the tests on which its solutions agree."""
        rule = self._rule
        if len(solutions) < rule.least:
            return problem, f"too few solutions: {len(solutions)} hold a program, {rule.least} are needed"
        if not inputs:
            return problem, "no input: none was proposed that can be read"
        found = self._outputs(solutions, inputs, form)
        if len(solutions) == 1:
            found = _stable(found, self._outputs(solutions, inputs, form))
        kept = agree(found, share=rule.agreement, least=rule.least)
        chosen = [at for at, one in enumerate(kept) if one is not None][: rule.most]
        if not chosen:
            return (
                problem,
                f"no agreement: on none of {len(inputs)} inputs do enough of {len(solutions)} solutions agree",
            )
        agreed: list[Majority] = [one for at in chosen if (one := kept[at]) is not None]
        given, expected = [inputs[at] for at in chosen], [one.value for one in agreed]
        noted = self._killed(form, solutions, given, expected, agreed)
        if rule.drop_weak and len(noted.weak) < len(given):
            stays = [at for at in range(len(given)) if at not in noted.weak]
            given, expected, agreed = ([row[at] for at in stays] for row in (given, expected, agreed))
            noted = noted._replace(weak=())
        meta = {
            "solutions": len(solutions),
            "inputs": len(inputs),
            "tests": len(given),
            "agreed": [one.votes for one in agreed],
            "mutants": noted.mutants,
            "killed": noted.killed,
            "weak": list(noted.weak),
        }
        answer = _tests(form, given, expected, rule).text()
        return dataclasses.replace(problem, answer=answer, meta={**problem.meta, "testcases": meta}), ""

    def _outputs(self, solutions: Sequence[str], inputs: Sequence[Any], form: _Form) -> list[list[Any]]:
        return outputs(
            solutions,
            inputs,
            function=form.function,
            sandbox=self._rule.sandbox,
            limits=self._limits,
            seconds=self._rule.call_seconds,
        )

    def _killed(
        self,
        form: _Form,
        solutions: Sequence[str],
        given: Sequence[Any],
        expected: Sequence[Any],
        agreed: Sequence[Majority],
    ) -> _mutation.Killed:
        """What the tests do to mutants of the solution that agrees most often."""
        if not self._rule.mutants:
            return _mutation.Killed(0, 0, ())
        votes = [sum(at in one.programs for one in agreed) for at in range(len(solutions))]
        best = solutions[votes.index(max(votes))]
        changed = _mutation.made(best, form.function, self._rule.mutants, self._rule.seed)
        return _mutation.killed(
            changed,
            given,
            expected,
            function=form.function,
            sandbox=self._rule.sandbox,
            limits=self._limits,
            seconds=self._rule.call_seconds,
        )


def _form(problem: Problem) -> _Form:
    """A function, where the tests or ``meta`` name one; else a whole program."""
    try:
        tests = parse(problem.answer)
    except DataError:
        function = str(problem.meta.get("function", ""))
        start = str(problem.meta.get("start", ""))
        empty = [Call(expected=None)] if function else [Run(output="")]
        tests = CodeTests(tests=empty, function=function, start=start)
    return _Form(tests.function if tests.kind != "runs" else "", tests)


def _parameters(problem: Problem, form: _Form) -> list[Parameter] | None:
    """The parameters of the function, from its start or the problem's own solution; None where there is none."""
    if not form.function:
        return None
    return signature(form.tests.start or program(problem.solution, form.tests) or "", form.function)


def _fits(parameters: Sequence[Parameter], arguments: Sequence[Any]) -> bool:
    """Whether there is an argument for each parameter that needs one, of its type."""
    return len(arguments) >= len(parameters) and all(
        fits(one.type, value) for one, value in zip(parameters, arguments, strict=False)
    )


def _proposal(problem: Problem, form: _Form, focus: str, number: int, rule: Rule) -> Request:
    if form.function:
        shown, kind = f'{{"args": [the arguments of {form.function}, in order]}}', {"args": {"type": "array"}}
    else:
        shown, kind = '{"input": "the whole input, as one text"}', {"input": {"type": "string"}}
    schema = {"type": "object", "properties": kind, "required": list(kind), "additionalProperties": False}
    asked = filled("testcase", problem=problem.question, focus=FOCUSES[focus], form=shown)
    return Request(
        messages=[Message(role="user", content=asked)],
        sampling=Sampling(
            temperature=rule.temperature,
            max_tokens=rule.max_tokens,
            json_schema=json.dumps(schema) if rule.constrained else "",
        ),
        seed=int(content_id("testcase", rule.seed, problem.question, focus, number), 16),
    )


def _read(text: str, form: _Form) -> Any:
    """The input in a proposal; None where there is none."""
    lines = text.strip().splitlines()
    if len(lines) > 1 and lines[0].strip().startswith("```") and lines[-1].strip() == "```":
        lines = lines[1:-1]
    try:
        value = json.loads("\n".join(lines))
    except (ValueError, RecursionError):
        return None
    found = value.get("args" if form.function else "input") if isinstance(value, dict) else None
    fits = isinstance(found, list) if form.function else isinstance(found, str)
    return found if fits and len(json.dumps(found)) <= _LONGEST_INPUT else None


def _with_errors(problem: Problem, reason: str, errors: Sequence[str]) -> tuple[Problem, str]:
    """What was made of a problem, with what the engine failed at: why there are no tests, else a count."""
    if not errors:
        return problem, reason
    if reason:
        return problem, f"engine: {errors[0]}"
    noted = {**problem.meta["testcases"], "failed_requests": len(errors)}
    return dataclasses.replace(problem, meta={**problem.meta, "testcases": noted}), ""


def _unique(values: Sequence[Any]) -> list[Any]:
    return list({json.dumps(value, sort_keys=True): value for value in reversed(values)}.values())[::-1]


def _normal(source: str) -> str:
    """What two programs that differ in layout and comments alone have in common."""
    try:
        return ast.dump(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return source


def _stable(found: Sequence[Sequence[Any]], again: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """The results that are the same when the programs are run again."""
    differs = Nothing("differs from run to run")
    return [
        [one if same(one, other) else differs for one, other in zip(row, second, strict=True)]
        for row, second in zip(found, again, strict=True)
    ]


def _tests(form: _Form, given: Sequence[Any], expected: Sequence[Any], rule: Rule) -> CodeTests:
    """The tests as a problem's reference answer."""
    if not form.function:
        runs = [Run(input=one, output=wanted) for one, wanted in zip(given, expected, strict=True)]
        return CodeTests(tests=runs, cpu_seconds=rule.cpu_seconds)
    calls = [Call(args=one, expected=wanted) for one, wanted in zip(given, expected, strict=True)]
    return CodeTests(
        tests=calls,
        function=form.function,
        start=form.tests.start,
        tolerance=TOLERANCE if any(map(_has_float, expected)) else 0.0,
        cpu_seconds=rule.cpu_seconds,
    )


def _has_float(value: Any) -> bool:
    if isinstance(value, dict):
        return any(map(_has_float, value.values()))
    return any(map(_has_float, value)) if isinstance(value, list) else isinstance(value, float)
