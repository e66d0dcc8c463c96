"""The files that an export writes: JSON Lines, Parquet, LLaMA-Factory's ``dataset_info.json``, a data set's card."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import yaml

from porism import __version__, files
from porism.curate._text import readable
from porism.errors import MissingExtra

__all__ = ["Lines", "Table", "Writer", "card", "dataset_info"]

_AT_ONCE = 1_000
_MOST_SOURCES = 50
_SHOWN = 600
"""Characters of a text that a card shows."""


class Writer(Protocol):
    """A file that takes rows."""

    def add(self, row: Mapping[str, Any]) -> None:
        """Write one row."""

    def __enter__(self) -> Self: ...
    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


class Lines:
    """JSON Lines. The file is there when it is whole, not before."""

    def __init__(self, path: Path) -> None:
        self._path, self._temporary = path, path.with_name(f"{path.name}.tmp")

    def __enter__(self) -> Self:
        self._file = self._temporary.open("wb")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        if kind is None:
            self._temporary.replace(self._path)
        else:
            self._temporary.unlink()

    def add(self, row: Mapping[str, Any]) -> None:
        """Write one row."""
        self._file.write(files.to_line(row))


class Table:
    """Parquet, some rows at a time; all have the columns of the first."""

    def __init__(self, path: Path) -> None:
        self._path, self._temporary = path, path.with_name(f"{path.name}.tmp")
        self._rows: list[Mapping[str, Any]] = []
        self._writer: Any = None

    def __enter__(self) -> Self:
        try:
            import pyarrow.parquet  # noqa: F401
        except ImportError:
            raise MissingExtra("pyarrow", "'porism[data]'", "writing Parquet") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None and self._rows:
            self._flush()
        if self._writer is not None:
            self._writer.close()
        if kind is None and self._writer is not None:
            self._temporary.replace(self._path)
        else:
            self._temporary.unlink(missing_ok=True)

    def add(self, row: Mapping[str, Any]) -> None:
        """Write one row."""
        self._rows.append(row)
        if len(self._rows) == _AT_ONCE:
            self._flush()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        schema = self._writer.schema if self._writer else _schema(self._rows[0])
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._temporary, schema)
        self._writer.write_table(pa.Table.from_pylist([dict(row) for row in self._rows], schema))
        self._rows = []


def _schema(row: Mapping[str, Any]) -> Any:
    """The columns of a row: texts, truth values, and lists of turns, of texts or of truth values."""
    import pyarrow as pa

    def kind(value: Any) -> Any:
        if isinstance(value, bool):
            return pa.bool_()
        if isinstance(value, Mapping):
            return pa.struct([(name, pa.string()) for name in value])
        return pa.list_(kind(value[0])) if isinstance(value, list) and value else pa.string()

    return pa.schema([(name, kind(value)) for name, value in row.items()])


# --- what stands beside the rows ---------------------------------------------------------------------


def dataset_info(name: str, file: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """LLaMA-Factory's description of a file, by one of its rows."""
    pairs = {key: key for key in ("chosen", "rejected") if key in row}
    found: dict[str, Any] = {"file_name": file}
    if "conversations" in row:
        found["formatting"] = "sharegpt"
        found["columns"] = {"messages": "conversations", "system": "system", **pairs}
        found["tags"] = {
            "role_tag": "from",
            "content_tag": "value",
            "user_tag": "human",
            "assistant_tag": "gpt",
            "observation_tag": "observation",
        }
    else:
        said = pairs or {"response": "output"}
        found["columns"] = {"prompt": "instruction", "query": "input", **said, "system": "system", "history": "history"}
    if pairs:
        found["ranking"] = True
    return {name: found}


def card(
    name: str,
    split: str,
    row: Mapping[str, Any],
    sources: Counter[str],
    *,
    license: str,  # noqa: A002 (the card's word)
    language: Sequence[str],
) -> str:
    """README.md of a data set's folder: what the hub and the ``datasets`` library read, and what a person does."""
    total = sources.total()
    about: dict[str, Any] = {
        **({"license": license} if license else {}),
        **({"language": list(language)} if language else {}),
        "pretty_name": name,
        "task_categories": ["text-generation"],
        "tags": ["reasoning", "porism"],
        "size_categories": [_size(total)],
        "configs": [{"config_name": "default", "data_files": [{"split": split, "path": f"data/{split}-*"}]}],
    }
    shown = [(_cell(source), count) for source, count in sources.most_common(_MOST_SOURCES)]
    if len(sources) > _MOST_SOURCES:
        shown.append((f"{len(sources) - _MOST_SOURCES} others", total - sum(count for _, count in shown)))
    listed = "\n".join(f"| {source} | {count:,} |" for source, count in shown)
    columns = ", ".join(f"`{column}`" for column in row)
    example = json.dumps(_short(row), ensure_ascii=False, indent=1)
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", example)), default=0))
    return "\n".join(
        (
            f"---\n{yaml.safe_dump(about, sort_keys=False, allow_unicode=True)}---\n",
            f"# {name}\n",
            f"{total:,} rows, split `{split}`, columns {columns}. Written by Porism {__version__}.\n",
            "| source | rows |\n|---|---|",
            f"{listed}\n",
            "The licence of each source applies to its rows." + ("" if license else " No licence was named."),
            f"\n## A row\n\n{fence}json\n{example}\n{fence}\n",
            "## Loading\n\n```python\nfrom datasets import load_dataset\n",
            f'rows = load_dataset("path/to/this/folder", split="{split}")\n```\n',
        )
    )


def _cell(source: str) -> str:
    """A source's name in a table's cell, whatever stands in it."""
    return " ".join(readable(source).split())[:_SHOWN].replace("|", "\\|") or "not known"


def _short(value: Any) -> Any:
    """The same with its long texts cut."""
    if isinstance(value, Mapping):
        return {key: _short(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_short(item) for item in value]
    return f"{value[:_SHOWN]}…" if isinstance(value, str) and len(value) > _SHOWN else value


def _size(total: int) -> str:
    limits = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))
    return next((name for limit, name in limits if total < limit), "n>1M")
