"""Requests to one model server: where they may go, and who is given the token.

Redirects are followed by hand, because each hop is checked:

- The token goes to the server that was named and to no other.
- To another machine by ``http`` it is not sent at all: it could be read on the way.
- From ``https`` nothing leads to ``http``.
- A mirror (any server but the hub itself) must serve everything itself: from its own host, a host below it, or one that
  the user named. So a model that is fetched through a mirror comes from the mirror.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Self, TypeVar
from urllib.parse import urljoin, urlsplit

import httpx2

from porism import console, files
from porism.errors import DataError, ModelError

__all__ = ["PAUSES", "Refused", "Short", "Site", "Stopped", "Unreachable", "host_of", "in_the_open", "printable"]

PAUSES = [1.0, 2.0, 4.0, 8.0]
"""Seconds before each further try; the count begins again when bytes arrive."""

_AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})
_LONGEST_PAUSE = 60.0
_MOST_HOPS = 10
_MOST_JSON = 64 << 20
_MOST_ERROR = 1 << 16
_TIMEOUT = 30.0

T = TypeVar("T")


class Refused(Exception):
    """The server's answer is an error. What it means is for the hub's own module to say."""

    def __init__(self, status: int, headers: Mapping[str, str], body: str = "") -> None:
        super().__init__(f"HTTP {status}")
        self.status, self.headers, self.body = status, headers, body


class Short(Exception):
    """The answer ended before the file did."""


class Unreachable(ModelError):
    """The server cannot be reached, or breaks off."""


class Stopped(Exception):
    """Another thread failed or was interrupted, so this one ends."""


def host_of(address: str) -> str:
    """The host that an address names, in small letters; nothing where it names none."""
    try:
        return (urlsplit(address).hostname or "").casefold()
    except ValueError:
        return ""


def in_the_open(address: str) -> bool:
    """Whether what is sent there can be read on the way: plain http to another machine."""
    host = host_of(address)
    here = host in ("localhost", "::1") or host.startswith("127.")
    return address.casefold().startswith("http://") and not here


class Site:
    """A server, with the rules for requests to it.

    Args:
        endpoint: its address, such as ``https://huggingface.co``.
        headers: what it is sent with each request, a token among it; no other host gets them.
        mirror: everything must come from the server itself.
        hosts: further hosts that a mirror may send to.

    Raises:
        ModelError: the address is not one of HTTP.
    """

    def __init__(
        self, endpoint: str, headers: Mapping[str, str], *, mirror: bool = False, hosts: Sequence[str] = ()
    ) -> None:
        self.endpoint = endpoint.rstrip("/")
        self._origin = _origin(self.endpoint)
        parts = urlsplit(self.endpoint) if self._origin else None
        if parts is None or parts.query or parts.fragment or parts.username or parts.password:
            raise ModelError(
                "endpoint: expected an address such as https://huggingface.co, without name, password and query, "
                f"got {_unsigned(endpoint)!r}."
            )
        self._headers, self._mirror = dict(headers), mirror
        if self.has_token and in_the_open(self.endpoint):
            console.notice(f"{self.host} is reached without encryption: your token is not sent there.")
            self._headers = {name: value for name, value in headers.items() if name not in ("authorization", "cookie")}
        self._hosts = {host.casefold() for host in hosts}
        self._client = httpx2.Client(follow_redirects=False, timeout=_TIMEOUT)
        self.stop = threading.Event()
        """When it is set, requests under way end with :class:`Stopped`."""

    @property
    def host(self) -> str:
        """The server's name, and its port if it is not the usual one."""
        return urlsplit(self.endpoint).netloc

    @property
    def has_token(self) -> bool:
        """True where the server is sent a token."""
        return "authorization" in self._headers

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *ending: object) -> None:
        self._client.close()

    def json(self, url: str) -> Any:
        """The value that a URL answers with.

        Raises:
            ModelError: the server cannot be reached, leads elsewhere, or answers with something else.
            Refused: it answers with an error.
        """
        body = self.retried(lambda: self._whole(url))
        try:
            return files.parse_json(body.decode("utf-8"), url)
        except (DataError, UnicodeDecodeError):
            raise ModelError(
                f"{self.host} answered with something else than JSON. Is it a model hub? Check --endpoint, and whether "
                "a proxy or a sign-in page stands in between."
            ) from None

    def head(self, url: str) -> Mapping[str, str]:
        """The headers that describe a file. They are the server's own: redirects to other hosts are not followed.

        Raises:
            ModelError: the server cannot be reached.
            Refused: it answers with an error.
        """
        return self.retried(lambda: self._head(url))

    @contextmanager
    def get(self, url: str, headers: Mapping[str, str]) -> Iterator[httpx2.Response]:
        """A streamed answer, redirects followed.

        Raises:
            ModelError: a redirect leads where it must not.
            Refused: the server answers with an error.
            httpx2.TransportError: the network failed.
        """
        target = url
        for _ in range(_MOST_HOPS):
            response = self._send("GET", target, headers)
            try:
                if not response.has_redirect_location:
                    if response.status_code >= 400:
                        raise Refused(response.status_code, response.headers, _beginning(response))
                    yield response
                    return
                target = urljoin(target, response.headers["location"])
                self._check(target)
            finally:
                response.close()
        raise ModelError(f"{self.host} redirects in a circle. Try again later, or name another --endpoint.")

    def retried(self, work: Callable[[], T]) -> T:
        """What ``work`` returns, tried again while the network or the server is at fault.

        Raises:
            ModelError: the last try failed too.
            Refused: the same, where the server answered.
        """
        tries = 0
        while True:
            try:
                return work()
            except (httpx2.RequestError, Refused, Short) as error:
                self.pause(error, tries)
                tries += 1

    def pause(self, error: Exception, tries: int) -> None:
        """Wait before the next try.

        Args:
            error: what went wrong.
            tries: how many tries went before this one.

        Raises:
            Unreachable: there is no further try.
            Refused: the error itself, where trying again will not help.
            Stopped: the wait was cut short.
        """
        asked = ""
        if isinstance(error, Refused):
            if error.status not in _AGAIN or tries >= len(PAUSES):
                raise error
            asked = error.headers.get("retry-after", "")
        elif isinstance(error, httpx2.UnsupportedProtocol | httpx2.TooManyRedirects) or tries >= len(PAUSES):
            reason = printable(str(error)) or type(error).__name__
            raise Unreachable(
                f"cannot fetch from {self.host}: {reason}. Check the network, or name a mirror with --endpoint. What "
                "has arrived is kept: the same command goes on from there."
            ) from None
        if self.stop.wait(min(float(asked), _LONGEST_PAUSE) if asked.isdecimal() else PAUSES[tries]):
            raise Stopped

    def _whole(self, url: str) -> bytes:
        with self.get(url, {"accept": "application/json"}) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > _MOST_JSON:
                    raise ModelError(f"{self.host}: expected JSON, got more than {_MOST_JSON >> 20} MB.")
            return bytes(body)

    def _head(self, url: str) -> Mapping[str, str]:
        target = url
        for _ in range(_MOST_HOPS):
            response = self._send("HEAD", target, {})
            response.close()
            if response.status_code >= 400:
                raise Refused(response.status_code, response.headers)
            onward = urljoin(target, response.headers.get("location", ""))
            if not response.has_redirect_location or "x-linked-etag" in response.headers or not self._own(onward):
                return response.headers
            target = onward
        raise ModelError(f"{self.host} redirects in a circle. Try again later, or name another --endpoint.")

    def _send(self, method: str, url: str, headers: Mapping[str, str]) -> httpx2.Response:
        own = self._headers if self._own(url) else {}
        try:
            request = self._client.build_request(method, url, headers={"accept-encoding": "identity", **own, **headers})
        except httpx2.InvalidURL:
            raise ModelError(f"{self.host} leads to an address that is none. Name another --endpoint.") from None
        return self._client.send(request, stream=True)

    def _own(self, url: str) -> bool:
        return _origin(url) == self._origin

    def _check(self, url: str) -> None:
        """Refuse a place that a redirect must not lead to.

        Raises:
            ModelError: it is another host than may be asked, or is not encrypted while the server is.
        """
        origin = _origin(url)
        if origin is None or self._origin is None:
            raise ModelError(f"refused: {self.host} redirects to an address that is not one of HTTP.")
        (scheme, host, _), (own_scheme, own_host, _) = origin, self._origin
        if own_scheme == "https" != scheme:
            raise ModelError(f"refused: {self.host} redirects to {host} without encryption.")
        if self._mirror and host != own_host and not host.endswith(f".{own_host}") and host not in self._hosts:
            raise ModelError(
                f"refused: the mirror {self.host} does not serve this itself but redirects to {host}. If that host may "
                f"be asked too, allow it: --data-host {host}"
            )


def printable(text: str) -> str:
    """What a server says, fit to be shown: one short line without control characters."""
    return "".join(sign for sign in " ".join(text.split()) if sign.isprintable())[:200]


def _origin(url: str) -> tuple[str, str, int] | None:
    """Scheme, host and port of an address of HTTP; None for any other."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not parts.hostname:
        return None
    return parts.scheme, parts.hostname.casefold(), port or (443 if parts.scheme == "https" else 80)


def _unsigned(url: str) -> str:
    """A URL without what may be secret in it."""
    return url.rpartition("@")[2].partition("?")[0]


def _beginning(response: httpx2.Response) -> str:
    """The beginning of an error's text."""
    body = b""
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _MOST_ERROR:
            break
    return body[:_MOST_ERROR].decode("utf-8", "replace")
