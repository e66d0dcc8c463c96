"""Problems × strategy × engine → graded attempts.

Problems are taken in batches of like length, planned from the input alone; each batch is stored as soon as it is
graded, and the file ends up in the order of the problems. A stage that goes on asks again where the engine had failed.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from threading import Event
from typing import Annotated, Any, Self, cast

from pydantic import Field

from porism import console, recipe, store, strategies
from porism.engines import LOADS, Engine, OnText, Reply, Request, Sampling, cached
from porism.errors import DataError, RecipeError
from porism.find import find, names
from porism.graders import Grading, GradingSettings, asks_engine, grade_all, grading_inputs, profile_of, tally
from porism.models.load import fingerprint
from porism.models.machine import choose_dtype, choose_threads
from porism.prompts import messages, templates
from porism.records import Attempt, Problem, content_id
from porism.strategies import _prompts

__all__ = ["DEFAULT_PART", "PARTS", "Settings", "inputs", "run", "settings"]

PARTS = "porism.strategies"
DEFAULT_PART = "direct"
FAILED = "failed_requests.jsonl"
"""Beside the attempts: requests to a server that failed for good."""


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
    chosen = str(values.get("engine", Settings.model_fields["engine"].default))
    own = recipe.settings_of(strategies.function(part), Settings)
    found = recipe.settings_of(_engine(chosen), own)
    unknown = [name for name in values if name not in found.model_fields]
    for other in names("porism.engines") if unknown else ():
        foreign = [name for name in unknown if name in recipe.settings_of(_engine(other), recipe.Settings).model_fields]
        if foreign:
            raise RecipeError(
                f"solve {part}: {foreign[0]!r} is a setting of the engine {other!r}, and the engine is {chosen!r}. "
                f"Leave it out, or set engine to {other}."
            )
    return found


def check(part: str, settings: Settings) -> None:
    """Find before anything runs that there are fewer worked examples than shots, or that the prompt template is wrong.

    Raises:
        RecipeError: see :func:`porism.prompts.messages.shots` and :func:`porism.prompts.templates.load`.
    """
    if ":" in part:
        return
    examples, shots = getattr(settings, "examples", ""), getattr(settings, "shots", 0)
    if examples and shots:
        messages.shots(examples, shots)
    prompt = getattr(settings, "prompt", "")
    if prompt:
        _prompts.check(prompt, instruction=getattr(settings, "instruction", ""), shots=shots)


def inputs(part: str, settings: Settings) -> dict[str, str]:
    """Hashes of the problem files, of what grading reads, of a shipped prompt, and of the model where one is loaded.

    Raises:
        RecipeError: no such extraction profile.
    """
    profile_of(settings.profile)
    files = [store.locate(path) for path in settings.input]
    found = store.hashes(files) | grading_inputs(settings, files)
    if settings.engine in LOADS and strategies.asks_engine(part):
        found["model"] = fingerprint(getattr(settings, "adapter", "") or settings.model)
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
    solve = strategies.bind(part, settings)
    asks = any(asks_engine(kind) for kind in {problem.kind for problem in problems})
    with Grading(settings, grade_all) as grading, _OnDemand(settings, out) as started:
        engine = _kept(settings, out, started) if strategies.asks_engine(part) else started

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


def _engine(name: str) -> Callable[..., Engine]:
    start: Callable[..., Engine] = find("porism.engines", name, "start")
    return start


def _plan(places: Iterable[int], problems: Sequence[Problem], size: int) -> list[list[int]]:
    """Batches of problems of like length, the longest first: little padding, and the slowest batch is seen at once."""
    ordered = sorted(places, key=lambda at: (-len(problems[at].question), at))
    return [ordered[start : start + size] for start in range(0, len(ordered), size)]


def _kept(settings: Settings, out: store.Output, engine: _OnDemand) -> Engine:
    """The engine behind the cache of replies, where it is wanted."""
    wanted = settings.engine in LOADS if settings.cache is None else settings.cache
    if not wanted or out.manifest is None:
        return engine
    own = recipe.settings_of(_engine(settings.engine), recipe.Settings)
    apart = own.not_in_key | {"threads", "batch_size"}  # which change the speed
    made_by = {name: getattr(settings, name) for name in own.model_fields if name not in apart}
    made_by |= {"dtype": engine.fixed["dtype"]} if settings.engine == "local" else {}
    model = out.manifest.key.inputs.get("model") or engine.model
    return cached(engine, model, {**made_by, "engine": settings.engine}, single=settings.engine == "local")


class _OnDemand:
    """An engine that is started when it is first asked, so that a finished or engine-free stage loads no model."""

    def __init__(self, settings: Settings, out: store.Output) -> None:
        self._settings, self._out = settings, out
        self._engine: Engine | None = None

    @property
    def model(self) -> str:
        return self._started().model

    @property
    def takes_first(self) -> bool:
        return bool(getattr(self._started(), "takes_first", False))

    @functools.cached_property
    def fixed(self) -> dict[str, Any]:
        """What a resumed stage keeps of the machine: dtype and threads, where a model is loaded here."""
        start = recipe.bind(_engine(self._settings.engine), self._settings)
        return {
            name: self._out.keep(name, choose(start.keywords[name]))
            for name, choose in (("dtype", choose_dtype), ("threads", choose_threads))
            if name in start.keywords and self._settings.engine != "vllm"  # which may have a GPU that torch here lacks
        }

    def generate(
        self, requests: Sequence[Request], *, on_text: OnText | None = None, cancel: Event | None = None
    ) -> list[Reply]:
        wanted = {name: value for name, value in (("on_text", on_text), ("cancel", cancel)) if value is not None}
        replies: list[Reply] = self._started().generate(requests, **wanted)  # type: ignore[arg-type]  # by name
        found = [len(reply.samples) for reply in replies if isinstance(reply, Reply)]
        if found != [request.n for request in requests]:
            raise RecipeError(
                f"engine {self._settings.engine}: expected a Reply to each of {len(requests)} requests, in order, with "
                f"the number of samples that it asks for, got {replies!r:.120}."
            )
        return replies

    def score(self, pairs: Sequence[tuple[Request, str]]) -> list[list[float]]:
        return self._started().score(pairs)

    def account(self) -> None:
        """Add what an engine behind HTTP has used to the manifest, at once: a stage that is cut off has paid too."""
        usage = getattr(self._engine, "usage", None)
        manifest = self._out.manifest
        if not isinstance(usage, tuple) or manifest is None:
            return
        for name, value in usage._asdict().items():  # type: ignore[attr-defined]  # a named tuple
            figure = f"engine_{name}"
            self._out.figures[figure] = manifest.figures[figure] = manifest.figures.get(figure, 0) + value
        self._out.save()

    def close(self) -> None:
        if self._engine:
            self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _started(self) -> Engine:
        if self._engine is None:
            start = recipe.bind(_engine(self._settings.engine), self._settings)
            kept = {"failed": str(self._out.beside(FAILED))} if start.keywords.get("failed") == "" else {}
            engine = start(self._settings.model, **self.fixed, **kept)
            lacking = [name for name in ("model", "generate", "close") if not hasattr(engine, name)]
            if lacking:
                raise RecipeError(
                    f"engine {self._settings.engine}: expected start(model, …) to return an engine, got "
                    f"{engine!r:.80}, which lacks {', '.join(lacking)}."
                )
            self._engine = engine
        return self._engine
