"""A model of a hub → a folder in the cache, whole or not at all.

Small files come first and are checked for code; only then the weights. What was fetched is checked against the hashes
that the server states, and ``porism.json`` says where it came from.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path, PurePosixPath
from typing import Protocol

from porism import console, store
from porism.errors import ModelError, StorageError
from porism.models import _hub, _modelscope, names
from porism.models._download import File, download, intact
from porism.models._site import Refused, Site, Unreachable
from porism.models.check import check, refuse_code
from porism.models.names import Remote

__all__ = ["HUBS", "fetch", "get", "refuse_outside"]


class _Protocol(Protocol):
    """What the module of a hub knows."""

    def site(self, endpoint: str, hosts: Sequence[str]) -> Site: ...
    def listing(self, server: Site, remote: Remote) -> _hub.Listing: ...
    def address(self, server: Site, remote: Remote, commit: str, path: str) -> str: ...
    def described(self, server: Site, file: File) -> File: ...
    def refusal(self, server: Site, remote: Remote, refused: Refused) -> ModelError: ...


HUBS: dict[names.Hub, _Protocol] = {"hf": _hub, "modelscope": _modelscope}

_SMALL = re.compile(
    r"[^/]+\.(json|jinja|txt|model|tiktoken)|additional_chat_templates/[^/]+\.jinja|README\.md|(LICENSE|NOTICE)[^/]*"
)
_NOT_NEEDED = re.compile(r"(pytorch|tf|flax|rust)_model.*|trainer_state\.json|porism\.json|\..*|.*\.part")
_CODE = re.compile(r"(configuration|modeling|tokenization)_[^/]*\.py")
_WHOLE, _ADAPTER, _INDEX = "model.safetensors", "adapter_model.safetensors", "model.safetensors.index.json"
_AT_ONCE = 4
_MEGABYTE = 10**6
_SPARE = 100 * 2**20


def fetch(remote: Remote, endpoint: str = "", hosts: Sequence[str] = ()) -> Path:
    """Fetch a model into the cache, or go on with fetching it, and return its folder.

    Args:
        remote: which model.
        endpoint: a mirror's address; empty for the hub, or for what ``HF_ENDPOINT`` or ``MODELSCOPE_ENDPOINT`` names.
        hosts: hosts that a mirror may redirect to.

    Raises:
        ModelError: it cannot be fetched, is damaged or unsafe.
        StorageError: the disk is too full.
    """
    known = names.cached(remote)
    if known and (names.is_commit(remote.revision) or _hub.offline()):
        return known
    if _hub.offline():
        raise ModelError(
            f"{remote} is not in the cache, and HF_HUB_OFFLINE forbids to fetch it.{names.pulled(remote)} "
            f"Unset it, and run: porism pull {remote}"
        )
    hub, place = HUBS[remote.hub], names.place(remote)
    with store.lock(place / ".lock", wait=True), hub.site(endpoint, hosts) as server:
        try:
            try:
                listing = hub.listing(server, remote)
            except Unreachable as error:
                if known is None:
                    raise
                console.notice(f"{error} Until then there is what was fetched before: {known.name[:12]}.")
                return known
            folder = place / listing.commit
            if not (folder / "porism.json").is_file():
                _fill(server, remote, listing, folder)
        except Refused as refused:
            raise hub.refusal(server, remote, refused) from None
        names.remember(remote, listing.commit)
        return folder


def _fill(server: Site, remote: Remote, listing: _hub.Listing, folder: Path) -> None:
    """Fill the folder of a commit by way of a hidden one, which an interrupted pull leaves for the next one."""
    small = _small(remote, listing.files)
    scratch = folder.with_name(f".{folder.name}")
    scratch.mkdir(exist_ok=True)
    console.notice(f"Fetching {remote} ({listing.commit[:12]}) from {server.host}.")
    small = get(server, remote, small, scratch)
    _refuse_code(remote, scratch)
    weights = get(server, remote, _weights(remote, listing.files, scratch), scratch)
    got = {file.path: file for file in (*small, *weights)}
    for left in [path for path in scratch.rglob("*") if not path.is_dir()]:
        if left.relative_to(scratch).as_posix() not in got:
            left.unlink()
    check(scratch)
    made_from = {
        "model": str(remote),
        "hub": remote.hub,
        "repository": remote.repo,
        "revision": remote.revision,
        "commit": listing.commit,
        "fetched_from": server.endpoint,
        "files": {name: got[name].sha256 or store.sha256(scratch / name) for name in sorted(got)},
    }
    store.write_json(scratch / "porism.json", made_from)
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)
    for older in folder.parent.glob(".*/"):
        shutil.rmtree(older, ignore_errors=True)


def _refuse_code(remote: Remote, scratch: Path) -> None:
    """Refuse, before the weights are fetched, a model whose files ask for code.

    Raises:
        ModelError: they do. What was fetched is removed.
    """
    try:
        refuse_code(scratch)
    except ModelError as error:
        shutil.rmtree(scratch, ignore_errors=True)
        raise ModelError(f"{remote}, {str(error).replace(f'{scratch}/', '')}") from None


def refuse_outside(remote: Remote, paths: Iterable[str]) -> None:
    """Refuse what lists a path that is not a plain one below its folder.

    Raises:
        ModelError: there is such a path.
    """
    for path in paths:
        parts = PurePosixPath(path).parts
        if (
            not path.isprintable()
            or "\\" in path
            or path.startswith("/")
            or {"..", "."} & set(path.split("/"))
            or not parts
        ):
            raise ModelError(f"{remote}: refused, it lists the path {path!r}, which may lie outside its folder.")


def _small(remote: Remote, files: Sequence[File]) -> list[File]:
    """All that is needed beside the weights.

    Raises:
        ModelError: the model brings code or pickles alone, or a file's path is not a plain one below its folder.
    """
    listed = {file.path: file for file in files}
    refuse_outside(remote, listed)
    code = sorted(path for path in listed if _CODE.fullmatch(path))
    if code:
        raise ModelError(
            f"{remote}: refused, it contains Python code ({', '.join(code)}). "
            "Models that bring their own code are not loaded."
        )
    if not {_WHOLE, _ADAPTER, _INDEX} & listed.keys():
        kinds = {
            suffix
            for suffix in (".bin", ".pt", ".pth", ".gguf", ".h5", ".onnx")
            for path in listed
            if path.endswith(suffix)
        }
        found = f"weights in {', '.join(sorted(kinds))} only" if kinds else "no weights"
        raise ModelError(
            f"{remote}: expected {_WHOLE} (or its index, or {_ADAPTER}), found {found}. Choose a model or a revision "
            "with safetensors weights."
        )
    return [file for path, file in sorted(listed.items()) if _SMALL.fullmatch(path) and not _NOT_NEEDED.fullmatch(path)]


def _weights(remote: Remote, files: Sequence[File], folder: Path) -> list[File]:
    """The files of the weights that Transformers would read: an adapter's, one whole file, or the index's shards.

    Raises:
        ModelError: the index names a file that is not there.
    """
    listed = {file.path: file for file in files}
    if (folder / "adapter_config.json").is_file() and _ADAPTER in listed:
        return [listed[_ADAPTER]]
    if _WHOLE in listed:
        return [listed[_WHOLE]]
    index = store.load_json(folder / _INDEX) if _INDEX in listed else {}
    shards = index.get("weight_map") if isinstance(index, dict) else None
    wanted = {str(shard) for shard in shards.values()} if isinstance(shards, dict) else set()
    if not wanted or not wanted <= {path for path in listed if path.endswith(".safetensors")}:
        raise ModelError(f"{remote}: {_INDEX} names weights that are not among its files.")
    return [listed[shard] for shard in sorted(wanted)]


def get(server: Site, remote: Remote, files: Sequence[File], folder: Path) -> list[File]:
    """Fetch what is not there yet, some files at a time; return the files with size and hash as far as they are known.

    Raises:
        ModelError: see :func:`porism.models._download.download`.
        StorageError: the disk is too full.
    """
    known = [HUBS[remote.hub].described(server, file) for file in files]
    unsure = [file.path for file in known if not (file.sha256 or file.blob)]
    if unsure:
        console.notice(f"{server.host} states no hash of {', '.join(unsure)}: only the size is checked.")
    todo = [file for file in known if not _there(folder / file.path, file)]
    for file in todo:
        (folder / file.path).parent.mkdir(parents=True, exist_ok=True)
    here = sum(_arrived(folder / file.path) for file in todo)
    total = sum(file.size or 0 for file in todo)
    _refuse_full_disk(folder, total - here)
    with (
        console.progress(str(remote), total // _MEGABYTE, "MB", done=here // _MEGABYTE) as bar,
        ThreadPoolExecutor(max_workers=_AT_ONCE) as pool,
    ):
        jobs = [
            pool.submit(download, server, file, folder / file.path, lambda size: bar.advance(size / _MEGABYTE))
            for file in todo
        ]
        try:
            for job in as_completed(jobs):
                job.result()
        except BaseException:
            server.stop.set()
            pool.shutdown(cancel_futures=True)
            raise
    return known


def _there(place: Path, file: File) -> bool:
    return place.is_file() and not intact(place, file)


def _arrived(place: Path) -> int:
    part = place.with_name(f"{place.name}.part")
    return part.stat().st_size if part.is_file() else 0


def _refuse_full_disk(folder: Path, needed: int) -> None:
    free = shutil.disk_usage(folder).free
    if needed + _SPARE > free:
        raise StorageError(
            f"{folder.parent}: {needed / 1e9:.1f} GB are still to be fetched, and {free / 1e9:.1f} GB are free. Free "
            "some space, or choose another cache with PORISM_HOME."
        )
