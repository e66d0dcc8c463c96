"""Compares what a program wrote with the output that a test expects."""

from __future__ import annotations

from porism.sandbox.inside.compare import same_value

__all__ = ["same_output"]


def same_output(expected: str, got: str, *, tolerance: float = 0.0, unordered: bool = False) -> bool:
    """Whether a program's output is the one expected, but for spaces at the ends of lines and empty lines at the end.

    Args:
        expected: as the test has it.
        got: what the program wrote.
        tolerance: where it is not 0, lines are compared word by word, and numbers may differ by it.
        unordered: the order of the lines does not matter.
    """
    left, right = _lines(expected), _lines(got)
    if left == right:
        return True
    if len(left) != len(right):
        return False
    if not tolerance:
        return unordered and sorted(left) == sorted(right)
    words = [[[_word(word) for word in line.split()] for line in side] for side in (left, right)]
    return same_value(words[0], words[1], tolerance=tolerance, unordered=unordered)


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.rstrip().splitlines()]


def _word(word: str) -> float | str:
    """A number where the word is one."""
    try:
        return float(word)
    except ValueError:
        return word
