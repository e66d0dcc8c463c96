"""Problems made of others by a model: reworded, with other numbers, backwards, harder or easier; each answer verified.

==================  ==================================================================================================
way                 what is made
==================  ==================================================================================================
keep                the problem as it is
label               the problem with the answer that most of ``votes`` solutions agree on, and one of them
rephrase            the same in other words (MetaMath: Yu et al., 2023, arXiv:2309.12284)
numbers, names      other numbers or names: by rule where that is sure (``porism problems perturb``), else by the model
self_verification   question and answer as a statement with one number unknown (Weng et al., 2022, arXiv:2212.09561)
backward            one number unknown and the answer given (FOBAR: Jiang et al., 2023, arXiv:2308.07758); by rule
harder, easier      a condition more or less (Evol-Instruct: Xu et al., 2023, arXiv:2304.12244)
==================  ==================================================================================================

The model solves each problem that it made ``votes`` times. Where the answer is known it must be what more than
``agreement`` of all solutions state; where it is not, what they state becomes the answer (self-consistency: Wang et
al., 2022, arXiv:2203.11171), and the first solution that says so the chain of thought. What is not so is dropped.

Several sets are mixed first, by quota or by size at a temperature (``total``, ``quotas``, ``mix_temperature``).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple, Self, cast

from pydantic import Field, model_validator

from porism import recipe, store, strategies
from porism.engines import LOADS, Engine, Sampling
from porism.engines._stage import Staged, kept
from porism.errors import DataError
from porism.files import Malformed
from porism.graders import asks_engine
from porism.graders import check as judge
from porism.models.load import fingerprint
from porism.prompts import messages
from porism.records import Attempt, Problem, content_id
from porism.synth import _ways
from porism.synth._drops import count_drops
from porism.synth._fusion import fused
from porism.synth._responses import majority
from porism.synth._ways import KEEPS_ANSWER, WRITES, Draft, Way

__all__ = ["Settings", "inputs", "run"]

_OLD_WORK = ("annotated", "rejected")


class Settings(recipe.Settings):
    """Settings of ``porism synth rewrite``."""

    reads = (Problem,)
    makes = (Problem,)
    not_in_key = frozenset({"max_failed", "cache"})

    input: Annotated[list[str], Field(description="problems: files or stage folders; their sets are mixed")]
    ways: Annotated[list[Way], Field(description="what is made of each problem", min_length=1)] = ["rephrase"]
    model: Annotated[str, Field(description="who writes and solves: an alias, a folder, a server's model")] = (
        "smollm2-135m"
    )
    engine: Annotated[str, Field(description="who runs it")] = "local"
    total: Annotated[
        int | None, Field(description="how many problems of the input are taken; all if not given", ge=1)
    ] = None
    quotas: Annotated[dict[str, float], Field(description="set → its weight in the mixture; by size if none")] = {}
    mix_temperature: Annotated[
        float, Field(description="of the shares by size: 1 as they are, higher for more alike", gt=0)
    ] = 1.0
    temperature: Annotated[float, Field(description="of what is written", ge=0)] = 0.7
    max_tokens: Annotated[int, Field(description="longest problem that is written", ge=1)] = 512
    votes: Annotated[int, Field(description="solutions by which a problem is verified; 0 for none", ge=0)] = 4
    vote_temperature: Annotated[float, Field(description="of the solutions", ge=0)] = 0.7
    vote_max_tokens: Annotated[int, Field(description="longest solution", ge=1)] = 1024
    agreement: Annotated[
        float, Field(description="more than this share of the solutions must state the answer", ge=0, lt=1)
    ] = 0.5
    seed: Annotated[recipe.Seed, Field(description="of the mixture, the changes and the sampling")] = 0
    at_once: Annotated[int, Field(description="problems in one unit of work", ge=1)] = 64
    max_failed: Annotated[float, Field(description="stop if the engine failed on a larger share", ge=0, le=1)] = 0.05
    cache: Annotated[
        bool | None, Field(description="keep replies and use those kept before; left out: for local and vllm")
    ] = None

    @model_validator(mode="after")
    def _together(self) -> Self:
        """Refuse votes that would all be the same, and ways whose answer nothing would find.

        Raises:
            ValueError: they would.
        """
        if self.votes > 1 and not self.vote_temperature:
            raise ValueError("vote_temperature: at 0 all solutions would be the same. Set it, or votes to 1.")
        blind = [way for way in self.ways if way in ("label", "harder", "easier")]
        if blind and not self.votes:
            raise ValueError(f"votes: {blind[0]} has no answer but what solutions agree on. Set votes to 4, say.")
        return self


class _Job(NamedTuple):
    """A problem that is to be made."""

    problem: Problem
    way: Way


def inputs(settings: Settings) -> dict[str, str]:
    """Hashes of the problems, of the model where one is loaded, and of the texts it is asked with."""
    found = store.hashes(store.locate(path) for path in settings.input)
    if settings.engine in LOADS and _asks(settings):
        found["model"] = fingerprint(getattr(settings, "adapter", "") or settings.model)
    texts = sorted({WRITES[way] for way in settings.ways if way in WRITES})
    return {**found, **({"prompts": content_id([_ways.text(name) for name in texts])} if texts else {})}


def _asks(settings: Settings) -> bool:
    return any(way in WRITES or (settings.votes and way not in ("keep", "names")) for way in settings.ways)


def run(settings: Settings, out: store.Output) -> None:
    """Mix, make and verify.

    Raises:
        DataError: no problems, none was kept, or the engine failed too often.
    """
    everything, malformed = _input(settings)
    is_mixed = settings.total or settings.quotas or settings.mix_temperature != 1
    problems = (
        fused(everything, settings.total, settings.quotas, settings.mix_temperature, settings.seed)
        if is_mixed
        else everything
    )
    jobs = [_Job(problem, way) for problem in problems for way in settings.ways]
    known = out.manifest.key.inputs.get("model", "") if out.manifest else ""
    with Staged(settings.engine, settings.model, settings, out) as staged:
        engine = kept(staged, settings, known, wanted=settings.cache) if _asks(settings) else staged

        def work(places: Sequence[int]) -> Iterator[store.Placed]:
            wanted = [at for at in places if at < len(jobs)]
            for at, draft in zip(wanted, _Work(settings, engine).made([jobs[at] for at in wanted]), strict=True):
                yield store.Placed(at, draft.problem, draft.reason)
            for at in places[len(wanted) :]:
                complaint, line = malformed[at - len(jobs)]
                yield store.Placed(at, {"line": line}, f"malformed: {complaint}")

        size = settings.at_once * len(settings.ways)
        total = len(jobs) + len(malformed)
        units = [range(at, min(at + size, total)) for at in range(0, total, size)]
        out.process(units, work, title=f"synth rewrite: {len(jobs)} problems", unit="problems")
    count_drops(out, "synth rewrite", settings.max_failed)


def _input(settings: Settings) -> tuple[list[Problem], list[Malformed]]:
    """The problems, and the lines that are none.

    Raises:
        DataError: there is no problem.
    """
    problems, malformed = list[Problem](), list[Malformed]()
    for path in settings.input:
        for found in store.read_each(path):
            if isinstance(found, Problem):
                problems.append(found)
            elif isinstance(found, Malformed):
                malformed.append(found)
            else:
                kind = type(found).__name__.lower()
                malformed.append(Malformed(f"{path}: expected problem records, got {kind}", found.id))
    if not problems:
        first = malformed[0].complaint if malformed else ""
        raise DataError(f"{', '.join(settings.input)}: no problems in the input. {first}".rstrip())
    return problems, malformed


class _Work:
    """Makes the problems of one unit."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings, self._engine = settings, engine

    def made(self, jobs: Sequence[_Job]) -> list[Draft]:
        """A draft for each job, with a reason where it is dropped."""
        seed = str(self._settings.seed)
        drafts = [_ways.by_rule(job.problem, job.way, seed) for job in jobs]
        todo = [at for at, draft in enumerate(drafts) if draft is None]
        for at, reply in zip(todo, self._replies([jobs[at] for at in todo]), strict=True):
            job = jobs[at]
            if reply.finish != "stop":
                why = f"engine: {reply.error}" if reply.finish == "error" else "cut off: by max_tokens"
                drafts[at] = Draft(job.problem, why)
            else:
                drafts[at] = _ways.written(job.problem, job.way, reply.text, seed)
        known = [cast("Draft", draft) for draft in drafts]
        marked = [_noted(draft, job) for draft, job in zip(known, jobs, strict=True)]
        return self._verified(marked, jobs)

    def _replies(self, jobs: Sequence[_Job]) -> list[Attempt]:
        """What the model writes for each job."""
        sampling = Sampling(temperature=self._settings.temperature, max_tokens=self._settings.max_tokens)
        found: dict[int, Attempt] = {}
        for way in dict.fromkeys(job.way for job in jobs):
            places = [at for at, job in enumerate(jobs) if job.way == way]
            chosen = [jobs[at].problem for at in places]
            prompts = [_ways.asked(problem, way) for problem in chosen]
            tries = strategies.ask(
                f"rewrite {way}", chosen, prompts, self._engine, sampling, samples=1, seed=self._settings.seed
            )
            found |= {at: one[0] for at, one in zip(places, tries, strict=True)}
        return [found[at] for at in range(len(jobs))]

    def _verified(self, drafts: list[Draft], jobs: Sequence[_Job]) -> list[Draft]:
        """The drafts with answers that solutions agree on."""
        settings = self._settings
        asked = [at for at, draft in enumerate(drafts) if not draft.reason and not draft.is_sure and settings.votes]
        chosen = [drafts[at].problem for at in asked]
        sampling = Sampling(temperature=settings.vote_temperature, max_tokens=settings.vote_max_tokens)
        prompts = [messages.question(problem) for problem in chosen]
        tries = (
            strategies.ask(
                "rewrite votes", chosen, prompts, self._engine, sampling, samples=settings.votes, seed=settings.seed
            )
            if chosen
            else []
        )
        for at, attempts in zip(asked, tries, strict=True):
            is_known = jobs[at].way in KEEPS_ANSWER and bool(drafts[at].problem.answer)
            drafts[at] = _agreed(drafts[at], attempts, settings.agreement, is_known=is_known)
        return [
            draft._replace(reason="no answer: nothing was asked to find it")
            if not draft.reason and not draft.problem.answer
            else draft
            for draft in drafts
        ]


