"""The tests of a code problem. They are the problem's reference answer, as JSON.

There are three kinds: code with ``assert``; calls of a function, with arguments and the value expected; and runs of a
whole program, with input and output.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from porism import recipe
from porism.errors import DataError, RecipeError
from porism.problems._python import tree

__all__ = ["Call", "CodeTests", "Run", "broken", "parse", "read_tests"]


class Call(recipe.Settings):
    """One call of the function. In a value, lists stand for tuples as well."""

    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    expected: Any


class Run(recipe.Settings):
    """One run of the program."""

    input: str = ""
    output: str


_OF_CODE = ("functions", "setup", "helpers", "aliases")
_OF_VALUES = ("tolerance", "unordered")
_NOT_FOR = {"code": _OF_VALUES, "calls": _OF_CODE, "runs": _OF_CODE}
"""What tests of each kind have no use for."""


class CodeTests(recipe.Settings):
    """All tests of one problem."""

    tests: Annotated[list[str] | list[Call] | list[Run], Field(min_length=1)]
    function: str = ""
    """What the tests call."""
    functions: list[str] = []
    """Further names that are always the program's, where a test uses them."""
    start: str = ""
    """Code that the question gives and an answer may go on from."""
    setup: str = ""
    """Code before the tests that are code."""
    helpers: str = ""
    """Code whose names belong to the tests, whatever the program defines."""
    aliases: dict[str, str] = {}
    """Names by which the tests call the program's functions."""
    tolerance: Annotated[float, Field(ge=0)] = 0.0
    """Numbers may differ by this share, or by this much."""
    unordered: bool = False
    """The order of a list, or of the lines of the output, does not matter."""
    cpu_seconds: Annotated[int, Field(ge=1)] = 10
    memory_mb: Annotated[int, Field(ge=64)] = 1024

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.kind == "calls" and not self.function:
            raise ValueError("calls need the name of the function, under 'function'")
        fields = type(self).model_fields
        ignored = [name for name in _NOT_FOR[self.kind] if getattr(self, name) != fields[name].default]
        if ignored:
            raise ValueError(f"{', '.join(ignored)}: not for tests that are {self.kind}")
        return self

    @property
    def kind(self) -> Literal["code", "calls", "runs"]:
        """What the tests are."""
        first = self.tests[0]
        return "code" if isinstance(first, str) else "calls" if isinstance(first, Call) else "runs"

    def text(self) -> str:
        """The tests as the reference answer of a problem."""
        return json.dumps(self.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False, sort_keys=True)


def parse(text: str) -> CodeTests:
    """The tests in a reference answer.

    Raises:
        DataError: it has none.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        raise DataError("the reference answer holds no tests: it is not JSON") from None
    return read_tests(value, "the reference answer")


def read_tests(value: Any, place: str) -> CodeTests:
    """The tests that a data file gives.

    Args:
        value: a list of tests, an object with ``tests``, the same as JSON text, or ``inputs`` and ``outputs`` as APPS
            has them.
        place: where it stands, for the message.

    Raises:
        DataError: it is none of these.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = [value]
    if isinstance(value, list):
        value = {"tests": value}
    if isinstance(value, Mapping) and "inputs" in value and "outputs" in value:
        value = _from_apps(value, place)
    if not isinstance(value, Mapping):
        raise DataError(f"{place}: expected tests (a list, or an object with 'tests'), got {type(value).__name__}.")
    try:
        return recipe.build(CodeTests, _numbers(value), place)
    except RecipeError as error:
        fault = _fault(value.get("tests"), place) or _worst_line(error)
        raise DataError(
            f"{fault.rstrip('.')}. A test is code with assert, an object with args and expected, or one with input and "
            "output; all of a problem are alike."
        ) from None


def broken(tests: CodeTests) -> str:
    """Which of the pieces of code is no Python; empty if all are."""
    pieces = {"setup": tests.setup, "helpers": tests.helpers}
    pieces |= {f"test {number}": test for number, test in enumerate(tests.tests, 1) if isinstance(test, str)}
    return next((name for name, code in pieces.items() if tree(code) is None), "")


def _worst_line(error: RecipeError) -> str:
    """What it says first; but that a key is unknown explains why another is missing."""
    lines = str(error).splitlines()
    return next((line for line in lines if "unknown" in line), lines[0])


def _fault(tests: Any, place: str) -> str:
    """What is wrong with one of the tests; empty if each is one by itself."""
    if not isinstance(tests, list) or not tests:
        return f"{place}: tests: expected at least one, got an empty list" if tests == [] else ""
    kinds = set()
    for number, test in enumerate(tests, 1):
        if isinstance(test, str):
            kinds.add("code")
        elif isinstance(test, Mapping):
            kind: type[Call | Run] = Run if {"input", "output"} & test.keys() else Call
            kinds.add(kind.__name__)
            try:
                recipe.build(kind, test, f"{place}: test {number}")
            except RecipeError as error:
                return _worst_line(error)
        else:
            return f"{place}: test {number}: expected a text or an object, got {type(test).__name__}"
    return f"{place}: tests of several kinds" if len(kinds) > 1 else ""


def _numbers(value: Mapping[str, Any]) -> dict[str, Any]:
    tolerance = value.get("tolerance")
    if type(tolerance) is int and abs(tolerance) < 1 << 53:
        return {**value, "tolerance": float(tolerance)}
    return dict(value)


def _from_apps(value: Mapping[str, Any], place: str) -> dict[str, Any]:
    inputs, outputs, name = value["inputs"], value["outputs"], value.get("fn_name") or ""
    if not isinstance(inputs, list) or not isinstance(outputs, list) or len(inputs) != len(outputs):
        raise DataError(f"{place}: expected as many outputs as inputs.")
    rest = {key: item for key, item in value.items() if key not in ("inputs", "outputs", "fn_name")}
    pairs = zip(inputs, outputs, strict=True)
    if not name:
        return {**rest, "tests": [{"input": _joined(given), "output": _joined(wanted)} for given, wanted in pairs]}
    calls = [{"args": given, "expected": _only(wanted)} for given, wanted in pairs]
    return {**rest, "function": name, "tests": calls}


def _joined(text: Any) -> Any:
    """Lines that are given as a list, as one text."""
    return "\n".join(map(str, text)) if isinstance(text, list) else text


def _only(wanted: Any) -> Any:
    """The value expected of a function, which APPS puts into a list of its own."""
    return wanted[0] if isinstance(wanted, list) and len(wanted) == 1 else wanted
