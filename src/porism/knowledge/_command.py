"""What ``porism knowledge build`` and ``porism knowledge search`` print."""

from __future__ import annotations

import json

from porism import console, knowledge
from porism.console import printable
from porism.knowledge import BuildSettings, Index, SearchSettings
from porism.records import Problem

__all__ = ["build", "search"]

_SHOWN = 300
"""Characters of a text that are printed."""


def build(settings: BuildSettings) -> None:
    """Build an index, and say what it holds."""
    made = knowledge.build(settings)
    passages = made.items - made.problems
    holds = [
        f"{count:,} {name}"
        for count, name in (
            (made.problems, "solved problems"),
            (passages, f"passages of {made.documents:,} documents"),
        )
        if count
    ]
    changed = f"{made.added:,} added, {made.removed:,} removed, in {made.seconds:.1f} s"
    console.notice(f"{settings.index}: {' and '.join(holds)}; {changed}")
    if made.left_out:
        told = ", ".join(f"{count:,} {reason}" for reason, count in made.left_out.items())
        console.notice(f"  left out: {told}")


def search(settings: SearchSettings) -> None:
    """Search an index, and print what is found: a line of facts and the text of each, or one line of JSON each."""
    index = Index(settings.index, encoder=settings.encoder, encoder_model=settings.encoder_model)
    asked = Problem(question=settings.query, answer="") if settings.asked else None
    result = index.search(settings.query, top=settings.top, mode=settings.mode, asked=asked, leaks=settings.leaks)
    for rank, (item, score, cosine) in enumerate(result.found, 1):
        if settings.format == "json":
            row = {"rank": rank, "score": round(score, 6), "cosine": None if cosine is None else round(cosine, 4)}
            what = {"kind": item.kind, "source": item.source, "text": item.text}
            print(json.dumps({**row, **what, "solution": item.solution, "answer": item.answer}, ensure_ascii=False))
            continue
        near = "" if cosine is None else f", cosine {cosine:.2f}"
        where = f"{item.source}, passage {item.number + 1}" if item.kind == "document" else item.source
        print(f"{rank}. {printable(where) or item.kind} (score {score:.4f}{near})")
        for text in filter(None, (item.text, item.solution)):
            print(f"   {_shortened(text)}")
    if result.left_out:
        told = ", ".join(f"{count} {reason}" for reason, count in result.left_out.items())
        console.notice(f"left out, since the query's own solution may be there: {told}")
    if not result.found:
        console.notice("nothing was found")


def _shortened(text: str) -> str:
    whole = printable(" ".join(text.split()))
    return whole if len(whole) <= _SHOWN else f"{whole[:_SHOWN]}…"
