"""Labels for steps by roll-outs: how often a model that goes on from there reaches the right answer.

Wang et al., 2023, arXiv:2312.08935 (Math-Shepherd). The last step's label is the attempt's own verdict.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, cast

from porism import chains, graders, store
from porism.engines import Engine, Request, Sampling
from porism.errors import DataError
from porism.records import JUDGED, Attempt, Status, Stepwise, Verdict

if TYPE_CHECKING:
    from porism.train.verifier import Settings

__all__ = ["labelled", "roll_out"]

_AT_ONCE = 8
_FAILED = (Status.ERROR, Status.TIMEOUT, Status.GOLD_UNPARSED)


def labelled(settings: Settings, out: store.Output) -> list[Stepwise]:
    """Attempts in steps, each labelled by roll-outs; done part by part, so that a cut-off run goes on.

    Raises:
        DataError: no judged attempts.
        ModelError: the model cannot be loaded.
    """
    attempts = [cast("Attempt", one) for path in settings.input for one in store.read(path, Attempt)]
    judged = [one for one in attempts if one.verdict and one.verdict.status in JUDGED]
    if not judged:
        raise DataError(f"{', '.join(settings.input)}: no graded attempts to start from.")
    engine: list[Engine] = []

    def work(unit: Sequence[int]) -> Iterator[store.Placed]:
        if not engine:
            engine.append(_engine(settings))
        records = roll_out([judged[at] for at in unit], engine[0], settings)
        yield from (store.Placed(at, record) for at, record in zip(unit, records, strict=True))

    units = [range(start, min(start + _AT_ONCE, len(judged))) for start in range(0, len(judged), _AT_ONCE)]
    out.process(units, work, title="roll-outs", unit="attempts")
    return [cast("Stepwise", one) for one in store.read(out.records, Stepwise)]


def _engine(settings: Settings) -> Engine:
    from porism.engines.local import Local
    from porism.models.load import load

    return Local(load(settings.rollout_model or settings.model, settings.dtype))


def roll_out(attempts: Sequence[Attempt], engine: Engine, settings: Any) -> list[Stepwise]:
    """Label every step of some attempts, all tries in one call of the engine.

    Args:
        attempts: with a verdict.
        engine: who goes on.
        settings: of the verifier.

    Raises:
        DataError: no try from a step could be run and graded.
    """
    cut = [[step.of(one.text) for step in chains.steps(one.text, settings.steps_by)] for one in attempts]
    cut = [[step for step in steps if step.strip()] for steps in cut]
    sampling = Sampling(temperature=settings.rollout_temperature, max_tokens=settings.rollout_max_tokens)
    requests, places = [], []
    for at, (attempt, steps) in enumerate(zip(attempts, cut, strict=True)):
        for count in range(1, len(steps)):
            prefix = "".join(steps[:count])
            digest = hashlib.sha256(f"{settings.seed} {attempt.id} {count}".encode()).digest()
            requests.append(
                Request(
                    messages=attempt.messages,
                    prefix=prefix,
                    sampling=sampling,
                    n=settings.rollouts,
                    seed=int.from_bytes(digest[:4], "big"),
                )
            )
            places.append(at)
    replies = engine.generate(requests) if requests else []
    labels: list[list[float]] = [[] for _ in attempts]
    for at, reply in zip(places, replies, strict=True):
        tries = [
            Attempt(
                problem=attempts[at].problem,
                strategy="rollout",
                messages=attempts[at].messages,
                text=sample.text,
                finish=sample.finish,
                error=sample.error,
            )
            for sample in reply.samples
        ]
        labels[at].append(_label(graders.grade_all(tries), attempts[at], hard=settings.hard_labels))
    return [
        Stepwise(
            prompt=attempt.messages,
            completions=steps,
            labels=[*found, float(attempt.verdict is not None and attempt.verdict.correct)],
            meta={"problem": attempt.problem.id, "steps": settings.steps_by},
        )
        for attempt, steps, found in zip(attempts, cut, labels, strict=True)
    ]


def _label(verdicts: Sequence[Verdict], attempt: Attempt, *, hard: bool) -> float:
    """The share of the tries that were right; one that could not be run or graded is no try.

    Raises:
        DataError: none could.
    """
    known = [verdict for verdict in verdicts if verdict.status not in _FAILED]
    if not known:
        raise DataError(
            f"attempt {attempt.id}: none of {len(verdicts)} roll-outs could be graded; the first: "
            f"{verdicts[0].status}, {verdicts[0].reason}. Mend the problem's answer, or leave it out."
        )
    right = sum(verdict.correct for verdict in known)
    return float(right > 0) if hard else right / len(known)
