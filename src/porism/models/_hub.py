"""The Hugging Face hub's protocol: what a model consists of at a commit, and what its refusals mean.

The protocol is that of ``huggingface_hub``: one request for the commit and its files with their hashes, then a file an
address. Its library finds the user's token. Large files come in plain HTTP; the addresses that the server gives for its
xet storage lie on other hosts and are not used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import quote

from porism import __version__
from porism.errors import ModelError
from porism.models._download import File
from porism.models._site import Refused, Site, host_of, printable
from porism.models.names import Remote, is_commit

__all__ = ["Listing", "described", "listing", "offline", "refusal", "site"]

HOME = "https://huggingface.co"
_OWN_HOSTS = ("huggingface.co", "hf.co")
_SHA1, _SHA256 = re.compile(r"[0-9a-f]{40}"), re.compile(r"[0-9a-f]{64}")
_TRUE = frozenset({"1", "ON", "YES", "TRUE"})


class Listing(NamedTuple):
    """What a model consists of."""

    commit: str
    files: list[File]


def offline() -> bool:
    """True where the user has forbidden the network to the hub's clients."""
    return any(os.environ.get(name, "").upper() in _TRUE for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"))


def site(endpoint: str, hosts: Sequence[str]) -> Site:
    """The server to ask: the one that is named, else ``HF_ENDPOINT``, else the hub.

    Raises:
        ModelError: its address is malformed, or the token is.
    """
    address = endpoint or os.environ.get("HF_ENDPOINT") or HOME
    token = _token()
    headers = {"user-agent": f"porism/{__version__}", **({"authorization": f"Bearer {token}"} if token else {})}
    return Site(address, headers, mirror=host_of(address) not in _OWN_HOSTS, hosts=hosts)


def _token() -> str:
    """The user's token: ``HF_TOKEN``, or that of a login; empty if there is none, or it is not to be sent unasked.

    Raises:
        ModelError: it cannot be one, or the login has ended.
    """
    import huggingface_hub
    from huggingface_hub import constants, errors

    if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN:
        return ""
    try:
        token = huggingface_hub.get_token() or ""
    except (errors.OIDCError, errors.DeviceCodeError, errors.HfHubHTTPError) as error:
        raise ModelError(f"the hub's login: {' '.join(str(error).split())[:300]} Log in again: hf auth login") from None
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ModelError(f"{_whose()} has characters that no token has. Set it again.")
    return token


def _whose() -> str:
    return "the token in HF_TOKEN" if os.environ.get("HF_TOKEN") else "the token of the stored login"


def listing(server: Site, remote: Remote) -> Listing:
    """The commit that a revision is, and the files of it.

    Raises:
        ModelError: the answer is not that of a hub.
        Refused: the server says no; see :func:`refusal`.
    """
    where = f"{server.endpoint}/api/models/{remote.repo}/revision/{quote(remote.revision, safe='')}"
    answer = server.json(f"{where}?blobs=true")
    found = answer if isinstance(answer, dict) else {}
    commit, listed = found.get("sha"), found.get("siblings")
    if not isinstance(commit, str) or not is_commit(commit) or not isinstance(listed, list):
        raise ModelError(
            f"{server.host} names no commit and no files of {remote}. Is it a model hub? Check --endpoint."
        )
    return Listing(commit, [_file(server, remote.repo, commit, entry) for entry in listed])


def _file(server: Site, repo: str, commit: str, entry: object) -> File:
    """A file of the listing.

    Raises:
        ModelError: the entry has no name.
    """
    found: Mapping[str, Any] = entry if isinstance(entry, dict) else {}
    name, lfs = found.get("rfilename"), found.get("lfs")
    if not isinstance(name, str) or not name:
        raise ModelError(f"{server.host} lists a file without a name. Is it a model hub? Check --endpoint.")
    stored: Mapping[str, Any] = lfs if isinstance(lfs, dict) else {}
    size = stored.get("size", found.get("size"))
    return File(
        name,
        f"{server.endpoint}/{repo}/resolve/{commit}/{quote(name)}",
        size if isinstance(size, int) and size >= 0 else None,
        _hash(_SHA256, stored.get("sha256")),
        "" if stored else _hash(_SHA1, found.get("blobId")),
    )


def _hash(form: re.Pattern[str], value: object) -> str:
    return value if isinstance(value, str) and form.fullmatch(value) else ""


def described(server: Site, file: File) -> File:
    """A file with size and hash, asked for one by one where the listing of a mirror has none.

    Raises:
        Refused: the server says no.
    """
    if file.size is not None and (file.sha256 or file.blob):
        return file
    headers = server.head(file.url)
    tag = headers.get("x-linked-etag") or headers.get("etag", "")
    tag = tag.removeprefix("W/").strip('"')
    size = headers.get("x-linked-size") or ("" if "location" in headers else headers.get("content-length", ""))
    return file._replace(
        size=int(size) if size.isdecimal() else file.size, sha256=_hash(_SHA256, tag), blob=_hash(_SHA1, tag)
    )


def refusal(server: Site, remote: Remote, refused: Refused) -> ModelError:
    """What a refusal means, and what the user can do."""
    code = refused.headers.get("x-error-code", "")
    said = printable(refused.headers.get("x-error-message", ""))
    token = server.has_token
    page = f"{HOME}/{remote.repo}"
    if code == "GatedRepo":
        if not token:
            return ModelError(
                f"{remote} is gated, and no token was found. Accept its licence at {page}, make a token at "
                f"{HOME}/settings/tokens, and set HF_TOKEN or run: hf auth login"
            )
        return ModelError(
            f"{remote} is gated, and {_whose()} has no access to it. Accept its licence at {page} with the account "
            "of the token (some authors then let people in by hand). A fine-grained token must also be allowed to read "
            "gated repositories."
        )
    if refused.status == 401 and token and "Invalid credentials" in said:
        return ModelError(f"{server.host} does not accept {_whose()}. Make another at {HOME}/settings/tokens.")
    if code == "RevisionNotFound":
        return ModelError(f"{remote.repo} has no revision {remote.revision!r} on {server.host}. See {page}/tree/main")
    if code == "EntryNotFound":
        return ModelError(f"{server.host} lists a file of {remote} that it does not have. Try again later.")
    if "disabled" in said:
        return ModelError(f"{remote}: {server.host} has disabled access to this model.")
    if code == "RepoNotFound" or refused.status in (401, 404):
        seen = f"{_whose()} may not see it" if token else "needs a token (HF_TOKEN)"
        return ModelError(f"no model {remote.repo!r} on {server.host}, or it is private and {seen}. Check the name.")
    if refused.status == 403:
        check = f"what {_whose()} may read" if token else "whether it needs a token (HF_TOKEN)"
        return ModelError(f"{server.host} forbids access to {remote}{_said(said)}. Check {check}.")
    if refused.status == 429:
        return ModelError(
            f"{server.host} gets too many requests from here. Try again later, or with a token (HF_TOKEN)."
        )
    return ModelError(f"{server.host} answered {refused.status} for {remote}{_said(said)}. Try again later.")


def _said(message: str) -> str:
    return f" ({message})" if message else ""
