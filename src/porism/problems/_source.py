"""Where the rows of a data set come from: a file or folder here, or a hub.

A published set's files are looked for in ``path``, else in ``$PORISM_DATA``, ``../shared/data`` and ``data``. A hub is
asked only where that is wanted (``fetch``), so that a mistyped folder never becomes a request. :func:`published` makes
the whole of such a source from what its rows mean.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_type_hints

from pydantic import Field

from porism import console
from porism.errors import DataError
from porism.files import read_text
from porism.models import names
from porism.problems import MissingData, Unreadable, _rows, _splits
from porism.problems._rows import DEEP, Row
from porism.recipe import NOT_IN_KEY
from porism.records import Problem

if TYPE_CHECKING:
    from porism.models.datasets import Dataset

__all__ = [
    "DataHosts",
    "Endpoint",
    "Fetch",
    "Folder",
    "Place",
    "PlaceSetting",
    "Source",
    "Update",
    "hub_rows",
    "local",
    "looked_up",
    "published",
]

PlaceSetting = Annotated[str, Field(description="the file, or the folder that holds it; looked for if empty")]
Fetch = Annotated[
    str,
    Field(description="fetch it where no file is here: hf, modelscope, or its name on a hub (org/name, modelscope:…)"),
]
Endpoint = Annotated[str, Field(description="a mirror to fetch from, such as https://hf-mirror.com"), NOT_IN_KEY]
DataHosts = Annotated[list[str], Field(description="further hosts that the mirror may send to"), NOT_IN_KEY]
Update = Annotated[bool, Field(description="ask the hub what a branch is now, though that is known"), NOT_IN_KEY]

_CONVERTED = "refs/convert/parquet"
_CARD = "README.md"
_HUBS_OWN = (_CARD, "dataset_dict.json", "**/*.parquet")
"""What tells a folder that came from a hub, or from the ``datasets`` library."""


class Source(NamedTuple):
    """A published set: how its files are called, and where it lies."""

    title: str
    files: Sequence[str]
    """Names that are looked for in a folder, the split filled in; ``*`` stands for anything."""
    hub: str = ""
    """``org/name`` on the Hugging Face hub."""
    modelscope: str = ""
    config: str = ""
    splits: Mapping[str, str] = {}
    """Split → how the files call it, where that differs."""
    origin: str = ""
    """Where a person finds it."""


class Place(NamedTuple):
    """The settings that say where a set is."""

    path: PlaceSetting = ""
    fetch: Fetch = ""
    endpoint: Endpoint = ""
    data_host: DataHosts = []
    update: Update = False


class Folder(NamedTuple):
    """A data set's folder: a clone of a hub's repository, or what the ``datasets`` library saved."""

    place: Path

    def chosen(self, config: str, split: str) -> list[Path]:
        """The files of a configuration and a split.

        Raises:
            DataError: there is none.
        """
        card = self.place / _CARD
        paths = [path.relative_to(self.place).as_posix() for path in self.place.rglob("*") if path.is_file()]
        text = read_text(card) if card.is_file() else ""
        return [self.place / path for path in _splits.choose(paths, text, config, split, str(self.place))]


Make = Callable[..., Problem | None]
Load = Callable[..., Iterator[Problem | Unreadable]]
Files = Callable[..., list[Path]]


def published(make: Make, source_of: Callable[..., Source], default: str = "train") -> tuple[Load, Files]:
    """``load`` and ``files`` of a published set; see :mod:`porism.problems`.

    Args:
        make: ``(row, split, *, …)`` → the problem, or None where it is not wanted; raises ValueError or DataError where
            the row makes none. Its keyword-only parameters are settings of the source.
        source_of: ``(split, place, *, …)`` → where the set is; it may take some of these settings too.
        default: the split that is read where none is named.

    Returns:
        The two functions. Their settings are the fields of :class:`Place`, and those of ``make``. They raise what
        :func:`_rows_of` raises.
    """
    of_make, of_source = (_keywords(function) for function in (make, source_of))
    where = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=Place._field_defaults[name], annotation=kind)
        for name, kind in get_type_hints(Place, include_extras=True).items()
    ]

    def described(split: str, given: dict[str, Any]) -> tuple[Source, Place]:
        place = Place(**{name: value for name, value in given.items() if name in Place._fields})
        own = {name: value for name, value in given.items() if name in of_source}
        return source_of(split, place, **own), place

    def load(split: str = default, **given: Any) -> Iterator[Problem | Unreadable]:
        """The problems of a split, in the file's order."""
        source, place = described(split, given)
        own = {name: value for name, value in given.items() if name in of_make}
        for row in _rows_of(source, split, place):
            if isinstance(row, Unreadable):
                yield row
                continue
            try:
                problem = make(row.value, split, **own)
            except (DataError, ValueError) as error:
                yield Unreadable(row.place, str(error), str(row.value))
                continue
            except RecursionError:
                yield Unreadable(row.place, DEEP, str(row.value))
                continue
            if problem is not None:
                yield problem

    def files(split: str = default, **given: Any) -> list[Path]:
        """The files that ``load`` reads, or a hub's list of files; none where they are missing."""
        return _files_of(*described(split, given), split)

    first = inspect.Parameter("split", inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=str)
    for function, own in ((load, {**of_source, **of_make}), (files, of_source)):
        function.__module__ = make.__module__
        signature = inspect.Signature([first, *where, *own.values()])
        setattr(function, "__signature__", signature)  # noqa: B010  (what inspect reads; mypy knows no such attribute)
    return load, files


