"""Engines of a stage that asks several models: the one that writes, and judges of their own."""

from __future__ import annotations

from contextlib import ExitStack
from types import TracebackType
from typing import Annotated, Any, ClassVar, Self

from pydantic import Field

from porism import recipe, store
from porism.engines import LOADS, Engine
from porism.engines._stage import Staged, kept, starter
from porism.models.load import fingerprint

__all__ = ["AskSettings", "Engines", "model_hash", "other_options"]


class AskSettings(recipe.Settings):
    """Settings of every part that asks a model about concepts or problems."""

    not_in_key: ClassVar[frozenset[str]] = frozenset({"max_failed", "allow_empty", "cache"})

    model: Annotated[str, Field(description="who is asked: an alias, a folder, or a training stage")] = "smollm2-135m"
    engine: Annotated[str, Field(description="who runs it")] = "local"
    seed: Annotated[recipe.Seed, Field(description="of the sampling")] = 0
    at_once: Annotated[int, Field(description="records in one unit of work", ge=1)] = 64
    max_failed: Annotated[float, Field(description="stop if the engine failed on a larger share", ge=0, le=1)] = 0.05
    allow_empty: Annotated[bool, Field(description="keeping nothing is no error")] = False
    cache: Annotated[
        bool | None, Field(description="keep replies and use those kept before; left out: for local and vllm")
    ] = None


def model_hash(settings: AskSettings) -> dict[str, str]:
    """The fingerprint of the model, where one is loaded."""
    if settings.engine not in LOADS:
        return {}
    return {"model": fingerprint(getattr(settings, "adapter", "") or settings.model)}


def other_options(engine: str, given: dict[str, Any], name: str) -> recipe.Settings:
    """The settings of another engine than the stage's own.

    Args:
        engine: its name.
        given: what the user has set.
        name: the setting that holds it, for messages.

    Raises:
        RecipeError: no such engine, or a setting that it has not.
    """
    return recipe.build(recipe.settings_of(starter(engine), recipe.Settings), given, name)


class Engines:
    """The engines of one stage, each started when it is first asked, closed with the block.

    Args:
        settings: of the stage.
        out: its output.
    """

    def __init__(self, settings: AskSettings, out: store.Output) -> None:
        self._settings, self._out = settings, out
        self._stack = ExitStack()
        self._started: list[Staged] = []
        known = out.manifest.key.inputs.get("model", "") if out.manifest else ""
        self.own = self._open(settings.engine, settings.model, settings, known, "")
        """The stage's own engine."""

    def other(self, engine: str, model: str, options: recipe.Settings, prefix: str) -> Engine:
        """Another engine.

        Args:
            engine: its name.
            model: what it runs.
            options: its settings.
            prefix: tells it apart in the manifest.
        """
        known = fingerprint(model) if engine in LOADS and not getattr(options, "adapter", "") else ""
        return self._open(engine, model, options, known, prefix)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for staged in self._started:
            staged.account()
        self._stack.__exit__(kind, error, trace)

    def _open(self, engine: str, model: str, options: recipe.Settings, known: str, prefix: str) -> Engine:
        staged = self._stack.enter_context(Staged(engine, model, options, self._out, prefix=prefix))
        self._started.append(staged)
        return kept(staged, options, known, wanted=self._settings.cache)
