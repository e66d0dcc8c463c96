"""Reinforcement learning with checked answers: GRPO and its relatives, RLOO, REINFORCE++, PPO, expert iteration.

The algorithm is a file in ``porism/losses/policy``, or code of your own. Answers are rolled out on the weights that are
trained, graded by ``porism.graders``, rewarded, and learnt from.
"""

from __future__ import annotations

import inspect
import sys
import types
from collections.abc import Callable
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from porism import store
from porism.errors import RecipeError
from porism.find import find
from porism.train._rewarding import check, inputs
from porism.train._rolling import Rolling
from porism.train._run import Job, Start, train

__all__ = ["Settings", "inputs", "run"]

ALGORITHMS = "porism.losses.policy"


class Settings(Rolling):
    """Settings of ``porism train rl``."""

    algorithm: Annotated[
        str, Field(description="grpo, gspo, rloo, reinforce_plus_plus, ppo, expert, or 'path/file.py:name'")
    ] = "grpo"
    beta: Annotated[float, Field(description="weight of the divergence from the reference; 0: none", ge=0)] = 0.0
    kl_place: Annotated[
        Literal["loss", "reward"] | None,
        Field(
            description="the divergence is part of the loss, or taken off the rewards; the algorithm's own if not given"
        ),
    ] = None
    kl_estimator: Annotated[
        Literal["k1", "k2", "k3"] | None,
        Field(description="of the divergence; k3 in the loss and k1 in the reward if not given"),
    ] = None
    kl_weighted: Annotated[
        bool, Field(description="in the loss, weight the divergence by each token's ratio: an unbiased gradient")
    ] = True
    reference: Annotated[
        Literal["auto", "adapter-off", "model"],
        Field(description="the reference: by adapters off, or by a second copy; auto: the former where there are any"),
    ] = "auto"
    reference_model: Annotated[str, Field(description="the reference; where training starts if not given")] = ""
    clip_low: Annotated[float | None, Field(description="the ratio counts down to 1 − this", ge=0, lt=1)] = None
    clip_high: Annotated[float | None, Field(description="the ratio counts up to 1 + this", ge=0)] = None
    average: Annotated[
        Literal["answer", "token", "constant"] | None,
        Field(description="mean over answers, over tokens (DAPO), or by the longest answer (Dr. GRPO)"),
    ] = None
    scale: Annotated[
        Literal["group", "batch", "none"], Field(description="grpo, gspo: advantages are divided by this deviation")
    ] = "group"
    normalise: Annotated[bool, Field(description="rloo: advantages of the batch get mean 0 and deviation 1")] = False
    baseline: Annotated[bool, Field(description="reinforce_plus_plus: take the group's mean off first")] = True
    least_reward: Annotated[float, Field(description="expert: least reward of an answer that is learnt")] = 1.0
    gamma: Annotated[float, Field(description="ppo: a token later counts this much less", gt=0, le=1)] = 1.0
    gae_lambda: Annotated[float, Field(description="ppo: 1 for no bias, 0 for little variance", ge=0, le=1)] = 0.95
    whiten: Annotated[bool, Field(description="ppo: advantages of the batch get mean 0 and deviation 1")] = True
    value_clip: Annotated[float, Field(description="ppo: how far a value counts as moved; 0: any", ge=0)] = 0.2
    value_weight: Annotated[float, Field(description="ppo: weight of the critic's error", gt=0)] = 0.1
    critic_warmup: Annotated[
        int, Field(description="ppo: iterations at first in which the critic alone learns", ge=0)
    ] = 0
    backend: Annotated[Literal["porism", "trl"], Field(description="whose trainer runs; trl: grpo and rloo")] = "porism"

    @model_validator(mode="after")
    def _known(self) -> Self:
        """Find before anything runs what the algorithm does not take.

        Raises:
            ValueError: an option of another algorithm is set.
            RecipeError: there is no such algorithm.
        """
        taken = {name for part in ("advantages", "loss") for name in inspect.signature(self._part(part)).parameters}
        for name in _OPTIONS:
            if name not in taken and getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"{name}: the algorithm {self.algorithm} has no such option. Leave it out.")
        if self.critic_warmup and not getattr(self.module, "CRITIC", False):
            raise ValueError(f"critic_warmup: the algorithm {self.algorithm} has no critic. Leave it out.")
        if not self.beta and (self.kl_place or self.kl_estimator or self.reference_model):
            raise ValueError(
                "kl_place, kl_estimator and reference_model belong to beta, which is 0. Set it, or leave them out."
            )
        if self.reference == "adapter-off" and (self.reference_model or not self.adapted):
            raise ValueError("reference adapter-off: needs method lora or its like, and no reference_model.")
        return self

    @property
    def module(self) -> types.ModuleType:
        """The algorithm: a module, or a class with ``advantages`` and ``loss``."""
        found = find(ALGORITHMS, self.algorithm, "loss")
        if ":" in self.algorithm:
            return found  # type: ignore[no-any-return]
        return sys.modules[f"{ALGORITHMS}.{self.algorithm.replace('-', '_')}"]

    def kl_in(self, module: types.ModuleType) -> str:
        """Where the divergence is: ``loss`` or ``reward``."""
        return self.kl_place or str(getattr(module, "KL", "loss"))

    def _part(self, name: str) -> Callable[..., Any]:
        found = getattr(self.module, name, None)
        if not callable(found):
            raise RecipeError(f"algorithm {self.algorithm}: expected 'advantages' and 'loss', it has no {name!r}.")
        return found  # type: ignore[no-any-return]


_OPTIONS = (
    "clip_low", "clip_high", "average", "scale", "normalise", "baseline", "least_reward", "gamma", "gae_lambda",
    "whiten", "value_clip", "value_weight",
)  # fmt: skip
"""Settings that are parameters of an algorithm's functions."""


def run(settings: Settings, out: store.Output) -> None:
    """Train, and write model, roll-outs, metrics and card.

    Raises:
        UserError: problems, rewards, model or settings are unfit, or a limit was passed.
    """
    check(settings)
    if settings.backend == "trl":
        from porism.train import _trl_rl

        _trl_rl.run(settings, out)
        return
    train(settings, out, lambda start: _plan(settings, start), kind="policy")


def _plan(settings: Settings, start: Start) -> Job:
    from porism.train import _loop
    from porism.train._critic import Critic
    from porism.train._policy import Policy, Reference, objective
    from porism.train._reference import starting

    module = settings.module
    model = start.language_model(temperature=settings.temperature)
    reference = None
    if settings.beta:
        reference = Reference(*starting(start, model, settings.reference, settings.reference_model))
    critic = Critic(start.network, fused=model.fused) if getattr(module, "CRITIC", False) else None
    return _loop.job(
        settings,
        start,
        lambda rolls: Policy(settings, module, model, reference, critic, corrected=rolls.corrected),
        objective(model, module, settings, critic),
        beside=critic,
        take_off=critic.take_off if critic else None,
    )
