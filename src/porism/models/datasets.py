"""A data set of a hub → its files in the cache, each fetched when it is first asked for.

The first look asks the hub which commit a revision is, and which files it has. Both are remembered, so that a name
means the same data until it is looked up anew. A file is checked against the hash that the hub states when it comes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from porism import console, store
from porism.errors import ModelError
from porism.models import _hub, names
from porism.models._download import File
from porism.models._site import Refused, Site, Unreachable
from porism.models.names import Remote
from porism.models.remote import HUBS, get, refuse_outside

__all__ = ["Dataset", "look_up"]


class Dataset:
    """A data set at one commit."""

    def __init__(self, remote: Remote, folder: Path, endpoint: str, hosts: Sequence[str]) -> None:
        self.remote, self._folder, self._endpoint, self._hosts = remote, folder, endpoint, hosts
        self.listing = folder / "files.json"
        """The commit and its files with their hashes: what the content of the data set depends on."""
        found = store.load_json(self.listing)
        self._files: Mapping[str, Mapping[str, Any]] = found["files"]

    @property
    def paths(self) -> list[str]:
        """The files, sorted."""
        return sorted(self._files)

    def fetch(self, path: str) -> Path:
        """A file, from the cache or from the hub.

        Raises:
            ModelError: it cannot be fetched, or is damaged.
            StorageError: the disk is too full.
        """
        place = self._folder / "files" / path
        if place.is_file():
            return place
        if _hub.offline():
            raise ModelError(f"{self.remote}: {path} is not in the cache, and HF_HUB_OFFLINE forbids to fetch it.")
        hub, known = HUBS[self.remote.hub], self._files[path]
        with (
            store.lock(names.place(self.remote) / ".lock", wait=True),
            hub.site(self._endpoint, self._hosts) as server,
        ):
            url = hub.address(server, self.remote, self._folder.name, path)
            file = File(path, url, known.get("size"), known.get("sha256", ""), known.get("blob", ""))
            console.notice(f"Fetching {path} of {self.remote} from {server.host}.")
            try:
                get(server, self.remote, [file], self._folder / "files")
            except Refused as refused:
                raise hub.refusal(server, self.remote, refused) from None
        return place


def look_up(remote: Remote, endpoint: str = "", hosts: Sequence[str] = (), *, update: bool = False) -> Dataset:
    """What a data set consists of; none of its files is fetched.

    Args:
        remote: which data set.
        endpoint: a mirror's address; empty for the hub, or for what ``HF_ENDPOINT`` or ``MODELSCOPE_ENDPOINT`` names.
        hosts: hosts that a mirror may redirect to.
        update: ask the hub what a branch or tag is now, even if that is known from before.

    Raises:
        ModelError: there is no such data set, or it lists paths outside its folder.
    """
    known = names.cached(remote)
    if known and (not update or names.is_commit(remote.revision) or _hub.offline()):
        return Dataset(remote, known, endpoint, hosts)
    if _hub.offline():
        raise ModelError(f"{remote} is not in the cache, and HF_HUB_OFFLINE forbids to fetch it. Unset it.")
    hub, place = HUBS[remote.hub], names.place(remote)
    with store.lock(place / ".lock", wait=True), hub.site(endpoint, hosts) as server:
        try:
            listing = hub.listing(server, remote)
        except Unreachable as error:
            if known is None:
                raise
            console.notice(f"{error} Until then there is what was fetched before: {known.name[:12]}.")
            return Dataset(remote, known, endpoint, hosts)
        except Refused as refused:
            raise hub.refusal(server, remote, refused) from None
        refuse_outside(remote, (file.path for file in listing.files))
        folder = place / listing.commit
        _describe(folder, remote, listing, server)
        names.remember(remote, listing.commit)
    return Dataset(remote, folder, endpoint, hosts)


def _describe(folder: Path, remote: Remote, listing: _hub.Listing, server: Site) -> None:
    """Write what was listed; ``files.json`` says nothing of the server, so that a mirror's is the hub's."""
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        file.path: {"size": file.size, "sha256": file.sha256, "blob": file.blob}
        for file in sorted(listing.files, key=lambda file: file.path)
    }
    store.write_json(folder / "files.json", {"commit": listing.commit, "files": files})
    about = {
        "data_set": str(remote),
        "hub": remote.hub,
        "repository": remote.repo,
        "revision": remote.revision,
        "commit": listing.commit,
        "fetched_from": server.endpoint,
    }
    store.write_json(folder / "porism.json", about)
