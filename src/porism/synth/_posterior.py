"""The E-step: rationales from q(z | c, x), and how likely the writer p finds each.

PromptCoT 2.0 (Zhao et al., 2025, arXiv:2509.19894): for the concepts c and the problem x, several rationales z are
drawn from q, and the one is kept that maximises log p(x | z, c) + log p(z | c), which is −NLL(x | z, c) − NLL(z | c).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from porism.engines import Engine, Request, Sampling
from porism.errors import ModelError
from porism.records import Concepts, Message, Problem, content_id
from porism.synth._blocks import BEGIN_PROBLEM, BEGIN_RATIONALE, END_PROBLEM, END_RATIONALE, filled, listed
from porism.synth._writing import cut, prompt

__all__ = ["Case", "Rationale", "asked", "best", "draw", "score"]


class Case(NamedTuple):
    """A problem with the concepts that it is made of."""

    concepts: Concepts
    problem: Problem


class Rationale(NamedTuple):
    """A rationale with its log-likelihoods under the writer, in nats."""

    text: str
    of_rationale: float
    """log p(z | c), the sum over its tokens."""
    of_problem: float
    """log p(x | z, c)."""
    tokens: int
    """Tokens of both."""

    @property
    def joint(self) -> float:
        """The sum of both: log p(x, z | c)."""
        return self.of_rationale + self.of_problem


def asked(case: Case) -> list[Message]:
    """What q is asked."""
    content = filled(
        "posterior",
        level=case.concepts.level or "any",
        concepts=listed(case.concepts.concepts),
        problem=case.problem.question,
    )
    return [Message(role="user", content=content)]


def draw(
    cases: Sequence[Case], engine: Engine, *, samples: int, temperature: float, max_tokens: int, seed: int
) -> list[tuple[list[str], str]]:
    """Different rationales for each case, in the order in which they came; with an error, the engine failed.

    One that reaches the limit is ended at its last whole sentence.

    Args:
        cases: what to explain.
        engine: q.
        samples: how many to draw.
        temperature: of the draw.
        max_tokens: longest rationale.
        seed: of the draw.
    """
    head = f"{BEGIN_RATIONALE}\n"
    sampling = Sampling(temperature=temperature, max_tokens=max_tokens, stop=(END_RATIONALE,))
    requests = [
        Request(
            messages=asked(case),
            prefix=head,
            sampling=sampling,
            n=samples,
            seed=int(content_id("posterior", seed, case.problem.id, case.concepts.id), 16),
        )
        for case in cases
    ]
    found: list[tuple[list[str], str]] = []
    for reply in engine.generate(requests):
        texts = [
            cut(text) if one.finish == "length" else text
            for one in reply.samples
            if one.finish != "error" and (text := one.text.removeprefix(head).strip()) and "<!--" not in text
        ]
        error = next((one.error for one in reply.samples if one.finish == "error"), "")
        found.append((list(dict.fromkeys(filter(None, texts))), error))
    return found


def score(cases: Sequence[Case], rationales: Sequence[Sequence[str]], engine: Engine) -> list[list[Rationale]]:
    """The rationales of each case with their likelihoods.

    Args:
        cases: what they explain.
        rationales: of each case.
        engine: p.

    Raises:
        ModelError: the engine cannot score, or a text does not fit the model's context.
    """
    pairs: list[tuple[Request, str]] = []
    for case, texts in zip(cases, rationales, strict=True):
        messages = prompt(case.concepts)
        for text in texts:
            whole = f"{BEGIN_RATIONALE}\n{text}\n{END_RATIONALE}\n{BEGIN_PROBLEM}\n"
            pairs.append((Request(messages=messages, prefix=f"{BEGIN_RATIONALE}\n"), f"{text}\n{END_RATIONALE}"))
            pairs.append((Request(messages=messages, prefix=whole), f"{case.problem.question}\n{END_PROBLEM}"))
    scores = iter(engine.score(pairs) if pairs else [])
    found: list[list[Rationale]] = []
    for texts in rationales:
        row = []
        for text in texts:
            of_rationale, of_problem = next(scores), next(scores)
            if not of_rationale or not of_problem:
                raise ModelError("the engine gave no log-probabilities for a rationale; another engine is needed.")
            tokens = len(of_rationale) + len(of_problem)
            row.append(Rationale(text, sum(of_rationale), sum(of_problem), tokens))
        found.append(row)
    return found


def best(rationales: Sequence[Rationale]) -> int:
    """The place of the likeliest one; of equal ones, the first."""
    return max(range(len(rationales)), key=lambda at: (rationales[at].joint, -at))
