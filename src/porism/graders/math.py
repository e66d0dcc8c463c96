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
from porism.graders._answers import Outcome, compare, is_words
from porism.graders._extract import profile_of, read, unstated
from porism.graders._numbers import last_number, only_number, value
from porism.graders._parse import FUNCTIONS, parse
from porism.graders._same import Rules
from porism.graders._tokens import MAX_LENGTH, Unreadable
from porism.graders._units import UNITS
from porism.records import Attempt, Problem, Status, Verdict

__all__ = ["PARALLEL", "grade", "judge_text"]

PARALLEL = True
"""A comparison may wait for another process: several are made at once."""

_JOIN = re.compile(r"[\s.$]*(?:,?\s*\b(?:and|or)\b|[,;、和或と])[\s$]*")
_LEAD = re.compile(r"^(?:that|either|just|simply|exactly|equal to|approximately|about|is|to be)\s+", re.IGNORECASE)
_VERB = re.compile(r"\s(?:is|are|equals?|be|was)\s", re.IGNORECASE)
_IN_A_NAME = re.compile(r"(?<![A-Za-z0-9_\\])[A-Za-z]{2,}\d[A-Za-z0-9_]*")
_DECIMAL_COMMA = re.compile(r"(?<![\d,.])\d+,\d{1,2}(?![\d,])")
_FIRST_WORD = re.compile(r"\s*([^\W\d_]{2,})\s+\S")
_WORD = re.compile(r"(?<![\\A-Za-z{])[^\W\d_]{4,}")
_SHORT = 200
_SHORT_WORDS = re.compile(
    r"(?<![\\A-Za-z{])(?:it|is|no|so|to|of|in|on|at|we|he|be|by|as|an|if|do|the|are|get|was|not|for|you|can)\s",
    re.IGNORECASE,
)
_REMARK = re.compile(
    r"(?<=\S)(?:\s*[,，、;；])?\s*(?:\bnot\b|不是|而不是|\brather than\b|\binstead of\b)(?=.*\w)"
    r"|(?<=[\w$}])\s+\((?=[^()\\$]*[^\W\d_]{2,}[^()\\$]*(?:\)|\Z))"
)
_COUNTS = re.compile(
    r"[\d+*/^=√∛π±×÷-]|\b(?:million|billion|thousand|hundred|dozen|squared|cubed|times|not|negative|minus)\b|[万亿负或]"
)
_WITH_UNIT = re.compile(r"[-−–$€£¥]*\d[\d.,]*\s?(?:[ckm]?m|k?g|mg|s|h|m?l|ft|in|mi|lb|oz|yd|hr|min|am|pm)[²³]?")
_GLUED = re.compile(r"(?<![\w)\]])[-−–\d.*/^+]+\Z")
_SIGNS = re.compile(r"[\\^√∛π=]")
_IN_FORMULA = re.compile(r"[-−–+*/^=()\[\]{}<>≤≥≠±×÷·√∛π∞|,;:!%°$\d.]+|[(\[{]*[A-Za-z][)\]}]*|\S*(?:[\\^_√π]|\d)\S*")


def grade(problem: Problem, attempt: Attempt, *, profile: str = "auto") -> Verdict:
    """Judge a text whose answer is mathematics.

    Raises:
        RecipeError: no such profile.
    """
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
    in_words = is_words(references[0])
    if reading is None:
        return unstated(profile_of(profile))
    if reading.rule == "boxed":
        candidates = [reading.statement]
    elif reading.rule == "last":
        candidates = list(_last(reading.statement, in_words=in_words))
    else:
        candidates = list(_from_statement(reading.statement, reading.rest))
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


