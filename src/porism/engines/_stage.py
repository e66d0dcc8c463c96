"""What every stage that generates has in common: an engine by name with its own settings, started when it is needed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from threading import Event
from typing import Any, Self, TypeVar

from porism import recipe, store
from porism.engines import LOADS, Engine, OnText, Reply, Request, cached
from porism.errors import RecipeError
from porism.find import find, names
from porism.models.machine import choose_dtype, choose_threads

__all__ = ["FAILED", "Staged", "kept", "starter", "with_engine"]

FAILED = "failed_requests.jsonl"
"""Beside the records: requests to a server that failed for good."""

S = TypeVar("S", bound=recipe.Settings)


def starter(engine: str) -> Callable[..., Engine]:
    """The function that starts an engine; its keyword-only parameters are the engine's settings.

    Raises:
        RecipeError: no such engine.
    """
    start: Callable[..., Engine] = find("porism.engines", engine, "start")
    return start


def with_engine(base: type[S], values: Mapping[str, Any], label: str) -> type[S]:
    """A stage's settings with those of the engine that ``values`` names.

    Args:
        base: the stage's own, with a field ``engine``.
        values: what the user has set.
        label: what the stage is called in messages, such as ``solve cot``.

    Raises:
        RecipeError: no such engine, or a setting that another engine has.
    """
    chosen = str(values.get("engine", base.model_fields["engine"].default))
    found = recipe.settings_of(starter(chosen), base)
    unknown = [name for name in values if name not in found.model_fields]
    for other in names("porism.engines") if unknown else ():
        foreign = [name for name in unknown if name in recipe.settings_of(starter(other), recipe.Settings).model_fields]
        if foreign:
            raise RecipeError(
                f"{label}: {foreign[0]!r} is a setting of the engine {other!r}, and the engine is {chosen!r}. "
                f"Leave it out, or set engine to {other}."
            )
    return found


class Staged:
    """An engine that is started when it is first asked, so that a finished or engine-free stage loads no model.

    Args:
        engine: its name.
        model: what it is to run.
        settings: among which its own are found.
        out: of the stage; a resumed stage keeps dtype and threads of the machine that it began on.
        prefix: tells the engines of one stage apart in its manifest.
    """

    def __init__(
        self, engine: str, model: str, settings: recipe.Settings, out: store.Output, *, prefix: str = ""
    ) -> None:
        self.name, self._model, self._out, self._prefix = engine, model, out, prefix
        self._start = recipe.bind(starter(engine), settings)
        self._engine: Engine | None = None

    @property
    def model(self) -> str:
        """Fingerprint of the weights that answer."""
        return self._started().model

    @property
    def takes_first(self) -> bool:
        """Whether the engine can make the later samples of a request alone."""
        return bool(getattr(self._started(), "takes_first", False))

    @functools.cached_property
    def fixed(self) -> dict[str, Any]:
        """What a resumed stage keeps of the machine: dtype and threads, where a model is loaded here."""
        return {
            name: self._out.keep(f"{self._prefix}{name}", choose(self._start.keywords[name]))
            for name, choose in (("dtype", choose_dtype), ("threads", choose_threads))
            if name in self._start.keywords and self.name != "vllm"  # which may have a GPU that torch here lacks
        }

    def generate(
        self, requests: Sequence[Request], *, on_text: OnText | None = None, cancel: Event | None = None
    ) -> list[Reply]:
        """Answer every request; see :class:`porism.engines.Engine`.

        Raises:
            RecipeError: an engine of the user's own does not keep to the contract.
        """
        wanted = {name: value for name, value in (("on_text", on_text), ("cancel", cancel)) if value is not None}
        replies: list[Reply] = self._started().generate(requests, **wanted)  # type: ignore[arg-type]  # by name
        found = [len(reply.samples) for reply in replies if isinstance(reply, Reply)]
        if found != [request.n for request in requests]:
            raise RecipeError(
                f"engine {self.name}: expected a Reply to each of {len(requests)} requests, in order, with "
                f"the number of samples that it asks for, got {replies!r:.120}."
            )
        return replies

    def score(self, pairs: Sequence[tuple[Request, str]]) -> list[list[float]]:
        """Log-probabilities; see :class:`porism.engines.Engine`."""
        return self._started().score(pairs)

    def account(self) -> None:
        """Add what an engine behind HTTP has used to the manifest, at once: a stage that is cut off has paid too."""
        usage = getattr(self._engine, "usage", None)
        manifest = self._out.manifest
        if not isinstance(usage, tuple) or manifest is None:
            return
        for name, value in usage._asdict().items():  # type: ignore[attr-defined]  # a named tuple
            figure = f"{self._prefix}engine_{name}"
            self._out.figures[figure] = manifest.figures[figure] = manifest.figures.get(figure, 0) + value
        self._out.save()

    def close(self) -> None:
        """Release the engine, if it was started."""
        if self._engine:
            self._engine.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _started(self) -> Engine:
        if self._engine is None:
            wanted = self._start.keywords.get("failed") == ""
            kept = {"failed": str(self._out.beside(f"{self._prefix}{FAILED}"))} if wanted else {}
            engine = self._start(self._model, **self.fixed, **kept)
            lacking = [name for name in ("model", "generate", "close") if not hasattr(engine, name)]
            if lacking:
                raise RecipeError(
                    f"engine {self.name}: expected start(model, …) to return an engine, got "
                    f"{engine!r:.80}, which lacks {', '.join(lacking)}."
                )
            self._engine = engine
        return self._engine


def kept(engine: Staged, settings: recipe.Settings, model: str, *, wanted: bool | None) -> Engine:
    """The engine behind the cache of replies, where it is wanted.

    Args:
        engine: who makes what is not there.
        settings: among which its own are found.
        model: fingerprint of its weights, where it is known without starting the engine.
        wanted: whether to keep replies; None: for engines that load a model.
    """
    if not (engine.name in LOADS if wanted is None else wanted):
        return engine
    own = recipe.settings_of(starter(engine.name), recipe.Settings)
    apart = own.not_in_key | {"threads", "batch_size"}  # which change the speed
    made_by = {name: getattr(settings, name) for name in own.model_fields if name not in apart}
    made_by |= {"dtype": engine.fixed["dtype"]} if engine.name == "local" else {}
    return cached(engine, model or engine.model, {**made_by, "engine": engine.name}, single=engine.name == "local")
