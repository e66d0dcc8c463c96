"""Arguments for a function, made from its types and from examples: no model is asked.

Values are made from the annotations, and changed from examples as EvalPlus does (Liu et al., 2023, arXiv:2305.01210),
with the type kept. The same seed gives the same values.
"""

from __future__ import annotations

import ast
import copy
import json
import random
import string
from collections.abc import Sequence
from typing import Any

from porism.synth._signature import Parameter

__all__ = ["arguments", "changed", "fits", "made"]

_INTEGERS = (0, 1, 2, 3, 4, 5, 7, 10, 12, -1, -2, -7, 100)
_MOST_ITEMS = 8
_DEEPEST = 3
_TRIES = 20
"""Attempts for each call that is wanted: many are repeats."""
_LISTS = ("list", "List", "Sequence", "Iterable", "set", "Set", "deque")
_OF_LETTERS = ("Sequence", "Iterable")
"""Types that a text has too: it is a sequence of texts."""
_TUPLES = ("tuple", "Tuple")
_MAPPINGS = ("dict", "Dict", "Mapping")


def arguments(
    parameters: Sequence[Parameter], seeds: Sequence[Sequence[Any]], *, count: int, seed: int
) -> list[list[Any]]:
    """Different calls' arguments, the examples first.

    Args:
        parameters: of the function.
        seeds: arguments of calls that are known to be fit.
        count: at most so many.
        seed: of the random choices.
    """
    chance = random.Random(seed)
    fit = [list(one) for one in seeds if len(one) == len(parameters)]
    words = sorted({text for one in fit for text in _texts(one)})
    found = {_key(one): one for one in fit}
    typed = any(parameter.type is not None for parameter in parameters)
    for _ in range(_TRIES * count):
        if len(found) >= count:
            break
        if fit and (not typed or chance.random() < 0.7):
            one = _from_examples(fit, chance)
        else:
            one = [made(parameter.type, chance, words) for parameter in parameters]
        found.setdefault(_key(one), one)
    return list(found.values())[:count]


def _from_examples(fit: Sequence[Sequence[Any]], chance: random.Random) -> list[Any]:
    """An example with one to three changes, some of its arguments taken from other examples."""
    one = [copy.deepcopy(chance.choice(fit)[at]) for at in range(len(fit[0]))]
    if chance.random() < 0.5:
        one = copy.deepcopy(list(chance.choice(fit)))
    if not one:
        return one
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(one))
        one[at] = changed(one[at], chance)
    return one