def _from_statement(statement: str, rest: str = "") -> Iterator[str]:
    """Readings of "the answer is …": the formulas in it, the whole of it, or the number in it."""
    if len(statement) > MAX_LENGTH:
        yield statement  # which is refused, with the reason
        return
    whole = _REMARK.split(_LEAD.sub("", statement.strip().strip("*_ \t")))[0]
    verbs = [verb for verb in _VERB.finditer(whole) if not _inside_formula(whole, verb.start())]
    if verbs and not re.search(r"\d", whole[: verbs[-1].start()]):  # "the largest $n$ is 34"
        whole = whole[verbs[-1].end() :]
    formulas, outside = _formulas(whole)
    if len(formulas) == 1 and not _COUNTS.search(outside):
        yield formulas[0]
    elif formulas or _is_expression(whole):
        yield whole
    else:
        number = only_number(whole)
        if number is None and rest:
            number = only_number(f"{whole}{rest}".rpartition(" equals ")[2])
        yield whole if number is None else number


def _last(text: str, *, in_words: bool) -> Iterator[str]:
    """The whole text where it is an expression; else its last formula, or the last number if that stands behind it."""
    found = [region for region in chains.regions(text) if region.kind == "math"]
    if len(text) < _SHORT and (_is_expression(text) or (in_words and not found and is_words(text))):
        yield text
        return
    end = found[-1].end if found else 0
    behind = _IN_A_NAME.sub(" ", text[end:])
    number = last_number(behind)
    if number is None:
        if found:
            glued = _GLUED.search(text[: found[-1].start])
            yield (glued[0] if glued else "") + _formulas(text)[0][-1]
        return
    run = _run(behind)
    if run is not None and value(run) is None and not _WITH_UNIT.fullmatch(run):
        if _is_expression(run):
            yield run
            return
        if _SIGNS.search(run):
            return
    comma = _DECIMAL_COMMA.findall(behind)
    if comma and comma[-1].endswith("," + number.strip()):
        yield comma[-1]
    yield number


def _run(text: str) -> str | None:
    """The words around the last number that belong to one formula: ``2^3``, ``x = 2π/3``, ``10 - 3``."""
    words = text[-_SHORT:].split()
    last = next((at for at in range(len(words) - 1, -1, -1) if re.search(r"\d", words[at])), None)
    if last is None:
        return None
    first, end = last, last + 1
    while first and _IN_FORMULA.fullmatch(words[first - 1]) and not words[first].startswith("="):
        first -= 1
    while end < len(words) and _IN_FORMULA.fullmatch(words[end].rstrip(".,;:!")) and words[end] not in ("a", "I", "A"):
        end += 1
    return " ".join(words[first:end]).rstrip(".,;:!")


def _is_expression(text: str) -> bool:
    first = _FIRST_WORD.match(text)
    if first and first[1].lower() not in FUNCTIONS:
        return False
    if _SHORT_WORDS.search(text):
        return False
    if any(word.lower() not in UNITS and word not in FUNCTIONS for word in _WORD.findall(text)):
        return False
    try:
        parse(text)
    except Unreadable:
        return False
    return True


def _inside_formula(text: str, position: int) -> bool:
    return any(region.start < position < region.end for region in chains.regions(text))


def _undelimited(formula: str) -> str:
    """Without the marks around it, and without a box."""
    inside = formula.strip("$").strip().removeprefix("\\[").removesuffix("\\]")
    inside = inside.removeprefix("\\(").removesuffix("\\)").strip()
    box = read(inside, profile_of("boxed")) if inside.startswith("\\boxed") else None
    return inside if box is None else box.statement


def _formulas(text: str) -> tuple[list[str], str]:
    """The formulas of a text without their dollar signs, and what stands outside of them.

    Formulas that "and", "or" or a comma join are one list.
    """
    joined: list[str] = []
    outside = ""
    end = 0
    for region in chains.regions(text):
        if region.kind != "math":
            continue
        formula = _undelimited(text[region.start : region.end])
        gap = text[end : region.start]
        if joined and _JOIN.fullmatch(gap):
            joined[-1] += " , " + formula
        else:
            joined.append(formula)
            outside += gap + " "
        end = region.end
    return joined, outside + text[end:]
