"""Answers after ``####``, as GSM8K writes them."""

from __future__ import annotations

import re
from collections.abc import Iterator

from porism.chains._parts import Span, Statement
from porism.chains._stops import Layout, trimmed

__all__ = ["hashes"]

_HASH = re.compile(r"####(?!#)(?<!#####)[ \t]{0,8}")
_END = re.compile(r"[\n#<](?:(?<=\n)|(?<=#)###(?!#)(?<!#####)|(?<=<)[|/])")
_HEADING = re.compile(
    r"[*_]{0,3}(?:step|part|case|phase|stage|method|approach|solution|explanation|conclusion|summary|verification|check|given"
    r"|note|final\sanswer|answer|analysis|calculation|problem|question|example|understanding|reasoning)\b"
    r"|[*_]{0,3}\d{1,2}\s?[.):：][*_]{0,3}\s{1,3}[^\W\d_]{2,}|[*_]{0,3}(?:第|步骤|步|答案|解|ステップ|手順|最終|答え)",
    re.IGNORECASE,
)
_ANSWER = re.compile(
    r"[*_$\\(\[{\"'`+\-−£€¥~≈]{0,6}\s?(?:\.?\d|\\|[A-Za-z]\b|(?:yes|no|true|false|none)\b)|.{0,40}=", re.IGNORECASE
)


def hashes(layout: Layout) -> Iterator[Statement]:
    """Every ``####`` that an answer follows on its line.

    Markdown writes headings of the fourth level in the same way. At a line's beginning, what reads like a heading
    ("Step 1", "2. Find …", a line that ends in a colon) is none of ours, and words without a number are an answer only
    in the last line.
    """
    text, section = layout.text, layout.section
    last = section.end
    while last > section.start and text[last - 1].isspace():
        last -= 1
    for match in _HASH.finditer(text, *section):
        found = _END.search(text, match.end(), section.end)
        whole = Span(match.start(), found.start() if found else section.end)
        if layout.in_program(match.start()):
            continue
        answer = trimmed(text, match.end(), whole.end)
        if answer.start < answer.end and not (
            _begins_line(text, match.start()) and _is_heading(text, whole, answer, last)
        ):
            yield Statement("hash", whole, answer)


def _begins_line(text: str, position: int) -> bool:
    return text[max(0, position - 1) : position] in ("", "\n", " ", ">") and not text[
        max(0, position - 4) : position
    ].rpartition("\n")[2].strip(" >\t")


def _is_heading(text: str, whole: Span, answer: Span, last: int) -> bool:
    if _HEADING.match(text, *answer) or text[answer.start : whole.end].rstrip("*_ \t\r").endswith((":", "：")):
        return True
    return whole.end < last and not _ANSWER.match(text, *answer)
