"""The two products of responses: SFT rows, and Align pairs of a chosen and a rejected response.

They stand beside the records, in TRL's layouts, one JSON object a line: ``sft.jsonl``, ``align.jsonl`` and, with the
reason for every instruction that gave no pair, ``align-dropped.jsonl``.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, cast

from porism import preferences, store
from porism.files import to_line
from porism.records import Attempt, Example, Message, Pair, content_id, to_row
from porism.synth._drops import count_drops
from porism.synth._responses import ResponseSettings, prompt_of

__all__ = ["NAMES", "align", "finish", "sft"]

NAMES = ("sft.jsonl", "align.jsonl", "align-dropped.jsonl")
"""Files beside the records: training rows, pairs, and instructions that gave no pair."""


def finish(out: store.Output, settings: ResponseSettings, label: str, *, candidates: int) -> None:
    """Count what was dropped and why, and write the products.

    Args:
        out: the stage's, its records written.
        settings: of the responses.
        label: what the stage is called.
        candidates: responses to each instruction; 0 where there are none.

    Raises:
        DataError: the engine failed on too large a share, or nothing was kept. What was made stays.
    """
    count_drops(out, label, settings.max_failed)
    if candidates:
        _write(out, settings, pairs=candidates > 1)


def _write(out: store.Output, settings: ResponseSettings, *, pairs: bool) -> None:
    """Write the products of the attempts that a stage has kept, and count them.

    Args:
        out: the stage's, its records written.
        settings: how pairs are made.
        pairs: whether there are several candidates an instruction.
    """
    how: Counter[str] = Counter()
    files = [out.beside(name) for name in (NAMES if pairs else NAMES[:1])]
    handles = [file.open("wb") for file in files]
    try:
        for group in _groups(out):
            example = sft(group)
            if example is not None:
                handles[0].write(to_line(to_row(example)))
                how["SFT rows"] += 1
            else:
                how[f"no SFT row: {'wrong' if any(map(_is_whole, group)) else 'cut off'}"] += 1
            if not pairs:
                continue
            made, reason = align(group, settings)
            for pair in made:
                handles[1].write(to_line(to_row(pair)))
                how[f"pairs by {pair.meta['by']}"] += 1
            if reason:
                first = group[0]
                row = {"reason": reason, "problem": first.problem.id, "question": first.problem.question}
                handles[2].write(to_line(row))
                how[f"no pair: {reason.partition(':')[0]}"] += 1
    finally:
        for handle in handles:
            handle.close()
    out.add(*files)
    out.counts.update(how)


def _asked(attempt: Attempt) -> str:
    """The same for all candidates for one instruction, and for no other's, though it be worded alike."""
    problem = attempt.problem
    return content_id(problem.question, list(attempt.messages), problem.group, problem.meta.get("seed"))


def sft(attempts: Sequence[Attempt]) -> Example | None:
    """The best response to one instruction as a training row; None where none is whole and not known to be wrong.

    One that was judged right comes first, then the highest reward, then the first. The prompt is the bare instruction
    after what was said before: a template around it shaped the response, and the trained model is to do without.
    """
    fit = [one for one in attempts if _is_whole(one)]
    judged = [one for one in fit if one.verdict is not None and one.verdict.correct]
    if not judged and any(one.verdict is not None for one in attempts if one.finish == "stop"):
        return None
    best = max(judged or fit, key=lambda one: (_reward(one), -one.sample), default=None)
    if best is None:
        return None
    answer = Message(role="assistant", content=best.text)
    return Example(prompt=prompt_of(best), completion=[answer], meta=_meta(best))


def _reward(attempt: Attempt) -> float:
    """The reward; below all others where there is none."""
    value = attempt.meta.get("reward")
    return -math.inf if value is None else float(value)


def align(attempts: Sequence[Attempt], settings: ResponseSettings) -> tuple[list[Pair], str]:
    """The pairs of one instruction, or the reason why there is none; see :mod:`porism.preferences`."""
    candidates = [preferences.candidate(one, one.meta.get("reward")) for one in attempts]
    found, reason = preferences.choose(
        candidates, margin=settings.margin, most=settings.pairs, balance=settings.balance
    )
    made = []
    for choice in found:
        chosen, rejected = attempts[choice.chosen], attempts[choice.rejected]
        meta: dict[str, Any] = {
            **_meta(chosen),
            "by": choice.by,
            "margin": choice.margin,
            "chosen": chosen.id,
            "rejected": rejected.id,
            "rejected_answer": rejected.verdict.answer if rejected.verdict else None,
        }
        answers = [[Message(role="assistant", content=one.text)] for one in (chosen, rejected)]
        made.append(Pair(prompt=prompt_of(chosen), chosen=answers[0], rejected=answers[1], meta=meta))
    return made, reason


def _is_whole(attempt: Attempt) -> bool:
    """Whether a response came to its end and says something."""
    return attempt.finish == "stop" and bool(attempt.text.strip())


def _meta(attempt: Attempt) -> dict[str, Any]:
    """What a row tells of where it comes from."""
    kept = ("verified", "agreement", "reward", "reasoning", "response")
    return {
        "attempt": attempt.id,
        "problem": attempt.problem.id,
        "group": attempt.problem.group,
        "kind": attempt.problem.kind,
        "answer": attempt.verdict.answer if attempt.verdict else None,
        **{name: attempt.meta[name] for name in kept if name in attempt.meta},
    }


def _groups(out: store.Output) -> Iterator[list[Attempt]]:
    """The candidates for each instruction, which stand one behind the other."""
    attempts = (cast("Attempt", record) for record in store.read(out.records, Attempt))
    for _, group in groupby(attempts, key=_asked):
        yield list(group)
