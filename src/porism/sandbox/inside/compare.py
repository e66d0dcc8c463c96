"""Compares the value that a program gave with the one that a test expects. Both are plain data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

__all__ = ["same_value"]

_MOST_PAIRED = 2_000
"""Items of a list that are paired one by one, where sorting does not bring like to like."""


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
        if len(expected) != len(got):  # before anything is made of them: a range may be endless
            return False
        left, right = list(expected), list(got)
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
    if not (isinstance(expected, _NUMBERS) and isinstance(got, _NUMBERS)):
        return bool(expected == got)
    if _is_nan(expected) or _is_nan(got):
        return _is_nan(expected) and _is_nan(got)
    if tolerance:
        left, right = _float(expected), _float(got)
        if math.isfinite(left) and math.isfinite(right):
            return abs(left - right) <= tolerance * max(1.0, abs(left))
    return bool(expected == got)


_NUMBERS = (int, float, Decimal, Fraction)


def _is_nan(value: Any) -> bool:
    return value.is_nan() if isinstance(value, Decimal) else bool(value != value)  # noqa: PLR0124


def _float(value: Any) -> float:
    """A number as a float; infinity where it has no place among them, and is to be compared exactly."""
    try:
        return float(value)
    except OverflowError:
        return math.inf


def _paired(left: list[Any], right: list[Any], tolerance: float) -> bool:
    """Whether the items of two lists are the same, in some order."""
    for key in (None, _rank):
        try:
            ordered = zip(sorted(left, key=key), sorted(right, key=key), strict=True)
        except (TypeError, ArithmeticError):  # they have no order of their own
            continue
        if all(same_value(one, other, tolerance=tolerance) for one, other in ordered):
            return True
    if len(left) > _MOST_PAIRED:
        return False
    rest = right
    for one in left:
        at = next((at for at, other in enumerate(rest) if same_value(one, other, tolerance=tolerance)), None)
        if at is None:
            return False
        del rest[at]
    return True


def _rank(value: Any) -> str:
    """A text by which values of any kinds can be sorted, so that equal ones come to stand at the same place."""
    if isinstance(value, _NUMBERS):
        return "nan" if _is_nan(value) else repr(_float(value) + 0.0)  # and not -0.0
    if _is_list(value):
        return f"[{','.join(map(_rank, value))}]"
    if isinstance(value, Mapping):
        return f"{{{','.join(sorted(f'{_key(key)}:{_rank(item)}' for key, item in value.items()))}}}"
    return repr(value)
