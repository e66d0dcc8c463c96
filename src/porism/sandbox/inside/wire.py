"""Plain values as JSON, and frames of it over a socket.

A value is sent as what it is made of, never as an object: None, bool, int, float, complex, str, bytes, list, tuple,
dict, set, frozenset, range, deque, Fraction and Decimal, and the built-in classes themselves. An object of a class that
inherits from one of them is sent as that one, so that no method of the sender's decides anything on the other side.
Everything else is refused, or stands as a handle where the two sides have agreed on that.
"""

from __future__ import annotations

import builtins
import collections
import decimal
import fractions
import json
import secrets
import socket
import struct
import time
from collections.abc import Callable
from typing import Any

__all__ = ["MOST", "Broken", "Caller", "Failed", "Gone", "Line", "Unsendable", "decode", "encode"]

MOST = 8 << 20
"""Bytes in the longest frame."""
_HEAD = struct.Struct("!I")
_SMALL = 1 << 53
_BUILTIN = {name: value for name, value in vars(builtins).items() if type(value) is type}
_FAULTS = (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, MemoryError, ArithmeticError)


class Unsendable(Exception):
    """The value is no plain one; the message names its type."""


class Gone(BaseException):
    """The other side ended or fell silent. No ``except Exception`` of a test hides that."""


class Broken(Gone):
    """The other side sent what is no reply."""


