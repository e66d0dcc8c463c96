"""In which language a question stands: as far as its script tells."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field

__all__ = ["Language", "language_of"]

Language = Annotated[
    Literal["auto", "en", "zh", "ja"], Field(description="of the words around the question; auto: as its script tells")
]

_KANA = re.compile(r"[\u3041-\u30ff]")
_HAN = re.compile(r"[\u4e00-\u9fff]")


def language_of(text: str, wanted: str = "auto") -> str:
    """``en``, ``zh`` or ``ja``: kana make a text Japanese, characters without kana Chinese, all else is English."""
    if wanted != "auto":
        return wanted
    if _KANA.search(text):
        return "ja"
    return "zh" if _HAN.search(text) else "en"
