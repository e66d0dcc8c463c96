"""Any data set of a hub by its name, with a mapping of its columns; or a data set's folder.

``org/name`` and ``org/name@revision`` mean the Hugging Face hub, or the mirror that ``endpoint`` or ``HF_ENDPOINT``
names; ``modelscope:org/name`` means ModelScope. Files are fetched one after the other as their rows are wanted,
checked, and kept in the cache; code of a data set is never run.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

from pydantic import Field

from porism import recipe
from porism.problems import Unreadable, _rows, _source
from porism.problems._layouts import Columns
from porism.problems._rows import Row
from porism.problems._source import DataHosts, Endpoint, Folder, Place, Update
from porism.problems.file import KindSetting, LayoutSetting, problems
from porism.records import Problem

__all__ = ["KNOWN", "files", "load"]

_MAGPIE = "Magpie-Align/Magpie-Reasoning"
KNOWN = {
    "magpie-reasoning": f"{_MAGPIE}-150K",
    "magpie-reasoning-v1": f"{_MAGPIE}-V1-150K",
    "magpie-reasoning-v1-qwq": f"{_MAGPIE}-V1-150K-CoT-QwQ",
    "magpie-reasoning-v1-r1": f"{_MAGPIE}-V1-150K-CoT-Deepseek-R1-Llama-70B",
    "magpie-reasoning-v2": f"{_MAGPIE}-V2-250K-CoT-Llama3",
    "magpie-reasoning-v2-qwq": f"{_MAGPIE}-V2-250K-CoT-QwQ",
    "magpie-reasoning-v2-r1": f"{_MAGPIE}-V2-250K-CoT-Deepseek-R1-Llama-70B",
}
"""Short names of sets that this field uses: those that Magpie published."""

DatasetSetting = Annotated[
    str, Field(description="org/name[@revision], modelscope:org/name, a short name, a folder or a file")
]
ConfigSetting = Annotated[str, Field(description="the configuration, where the set has several")]


@recipe.flat
def load(
    split: str = "train",
    *,
    dataset: DatasetSetting,
    config: ConfigSetting = "",
    layout: LayoutSetting = "auto",
    columns: Columns,
    kind: KindSetting = "",
    endpoint: Endpoint = "",
    data_host: DataHosts = [],  # noqa: B006
    update: Update = False,
) -> Iterator[Problem | Unreadable]:
    """The problems of a split, in the order of its files.

    Raises:
        DataError: no such name, configuration or split, or a file that cannot be read.
        ModelError: the hub does not have it, cannot be reached, or sent what is damaged.
    """
    here = Path(dataset).expanduser()
    if here.exists():
        source = here.resolve().name
        rows = _local(here, config, split)
    else:
        name = KNOWN.get(dataset, dataset)
        data = _source.looked_up(name, Place(endpoint=endpoint, data_host=data_host, update=update))
        source, rows = data.remote.repo, _source.hub_rows(data, config, split)
    yield from problems(rows, columns, layout, kind, source)


def files(
    split: str = "train",
    *,
    dataset: DatasetSetting,
    config: ConfigSetting = "",
    endpoint: Endpoint = "",
    data_host: DataHosts = [],  # noqa: B006
    update: Update = False,
) -> list[Path]:
    """What the rows depend on: the files of a folder, or a hub's list of files and hashes.

    Raises:
        UserError: see :func:`load`.
    """
    here = Path(dataset).expanduser()
    if here.is_dir():
        return Folder(here).chosen(config, split)
    if here.is_file():
        return [here]
    place = Place(endpoint=endpoint, data_host=data_host, update=update)
    return [_source.looked_up(KNOWN.get(dataset, dataset), place).listing]


def _local(here: Path, config: str, split: str) -> Iterator[Row | Unreadable]:
    for file in Folder(here).chosen(config, split) if here.is_dir() else [here]:
        yield from _rows.read(file)