class Failed(Exception):
    """The program raised; ``kind`` is the name of the exception's class."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(f"{kind}: {message}" if message else kind)
        self.kind = kind


def encode(value: object, handle: Callable[[object], int] | None = None) -> Any:
    """The value as JSON.

    Args:
        value: what to send.
        handle: gives the number under which an object that is no plain value can be asked for again.

    Raises:
        Unsendable: it is no plain value, or nested too deeply.
    """
    try:
        return _encoded(value, handle)
    except RecursionError:
        raise Unsendable("a value that is nested too deeply, or contains itself") from None


def _encoded(value: Any, handle: Callable[[object], int] | None) -> Any:
    kind = type(value)
    if value is None or kind is bool or kind is str:
        return value
    scalar = _scalar(value, kind)
    if scalar is not None:
        return scalar
    for base, tag in ((list, "l"), (tuple, "t"), (set, "s"), (frozenset, "z"), (collections.deque, "q")):
        if issubclass(kind, base):
            return [tag, *(_encoded(item, handle) for item in base.__iter__(value))]
    if issubclass(kind, dict):
        return ["d", *([_encoded(key, handle), _encoded(item, handle)] for key, item in dict.items(value))]
    if handle is not None:
        return ["h", handle(value)]
    raise Unsendable(f"a value of the type {kind.__name__}")


def _scalar(value: Any, kind: type) -> Any:
    """The value as JSON if it has no parts, else None."""
    if issubclass(kind, int):
        number = int.__int__(value)
        return number if -_SMALL < number < _SMALL else ["i", hex(number)]
    if issubclass(kind, float):
        return ["f", float.__repr__(value)]
    if issubclass(kind, str):
        return str.__str__(value)
    if issubclass(kind, complex):
        plain = complex.__complex__(value)
        return ["c", repr(plain.real), repr(plain.imag)]
    if issubclass(kind, bytes | bytearray):
        return ["b", bytes(memoryview(value)).hex()]
    if kind is range:
        return ["r", *(hex(part) for part in (value.start, value.stop, value.step))]
    if kind is fractions.Fraction:
        return ["n", hex(value.numerator), hex(value.denominator)]
    if kind is decimal.Decimal:
        return ["m", str(value)]
    if isinstance(value, type) and _BUILTIN.get(value.__name__) is value:
        return ["k", value.__name__]
    return None


def decode(data: Any, handle: Callable[[int], object] | None = None) -> Any:
    """The value that :func:`encode` made this of.

    Args:
        data: decoded JSON.
        handle: gives what stands for an object that was kept on the other side.

    Raises:
        Unsendable: it is nothing that :func:`encode` makes.
    """
    try:
        return _decoded(data, handle)
    except _FAULTS:
        raise Unsendable("a value that cannot be read") from None


def _decoded(data: Any, handle: Callable[[int], object] | None) -> Any:
    if data is None or isinstance(data, bool | int | str):
        return data
    if not isinstance(data, list):
        raise TypeError(type(data).__name__)
    tag, *parts = data
    if tag in _SEQUENCES:
        return _SEQUENCES[tag](_decoded(part, handle) for part in parts)
    if tag == "d":
        return {_decoded(key, handle): _decoded(item, handle) for key, item in parts}
    if tag == "h" and handle is not None:
        return handle(int(parts[0]))
    return _SCALARS[tag](*parts)


_SEQUENCES: dict[str, Callable[[Any], Any]] = {
    "l": list,
    "t": tuple,
    "s": set,
    "z": frozenset,
    "q": collections.deque,
}
_SCALARS: dict[str, Callable[..., Any]] = {
    "i": lambda text: int(text, 16),
    "f": float,
    "c": lambda real, imaginary: complex(float(real), float(imaginary)),
    "b": bytes.fromhex,
    "r": lambda *parts: range(*(int(part, 16) for part in parts)),
    "n": lambda *parts: fractions.Fraction(*(int(part, 16) for part in parts)),
    "m": decimal.Decimal,
    "k": _BUILTIN.__getitem__,
}


class Line:
    """JSON objects over a stream socket, one frame each: four bytes of length, then the text."""

    def __init__(self, end: socket.socket) -> None:
        self.end = end
        self._rest = b""

    def send(self, message: dict[str, Any]) -> None:
        """Send one object.

        Raises:
            Unsendable: it is longer than a frame may be.
            Gone: nobody listens.
        """
        data = json.dumps(message).encode()
        if len(data) > MOST:
            raise Unsendable(f"a value of more than {MOST >> 20} MB")
        try:
            self.end.sendall(_HEAD.pack(len(data)) + data)
        except OSError:
            raise Gone("the program ended") from None

    def receive(self, deadline: float | None = None) -> dict[str, Any]:
        """The next object.

        Args:
            deadline: of the monotonic clock.

        Raises:
            Broken: what came is no object, or longer than a frame may be.
            Gone: the other side ended, or the deadline passed.
        """
        length = _HEAD.unpack(self._read(_HEAD.size, deadline))[0]
        if length > MOST:
            raise Broken("the program wrote to its channel what is no reply")
        try:
            message = json.loads(self._read(length, deadline))
        except (ValueError, RecursionError, MemoryError):
            raise Broken("the program wrote to its channel what is no reply") from None
        if not isinstance(message, dict):
            raise Broken("the program wrote to its channel what is no reply")
        return message

    def _read(self, size: int, deadline: float | None) -> bytes:
        parts, have = [self._rest], len(self._rest)
        while have < size:
            if deadline is not None:
                self.end.settimeout(max(1e-3, deadline - time.monotonic()))
            try:
                part = self.end.recv(1 << 18)
            except OSError:
                part = b""
            if not part:
                raise Gone("the program ended")
            parts.append(part)
            have += len(part)
        whole = b"".join(parts)
        self._rest = whole[size:]
        return whole[:size]

    def close(self) -> None:
        """Close the socket."""
        self.end.close()


class Caller:
    """Asks a program's process: every question has a nonce of its own, which the reply must bear.

    So a reply cannot be written before its question is asked, and none answers another question.

    Args:
        line: to the process.
        handle: what stands for an object that is no plain value; without it such a value is refused.
        deadline: of the monotonic clock, for all questions.
    """

    def __init__(
        self, line: Line, handle: Callable[[int], object] | None = None, deadline: float | None = None
    ) -> None:
        self._line, self._handle, self._deadline = line, handle, deadline

    def ask(self, what: str, **parts: Any) -> Any:
        """The value of the reply.

        Args:
            what: load, get, call, attribute, set or items.
            parts: of the question, as JSON.

        Raises:
            Failed: the program raised.
            Unsendable: it gave what is no plain value.
            Gone: it ended, or broke its channel.
        """
        nonce = secrets.token_hex(16)
        self._line.send({"nonce": nonce, "ask": what, "handles": self._handle is not None, **parts})
        reply = self._line.receive(self._deadline)
        if reply.get("nonce") != nonce:
            raise Broken("the program wrote to its channel what is no reply")
        error, refused = reply.get("error"), reply.get("refused")
        if error is not None:
            kind, message = error if isinstance(error, list) and len(error) == 2 else ("Exception", "")
            raise Failed(str(kind)[:80], str(message)[:500])
        if refused is not None:
            raise Unsendable(str(refused)[:200])
        return decode(reply.get("value"), self._handle)
