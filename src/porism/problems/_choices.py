"""Multiple choice: the options as part of the question, and the answer as a letter."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping, Sequence

__all__ = ["ask", "letter", "plain"]

_LABEL = re.compile(r"\s*(?:\(([A-Ja-j])\)|([A-Ja-j])[).:])\s*")
_LETTERS = "ABCDEFGHIJ"


def plain(options: object) -> list[str]:
    """The options without letters: from a list, a mapping of letters, or ARC's ``{"text": […], "label": […]}``.

    In a table's cell they may stand as JSON.

    Raises:
        ValueError: they are none of these, or fewer than two, or more than ten.
    """
    if isinstance(options, str) and options.lstrip().startswith(("[", "{")):
        with contextlib.suppress(ValueError, RecursionError):
            options = json.loads(options)
    if isinstance(options, Mapping) and isinstance(options.get("text"), Sequence):
        options = options["text"]
    elif isinstance(options, Mapping):
        options = [options[key] for key in sorted(options, key=str)]
    if not isinstance(options, list) or not 2 <= len(options) <= len(_LETTERS):
        raise ValueError(f"no options: expected a list of 2 to {len(_LETTERS)} options, got {str(options)[:60]!r}")
    if not all(isinstance(option, str | int | float) for option in options):
        raise ValueError(f"no options: expected texts or numbers, got {str(options)[:60]!r}")
    texts = [str(option).strip() for option in options]
    for at, text in enumerate(texts):
        label = _LABEL.match(text)
        if label and (label[1] or label[2]).upper() == _LETTERS[at]:
            texts[at] = text[label.end() :].strip()
    if not all(texts):
        raise ValueError("no options: one of them is empty")
    return texts


def ask(question: str, options: Sequence[str]) -> str:
    """The question with its options below it, ``A) 5`` a line, as the grader ``choice`` reads them."""
    lines = [f"{letter}) {' '.join(option.split())}" for letter, option in zip(_LETTERS, options, strict=False)]
    return "\n".join([question.rstrip(), *lines])


def letter(answer: object, options: Sequence[str]) -> str:
    """The letter of an answer: a letter, a place from 0, or the words of one option.

    Raises:
        ValueError: it is none of the options.
    """
    known = _LETTERS[: len(options)]
    text = str(answer).strip()
    if isinstance(answer, str) and text.strip("().: ").upper() in list(known):
        return text.strip("().: ").upper()
    if isinstance(answer, int) and not isinstance(answer, bool) and 0 <= answer < len(options):
        return known[answer]
    said = text.casefold() if answer is not None else ""
    same = [at for at, option in enumerate(options) if option.casefold() == said]
    if len(same) == 1:
        return known[same[0]]
    if isinstance(answer, str) and text.isdecimal() and len(text) < 3 and int(text) < len(options):
        return known[int(text)]
    raise ValueError(f"no answer: expected one of {', '.join(known)}, got {text[:40]!r}")
