"""What every stage that grades has in common: its settings, the judge it may ask, and the count of what came out."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, ClassVar, Self, cast

from pydantic import Field

from porism import console, recipe, sandbox, store
from porism.engines import LOADS, Engine
from porism.errors import DataError, RecipeError
from porism.find import find
from porism.graders._scorer import OverSteps, Scorer, is_scored, scorer_of
from porism.records import JUDGED, Attempt, Status, Verdict

__all__ = ["Grading", "GradingSettings", "grading_inputs", "tally"]

_FAILED = (Status.ERROR, Status.TIMEOUT, Status.GOLD_UNPARSED)
_FILE_GRADER = re.compile(rb'"kind": "([^"]+\.py):[^"]+"')
_PROGRAMS = b'"kind": "code"'

GradeAll = Callable[..., list[Verdict]]


class GradingSettings(recipe.Settings):
    """Settings of every stage that grades attempts."""

    not_in_key: ClassVar[frozenset[str]] = frozenset({"max_failed", "max_unjudged"})

    profile: Annotated[str, Field(description="which extraction rules the grader may use")] = "auto"
    judge_model: Annotated[str, Field(description="the model that judges problems of the kind 'judge'")] = ""
    judge_engine: Annotated[str, Field(description="the engine that runs it")] = "local"
    judge_options: Annotated[dict[str, Any], Field(description="settings of that engine")] = {}
    judge_prompt: Annotated[str, Field(description="a file to use instead of the judge's shipped prompt")] = ""
    scorer: Annotated[
        str, Field(description="the reward model or verifier for problems of the kind reward or verifier: its folder")
    ] = ""
    threshold: Annotated[
        float | None, Field(description="right above this: a reward (0), or a verifier's probability (0.5)")
    ] = None
    over_steps: Annotated[
        OverSteps, Field(description="how a process verifier's steps become one: min, last, mean or product")
    ] = "min"
    sandbox: Annotated[str, Field(description="where programs run: auto, bubblewrap, gvisor or unsafe")] = "auto"
    max_failed: Annotated[float, Field(description="stop if a larger share could not be run or graded", ge=0, le=1)] = (
        0.05
    )
    max_unjudged: Annotated[float, Field(description="stop if a larger share is unparsed or truncated", ge=0, le=1)] = (
        0.95
    )


def grading_inputs(settings: GradingSettings, files: Iterable[Path]) -> dict[str, str]:
    """Hashes of what grading reads besides records: weights of judge and scorer, a prompt, graders in own files.

    Where there are programs to run, the sandbox is started, so that nothing is generated in vain.

    Args:
        settings: of the stage.
        files: its record files, which may name a grader as ``path/file.py:name``.

    Raises:
        RecipeError: there is no such sandbox, it cannot be had here, or a grader that scores has no scorer.
    """
    kind = str(getattr(settings, "kind", ""))
    found: dict[str, str] = {}
    if settings.judge_model and settings.judge_engine in LOADS:
        from porism.models.load import fingerprint

        found["judge_model"] = fingerprint(settings.judge_model)
    if settings.scorer:
        from porism.models.load import fingerprint

        found["scorer"] = fingerprint(settings.scorer)
    elif kind and is_scored(kind):
        raise RecipeError(f"the grader {kind!r} asks a model. Set scorer to its folder, such as runs/verifier/model.")
    sandbox.described(settings.sandbox)
    own: set[Path] = set()
    programs = kind == "code"
    for text in (file.read_bytes() for file in files):
        own.update(Path(name.decode()) for name in _FILE_GRADER.findall(text))
        programs = programs or _PROGRAMS in text
    if programs:
        sandbox.ready(settings.sandbox)
    prompt = {Path(settings.judge_prompt).expanduser()} if settings.judge_prompt else set()
    return found | store.hashes(sorted(path for path in own | prompt if path.is_file()))


class Grading:
    """Grades attempts as a stage's settings say; the judge's engine is started when it is first needed.

    Args:
        settings: of the stage.
        grade_all: :func:`porism.graders.grade_all`.
    """

    def __init__(self, settings: GradingSettings, grade_all: GradeAll) -> None:
        self._settings, self._grade_all = settings, grade_all
        self._engine: Engine | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._engine is not None:
            self._engine.close()

    def verdicts(self, attempts: Sequence[Attempt], *, asks: bool) -> list[Verdict]:
        """The verdict on each attempt, in order.

        Args:
            attempts: to grade.
            asks: whether a model has to be asked about one of them.

        Raises:
            RecipeError: a judge or a scorer is needed, and ``judge_model`` or ``scorer`` is not set.
        """
        if not asks:
            return self._grade_all(attempts, self._settings.profile, sandbox=self._settings.sandbox)
        scorer, engine = self._models({one.problem.kind for one in attempts})
        return self._grade_all(
            attempts,
            self._settings.profile,
            engine=engine,
            scorer=scorer,
            sandbox=self._settings.sandbox,
            prompt=self._settings.judge_prompt,
            threshold=self._settings.threshold,
            over_steps=self._settings.over_steps,
        )

    def _models(self, kinds: set[str]) -> tuple[Scorer | None, Engine | None]:
        """The scorer and the judge's engine, where one of the kinds asks them."""
        from porism.graders import asks_engine

        scores = any(is_scored(kind) for kind in kinds)
        if self._engine is None and any(asks_engine(kind) and not is_scored(kind) for kind in kinds):
            self._engine = self._started()
        return scorer_of(self._settings.scorer) if scores else None, self._engine

    def _started(self) -> Engine:
        chosen = self._settings
        if not chosen.judge_model and chosen.judge_engine in LOADS:
            raise RecipeError("problems of the kind 'judge' need a model that judges. Set judge_model.")
        start: Callable[..., Engine] = find("porism.engines", chosen.judge_engine, "start")
        options = recipe.settings_of(start, recipe.Settings)
        started = recipe.bind(start, recipe.build(options, chosen.judge_options, "judge_options"))
        engine: Engine = started(chosen.judge_model)
        return engine


