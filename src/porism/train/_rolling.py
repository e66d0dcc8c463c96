"""The settings that all methods share which learn from their own answers."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from porism.graders import GradingSettings
from porism.prompts.messages import Instruction, Prompt, System
from porism.records import Attempt, Message, Problem
from porism.strategies import direct
from porism.train._settings import Training

__all__ = ["Rolling"]


class Rolling(Training, GradingSettings):
    """Problems, roll-outs and limits."""

    reads = (Problem,)
    makes = (Attempt,)
    not_in_key: ClassVar[frozenset[str]] = (
        Training.not_in_key
        | GradingSettings.not_in_key
        | {"max_truncated", "max_zero_variance", "max_difference", "engine_options"}
    )

    input: Annotated[list[str], Field(description="problems: files or stage folders")]
    samples: Annotated[int, Field(description="answers to each problem in an iteration", ge=2)] = 8
    temperature: Annotated[float, Field(description="of the roll-outs", gt=0)] = 1.0
    max_tokens: Annotated[int, Field(description="longest answer", ge=1)] = 256
    prompt: Prompt = ""
    instruction: Instruction = ""
    system: System = None
    rewards: Annotated[
        dict[str, float],
        Field(description="weights of rewards: correct, format, length, language, distance, model, a grader, or code"),
    ] = {"correct": 1.0}
    count_as_wrong: Annotated[
        list[Literal["unparsed", "truncated", "timeout"]],
        Field(description="with the reward correct: what could not be judged, and earns 0 nonetheless"),
    ] = []
    format_rules: Annotated[
        list[str], Field(description="with the reward format: which statements count, such as hash; all if empty")
    ] = []
    overlong_buffer: Annotated[
        int, Field(description="with the reward length: tokens before the limit over which the penalty grows", ge=1)
    ] = 64
    script: Annotated[
        str, Field(description="with the reward language: latin, han, …; that of the question if not given")
    ] = ""
    distance: Annotated[
        str | dict[str, Any], Field(description="with the reward distance: a preset such as 12-6-3, or settings")
    ] = "12-6-3"
    scorer: Annotated[
        str, Field(description="with the rewards model, reward and verifier: a folder, or another stage's output")
    ] = ""
    reward_scale: Annotated[float, Field(description="with the reward model: its scores are multiplied by it")] = 1.0
    reward_clip: Annotated[float, Field(description="with the reward model: cut to ± this; 0: no limit", ge=0)] = 0.0
    batch_size: Annotated[int, Field(description="problems in one iteration", ge=1)] = 8
    micro_batch_size: Annotated[
        int, Field(description="problems whose answers are in memory at once; must divide batch_size", ge=1)
    ] = 4
    updates: Annotated[int, Field(description="passes over an iteration's roll-outs", ge=1)] = 1
    minibatches: Annotated[int, Field(description="optimiser steps in each such pass", ge=1)] = 1
    schedule: Annotated[
        Literal["cosine", "linear", "constant_with_warmup"], Field(description="of the learning rate")
    ] = "constant_with_warmup"
    choose: Annotated[
        Literal["shuffled", "difficulty"],
        Field(description="problems in random order, or those first that are solved about half of the time"),
    ] = "shuffled"
    retire_after: Annotated[
        int, Field(description="retire a problem once all answers were right so many times in a row; 0: never", ge=0)
    ] = 0
    dynamic_sampling: Annotated[
        int, Field(description="at most so many more roll-outs until batch_size groups have unequal rewards", ge=0)
    ] = 0
    engine: Annotated[Literal["local", "vllm"], Field(description="who generates the roll-outs")] = "local"
    engine_options: Annotated[dict[str, Any], Field(description="settings of that engine")] = {}
    staleness: Annotated[
        int, Field(description="1: roll out on the weights before the last iteration, while it is learnt", ge=0, le=1)
    ] = 0
    importance_cap: Annotated[
        float,
        Field(description="bound of the weights that correct for another sampler or older weights; 0: none", ge=0),
    ] = 2.0
    max_failed: Annotated[float, Field(description="stop if a larger share could not be run or graded", ge=0, le=1)] = (
        0.2
    )
    max_unjudged: Annotated[float, Field(description="stop if a larger share has no reward", ge=0, le=1)] = 0.5
    max_truncated: Annotated[float, Field(description="stop if a larger share is cut off", ge=0, le=1)] = 0.9
    max_zero_variance: Annotated[
        float, Field(description="stop if in a larger share of the groups all rewards are equal", ge=0, le=1)
    ] = 0.98
    max_difference: Annotated[
        float,
        Field(description="stop if the sampler's and the trainer's log-probabilities differ by more, in nats", gt=0),
    ] = 0.2

    @property
    def per_iteration(self) -> int:
        """Optimiser steps in which an iteration's roll-outs are learnt."""
        return self.updates * self.minibatches

    def asked(self, problem: Problem, system: str | None = None) -> list[Message]:
        """How a problem is asked, in roll-outs as in evaluations: as the settings say."""
        del system
        return direct.prompt(problem, prompt=self.prompt, instruction=self.instruction, system=self.system)

    @model_validator(mode="after")
    def _rolls(self) -> Self:
        """Find before anything runs what does not go together.

        Raises:
            ValueError: it does not.
        """
        if self.eval_input:
            raise ValueError("eval_input: roll-outs have no held-out rows. Name eval_problems.")
        if not self.rewards or any(not weight for weight in self.rewards.values()):
            raise ValueError(f"rewards: expected names with weights other than 0, got {self.rewards}.")
        asking = [name for name in ("model", "reward", "verifier") if name in self.rewards]
        if asking and not self.scorer:
            raise ValueError(f"rewards: {asking[0]!r} needs scorer, a folder that 'porism train reward' wrote.")
        if self.staleness and self.dynamic_sampling:
            raise ValueError("staleness and dynamic_sampling exclude each other: more roll-outs would be waited for.")
        if self.temperature != 1 and (self.staleness or self.engine != "local"):
            raise ValueError(
                f"temperature {self.temperature}: with staleness, or another engine than local, the sampler's "
                "log-probabilities are needed, which are told at temperature 1. Set temperature to 1."
            )
        if self.overlong_buffer >= self.max_tokens and "length" in self.rewards:
            raise ValueError(
                f"overlong_buffer: expected less than max_tokens {self.max_tokens}, got {self.overlong_buffer}."
            )
        return self
