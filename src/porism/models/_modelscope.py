"""ModelScope's protocol: what a model consists of at a revision, and what its refusals mean.

Two requests of its HTTP API: ``repo/files`` lists the files with their SHA-256, ``repo`` sends one. A listing names no
commit, so the hash of all names and hashes stands for it. The token is ``MODELSCOPE_API_TOKEN``.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Sequence
from urllib.parse import quote, urlencode

from porism import __version__
from porism.errors import DataError, ModelError
from porism.files import parse_json
from porism.models._download import File
from porism.models._hub import Listing
from porism.models._site import Refused, Site, host_of, printable
from porism.models.names import Remote, is_commit

__all__ = ["described", "listing", "refusal", "site"]

HOME = "https://modelscope.cn"
_OWN_HOSTS = ("modelscope.cn", "www.modelscope.cn", "modelscope.ai", "www.modelscope.ai")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def site(endpoint: str, hosts: Sequence[str]) -> Site:
    """The server to ask: the one that is named, else ``MODELSCOPE_ENDPOINT``, else ModelScope.

    Raises:
        ModelError: its address is malformed, or the token is.
    """
    address = endpoint or os.environ.get("MODELSCOPE_ENDPOINT") or HOME
    token = os.environ.get("MODELSCOPE_API_TOKEN", "").strip()
    if not (token.isascii() and token.isprintable()) or set(' ;,"') & set(token):
        raise ModelError("the token in MODELSCOPE_API_TOKEN has characters that no token has. Set it again.")
    headers = {"user-agent": f"porism/{__version__}"}
    if token:  # the API's older addresses know the cookie alone
        headers |= {"authorization": f"Bearer {token}", "cookie": f"m_session_id={token}"}
    return Site(address, headers, mirror=host_of(address) not in _OWN_HOSTS, hosts=hosts)


def listing(server: Site, remote: Remote) -> Listing:
    """The files of a model at a revision.

    Raises:
        ModelError: the answer is not that of ModelScope.
        Refused: the server says no; see :func:`refusal`.
    """
    where = f"{server.endpoint}/api/v1/models/{quote(remote.repo)}"
    answer = server.json(f"{where}/repo/files?{urlencode({'Revision': remote.revision, 'Recursive': 'true'})}")
    if isinstance(answer, dict) and answer.get("Success") is False:
        raise Refused(404, {}, json.dumps(answer))
    data = answer.get("Data") if isinstance(answer, dict) else None
    listed = data.get("Files") if isinstance(data, dict) else None
    if not isinstance(listed, list) or not listed:
        raise ModelError(f"{server.host} lists no files of {remote}. Is it ModelScope? Check --endpoint.")
    files = [
        _file(where, remote.revision, entry)
        for entry in listed
        if not (isinstance(entry, dict) and entry.get("Type") == "tree")
    ]
    state = "\n".join(sorted(f"{file.sha256} {file.size} {file.path}" for file in files))
    commit = remote.revision if is_commit(remote.revision) else hashlib.sha256(state.encode()).hexdigest()
    return Listing(commit, files)


def _file(where: str, revision: str, entry: object) -> File:
    """A file of the listing.

    Raises:
        ModelError: the entry has no path.
    """
    found = entry if isinstance(entry, dict) else {}
    path, size, digest = found.get("Path"), found.get("Size"), found.get("Sha256")
    if not isinstance(path, str) or not path:
        raise ModelError("ModelScope lists a file without a path. Check --endpoint.")
    return File(
        path,
        f"{where}/repo?{urlencode({'Revision': revision, 'FilePath': path})}",
        size if isinstance(size, int) and size >= 0 else None,
        digest if isinstance(digest, str) and _SHA256.fullmatch(digest) else "",
    )


def described(server: Site, file: File) -> File:
    """The file as it is: the listing says all that the server knows."""
    del server
    return file


def refusal(server: Site, remote: Remote, refused: Refused) -> ModelError:
    """What a refusal means, and what the user can do."""
    try:
        answer = parse_json(refused.body, "")
        said = printable(str(answer.get("Message", ""))) if isinstance(answer, dict) else ""
    except DataError:
        said = ""
    why = f" ({said})" if said else ""
    page = f"{HOME}/models/{remote.repo}"
    if refused.status in (401, 403):
        if not server.has_token:
            return ModelError(
                f"{server.host} lets nobody read {remote} without a token{why}. Accept its terms at {page}, and set "
                f"MODELSCOPE_API_TOKEN to a token from {HOME}/my/access/token"
            )
        return ModelError(
            f"the token in MODELSCOPE_API_TOKEN has no access to {remote}{why}. Accept its terms at {page} with the "
            "account that the token belongs to."
        )
    if refused.status == 404:
        return ModelError(
            f"no model {remote.repo!r} with the revision {remote.revision!r} on {server.host}{why}, or it is private. "
            f"Check the name at {page}"
        )
    return ModelError(f"{server.host} answered {refused.status} for {remote}{why}. Try again later.")
