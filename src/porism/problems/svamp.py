"""SVAMP: elementary word problems that vary known ones (Patel et al., 2021, arXiv:2103.07191).

The published file ``SVAMP.json`` is the whole set of 1,000, which its authors test on (``split: test``); the hub's
copy has 700 for training and 300 for testing. The worked solution is the row's equation, a line for each operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from porism.problems import _arithmetic, _source
from porism.problems._source import Place, Source
from porism.problems.gsm8k import unannotated
from porism.records import Problem

__all__ = ["files", "load"]

_SOURCE = Source(
    "SVAMP",
    ("svamp_{split}.json", "svamp_{split}.jsonl", "{split}.json", "{split}.jsonl"),
    hub="ChilleD/SVAMP",
    origin="the arkilpatel/SVAMP repository",
)
_WHOLE = _SOURCE._replace(files=("SVAMP.json", *_SOURCE.files))
_CLAUSES = ("if ", "when ", "since ", "after ", "before ", "because ", "given ", "assuming ")


def _source_of(split: str, place: Place) -> Source:
    del place
    return _WHOLE if split == "test" else _SOURCE


def _problem(row: Mapping[str, Any], split: str) -> Problem:
    del split
    body, question = row.get("Body"), row.get("Question")
    if not isinstance(body, str) or not isinstance(question, str):
        raise ValueError("no SVAMP row: expected texts under 'Body' and 'Question'")  # noqa: TRY004 (a row)
    answer = _arithmetic.plain(_arithmetic.read_number(str(row.get("Answer"))))
    worked = _steps(str(row.get("Equation", "")), answer)
    return Problem(
        question=_joined(body.strip(), question.strip()),
        answer=answer,
        solution=unannotated(worked),
        source="svamp",
        group=str(row.get("Type") or ""),
        meta={"annotated": worked} if worked else {},
    )


def _joined(body: str, question: str) -> str:
    """Body and question as one text: a body that ends in an "if" goes on in the question."""
    if not body or body.endswith((".", "?", "!", ",", ":", ";")):
        return f"{body} {question}".strip()
    last = body.replace("?", ".").rpartition(".")[2].strip().casefold()
    if last.startswith(_CLAUSES):
        return f"{body}, {question[:1].lower()}{question[1:]}"
    return f"{body}. {question}"


def _steps(equation: str, answer: str) -> str:
    r"""An equation worked out, a line with a calculator annotation for each operation; empty where it is not right.

    >>> _steps("( ( 7.0 + 4.0 ) - 9.0 )", "2")
    '7 + 4 = <<7+4=11>>11\n11 - 9 = <<11-9=2>>2\n#### 2'
    """
    try:
        lines: list[str] = []
        value = _worked(equation.split(), lines)
    except (_arithmetic.NotArithmetic, IndexError, RecursionError):
        return ""
    return "\n".join([*lines, f"#### {answer}"]) if value == answer and lines else ""


def _worked(tokens: list[str], lines: list[str]) -> str:
    """The value of ``( a op b )`` at the front of the tokens, which are taken off; each operation goes to ``lines``."""
    first = tokens.pop(0)
    if first != "(":
        return _arithmetic.plain(_arithmetic.read_number(first))
    left, sign, right = _worked(tokens, lines), tokens.pop(0), _worked(tokens, lines)
    if sign not in ("+", "-", "*", "/") or tokens.pop(0) != ")" or len(lines) > 20:
        raise _arithmetic.NotArithmetic(f"no operation: {sign[:20]!r}")
    value = _arithmetic.plain(_arithmetic.evaluate(f"{left}{sign}{right}"))
    lines.append(f"{left} {sign} {right} = <<{left}{sign}{right}={value}>>{value}")
    return value


load, files = _source.published(_problem, _source_of)
