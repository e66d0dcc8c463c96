"""Numbered steps: what marks one, and which of the marks in a text belong to one list."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from porism.chains._regions import Region
from porism.chains._sentences import unmasked

__all__ = ["Marker", "numbered", "ordinals"]

_CJK_DIGITS = "一二三四五六七八九十"
_ENGLISH = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_MARKER = re.compile(
    rf"""^(?P<indent>[ \t\u3000]{{0,24}}) (?:>[ \t]?)? (?:[-*•][ \t]{{1,3}})?
    (?P<head>\#{{1,6}}[ \t]{{0,3}})? (?P<bold>[*_]{{2,3}})?
    (?P<label>
        (?:step|STEP|Step)[ \t]{{0,2}}\#?(?P<step>\d{{1,3}}|(?i:{"|".join(_ENGLISH)}))
            (?=[*_]{{0,3}}[ \t]{{0,3}}(?:[:：.)\]—–(-]|\r?$|[*_]{{2}}))
      | 第[ \t]?(?P<zh>\d{{1,3}}|[{_CJK_DIGITS}]{{1,3}})[ \t]?步骤?
      | 步骤[ \t]?(?P<zh2>\d{{1,3}}|[{_CJK_DIGITS}]{{1,3}})(?=[：:、.．)）*\s]|$)
      | (?:ステップ|手順)[ \t]?(?P<ja>\d{{1,3}}|[{_CJK_DIGITS}]{{1,3}})
      | (?P<plain>\d{{1,3}})(?P<mark>[.．)）、])(?!\d)(?=[ \t\u3000]|\r?$|[*_]{{2}}|[^\x00-\x7f])
      | [（(](?P<round>\d{{1,3}})[)）](?![ \t]*[-+*/=×÷^<>.,])
      | (?P<circled>[①-⑳]) )""",
    re.MULTILINE | re.VERBOSE,
)
_KINDS = {".": "dot", "．": "dot", ")": "bracket", "）": "bracket", "、": "comma"}

_ORDINAL = re.compile(
    r"""["'“(*_]{0,4}+(?P<label>
        (?: (?P<first>First(?:ly|\ of\ all)?) | (?:Second|Third|Fourth|Fifth|Sixth)(?:ly)? | Next | Then | After\ that
          | Finally | Lastly ) (?= [*_]{0,3}[,:] | \ (?:we|I|let|the|you|he|she|it|they)\b )
      | (?P<cjk_first>首先|まず|最初に|はじめに)
      | 其次 | 再次 | 接着 | 接下来 | 然后 | 随后 | 最后 | 次に | 続いて | それから | 最後に )""",
    re.VERBOSE,
)


class Marker(NamedTuple):
    """The mark of a numbered step."""

    start: int
    label: str


class _Found(NamedTuple):
    start: int
    label: str
    indent: int
    number: int


def numbered(text: str, masked: Sequence[Region]) -> list[Marker]:
    """The marks of the text's outermost numbered list, or none.

    Marks of one look form a list where they rise by one from 1 (or 0); a mark that is indented deeper than the first
    one belongs to a list inside, and a number out of sequence is no mark. Of several lists the outermost look counts:
    "Step 1" in any language, then numbered headings, bold numbers, plain ones; of one look, the longest. A list of one
    mark counts only where there is no longer one.
    """
    families: dict[tuple[int, str], list[_Found]] = {}
    matches = {match.start("label"): match for match in _MARKER.finditer(text)}
    for start, _ in unmasked(((start, start) for start in matches), masked):
        match = matches[start]
        indent = len(match["indent"].expandtabs(4))
        families.setdefault(_look(match), []).append(_Found(match.start(), match["label"], indent, _number(match)))
    lists = [_longest(families[look]) for look in sorted(families, key=lambda look: look[0])]
    best = next((found for found in lists if len(found) > 1), next((found for found in lists if found), []))
    return [Marker(found.start, found.label.strip()) for found in best]


def ordinals(text: str, sentences: Sequence[int]) -> list[Marker]:
    """Sentences that begin with "First", 首先 or まず, and those after it with "Second", 然后, 次に, "Finally".

    None where only one such sentence is found.

    Args:
        text: any text.
        sentences: where its sentences begin.
    """
    found: list[Marker] = []
    for start in sentences:
        match = _ORDINAL.match(text, start)
        if match and (found or match["first"] or match["cjk_first"]):
            found.append(Marker(start, match["label"]))
    return found if len(found) > 1 else []


def _look(match: re.Match[str]) -> tuple[int, str]:
    if match["step"] or match["zh"] or match["zh2"] or match["ja"]:
        return 0, "step"
    kind = _KINDS[match["mark"]] if match["plain"] else "round" if match["round"] else "circled"
    return (1 if match["head"] else 2 if match["bold"] else 3), kind


def _number(match: re.Match[str]) -> int:
    if match["circled"]:
        return ord(match["circled"]) - ord("①") + 1
    digits = next(match[name] for name in ("step", "zh", "zh2", "ja", "plain", "round") if match[name])
    if digits.lower() in _ENGLISH:
        return _ENGLISH.index(digits.lower()) + 1
    if digits[0] not in _CJK_DIGITS:
        return int(digits)
    tens, ten, ones = digits.rpartition("十")
    return (10 * (_CJK_DIGITS.index(tens[-1]) + 1 if tens else 1) if ten else 0) + (
        _CJK_DIGITS.index(ones[-1]) + 1 if ones else 0
    )


def _longest(found: Iterable[_Found]) -> list[_Found]:
    """The longest run of numbers that rise by one; the first of those that are equally long."""
    best: list[_Found] = []
    run: list[_Found] = []
    for mark in found:
        if run and mark.indent > run[0].indent + 1:
            continue
        if run and mark.number == run[-1].number + 1:
            run.append(mark)
        elif mark.number in (0, 1):
            run = [mark]
        best = run if len(run) > len(best) else best
    return best
