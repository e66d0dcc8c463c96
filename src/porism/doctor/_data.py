"""Training rows as the trainer will tokenise them: what is learnt, what is not, what is left out, what overlaps."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from porism import store
from porism.curate import decontaminate
from porism.doctor._checks import Check, Options, Piece, Preview, Status
from porism.errors import DataError, ModelError
from porism.records import Attempt, Concepts, Example, Message, Problem, Record
from porism.train import _layouts, _rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

__all__ = ["checks"]

_MOST = 5_000
"""Rows that are tokenised; more would make the preflight slow."""
_SHOWN = 2
_TRAINED = {
    "attempts": "sft, distill, kto, verifier",
    "prompt/completion": "sft, distill",
    "prompt/completion of texts": "sft, distill",
    "prompt/completion/label": "kto, verifier, and sft where no label is false",
    "messages": "sft, distill",
    "input/output": "sft, distill",
    "prompt/chosen/rejected": "dpo, reward",
    "prompt/completions": "verifier",
}
"""Layouts → the methods of ``porism train`` that read them."""


class _Read(NamedTuple):
    """One row of a file."""

    layout: str
    examples: Sequence[tuple[str, Example]]
    """What is trained on, each with a name where a row holds several."""
    verdict: str = ""
    """How an attempt was judged, where it was not found correct."""
    cut: bool = False
    """Whether the text was cut off by the token limit."""


def checks(
    path: str, tokenizer: PreTrainedTokenizerBase | None, options: Options, lengths: list[tuple[int, int]]
) -> Iterator[Check | Preview]:
    """Everything about training rows.

    Args:
        path: a file or a stage's folder.
        tokenizer: the model's; without one only the rows themselves are looked at.
        options: what is assumed.
        lengths: tokens of each row that is trained on, all and with a loss; filled in here.

    Raises:
        UserError: a row cannot be read, or not be rendered.
    """
    found = list(_read(path))
    if not found:
        raise DataError(f"{path}: no rows.")
    yield _layout(found)
    yield from _judged(found)
    if options.against:
        yield _overlap(found, options.against)
    if tokenizer is None or not tokenizer.chat_template:
        return
    chosen = [(name, example) for row in found[:_MOST] for name, example in row.examples]
    try:
        rows = [(name, _rows.row(tokenizer, example, options.max_length)) for name, example in chosen]
    except ModelError as error:
        yield _check("tokens", str(error), failed=True)
        return
    lengths += [
        (len(row.tokens.prompt) + len(row.tokens.completion), len(row.tokens.completion))
        for _, row in rows
        if not row.reason
    ]
    part = f" of the first {_MOST:,} rows" if len(found) > _MOST else ""
    yield from _tokens([row for _, row in rows], options, part)
    for number, (name, row) in enumerate(rows[: options.rows], 1):
        yield _preview(tokenizer, f"{number}. {name}".strip(" ."), row)


def _read(path: str) -> Iterator[_Read]:
    """The rows of a file, in any of the layouts that trainers of this kind know.

    Raises:
        DataError: a row is in none of them; names file and line.
    """
    for place, row in _layouts.rows(store.locate(path)):
        try:
            yield _parsed(row)
        except (ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"{place}: not a training row: {reason}. Mend or remove it.") from None


def _parsed(row: Mapping[str, Any]) -> _Read:
    """What one row holds.

    Raises:
        ValueError: the layout is not known.
    """
    if "problem" not in row and ("messages" in row or "conversations" in row):
        return _Read("messages", [("", cast("Example", store.parse(_layouts.adapted(row))))])
    if "output" in row and "problem" not in row:
        return _Read("input/output", [("", cast("Example", store.parse(_layouts.adapted(row))))])
    if "prompt" in row and "chosen" in row:
        names = [name for name in ("chosen", "rejected") if name in row]
        return _Read("prompt/chosen/rejected", [(name, _example(row["prompt"], row[name])) for name in names])
    if "prompt" in row and "completions" in row:
        each = enumerate(row["completions"], 1)
        return _Read(
            "prompt/completions", [(f"completion {number}", _example(row["prompt"], one)) for number, one in each]
        )
    if "prompt" in row and "completion" in row and "problem" not in row:
        texts = "prompt/completion of texts" if isinstance(row["prompt"], str) else "prompt/completion"
        layout = "prompt/completion/label" if "label" in row else texts
        return _Read(layout, [("", cast("Example", store.parse(_layouts.adapted(row))))])
    return _of_record(store.parse(row))


def _of_record(record: Record) -> _Read:
    """What a record of Porism's own holds.

    Raises:
        ValueError: no answer of a model.
    """
    if isinstance(record, Problem | Concepts):
        what = "a problem, which has" if isinstance(record, Problem) else "concepts, which have"
        raise ValueError(f"{what} no answer of a model yet. Make attempts first, with 'porism solve'")  # noqa: TRY004
    if isinstance(record, Example):
        return _Read("prompt/completion", [("", record)])
    if not isinstance(record, Attempt):
        raise ValueError(f"a {type(record).__name__.lower()}, which this layout cannot be")  # noqa: TRY004
    verdict = "" if record.verdict and record.verdict.correct else str(record.verdict.status if record.verdict else "")
    example = Example(prompt=record.messages, completion=[Message(role="assistant", content=record.text)])
    judged = verdict or ("" if record.verdict else "not graded")
    return _Read("attempts", [("", example)], judged, record.finish == "length")


def _example(prompt: Any, completion: Any) -> Example:
    """A prompt and an answer, each a text or messages."""
    asked = [Message(role="user", content=prompt)] if isinstance(prompt, str) else _messages(prompt)
    answered = [Message(role="assistant", content=completion)] if isinstance(completion, str) else _messages(completion)
    return Example(prompt=asked, completion=answered)


def _messages(value: Any) -> list[Message]:
    if not isinstance(value, list) or not value:
        raise ValueError(f"expected a list of messages, got {value!r:.60}")
    for one in value:
        if not (isinstance(one, dict) and all(isinstance(one.get(key), str) for key in ("role", "content"))):
            raise ValueError(f"expected a message with the texts role and content, got {one!r:.60}")
    return [Message(role=one["role"], content=one["content"]) for one in value]


def _layout(found: Sequence[_Read]) -> Check:
    kinds = Counter(row.layout for row in found)
    shown = ", ".join(f"{count:,} {name}" for name, count in kinds.most_common())
    if len(kinds) > 1:
        return _check("rows", f"of several layouts: {shown}", "Keep one layout in a file.", failed=True)
    methods = _TRAINED[next(iter(kinds))]
    return _check("rows", f"{shown}, for porism train {methods}", rows=len(found))


def _judged(found: Sequence[_Read]) -> Iterator[Check]:
    """Attempts that the trainer refuses, and those that end in the middle."""
    unfit = Counter(row.verdict for row in found if row.verdict)
    if unfit:
        shown = ", ".join(f"{count:,} {name}" for name, count in unfit.most_common())
        yield _check(
            "verdicts",
            f"not graded correct: {shown}",
            "The trainer refuses them. Run: porism curate correct; or set allow_unverified.",
            failed=True,
        )
    cut = sum(row.cut for row in found)
    if cut:
        yield _check(
            "cut off",
            f"{cut:,} of {len(found):,} texts were cut off by the token limit",
            "Training on them teaches to stop in mid-sentence. Drop them, or solve again with more max_tokens.",
            warning=True,
        )


def _overlap(found: Sequence[_Read], against: Sequence[str]) -> Check:
    """Questions that also stand in a test set, found as ``porism curate decontaminate`` finds equal ones."""
    records = [row.examples[0][1] for row in found if row.examples]
    decided = decontaminate.curate(records, against=list(against), action="drop", methods=["exact"])
    hits = [(at, cast("Example", record), reason) for at, (record, reason) in enumerate(decided, 1) if reason]
    sets = ", ".join(against)
    if not hits:
        return _check("overlap", f"no question of {len(records):,} stands in {sets}", overlapping=0)
    at, record, reason = hits[0]
    return _check(
        "overlap",
        f"{len(hits):,} of {len(records):,} questions stand in {sets}; the first in row {at} "
        f"({reason.removeprefix('overlap: ')}): {record.prompt[-1]['content'][:60]!r}",
        f"Run: porism curate decontaminate --action drop --against {' --against '.join(against)}",
        failed=True,
        overlapping=len(hits),
    )


def _tokens(rows: Sequence[_rows.Row], options: Options, part: str) -> Iterator[Check]:
    """How many tokens there are, how many carry a loss, and what the trainer leaves out."""
    kept = [row.tokens for row in rows if not row.reason]
    dropped = Counter(row.reason.partition(":")[0] for row in rows if row.reason)
    if kept:
        learnt = sum(weight > 0 for row in rows if not row.reason for weight in row.weights)
        total = sum(len(row.completion) + len(row.prompt) for row in kept)
        sizes = sorted(len(row.prompt) + len(row.completion) for row in kept)
        yield _check(
            "tokens",
            f"{total:,}{part}, {learnt / total:.0%} with a loss; a row has {sizes[len(sizes) // 2]:,} in the middle, "
            f"{sizes[-1]:,} at most",
            tokens=total,
            learnt=learnt,
            longest=sizes[-1],
        )
    if dropped:
        shown = ", ".join(f"{count:,} {name}" for name, count in dropped.most_common())
        longest = max((len(row.tokens.prompt) + len(row.tokens.completion) for row in rows), default=0)
        over = any(name.startswith("longer") for name in dropped)
        yield _check(
            "left out",
            f"{dropped.total():,} of {len(rows):,} rows are not trained on: {shown}",
            f"The longest has {longest:,} tokens, max_length is {options.max_length:,}: raise it, or shorten the row."
            if over
            else "Mend the rows.",
            failed=not kept,
            warning=bool(kept),
            dropped=dropped.total(),
        )


def _preview(tokenizer: PreTrainedTokenizerBase, title: str, row: _rows.Row) -> Preview:
    """A row in its pieces, special tokens shown."""
    if row.reason and not row.tokens.prompt:
        return Preview(f"{title}: not trained on, {row.reason}", [])
    counted = [(token, weight > 0) for token, weight in zip(row.tokens.completion, row.weights, strict=True)]
    tokens = [*((token, False) for token in row.tokens.prompt), *counted]
    pieces = []
    for learnt, group in itertools.groupby(tokens, key=lambda one: one[1]):
        ids = [token for token, _ in group]
        pieces.append(Piece(str(tokenizer.decode(ids, skip_special_tokens=False)), learnt, len(ids)))
    note = f": not trained on, {row.reason}" if row.reason else ""
    return Preview(f"{title}{note}", pieces)


def _check(
    name: str, found: str, cure: str = "", *, failed: bool = False, warning: bool = False, **figures: Any
) -> Check:
    status = Status.FAILED if failed else Status.WARNING if warning else Status.OK
    return Check("data", name, status, found, cure, figures)
