"""Records → training rows as token ids."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from porism.errors import DataError, ModelError
from porism.prompts.render import Rendered, encode_turns
from porism.records import Attempt, Example, Message, Problem, Record
from porism.train import _layouts
from porism.train._weights import weigh

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Row", "correct_only", "example_of", "examples", "naming", "render", "row", "usable"]


class Row(NamedTuple):
    """A training example and its tokens; with a reason, it is not trained on."""

    example: Example
    tokens: Rendered
    reason: str = ""
    weights: Sequence[float] = ()
    """Of each token of the completion."""


def examples(paths: Sequence[str], *, allow_unverified: bool) -> list[Example]:
    """The examples in attempts (prompt and text), in problems with a solution, and in rows of any known layout.

    Raises:
        DataError: no rows, or, while ``allow_unverified`` is false, an attempt that is not graded correct or a row
            whose label is false.
    """
    found: list[Example] = []
    for path in paths:
        for record in _layouts.read(path, Attempt, Example, Problem):
            if not allow_unverified:
                _refuse_unwanted(record, path)
            found.append(example_of(record))
    if not found:
        raise DataError(f"{', '.join(paths)}: no training rows.")
    return found


def example_of(record: Record) -> Example:
    """A record as prompt and completion. A problem is answered by its solution, or by its bare answer.

    Raises:
        DataError: it is no such record.
    """
    if isinstance(record, Example):
        return record
    if isinstance(record, Attempt):
        meta = {"problem": record.problem.id, "group": record.problem.group}
        return Example(prompt=record.messages, completion=[Message(role="assistant", content=record.text)], meta=meta)
    if isinstance(record, Problem):
        answer = Message(role="assistant", content=record.solution or record.answer)
        return Example(prompt=[Message(role="user", content=record.question)], completion=[answer])
    raise DataError(f"expected an attempt, an example or a problem, got {type(record).__name__.lower()}.")


def _refuse_unwanted(record: Record, path: str) -> None:
    if isinstance(record, Attempt):
        correct_only(record, path)
    elif isinstance(record, Example) and record.label is False:
        raise DataError(
            f"{path}: the label of the row {record.id} is false: its answer is not wanted. Take such rows out, or set "
            "allow_unverified to train on what is there."
        )


def correct_only(attempt: Attempt, path: str) -> None:
    """Refuse an attempt that was not graded correct.

    Raises:
        DataError: it was not.
    """
    if not (attempt.verdict and attempt.verdict.correct):
        status = attempt.verdict.status if attempt.verdict else "not graded"
        raise DataError(
            f"{path}: the attempt {attempt.id} is {status}. Keep the correct ones first ('curate: correct'), "
            "or set allow_unverified to train on what is there."
        )


def render(
    tokenizer: PreTrainedTokenizerBase,
    chosen: Sequence[Example],
    max_length: int,
    by_part: Mapping[str, float] | None = None,
) -> list[Row]:
    """The tokens of each example; an empty or too long one gets a reason.

    Raises:
        DataError: none is left, or a mask does not fit.
        ModelError: the chat template is missing or unfit.
    """
    rows = []
    for example in chosen:
        with naming(example, tokenizer):
            rows.append(row(tokenizer, example, max_length, by_part))
    usable([one.reason for one in rows])
    return rows


@contextlib.contextmanager
def naming(record: Record, tokenizer: PreTrainedTokenizerBase) -> Iterator[None]:
    """In here a template that refuses a record's messages is told of with the record's id.

    Raises:
        ModelError: it does.
    """
    try:
        yield
    except ModelError as error:
        if not tokenizer.chat_template:  # which is no record's fault
            raise
        raise ModelError(f"row {record.id}: {error}") from None


def usable(reasons: Sequence[str]) -> None:
    """Refuse rows of which none can be trained on.

    Args:
        reasons: of each row, why it is left out; empty where it is not.

    Raises:
        DataError: all are left out.
    """
    if all(reasons):
        cure = "Raise max_length." if "longer than max_length" in reasons[0] else "Mend the rows."
        raise DataError(f"none of {len(reasons)} rows can be trained on; the first: {reasons[0]}. {cure}")


def row(
    tokenizer: PreTrainedTokenizerBase,
    example: Example,
    max_length: int,
    by_part: Mapping[str, float] | None = None,
) -> Row:
    """The tokens of an example; an empty or too long one gets a reason.

    Args:
        tokenizer: the model's.
        example: prompt and completion.
        max_length: most tokens.
        by_part: see :func:`porism.train._weights.weigh`.

    Raises:
        DataError: its loss_mask does not fit.
        ModelError: the chat template is missing or unfit.
    """
    sides = {"prompt": example.prompt, "completion": example.completion}
    empty = [name for name, side in sides.items() if not any(message["content"].strip() for message in side)]
    if empty:
        return Row(example, Rendered([], []), f"empty {' and '.join(empty)}")
    try:
        prompt, turns = encode_turns(tokenizer, example.prompt, example.completion)
    except (TypeError, UnicodeEncodeError):
        return Row(example, Rendered([], []), "half of a surrogate pair, which cannot be tokenised")
    weights = weigh(turns, example, by_part or {})
    tokens = Rendered(prompt, [token for turn in turns for token in turn.ids])
    length = len(tokens.prompt) + len(tokens.completion)
    reason = f"longer than max_length: {length} > {max_length} tokens" if length > max_length else ""
    if not reason and not any(weights):
        reason = "no token carries a loss"
    return Row(example, tokens, reason, weights)
