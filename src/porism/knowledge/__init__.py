"""An index of solved problems or documents, for retrieval: by meaning (vectors) and by words, fused.

:func:`build` brings an index to what its inputs hold; :class:`Index` searches one. What is found for a problem never
holds its own solution; see :mod:`porism.knowledge._leaks`. A store is a module with ``connect(place, name) -> Store``;
see :mod:`porism.knowledge._stores`.
"""

from porism.knowledge._build import BuildSettings, Built, build
from porism.knowledge._index import Found, Index, Mode, Place, Search, SearchSettings, Top, fuse, opened, state
from porism.knowledge._items import Item
from porism.knowledge._leaks import ALL, Leaks
from porism.knowledge._stores import PARTS, Store

__all__ = [
    "ALL",
    "PARTS",
    "BuildSettings",
    "Built",
    "Found",
    "Index",
    "Item",
    "Leaks",
    "Mode",
    "Place",
    "Search",
    "SearchSettings",
    "Store",
    "Top",
    "build",
    "fuse",
    "opened",
    "state",
]
