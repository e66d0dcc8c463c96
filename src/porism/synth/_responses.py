"""Responses to instructions: several candidates each, reasoning and answer apart, judged as far as possible."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, Field, model_validator

from porism import chains, recipe, strategies
from porism.engines import Engine, Sampling
from porism.errors import RecipeError
from porism.find import find
from porism.graders import asks_engine, check, grade_all, scorer_of
from porism.models.load import fingerprint
from porism.prompts import messages, templates
from porism.records import Attempt, Message, Problem, Status, Verdict, content_id
from porism.strategies import _prompts

__all__ = [
    "Responder",
    "ResponseSettings",
    "majority",
    "nucleus",
    "prompt_hash",
    "prompt_of",
    "reward_code",
    "scorer_hash",
]

Reward = Callable[[Sequence[tuple[list[Message], str]]], Sequence[float]]
"""Scores answers to conversations; the higher the better."""


def nucleus(value: float) -> float:
    """Refuse what is no share, and say what was likely meant.

    Raises:
        ValueError: outside (0, 1].
    """
    if not 0 < value <= 1:
        raise ValueError(
            f"expected a share in (0, 1], got {value}. The scripts' order is MODEL TOTAL INS_TOPP INS_TEMP RES_TOPP "
            "RES_TEMP; where a text calls the third one the temperature and the fourth one top_p, the two labels are "
            f"swapped. If {value} is meant to make the instructions more various, it is ins_temp, or for the responses "
            "res_temp."
        )
    return value


class ResponseSettings(recipe.Settings):
    """Settings of every part that lets a model answer instructions."""

    not_in_key: ClassVar[frozenset[str]] = frozenset({"max_failed", "cache"})

    res_temp: Annotated[float, Field(description="temperature of the responses", ge=0)] = 0.0
    res_top_p: Annotated[
        float, AfterValidator(nucleus), Field(description="nucleus sampling of the responses, in (0, 1]")
    ] = 1.0
    res_max_tokens: Annotated[int, Field(description="longest response, its reasoning included", ge=1)] = 4096
    res_prompt: Annotated[
        str, Field(description="a prompt template around each instruction: a shipped one (five_parts, …), or a file")
    ] = ""
    res_system: Annotated[
        str | None, Field(description="a system message, '' for an empty one; left to the template if not given")
    ] = None
    min_response: Annotated[int, Field(description="drop shorter responses, in characters", ge=0)] = 1
    max_response: Annotated[int, Field(description="drop longer responses; 0 for no limit", ge=0)] = 0
    agreement: Annotated[
        float, Field(description="more than this share must state an answer for it to count as right", ge=0, lt=1)
    ] = 0.5
    scorer: Annotated[str, Field(description="a reward model or verifier that scores responses: a folder, a stage")] = (
        ""
    )
    reward: Annotated[str, Field(description="code of yours that scores them instead: path/file.py:name")] = ""
    margin: Annotated[float, Field(description="rewards of a pair must be more than this apart", ge=0)] = 0.0
    pairs: Annotated[int, Field(description="at most so many pairs of one instruction", ge=1)] = 1
    balance: Annotated[bool, Field(description="pair answers of like length where correctness decides")] = False
    sandbox: Annotated[str, Field(description="where programs run: auto, bubblewrap, gvisor or unsafe")] = "auto"
    seed: Annotated[recipe.Seed, Field(description="of the sampling")] = 0
    max_failed: Annotated[float, Field(description="stop if the engine failed on a larger share", ge=0, le=1)] = 0.05
    cache: Annotated[
        bool | None, Field(description="keep replies and use those kept before; left out: for local and vllm")
    ] = None

    @model_validator(mode="after")
    def _one_score(self) -> Self:
        """Refuse two sources of rewards, a name that is no code, and limits that no response can keep to.

        Raises:
            ValueError: there are.
        """
        if self.scorer and self.reward:
            raise ValueError("scorer and reward both score the responses. Set one of them.")
        if self.reward and ":" not in self.reward:
            raise ValueError(
                f"reward: expected path/file.py:name, got {self.reward!r}. A reward model is set by scorer."
            )
        if 0 < self.max_response < self.min_response:
            raise ValueError(f"min_response {self.min_response} is above max_response {self.max_response}.")
        return self


class Responder:
    """Answers instructions with a model.

    Args:
        name: of the part, kept in the attempts.
        engine: which runs the model.
        settings: how it is asked.
        responses: how many candidates.
    """

    def __init__(self, name: str, engine: Engine, settings: ResponseSettings, responses: int) -> None:
        self._name, self._engine, self._settings, self._n = name, engine, settings, responses
        self._sampling = Sampling(
            temperature=settings.res_temp, top_p=settings.res_top_p, max_tokens=settings.res_max_tokens
        )
        self._reward = _reward_of(settings)

    def respond(
        self, problems: Sequence[Problem], before: Sequence[Sequence[Message]] = ()
    ) -> list[list[tuple[Attempt, str]]]:
        """The candidates for each instruction; with a reason, one is dropped.

        Args:
            problems: the instructions.
            before: what was said before each; nothing if not given.

        Raises:
            RecipeError: the reward function returns something else than a number for each response.
        """
        said = before or [[] for _ in problems]
        prompts = [self._asked(one, earlier) for one, earlier in zip(problems, said, strict=True)]
        settings = self._settings
        tries = strategies.ask(
            self._name, problems, prompts, self._engine, self._sampling, samples=self._n, seed=settings.seed
        )
        judged = [_judged(attempts, settings.agreement, settings.sandbox) for attempts in tries]
        noted = [[self._noted(one, earlier) for one in each] for each, earlier in zip(judged, said, strict=True)]
        return [[(one, self._complaint(one)) for one in each] for each in self._rewarded(noted)]

    def _asked(self, problem: Problem, before: Sequence[Message]) -> list[Message]:
        """What was said before and the user's turn, in the template asked for; a system message stands first."""
        settings = self._settings
        if settings.res_prompt:
            turn = _prompts.filled(problem, settings.res_prompt, system=settings.res_system)
        else:
            turn = messages.question(problem, system=settings.res_system)
        if turn[0]["role"] != "system":
            return [*before, *turn]
        return [turn[0], *(one for one in before if one["role"] != "system"), *turn[1:]]

    def _noted(self, attempt: Attempt, before: Sequence[Message]) -> Attempt:
        """The attempt with its generation settings, and where reasoning and response stand in its text."""
        chain = chains.read(attempt.text)
        meta: dict[str, Any] = {
            **attempt.meta,
            "temperature": self._sampling.temperature,
            "top_p": self._sampling.top_p,
            "max_tokens": self._sampling.max_tokens,
            "prompt": self._settings.res_prompt,
            "response": [chain.response.start, chain.response.end],
        }
        if chain.reasoning:
            meta["reasoning"] = [chain.reasoning.start, chain.reasoning.end]
        if before:
            meta["before"] = list(before)
        return dataclasses.replace(attempt, meta=meta)

    def _rewarded(self, groups: Sequence[Sequence[Attempt]]) -> list[list[Attempt]]:
        """The attempts with their rewards, where a reward is asked for."""
        flat = [one for group in groups for one in group if one.finish != "error"]
        if self._reward is None or not flat:
            return [list(group) for group in groups]
        found = self._reward([(self._scored_after(one), one.text) for one in flat])
        try:
            values = [float(value) for value in found]
        except (TypeError, ValueError, OverflowError):
            values = []
        if len(values) != len(flat):
            raise RecipeError(
                f"reward {self._settings.reward}: expected a function of a list of (messages, text) that returns a "
                f"number for each of {len(flat)}, got {found!r:.80}."
            )
        scores = iter(values)
        return [
            [
                one
                if one.finish == "error"
                else dataclasses.replace(one, meta={**one.meta, "reward": _plain(next(scores))})
                for one in group
            ]
            for group in groups
        ]

    def _scored_after(self, attempt: Attempt) -> list[Message]:
        """What a response is scored after; a reward model was trained on bare instructions, without a template."""
        return prompt_of(attempt) if self._settings.scorer else list(attempt.messages)

    def _complaint(self, attempt: Attempt) -> str:
        """Why a response is dropped; empty if it is kept."""
        size = len(attempt.text)
        if attempt.finish == "error":
            return f"engine: {attempt.error}"
        if size < self._settings.min_response or not attempt.text.strip():
            return f"response too short: {size} characters"
        if self._settings.max_response and size > self._settings.max_response:
            return f"response too long: {size} characters"
        return ""


