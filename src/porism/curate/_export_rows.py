"""A record as a row of another program's layout."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from porism.curate._text import readable
from porism.records import JUDGED, Attempt, Example, Message, Pair, Problem, Record, Stepwise

__all__ = ["Exchange", "Rows", "alpaca", "exchange", "sharegpt", "trl"]

Rows = Literal["auto", "prompt_completion", "messages", "preference", "unpaired", "prompt", "stepwise"]
"""TRL's layouts; ``auto`` is the one that holds all of a record: ``preference`` for pairs, ``stepwise`` for steps with
labels, ``unpaired`` for examples with a label, ``prompt_completion`` for what else there is."""

_RIGHT = 0.5
"""A step is right whose label is above it: labels may be the share of roll-outs that were right."""


class Exchange(NamedTuple):
    """What a record says, as turns."""

    id: str
    prompt: Sequence[Message]
    completion: Sequence[Message]
    rejected: Sequence[Message] = ()
    answer: str = ""
    """The reference answer, where it is known."""
    is_right: bool | None = None
    """What a grader found, or a label says."""
    source: str = ""
    own: Rows = "prompt_completion"
    """The layout that holds all of it."""
    steps: Sequence[str] = ()
    """Of an answer in steps."""
    labels: Sequence[float] = ()
    """Of each step; see :class:`~porism.records.Stepwise`."""


def exchange(record: Record) -> Exchange:
    """The turns of a record.

    Raises:
        ValueError: it has none that could be trained on; the reason, its kind before a colon.
    """
    if isinstance(record, Problem):
        found = _of_problem(record)
    elif isinstance(record, Attempt):
        verdict = record.verdict
        judged = verdict.correct if verdict and verdict.status in JUDGED else None
        said = [Message(role="assistant", content=record.text)]
        problem = record.problem
        found = Exchange(record.id, record.messages, said, (), problem.answer, judged, problem.source)
    elif isinstance(record, Example):
        own: Rows = "prompt_completion" if record.label is None else "unpaired"
        found = Exchange(record.id, record.prompt, record.completion, is_right=record.label, own=own)
    elif isinstance(record, Pair):
        found = Exchange(record.id, record.prompt, record.chosen, record.rejected, own="preference")
    elif isinstance(record, Stepwise):
        found = _of_steps(record)
    else:
        raise ValueError("no conversation: concepts have neither question nor answer")  # noqa: TRY004 (a reason to drop it)
    for text in (found.answer, *(turn["content"] for turn in (*found.prompt, *found.completion, *found.rejected))):
        if "\0" in text or readable(text) != text:
            raise ValueError("unfit text: a NUL character or half of a surrogate pair")
    if not any(turn["content"].strip() for turn in found.prompt):
        raise ValueError("no prompt: it is empty")
    return found


def _of_problem(problem: Problem) -> Exchange:
    system, rejected = problem.meta.get("system"), problem.meta.get("rejected")
    prompt = [Message(role="user", content=problem.question)]
    if isinstance(system, str):
        prompt.insert(0, Message(role="system", content=system))
    said = [Message(role="assistant", content=problem.solution)] if problem.solution else []
    other = [Message(role="assistant", content=rejected)] if isinstance(rejected, str) else []
    return Exchange(problem.id, prompt, said, other, problem.answer, None, problem.source)


def _of_steps(record: Stepwise) -> Exchange:
    said = [Message(role="assistant", content="".join(record.completions))]
    return Exchange(
        record.id,
        record.prompt,
        said,
        is_right=all(label > _RIGHT for label in record.labels),
        own="stepwise",
        steps=record.completions,
        labels=record.labels,
    )


# --- TRL ---------------------------------------------------------------------------------------------


def trl(found: Exchange, rows: Rows, *, whole: bool = False) -> dict[str, Any]:
    """A row of one of TRL's layouts, conversational but for ``stepwise``.

    Args:
        found: what a record says.
        rows: the layout.
        whole: also write an answer that is not known, as an empty text: a table has the same columns in all rows.

    Raises:
        ValueError: the record lacks what the layout asks for.
    """
    if rows == "auto":
        rows = "preference" if found.rejected else found.own
    row = {"id": found.id, **_TRL[rows](found)}
    has_answer = rows not in ("preference", "stepwise") and (found.answer or whole)
    return {**row, "answer": found.answer} if has_answer else row


def _text(found: Exchange) -> list[Message]:
    """What was said, whether it is wanted or not."""
    if not any(turn["content"].strip() for turn in found.completion):
        raise ValueError("no solution: there is no text to train on")
    return list(found.completion)


def _said(found: Exchange) -> list[Message]:
    """What is to be learnt: in a layout without labels, what is labelled false would be learnt too."""
    if found.own in ("unpaired", "stepwise") and not found.is_right:
        raise ValueError("labelled false: this layout has no place for the label")
    return _text(found)


def _preference(found: Exchange) -> dict[str, Any]:
    if not found.rejected:
        raise ValueError("no rejected answer: it is no pair")
    return {"prompt": list(found.prompt), "chosen": _said(found), "rejected": list(found.rejected)}


def _unpaired(found: Exchange) -> dict[str, Any]:
    if found.is_right is None:
        raise ValueError("no label: it is neither an attempt that was judged nor a labelled example")
    return {"prompt": list(found.prompt), "completion": _text(found), "label": found.is_right}


def _prompt(found: Exchange) -> dict[str, Any]:
    if not found.answer:
        raise ValueError("no answer: there is nothing to reward")
    return {"prompt": list(found.prompt)}


def _stepwise(found: Exchange) -> dict[str, Any]:
    """TRL takes the prompt as a text here."""
    if not found.steps or len(found.steps) != len(found.labels):
        raise ValueError(f"no steps: {len(found.steps)} steps with {len(found.labels)} labels")
    if any(turn["role"] not in ("system", "user") for turn in found.prompt):
        raise ValueError("turns: steps with labels follow one question")
    asked = "\n\n".join(turn["content"] for turn in found.prompt)
    labels = [label > _RIGHT for label in found.labels]
    return {"prompt": asked, "completions": list(found.steps), "labels": labels}


_TRL: Mapping[str, Callable[[Exchange], dict[str, Any]]] = {
    "prompt_completion": lambda found: {"prompt": list(found.prompt), "completion": _said(found)},
    "messages": lambda found: {"messages": [*found.prompt, *_said(found)]},
    "preference": _preference,
    "unpaired": _unpaired,
    "prompt": _prompt,
    "stepwise": _stepwise,
}


# --- ShareGPT and alpaca -----------------------------------------------------------------------------

_SPEAKERS = {"user": "human", "assistant": "gpt", "tool": "observation"}


def sharegpt(found: Exchange, *, in_turn: bool = False) -> dict[str, Any]:
    """A row of ShareGPT's layout; a pair has LLaMA-Factory's ``chosen`` and ``rejected``.

    Args:
        found: what a record says.
        in_turn: refuse turns that do not alternate, which LLaMA-Factory passes over.

    Raises:
        ValueError: the record has no answer to train on, or its turns do not alternate.
    """
    said = _said(found)
    system, turns = _without_system(found.prompt)
    roles = [
        "user" if turn["role"] == "tool" else turn["role"]
        for turn in (*turns, *(said[-1:] if found.rejected else said))
    ]
    if in_turn and roles != ["user", "assistant"] * (len(roles) // 2):
        raise ValueError("turns: LLaMA-Factory takes questions and answers in turn")
    row: dict[str, Any] = {"id": found.id}
    if found.rejected:
        row |= {
            "conversations": list(map(_spoken, turns)),
            "chosen": _spoken(said[-1]),
            "rejected": _spoken(found.rejected[-1]),
        }
    else:
        row["conversations"] = [_spoken(turn) for turn in (*turns, *said)]
    return {**row, "system": system}


def _spoken(turn: Message) -> dict[str, str]:
    return {"from": _SPEAKERS.get(turn["role"], turn["role"]), "value": turn["content"]}


def alpaca(found: Exchange) -> dict[str, Any]:
    """A row of alpaca's layout, with LLaMA-Factory's ``system``, ``history``, and of pairs ``chosen`` and ``rejected``.

    Raises:
        ValueError: the record has no answer to train on, or its turns do not alternate.
    """
    said = _said(found)
    system, turns = _without_system(found.prompt)
    roles = [turn["role"] for turn in turns]
    if not turns or roles != ["user", "assistant"] * (len(turns) // 2) + ["user"]:
        raise ValueError("turns: alpaca's layout holds questions and answers in turn")
    earlier = [[asked["content"], told["content"]] for asked, told in zip(turns[:-1:2], turns[1:-1:2], strict=True)]
    row: dict[str, Any] = {"id": found.id, "instruction": turns[-1]["content"], "input": ""}
    if found.rejected:
        row |= {"chosen": said[-1]["content"], "rejected": found.rejected[-1]["content"]}
    else:
        row["output"] = said[-1]["content"]
    return {**row, "system": system, "history": earlier}


def _without_system(prompt: Sequence[Message]) -> tuple[str, list[Message]]:
    system = "\n".join(turn["content"] for turn in prompt if turn["role"] == "system")
    return system, [turn for turn in prompt if turn["role"] != "system"]
