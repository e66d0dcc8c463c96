"""The share of an answer's letters that are of the wanted script: what keeps reasoning from drifting into others.

Scripts, not languages: English and French are one, Chinese, Japanese kana, Cyrillic and others are told apart. That is
exact on short texts, where a classifier of languages is not. Guo et al., 2025, arXiv:2501.12948, use a share of words.
"""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Sequence

from porism.records import Attempt

__all__ = ["reward"]

_SAME = {"HIRAGANA": "JAPANESE", "KATAKANA": "JAPANESE", "CJK": "HAN"}
_FEWEST = 4
"""Letters below which a text has no script."""


def reward(attempts: Sequence[Attempt], *, script: str = "") -> list[float | None]:
    """0 to 1 for each attempt; 1 for one with hardly a letter; nothing for one that the engine failed on.

    Args:
        attempts: their texts and questions.
        script: such as ``latin``, ``han``, ``japanese`` (kana and ideographs) or ``cyrillic``; that of the question if
            empty.
    """
    return [None if one.finish == "error" else _share(one.text, script.upper() or _main(one)) for one in attempts]


def _main(attempt: Attempt) -> str:
    scripts = _scripts(attempt.problem.question)
    return "JAPANESE" if scripts["JAPANESE"] else scripts.most_common(1)[0][0] if scripts else ""


def _share(text: str, wanted: str) -> float:
    scripts = _scripts(text)
    total = scripts.total()
    if total < _FEWEST or not wanted:
        return 1.0
    own = scripts[wanted] + (scripts["HAN"] if wanted == "JAPANESE" else 0)
    return own / total


def _scripts(text: str) -> Counter[str]:
    """Letters by the script that Unicode names them after."""
    found: Counter[str] = Counter()
    for letter, count in Counter(filter(str.isalpha, text)).items():
        first = unicodedata.name(letter, "").split(" ")[0].split("-")[0]
        found[_SAME.get(first, first)] += count
    return found