def _plain(value: float) -> float | None:
    """The reward; None for what is no finite number, which JSON does not have."""
    return value if math.isfinite(value) else None


def _reward_of(settings: ResponseSettings) -> Reward | None:
    """The function that scores responses, where one is asked for.

    Raises:
        ModelError: the scorer cannot be loaded, or gives no score.
        RecipeError: no such code.
    """
    if not settings.scorer:
        return reward_code(settings)
    scorer = scorer_of(settings.scorer)
    return lambda asked: [one.score for one in scorer.scored(asked)]


def reward_code(settings: ResponseSettings) -> Reward | None:
    """The user's function that scores responses, where one is named.

    Raises:
        RecipeError: no such code.
    """
    found: Reward | None = find("porism.graders", settings.reward) if settings.reward else None
    return found


def prompt_of(attempt: Attempt) -> list[Message]:
    """What was said before, and the bare instruction."""
    before = [message for message in attempt.meta.get("before", []) if message["role"] != "system"]
    return [*before, Message(role="user", content=attempt.problem.question)]


def scorer_hash(settings: ResponseSettings) -> dict[str, str]:
    """The fingerprint of the model that scores responses, where there is one.

    Raises:
        ModelError: it is not there.
    """
    return {"scorer": fingerprint(settings.scorer)} if settings.scorer else {}


