r"""A number that is to be near: rewarded by its distance from the reference; for predicting lengths and steps.

A problem says how in ``meta.distance``: the name of a preset, or the settings of a :class:`DistanceReward`. The number
is judged correct where it meets the reference exactly; the reward stands in the verdict's detail. A text in which no
number can be read is ``unparsed`` and has no reward, unless ``invalid`` sets one, which may not exceed that of the
worst number.

The presets are the four tables of rewards in use for predicting how long a model will think. The last of them is
published with "< 0" in its first line, which no distance meets; here it is "at 0".
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, Self

from pydantic import Field, ValidationError, model_validator

from porism import chains, recipe
from porism.errors import DataError
from porism.records import Attempt, Problem, Status, Verdict

__all__ = ["PRESETS", "DistanceReward", "Tier", "best_constant", "grade", "number_in", "of"]

_NUMBER = r"[-+]?\d+(?:\.\d+)?"
_ONLY = re.compile(rf"\s*({_NUMBER})\s*")
_EACH = re.compile(rf"(?<![\w.])({_NUMBER})(?![\w]|\.\d)")

Read = Literal["only", "stated", "first", "last"]


class Tier(NamedTuple):
    """Numbers up to this far away have this reward."""

    within: float
    reward: float
    below: bool = False
    """Less than ``within``, not at it."""


class DistanceReward(recipe.Settings):
    """Distance → reward: never higher for a number that is further away."""

    shape: Literal["tiers", "linear", "exponential", "gaussian", "huber", "log_ratio"] = "tiers"
    """How it falls with the distance d: by ``tiers``; 1 − d; e^−d; e^(−d²/2); 1 − Huber's loss; e^−|log ratio|."""
    tiers: list[tuple[float, float] | tuple[float, float, bool]] = []
    """With ``tiers``: distance, reward, and whether the distance must be below, not at; sorted."""
    beyond: float = 0.0
    """The reward past the last tier, and the least of the other shapes."""
    top: float = Field(default=1.0, gt=0)
    """The highest reward of the other shapes."""
    scale: float = Field(default=1.0, gt=0)
    """Distances are divided by this: what counts as 1."""
    unit: float = Field(default=1.0, gt=0)
    """What counts as a distance of 1 in the numbers themselves: 25 for buckets of 25 tokens, written as tokens."""
    read: Read = "stated"
    """Where it stands: the ``only`` text; as ``stated`` (``####``, a box, an answer tag); ``first``; ``last``."""
    invalid: float | None = None
    """The reward where no number can be read; none if not given."""

    @model_validator(mode="after")
    def _falls(self) -> Self:
        tiers = self.ladder
        if bool(tiers) != (self.shape == "tiers"):
            raise ValueError("the shape 'tiers' and the setting tiers belong together: give both, or neither.")
        rewards = [tier.reward for tier in tiers] + [self.beyond]
        if any(later > earlier for earlier, later in itertools.pairwise(rewards)):
            raise ValueError(f"tiers: expected rewards that do not rise with the distance, got {rewards}.")
        reach = -1.0
        for tier in tiers:
            own = tier.within - (1e-12 if tier.below else 0.0)
            if own < 0 or own <= reach:
                sign = "<" if tier.below else "≤"
                raise ValueError(
                    f"tiers: no distance meets '{sign} {tier.within:g}' in its place. Sort them, or mend it."
                )
            reach = own
        if self.invalid is not None and self.invalid > self.beyond:
            raise ValueError(f"invalid: expected at most the worst number's reward {self.beyond}, got {self.invalid}.")
        return self

    @property
    def ladder(self) -> list[Tier]:
        """The tiers by name."""
        return [Tier(*tier) for tier in self.tiers]

    def __call__(self, found: float, wanted: float) -> float:
        """The reward of a number.

        Args:
            found: what the text says.
            wanted: the reference.
        """
        away = abs(found - wanted) / self.unit / self.scale
        if self.shape == "tiers":
            held = (
                tier.reward for tier in self.ladder if away < tier.within or (away == tier.within and not tier.below)
            )
            return next(held, self.beyond)
        return max(self.beyond, self.top * self._share(away, found, wanted))

    def _share(self, away: float, found: float, wanted: float) -> float:
        if self.shape == "linear":
            return 1 - away
        if self.shape == "exponential":
            return math.exp(-away)
        if self.shape == "gaussian":
            return math.exp(-(away**2) / 2)
        if self.shape == "huber":
            return 1 - (away**2 / 2 if away <= 1 else away - 0.5)
        if found <= 0 or wanted <= 0:
            return 1.0 if found == wanted else 0.0
        return math.exp(-abs(math.log(found / wanted)) / self.scale)


