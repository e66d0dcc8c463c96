"""Roll-outs → rewards: the verdict, each named reward, and their weighted sum.

Code of the user's own that fails on an answer takes that answer's reward and no more: it is counted, with its error. An
answer for which any of the rewards is missing has none.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import numbers
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from porism import find, recipe, store
from porism.errors import PorismError, RecipeError
from porism.graders import Grading, asks_engine, grading_inputs
from porism.prompts import templates
from porism.records import JUDGED, Attempt, Status, Verdict, content_id
from porism.train._groups import judged
from porism.train._rolling import Rolling

__all__ = ["Judged", "Rewarding", "check", "inputs"]

REWARDS = "porism.train.rewards"

_Reward = Callable[[Sequence[Attempt]], Sequence[object]]


class Judged(NamedTuple):
    """An answer with what it earned."""

    attempt: Attempt
    reward: float | None


def check(settings: Rolling) -> None:
    """Find before the model is loaded what cannot be run.

    Raises:
        RecipeError: a reward is unknown or cannot be used, or there are several processes.
    """
    for name in settings.rewards:
        _bound(name, settings)
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise RecipeError(
            "learning from roll-outs runs in one process. Start it without accelerate launch, or with --num_processes "
            "1; engine vllm rolls out on other GPUs."
        )


def inputs(settings: Rolling) -> dict[str, str]:
    """Hashes of what is read besides the problems: a prompt template, a judge, graders and rewards in files."""
    files = [store.locate(path) for path in settings.input]
    own = [Path(name.rpartition(":")[0]).expanduser() for name in settings.rewards if ".py:" in name]
    prompt = {"prompt": content_id(templates.source(settings.prompt))} if settings.prompt else {}
    return {**grading_inputs(settings, files), **store.hashes(path for path in own if path.is_file()), **prompt}


class Rewarding:
    """Judges and rewards answers.

    Args:
        settings: rewards with their weights, and what they need.
        grading: who grades.
    """

    def __init__(self, settings: Rolling, grading: Grading) -> None:
        self._settings, self._grading = settings, grading
        self._own = {name: _bound(name, settings) for name in settings.rewards}

    def __call__(self, attempts: Sequence[Attempt], ids: Sequence[Sequence[int]] = ()) -> list[Judged]:
        """The rewards of answers, in order.

        Args:
            attempts: those to one problem stand together.
            ids: their tokens, for code that asks for ``completion_ids``.

        Raises:
            RecipeError: a reward returned something else than a number for each.
        """
        verdicts = self._verdicts(attempts)
        graded = [dataclasses.replace(one, verdict=verdict) for one, verdict in zip(attempts, verdicts, strict=True)]
        parts: dict[str, list[float | None]] = {}
        reasons: dict[str, list[str]] = {}
        for name, own in self._own.items():
            if own is None:
                parts[name] = self._by_grader(name, graded)
            elif ":" in name:
                parts[name], reasons[name] = _isolated(name, own, graded, ids)
            else:
                parts[name] = _checked(name, own(graded), len(graded))
        return [
            self._joined(one, {name: values[at] for name, values in parts.items()}, _at(reasons, at))
            for at, one in enumerate(graded)
        ]

    def _joined(self, attempt: Attempt, parts: Mapping[str, float | None], reasons: Mapping[str, str]) -> Judged:
        """The sum, or nothing where a part of it is missing."""
        missing = [name for name, value in parts.items() if value is None]
        if missing:
            told = reasons.get(missing[0]) or _of_verdict(attempt)
            record = judged(attempt, attempt.verdict, rewards=_known(parts), no_reward=f"{', '.join(missing)}: {told}")
            return Judged(record, None)
        total = math.fsum(self._settings.rewards[name] * value for name, value in parts.items() if value is not None)
        record = judged(attempt, attempt.verdict, rewards=_known(parts))
        return Judged(dataclasses.replace(record, meta={**record.meta, "reward": total}), total)

    def _verdicts(self, attempts: Sequence[Attempt]) -> list[Verdict | None]:
        """The verdict on each answer; nothing where a judge would have to be asked and no reward wants it."""
        asks = [asks_engine(one.problem.kind) for one in attempts]
        wanted = "correct" in self._settings.rewards
        places = [at for at in range(len(attempts)) if wanted or not asks[at]]
        found: list[Verdict | None] = [None] * len(attempts)
        for at, verdict in zip(places, self._graded([attempts[at] for at in places], asks=any(asks)), strict=True):
            found[at] = verdict
        return found

    def _graded(self, attempts: Sequence[Attempt], *, asks: bool) -> list[Verdict]:
        """Verdicts; where a grader of the user's own fails, only on the answers that it fails on."""
        if not attempts:
            return []
        if all(":" not in one.problem.kind for one in attempts):
            return self._grading.verdicts(attempts, asks=asks)
        found = []
        for one in attempts:
            try:
                found += self._grading.verdicts([one], asks=asks)
            except PorismError as error:
                found.append(Verdict(status=Status.ERROR, grader=one.problem.kind, reason=str(error)[:300]))
        return found

    def _by_grader(self, kind: str, attempts: Sequence[Attempt]) -> list[float | None]:
        """1 or 0 by another grader than the problem's own; nothing without a judgement."""
        changed = [dataclasses.replace(one, problem=dataclasses.replace(one.problem, kind=kind)) for one in attempts]
        verdicts = self._grading.verdicts(changed, asks=asks_engine(kind))
        return [float(one.correct) if one.status in JUDGED else None for one in verdicts]


