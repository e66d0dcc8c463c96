"""Preference pairs from several graded attempts at each problem: right against wrong first, then by reward.

The rule is :func:`porism.preferences.choose`, the one for every pair that is made. Attempts that are in no pair are
dropped with the reason.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator
from typing import Annotated, NamedTuple

from pydantic import Field

from porism import chains
from porism.curate import Made
from porism.curate._graded import NOT_GRADED, is_graded, require_graded
from porism.curate._tags import tagged
from porism.curate._text import digest
from porism.preferences import Candidate, Choice, candidate, choose
from porism.records import Attempt, Message, Pair, Record, content_id

__all__ = ["MAKES", "READS", "make"]

READS = (Attempt,)
MAKES = (Pair,)
_ORIGIN = ("concepts", "level", "rationale", "judges")
"""What a pair keeps of a problem that was synthesised: what it was made of."""


class _Rule(NamedTuple):
    """How pairs are made."""

    margin: float
    reward: str
    pairs: int
    balance: bool
    max_pass_rate: float
    well_formed: bool


class _Role(NamedTuple):
    """What an attempt is in a pair."""

    key: str
    number: int
    """Which pair of the prompt."""
    choice: Choice
    is_chosen: bool


def make(
    records: Iterable[Record],
    *,
    margin: Annotated[
        float, Field(description="where the reward decides, it must be more than this higher", ge=0)
    ] = 0.0,
    reward: Annotated[str, Field(description="the tag that holds the reward, such as judge.reward")] = "reward",
    pairs: Annotated[
        int, Field(description="most pairs of one prompt; 0: as many as right and wrong ones allow", ge=0)
    ] = 1,
    max_pass_rate: Annotated[
        float,
        Field(description="leave out problems of which a larger share of the judged attempts is right", gt=0, le=1),
    ] = 1.0,
    well_formed: Annotated[
        bool, Field(description="only attempts that close their reasoning and then respond")
    ] = False,
    balance: Annotated[
        bool, Field(description="reject the wrong answer whose length is nearest to the chosen one's")
    ] = False,
) -> Iterator[Made]:
    """Pairs, in the order in which they are complete. The input is gone through twice; only what is in a pair is held.

    Raises:
        DataError: no record is a graded attempt.
    """
    rule = _Rule(margin, reward, pairs, balance, max_pass_rate, well_formed)
    roles, reasons = _plan(records, rule)
    waiting: dict[tuple[str, int], Attempt] = {}
    for at, record in enumerate(records):
        role = roles.get(at)
        if not is_graded(record):
            yield Made(record, NOT_GRADED)
        elif role is None:
            yield Made(record, reasons.get(_key(record)) or "spare: other attempts at the problem make its pairs")
        elif (other := waiting.pop((role.key, role.number), None)) is None:
            waiting[role.key, role.number] = record
        else:
            chosen, rejected = (record, other) if role.is_chosen else (other, record)
            yield Made(_pair(chosen, rejected, role.choice))


def _plan(records: Iterable[Record], rule: _Rule) -> tuple[dict[int, _Role], dict[str, str]]:
    """What each attempt is in a pair, by its place in the input, and why a prompt has none. Texts are not held."""
    groups: dict[str, list[tuple[int, Candidate]]] = {}
    for at, attempt in enumerate(records):
        if not is_graded(attempt):
            continue
        found = candidate(attempt, _number(tagged(attempt, rule.reward)))
        text = digest(" ".join(attempt.text.split())).hex() if attempt.text.strip() else ""
        whole = found.whole and (not rule.well_formed or _is_well_formed(attempt.text))
        groups.setdefault(_key(attempt), []).append((at, dataclasses.replace(found, text=text, whole=whole)))
    require_graded(len(groups))
    roles: dict[int, _Role] = {}
    reasons: dict[str, str] = {}
    for key, group in groups.items():
        judged = [one.correct for _, one in group if one.correct is not None]
        if sum(judged) > rule.max_pass_rate * len(judged):
            reasons[key] = f"too easy: {sum(judged)} of {len(judged)} are right"
            continue
        most = rule.pairs or len(group)
        choices, reason = choose([one for _, one in group], margin=rule.margin, most=most, balance=rule.balance)
        if not choices:
            reasons[key] = reason
        for number, choice in enumerate(choices):
            roles[group[choice.chosen][0]] = _Role(key, number, choice, is_chosen=True)
            roles[group[choice.rejected][0]] = _Role(key, number, choice, is_chosen=False)
    return roles, reasons


def _number(value: object) -> float | None:
    """A reward that can be compared; None for anything else, such as one without end."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:
        return None


def _is_well_formed(text: str) -> bool:
    """Whether what reasoning there is was closed and is not empty, and a response follows."""
    chain = chains.read(text)
    thought = chain.reasoning is None or bool(chain.reasoning.of(text).strip())
    return chain.closed and thought and bool(chain.response.of(text).strip())


def _key(attempt: Attempt) -> str:
    """What the attempts of a pair must have in common: problem and prompt."""
    return content_id(attempt.problem.id, list(attempt.messages))


def _pair(chosen: Attempt, rejected: Attempt, choice: Choice) -> Pair:
    problem = chosen.problem
    meta = {
        "problem": problem.id,
        "by": choice.by,
        "margin": choice.margin,
        "chosen_answer": chosen.verdict.answer if chosen.verdict else None,
        "rejected_answer": rejected.verdict.answer if rejected.verdict else None,
        "source": problem.source,
        "group": problem.group,
        **{name: problem.meta[name] for name in _ORIGIN if name in problem.meta},
    }
    return Pair(
        prompt=chosen.messages,
        chosen=[Message(role="assistant", content=chosen.text)],
        rejected=[Message(role="assistant", content=rejected.text)],
        meta={name: value for name, value in meta.items() if value not in (None, "")},
    )