def prompt_hash(settings: ResponseSettings) -> dict[str, str]:
    """The hash of a shipped prompt template; a file's stands among the inputs anyway.

    Raises:
        RecipeError: no such template, or a wrong one.
    """
    if not settings.res_prompt:
        return {}
    templates.load(settings.res_prompt)
    shipped = settings.res_prompt in templates.known()
    return {"prompt": content_id(templates.source(settings.res_prompt))} if shipped else {}


# --- judging ---


def _judged(attempts: Sequence[Attempt], share: float, sandbox: str = "auto") -> list[Attempt]:
    """The candidates for one instruction with their verdicts: by its reference answer, else by agreement.

    Where more than ``share`` of all candidates state one answer, it becomes the problem's. Where none has that many,
    there are no verdicts, but for what was cut off.
    """
    problem, by = attempts[0].problem, "reference"
    if asks_engine(problem.kind):
        return [_marked(one) for one in attempts]
    agreed = 0
    if not problem.answer:
        answer, agreed = majority(attempts)
        if not agreed > share * len(attempts) or len(attempts) < 2:
            return [_marked(one) for one in attempts]
        problem, by = dataclasses.replace(problem, answer=answer), "agreement"
    asked = [dataclasses.replace(one, problem=problem) for one in attempts]
    verdicts = grade_all(asked, sandbox=sandbox)
    meta: dict[str, Any] = {"verified": by}
    if by == "agreement":
        meta["agreement"] = [agreed, len(attempts)]
    return [
        dataclasses.replace(one, verdict=verdict, meta={**one.meta, **meta})
        for one, verdict in zip(asked, verdicts, strict=True)
    ]


def _marked(attempt: Attempt) -> Attempt:
    """An attempt that nothing can judge; one that was cut off says so."""
    if attempt.finish != "length":
        return attempt
    cut = Verdict(status=Status.TRUNCATED, reason="cut off by the token limit")
    return dataclasses.replace(attempt, verdict=cut)


def majority(attempts: Sequence[Attempt]) -> tuple[str, int]:
    """The answer that most of the whole candidates state, and how many; of several, the one that came first."""
    kind = attempts[0].problem.kind
    groups: list[tuple[str, int]] = []
    for one in attempts:
        read = check(gold="0", text=one.text, kind=kind) if one.finish == "stop" else None
        if read is None or not read.answer:
            continue
        boxed = rf"\boxed{{{read.answer}}}"
        for at, (answer, count) in enumerate(groups):
            if answer == read.answer or check(gold=answer, text=boxed, kind=kind).correct:
                groups[at] = answer, count + 1
                break
        else:
            groups.append((read.answer, 1))
    return max(groups, key=lambda group: group[1], default=("", 0))