def changed(value: Any, chance: random.Random, depth: int = 0) -> Any:
    """A value of the same type, a little different."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return chance.choice((value + 1, value - 1, -value, value * 2, value // 2, 0, chance.choice(_INTEGERS)))
    if isinstance(value, float):
        return round(chance.choice((value + 1.0, value - 0.5, -value, value * 2.5, value / 3.0, 0.0)), 4)
    if isinstance(value, str):
        return _changed_text(value, chance)
    if isinstance(value, list):
        return _changed_list(value, chance, depth)
    if isinstance(value, dict) and value:
        name = chance.choice(sorted(value))
        rest = {key: item for key, item in value.items() if key != name}
        kept = {**rest, name: changed(value[name], chance, depth + 1)}
        return chance.choice((rest, kept, {**rest, _changed_text(name, chance): value[name]}))
    return value


def _changed_text(value: str, chance: random.Random) -> str:
    if not value:
        return chance.choice(("a", " ", "0", "ab"))
    at, other = chance.randrange(len(value)), chance.randrange(len(value))
    near = chance.choice(value)
    if value[at].isdigit():
        near = chance.choice(string.digits)
    elif value[at].isalpha() and chance.random() < 0.5:
        near = chance.choice((value[at].swapcase(), chance.choice(string.ascii_letters)))
    low, high = sorted((at, other))
    return chance.choice(
        (
            value[:at] + near + value[at + 1 :],
            value[:at] + value[at + 1 :],
            value[:at] + near + value[at:],
            value[:low] + value[high:],
            value + value[low : high + 1],
            value[::-1],
            value.swapcase(),
            "",
        )
    )


def _changed_list(value: list[Any], chance: random.Random, depth: int) -> list[Any]:
    if not value or depth > _DEEPEST:
        return []
    at = chance.randrange(len(value))
    item = chance.choice(value)
    shuffled = chance.sample(value, len(value))
    return chance.choice(
        (
            [*value[:at], changed(value[at], chance, depth + 1), *value[at + 1 :]],
            [*value[:at], changed(item, chance, depth + 1), *value[at:]],
            [*value[:at], *value[at + 1 :]],
            [*value, copy.deepcopy(item)],
            value[:at],
            shuffled,
            value[::-1],
            [changed(one, chance, depth + 1) for one in value],
        )
    )


def made(kind: ast.expr | None, chance: random.Random, words: Sequence[str] = (), depth: int = 0) -> Any:
    """A value of an annotated type; of any simple type where there is none.

    Args:
        kind: the annotation.
        chance: the random choices.
        words: texts from examples, whose characters are used.
        depth: how deep the value stands in another one.
    """
    name, inside = _type(kind)
    if name in _SIMPLE:
        return _simple(name, chance, words)
    if name in ("Optional", "Union"):
        kinds = [*inside, *([_NONE] if name == "Optional" else [])]
        return made(chance.choice(kinds) if kinds else None, chance, words, depth)
    if depth > _DEEPEST:
        return 0
    if name in _TUPLES and inside and not _is_dots(inside[-1]):
        return [made(one, chance, words, depth + 1) for one in inside]
    if name in (*_LISTS, *_TUPLES):
        return [
            made(inside[0] if inside else _INT, chance, words, depth + 1) for _ in range(chance.randint(0, _MOST_ITEMS))
        ]
    if name in _MAPPINGS:
        keys, items = (inside[0], inside[1]) if len(inside) == 2 else (_STR, _STR)
        return {
            str(made(keys, chance, words, depth + 1)): made(items, chance, words, depth + 1)
            for _ in range(chance.randint(0, 4))
        }
    return made(chance.choice((_INT, _STR, _LIST)), chance, words, depth + 1)


def fits(kind: ast.expr | None, value: Any) -> bool:
    """Whether a value of JSON can be of an annotated type; any can where the type is not known.

    Args:
        kind: the annotation.
        value: as JSON has it: tuples and sets are lists.
    """
    name, inside = _type(kind)
    if name in ("Optional", "Union"):
        return (name == "Optional" and value is None) or not inside or any(fits(one, value) for one in inside)
    if name in _TUPLES and inside and not _is_dots(inside[-1]):
        return isinstance(value, list) and len(value) == len(inside) and all(map(fits, inside, value))
    if name in _OF_LETTERS and isinstance(value, str):
        return not inside or fits(inside[0], value)
    if name in (*_LISTS, *_TUPLES):
        return isinstance(value, list) and (not inside or all(fits(inside[0], one) for one in value))
    if name in _MAPPINGS:
        return isinstance(value, dict) and (len(inside) != 2 or all(fits(inside[1], one) for one in value.values()))
    if name in ("int", "float"):
        return isinstance(value, int if name == "int" else int | float) and not isinstance(value, bool)
    return name not in _EXACT or isinstance(value, _EXACT[name])


def _simple(name: str, chance: random.Random, words: Sequence[str]) -> Any:
    if name == "int":
        return chance.choice((chance.choice(_INTEGERS), chance.randint(0, 20), chance.randint(-50, 1_000)))
    if name == "float":
        return round(chance.choice((chance.uniform(-10, 10), chance.uniform(0, 1), float(chance.randint(-5, 50)))), 3)
    if name == "bool":
        return chance.random() < 0.5
    return _text(chance, words) if name == "str" else None


_SIMPLE = ("int", "float", "bool", "str", "None", "NoneType")
_EXACT = {"bool": bool, "str": str, "None": type(None), "NoneType": type(None)}
_INT, _STR, _NONE = ast.Name("int"), ast.Name("str"), ast.Name("None")
_LIST = ast.Subscript(ast.Name("list"), _INT)


def _type(kind: ast.expr | None) -> tuple[str, list[ast.expr]]:
    """Name and parameters of an annotation: ``List[int]`` is List with int."""
    if isinstance(kind, ast.Constant) and isinstance(kind.value, str):
        kind = _quoted(kind.value)
    if isinstance(kind, ast.Subscript):
        name = getattr(kind.value, "attr", "") or getattr(kind.value, "id", "")
        inside = kind.slice.elts if isinstance(kind.slice, ast.Tuple) else [kind.slice]
        return name, list(inside)
    if isinstance(kind, ast.Attribute):
        return kind.attr, []
    if isinstance(kind, ast.BinOp) and isinstance(kind.op, ast.BitOr):
        return "Union", [kind.left, kind.right]
    if isinstance(kind, ast.Constant):
        return str(kind.value), []
    return (kind.id, []) if isinstance(kind, ast.Name) else ("", [])


def _quoted(text: str) -> ast.expr | None:
    """An annotation that stands in quotes."""
    try:
        return ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _is_dots(kind: ast.expr) -> bool:
    return isinstance(kind, ast.Constant) and kind.value is ...


def _text(chance: random.Random, words: Sequence[str]) -> str:
    """A text of the characters that the examples use, of letters, or one of a few that are awkward."""
    signs = "".join(words) or string.ascii_lowercase
    length = chance.randint(0, 2 * _MOST_ITEMS)
    plain = "".join(chance.choice(signs) for _ in range(length))
    letters = "".join(chance.choice(string.ascii_letters + " ") for _ in range(length))
    return chance.choice((plain, plain, letters, chance.choice(("", "a", "aa", "abcba", "A b", "123", " "))))


def _texts(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    if isinstance(value, dict):
        return [text for pair in value.items() for one in pair for text in _texts(one)]
    return [text for one in value for text in _texts(one)] if isinstance(value, list) else []


def _key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