def _keywords(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    parameters = inspect.signature(function, eval_str=True).parameters
    return {name: one for name, one in parameters.items() if one.kind is one.KEYWORD_ONLY}


def _rows_of(source: Source, split: str, place: Place) -> Iterator[Row | Unreadable]:
    """The rows of a published set's split.

    Raises:
        MissingData: it is not here, and fetching it is not wanted.
        DataError: a file cannot be read.
        ModelError: it cannot be fetched.
    """
    found = local(source, split, place.path)
    if found:
        for file in found:
            yield from _rows.read(file)
    elif place.fetch:
        name = _name(source, place.fetch)
        yield from hub_rows(looked_up(name, place), source.config, _renamed(source, split))
    else:
        looked = ", ".join(map(str, _folders(place.path)))
        wanted = " or ".join(name.format(split=_renamed(source, split)) for name in source.files[:2])
        raise MissingData(
            f"{source.title}, {split} split: expected {wanted} in {looked}. "
            f"Download it{f' from {source.origin}' if source.origin else ''} and give its place with path=…"
            f"{f', or fetch it from {source.hub} with fetch=hf' if source.hub else ''}."
        )


def _files_of(source: Source, place: Place, split: str) -> list[Path]:
    """The files whose content decides about the rows: the data itself, or a hub's list of files and hashes."""
    found = local(source, split, place.path)
    if found or not place.fetch:
        return found
    return [looked_up(_name(source, place.fetch), place).listing]


def local(source: Source, split: str, path: str) -> list[Path]:
    """The files of a split that are here; none if there are none."""
    given = Path(path).expanduser() if path else None
    if given and given.is_file():
        return [given]
    split = _renamed(source, split)
    for folder in _folders(path):
        for name in source.files:
            found = sorted(file for file in folder.glob(name.format(split=split)) if file.is_file())
            if found:
                return found
    if given and given.is_dir() and any(next(given.glob(name), None) for name in _HUBS_OWN):
        try:
            return Folder(given).chosen(source.config, split)
        except DataError:
            return []
    return []


def _folders(path: str) -> list[Path]:
    if path:
        return [Path(path).expanduser()]
    return [Path(os.environ.get("PORISM_DATA") or "../shared/data"), Path("data")]


def _renamed(source: Source, split: str) -> str:
    return source.splits.get(split, split)


def _name(source: Source, fetch: str) -> str:
    """The name of a set on the hub that is wanted.

    Raises:
        MissingData: it has none there that is known.
    """
    known = {"hf": source.hub, "modelscope": f"modelscope:{source.modelscope}" if source.modelscope else ""}
    name = known.get(fetch, fetch)
    if not name:
        prefix = "modelscope:" if fetch == "modelscope" else ""
        raise MissingData(f"{source.title}: no copy on {fetch} is known. Name one: fetch={prefix}org/name")
    return name


# --- hubs --------------------------------------------------------------------------------------------


def looked_up(name: str, place: Place) -> Dataset:
    """The data set of a name on a hub.

    Raises:
        DataError: it is no such name.
        ModelError: the hub does not have it, or cannot be reached.
    """
    from porism.models import datasets

    remote = names.read(name, "datasets")
    if remote is None:
        raise DataError(
            f"no data set {name!r}: expected org/name, org/name@revision, modelscope:org/name, or a file or folder."
        )
    found = datasets.look_up(remote, place.endpoint, place.data_host, update=place.update)
    if _splits.data_files(found.paths) or remote.hub != "hf" or remote.revision != "main":
        return found
    console.notice(f"{name} has no files of rows of its own: the hub's conversion of it is used.")
    converted = remote._replace(revision=_CONVERTED)
    return datasets.look_up(converted, place.endpoint, place.data_host, update=place.update)


def hub_rows(data: Dataset, config: str, split: str) -> Iterator[Row | Unreadable]:
    """The rows of a data set, file after file; a file is fetched when its first row is wanted.

    Raises:
        DataError: no such configuration or split, or a file cannot be read.
        ModelError: a file cannot be fetched.
    """
    card = _text(data.fetch(_CARD)) if _CARD in data.paths else ""
    for path in _splits.choose(data.paths, card, config, split, str(data.remote)):
        yield from _rows.read(data.fetch(path), f"{data.remote}/{path}")


def _text(card: Path) -> str:
    """A card's text; empty where it is none."""
    try:
        return read_text(card)
    except DataError:
        return ""
