"""Records → preference pairs as token ids: a prompt and its two answers, the better one first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from porism.errors import DataError
from porism.records import Example, Message, Pair
from porism.train import _layouts, _rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from porism.models.packing import Item

__all__ = ["PairRow", "items", "pairs", "render"]


class PairRow(NamedTuple):
    """A pair and its tokens; with a reason, it is not trained on."""

    pair: Pair
    prompt: list[int]
    chosen: list[int]
    rejected: list[int]
    reason: str = ""

    @property
    def margin(self) -> float:
        """By how much the better answer is better, where the data say it."""
        return float(self.pair.meta.get("margin", 0.0))


def pairs(paths: Sequence[str]) -> list[Pair]:
    """The pairs in files and stage folders.

    Raises:
        DataError: no pairs, or other rows.
    """
    found = [cast("Pair", record) for path in paths for record in _layouts.read(path, Pair)]
    if not found:
        raise DataError(f"{', '.join(paths)}: no pairs.")
    return found


def render(tokenizer: PreTrainedTokenizerBase, chosen: Sequence[Pair], max_length: int) -> list[PairRow]:
    """The tokens of each pair; an empty, too long or undecided one gets a reason.

    Raises:
        DataError: none is left, or a margin is no number.
        ModelError: the chat template is missing or unfit.
    """
    rows = []
    for pair in chosen:
        with _rows.naming(pair, tokenizer):
            rows.append(_row(tokenizer, pair, max_length))
    _rows.usable([one.reason for one in rows])
    return rows


def items(rows: Sequence[PairRow]) -> list[Item]:
    """Pairs that are trained on, as the packing takes them: two answers behind one prompt."""
    from porism.models.packing import Answer, Item

    return [
        Item(row.prompt, [Answer(row.chosen), Answer(row.rejected)], {"margin": [row.margin]}, at)
        for at, row in enumerate(rows)
        if not row.reason
    ]


def _row(tokenizer: PreTrainedTokenizerBase, pair: Pair, max_length: int) -> PairRow:
    margin = pair.meta.get("margin", 0.0)
    if not isinstance(margin, int | float):
        raise DataError(f"pair {pair.id}: margin: expected a number, got {margin!r:.40}.")
    sides = [_tokens(tokenizer, pair.prompt, side, max_length) for side in (pair.chosen, pair.rejected)]
    reason = next((f"{name}: {side.reason}" for name, side in zip(_SIDES, sides, strict=True) if side.reason), "")
    chosen, rejected = (side.tokens for side in sides)
    if not reason and chosen == rejected:
        reason = "both answers are the same"
    return PairRow(pair, chosen.prompt, chosen.completion, rejected.completion, reason)


_SIDES = ("chosen", "rejected")


def _tokens(
    tokenizer: PreTrainedTokenizerBase, prompt: Sequence[Message], answer: Sequence[Message], max_length: int
) -> _rows.Row:
    if len(answer) != 1:
        return _rows.row(tokenizer, Example(prompt=prompt, completion=[]), max_length)._replace(
            reason=f"expected one message, got {len(answer)}"
        )
    return _rows.row(tokenizer, Example(prompt=prompt, completion=answer), max_length)