def _noted(draft: Draft, job: _Job) -> Draft:
    """The draft with where it comes from; its set is the original's and the way."""
    if job.way == "keep" or draft.reason:
        return draft
    original = job.problem
    meta = {**draft.problem.meta, "way": job.way, "of": original.id, "by_rule": draft.is_sure}
    name = f"{original.set or original.source}/{job.way}"
    return draft._replace(problem=dataclasses.replace(draft.problem, set=name, meta=meta))


def _agreed(draft: Draft, attempts: Sequence[Attempt], share: float, *, is_known: bool) -> Draft:
    """The draft, verified by solutions; with an answer from them where none is known."""
    problem = draft.problem
    failed = [one for one in attempts if one.finish == "error"]
    if failed:
        return draft._replace(reason=f"engine: {failed[0].error}")
    if asks_engine(problem.kind):
        return draft._replace(reason=f"no agreement: answers of kind {problem.kind} cannot be counted")
    answer, count = majority(attempts)
    if is_known:
        right = [one for one in attempts if one.finish == "stop" and _says(one, problem.answer)]
        answer, count = problem.answer, len(right)
    votes = [count, len(attempts)]
    if not count > share * len(attempts):
        what = f"gave {answer!r:.40}" if is_known else "agree"
        return draft._replace(reason=f"not verified: {count} of {len(attempts)} solutions {what}")
    solution = problem.solution
    if not solution or not is_known:
        solution = next(one.text for one in attempts if one.finish == "stop" and _says(one, answer))
    meta = {name: value for name, value in problem.meta.items() if is_known or name not in _OLD_WORK}
    made = dataclasses.replace(problem, answer=answer, solution=solution, meta={**meta, "votes": votes})
    return draft._replace(problem=made)


def _says(attempt: Attempt, answer: str) -> bool:
    problem = attempt.problem
    return judge(gold=answer, text=attempt.text, kind=problem.kind, question=problem.question).correct