PRESETS = {
    "12-6-3": DistanceReward(tiers=[(0.0, 12.0), (1.0, 6.0), (2.0, 3.0)]),
    "5-4-3-2-1": DistanceReward(tiers=[(0.0, 5.0), (0.5, 4.0), (1.0, 3.0), (1.5, 2.0), (2.0, 1.0)]),
    "10-8-6-4-2": DistanceReward(tiers=[(0.0, 10.0), (0.5, 8.0), (1.0, 6.0), (1.5, 4.0), (2.0, 2.0)]),
    "16-12-8-4": DistanceReward(tiers=[(0.0, 16.0), (0.5, 12.0, True), (1.0, 8.0), (2.0, 4.0)]),
}
"""Name → rewards at 0, and so on."""


def of(value: object, where: str = "distance") -> DistanceReward:
    """A preset by its name, or rewards by their settings.

    Raises:
        DataError: neither.
    """
    if isinstance(value, DistanceReward):
        return value
    if isinstance(value, str) and value in PRESETS:
        return PRESETS[value]
    if not isinstance(value, Mapping):
        raise DataError(
            f"{where}: expected a preset ({', '.join(PRESETS)}) or settings such as shape, got {value!r:.80}."
        )
    try:
        return DistanceReward.model_validate(_tupled(value))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise DataError(
            f"{where}: {f'{place}: ' if place else ''}{first['msg'].removeprefix('Value error, ')}"
        ) from None


def number_in(text: str, read: Read = "stated") -> float | None:
    """The number that a text says; None where there is none to be read in this way.

    Args:
        text: what the model wrote.
        read: see :class:`DistanceReward`.
    """
    response = chains.read(text).response.of(text)
    whole = _ONLY.fullmatch(response)
    if whole or read == "only":
        return _finite(whole[1]) if whole else None
    if read == "stated":
        stated = [one.answer.of(text) for one in chains.read(text).statements if one.rule != "phrase"]
        match = _ONLY.fullmatch(stated[-1]) if stated else None
        return _finite(match[1]) if match else None
    numbers = _EACH.findall(response)
    return _finite(numbers[0 if read == "first" else -1]) if numbers else None


def grade(problem: Problem, attempt: Attempt, *, profile: str = "auto") -> Verdict:
    """Judge a number by its distance from the reference; the reward stands in ``detail``.

    Args:
        problem: its answer is a number; ``meta.distance`` says how distances are rewarded, ``12-6-3`` if nothing.
        attempt: its text is judged.
        profile: not used: ``read`` says where the number stands.

    Raises:
        DataError: ``meta.distance`` is no preset and no settings.
    """
    del profile
    rewards = of(problem.meta.get("distance", "12-6-3"), f"problem {problem.id}: meta.distance")
    match = _ONLY.fullmatch(problem.answer)
    wanted = _finite(match[1]) if match else None
    if wanted is None:
        return Verdict(status=Status.GOLD_UNPARSED, reason=f"the reference is not a number: {problem.answer[:60]!r}")
    found = number_in(attempt.text, rewards.read)
    if found is None:
        worth = {} if rewards.invalid is None else {"reward": rewards.invalid}
        return Verdict(status=Status.UNPARSED, reason=f"no number is {rewards.read} in the text", detail=worth)
    status = Status.CORRECT if found == wanted else Status.WRONG
    detail = {"reward": rewards(found, wanted), "distance": abs(found - wanted) / rewards.unit}
    return Verdict(status=status, answer=f"{found:g}", rule=rewards.read, detail=detail)


def best_constant(rewards: DistanceReward, wanted: Sequence[float]) -> tuple[float, float]:
    """The one number that earns most when it is always said, and what it earns on average: what a model has to beat.

    Args:
        rewards: distance → reward.
        wanted: the references.

    Raises:
        DataError: there are none.
    """
    if not wanted:
        raise DataError("the best constant: expected references, got none.")
    earned = {one: math.fsum(rewards(one, other) for other in wanted) / len(wanted) for one in sorted(set(wanted))}
    best = max(earned, key=lambda one: earned[one])
    return best, earned[best]


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _tupled(value: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as JSON and YAML write them: tiers are lists, and whole numbers stand for others."""
    found = {name: float(one) if type(one) is int else one for name, one in value.items()}
    tiers = found.get("tiers")
    if isinstance(tiers, list):
        found["tiers"] = [_tier(one) for one in tiers]
    return found


def _tier(one: Any) -> Any:
    if not isinstance(one, list | tuple):
        return one
    return tuple(float(part) if type(part) is int else part for part in one)
