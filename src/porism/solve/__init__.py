"""Problems × strategy × engine → graded attempts.

Problems are taken in batches of like length, planned from the input alone; each batch is stored as soon as it is
graded, and the file ends up in the order of the problems. A stage that goes on asks again where the engine had failed.
"""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Annotated, Any, cast

from pydantic import Field

from porism import console, knowledge, recipe, store, strategies
from porism.engines import LOADS, Engine, Sampling
from porism.engines._stage import Staged, kept, with_engine
from porism.errors import DataError
from porism.graders import Grading, GradingSettings, asks_engine, grade_all, grading_inputs, profile_of, tally
from porism.models.load import fingerprint
from porism.prompts import messages, profiles, templates
from porism.records import Attempt, Problem, content_id
from porism.strategies import _prompts, _retrieved

__all__ = ["DEFAULT_PART", "PARTS", "Settings", "inputs", "run", "settings"]

PARTS = "porism.strategies"
DEFAULT_PART = "direct"


class Settings(GradingSettings):
    """Settings of every ``porism solve STRATEGY``."""

    reads = (Problem,)
    makes = (Attempt,)
    not_in_key = GradingSettings.not_in_key | {"retry_errors", "cache"}

    input: Annotated[list[str], Field(description="problem records: files or stage folders")]
    model: Annotated[str, Field(description="an alias, a folder, or a training stage's output")] = "smollm2-135m"
    engine: Annotated[str, Field(description="who generates")] = "local"
    samples: Annotated[int, Field(description="attempts at each problem", ge=1)] = 1
    temperature: Annotated[float, Field(description="0 takes the likeliest token", ge=0)] = 0.0
    top_p: Annotated[float, Field(description="nucleus sampling", gt=0, le=1)] = 1.0
    top_k: Annotated[int, Field(description="only the k likeliest tokens; 0 for all", ge=0)] = 0
    min_p: Annotated[float, Field(description="only tokens this share as likely as the likeliest", ge=0, le=1)] = 0.0
    max_tokens: Annotated[int, Field(description="longest answer", ge=1)] = 256
    stop: Annotated[list[str], Field(description="texts that end an answer")] = []
    seed: Annotated[recipe.Seed, Field(description="of the sampling")] = 0
    problems_at_once: Annotated[int, Field(description="problems in one unit of work", ge=1)] = 64
    retry_errors: Annotated[bool, Field(description="when going on, ask again where the engine failed")] = True
    cache: Annotated[
        bool | None, Field(description="keep replies and use those kept before; left out: for local and vllm")
    ] = None


def settings(part: str, values: Mapping[str, Any]) -> type[Settings]:
    """The settings of a strategy: the verb's, its own, and those of the engine that ``values`` names.

    Raises:
        RecipeError: no such strategy or engine.
    """
    own = recipe.settings_of(strategies.function(part), Settings)
    return with_engine(own, values, f"solve {part}")


def check(part: str, settings: Settings) -> None:
    """Find before anything runs that there are too few worked examples, or that a prompt or a setting does not fit.

    Raises:
        RecipeError: see the strategy, :func:`porism.prompts.messages.shots` and :func:`porism.prompts.templates.load`.
    """
    if ":" in part:
        return
    examples, shots = getattr(settings, "examples", ""), getattr(settings, "shots", 0)
    index = getattr(settings, "index", "")
    if index and shots:
        _retrieved.check(index)
    elif examples and shots:
        messages.shots(examples, shots)
    prompt = getattr(settings, "prompt", "")
    if prompt:
        _prompts.check(prompt, instruction=getattr(settings, "instruction", ""), shots=shots)
    own = getattr(sys.modules[strategies.function(part).__module__], "check", None)
    if own:
        recipe.bind(own, settings)()


def inputs(part: str, settings: Settings) -> dict[str, str]:
    """Hashes of the problem files, of what grading reads, of a shipped prompt, and of the model where one is loaded.

    Raises:
        RecipeError: no such extraction profile.
    """
    profile_of(settings.profile)
    files = [store.locate(path) for path in settings.input]
    found = store.hashes(files) | grading_inputs(settings, files)
    if settings.engine in LOADS and _asks(part, settings):
        found["model"] = fingerprint(getattr(settings, "adapter", "") or settings.model)
    if "/" in settings.profile:
        found["profile"] = profiles.load(settings.profile).hash
    looked_up = getattr(settings, "tool_settings", {}).get("retrieve", {}).get("index", "")
    index = getattr(settings, "index", "") or looked_up
    if index and ":" not in part:
        found["index"] = knowledge.state(index)
    prompt = getattr(settings, "prompt", "")
    if prompt in templates.known() and ":" not in part:
        found["prompt"] = content_id(templates.source(prompt))
    return found


def run(part: str, settings: Settings, out: store.Output) -> None:
    """Attempt and grade every problem.

    Raises:
        DataError: no problems, or too large a share that could not be run or judged.
    """
    problems = [cast("Problem", record) for path in settings.input for record in store.read(path, Problem)]
    if not problems:
        raise DataError(f"{', '.join(settings.input)}: no problems in the input.")
    sampling = Sampling(
        temperature=settings.temperature,
        top_p=settings.top_p,
        top_k=settings.top_k,
        min_p=settings.min_p,
        max_tokens=settings.max_tokens,
        stop=tuple(settings.stop),
    )
    solve = strategies.bind(part, settings, problems)
    asks = any(asks_engine(kind) for kind in {problem.kind for problem in problems})
    with Grading(settings, grade_all) as grading, Staged(settings.engine, settings.model, settings, out) as started:
        engine = _kept(settings, out, started) if _asks(part, settings) else started

        def work(places: Sequence[int]) -> Iterator[store.Placed]:
            chosen = [problems[at] for at in places]
            tries = strategies.check(part, chosen, solve(chosen, engine, sampling))
            placed = [
                (at * settings.samples + number, attempt)
                for at, attempts in zip(places, tries, strict=True)
                for number, attempt in enumerate(attempts)
            ]
            verdicts = grading.verdicts([attempt for _, attempt in placed], asks=asks)
            for (at, attempt), verdict in zip(placed, verdicts, strict=True):
                yield store.Placed(at, dataclasses.replace(attempt, verdict=verdict))

        plan = _plan(range(len(problems)), problems, settings.problems_at_once)
        failed = out.places(lambda row: row.get("finish") == "error") if settings.retry_errors else []
        again = _plan(sorted({at // settings.samples for at in failed}), problems, settings.problems_at_once)
        try:
            out.process(plan, work, title=f"solving {len(problems)} problems", unit="problems", again=again)
        finally:
            started.account()
    taken = getattr(engine, "taken", 0)
    if taken:
        out.figures["samples_from_cache"] = taken
        console.notice(f"  {taken:,} samples were made before and came from the cache")
    tally(settings, out)


def _asks(part: str, settings: Settings) -> bool:
    """Whether a model is asked: not by a strategy that needs none, nor where stored attempts are chosen among."""
    return strategies.asks_engine(part) and not getattr(settings, "attempts", [])


def _plan(places: Iterable[int], problems: Sequence[Problem], size: int) -> list[list[int]]:
    """Batches of problems of like length, the longest first: little padding, and the slowest batch is seen at once."""
    ordered = sorted(places, key=lambda at: (-len(problems[at].question), at))
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def _kept(settings: Settings, out: store.Output, engine: Staged) -> Engine:
    """The engine behind the cache of replies, where it is wanted."""
    known = out.manifest.key.inputs.get("model", "") if out.manifest else ""
    return kept(engine, settings, known, wanted=settings.cache)
