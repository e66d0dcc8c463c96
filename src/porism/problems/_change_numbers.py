"""Other numbers in a problem, and the answer computed anew: only where every number is accounted for.

The calculator annotations of a solution (``48/2 = <<48/2=24>>24``) are a small program. A problem is changed only if

- each annotation is exact, each result goes into the last, and the last is the answer;
- each number of the program is a result before it, a number of the question, or a constant that words explain;
- each number that the solution's text shows is one of these;
- the question has no word of a condition that the program does not show ("at most", "which", "the first 3 hours").

New numbers keep the order of the old ones; whole results stay whole, positive ones positive, shares below one. At
last the changed text is read again from scratch, and must give back the new answer.
"""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import combinations
from typing import NamedTuple

from porism.problems import _arithmetic
from porism.problems._arithmetic import NotArithmetic, Number
from porism.problems._changing import Token, Unchanged, tokens
from porism.problems._constants import DOUBTFUL, explained
from porism.problems.gsm8k import unannotated
from porism.records import Problem

__all__ = ["numbers"]

_ANNOTATION = re.compile(r"<<([^<>=]{1,200})=([^<>=]{1,40})>>")
_SHOWN = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+")
_TRIES = 60
_LIMITS = [
    (re.compile(rf"[\s-]?{unit}\s(?:a|per|each|every|in a|of the|of each)\s{whole}"), limit)
    for unit, whole, limit in (
        (r"days?", "week", 7),
        (r"hours?", "day", 24),
        (r"weeks?", "year", 52),
        (r"months?", "year", 12),
        (r"days?", "month", 28),
        (r"days?", "year", 365),
        (r"hours?", "week", 120),
        (r"minutes?", "hour", 60),
        (r"weeks?", "month", 4),
    )
]
"""What a number may grow to where the question says what it is a part of."""
_MOST_CALCULATIONS = 12
_MOST_NUMBERS = 100


class _Leaf(NamedTuple):
    """Where a number of a calculation comes from."""

    token: int = -1
    """A number of the question, by its place among them."""
    results: tuple[int, ...] = ()
    """Results of earlier calculations that have its value."""


class _Calculation(NamedTuple):
    start: int
    end: int
    expression: str
    result: Fraction
    leaves: tuple[_Leaf, ...]


class _Program(NamedTuple):
    """The calculations of a solution, understood."""

    question: Sequence[Token]
    calculations: Sequence[_Calculation]
    free: Sequence[int]
    """Numbers of the question that may be changed."""

    def run(self, changed: Mapping[int, Fraction]) -> list[Fraction]:
        """The results with other numbers in the question.

        Raises:
            NotArithmetic: a division by zero, or two sources of one number that are no longer equal.
        """
        results: list[Fraction] = []
        for calculation in self.calculations:

            def value(at: int, number: Number, leaves: tuple[_Leaf, ...] = calculation.leaves) -> Fraction:
                leaf = leaves[at]
                found = {results[place] for place in leaf.results}
                if leaf.token >= 0:
                    found.add(changed.get(leaf.token, number.value))
                if len(found) > 1:
                    raise NotArithmetic("a number stands for two things")
                return found.pop() if found else number.value

            results.append(_arithmetic.evaluate(calculation.expression, value))
        return results