def _bound(name: str, settings: Rolling) -> _Reward | None:
    """A reward with its settings filled in, code of the user's own, or None for a grader.

    Raises:
        RecipeError: none of these.
    """
    if ":" in name:
        return _columns(name, find.find(REWARDS, name))
    if name.replace("-", "_") in find.names(REWARDS):
        return recipe.bind(find.find(REWARDS, name, "reward"), settings)
    if name not in find.names("porism.graders"):
        find.find(REWARDS, name, "reward")  # which says what there is
    if asks_engine(name) and not settings.judge_model and settings.judge_engine == "local":
        raise RecipeError(f"rewards: {name!r} asks a model. Set judge_model.")
    return None


def _columns(name: str, function: Callable[..., Any]) -> _Reward:
    """A function with TRL's signature, ``reward(prompts, completions, **columns)``, as one of attempts.

    Columns are ``completion_ids``, the problem's fields (``answer``, ``question``, ``solution``, ``kind``, ``source``,
    ``group``), what its ``meta`` has, and ``labels``, which is the answer unless ``meta`` says otherwise. A function
    without ``**columns`` is given those that it names.
    """
    if not callable(function):
        raise RecipeError(f"{name}: expected a function reward(prompts, completions, **columns), got {function!r:.60}.")
    if inspect.iscoroutinefunction(function):
        raise RecipeError(f"{name}: expected a plain function, got an asynchronous one.")
    taken = _taken(function)

    def reward(attempts: Sequence[Attempt]) -> Sequence[object]:
        columns: dict[str, list[Any]] = {
            "prompts": [[dict(message) for message in one.messages] for one in attempts],
            "completions": [[{"role": "assistant", "content": one.text}] for one in attempts],
            **_of_problems(attempts),
        }
        found: Sequence[object] = function(
            **{name: values for name, values in columns.items() if taken is None or name in taken}
        )
        return found

    return reward


def _taken(function: Callable[..., Any]) -> frozenset[str] | None:
    """The columns that a function takes; None for all of them."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # a callable that does not say
        return None
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return None
    return frozenset(one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY))


def _of_problems(attempts: Sequence[Attempt]) -> dict[str, list[Any]]:
    names = ("question", "answer", "solution", "kind", "source", "group")
    columns: dict[str, list[Any]] = {name: [getattr(one.problem, name) for one in attempts] for name in names}
    for name in sorted({name for one in attempts for name in (*one.problem.meta, *one.meta)}):
        if name.isidentifier() and name not in (*names, "prompts", "completions"):
            columns[name] = [{**one.meta, **one.problem.meta}.get(name) for one in attempts]
    return {"labels": columns["answer"], **columns}


def _isolated(
    name: str, own: _Reward, attempts: Sequence[Attempt], ids: Sequence[Sequence[int]]
) -> tuple[list[float | None], list[str]]:
    """The rewards by code of the user's own, and why one is missing.

    Where the code fails on all answers together, it is asked for one after the other.
    """
    reasons = ["it returned no number" for _ in attempts]
    told = [judged(one, one.verdict, completion_ids=list(own_ids)) for one, own_ids in _with_ids(attempts, ids)]
    try:
        return _checked(name, own(told), len(told)), reasons
    except RecipeError:
        raise
    except Exception:  # noqa: BLE001  (code of the user's own: what it fails on is found below, counted and told)
        found: list[float | None] = []
        for at, one in enumerate(told):
            try:
                found += _checked(name, own([one]), 1)
            except RecipeError:
                raise
            except Exception as error:  # noqa: BLE001  (as above)
                reasons[at] = f"it failed with {type(error).__name__}: {error}"[:300]
                found.append(None)
        return found, reasons


def _at(reasons: Mapping[str, Sequence[str]], at: int) -> dict[str, str]:
    return {name: values[at] for name, values in reasons.items()}


def _with_ids(attempts: Sequence[Attempt], ids: Sequence[Sequence[int]]) -> list[tuple[Attempt, Sequence[int]]]:
    return list(zip(attempts, ids or [()] * len(attempts), strict=True))


def _checked(name: str, values: object, wanted: int) -> list[float | None]:
    """The rewards, NaN and None as None.

    Raises:
        RecipeError: not as many numbers as there are answers.
    """
    if hasattr(values, "tolist"):
        values = values.tolist()
    if not isinstance(values, list | tuple) or len(values) != wanted:
        got = f"{len(values)}" if isinstance(values, list | tuple) else f"{type(values).__name__}"
        raise RecipeError(
            f"the reward {name!r} returned {got}, where {wanted} numbers were expected, one an answer. Mend it; the "
            "roll-outs are kept."
        )
    found: list[float | None] = []
    for value in values:
        if value is None:
            found.append(None)
        elif isinstance(value, numbers.Real):
            found.append(float(value) if math.isfinite(value) else None)
        else:
            raise RecipeError(f"the reward {name!r} returned {value!r:.60}, where a number or None was expected.")
    return found


def _of_verdict(attempt: Attempt) -> str:
    verdict = attempt.verdict
    return (verdict.reason or verdict.status.value) if verdict is not None else "there is no verdict"


def _known(parts: Mapping[str, float | None]) -> dict[str, float]:
    return {name: value for name, value in parts.items() if value is not None}
