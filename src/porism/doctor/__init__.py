"""The preflight: what is wrong with this machine, a model or its training data, found before time is spent on it.

Each check is one line with a status, what was found, and what to do. Nothing is changed, no weights are loaded, and
hosts are asked only where that is wanted.
"""

from __future__ import annotations

from collections.abc import Iterator

from porism.doctor._checks import Check, Options, Piece, Preview, Status
from porism.doctor._show import as_json, show
from porism.errors import UserError

__all__ = ["Check", "Options", "Piece", "Preview", "Status", "as_json", "examine", "show"]


def examine(model: str = "", data: str = "", options: Options | None = None) -> Iterator[Check | Preview]:
    """Every check that applies, as it is made.

    Args:
        model: an alias, a folder, or whatever else a command takes as a model; nothing to look at the machine alone.
        data: training rows, a file or a stage's folder, which are tokenised as ``model`` does.
        options: what to assume, and what else to look at.

    Raises:
        RecipeError: an unknown method, or settings that no training could have.
    """
    from porism.doctor import _data, _environment, _memory, _model, _network, _sandbox, _template

    chosen = options or Options()
    _memory.check(chosen)
    yield from _environment.checks()
    if chosen.sandbox:
        yield from _sandbox.checks()
    if chosen.network:
        yield from _network.checks()
    if not model:
        return
    found = _model.Found(model)
    yield from found.checks()
    if found.tokenizer is not None:
        yield from _template.checks(found.tokenizer, found.config, found.generation)
    lengths: list[tuple[int, int]] = []
    previews: list[Preview] = []
    if data:
        try:
            for item in _data.checks(data, found.tokenizer, chosen, lengths):
                if isinstance(item, Preview):
                    previews.append(item)
                else:
                    yield item
        except UserError as error:
            yield Check("data", "rows", Status.FAILED, str(error))
    if found.config is not None and found.parameters:
        yield _memory.estimated(found.config, found.parameters, lengths, chosen)
    yield from previews
