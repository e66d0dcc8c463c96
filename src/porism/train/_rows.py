"""Records → training rows as token ids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple, cast

from porism import store
from porism.errors import DataError
from porism.prompts.render import Rendered, encode_pair
from porism.records import Attempt, Example, Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["Row", "examples", "render", "row"]


class Row(NamedTuple):
    """A training example and its tokens; with a reason, it is not trained on."""

    example: Example
    tokens: Rendered
    reason: str = ""


def examples(paths: Sequence[str], *, allow_unverified: bool) -> list[Example]:
    """The examples in attempts (prompt and text) and in prompt/completion rows.

    Raises:
        DataError: no rows, or an attempt that is not graded correct while ``allow_unverified`` is false.
    """
    found: list[Example] = []
    for path in paths:
        for record in store.read(path, Attempt, Example):
            if isinstance(record, Example):
                found.append(record)
                continue
            attempt = cast("Attempt", record)
            if not allow_unverified and not (attempt.verdict and attempt.verdict.correct):
                status = attempt.verdict.status if attempt.verdict else "not graded"
                raise DataError(
                    f"{path}: the attempt {attempt.id} is {status}. Keep the correct ones first ('curate: correct'), "
                    "or set allow_unverified to train on what is there."
                )
            meta = {"problem": attempt.problem.id, "group": attempt.problem.group}
            answer = Message(role="assistant", content=attempt.text)
            found.append(Example(prompt=attempt.messages, completion=[answer], meta=meta))
    if not found:
        raise DataError(f"{', '.join(paths)}: no training rows.")
    return found


def render(tokenizer: PreTrainedTokenizerBase, chosen: Sequence[Example], max_length: int) -> list[Row]:
    """The tokens of each example; an empty or too long one gets a reason.

    Raises:
        DataError: none is left.
        ModelError: the chat template is missing or unfit.
    """
    rows = [row(tokenizer, example, max_length) for example in chosen]
    if all(one.reason for one in rows):
        cure = "Raise max_length." if any(one.tokens.prompt for one in rows) else "Mend the rows."
        raise DataError(f"none of {len(rows)} rows can be trained on; the first: {rows[0].reason}. {cure}")
    return rows


def row(tokenizer: PreTrainedTokenizerBase, example: Example, max_length: int) -> Row:
    """The tokens of an example; an empty or too long one gets a reason.

    Raises:
        ModelError: the chat template is missing or unfit.
    """
    sides = {"prompt": example.prompt, "completion": example.completion}
    empty = [name for name, side in sides.items() if not any(message["content"].strip() for message in side)]
    if empty:
        return Row(example, Rendered([], []), f"empty {' and '.join(empty)}")
    try:
        tokens = encode_pair(tokenizer, example.prompt, example.completion)
    except (TypeError, UnicodeEncodeError):
        return Row(example, Rendered([], []), "half of a surrogate pair, which cannot be tokenised")
    length = len(tokens.prompt) + len(tokens.completion)
    reason = f"longer than max_length: {length} > {max_length} tokens" if length > max_length else ""
    return Row(example, tokens, reason)
