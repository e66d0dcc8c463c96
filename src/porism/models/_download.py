"""One file from a model server: gone on with where an earlier try was cut off, and kept only when its hash is right.

The hub's own downloader begins a file anew in each process, so this is done here, in plain HTTP ranges.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple, NoReturn

import httpx2

from porism import store
from porism.errors import ModelError
from porism.models._site import Refused, Short, Site, Stopped

__all__ = ["File", "download", "intact"]

_CHUNK = 1 << 20


class File(NamedTuple):
    """A file that a server offers."""

    path: str
    url: str
    size: int | None = None
    """In bytes; None where the server does not say."""
    sha256: str = ""
    blob: str = ""
    """Git's hash of a file outside large-file storage: SHA-1 of a header and the content."""


def download(site: Site, file: File, target: Path, arrived: Callable[[int], None]) -> None:
    """Fetch a file into ``NAME.part`` beside its target, and put it in place when its hash is right.

    Args:
        site: the server.
        file: what to fetch.
        target: where to put it.
        arrived: told how many more bytes are there than an earlier try left.

    Raises:
        ModelError: the server cannot be reached, breaks off for good, or sends other bytes than it announced.
        Refused: the server answers with an error.
        Stopped: ``site.stop`` was set.
    """
    transfer = _Transfer(site, file, target.with_name(f"{target.name}.part"), arrived)
    tries = 0
    while not transfer.whole():
        before = transfer.size()
        try:
            transfer.go_on()
            break
        except (httpx2.RequestError, Refused, Short) as error:
            tries = 0 if transfer.size() > before else tries
            site.pause(error, tries)
            tries += 1
    with transfer.part.open("rb") as part:
        os.fsync(part)
    complaint = intact(transfer.part, file)
    if complaint:
        transfer.part.unlink()
        raise ModelError(
            f"{file.path} from {site.host}: {complaint}. It was damaged on its way or on the server, and was removed. "
            "Run the command again, or name another --endpoint."
        )
    transfer.part.replace(target)


def intact(place: Path, file: File) -> str:
    """What is wrong with a fetched file, in a few words; empty if its size and hash are as announced."""
    size = place.stat().st_size
    if file.size is not None and size != file.size:
        return f"expected {file.size:,} bytes, got {size:,}"
    if file.sha256:
        found = store.sha256(place)
        return "" if found == file.sha256 else f"expected SHA-256 {file.sha256}, got {found}"
    if file.blob:
        found = _blob(place, size)
        return "" if found == file.blob else f"expected Git hash {file.blob}, got {found}"
    return ""


class _Transfer:
    """A file on its way."""

    def __init__(self, site: Site, file: File, part: Path, arrived: Callable[[int], None]) -> None:
        self._site, self._file, self.part, self._arrived = site, file, part, arrived
        self._told = self.size()

    def size(self) -> int:
        """Bytes that are there."""
        return self.part.stat().st_size if self.part.is_file() else 0

    def whole(self) -> bool:
        """True where all that was announced is there, or more, which the hash will show to be wrong."""
        return self._file.size is not None and self.part.is_file() and self.size() >= self._file.size

    def go_on(self) -> None:
        """Ask for what is lacking, and append it.

        Raises:
            Short: the answer ended early.
            ModelError: the server sends more than it announced.
            Refused: it answers with an error.
            Stopped: see :func:`download`.
        """
        have, most = self.size(), self._file.size
        try:
            with self._site.get(self._file.url, {"range": f"bytes={have}-"} if have else {}) as response:
                at = self._begin(response, have)
                with self.part.open("ab" if at else "wb") as out:
                    for chunk in response.iter_bytes():
                        if self._site.stop.is_set():
                            raise Stopped
                        at += len(chunk)
                        if most is not None and at > most:
                            raise ModelError(
                                f"{self._file.path}: {self._site.host} announced {most:,} bytes and sends more."
                            )
                        out.write(chunk)
                        self._tell(at)
        except Refused as refused:
            if refused.status != 416:
                raise
            self._drop("is not as long as what had arrived of it")
        if most is not None and at < most:
            raise Short(f"the connection ended after {at:,} of {most:,} bytes of {self._file.path}")

    def _begin(self, response: httpx2.Response, have: int) -> int:
        """Where the answer's bytes belong: behind those that are there, or at the start where it is the whole file.

        Raises:
            Short: it is some other part, or one that cannot be appended.
        """
        if response.status_code != 206:
            return 0
        follows = response.headers.get("content-range", "").startswith(f"bytes {have}-")
        if have and (not follows or response.headers.get("content-encoding", "identity") != "identity"):
            self._drop("came in another part than was asked for")
        return have

    def _drop(self, reason: str) -> NoReturn:
        """Begin anew with the next try."""
        self.part.unlink(missing_ok=True)
        raise Short(f"{self._file.path} {reason}")

    def _tell(self, size: int) -> None:
        if size > self._told:
            self._arrived(size - self._told)
            self._told = size


def _blob(place: Path, size: int) -> str:
    digest = hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
    with place.open("rb") as file:
        while block := file.read(_CHUNK):
            digest.update(block)
    return digest.hexdigest()
