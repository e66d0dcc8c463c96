"""How good a chain of thought is, apart from its answer: calculations, last step, repetition, number of steps.

Needs no model. With a process verifier: the first step that it takes for wrong, and ProcessBench's F1 where the true
first error is known.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from porism import chains
from porism.evaluate.clusters import bootstrap, totals
from porism.evaluate.statistics import Interval
from porism.problems._arithmetic import NotArithmetic, evaluate, read_number

__all__ = ["Calculation", "calculations", "ends_in", "first_error", "process_f1", "repetition", "step_counts"]

_SPACE = r"[ \t]{0,2}"
_NUMBER = r"(?>[-−]?(?:\\?\$)?(?:\d{1,3}(?:,\d{3}){1,4}|\d{1,15})?(?:\.\d{1,10})?(?<=\d))"
_SIGN = rf"{_SPACE}(?:[-+*/×÷−]|[xX](?=[ \t]?[\d$(])|\\times|\\cdot|\\div){_SPACE}"
_TERM = rf"(?:\([ \t]?){{0,3}}+{_NUMBER}(?:[ \t]?\)){{0,3}}+"
_EQUATION = re.compile(
    r"(?<![\w.,$^*/+×÷−-])(?<![-+*/×÷−x] )"
    rf"(?P<expression>{_TERM}(?:{_SIGN}{_TERM}){{1,20}}+){_SPACE}(?P<sign>=|≈|\\approx){_SPACE}(?P<result>{_NUMBER})"
    r"(?![\w(^]|[.,]?\d|[ \t]?\\?%|[ \t]?[*/×÷^]|[ \t]?[-+−][ \t]?[\d(]|[ \t]?\\(?:times|cdot|div))"
)
_PLAIN = (("\\times", "*"), ("\\cdot", "*"), ("\\div", "/"), ("−", "-"), ("\\$", ""), ("$", ""))
_LONGEST = 100_000
_WORD = re.compile(r"\w+|[^\w\s]")


class Calculation(NamedTuple):
    """An equation of numbers in a text."""

    start: int
    end: int
    expression: str
    result: str
    right: bool


def calculations(text: str) -> list[Calculation]:
    """Every ``a op b … = c`` in a text, computed exactly.

    A result with decimals may be rounded to what it shows, and one after ≈ to a whole number. What cannot be computed
    (letters, powers, a division by zero) is left out. Of ``2 + 3 + 4 = 5 + 4 = 9`` the equation is not checked, since
    what is claimed on its left is no number.
    """
    found = []
    for match in _EQUATION.finditer(text[:_LONGEST]):
        result = _bare(match["result"])
        try:
            value, claimed = evaluate(_balanced(_bare(match["expression"]))), read_number(result)
        except NotArithmetic:
            continue
        decimals = len(result.partition(".")[2])
        rounded = decimals > 0 or match["sign"] != "="
        within = Fraction(1, 2 * 10**decimals) if rounded else Fraction(0)
        found.append(Calculation(*match.span(), match["expression"], match["result"], abs(value - claimed) <= within))
    return found


def _bare(text: str) -> str:
    """Arithmetic without what LaTeX and money put around it."""
    for written, plain in _PLAIN:
        text = text.replace(written, plain)
    return text.strip()


def _balanced(expression: str) -> str:
    """Without brackets that are closed behind the equation."""
    while expression.startswith("(") and expression.count("(") > expression.count(")"):
        expression = expression[1:].lstrip()
    return expression


def ends_in(found: Sequence[Calculation], answer: str | None) -> float:
    """1 where the last calculation's result is the answer, else 0; NaN without a calculation or a number as answer."""
    if not found or answer is None:
        return math.nan
    try:
        stated = read_number(_bare(answer).strip().rstrip("."))
        last = read_number(_bare(found[-1].result))
    except NotArithmetic:
        return math.nan
    return float(stated == last)


def repetition(text: str, size: int = 4) -> float:
    """The share of n-grams of words that stood in the text before: 0 for none.

    Welleck et al., 2019, arXiv:1908.04319 (seq-rep-n). NaN for a text of fewer words than ``size``.
    """
    words = _WORD.findall(text[:_LONGEST].casefold())
    grams = [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]
    return 1 - len(set(grams)) / len(grams) if grams else math.nan


def step_counts(text: str) -> dict[str, int]:
    """How many steps a text has, by each definition of :mod:`porism.chains`."""
    return chains.counts(text[:_LONGEST])


def first_error(steps: Sequence[float], threshold: float = 0.5) -> int:
    """The first step, from 0, whose probability of being right is not above the threshold; −1 where there is none.

    Zheng et al., 2024, arXiv:2412.06559 (ProcessBench).
    """
    return next((at for at, likely in enumerate(steps) if not likely > threshold), -1)


def process_f1(predicted: Sequence[int], actual: Sequence[int]) -> Interval:
    """ProcessBench's F1 with its bootstrap interval.

    Zheng et al., 2024, arXiv:2412.06559: the harmonic mean of two accuracies, that of the place of the first error
    among answers with one, and that of finding none among answers without.

    Args:
        predicted: the first wrong step of each answer, −1 for none.
        actual: what is true.

    Returns:
        NaN where all answers have an error, or none has.
    """
    rows = [
        [float(told == true and true >= 0), float(true >= 0), float(told == true and true < 0), float(true < 0)]
        for told, true in zip(predicted, actual, strict=True)
    ]

    def harmonic(total: object) -> object:
        import numpy as np

        sums = np.asarray(total)
        with np.errstate(divide="ignore", invalid="ignore"):
            wrong, right = sums[:, 0] / sums[:, 1], sums[:, 2] / sums[:, 3]
            both = np.where(wrong + right > 0, 2 * wrong * right / (wrong + right), 0.0)
        return np.where((sums[:, 1] > 0) & (sums[:, 3] > 0), both, np.nan)

    if not rows:
        return Interval(math.nan, math.nan, math.nan)
    return bootstrap(totals(rows, range(len(rows))), harmonic)  # type: ignore[arg-type]
