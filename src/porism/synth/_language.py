r"""The language of a short text, by py3langid, which needs no network.

Formulas are set aside first: they are the same in every language, and ``\\frac`` is no French. A text with few letters
left, or of which the classifier is not sure, has no language that could be held against it.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

__all__ = ["language_of"]

_FORMULA = re.compile(
    r"\$\$.*?\$\$|\$[^$\n]*\$|\\\(.*?\\\)|\\\[.*?\\\]|\\[a-zA-Z]+|```.*?```|`[^`]*`|\S*[\d=+*/^_{}<>]\S*", re.DOTALL
)
_FEWEST = 20
"""Letters below which a text is not classified."""
_SURE = 0.9
"""Probability above which the classifier is believed."""


def language_of(text: str) -> str:
    """The ISO 639-1 code of the text's language, or nothing where it cannot be told."""
    words = " ".join(_FORMULA.sub(" ", text).split())
    if sum(character.isalpha() for character in words) < _FEWEST:
        return ""
    code, probability = _identifier().classify(words)
    return str(code) if probability >= _SURE else ""


@cache
def _identifier() -> Any:
    from py3langid import langid

    return langid.LanguageIdentifier.from_model_file(langid.MODEL_FILE, norm_probs=True)
