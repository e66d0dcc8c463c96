"""One request a problem, and what comes back as attempts."""

from __future__ import annotations

from collections.abc import Sequence

from porism.engines import Engine, Reply, Request, Sampling
from porism.records import Attempt, Message, Problem, content_id

__all__ = ["ask", "attempts_of", "problem_seed"]


def problem_seed(seed: int, problem: Problem) -> int:
    """A seed for one problem, which does not depend on what else is in the file."""
    return int(content_id(seed, problem.id), 16)


def ask(
    name: str,
    problems: Sequence[Problem],
    prompts: Sequence[Sequence[Message]],
    engine: Engine,
    sampling: Sampling,
    *,
    samples: int,
    seed: int,
) -> list[list[Attempt]]:
    """One request a problem, ``samples`` each.

    Args:
        name: the strategy's name, kept in the attempts.
        problems: what to solve.
        prompts: the messages for each problem.
        engine: who answers.
        sampling: how tokens are chosen.
        samples: attempts at each problem.
        seed: the stage's seed; see :func:`problem_seed`.
    """
    requests = [
        Request(messages=messages, sampling=sampling, n=samples, seed=problem_seed(seed, problem))
        for problem, messages in zip(problems, prompts, strict=True)
    ]
    replies = engine.generate(requests)
    return [
        attempts_of(name, problem, request, reply, engine.model)
        for problem, request, reply in zip(problems, requests, replies, strict=True)
    ]


def attempts_of(
    name: str, problem: Problem, request: Request, reply: Reply, model: str, *, first: int = 0
) -> list[Attempt]:
    """The samples of a reply as attempts, numbered from ``first``."""
    return [
        Attempt(
            problem=problem,
            strategy=name,
            messages=request.messages,
            text=sample.text,
            finish=sample.finish,
            sample=number,
            seed=request.seed,
            model=model,
            prompt_tokens=reply.prompt_tokens,
            completion_tokens=sample.tokens,
            error=sample.error,
        )
        for number, sample in enumerate(reply.samples, first)
    ]
