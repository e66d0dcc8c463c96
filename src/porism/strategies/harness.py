"""The prompt of another harness, to the byte, with its examples, stops and token limit: ``profile: lm-eval/gsm8k@3``.

Where the harness draws examples anew for each problem, they are drawn by its seed in the order of the input, so the
input has to be its test split from the first problem on, and ``examples`` its training split. Sampling is greedy unless
``temperature`` is set.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Annotated, cast

from pydantic import Field

from porism import store
from porism.engines import Engine, Request, Sampling
from porism.errors import RecipeError
from porism.prompts import profiles
from porism.records import Attempt, Problem
from porism.strategies import attempts_of, problem_seed

__all__ = ["check", "solve"]

Examples = Annotated[
    str, Field(description="the training split as problem records, where the profile draws examples from it")
]


def check(*, profile: str = "auto", examples: Examples = "", stop: list[str] = []) -> None:  # noqa: B006 (never changed)
    """Find before anything runs that there is no such profile, that it needs examples, or has stops of its own.

    Raises:
        RecipeError: see above.
    """
    if "/" not in profile:
        raise RecipeError(
            f"harness: set profile to the one to ask by, such as lm-eval/gsm8k@3, got {profile!r}. "
            f"Known: {', '.join(profiles.known())}."
        )
    known = profiles.load(profile)
    if known.draws and not examples:
        raise RecipeError(
            f"{known.label} shows {known.shots} examples of the training split. Set examples to it, as made by "
            "'porism problems gsm8k --split train'."
        )
    if examples and not known.draws:
        raise RecipeError(f"{known.label} has examples of its own, or none. Leave out examples.")
    if stop:
        raise RecipeError(f"{known.label} stops at {', '.join(map(repr, known.stop))}. Leave out stop.")


def solve(
    problems: Sequence[Problem],
    engine: Engine,
    sampling: Sampling,
    everything: Sequence[Problem],
    *,
    samples: int = 1,
    seed: int = 0,
    profile: str = "auto",
    examples: Examples = "",
) -> list[list[Attempt]]:
    """One request a problem; what was asked by stands in each attempt's meta, with its hash.

    Args:
        problems: what to solve.
        engine: who answers.
        sampling: its stops and token limit are the profile's instead.
        everything: all problems of the input, in order.
        samples: attempts at each problem.
        seed: of the sampling.
        profile: such as ``lm-eval/gsm8k@3``.
        examples: see :func:`check`.

    Raises:
        DataError: too few examples.
    """
    known = profiles.load(profile)
    shown: dict[str, list[profiles.Worked]] = {}
    if known.draws:
        file = store.locate(examples).stat()
        pool = _read(examples, file.st_mtime_ns, file.st_size)
        for problem, drawn in zip(everything, known.drawn(pool, len(everything)), strict=True):
            shown.setdefault(problem.id, drawn)
    sampling = dataclasses.replace(sampling, stop=known.stop, max_tokens=known.max_tokens)
    prompts = [known.messages(problem, shown.get(problem.id)) for problem in problems]
    requests = [
        Request(
            messages=[] if known.chat == "text" else prompt,
            text=prompt[0]["content"] if known.chat == "text" else "",
            sampling=sampling,
            n=samples,
            seed=problem_seed(seed, problem),
        )
        for prompt, problem in zip(prompts, problems, strict=True)
    ]
    replies = engine.generate(requests)
    meta = {"asked_by": known.label, "asked_by_hash": known.hash, "template": known.chat == "turns"}
    found = []
    for problem, prompt, request, reply in zip(problems, prompts, requests, replies, strict=True):
        tries = attempts_of("harness", problem, request, reply, engine.model)
        found.append([dataclasses.replace(one, messages=prompt, meta=meta) for one in tries])
    return found


@functools.lru_cache(maxsize=1)
def _read(path: str, changed: int, size: int) -> list[Problem]:
    """The problems of a file, read once as long as it is the same."""
    del changed, size
    return [cast("Problem", record) for record in store.read(path, Problem)]
