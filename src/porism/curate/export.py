"""Write records for other programs: ShareGPT, alpaca, LLaMA-Factory, TRL, Parquet, or a folder for ``datasets``.

=============  ====================================================================================================
format         files
=============  ====================================================================================================
sharegpt       ``NAME.jsonl``: ``conversations``, ``system``
alpaca         ``NAME.jsonl``: ``instruction``, ``input``, ``output``, ``system``, ``history``
llamafactory   ``NAME.jsonl`` in either of these, and ``dataset_info.json``, which describes it
trl            ``NAME.jsonl`` in one of TRL's layouts (``rows``)
parquet        ``NAME.parquet``, the same rows
datasets       ``NAME/``: ``data/SPLIT-00000-of-00001.parquet`` and a card, README.md
=============  ====================================================================================================

Records stand unchanged in ``records.jsonl`` too; one that the layout cannot hold is dropped with its reason. In a table
and for LLaMA-Factory all rows have the columns of the first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field

from porism.curate._export_files import Lines, Table, Writer, card, dataset_info
from porism.curate._export_rows import Exchange, Rows, alpaca, exchange, sharegpt, trl
from porism.errors import RecipeError
from porism.files import write_json, write_text
from porism.records import Record

__all__ = ["Format", "check", "write"]

Format = Literal["sharegpt", "alpaca", "llamafactory", "trl", "parquet", "datasets"]


Name = Annotated[
    str, Field(description="the files' name, without what follows the dot", pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")
]
_TAKEN = ("records", "dropped")


def write(
    records: Iterable[Record],
    place: Callable[[str], Path],
    add: Callable[[Path], None],
    *,
    format: Annotated[Format, Field(description="which program's files")] = "trl",  # noqa: A002 (the setting's name)
    rows: Annotated[Rows, Field(description="TRL's layout; if auto, the one that holds all of a record")] = "auto",
    style: Annotated[
        Literal["sharegpt", "alpaca"], Field(description="the layout of the rows for LLaMA-Factory")
    ] = "sharegpt",
    file: Name = "data",
    split: Annotated[str, Field(description="the split of a datasets folder", pattern=r"^[A-Za-z0-9_]+$")] = "train",
    license: Annotated[str, Field(description="for a card: a licence as the hub spells it, such as mit")] = "",  # noqa: A002
    language: Annotated[list[str], Field(description="for a card: codes of languages, such as zh")] = [],  # noqa: B006
) -> Iterator[tuple[Record, str]]:
    """Write each record's row, and yield the record, with a reason if the layout cannot hold it.

    Args:
        records: of any class.
        place: a name → where that file or folder of the output stands.
        add: told of each file that is part of the output.
        format: see above.
        rows: for ``trl``, ``parquet`` and ``datasets``.
        style: for ``llamafactory``.
        file: what the files are called.
        split: for ``datasets``.
        license: for ``datasets``.
        language: for ``datasets``.

    Raises:
        RecipeError: the name is that of a file that every stage writes.
        MissingExtra: the format needs pyarrow.
    """
    check(file=file)
    made = _maker(format, rows, style)
    sources, first = Counter[str](), dict[str, Any]()
    paths = _Paths(place, format, file, split)
    with ExitStack() as opened:
        to: Writer = Table(paths.rows) if paths.is_table else Lines(paths.rows)
        writer = opened.enter_context(to)
        for record in records:
            try:
                found = exchange(record)
                row = made(found)
            except ValueError as error:
                yield record, str(error)
                continue
            if first and list(row) != list(first) and (paths.is_table or format == "llamafactory"):
                yield record, f"other columns: {', '.join(row)} instead of {', '.join(first)}"
                continue
            first = first or dict(row)
            sources[found.source] += 1
            writer.add(row)
            yield record, ""
    if not first:
        return
    add(paths.rows)
    if format == "llamafactory":
        write_json(paths.beside("dataset_info.json"), dataset_info(file, paths.rows.name, first))
        add(paths.beside("dataset_info.json"))
    if format == "datasets":
        readme = paths.folder / "README.md"
        write_text(readme, card(file, split, first, sources, license=license, language=language))
        add(readme)


def check(*, file: Name = "data") -> None:
    """The name is free.

    Raises:
        RecipeError: every stage writes files of that name.
    """
    if file in _TAKEN:
        raise RecipeError(
            f"curate export: file: {file!r} is what every stage calls a file of its own. Choose another name."
        )


def _maker(format: Format, rows: Rows, style: str) -> Callable[[Exchange], Mapping[str, Any]]:  # noqa: A002
    if format == "alpaca" or (format == "llamafactory" and style == "alpaca"):
        return alpaca
    if format in ("sharegpt", "llamafactory"):
        return lambda found: sharegpt(found, in_turn=format == "llamafactory")
    return lambda found: trl(found, rows, whole=format in ("parquet", "datasets"))


class _Paths:
    """Where the files of an export stand."""

    def __init__(self, place: Callable[[str], Path], format: Format, file: str, split: str) -> None:  # noqa: A002
        self._place, self.is_table = place, format in ("parquet", "datasets")
        if format == "datasets":
            self.folder = place(file)
            (self.folder / "data").mkdir(parents=True, exist_ok=True)
            self.rows = self.folder / "data" / f"{split}-00000-of-00001.parquet"
        else:
            self.rows = place(f"{file}.parquet" if self.is_table else f"{file}.jsonl")
            self.folder = self.rows.parent

    def beside(self, name: str) -> Path:
        """Another file of the output."""
        return self._place(name)
