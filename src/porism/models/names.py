"""The names of models and data sets on a hub, and where a fetched one stands in the cache.

``org/name``, ``org/name@revision``, ``hf:org/name`` (Hugging Face) and ``modelscope:org/name``. The cache is keyed by
hub, name and commit, whatever server the files came from; ``revisions.json`` beside the commits says what a branch or
tag was at the last pull. Nothing here asks the network.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Literal, NamedTuple, cast

from porism import store
from porism.errors import DataError, ModelError

__all__ = ["Hub", "Kind", "Remote", "cached", "home", "is_commit", "pinned", "place", "pulled", "read", "remember"]

Hub = Literal["hf", "modelscope"]
Kind = Literal["models", "datasets"]

_DEFAULT_REVISION: dict[Hub, str] = {"hf": "main", "modelscope": "master"}
_PART = r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,94}[A-Za-z0-9_])?"
_NAME = re.compile(rf"(?:(?P<hub>hf|modelscope):)?(?P<repo>{_PART}/{_PART})(?:@(?P<revision>[^@\s]+))?")
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REVISION = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./+-]{0,254}")
_LISTED = 5


class Remote(NamedTuple):
    """A model, or a data set, on a hub."""

    hub: Hub
    repo: str
    """``org/name``."""
    revision: str
    """Branch, tag or commit."""
    kind: Kind = "models"
    """As the hubs spell it in their addresses."""

    @property
    def noun(self) -> str:
        """What a message calls it."""
        return "model" if self.kind == "models" else "data set"

    def __str__(self) -> str:
        prefix = "" if self.hub == "hf" else f"{self.hub}:"
        suffix = "" if self.revision == _DEFAULT_REVISION[self.hub] else f"@{self.revision}"
        return f"{prefix}{self.repo}{suffix}"


def home() -> Path:
    """Porism's cache folder: ``$PORISM_HOME``, or ``~/.cache/porism``."""
    return Path(os.environ.get("PORISM_HOME") or Path.home() / ".cache" / "porism").expanduser()


def read(name: str, kind: Kind = "models") -> Remote | None:
    """What a name means on a hub; None where it has not the form of such a name.

    Raises:
        ModelError: it begins with the name of a hub, or has a revision, but is not well formed.
    """
    match = _NAME.fullmatch(name)
    if match is None or "--" in match["repo"] or ".." in match["repo"]:
        if name.startswith(tuple(f"{hub}:" for hub in _DEFAULT_REVISION)):
            raise ModelError(f"{name!r}: expected HUB:org/name or HUB:org/name@revision.")
        return None
    hub = cast("Hub", match["hub"] or "hf")
    revision = match["revision"] or _DEFAULT_REVISION[hub]
    if not _REVISION.fullmatch(revision) or ".." in revision:
        raise ModelError(f"{name!r}: expected a branch, a tag or a commit after the @.")
    return Remote(hub, match["repo"], revision, kind)


def place(remote: Remote) -> Path:
    """The folder of the commits that were fetched."""
    return home() / remote.kind / remote.hub / remote.repo.replace("/", "--")


def is_commit(revision: str) -> bool:
    """True for a whole commit hash, which names the same files for ever."""
    return _COMMIT.fullmatch(revision) is not None


def cached(remote: Remote) -> Path | None:
    """The folder of a model that was fetched before, as it was at its last pull; None where it was not."""
    commit = remote.revision if is_commit(remote.revision) else _revisions(remote).get(remote.revision, "")
    folder = place(remote) / commit
    return folder if is_commit(commit) and (folder / "porism.json").is_file() else None


def remember(remote: Remote, commit: str) -> None:
    """Note which commit a branch or tag is."""
    if not is_commit(remote.revision):
        store.write_json(place(remote) / "revisions.json", {**_revisions(remote), remote.revision: commit})


def pulled(remote: Remote) -> str:
    """In a few words, which revisions of a model are in the cache; empty if none is."""
    known = sorted(_revisions(remote)) or sorted(found.parent.name for found in place(remote).glob("*/porism.json"))
    shown = ", ".join(f"{remote._replace(revision=revision)}" for revision in known[:_LISTED])
    return f" In the cache: {shown}{', …' if len(known) > _LISTED else ''}." if known else ""


def pinned(model: str) -> tuple[str, str]:
    """How a file on disk should name a model for good: its name, and for a model of a hub the commit in the cache.

    A folder's name becomes absolute; an alias stays.
    """
    remote = None if Path(model).expanduser().is_dir() else read(model)
    if remote is None:
        folder = Path(model).expanduser()
        return (str(folder.resolve()) if folder.is_dir() else model), ""
    fetched = cached(remote)
    return str(remote._replace(revision=_DEFAULT_REVISION[remote.hub])), fetched.name if fetched else ""


def _revisions(remote: Remote) -> dict[str, str]:
    file = place(remote) / "revisions.json"
    try:
        found = store.load_json(file) if file.is_file() else {}
    except DataError:
        return {}
    return (
        {name: commit for name, commit in found.items() if isinstance(commit, str)} if isinstance(found, dict) else {}
    )
