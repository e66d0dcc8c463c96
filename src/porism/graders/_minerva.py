r"""Answers to MATH as Minerva's evaluation reads and normalises them, and lm-eval's ``minerva_math`` after it.

Lewkowycz et al., 2022, arXiv:2206.14858, appendix D: the answer is what stands in "Final Answer: The final answer
is …. I hope it is correct.", without units and words, in a plain spelling of LaTeX.
"""

from __future__ import annotations

import re

__all__ = ["ANSWER", "ENDING", "normal"]

ENDING = "I hope it is correct."
"""What is written behind a text before it is read, since it may have ended before."""
ANSWER = re.compile(r"Final Answer: The final answer is(.*?). I hope it is correct.")

_REPLACED = (
    ("an ", ""), ("a ", ""), (".$", "$"), ("\\$", ""), ("\\ ", ""), (" ", ""), ("mbox", "text"),
    (",\\text{and}", ","), ("\\text{and}", ","), ("\\text{m}", "\\text{}"),
)  # fmt: skip
_UNITS = (
    "square", "ways", "integers", "dollars", "mph", "inches", "ft", "hours", "km", "units", "sue", "points", "feet",
    "minutes", "digits", "cents", "degrees", "cm", "gm", "pounds", "meters", "meals", "edges", "students",
    "childrentickets", "multiples",
)  # fmt: skip
_SIGNS_BEFORE = ("\\ldots",)
_SIGNS = (
    "\\text{s}", "\\text{.}", "\\text{\ns}", "\\text{}^2", "\\text{}^3", "\\text{\n}", "\\text{}", "\\mathrm{th}",
    "^\\circ", "^{\\circ}", "\\;", ",\\!", "{,}", '"', "\\dots",
)  # fmt: skip
_ORDER = (*_UNITS[:10], *_SIGNS_BEFORE, *_UNITS[10:], *_SIGNS)
_COMMAND = re.compile(r"(\\[a-zA-Z]+)")
_WRAPPED = (
    (re.compile(r"(.*?)(\$)(.*?)(\$)(.*)"), r"$\3$"),
    (re.compile(r"(\\text\{)(.*?)(\})"), r"\2"),
    (re.compile(r"(\\textbf\{)(.*?)(\})"), r"\2"),
    (re.compile(r"(\\overline\{)(.*?)(\})"), r"\2"),
    (re.compile(r"(\\boxed\{)(.*)(\})"), r"\2"),
    (re.compile(r"(frac)([^{])(.)"), r"frac{\2}{\3}"),
    (re.compile(r"(sqrt)(\[[^\]]*\])(\w)"), r"\1\2{\3}"),
    (re.compile(r"(sqrt)(?!\[)([^{])"), r"sqrt{\2}"),
)
_GROUPED = re.compile(r"-?\d{1,3}(?:,\d{3})+")
_LONGEST = 2_000


def normal(answer: str) -> str:
    """An answer in the spelling in which answers are compared as text."""
    answer = answer[:_LONGEST].rpartition("=")[2]
    for unit in _UNITS:  # first as words, while spaces part them
        answer = re.sub(rf"(?<!\\)\b{unit}\b", "", answer)
    for before, after in _REPLACED:
        answer = answer.replace(before, after)
    for word in _ORDER:
        answer = _without(answer, word) if word.isalpha() else answer.replace(word, "")
    for pattern, plain in _WRAPPED:
        answer = pattern.sub(plain, answer)
    answer = answer.replace("$", "")
    return answer.replace(",", "") if _GROUPED.fullmatch(answer) else answer


def _without(answer: str, word: str) -> str:
    """The answer without a word, but where it is a part of a LaTeX command."""
    return "".join(part if part.startswith("\\") else part.replace(word, "") for part in _COMMAND.split(answer))
