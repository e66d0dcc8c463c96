"""Where sentences end, in English, Chinese and Japanese, in text that is full of numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from porism.chains._parts import words
from porism.chains._regions import Region

__all__ = ["breaks", "unmasked"]

_RUN = re.compile(r"[.!?…。！？｡．](?:(?<=[.!?…])[.!?…]*+|(?<=[。！？｡．])[。！？｡．]*+)")
_CLOSING = frozenset("\"'”’»)]}）】」』*_")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uff00-\uff60（「『【《]")
_WORD = re.compile(r"[A-Za-z](?:\.?[A-Za-z])*\Z")
_PREVIOUS = re.compile(r"(\S{1,20})[ \t]{1,2}\Z")
_ENUMERATOR = re.compile(
    r"\n[ \t>*#_\-•(（\[]{0,10}"
    r"(?:(?:step|case|part|question|problem|example|method|option)[ \t])?(?:\d{1,3}|[a-z]|[ivx]{1,4})\Z",
    re.IGNORECASE,
)
_FACTORIAL = re.compile(r"(?:\d|\)|\b[A-Za-z])!\Z")

_ABBREVIATIONS = words(
    "e.g i.e eg ie cf dr mr mrs ms prof fig figs eq eqs eqn vs approx resp viz thm cor ca u.s u.k u.n "
    "w.r.t s.t ph.d a.k.a st.dev gen rep sen gov mt"
)
"""After these a sentence goes on, whatever follows."""
_BEFORE_NUMBER = words("no nos art p pp vol ch sec ex def")
"""These are abbreviations only before a number."""
_UNITS = words(
    "etc a.m p.m am pm inc ltd co corp jr sr st ft in lb lbs oz hr hrs min mins sec secs yd yds mi gal qt pt sq cu "
    "avg max mph tbsp tsp ave al jan feb mar apr jun jul aug sept oct nov dec"
)
"""After these a sentence goes on where a small letter or a digit follows."""
_STARTERS = words(
    "a after all also an and are as at because but by can clearly each every finally first for from given he hence her "
    "his how i if in is it its let next no not note now of on one or our out she since so substituting that the then "
    "there therefore these they this those thus to we what when where which while with you your"
)
"""A capitalised word of these after "B." begins a sentence; another may be a surname after an initial."""


def breaks(text: str, start: int, end: int, masked: Sequence[Region]) -> list[int]:
    """The ends of sentences in a part of a text, closing quotes, brackets and emphasis included.

    Lines are not looked at: that a line's end also ends a sentence is for the caller to say. Takes linear time.

    Args:
        text: any text.
        start: where to begin.
        end: where to stop.
        masked: sorted regions in which nothing ends.
    """
    runs = ((match.start(), match.end()) for match in _RUN.finditer(text, start, end))
    found = [_end_of_sentence(text, a, b, end) for a, b in unmasked(runs, masked)]
    found += [_end_after_formula(text, region, end) for region in masked if region.kind == "math"]
    return sorted(stop for stop in found if stop is not None)


def unmasked(spans: Iterator[tuple[int, int]], masked: Sequence[Region]) -> Iterator[tuple[int, int]]:
    """Those of the rising spans that begin in no region."""
    number = 0
    for span in spans:
        while number < len(masked) and masked[number].end <= span[0]:
            number += 1
        if number == len(masked) or span[0] < masked[number].start:
            yield span


def _end_of_sentence(text: str, a: int, b: int, end: int) -> int | None:
    """Where the sentence ends if the marks ``text[a:b]`` end one."""
    wide = text[a] not in ".!?…"
    if wide and text[a:b] == "．" and text[a - 1 : a].isdigit() and (text[b : b + 1].isdigit() or _enumerates(text, a)):
        return None
    stop = b
    while stop < min(end, b + 10) and text[stop] in _CLOSING:
        stop += 1
    following = text[stop : stop + 1] if stop < end else ""
    if wide:
        while stop > b and following.strip() and text[stop - 1] in "*_":
            stop -= 1
            following = text[stop]
        return stop
    if following and not following.isspace():
        return stop if _CJK.match(following) and not (text[a:b] == "." and _enumerates(text, a)) else None
    ahead = text[stop : min(end, stop + 40)]
    if "\n" in ahead[: len(ahead) - len(ahead.lstrip())] or not ahead.strip():
        return stop
    return stop if _ends_before(text, a, b, ahead.lstrip()) else None


def _end_after_formula(text: str, formula: Region, end: int) -> int | None:
    """Where the sentence ends if the formula's last character is a full stop: ``$x = 5.$ Then``."""
    inside = text[max(formula.start, formula.end - 8) : formula.end].rstrip("$\\])} \n")
    ahead = text[formula.end : min(end, formula.end + 40)]
    opens = ahead.lstrip()[:1]
    if not inside.endswith((".", "。")) or inside.endswith(".."):
        return None
    return formula.end if not opens or opens.isupper() or "\n" in ahead[: ahead.find(opens)] else None


def _ends_before(text: str, a: int, b: int, ahead: str) -> bool:
    """Whether the marks end a sentence that more text follows on the same line."""
    marks = text[a:b]
    opens = ahead.lstrip("\"'“‘(*_[")[:1]
    if marks.startswith("..") or "…" in marks:
        return opens.isupper() or bool(_CJK.match(opens))
    if marks == "!" and _FACTORIAL.search(text, max(0, a - 3), b):
        return opens.isupper() or bool(_CJK.match(opens))
    if marks == "?" and text[a - 1 : a].isspace():
        return opens.isalpha()
    if marks != "." or not text[a - 1 : a].isalnum():
        return True
    if _enumerates(text, a):
        return False
    word = _WORD.search(text[max(0, a - 8) : a]) if text[a - 1].isalpha() else None
    return not word or not _abbreviates(text, a, word[0], ahead)


def _abbreviates(text: str, a: int, word: str, ahead: str) -> bool:
    """Whether the full stop after the word belongs to the word."""
    plain = word.lower()
    if plain in _ABBREVIATIONS or (plain in _BEFORE_NUMBER and ahead[0].isdigit()):
        return True
    if plain in _UNITS:
        return ahead[0].islower() or ahead[0].isdigit()
    return len(word) == 1 and word.isupper() and _is_initial(text, a, ahead)


def _is_initial(text: str, a: int, ahead: str) -> bool:
    """Whether a capital letter stands for a name ("J. Smith") and does not end a sentence ("It is B. Then")."""
    following = re.match(r"[A-Za-z]+", ahead)
    if not following or not following[0][0].isupper():
        return False
    if len(following[0]) == 1 and ahead[1:2] == ".":
        return True
    if following[0].lower() in _STARTERS:
        return False
    previous = _PREVIOUS.search(text[max(0, a - 24) : a - 1])
    return previous is None or previous[1][:1].isupper() or previous[1][-1] in ".!?。"


def _enumerates(text: str, a: int) -> bool:
    """True for the full stop of "1." or "Step 1." at a line's beginning."""
    near = text[a - 30 : a] if a > 30 else "\n" + text[:a]
    return "\n" in near and bool(_ENUMERATOR.search(near))
