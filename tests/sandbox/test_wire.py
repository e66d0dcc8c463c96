"""Values over the wire: what goes in comes out, anything else is refused."""

import collections
import decimal
import fractions
import math
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from porism.sandbox.inside import wire
from porism.sandbox.inside.compare import same_value

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.complex_numbers(allow_nan=False)
    | st.fractions()
    | st.decimals(allow_nan=False)
)
hashable = st.recursive(scalars, lambda inner: st.tuples(inner, inner) | st.frozensets(inner, max_size=3), max_leaves=5)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.tuples(inner, inner)
        | st.dictionaries(hashable, inner, max_size=3)
        | st.sets(hashable, max_size=3)
    ),
    max_leaves=8,
)


def through(value: object) -> object:
    import json

    return wire.decode(json.loads(json.dumps(wire.encode(value))))


@given(values)
def test_plain_values_arrive_as_they_were(value: object) -> None:
    arrived = through(value)
    assert arrived == value
    assert type(arrived) is type(value)


def test_values_that_json_does_not_know() -> None:
    assert math.isnan(through(math.nan))  # type: ignore[arg-type]
    assert math.copysign(1, through(-0.0)) == -1  # type: ignore[arg-type]
    assert through([math.inf, -math.inf, 1 << 4000, "\ud800\0"]) == [math.inf, -math.inf, 1 << 4000, "\ud800\0"]
    assert through(range(2, 9, 3)) == range(2, 9, 3)
    assert through(collections.deque([1, 2])) == collections.deque([1, 2])
    assert through(bytearray(b"ab")) == b"ab"
    assert through([int, ValueError]) == [int, ValueError]


class Same(int):
    __hash__ = int.__hash__

    def __eq__(self, other: object) -> bool:
        return True


class Words(list):  # type: ignore[type-arg]
    def __iter__(self) -> object:  # type: ignore[override]
        raise RuntimeError

    def __len__(self) -> int:
        raise RuntimeError


def test_an_heir_is_sent_as_what_it_inherits_from() -> None:
    """Also where its methods say otherwise."""
    assert type(through(Same(3))) is int
    assert through(Same(3)) != 4
    assert through(Words([1])) == [1]
    assert type(through(collections.Counter("aab"))) is dict
    assert type(through(time.gmtime(0))) is tuple


@pytest.mark.parametrize(
    "value", [object(), print, len, iter([]), collections.Counter, {1: object()}, [lambda: 0], memoryview(b"")]
)
def test_objects_are_refused(value: object) -> None:
    with pytest.raises(wire.Unsendable):
        wire.encode(value)


def test_too_deep_or_endless_values_are_refused() -> None:
    deep: list[object] = []
    for _ in range(5000):
        deep = [deep]
    endless: list[object] = []
    endless.append(endless)
    for value in (deep, endless):
        with pytest.raises(wire.Unsendable, match="nested too deeply"):
            wire.encode(value)


@pytest.mark.parametrize(
    "data",
    [
        {},
        1.5,
        ["x"],
        ["d", 1],
        ["d", [["l"], 1]],
        ["f", "one"],
        ["i", "zz"],
        ["h", 0],
        [],
        [None],
        ["r", "0x1", "0x2", "0x0"],
        ["b", "g"],
        ["k", "eval"],
    ],
)
def test_what_encode_does_not_make_is_refused(data: object) -> None:
    with pytest.raises(wire.Unsendable):
        wire.decode(data)


@contextmanager
def answered(*replies: bytes) -> Iterator[wire.Caller]:
    """A caller whose questions get these bytes for replies."""
    ours, theirs = socket.socketpair()

    def serve() -> None:
        with theirs:
            for reply in replies:
                wire.Line(theirs).receive()
                theirs.sendall(reply)

    server = threading.Thread(target=serve)
    server.start()
    with ours:
        yield wire.Caller(wire.Line(ours))
    server.join()


def frame(text: str) -> bytes:
    return struct.pack("!I", len(text)) + text.encode()


@pytest.mark.parametrize(
    "reply",
    [
        frame('{"nonce": "0", "value": 4}'),
        frame('{"value": 4}'),
        frame("[4]"),
        frame("{"),
        frame("[" * 100_000),
        struct.pack("!I", (1 << 32) - 1),
    ],
)
def test_a_reply_without_the_questions_nonce_is_none(reply: bytes) -> None:
    with answered(reply) as caller, pytest.raises(wire.Broken):
        caller.ask("load")


def test_silence_is_no_reply() -> None:
    with answered() as caller, pytest.raises(wire.Gone):
        caller.ask("load")


@pytest.mark.parametrize(
    ("expected", "got", "options", "same"),
    [
        ([1, 2], (1, 2), {}, True),
        ([1, [2, 3]], (1, (2, 3)), {}, True),
        ([1, 2], [2, 1], {}, False),
        ([1, 2], [2, 1], {"unordered": True}, True),
        ([1, 1, 2], [2, 2, 1], {"unordered": True}, False),
        ([[1, 2], "a"], ["a", [1, 2]], {"unordered": True}, True),
        ([[1, 2]], [[2, 1]], {"unordered": True}, False),
        ([1, 2], {2, 1}, {}, True),
        ({"1": "a"}, {1: "a"}, {}, True),
        ({"1": "a"}, {1: "b"}, {}, False),
        ({"1": "a"}, {1: "a", "1": "a"}, {}, False),
        (0.3, 0.1 + 0.2, {}, False),
        (0.3, 0.1 + 0.2, {"tolerance": 1e-9}, True),
        (1e6, 1e6 + 1, {"tolerance": 1e-5}, True),
        (2, 2.0, {}, True),
        (math.nan, math.nan, {}, True),
        (math.inf, 1e308, {"tolerance": 1.0}, False),
        ([1.0, 2.0], [2.0000001, 1.0], {"tolerance": 1e-3, "unordered": True}, True),
        ("12", 12, {}, False),
        ("ab", ["a", "b"], {}, False),
        (None, 0, {}, False),
        (fractions.Fraction(1, 2), 0.5, {}, True),
        (decimal.Decimal("0.5"), 0.5, {}, True),
        (0.333333, fractions.Fraction(1, 3), {"tolerance": 1e-5}, True),
        (0.333333, decimal.Decimal(1) / 3, {"tolerance": 1e-5}, True),
        (0.3, decimal.Decimal("nan"), {"tolerance": 1e-5}, False),
        (10**400, 10**400 + 1, {"tolerance": 1e-5}, False),
        ([1], range(10**15), {}, False),
        ([0, 1, 2], range(3), {}, True),
        ([None, 1, "a"], ["a", None, 1.0], {"unordered": True}, True),
        ([{"a": n} for n in range(3000)], [{"a": n} for n in reversed(range(3000))], {"unordered": True}, True),
        ([{"a": n} for n in range(3000)], [{"a": n} for n in range(1, 3001)], {"unordered": True}, False),
        ([[0.5, None]], [[0.50000001, None]], {"unordered": True, "tolerance": 1e-3}, True),
    ],
)
def test_same_value(expected: object, got: object, options: dict, same: bool) -> None:
    assert same_value(expected, got, **options) is same
