"""The E-step of PromptCoT 2.0: the likeliest of several rationales for each problem, as rows to train the writer with.

The input holds problems that name their concepts, or problems and what ``concepts-extract`` made of them. The records
are rows for the writer p (concepts → rationale and problem); ``posterior.jsonl`` holds rows for q (concepts and problem
→ rationale). The M-step is ``train sft`` on them; both together are a recipe with ``repeat``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import fmean
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from porism import store
from porism.engines import LOADS
from porism.errors import DataError
from porism.models.load import fingerprint
from porism.records import Concepts, Example, Message, Problem, content_id
from porism.synth import _blocks
from porism.synth._drops import count_drops
from porism.synth._engines import AskSettings, Engines, model_hash
from porism.synth._posterior import Case, Rationale, asked, best, draw, score
from porism.synth._writing import prompt

__all__ = ["Settings", "inputs", "run"]


class Settings(AskSettings):
    """Settings of ``porism synth concepts-rationales``."""

    reads = (Problem, Concepts)
    makes = (Example,)

    input: Annotated[list[str], Field(description="problems that name their concepts; or problems, and their concepts")]
    posterior: Annotated[str, Field(description="the model q, which draws rationales; the same model if empty")] = ""
    samples: Annotated[int, Field(description="rationales to choose from", ge=1)] = 8
    temperature: Annotated[float, Field(description="of the rationales", ge=0)] = 1.0
    rationale_tokens: Annotated[int, Field(description="longest rationale", ge=1)] = 1024
    at_once: Annotated[int, Field(description="problems in one unit of work", ge=1)] = 16

    @model_validator(mode="after")
    def _together(self) -> Self:
        """Refuse several rationales that would all be the same.

        Raises:
            ValueError: they would.
        """
        if self.samples > 1 and not self.temperature:
            raise ValueError("temperature: at 0 all rationales would be the same. Set it, to 1 say, or samples to 1.")
        return self


def inputs(settings: Settings) -> dict[str, str]:
    """Hashes of the records, of the models that are loaded, and of the prompts."""
    found = store.hashes(store.locate(path) for path in settings.input) | model_hash(settings)
    found["prompts"] = content_id([_blocks.template(name) for name in ("math", "code", "posterior")])
    if settings.posterior and settings.engine in LOADS:
        found["posterior"] = fingerprint(settings.posterior)
    return found


def run(settings: Settings, out: store.Output) -> None:
    """Draw, score and choose.

    Raises:
        DataError: no problem names its concepts, or the engine failed too often.
        ModelError: the engine cannot score.
    """
    cases = _cases(settings.input)
    units = [
        range(start, min(start + settings.at_once, len(cases))) for start in range(0, len(cases), settings.at_once)
    ]
    with Engines(settings, out) as engines:
        writer = engines.own
        apart = settings.posterior not in ("", settings.model)
        explains = (
            engines.other(settings.engine, settings.posterior, _plain(settings), "posterior_") if apart else writer
        )

        def work(places: Sequence[int]) -> Iterator[store.Placed]:
            chosen = [case for at in places if isinstance(case := cases[at], Case)]
            drawn = draw(
                chosen,
                explains,
                samples=settings.samples,
                temperature=settings.temperature,
                max_tokens=settings.rationale_tokens,
                seed=settings.seed,
            )
            scored = score(chosen, [texts for texts, _ in drawn], writer)
            found = iter(zip(scored, drawn, strict=True))
            for at in places:
                case = cases[at]
                if isinstance(case, Case):
                    rationales, (_, error) = next(found)
                    yield from _placed(2 * at, case, rationales, error)
                else:
                    yield store.Placed(2 * at, case, "no concepts: it names none, and no record of concepts is its own")

        out.process(units, work, title=f"synth concepts-rationales: {len(cases)} problems", unit="problems")
    count_drops(out, "synth concepts-rationales", settings.max_failed, allow_empty=settings.allow_empty)
    if out.counts["records"]:
        out.figures |= _figures(out)


def _plain(settings: Settings) -> Settings:
    """The settings without the adapter, which is the writer's."""
    return settings.model_copy(update={"adapter": ""}) if getattr(settings, "adapter", "") else settings


def _placed(at: int, case: Case, rationales: Sequence[Rationale], error: str) -> Iterator[store.Placed]:
    """The rows of one problem, for the writer and for q; a reason where there is no rationale."""
    if not rationales:
        yield store.Placed(
            at, case.problem, f"engine: {error}" if error else "no rationale: none of the samples can be used"
        )
        return
    place = best(rationales)
    chosen = rationales[place]
    text = _blocks.assembled(chosen.text, case.problem.question)
    complaint = _blocks.parse(text).complaint
    if complaint:  # the problem itself holds a mark
        yield store.Placed(at, case.problem, complaint)
        return
    meta: dict[str, Any] = {
        "problem": case.problem.id,
        "concepts": list(case.concepts.concepts),
        "level": case.concepts.level,
        "chosen": place,
        "log_likelihood": round(chosen.joint, 4),
        "tokens": chosen.tokens,
        "scores": [[round(one.of_rationale, 4), round(one.of_problem, 4)] for one in rationales],
    }
    whole = Message(role="assistant", content=text)
    marked = f"{_blocks.BEGIN_RATIONALE}\n{chosen.text}\n{_blocks.END_RATIONALE}"
    yield store.Placed(at, Example(prompt=prompt(case.concepts), completion=[whole], meta=meta))
    explained = [Message(role="assistant", content=marked)]
    yield store.Placed(at + 1, Example(prompt=asked(case), completion=explained, meta=meta), part="posterior")


def _cases(paths: Sequence[str]) -> list[Case | Problem]:
    """The problems with their concepts, each once, in order; one without concepts alone.

    Raises:
        DataError: no problem has concepts.
    """
    problems: dict[str, Problem] = {}
    concepts: dict[str, Concepts] = {}
    for path in paths:
        for record in store.read(path, Problem, Concepts):
            if isinstance(record, Problem):
                problems.setdefault(record.id, record)
            elif isinstance(record, Concepts) and "problem" in record.meta:
                concepts.setdefault(str(record.meta["problem"]), record)
    found: list[Case | Problem] = []
    for name, problem in problems.items():
        own = concepts.get(name) or _own(problem)
        found.append(problem if own is None else Case(own, problem))
    if not any(isinstance(one, Case) for one in found):
        raise DataError(
            f"{', '.join(paths)}: expected problems that name their concepts, or problems and the concepts that "
            "'porism synth concepts-extract' found in them; no problem has any."
        )
    return found


def _own(problem: Problem) -> Concepts | None:
    """The concepts that a problem names."""
    names = problem.meta.get("concepts")
    if not isinstance(names, list) or not names or not all(isinstance(name, str) and name for name in names):
        return None
    domain = "code" if problem.kind == "code" else "math"
    return Concepts(concepts=names, level=str(problem.meta.get("level", "")), subject=problem.group, domain=domain)


def _figures(out: store.Output) -> dict[str, Any]:
    """Mean log-likelihoods in nats: of what was chosen, of all that was drawn, and per token of what was chosen."""
    metas = [row["meta"] for _, row in store.rows(out.records)]
    drawn = [sum(scores) for meta in metas for scores in meta["scores"]]
    return {
        "log_likelihood": round(fmean(meta["log_likelihood"] for meta in metas), 4),
        "log_likelihood_drawn": round(fmean(drawn), 4),
        "log_likelihood_per_token": round(
            sum(meta["log_likelihood"] for meta in metas) / sum(meta["tokens"] for meta in metas), 6
        ),
        "rationales": len(drawn),
    }
