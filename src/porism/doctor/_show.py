"""The report: for a person, line by line as it comes, or whole as JSON for a program."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from porism.console import printable
from porism.doctor._checks import Check, Options, Preview, Status

if TYPE_CHECKING:
    import rich.console

__all__ = ["as_json", "show"]

_STYLES = {Status.OK: "green", Status.WARNING: "yellow", Status.FAILED: "bold red"}
_LEARNT, _MASKED = "green", "dim"
_MARKS = ("⟦", "⟧")
_LONGEST = 1_200
"""Characters of a piece that are shown: its beginning and its end."""


def show(found: Iterable[Check | Preview], options: Options, data: str, console: rich.console.Console) -> bool:
    """Print each check as it is made, and at the end how many there were.

    Args:
        found: checks and previews.
        options: what was asked, to say what was not looked at.
        data: the training rows' file, or nothing.
        console: where to print; without colour, tokens that are learnt stand between marks.

    Returns:
        Whether nothing failed.
    """
    from rich.text import Text

    group = ""
    counts = Counter[Status]()
    previewed = False
    for item in found:
        if isinstance(item, Preview):
            if not previewed:
                console.print(_legend(console))
            previewed = True
            console.print(_pieces(item, console), soft_wrap=True)
            continue
        if item.group != group:
            console.print(Text(item.group.capitalize(), style="bold"))
            group = item.group
        counts[item.status] += 1
        line = Text("  ")
        line.append(f"{item.status:<8}", style=_STYLES[item.status]).append(f" {item.name:<10} ", style="bold")
        line.append(printable(item.found).replace("\n", " "))
        if item.cure:
            line.append(f" → {printable(item.cure)}", style="cyan")
        console.print(line, soft_wrap=not console.is_terminal)
    console.print(_sum(counts, options, data), soft_wrap=not console.is_terminal)
    return not counts[Status.FAILED]


def as_json(found: Iterable[Check | Preview]) -> tuple[str, bool]:
    """The report as one JSON object, and whether nothing failed."""
    checks: list[dict[str, Any]] = []
    previews: list[dict[str, Any]] = []
    counts = dict.fromkeys(Status, 0)
    for item in found:
        if isinstance(item, Preview):
            previews.append({"title": item.title, "pieces": [piece._asdict() for piece in item.pieces]})
        else:
            checks.append(dataclasses.asdict(item))
            counts[item.status] += 1
    value = {"checks": checks, "counts": counts, "preview": previews}
    return json.dumps(value, ensure_ascii=True, indent=1), not counts[Status.FAILED]


def _sum(counts: Counter[Status], options: Options, data: str) -> str:
    text = ", ".join(f"{counts[status]} {status}" for status in Status)
    left = [] if options.network else ["hosts (--network)"]
    left += ["overlap with a test set (--against FILE)"] if data and not options.against else []
    return f"\n{text}." + (f" Not looked at: {', '.join(left)}." if left else "")


def _coloured(console: rich.console.Console) -> bool:
    return console.color_system is not None and not console.no_color


def _legend(console: rich.console.Console) -> Any:
    from rich.text import Text

    if _coloured(console):
        return Text("  ").append("learnt", style=_LEARNT).append(" · ").append("masked", style=_MASKED)
    return Text(f"  {_MARKS[0]}learnt{_MARKS[1]}, the rest is masked")


def _pieces(preview: Preview, console: rich.console.Console) -> Any:
    from rich.text import Text

    counts = " + ".join(f"{piece.tokens} {'learnt' if piece.learnt else 'masked'}" for piece in preview.pieces)
    shown = Text("  ").append(f"row {printable(preview.title)}", style="bold")
    shown.append(f" ({counts} tokens)\n" if counts else "\n")
    for piece in preview.pieces:
        text = printable(_shortened(piece.text))
        if _coloured(console):
            shown.append(text, style=_LEARNT if piece.learnt else _MASKED)
        else:
            shown.append(f"{_MARKS[0]}{text}{_MARKS[1]}" if piece.learnt else text)
    return shown


def _shortened(text: str) -> str:
    if len(text) <= _LONGEST:
        return text
    half = _LONGEST // 2
    return f"{text[:half]} … {len(text) - _LONGEST:,} characters … {text[-half:]}"
