r"""Answers that are mathematics: numbers, formulas, tuples, intervals, sets, matrices, equations, words.

The answer is taken from the text by a profile (:mod:`porism.graders._extract`): the last box (with those joined to it
by "and"), ``####``, a final-answer phrase; without any of them the last formula or number. It is then compared with the
reference: what is written alike is equal; what can be computed is compared exactly (:mod:`porism.graders._same`); what
is left goes to Math-Verify in a process of its own, which is killed when it overruns its deadline (``timeout``).
No text is ever evaluated as code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from porism import chains
from porism.graders._answers import Outcome, compare, words_of
from porism.graders._extract import as_lm_eval, profile_of, read
from porism.graders._parse import FUNCTIONS, parse
from porism.graders._same import Rules
from porism.graders._tokens import MAX_LENGTH, Unreadable, clean
from porism.graders._units import UNITS
from porism.graders.number import last_number
from porism.records import Attempt, Problem, Status, Verdict

__all__ = ["PARALLEL", "grade", "judge_text"]

PARALLEL = True
"""A comparison may wait for another process: several are made at once."""

_JOIN = re.compile(r"[\s.$]*(?:,?\s*\b(?:and|or)\b|[,;、和或と])[\s$]*")
_LEAD = re.compile(r"^(?:that|either|just|simply|exactly|equal to|approximately|about|is|to be)\s+", re.IGNORECASE)
_NOT_PLAIN = re.compile(r"[^\W\d_]{4,}\s+[^\W\d_]{2,}\s+[^\W\d_]{2,}")

_VERB = re.compile(r"\s(?:is|are|equals?|be|was)\s", re.IGNORECASE)
_IN_A_NAME = re.compile(r"[^\W\d_]\w*\d\w*")
_DECIMAL_COMMA = re.compile(r"(?<![\d,.])\d+,\d{1,2}(?![\d,])")
_FIRST_WORD = re.compile(r"\s*([^\W\d_]{2,})\s+\S")
_WORD = re.compile(r"(?<![\\A-Za-z{])[^\W\d_]{4,}")
_SHORT = 200


def grade(problem: Problem, attempt: Attempt, *, profile: str = "auto") -> Verdict:
    """Judge a text whose answer is mathematics.

    Raises:
        RecipeError: no such profile.
    """
    known = profile_of(profile)
    if known.pattern is not None:
        return as_lm_eval(problem, attempt.text, known)
    return judge_text(problem.answer, attempt.text, profile=profile)


def judge_text(gold: str, text: str, *, profile: str = "auto", rules: Rules | None = None) -> Verdict:
    r"""Compare what a text states with a reference answer, or with a solution that boxes it.

    Args:
        gold: ``\frac{1}{2}``, ``(3, \pi/2)``, or a text with ``\boxed{}`` or ``####``.
        text: what the model wrote.
        profile: which extraction rules may fire.
        rules: what counts as the same.
    """
    references = _references(gold)
    if not references:
        return Verdict(status=Status.GOLD_UNPARSED, reason="the reference answer is empty")
    reading = read(text, profile_of(profile))
    if reading is None:
        return Verdict(status=Status.UNPARSED, reason=f"no statement that the profile {profile} accepts")
    candidates = list(_from_statement(reading.statement) if reading.rule != "last" else _last(reading.statement))
    if reading.rule == "boxed":
        candidates = [reading.statement]
    if not candidates:
        rule = reading.rule if reading.rule != "last" else ""
        return Verdict(status=Status.UNPARSED, rule=rule, reason="no formula and no number in the text")
    chosen, outcome = _best(references, candidates, rules)
    return Verdict(status=outcome.status, answer=chosen.strip(), rule=reading.rule, reason=outcome.reason)


def _best(references: list[str], candidates: list[str], rules: Rules | None = None) -> tuple[str, Outcome]:
    """The first candidate that can be judged; candidates are readings of one statement, the fullest first."""
    first: tuple[str, Outcome] | None = None
    for candidate in candidates:
        for reference in references:
            outcome = compare(reference, candidate, rules)
            if outcome.correct:
                return candidate, outcome
            if first is None or first[1].status is Status.UNPARSED:
                first = candidate, outcome
        if first is not None and first[1].status is not Status.UNPARSED:
            return first
    if first is None:
        raise ValueError("nothing to compare")
    return first


def _references(gold: str) -> list[str]:
    """The reference answer; of a whole solution, the answer that it states."""
    reading = read(gold, profile_of("auto"))
    if reading is None or reading.rule == "last":
        return [gold.strip()] if gold.strip() else []
    if reading.rule == "boxed":
        return [reading.statement]
    return list(_from_statement(reading.statement))[:1] or [gold.strip()]


def _from_statement(statement: str) -> Iterator[str]:
    """Readings of "the answer is …": the whole of it, the formulas in it, the numbers in it."""
    if len(statement) > MAX_LENGTH:
        yield statement  # which is refused, with the reason
        return
    whole = _LEAD.sub("", statement.strip().strip("*_ \t"))
    verbs = [verb for verb in _VERB.finditer(whole) if not _inside_formula(whole, verb.start())]
    if verbs:  # "the largest $n$ is 34"
        whole = whole[verbs[-1].end() :]
    formulas = _formulas(whole)
    if formulas:
        yield formulas[0]
    elif not _NOT_PLAIN.search(whole):
        yield whole
    number = last_number(whole)
    if number is not None:
        yield number


def _last(text: str) -> Iterator[str]:
    """The whole text where it is an expression; else its last formula, or the last number if that stands behind it."""
    if len(text) < _SHORT and not _NOT_PLAIN.search(text) and (_is_expression(text) or _is_words(text)):
        yield text
        return
    found = [region for region in chains.regions(text) if region.kind == "math"]
    end = found[-1].end if found else 0
    behind = _IN_A_NAME.sub(" ", text[end:])
    number = last_number(behind)
    if number is not None:
        comma = _DECIMAL_COMMA.findall(behind)
        if comma and comma[-1].endswith("," + number.strip()):
            yield comma[-1]
        yield number
    elif found:
        yield _formulas(text)[-1]


def _is_expression(text: str) -> bool:
    first = _FIRST_WORD.match(text)
    if first and first[1].lower() not in FUNCTIONS:
        return False
    if any(word.lower() not in UNITS and word not in FUNCTIONS for word in _WORD.findall(text)):
        return False
    try:
        parse(text)
    except Unreadable:
        return False
    return True


def _is_words(text: str) -> bool:
    try:
        return words_of(clean(text)) is not None
    except Unreadable:
        return False


def _inside_formula(text: str, position: int) -> bool:
    return any(region.start < position < region.end for region in chains.regions(text))


def _formulas(text: str) -> list[str]:
    """The formulas of a text without their dollar signs; those that "and", "or" or a comma join are one list."""
    joined: list[str] = []
    end = -1
    for region in chains.regions(text):
        if region.kind != "math":
            continue
        formula = text[region.start : region.end].strip("$").strip()
        if joined and _JOIN.fullmatch(text, end, region.start):
            joined[-1] += " , " + formula
        else:
            joined.append(formula)
        end = region.end
    return joined
