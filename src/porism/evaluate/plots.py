"""Plots as SVG text that can stand inside a page."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["before_after", "curve", "token_counts"]

_BEFORE, _AFTER = "#9a9a9a", "#1f6feb"
_NUMBERS = dict[str, float | None]


def before_after(groups: Mapping[str, tuple[_NUMBERS, _NUMBERS]]) -> str:
    """Accuracy before and after with 95 % intervals, one line a group.

    Args:
        groups: name → interval before, interval after, as shares.
    """
    figure, axes = _figure(0.42 * len(groups) + 1.1)
    for number, pair in enumerate(reversed(list(groups.values()))):
        for interval, offset, colour in ((pair[0], 0.14, _BEFORE), (pair[1], -0.14, _AFTER)):
            value, low, high = (100 * (interval[key] or 0) for key in ("value", "low", "high"))
            axes.plot([low, high], [number + offset] * 2, color=colour, linewidth=2, solid_capstyle="round")
            axes.plot(value, number + offset, "o", color=colour, markersize=6)
    axes.set_yticks(range(len(groups)), list(groups)[::-1], parse_math=False)
    axes.set_xlim(-2, 102)
    axes.set_ylim(-0.6, len(groups) - 0.4)
    axes.set_xlabel("correct, % (grey before, blue after, 95 % intervals)")
    axes.grid(axis="x", color="#dddddd", linewidth=0.6)
    return _svg(figure)


def curve(steps: Sequence[float], values: Sequence[float], title: str, *, from_zero: bool = True) -> str:
    """A quantity over training steps, as measured and as a moving average; the axis begins at 0 where it is wanted."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = _figure(2.8)
    axes.plot(steps, values, color=_AFTER, alpha=0.3, linewidth=1)
    half = len(values) // 40
    windows = [values[max(0, at - half) : at + half + 1] for at in range(len(values))]
    axes.plot(steps, [sum(window) / len(window) for window in windows], color=_AFTER, linewidth=2)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("step")
    axes.set_ylabel(title)
    if from_zero:
        axes.set_ylim(bottom=min(0, *values))
    axes.grid(color="#dddddd", linewidth=0.6)
    return _svg(figure)


def token_counts(before: Sequence[int], after: Sequence[int]) -> str:
    """How long the answers were, before and after."""
    from matplotlib.ticker import MaxNLocator

    figure, axes = _figure(2.8)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_locator(MaxNLocator(integer=True))
    top = max([*before, *after, 1])
    bins = [top * edge / 30 for edge in range(31)]
    axes.hist(before, bins=bins, color=_BEFORE, alpha=0.7, label="before")
    axes.hist(after, bins=bins, color=_AFTER, alpha=0.6, label="after")
    axes.set_xlabel("tokens in an answer")
    axes.set_ylabel("answers")
    axes.legend(frameon=False)
    return _svg(figure)


def _figure(height: float) -> tuple[Figure, Axes]:
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update(
        {"svg.fonttype": "none", "svg.hashsalt": "porism", "font.family": "sans-serif", "font.size": 10}
    )
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(5.2, height), layout="constrained")
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    return figure, axes


def _svg(figure: Any) -> str:
    import matplotlib.pyplot as plt

    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None})
    plt.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]
