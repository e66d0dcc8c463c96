"""Compares the value that a program gave with the one that a test expects. Both are plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["same_value"]

_MOST_PAIRED = 2_000
"""Items of a list that are paired one by one, where they cannot be sorted."""


def same_value(expected: Any, got: Any, *, tolerance: float = 0.0, unordered: bool = False) -> bool:
    """Whether a value is the one expected.

    Lists and tuples are alike, and so are the keys 1 and "1" of a mapping, since a file of JSON cannot tell them apart;
    a set is equal to a list of its items.

    Args:
        expected: as the test has it.
        got: what the program returned.
        tolerance: numbers may differ by this share, or by this much.
        unordered: the order of the outermost list does not matter.
    """
    if isinstance(got, set | frozenset) or isinstance(expected, set | frozenset):
        unordered = True
    if _is_list(expected) and _is_list(got):
        left, right = list(expected), list(got)
        if len(left) != len(right):
            return False
        if unordered:
            return _paired(left, right, tolerance)
        return all(same_value(one, other, tolerance=tolerance) for one, other in zip(left, right, strict=True))
    if isinstance(expected, Mapping) and isinstance(got, Mapping):
        if len(expected) != len(got):
            return False
        left_keys, right_keys = ({_key(key): item for key, item in side.items()} for side in (expected, got))
        return left_keys.keys() == right_keys.keys() and all(
            same_value(item, right_keys[key], tolerance=tolerance) for key, item in left_keys.items()
        )
    return _same_scalar(expected, got, tolerance)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes)


def _key(key: Any) -> Any:
    return key if isinstance(key, str) else repr(key)


def _same_scalar(expected: Any, got: Any, tolerance: float) -> bool:
    if isinstance(expected, int | float) and isinstance(got, int | float):
        if expected != expected and got != got:  # noqa: PLR0124  (both are NaN)
            return True
        if tolerance and _is_finite(expected) and _is_finite(got):
            return bool(abs(expected - got) <= tolerance * max(1.0, abs(expected)))
    return bool(expected == got)


def _paired(left: list[Any], right: list[Any], tolerance: float) -> bool:
    """Whether the items of two lists are the same, in some order."""
    try:
        ordered = zip(sorted(left), sorted(right), strict=True)
        if all(same_value(one, other, tolerance=tolerance) for one, other in ordered):
            return True
    except TypeError:
        pass
    if len(left) > _MOST_PAIRED:
        return False
    rest = list(right)
    for one in left:
        at = next((at for at, other in enumerate(rest) if same_value(one, other, tolerance=tolerance)), None)
        if at is None:
            return False
        del rest[at]
    return True


def _is_finite(value: float) -> bool:
    """Whether it is a number that has a place among the floats; a longer integer is compared exactly."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False
