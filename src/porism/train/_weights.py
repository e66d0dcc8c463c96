"""How much each token of an answer counts in the loss: masks that the data bring, and weights of its parts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from porism import chains
from porism.errors import DataError
from porism.prompts.render import Turn
from porism.records import Example

__all__ = ["Part", "parts", "weigh"]

Part = Literal["reasoning", "answer"]


def weigh(turns: Sequence[Turn], example: Example, by_part: Mapping[str, float]) -> list[float]:
    """A weight for every token after the prompt.

    What the assistant did not write weighs 0. ``loss_mask`` and ``meta.answer_span`` belong to the last turn.

    Args:
        turns: the tokens.
        example: the row, with its mask.
        by_part: weights of ``reasoning`` and ``answer``; 1 for a part that is not named.

    Raises:
        DataError: a mask of the wrong length, a weight below 0, or spans outside the text.
    """
    found: list[float] = []
    for number, turn in enumerate(turns, 1):
        weights = [1.0 if turn.learnt else 0.0] * len(turn.ids)
        if turn.learnt and by_part:
            weights = _by_part(turn, by_part, _answer(turn, example) if number == len(turns) else None)
        found += weights
    if example.loss_mask is not None and turns:
        mask = _mask(turns[-1], example.loss_mask, example.id)
        tail = found[-len(mask) :]
        found[-len(mask) :] = [weight * factor for weight, factor in zip(tail, mask, strict=True)]
    return found


def parts(text: str, answer: Sequence[int] | None = None) -> list[tuple[int, int]]:
    r"""The characters of a text that state its answer; the rest is reasoning.

    With think tags, the answer is what stands after them. Without, it is each ``#### 18``, ``\boxed{18}`` and
    ``<answer>18</answer>``. Where the text has none of these, all of it is reasoning.

    Args:
        text: what the assistant wrote.
        answer: start and end of the answer, where the data say it.
    """
    if answer is not None:
        return [(answer[0], answer[1])]
    read = chains.read(text)
    if read.reasoning is not None:
        return [(read.response.start, read.response.end)]
    return [(one.span.start, one.span.end) for one in read.statements if one.rule != "phrase"]


def _by_part(turn: Turn, by_part: Mapping[str, float], answer: Sequence[int] | None) -> list[float]:
    """Weights of a turn's tokens. A token that reaches into the answer belongs to it, and so does the end token."""
    start = _start(turn)
    spans = [(first + start, end + start) for first, end in parts(turn.content, answer)]
    reasoning, stated = by_part.get("reasoning", 1.0), by_part.get("answer", 1.0)
    found = [stated if _touches(span, spans) else reasoning for span in turn.spans]
    written = start + len(turn.content)
    return [
        stated if span[0] >= written or span == (0, 0) else weight
        for span, weight in zip(turn.spans, found, strict=True)
    ]


def _answer(turn: Turn, example: Example) -> Sequence[int] | None:
    """Where the data say that the answer stands.

    Raises:
        DataError: that is no span of the text.
    """
    span = example.meta.get("answer_span")
    return None if span is None else _checked(span, turn, f"row {example.id}: meta.answer_span: expected a span")


def _checked(span: Any, turn: Turn, where: str) -> Sequence[int]:
    """A span of a turn's characters.

    Raises:
        DataError: it is none.
    """
    found: Sequence[int] = (
        span if isinstance(span, list | tuple) and [type(one) for one in span] == [int, int] else (0, 0)
    )
    if not 0 <= found[0] < found[1] <= len(turn.content):
        raise DataError(f"{where} [start, end] within the output's {len(turn.content)} characters, got {span!r:.60}.")
    return found


def _mask(turn: Turn, mask: Sequence[float | Sequence[int]], row: str) -> list[float]:
    """The mask for the tokens of a turn.

    Raises:
        DataError: it does not fit.
    """
    start = _start(turn)
    written = [at for at, span in enumerate(turn.spans) if span[0] < start + len(turn.content) and span != (0, 0)]
    if all(isinstance(one, int | float) for one in mask):
        numbers = [float(one) for one in mask if isinstance(one, int | float)]
        wrong = next((one for one in numbers if not 0 <= one < math.inf), None)
        if wrong is not None:
            raise DataError(f"row {row}: loss_mask: expected numbers of at least 0, got {wrong:g}.")
        if len(numbers) == len(turn.ids):
            return numbers
        if len(numbers) != len(written):
            raise DataError(
                f"row {row}: loss_mask has {len(numbers)} numbers, but its output has {len(written)} tokens "
                f"({len(turn.ids)} with the end of the turn). Give one for each token, or spans of characters."
            )
        return [*numbers, *[1.0] * (len(turn.ids) - len(written))]
    found = [_checked(one, turn, f"row {row}: loss_mask: expected spans") for one in mask]
    spans = [(first + start, end + start) for first, end in found]
    whole = start + len(turn.content)
    ended = any(end == whole for _, end in spans)
    return [float(ended) if span[0] >= whole or span == (0, 0) else float(_touches(span, spans)) for span in turn.spans]


def _start(turn: Turn) -> int:
    """Where the message begins in what the template makes of it; a template may drop space around it."""
    at = turn.text.find(turn.content)
    if at >= 0:
        return at
    left = len(turn.content) - len(turn.content.lstrip())
    return max(0, turn.text.find(turn.content.strip())) - left


def _touches(span: tuple[int, int], spans: Sequence[tuple[int, int]]) -> bool:
    return any(span[0] < end and start < span[1] for start, end in spans)
