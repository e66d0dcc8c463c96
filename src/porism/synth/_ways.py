"""Ways of making a problem of another one: what a model is asked, and what is made of its reply."""

from __future__ import annotations

import dataclasses
import random
import re
import unicodedata
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Literal, NamedTuple

from porism import chains
from porism.problems._arithmetic import NotArithmetic, plain, read_number
from porism.problems._changing import Token, is_japanese_or_chinese, tokens
from porism.problems.perturb import Unchanged, changed
from porism.records import Message, Problem

__all__ = ["KEEPS_ANSWER", "WRITES", "Draft", "Way", "asked", "by_rule", "text", "written"]

Way = Literal["keep", "label", "rephrase", "numbers", "names", "self_verification", "backward", "harder", "easier"]

WRITES: dict[Way, str] = {
    "rephrase": "rephrase",
    "numbers": "numbers",
    "self_verification": "statement",
    "harder": "harder",
    "easier": "easier",
}
"""Ways that ask a model to write, and the text that it is asked with."""
KEEPS_ANSWER: frozenset[Way] = frozenset({"label", "rephrase", "names", "self_verification", "backward"})
"""Ways that keep an answer that is known; of the others, and where none is known, it is found by agreement."""

_LABEL = re.compile(
    r"\A\s*(?:#+\s*|\*\*)?(?:(?:the\s+)?(?:new|rewritten|rephrased|harder|easier|changed|simplified)\s+)?(?:problem|question)"
    r"(?:\*\*)?\s*[:：](?:\*\*)?\s*|\A\s*(?:问题|题目)\s*[:：]\s*",
    re.IGNORECASE,
)
_LONGEST = 4_000
_ASKS = "If the answer to the question above is {answer}, what is the value of the unknown x?"
_ASKS_EASTERN = "如果上面问题的答案是{answer},那么未知数x的值是多少?"
_WHAT_IS = "What is the value of the unknown x?"
_WHAT_IS_EASTERN = "未知数x的值是多少?"


class Draft(NamedTuple):
    """A problem in the making."""

    problem: Problem
    reason: str = ""
    """Why it is dropped."""
    is_sure: bool = False
    """Its answer is right by construction: it need not be verified."""


def text(name: str) -> str:
    """A text that a model is asked with."""
    return (Path(__file__).parent / "texts" / f"{name}.txt").read_text(encoding="utf-8")


def asked(problem: Problem, way: Way) -> list[Message]:
    """What a model is asked to write."""
    values = {"answer": problem.answer, "question": problem.question}
    filled = re.sub(r"\{(answer|question)\}", lambda found: values[found[1]], text(WRITES[way]))
    return [Message(role="user", content=filled.strip())]


def by_rule(problem: Problem, way: Way, seed: str) -> Draft | None:
    """The problem of a way that needs no model, or not for this problem; None where a model has to write."""
    rng = random.Random(f"{seed}/{problem.id}/{way}")
    if way in ("keep", "label"):
        return Draft(problem, is_sure=way == "keep")
    if way in ("numbers", "names"):
        try:
            return Draft(changed(problem, way, seed), is_sure=True)
        except Unchanged as left:
            return None if way == "numbers" else Draft(problem, f"names, {left}")
    if way == "backward":
        try:
            return Draft(_backward(problem, rng))
        except ValueError as error:
            return Draft(problem, str(error))
    return None


def written(problem: Problem, way: Way, reply: str, seed: str) -> Draft:
    """What a model's reply makes of a problem."""
    chain = chains.read(reply)
    found = _LABEL.sub("", chain.response.of(reply).strip()).strip()
    if found[:1] == found[-1:] == '"':
        found = found[1:-1].strip()
    if not found or len(found) > _LONGEST:
        return Draft(problem, f"no problem: {len(found)} characters were written")
    if _plain(found) == _plain(problem.question):
        return Draft(problem, "the same: nothing was changed")
    if way == "self_verification":
        try:
            return Draft(_verifying(problem, found, random.Random(f"{seed}/{problem.id}/{way}")))
        except ValueError as error:
            return Draft(problem, str(error))
    if chains.read(found).statements or "####" in found:
        return Draft(problem, "tells the answer: a solution was written")
    if way == "rephrase" and _values(found) != _values(problem.question):
        return Draft(problem, "other numbers: they are not those of the problem")
    made = dataclasses.replace(problem, question=found)
    if way != "rephrase":
        made = dataclasses.replace(made, answer="", solution="", meta=_without_work(problem))
    return Draft(made)


def _without_work(problem: Problem) -> dict[str, object]:
    """The meta that is still true of another problem."""
    return {name: value for name, value in problem.meta.items() if name not in ("annotated", "options", "rejected")}


def _backward(problem: Problem, rng: random.Random) -> Problem:
    """The problem with one of its numbers unknown and its answer given (FOBAR: Jiang et al., 2023, arXiv:2308.07758).

    Raises:
        ValueError: it has no number that stands for one thing, or its answer is no number.
    """
    _number(problem.answer)
    token = rng.choice(_free(problem.question))
    question = f"{problem.question[: token.start]}x{problem.question[token.end :]}"
    asks = _ASKS_EASTERN if is_japanese_or_chinese(question) else _ASKS
    return _reversed(problem, f"{question}\n{asks.format(answer=problem.answer)}", token)


def _verifying(problem: Problem, statement: str, rng: random.Random) -> Problem:
    """The statement with one number of the question unknown (Weng et al., 2022, arXiv:2212.09561).

    Raises:
        ValueError: the statement does not say the answer, or none of the question's numbers stands in it once.
    """
    answer = _number(problem.answer)
    said = tokens(statement)
    if answer not in [token.value for token in said] or "?" in statement or "？" in statement:
        raise ValueError("no statement: it does not say the answer, or asks something")
    once = [token for token in _free(statement) if token.value != answer]
    known = {token.value for token in _free(problem.question)}
    chosen = [token for token in once if token.value in known]
    if not chosen:
        raise ValueError("no number: none of the question's stands in the statement once")
    token = rng.choice(chosen)
    asks = _WHAT_IS_EASTERN if is_japanese_or_chinese(statement) else _WHAT_IS
    return _reversed(problem, f"{statement[: token.start]}x{statement[token.end :]}\n{asks}", token)


def _reversed(problem: Problem, question: str, token: Token) -> Problem:
    meta = _without_work(problem)
    return dataclasses.replace(problem, question=question, answer=plain(token.value), solution="", meta=meta)


def _number(answer: str) -> Fraction:
    try:
        return read_number(answer)
    except NotArithmetic:
        raise ValueError("no number: the answer is none") from None


def _free(question: str) -> list[Token]:
    """The numbers that stand by themselves, each with a value of its own.

    Raises:
        ValueError: there are none.
    """
    found = tokens(question)
    times = Counter(token.value for token in found)
    free = [token for token in found if token.is_free and times[token.value] == 1]
    if not free:
        raise ValueError("no number: none in the question stands by itself")
    return free


def _values(question: str) -> list[Fraction]:
    return sorted(token.value for token in tokens(question))


def _plain(question: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", question).casefold().split())
