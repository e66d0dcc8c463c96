"""Measurements as tables in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from porism import store
from porism.records import Status

__all__ = ["percent", "points", "show", "show_power", "show_stages"]

_RARE = (Status.TIMEOUT, Status.ERROR, Status.GOLD_UNPARSED)
"""Statuses that have a column only where one occurs."""
_NONE = ("0", "0 → 0")
_UNSAFE = "unsafe"
"""The tier without isolation, which every table says."""


def show(folder: Path) -> None:
    """Print the table of an ``evaluate`` or ``compare`` stage on standard output; nothing for another stage."""
    for name, row in (("comparison.json", _compared), ("metrics.json", _measured)):
        if (folder / name).is_file():
            value = store.load_json(folder / name)
            rows = [row(group, item) for group, item in value.items()]
            rare = [status for status in _RARE if any(one.get(status, _NONE[0]) not in _NONE for one in rows)]
            heads = [head for head in _heads(rows) if head not in _RARE or head in rare]
            kept = [{head: one.get(head, "–") for head in heads} for one in rows]
            _print(kept)
            break
    if (folder / "robustness.json").is_file():
        _show_robustness(store.load_json(folder / "robustness.json"))


def _show_robustness(found: dict[str, Any]) -> None:
    """The drops under changes, and the spread over instances of templates."""
    rows = [
        {
            "set": name,
            "originals": str(item["problems"]),
            "original (95 %)": percent(item["original"]),
            "changed (95 %)": percent(item["changed"]),
            "difference in points (95 %)": points(item["difference"]),
            "relative drop (95 %)": percent(item["relative"]),
        }
        for name, item in found.get("changes", {}).items()
    ]
    spreads = [
        {
            "set": name,
            "templates": str(item["templates"]),
            "instances": str(item["sets"]),
            "mean": f"{item['mean']:.1%}",
            "deviation": "–" if item["deviation"] is None else f"{100 * item['deviation']:.1f}",
            "worst": f"{item['low']:.1%}",
            "best": f"{item['high']:.1%}",
            "all instances right": percent(item["all_right"]),
        }
        for name, item in found.get("templates", {}).items()
    ]
    for table in (rows, spreads):
        if table:
            print()
            _print(table)


def show_power(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print what :func:`porism.evaluate.power.plan` found."""
    _print(
        [{name: value if isinstance(value, str) else f"{value:,}" for name, value in row.items()} for row in rows],
        left=(),
    )


def _heads(rows: Sequence[dict[str, str]]) -> list[str]:
    """The columns of all rows: in the order of the row that has most of them."""
    longest = max(rows, key=len, default={})
    return [*longest, *dict.fromkeys(head for row in rows for head in row if head not in longest)]


def show_stages(stages: Sequence[tuple[Path, store.Manifest]]) -> None:
    """Print what each stage of a run made and cost."""
    rows = [
        {
            "stage": folder.name,
            "seconds": f"{manifest.seconds:,.1f}",
            "peak GB": f"{manifest.peak_memory_mb / 1024:.1f}",
            "made": manifest.counted,
        }
        for folder, manifest in stages
    ]
    _print(rows, left=("stage", "made"))


def _print(rows: Sequence[dict[str, str]], left: Sequence[str] = ("set",)) -> None:
    import rich.console
    import rich.table
    import rich.text

    if not rows:
        return
    table = rich.table.Table(box=None, pad_edge=False, header_style="bold")
    for head in rows[0]:
        table.add_column(head, justify="left" if head in left else "right", overflow="fold")
    for row in rows:
        table.add_row(*(rich.text.Text(cell) for cell in row.values()))
    console = rich.console.Console()
    (console if console.is_terminal else rich.console.Console(width=150)).print(table)


def percent(interval: dict[str, float | None]) -> str:
    """``27.5 (20.1–36.2)``: a share in percent with its interval."""
    value, low, high = (interval[name] for name in ("value", "low", "high"))
    if value is None:
        return "–"
    return f"{value:.1%}" if low is None or high is None else f"{value:.1%} ({100 * low:.1f}–{100 * high:.1f})"


def points(interval: dict[str, float | None]) -> str:
    """``+33.1 (+22.0 to +43.2)``: a difference in percentage points with its interval."""
    value, low, high = (interval[name] for name in ("value", "low", "high"))
    if value is None or low is None or high is None:
        return "–"
    return f"{100 * value:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def _measured(name: str, item: dict[str, Any]) -> dict[str, str]:
    statuses = item["statuses"]
    return {
        "set": name,
        "problems": str(item["problems"]),
        "accuracy (95 %)": percent(item["accuracy"]),
        **_tries(item),
        **{name: "–" if share is None else f"{share:.1%}" for name, share in item["by_profile"].items()},
        "tokens": f"{item['tokens']['mean']:.0f}",
        "unparsed": str(statuses.get("unparsed", 0)),
        "truncated": str(statuses.get("truncated", 0)),
        **{status: str(statuses.get(status, 0)) for status in _RARE},
        **({"sandbox": _UNSAFE} if _UNSAFE in item.get("sandbox", {}) else {}),
    }


def _tries(item: dict[str, Any]) -> dict[str, str]:
    """pass@k for several attempts, and the share of tests passed, where there are any."""
    known = {k: one["value"] for k, one in item.get("pass_at", {}).items() if k != "1" and one["value"] is not None}
    cells = {f"pass@{k}": f"{value:.1%}" for k, value in known.items()}
    for name, of in (("pass^", "pass_all"), ("maj@", "maj_at")):
        cells |= {
            f"{name}{k}": percent({**one, "low": None})
            for k, one in item.get(of, {}).items()
            if one["value"] is not None
        }
    tests = item.get("passed_tests")
    return cells if tests is None else {**cells, "tests": f"{tests:.1%}"}


def _compared(name: str, item: dict[str, Any]) -> dict[str, str]:
    before, after = item["before"], item["after"]

    def change(status: str) -> str:
        return f"{before['statuses'].get(status, 0)} → {after['statuses'].get(status, 0)}"

    return {
        "set": name,
        "n": str(item["problems"]),
        "before (95 %)": percent(before["accuracy"]),
        "after (95 %)": percent(after["accuracy"]),
        "gain in points (95 %)": points(item["difference"]),
        "p": "–" if item["mcnemar_p"] is None else f"{item['mcnemar_p']:.1g}",
        "format": f"{100 * item['gain_by_format']:+.1f}",
        "reasoning": f"{100 * item['gain_by_reasoning']:+.1f}",
        "tokens": f"{before['tokens']['mean']:.0f} → {after['tokens']['mean']:.0f}",
        "unparsed": change("unparsed"),
        "truncated": change("truncated"),
        **{status: change(status) for status in _RARE},
        **({"sandbox": _UNSAFE} if any(_UNSAFE in side.get("sandbox", {}) for side in (before, after)) else {}),
    }
