r"""Whether two answers say the same: numbers, expressions, tuples, intervals, sets, matrices, equations, inequalities.

The rules, after Math-Verify (0.9) where it is right:

- values are compared exactly; a decimal also equals what rounds to it, if it has at least ``precision`` places;
- 28 % is 28 or 0.28; degrees and units are set aside, unless both sides have units that are known and differ;
- a list is a set, in any order; a tuple keeps its order; an interval keeps its brackets; ``a ± b`` is two values;
- ``x = 5`` answers 5 and the other way round, but ``x = 1`` is not ``y = 1``; a gold equation wants an equation;
- an equation equals its multiples, an inequality its positive multiples; ``-2 ≤ x ≤ 7`` is ``[-2, 7]``.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from typing import NamedTuple

from porism.graders._matrices import folded, has_matrix
from porism.graders._parse import Node
from porism.graders._units import unit
from porism.graders._values import TooHard, exact, names, same_value

__all__ = ["Rules", "same"]

_MAX_ITEMS = 200
_ZERO = Node("num", value=Fraction(0))
_FLIPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}


class Rules(NamedTuple):
    """What counts as the same."""

    precision: int = 6
    """Decimal places from which a rounded number is taken for the exact one."""
    strict: bool = True
    """Variables must have the same names; else they are matched in the order of their first appearance."""
    set_is_relation: bool = True
    """A gold set or interval accepts an inequality (the other way round is always so)."""


def same(gold: Node, answer: Node, rules: Rules | None = None) -> bool:
    """Whether ``answer`` says what ``gold`` says.

    Raises:
        TooHard: it cannot be told here.
    """
    return _Comparison(rules or Rules()).same(gold, answer)


class _Comparison:
    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.renamed: dict[str, str] = {}

    def same(self, gold: Node, answer: Node) -> bool:
        if not self.rules.strict:
            self.renamed = dict(zip(_in_order(answer), _in_order(gold), strict=False))
        gold, answer = _value_of(gold, answer)
        return self.equal(gold, answer)

    def equal(self, gold: Node, answer: Node) -> bool:
        """Compare two answers of whatever kind."""
        if gold == answer:
            return True
        gold, answer = _without_membership(gold), _without_membership(answer)
        gold, answer = self._unwrapped(gold, answer)
        if gold.kind == "relation" or answer.kind == "relation":
            return self._relations(gold, answer)
        gold, answer = _as_set(gold), _as_set(answer)
        kinds = {gold.kind, answer.kind}
        if has_matrix(gold) or has_matrix(answer):
            return self._matrices(gold, answer)
        if kinds & {"list", "set", "tuple", "union"}:
            return self._collections(gold, answer)
        if "ratio" in kinds:
            return self._ratios(gold, answer)
        if "base" in kinds:
            return gold.kind == answer.kind and gold.value == answer.value
        return self._numbers(gold, answer)

    # --- numbers and expressions ---

    def _numbers(self, gold: Node, answer: Node) -> bool:
        gold, answer, factor = _units_apart(gold, answer)
        if factor is None:
            return False
        if factor != 1:
            answer = Node("mul", (answer, Node("num", value=factor)))
        infinite = _infinity(gold), _infinity(answer)
        if any(infinite):
            return infinite[0] == infinite[1]
        gold, answer = _in_radians(gold, answer)
        if self._rounded(gold, answer) or same_value(gold, answer, self.renamed):
            return True
        stripped = _percent_apart(gold, answer)
        return stripped is not None and self._numbers(*stripped)

    def _rounded(self, gold: Node, answer: Node) -> bool:
        """Whether one side is a decimal to which the other one rounds."""
        for decimal, other in ((gold, answer), (answer, gold)):
            value, places = _decimal(decimal)
            if places < self.rules.precision or names(other) or other.kind == "base":
                continue
            exact_value = exact(other)
            if exact_value is None:
                half = Node("num", value=Fraction(1, 2 * 10**places))
                if _between(other, value, half.value):
                    return True
                continue
            places = min(places, _decimal(other)[1] or places)
            if abs(value - exact_value) <= Fraction(1, 2 * 10**places) and abs(value) * 10**places >= 100:
                return True
            shorter = self.rules.precision
            if shorter < 6 and round(value, shorter) == round(exact_value, shorter):
                return True
        return False

    def _ratios(self, gold: Node, answer: Node) -> bool:
        if gold.kind == answer.kind and any(part.kind == "unit" for part in (*gold.args, *answer.args)):
            return _said(gold) == _said(answer) and self._in_order(gold.args, answer.args)  # 2:30 p.m.
        if gold.kind == answer.kind == "ratio" and len(gold.args) == len(answer.args) > 2:
            return all(
                same_value(Node("mul", (a, answer.args[0])), Node("mul", (b, gold.args[0])), self.renamed)
                for a, b in zip(gold.args[1:], answer.args[1:], strict=True)
            )
        if len(gold.args) > 2 or len(answer.args) > 2 or "decimal" in (gold.kind, answer.kind):
            return False
        return self._numbers(_quotient(gold), _quotient(answer))

    # --- several values ---

    def _collections(self, gold: Node, answer: Node) -> bool:
        if "union" in (gold.kind, answer.kind):
            gold, answer = _as_union(gold), _as_union(answer)
            parts = [_parts(gold), _parts(answer)]
            return len(parts[0]) == len(parts[1]) and self._matched(*parts)
        if gold.kind == "tuple" and answer.kind == "tuple":
            return self._tuples(gold, answer)
        if gold.kind == "tuple":
            if answer.kind != "list" or gold.value != "()":
                return False
            return self._in_order(gold.args, _by_name(answer).args)
        if answer.kind == "tuple" and (answer.value != "()" or gold.kind == "set"):
            return False
        if _names_of(gold) and not _names_of(answer) and answer.kind == "list":  # a = 1, b = 2 and 1, 2
            return self._in_order(gold.args, answer.args)
        wanted, got = _distinct(gold), _distinct(answer)
        return len(wanted) == len(got) and self._matched(wanted, got)

    def _tuples(self, gold: Node, answer: Node) -> bool:
        return gold.value == answer.value and self._in_order(gold.args, answer.args)

    def _in_order(self, gold: Sequence[Node], answer: Sequence[Node]) -> bool:
        return len(gold) == len(answer) and all(map(self.equal, gold, answer))

    def _matched(self, gold: Sequence[Node], answer: Sequence[Node]) -> bool:
        """Whether the items can be paired off; equality is an equivalence here, so the first partner will do."""
        if len(gold) > _MAX_ITEMS:
            raise TooHard(f"more than {_MAX_ITEMS} items")
        left = list(answer)
        for wanted in gold:
            place = next((at for at, got in enumerate(left) if self.equal(wanted, got)), None)
            if place is None:
                return False
            del left[place]
        return not left

    def _matrices(self, gold: Node, answer: Node) -> bool:
        gold, answer = folded(gold), folded(answer)
        if gold.kind == answer.kind == "matrix":
            return gold.value == answer.value and self._in_order(gold.args, answer.args)
        matrix, other = (gold, answer) if gold.kind == "matrix" else (answer, gold)
        if other.kind == "tuple" and other.value == "()" and 1 in matrix.value:  # a vector
            return self._in_order(gold.args, answer.args)
        if other.kind in ("tuple", "set", "list", "num", "decimal", "union"):
            return False
        return self._in_order(matrix.args, (other,))

    # --- equations and inequalities ---

    def _unwrapped(self, gold: Node, answer: Node) -> tuple[Node, Node]:
        """The values of ``x = 5``, where the other side is no equation."""
        if answer.kind == "relation" and gold.kind != "relation":
            value = _assigned(answer)
            if value is not None:
                return self._unwrapped(gold, value)
        if gold.kind == "relation" and answer.kind != "relation":
            value = _assigned(gold, gold=True)
            if value is not None:
                return self._unwrapped(value, answer)
        return gold, answer

    def _relations(self, gold: Node, answer: Node) -> bool:
        if gold.kind != answer.kind:
            relation, other = (gold, answer) if gold.kind == "relation" else (answer, gold)
            if relation is answer and not self.rules.set_is_relation:
                return False
            described = _described(relation)
            if described is None or other.kind not in ("tuple", "union", "set"):
                return False
            return self.equal(described, other)
        gold, answer = _chain_ends(gold), _chain_ends(answer)
        if gold.value != answer.value:
            wanted, got = _described(gold), _described(answer)
            if wanted is not None and got is not None:
                return self.equal(wanted, got)
        if len(gold.value) == len(answer.value) == 1:
            return self._pair(gold, answer)
        if len(gold.value) != len(answer.value):
            return False
        if gold.value == answer.value and self._in_order(gold.args, answer.args):
            return True
        flipped = tuple(_FLIPPED.get(sign, "") for sign in reversed(answer.value))
        return gold.value == flipped and self._in_order(gold.args, answer.args[::-1])

    def _pair(self, gold: Node, answer: Node) -> bool:
        if gold.value == answer.value and self._in_order(gold.args, answer.args):
            return True
        if any(
            side.kind in ("tuple", "set", "list", "union", "matrix", "ratio") for side in (*gold.args, *answer.args)
        ):
            return False
        for sides, sign in ((answer.args, answer.value[0]), (answer.args[::-1], _FLIPPED.get(answer.value[0]))):
            if sign == gold.value[0] and self._proportional(gold.args, sides, positive=sign not in ("=", "!=")):
                return True
        return False

    def _proportional(self, gold: Sequence[Node], answer: Sequence[Node], *, positive: bool) -> bool:
        """Whether ``gold`` left minus right is a constant times ``answer`` left minus right."""
        left, right = _difference(gold), _difference(answer)
        variables = names(left) | names(right)
        if not variables:
            return same_value(left, right, self.renamed)
        if names(left) != {self.renamed.get(name, name) for name in names(right)}:
            return False
        at = {name: Node("num", value=Fraction(2 * place + 3, 7)) for place, name in enumerate(sorted(variables))}
        at |= {name: at[other] for name, other in self.renamed.items() if other in at}
        top, bottom = _put(left, at), _put(right, at)
        crossed = Node("mul", (left, bottom)), Node("mul", (right, top))
        if not same_value(*crossed, self.renamed) or same_value(top, _ZERO) or same_value(bottom, _ZERO):
            return False
        return not positive or _is_positive(Node("div", (top, bottom)))


# --- helpers on trees ---


def _in_order(node: Node) -> list[str]:
    """The variables in the order of their first appearance."""
    if node.kind == "sym":
        return [node.value]
    return list(dict.fromkeys(itertools.chain.from_iterable(map(_in_order, node.args))))


def _value_of(gold: Node, answer: Node) -> tuple[Node, Node]:
    """Lists with equations in them: values where the other side has values alone."""
    gold, answer = _sorted_names(gold), _sorted_names(answer)
    if gold.kind == "list" and answer.kind == "relation" and len(set(answer.value)) == 1 and answer.value[0] == "=":
        return _carried(gold), answer
    if gold.kind == "relation" and answer.kind == "list":
        return gold, _carried(answer)
    return _carried(gold), _carried(answer)


def _carried(node: Node) -> Node:
    """``a = 4, -8, -10`` says ``a = 4, a = -8, a = -10``; ``(x, y) = (5, 8), (8, 5)`` likewise."""
    if node.kind != "list" or node.args[0].kind != "relation" or node.args[0].value != ("=",):
        return node
    if any(item.kind == "relation" for item in node.args[1:]):
        return node
    name, first = node.args[0].args
    return Node("list", (first, *node.args[1:])) if _only_symbols(name) else node


def _sorted_names(node: Node) -> Node:
    """``(y, x) = (5, 6)`` with its names in order: ``(x, y) = (6, 5)``."""
    if node.kind != "relation" or node.value != ("=",) or any(side.kind != "tuple" for side in node.args):
        return node
    named, values = node.args
    if any(name.kind != "sym" for name in named.args) or len(named.args) != len(values.args):
        return node
    pairs = sorted(zip(named.args, values.args, strict=True), key=lambda pair: pair[0].value)
    sides = (Node("tuple", tuple(side), "()") for side in zip(*pairs, strict=True))
    return Node("relation", tuple(sides), node.value)


def _names_of(node: Node) -> list[str]:
    """The names in ``a = 1, b = 2``, where each is given one value; else nothing."""
    if node.kind != "list" or any(part.kind != "relation" or part.value != ("=",) for part in node.args):
        return []
    found = [part.args[0].value for part in node.args if part.args[0].kind == "sym"]
    return found if len(set(found)) == len(node.args) else []


def _by_name(node: Node) -> Node:
    """``y = 5, x = 6`` in the order of the names: (6, 5) is meant."""
    found = _names_of(node)
    if not found:
        return node
    return Node("list", tuple(part for _, part in sorted(zip(found, node.args, strict=True), key=lambda pair: pair[0])))


def _said(node: Node) -> list[str]:
    return ["".join(filter(str.isalnum, part.value.lower())) if part.kind == "unit" else "" for part in node.args]


def _in_radians(gold: Node, answer: Node) -> tuple[Node, Node]:
    """90° is 90, and 60° is π/3."""
    sides = []
    for side, other in ((gold, answer), (answer, gold)):
        turned = side.kind == "degree" and other.kind != "degree" and _has_pi(other)
        pi = Node("const", value="pi")
        sides.append(
            Node("mul", (side.args[0], Node("div", (pi, Node("num", value=Fraction(180)))))) if turned else side
        )
    return sides[0], sides[1]


def _has_pi(node: Node) -> bool:
    return (node.kind == "const" and node.value == "pi") or any(map(_has_pi, node.args))


def _without_membership(node: Node) -> Node:
    if node.kind == "relation" and node.value == ("in",) and _only_symbols(node.args[0]):
        return node.args[1]
    return node


def _as_set(node: Node) -> Node:
    """Spread ± out, also inside of lists and sets."""
    if _count_pm(node) > 1 and node.kind not in ("list", "set", "relation"):
        raise TooHard("more than one ±")
    if node.kind == "pm" or (node.kind in ("neg", "add", "mul", "div", "unit", "pow") and _has_pm(node)):
        return Node("list", (_chosen(node, 0), _chosen(node, 1)))
    if node.kind in ("list", "set") and any(_has_pm(item) for item in node.args):
        spread: list[Node] = []
        for item in node.args:
            opened = _as_set(item) if item.kind != "relation" else _spread_relation(item)
            spread += opened.args if opened.kind == "list" else (opened,)
        return Node(node.kind, tuple(spread))
    return node


def _spread_relation(node: Node) -> Node:
    if not _has_pm(node):
        return node
    return Node(
        "list", tuple(Node("relation", (*node.args[:-1], _chosen(node.args[-1], at)), node.value) for at in (0, 1))
    )


def _has_pm(node: Node) -> bool:
    return node.kind == "pm" or any(map(_has_pm, node.args))


def _count_pm(node: Node) -> int:
    return (node.kind == "pm") + sum(map(_count_pm, node.args))


def _chosen(node: Node, at: int) -> Node:
    """The expression with one of the two signs."""
    args = tuple(_chosen(arg, at) for arg in node.args)
    if node.kind != "pm":
        return Node(node.kind, args, node.value)
    minus = (node.value == r"\mp") == (at == 0)
    return Node("add", (args[0], Node("neg", (args[1],)) if minus else args[1]))


def _distinct(node: Node) -> list[Node]:
    """The items of a set, each once; of another node, itself."""
    if node.kind not in ("set", "list", "tuple"):
        return [node]
    return list(dict.fromkeys(node.args))


def _as_union(node: Node) -> Node:
    """``x < 2 or x > 3`` as a union of intervals."""
    if node.kind != "list" or any(item.kind != "relation" for item in node.args):
        return node
    described = [_described(item) for item in node.args]
    known = [item for item in described if item is not None]
    return Node("union", tuple(known)) if len(known) == len(described) else node


def _parts(node: Node) -> list[Node]:
    return list(node.args) if node.kind == "union" else [node]


def _only_symbols(node: Node) -> bool:
    """``x``, ``f(x)``, ``|AB|``, ``S_1 : S_2``, ``(p, q)``: a name, not a condition."""
    if node.kind == "sym":
        return True
    if node.kind == "const":
        return node.value in ("e", "i")
    if node.kind in ("mul", "div", "ratio", "unit") or (node.kind == "tuple" and node.value == "()"):
        return all(map(_only_symbols, node.args))
    return node.kind == "call" and node.value == "abs" and all(map(_only_symbols, node.args))


def _is_function_of_number(node: Node) -> bool:
    """``f(2)`` reads as a product of a name and a number."""
    return node.kind == "mul" and node.args[0].kind == "sym" and node.args[1].kind in ("num", "neg")


def _assigned(node: Node, *, gold: bool = False) -> Node | None:
    """The value that a chain of equalities gives; None where it is a condition on unknowns or an inequality."""
    if set(node.value) - {"=", "~"}:
        return None
    args = node.args
    equal = node.value.index("~") if "~" in node.value and node.value[0] == "=" else len(node.value)
    name, value = args[0], args[equal]
    if node.value[0] == "~" and not names(name):
        return name  # π ≈ 3.14
    if len(args) == 2 and name.kind not in ("sym", "call") and _only_symbols(value) and not names(name):
        return name  # 5 = x
    if _only_symbols(name) or _is_function_of_number(name):
        return value
    computed = not names(name) and not gold
    return value if computed else None


def _chain_ends(node: Node) -> Node:
    """``x = 5 + 6 = 11`` says ``x = 11``."""
    if len(node.value) > 1 and not set(node.value) - {"=", "~"}:
        value = _assigned(node)
        if value is not None:
            return Node("relation", (node.args[0], value), ("=",))
    return node


def _described(relation: Node) -> Node | None:
    """The interval that an inequality in one variable describes."""
    infinite = Node("const", value="oo")
    low, high = Node("neg", (infinite,)), infinite
    signs, args = relation.value, relation.args
    if len(signs) == 1:
        return _half_line(args, signs[0], low, high)
    if len(signs) != 2 or names(args[0]) or names(args[2]):
        return None
    if signs[0] in (">", ">="):
        args, signs = args[::-1], tuple(_FLIPPED[sign] for sign in reversed(signs) if sign in _FLIPPED)
    if len(signs) != 2 or set(signs) - {"<", "<="}:
        return None
    brackets = ("[" if signs[0] == "<=" else "(") + ("]" if signs[1] == "<=" else ")")
    if args[1].kind == "call" and args[1].value == "abs":
        negative = Node("tuple", (Node("neg", (args[2],)), Node("neg", (args[0],))), _mirrored(brackets))
        return Node("union", (negative, Node("tuple", (args[0], args[2]), brackets)))
    return Node("tuple", (args[0], args[2]), brackets) if _only_symbols(args[1]) else None


def _half_line(args: tuple[Node, ...], sign: str, low: Node, high: Node) -> Node | None:
    size = args[0]
    if size.kind == "call" and size.value == "abs" and _only_symbols(size.args[0]) and not names(args[1]):
        return _around_zero(args[1], sign)
    if _only_symbols(args[0]) and not names(args[1]):
        end = args[1]
    elif _only_symbols(args[1]) and not names(args[0]):
        end, sign = args[0], _FLIPPED.get(sign, "")
    else:
        return None
    if sign == "!=":
        return Node("union", (Node("tuple", (low, end), "()"), Node("tuple", (end, high), "()")))
    ends = {"<": (low, end, "()"), "<=": (low, end, "(]"), ">": (end, high, "()"), ">=": (end, high, "[)")}
    if sign not in ends:
        return None
    first, last, brackets = ends[sign]
    return Node("tuple", (first, last), brackets)


def _around_zero(end: Node, sign: str) -> Node | None:
    """The interval of ``|x| < end``; for ``>`` the two beyond."""
    below, infinite = Node("neg", (end,)), Node("const", value="oo")
    if sign in ("<", "<="):
        return Node("tuple", (below, end), "()" if sign == "<" else "[]")
    if sign not in (">", ">="):
        return None
    left, right = ("()", "()") if sign == ">" else ("(]", "[)")
    return Node(
        "union", (Node("tuple", (Node("neg", (infinite,)), below), left), Node("tuple", (end, infinite), right))
    )


def _mirrored(brackets: str) -> str:
    return {"[]": "[]", "()": "()", "[)": "(]", "(]": "[)"}[brackets]


def _difference(sides: Sequence[Node]) -> Node:
    return Node("add", (sides[0], Node("neg", (sides[1],))))


def _put(node: Node, at: dict[str, Node]) -> Node:
    if node.kind == "sym":
        return at[node.value]
    return Node(node.kind, tuple(_put(arg, at) for arg in node.args), node.value) if node.args else node


def _is_positive(node: Node) -> bool:
    value = exact(node)
    if value is not None:
        return value > 0
    return same_value(Node("call", (node,), "abs"), node)


def _between(node: Node, middle: Fraction, half: Fraction) -> bool:
    """Whether the value lies within ``half`` of ``middle``; its size must show at least three digits there."""
    if abs(middle) < 200 * half:
        return False
    beyond = Node("call", (Node("add", (node, Node("num", value=-middle))),), "abs")
    room = Node("add", (Node("num", value=half), Node("neg", (beyond,))))
    return same_value(Node("call", (room,), "abs"), room)


def _decimal(node: Node) -> tuple[Fraction, int]:
    """A decimal number's value and places; 0 places for everything else."""
    if node.kind == "decimal":
        return node.value[0], node.value[1]
    if node.kind == "neg":
        value, places = _decimal(node.args[0])
        return -value, places
    if node.kind == "percent":
        value, places = _decimal(node.args[0])
        return value / 100, places + 2 if places else 0
    return Fraction(0), 0