def numbers(problem: Problem, rng: random.Random) -> Problem:
    """The problem with other numbers, a solution and an answer that fit them.

    Raises:
        Unchanged: not everything in it is accounted for, or no numbers fit.
    """
    annotated = problem.meta.get("annotated")
    if not isinstance(annotated, str):
        raise Unchanged("no calculations: the solution has no calculator annotations")
    program = _understood(problem.question, annotated, problem.answer)
    old = [calculation.result for calculation in program.calculations]
    ranges = {at: _range(program.question[at], problem.question) for at in program.free}
    for attempt in range(_TRIES):
        some = list(program.free)
        if attempt >= _TRIES // 3:
            some = rng.sample(some, max(1, len(some) // (2 if attempt < 2 * _TRIES // 3 else 4)))
        changed = {at: _drawn(*ranges[at], rng) for at in some}
        try:
            new = program.run(changed)
            if _is_like(program, changed, old, new):
                return _written(problem, annotated, program, changed, new)
        except NotArithmetic:
            continue
    raise Unchanged("no numbers: none were found that fit as the old ones do")


# --- understanding -----------------------------------------------------------------------------------


def _understood(question: str, annotated: str, answer: str) -> _Program:
    """The program in a solution.

    Raises:
        Unchanged: it is not sure to be all that there is.
    """
    if DOUBTFUL.search(question):
        raise Unchanged("a condition: a word in the question may be one that no calculation shows")
    asked = tokens(question)
    if len(asked) > _MOST_NUMBERS:
        raise Unchanged(f"too many numbers: {len(asked)} in the question")
    body, mark, _ = annotated.rpartition("####")
    text = f"{question}\n{unannotated(body)}"
    found, held = list[_Calculation](), set[int]()
    try:
        for match in _ANNOTATION.finditer(body if mark else annotated):
            leaves = tuple(_leaf(number, asked, found, text, held) for number in _arithmetic.numbers(match[1]))
            result = _arithmetic.read_number(match[2].strip().lstrip("$").rstrip("%"))
            if _arithmetic.evaluate(match[1]) != result:
                raise Unchanged(f"not exact: {match[1]} is not {match[2]}")
            found.append(_Calculation(match.start(), match.end(), match[1], result, leaves))
        final = _arithmetic.read_number(answer)
    except NotArithmetic as error:
        raise Unchanged(f"no arithmetic: {error}") from None
    if not found or found[-1].result != final or len(found) > _MOST_CALCULATIONS:
        raise Unchanged("no program: its last result is not the answer, or there are too many")
    if _used(found) != set(range(len(found))):
        raise Unchanged("a side result: a calculation does not go into the answer")
    used = {leaf.token for calculation in found for leaf in calculation.leaves}
    free = [at for at, token in enumerate(asked) if at in used - held and token.is_free and token.value > 1]
    _account_for(annotated, asked, found)
    if not free:
        raise Unchanged("no free number: each may stand for more than one thing")
    return _Program(asked, found, free)


def _leaf(number: Number, asked: Sequence[Token], before: Sequence[_Calculation], text: str, held: set[int]) -> _Leaf:
    """Where a number comes from; numbers of the question that must stay are added to ``held``.

    Raises:
        Unchanged: it comes from nowhere.
    """
    places = [at for at, token in enumerate(asked) if token.value == number.value]
    results = tuple(at for at, calculation in enumerate(before) if calculation.result == number.value)
    known = explained(number.value, text)
    if len(places) > 1 or (places and (results or known)):
        held.update(places)
    if places or results:
        return _Leaf(places[0] if places else -1, results)
    shares = [
        at
        for at, token in enumerate(asked)
        if token.percent and number.value in (token.value / 100, 1 - token.value / 100, 1 + token.value / 100,
                                              100 - token.value, 100 + token.value)
    ]  # fmt: skip
    held.update(shares)
    if not shares and not known:
        raise Unchanged(f"an unexplained number: {_arithmetic.plain(number.value)} in a calculation")
    return _Leaf()


def _used(calculations: Sequence[_Calculation]) -> set[int]:
    """The calculations that go into the last one, itself among them."""
    used = {len(calculations) - 1}
    for at in reversed(range(len(calculations))):
        if at in used:
            used.update(place for leaf in calculations[at].leaves for place in leaf.results)
    return used


def _account_for(annotated: str, asked: Sequence[Token], calculations: Sequence[_Calculation]) -> None:
    """Refuse a solution whose text shows a number that is none of the question's and of the calculations'.

    Raises:
        Unchanged: it does.
    """
    known = {token.value for token in asked} | {calculation.result for calculation in calculations}
    known |= {number.value for calculation in calculations for number in _arithmetic.numbers(calculation.expression)}
    for shown in _SHOWN.findall(unannotated(annotated)):
        if len(shown) > 15 or Fraction(shown.replace(",", "")) not in known:
            raise Unchanged(f"an unexplained number: {shown[:20]} in the solution")


# --- other numbers -----------------------------------------------------------------------------------


class _Range(NamedTuple):
    """Numbers of one kind: the multiples of ``step`` from ``low`` to ``high`` times it."""

    step: Fraction
    low: int
    high: int


def _range(token: Token, question: str) -> _Range:
    """What may stand for a number: as round, as precise, of like size, and no more days than a week has."""
    value = token.value
    step = next((Fraction(size) for size in (1000, 100, 10, 5, 1) if value % size == 0 and value >= 4 * size), None)
    if step is None:
        step = next((Fraction(1, size) for size in (1, 2, 10) if (value * size).denominator == 1), Fraction(1, 100))
    least, most = max(step, Fraction(2) if value >= 2 else step, value / 2), max(value * 2, value + 4 * step)
    natural = [limit for unit, limit in _LIMITS if unit.match(question, token.end) and value <= limit]
    most = min([most, *map(Fraction, natural), *([Fraction(95)] if token.percent else [])])
    low, high = int(-(-least // step)), int(most // step)
    return _Range(step, min(low, high), max(low, high))


def _drawn(step: Fraction, low: int, high: int, rng: random.Random) -> Fraction:
    return step * rng.randint(low, high)


def _is_like(
    program: _Program, changed: Mapping[int, Fraction], old: Sequence[Fraction], new: Sequence[Fraction]
) -> bool:
    """True where the new numbers are to one another as the old ones were, and the answer is another."""
    before = [token.value for token in program.question]
    after = [changed.get(at, value) for at, value in enumerate(before)]
    if new[-1] == old[-1] or all(a == b for a, b in zip(before, after, strict=True)):
        return False
    for (a, b), (c, d) in zip(combinations(before, 2), combinations(after, 2), strict=True):
        if (a > b) - (a < b) != (c > d) - (c < d):
            return False
    return all(_fits(a, b) for a, b in zip(old, new, strict=True))


def _fits(old: Fraction, new: Fraction) -> bool:
    if old.denominator == 1 and new.denominator != 1:
        return False
    if (old > 0) != (new > 0) or (old < 1) != (new < 1):
        return False
    return (new * 100).denominator == 1 or (old * 100).denominator != 1


# --- writing -----------------------------------------------------------------------------------------


def _written(
    problem: Problem, annotated: str, program: _Program, changed: Mapping[int, Fraction], new: Sequence[Fraction]
) -> Problem:
    """The changed problem, read again from scratch.

    Raises:
        NotArithmetic: a number of the text could be one of two, or the reading does not give back the answer.
    """
    question, end = "", 0
    for at, token in enumerate(program.question):
        if at in changed:
            shown = _arithmetic.plain(changed[at], like=token.of(problem.question))
            question += problem.question[end : token.start] + shown
            end = token.end
    question += problem.question[end:]
    worked, answer = _solution(annotated, program, changed, new), _arithmetic.plain(new[-1])
    made = dataclasses.replace(
        problem,
        question=question,
        answer=answer,
        solution=unannotated(worked),
        meta={**problem.meta, "annotated": worked},
    )
    try:
        again = _understood(question, worked, answer)
    except Unchanged as error:
        raise NotArithmetic(str(error)) from None
    if [calculation.result for calculation in again.calculations] != list(new):
        raise NotArithmetic("the changed solution does not give the new answer")
    return made


def _solution(annotated: str, program: _Program, changed: Mapping[int, Fraction], new: Sequence[Fraction]) -> str:
    """The annotated solution with the new numbers: in calculations by what they stand for, elsewhere by their value."""
    meanings = _meanings(program, changed, new)

    def renewed(match: re.Match[str]) -> str:
        old = Fraction(match[0].replace(",", ""))
        found = meanings.get(old, set())
        if len(found) != 1:
            raise NotArithmetic(f"{match[0]} in the solution may be one of two numbers")
        (value,) = found
        return match[0] if value == old else _arithmetic.plain(value, like=match[0])

    parts, end = [], 0
    for calculation, result in zip(program.calculations, new, strict=True):
        expression = _arithmetic.rewrite(calculation.expression, _values(calculation.leaves, changed, new))
        after = _SHOWN.match(annotated, calculation.end)
        shown = _arithmetic.plain(result, like=after[0]) if after else ""
        parts += [
            _SHOWN.sub(renewed, annotated[end : calculation.start]),
            f"<<{expression}={_arithmetic.plain(result)}>>{shown}",
        ]
        end = after.end() if after else calculation.end
    return "".join([*parts, _SHOWN.sub(renewed, annotated[end:])])


def _values(
    leaves: Sequence[_Leaf], changed: Mapping[int, Fraction], new: Sequence[Fraction]
) -> Callable[[int, Number], Fraction]:
    """What each number of a calculation has become."""

    def value(at: int, number: Number) -> Fraction:
        leaf = leaves[at]
        if leaf.token >= 0:
            return changed.get(leaf.token, number.value)
        return new[leaf.results[-1]] if leaf.results else number.value

    return value


def _meanings(
    program: _Program, changed: Mapping[int, Fraction], new: Sequence[Fraction]
) -> dict[Fraction, set[Fraction]]:
    """Each number of question and calculations → what it has become, all that it has become where it means several."""
    found: dict[Fraction, set[Fraction]] = {}
    for at, token in enumerate(program.question):
        found.setdefault(token.value, set()).add(changed.get(at, token.value))
    for calculation, result in zip(program.calculations, new, strict=True):
        found.setdefault(calculation.result, set()).add(result)
        for number, leaf in zip(_arithmetic.numbers(calculation.expression), calculation.leaves, strict=True):
            if leaf.token < 0 and not leaf.results:
                found.setdefault(number.value, set()).add(number.value)
    return found
