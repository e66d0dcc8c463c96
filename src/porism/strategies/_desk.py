"""What an attempt that takes several turns has before it: it asks, calls tools, reads answers, offers candidates."""

from __future__ import annotations

import dataclasses
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from porism.engines import Request, Sample, Sampling
from porism.records import Attempt, Finish, Message, Problem, content_id
from porism.strategies._asking import problem_seed
from porism.strategies._budget import Budget, Made, Purse, Stopped
from porism.strategies._reading import Reading
from porism.strategies._trace import Branch, Trace, Turn
from porism.tools import Answer, Call, Toolbox, written

__all__ = ["Ask", "Desk", "Said", "Want"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One prompt of an attempt."""

    messages: Sequence[Message]
    does: str
    """What it is for, as the trace names it."""
    branch: str = ""
    grows: bool = False
    """Each of the samples is a branch of its own, below ``branch``."""
    n: int = 1
    prefix: str = ""
    """What the text begins with; it is part of what comes back."""
    sampling: Mapping[str, Any] = field(default_factory=dict)
    """Fields of :class:`porism.engines.Sampling` that differ from the attempt's; stop texts are added to them."""


class Said(NamedTuple):
    """One text that came back."""

    text: str
    branch: str
    finish: Finish
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Want:
    """What a coroutine waits for; it is served for all attempts of a batch at once."""

    kind: Literal["engine", "tools", "read"]
    items: Sequence[Any]

    def __await__(self) -> Generator[Want, Any, Any]:
        found = yield self
        return found


class Desk:
    """One attempt in the making.

    Args:
        name: of the strategy.
        problem: what is to be solved.
        sampling: how tokens are chosen, as the user set it.
        seed: the stage's.
        sample: the attempt's number among those at the problem.
        budget: what it may cost.
        began: when its batch began, on the monotonic clock.
    """

    def __init__(
        self, name: str, problem: Problem, sampling: Sampling, *, seed: int, sample: int, budget: Budget, began: float
    ) -> None:
        self.problem, self.sampling = problem, sampling
        self.stopped = ""
        """Why it ended early, where it did."""
        self.votes: dict[str, float] | None = None
        """Answer → weight, where the strategy holds a vote."""
        self._name, self._sample = name, sample
        self._seed, self._asked = problem_seed(seed, problem), 0
        self._purse = Purse(budget, began)
        self._messages: Sequence[Message] = ()
        self._turns: list[Turn] = []
        self._texts: list[tuple[str, Finish]] = []
        self._candidates: list[Branch] = []
        self._chosen: int | None = None
        self._draft = ""

    @property
    def deadline(self) -> float | None:
        """On the monotonic clock, where there is one."""
        return self._purse.deadline

    @property
    def candidates(self) -> Sequence[Branch]:
        """What was offered so far."""
        return self._candidates

    async def ask(self, *asks: Ask) -> list[list[Said]]:
        """What comes back to prompts that are asked at once: for each its texts, without those that failed.

        A budget may leave fewer texts than were wanted, or shorter ones.

        Raises:
            Stopped: the budget is used up, or all failed.
        """
        if not asks:
            return []
        if not self._messages:
            self._messages = asks[0].messages
        most = max(self._most(one) for one in asks)
        total, longest = self._purse.admit(sum(one.n for one in asks), most)
        asked: list[tuple[int, Ask, Request]] = []
        for at, one in enumerate(asks):
            n = min(one.n, total)
            total -= n
            if n:
                asked.append((at, one, self._request(one, n, longest)))
        made: list[Made] = await Want("engine", [request for _, _, request in asked])
        found: list[list[Said]] = [[] for _ in asks]
        for (at, one, _), each in zip(asked, made, strict=True):
            found[at] = self._taken(one, each)
        if not any(found):
            errors = sorted({sample.error for each in made for sample in each.reply.samples})
            raise Stopped("seconds" if errors == ["cancelled"] and self.deadline else f"engine: {'; '.join(errors)}")
        return found

    def _request(self, ask: Ask, n: int, longest: int) -> Request:
        """A request; the first one has the seed that the strategy ``direct`` would ask with."""
        changed: dict[str, Any] = dict(ask.sampling)
        changed["stop"] = (*changed.get("stop", ()), *self.sampling.stop)
        changed["max_tokens"] = min(self._most(ask), longest)
        first = not self._asked and not self._sample
        seed = self._seed if first else int(content_id(self._seed, self._sample, self._asked), 16)
        self._asked += 1
        sampling = dataclasses.replace(self.sampling, **changed)
        return Request(messages=ask.messages, sampling=sampling, n=n, prefix=ask.prefix, seed=seed)

    def _most(self, ask: Ask) -> int:
        return int(ask.sampling.get("max_tokens", self.sampling.max_tokens))

    def _taken(self, ask: Ask, made: Made) -> list[Said]:
        found = []
        for number, sample in enumerate(made.reply.samples):
            branch = f"{ask.branch}.{number}".lstrip(".") if ask.grows else ask.branch
            seconds = made.seconds * sample.tokens
            self._turns.append(
                Turn(
                    does=ask.does,
                    branch=branch,
                    text=sample.text[len(ask.prefix) :],
                    tokens=sample.tokens,
                    prompt_tokens=made.reply.prompt_tokens if not number else 0,
                    seconds=seconds,
                    error=sample.error if sample.finish == "error" else "",
                )
            )
            self._purse.spend(1, sample.tokens)
            if _is_there(sample):
                found.append(Said(sample.text, branch, sample.finish, sample.tokens, seconds))
        return found

    async def call(self, toolbox: Toolbox, calls: Sequence[tuple[str, Call]]) -> list[Answer]:
        """What tools say to calls, each given with its branch. A call that fails is an answer, too."""
        answers: list[tuple[Answer, float]] = await Want(
            "tools", [(toolbox, call, self.problem, self.deadline) for _, call in calls]
        )
        for (branch, call), (answer, seconds) in zip(calls, answers, strict=True):
            self._turns.append(
                Turn(
                    does="tool",
                    branch=branch,
                    text=answer.text,
                    seconds=seconds,
                    call=written(call),
                    error=answer.text.partition("\n")[0][:200] if answer.failed else "",
                )
            )
        return [answer for answer, _ in answers]

    async def read(self, texts: Sequence[tuple[str, Finish]], *, kind: str = "") -> list[Reading]:
        """The final answers that texts state, by the problem's grader or one of another kind."""
        problem = dataclasses.replace(self.problem, kind=kind, answer="") if kind else self.problem
        attempts = [
            Attempt(problem=problem, strategy=self._name, messages=(), text=text, finish=finish)
            for text, finish in texts
        ]
        found: list[Reading] = await Want("read", attempts)
        return found

    def note(self, turn: Turn) -> None:
        """Put something into the trace."""
        self._turns.append(turn)

    def draft(self, text: str) -> None:
        """What the attempt says if it has to stop before there is a candidate."""
        self._draft = text

    def offer(self, text: str, candidate: Branch, finish: Finish = "stop") -> int:
        """Add a candidate; it is the best answer so far until another one is offered or taken.

        Returns:
            Its place.
        """
        self._texts.append((text, finish))
        self._candidates.append(candidate)
        self._chosen = len(self._candidates) - 1
        return self._chosen

    def rescore(self, place: int, score: float) -> None:
        """Give a candidate a score."""
        self._candidates[place] = dataclasses.replace(self._candidates[place], score=score)

    def take(self, place: int) -> None:
        """Choose a candidate."""
        self._chosen = place

    def attempt(self, model: str) -> Attempt:
        """The attempt, ungraded, with its trace; an error where nothing can stand for an answer."""
        text, finish = self._texts[self._chosen] if self._chosen is not None else (self._draft, "length")
        if not text and self._chosen is None:
            finish = "error"
        seconds = sum(turn.seconds for turn in self._turns)
        trace = Trace(
            candidates=self._candidates,
            chosen=self._chosen,
            votes=self.votes,
            turns=self._turns,
            stopped=self.stopped,
            calls=self._purse.calls,
            tokens=self._purse.tokens,
            seconds=seconds,
        )
        return Attempt(
            problem=self.problem,
            strategy=self._name,
            messages=self._messages or [Message(role="user", content=self.problem.question.strip())],
            text=text,
            finish=finish,
            sample=self._sample,
            seed=self._seed,
            model=model,
            prompt_tokens=sum(turn.prompt_tokens for turn in self._turns),
            completion_tokens=self._purse.tokens,
            error=f"no answer: {self.stopped or 'nothing was generated'}" if finish == "error" else "",
            meta={"trace": trace.row()},
        )


def _is_there(sample: Sample) -> bool:
    return sample.finish != "error"