def _infinity(node: Node) -> int:
    """1 for infinity, -1 for minus infinity, 0 for everything else."""
    if node.kind == "const" and node.value == "oo":
        return 1
    return -_infinity(node.args[0]) if node.kind == "neg" else 0


def _quotient(node: Node) -> Node:
    if node.kind != "ratio":
        return node
    total = node.args[0]
    for part in node.args[1:]:
        total = Node("div", (total, part))
    return total


def _units_apart(gold: Node, answer: Node) -> tuple[Node, Node, Fraction | None]:
    """Both values without units, and the factor that brings the answer to gold's unit; None where they cannot agree."""
    known = []
    bare: list[Node] = []
    for node in (gold, answer):
        said = node.value if node.kind == "unit" else None
        if node.kind == "degree":
            said, node = "degrees", Node("unit", (node,), "degrees")  # noqa: PLW2901
        bare.append(node.args[0] if said is not None else node)
        known.append(unit(said) if said is not None else None)
    wanted, got = known
    if wanted is None or got is None:
        return bare[0], bare[1], Fraction(1)
    return bare[0], bare[1], got[1] / wanted[1] if got[0] == wanted[0] else None


def _percent_apart(gold: Node, answer: Node) -> tuple[Node, Node] | None:
    """28 % and 28 are the same answer to "how many per cent?"."""
    gold_is, answer_is = gold.kind == "percent", answer.kind == "percent"
    if gold_is == answer_is:
        return None
    plain = exact(answer if gold_is else gold)
    if plain is None or abs(plain) < 1:  # 0.5 % is not 0.5
        return None
    return (gold.args[0], answer) if gold_is else (gold, answer.args[0])
