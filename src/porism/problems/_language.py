r"""The language of a short text, by its script and by common words: no model, no network, well under a millisecond.

Formulas are set aside first: they are the same in every language, and ``\\frac`` is no French. Single letters count for
nothing, since in mathematics they are variables.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from importlib import resources

__all__ = ["UNKNOWN", "known_languages", "language_of"]

UNKNOWN = "und"
"""ISO 639-2's code for a text whose language cannot be told."""

_LOOKED_AT = 2_000
"""Characters of a text that are looked at."""
_SCRIPTS = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7a3]")),
    ("zh", re.compile("[\u3400-\u9fff]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
    ("el", re.compile("[\u0370-\u03ff]")),
)
_SHARE = {"ja": 0.02}
"""Kana between ideographs make a text Japanese even where there are few."""
_WORD = re.compile(r"[^\W\d_]{2,}")
_FORMULA = re.compile(
    r"\[asy\].*?(?:\[/asy\]|\Z)|\$\$.*?\$\$|\$[^$\n]*\$|\\\(.*?\\\)|\\\[.*?\\\]|\\[A-Za-z]+|```.*?```|`[^`]*`",
    re.DOTALL,
)


def language_of(text: str) -> str:
    """The ISO 639-1 code of the text's language; ``und`` where nothing tells.

    A text in Latin letters with no common word of a known language (``languages.txt``) is undetermined.

    >>> language_of("Combien de pommes y a-t-il dans le panier ?")
    'fr'
    """
    plain = unicodedata.normalize("NFKC", _FORMULA.sub(" ", text[:_LOOKED_AT]))
    letters = sum(character.isalpha() for character in plain)
    if not letters:
        return UNKNOWN
    for name, pattern in _SCRIPTS:
        if len(pattern.findall(plain)) > _SHARE.get(name, 0.3) * letters:
            return name
    words = _WORD.findall(plain.casefold())
    counts = {name: sum(word in known for word in words) for name, known in _common_words().items()}
    best = max(counts, key=lambda name: (counts[name], name == "en"))
    return best if counts[best] else UNKNOWN


def known_languages() -> tuple[str, ...]:
    """The codes that :func:`language_of` can give, without ``und``."""
    return tuple(sorted({name for name, _ in _SCRIPTS} | set(_common_words())))


@functools.cache
def _common_words() -> dict[str, frozenset[str]]:
    """Language → words, from the table: a line each, the code, a tab, the words."""
    table = resources.files("porism.problems").joinpath("data", "languages.txt").read_text(encoding="utf-8")
    lines = (line.partition("\t") for line in table.splitlines() if line and not line.startswith("#"))
    return {name: frozenset(words.split()) for name, _, words in lines}
