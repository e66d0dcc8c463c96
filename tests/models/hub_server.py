"""Small servers on loopback that speak the protocols of model hubs, fail where a test says so, and remember what they
saw."""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, quote, unquote, urlsplit

COMMIT = "c0ffee" + "0" * 34
LARGE = (".safetensors", ".bin", ".model", ".parquet")
"""What a hub keeps in large-file storage."""


@dataclass(frozen=True)
class Seen:
    """A request that came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]


class Server:
    """A server: the base of a hub, a CDN and a place where nobody should come."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.seen: list[Seen] = []
        self.sent: dict[str, int] = {}
        """Path → bytes of bodies that went out."""
        handler = type("Handler", (_Handler,), {"owner": self})
        self._server = ThreadingHTTPServer((host, 0), handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self.url = f"http://{host}:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def gets(self, part: str = "") -> list[Seen]:
        """The GET requests to paths with this part."""
        return [seen for seen in self.seen if seen.method == "GET" and part in seen.path]

    def answer(self, request: _Handler, seen: Seen) -> None:
        """By default, nothing is here."""
        request.plain(404, {}, b"not here")


def files_of(folder: Path) -> dict[str, bytes]:
    """A model's files, as a hub holds them."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@dataclass
class Faults:
    """What goes wrong, and for how long."""

    cut_after: int = 0
    """Close the connection after so many bytes of a large file; 0 for never."""
    cuts: int = 10**9
    """How often."""
    busy: int = 0
    """So many answers of 503 come first."""
    flip: bool = False
    """A large file has a wrong byte."""
    no_ranges: bool = False
    """Every answer is the whole file."""
    pause: float = 0.0
    """Seconds between pieces of 4 kB of a large file."""
    raw: dict[str, tuple[int, dict[str, str], bytes]] = field(default_factory=dict)
    """Path → status, headers and body of its answer."""


class Hub(Server):
    """The Hugging Face hub with one repository, its large files on a second server where one is named."""

    def __init__(self, files: Mapping[str, bytes], *, repo: str = "org/tiny", cdn: str = "", **options: Any) -> None:
        super().__init__()
        self.kind = "models"
        """What the repository holds: models or datasets."""
        self.files, self.repo, self.cdn = dict(files), repo, cdn
        self.faults = Faults()
        self.commits = {"main": COMMIT, COMMIT: COMMIT}
        self.metadata = True
        """The listing has sizes and hashes."""
        self.hashes = True
        """Files have an ETag that is their hash."""
        self.gated: tuple[str, ...] | None = None
        """Tokens that have access, where not everyone has."""
        self.tokens: tuple[str, ...] = ()
        """Tokens that exist."""
        for name, value in options.items():
            assert hasattr(self, name), name
            setattr(self, name, value)

    def sibling(self, name: str) -> dict[str, Any]:
        data = self.files[name]
        if not self.metadata:
            return {"rfilename": name}
        found: dict[str, Any] = {"rfilename": name, "size": len(data), "blobId": blob(data)}
        if name.endswith(LARGE):
            digest = hashlib.sha256(data).hexdigest()
            found["lfs"] = {"sha256": digest, "size": len(data), "pointerSize": 133}
        return found

    def answer(self, request: _Handler, seen: Seen) -> None:
        if seen.path in self.faults.raw:
            return request.plain(*self.faults.raw[seen.path])
        if self.faults.busy:
            self.faults.busy -= 1
            return request.plain(503, {"Retry-After": "0"}, b"busy")
        token = seen.headers.get("authorization", "").removeprefix("Bearer ")
        if token and token not in self.tokens:
            return request.refuse(401, "", "Invalid credentials in Authorization header")
        match = re.fullmatch(rf"/api/{self.kind}/([^/]+/[^/]+)/revision/(.+)", seen.path)
        if match:
            return self._listing(request, match[1], unquote(match[2]))
        prefix = "" if self.kind == "models" else f"/{self.kind}"
        match = re.fullmatch(rf"{prefix}/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", seen.path)
        if match and match[1] == self.repo and match[2] in self.commits:
            return self._resolve(request, seen, token, unquote(match[3]))
        return request.refuse(404, "RepoNotFound", "Repository not found")

    def _listing(self, request: _Handler, repo: str, revision: str) -> None:
        if repo != self.repo:
            return request.refuse(401, "", "Invalid username or password.")
        if revision not in self.commits:
            return request.refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
        listing = {
            "id": repo,
            "sha": self.commits[revision],
            "gated": "manual" if self.gated is not None else False,
            "siblings": [self.sibling(name) for name in self.files],
        }
        return request.plain(200, {"Content-Type": "application/json"}, json.dumps(listing).encode())

    def _resolve(self, request: _Handler, seen: Seen, token: str, name: str) -> None:
        if self.gated is not None and token not in self.gated:
            status = 403 if token else 401
            return request.refuse(status, "GatedRepo", f"Access to model {self.repo} is restricted.")
        if name not in self.files:
            return request.refuse(404, "EntryNotFound", "Entry not found")
        data = self.files[name]
        large = name.endswith(LARGE)
        headers = {"X-Repo-Commit": COMMIT}
        if self.hashes:
            headers["ETag"] = f'"{hashlib.sha256(data).hexdigest() if large else blob(data)}"'
        if not large:
            return request.plain(200, headers, data)
        headers |= {
            "X-Linked-Size": str(len(data)),
            "X-Xet-Hash": "0" * 64,
            "Link": f'<{self.cdn or self.url}/xet-token>; rel="xet-auth"',
        }
        if self.hashes:
            headers["X-Linked-Etag"] = headers.pop("ETag")
        if self.cdn:
            return request.plain(
                302, {**headers, "Location": f"{self.cdn}/blobs/{quote(name)}?X-Signature=secret"}, b""
            )
        return request.large(data, headers, self.faults)


class Cdn(Server):
    """Where a hub's large files lie."""

    def __init__(self, files: Mapping[str, bytes], host: str = "127.0.0.1") -> None:
        super().__init__(host)
        self.files, self.faults = dict(files), Faults()

    def answer(self, request: _Handler, seen: Seen) -> None:
        name = unquote(seen.path.removeprefix("/blobs/"))
        if name in self.files:
            return request.large(self.files[name], {}, self.faults)
        return request.plain(404, {}, b"")


class ModelScope(Server):
    """ModelScope with one repository."""

    def __init__(self, files: Mapping[str, bytes], *, repo: str = "org/tiny", cdn: str = "") -> None:
        super().__init__()
        self.files, self.repo, self.cdn = dict(files), repo, cdn
        self.faults = Faults()
        self.tokens: tuple[str, ...] | None = None
        """Tokens that have access, where not everyone has."""
        self.kind = "models"
        """What the repository holds: models or datasets."""

    def answer(self, request: _Handler, seen: Seen) -> None:
        at = f"/api/v1/{self.kind}/{self.repo}/repo"
        if seen.path in self.faults.raw:
            return request.plain(*self.faults.raw[seen.path])
        if self.tokens is not None and seen.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return request.plain(403, {}, json.dumps({"Code": 10010205003, "Message": "no permission"}).encode())
        if seen.query.get("Revision") not in ("master", "v1") or not seen.path.startswith(at):
            return request.plain(404, {}, json.dumps({"Code": 10010205001, "Message": "Not found"}).encode())
        if seen.path == (f"{at}/files" if self.kind == "models" else f"{at}/tree"):
            assert seen.query["Recursive"] == "true"
            entries = [
                {"Path": name, "Type": "blob", "Size": len(data), "Sha256": hashlib.sha256(data).hexdigest()}
                for name, data in self.files.items()
            ]
            entries = [{"Path": "sub", "Type": "tree", "Size": 0, "Sha256": ""}, *entries]
            if self.kind == "datasets":
                page, size = int(seen.query["PageNumber"]), int(seen.query["PageSize"])
                entries = entries[(page - 1) * size : page * size]
            data = {"Files": entries}
            return request.plain(200, {}, json.dumps({"Code": 200, "Success": True, "Data": data}).encode())
        name = seen.query["FilePath"]
        if self.cdn and name.endswith(LARGE):
            return request.plain(302, {"Location": f"{self.cdn}/blobs/{quote(name)}"}, b"")
        return request.large(self.files[name], {}, self.faults)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        headers = {name.lower(): value for name, value in self.headers.items()}
        seen = Seen(self.command, parts.path, query, headers)
        self.owner.seen.append(seen)
        try:
            self.owner.answer(self, seen)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    do_HEAD = do_GET  # noqa: N815 (http.server's name)

    def refuse(self, status: int, code: str, message: str) -> None:
        """An error as the hub states it."""
        headers = {"X-Error-Message": message, **({"X-Error-Code": code} if code else {})}
        self.plain(status, headers, json.dumps({"error": message}).encode())

    def plain(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """A whole answer."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.write(body)

    def large(self, data: bytes, headers: Mapping[str, str], faults: Faults) -> None:
        """A file, from where it was asked for, with the faults that it has."""
        if faults.flip:
            data = data[:-1] + bytes([data[-1] ^ 1])
        match = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(match[1]) if match and not faults.no_ranges else 0
        if start >= len(data) > 0:
            return self.plain(416, {"Content-Range": f"bytes */{len(data)}"}, b"")
        self.send_response(206 if start else 200)
        shown = {"Content-Length": str(len(data) - start), "Accept-Ranges": "bytes", **headers}
        if start:
            shown["Content-Range"] = f"bytes {start}-{len(data) - 1}/{len(data)}"
        for name, value in shown.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "HEAD":
            return None
        cut = faults.cut_after if faults.cuts > 0 else 0
        if cut:
            faults.cuts -= 1
            data = data[: start + cut]
            self.close_connection = True
        for at in range(start, len(data), 4096):
            self.write(data[at : at + 4096])
            time.sleep(faults.pause)
        return None

    def write(self, body: bytes) -> None:
        path = urlsplit(self.path).path
        self.wfile.write(body)
        self.owner.sent[path] = self.owner.sent.get(path, 0) + len(body)


def blob(data: bytes) -> str:
    """Git's hash of a file."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()
