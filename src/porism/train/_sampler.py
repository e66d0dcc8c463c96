"""Who makes the roll-outs: the network that is trained, a copy of it, or a server that is given its weights.

Each says which weights answered: the number of optimiser steps that they have seen.
"""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from porism import recipe
from porism.engines import Engine, Reply, Request
from porism.engines._stage import starter
from porism.errors import ModelError, RecipeError
from porism.train._answers import generating
from porism.train._rolling import Rolling

if TYPE_CHECKING:
    from porism.models.load import Loaded

__all__ = ["Copied", "Live", "Sampler", "Served", "sampler"]


class Sampler(Protocol):
    """Makes roll-outs."""

    version: int
    """Optimiser steps that the weights have seen which answer."""
    corrected: bool
    """Whether its log-probabilities are those of another program or other weights than the trainer's."""

    def sync(self, version: int) -> None:
        """Take the trainer's weights as they are now."""

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer every request."""

    def close(self) -> None:
        """Release what is held."""


class Live:
    """The very weights that are trained: there is nothing to take over.

    Args:
        loaded: the network in training, with its tokenizer.
        batch_size: most answers at once.
    """

    corrected = False

    def __init__(self, loaded: Loaded, batch_size: int = 256) -> None:
        from porism.engines.local import Local

        self._network = loaded.model
        self._engine = Local(loaded, batch_size)
        self.version = 0

    def sync(self, version: int) -> None:
        """Only the number changes."""
        self._engine.weights_changed()
        self.version = version

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer every request."""
        with generating(self._network):
            return self._engine.generate(requests)

    def close(self) -> None:
        """Nothing is held."""


class Copied:
    """A copy of the weights, which answers while the trainer's change, or in a faster dtype.

    Args:
        loaded: the network in training, with its tokenizer.
        dtype: of the copy.
        batch_size: most answers at once.
        corrected: see :class:`Sampler`.
    """

    def __init__(self, loaded: Loaded, dtype: Any, batch_size: int = 256, *, corrected: bool) -> None:
        from porism.engines.local import Local

        self._trained: Any = loaded.model
        self._network = copy.deepcopy(loaded.model).to(dtype).eval().requires_grad_(False)
        self._network.set_attn_implementation("sdpa")
        self._engine = Local(loaded._replace(model=self._network), batch_size)
        self.version, self.corrected = 0, corrected

    def sync(self, version: int) -> None:
        """Copy all weights."""
        import torch

        with torch.no_grad():
            theirs = dict(self._trained.named_parameters())
            for name, own in self._network.named_parameters():
                own.copy_(theirs[name])
        self._engine.weights_changed()
        self.version = version

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer every request."""
        return self._engine.generate(requests)

    def close(self) -> None:
        """Drop the copy."""
        self._engine.close()


class Served:
    """A vLLM server that is given the weights after each iteration, and probed for whether it has them.

    Args:
        engine: the server.
        network: what is trained.
        save: writes the network into a folder, as a model or an adapter.
        folder: where the weights are handed over.
    """

    corrected = True

    def __init__(self, engine: Any, network: Any, save: Callable[[Path], None], folder: Path) -> None:
        self._engine, self._network, self._save, self._folder = engine, network, save, folder
        self.version = 0

    def sync(self, version: int) -> None:
        """Write the weights and let the server load them; it compares log-probabilities of fixed texts.

        Raises:
            ModelError: the server does not take them, or says something else than the network.
        """
        target = self._folder / f"weights-{version}"
        self._save(target)
        with generating(self._network):
            self._engine.swap(target, network=self._network)
        for other in self._folder.glob("weights-*"):
            if other != target:
                shutil.rmtree(other, ignore_errors=True)
        self.version = version

    def generate(self, requests: Sequence[Request]) -> list[Reply]:
        """Answer every request.

        Raises:
            ModelError: the server has died, or does not tell tokens and their log-probabilities.
        """
        replies: list[Reply] = self._engine.generate(requests)
        for reply in replies:
            for sample in reply.samples:
                if sample.finish != "error" and not (sample.ids and len(sample.ids) == len(sample.logprobs)):
                    raise ModelError(
                        "the server does not tell the tokens of its answers and their log-probabilities, without which "
                        "nothing can be learnt from them. Take vLLM 0.32 or later, or engine local."
                    )
        return replies

    def close(self) -> None:
        """End the server."""
        self._engine.close()


def sampler(
    settings: Rolling, loaded: Loaded, dtype: Any, save: Callable[[Path], None], folder: Callable[[], Path]
) -> Sampler:
    """The sampler that the settings ask for.

    Args:
        settings: engine, its options, staleness.
        loaded: the network in training, with its tokenizer.
        dtype: in which training computes.
        save: writes the network into a folder.
        folder: where weights may be handed over; asked for where they are.

    Raises:
        RecipeError: an option that the engine does not have.
    """
    import torch

    if settings.engine == "local":
        size = _options(settings, {"batch_size"}).get("batch_size", 256)
        if settings.staleness or dtype != torch.float32:
            return Copied(loaded, dtype, size, corrected=bool(settings.staleness))
        return Live(loaded, size)
    start = starter(settings.engine)
    options = recipe.build(recipe.settings_of(start, recipe.Settings), settings.engine_options, "engine_options")
    engine: Engine = recipe.bind(start, options)(settings.model)
    return Served(engine, loaded.model, save, folder())


def _options(settings: Rolling, known: set[str]) -> Mapping[str, Any]:
    unknown = sorted(set(settings.engine_options) - known)
    if unknown:
        raise RecipeError(
            f"engine_options: unknown setting {unknown[0]!r} of the engine local in training. Known: "
            f"{', '.join(sorted(known))}."
        )
    return settings.engine_options