def tally(settings: GradingSettings, out: store.Output) -> None:
    """Count every status and the tokens; stop where too much could not be judged.

    Raises:
        DataError: a share is above its limit. The attempts stay, so a higher limit does not generate again.
    """
    statuses: Counter[str] = Counter()
    tokens = 0
    reasons: Counter[str] = Counter()
    tiers: Counter[str] = Counter()
    for record in store.read(out.records, Attempt):
        attempt = cast("Attempt", record)
        verdict = attempt.verdict or Verdict(status=Status.ERROR)
        statuses[verdict.status] += 1
        tokens += attempt.completion_tokens
        if "sandbox" in verdict.detail:
            tiers[verdict.detail["sandbox"]] += 1
        if verdict.status in _FAILED and verdict.reason:
            reasons[verdict.reason] += 1
    out.counts.update(statuses)
    out.figures["completion_tokens"] = tokens
    if tiers:
        out.figures["sandbox"] = dict(tiers)
    if sandbox.UNSAFE in tiers:
        console.notice(f"  {tiers[sandbox.UNSAFE]:,} programs were run without isolation (sandbox: {sandbox.UNSAFE})")
    total = statuses.total()
    failed = sum(statuses[status] for status in _FAILED)
    unjudged = statuses[Status.UNPARSED] + statuses[Status.TRUNCATED]
    for count, limit, name, why in (
        (failed, settings.max_failed, "max_failed", f"Most often: {reasons.most_common(1)[0][0]}." if reasons else ""),
        (unjudged, settings.max_unjudged, "max_unjudged", "Raise max_tokens, or choose another prompt or profile."),
    ):
        if count > limit * total:
            shown = ", ".join(f"{n} {status}" for status, n in statuses.most_common() if Status(status) not in JUDGED)
            raise DataError(
                f"{count} of {total} attempts could not be judged, more than {name}={limit} allows ({shown}). "
                f"{why} They are in {out.records}."
            )
