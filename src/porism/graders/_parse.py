r"""Tokens → the tree of an expression. Recursive descent over the notation of final answers.

It reads numbers, fractions, mixed numbers, roots, powers, functions, factorials, absolute values, percentages, degrees,
numbers in a base, units, tuples, intervals, sets, lists, unions, matrices, equations, inequalities, ± and ∈. What it
does not know (sums over an index, integrals, limits, cases, set builders, dots) raises :class:`Unreadable`, and is left
to Math-Verify.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Any, NamedTuple

from porism.graders._notation import (
    BASES,
    CHANGES,
    CLOSERS,
    CONSTANTS,
    END,
    FUNCTIONS,
    GREEK,
    IGNORED,
    MATRICES,
    MAX_EXPONENT,
    OVER,
    PERCENT,
    RELATIONS,
    SCALES,
    TIMES,
)
from porism.graders._tokens import Excessive, Token, Unreadable, clean, tokens
from porism.graders._units import UNITS, unit

__all__ = ["FUNCTIONS", "Node", "parse"]


class Node(NamedTuple):
    """A part of an expression: what it is, its parts, and its value where it has one."""

    kind: str
    args: tuple[Node, ...] = ()
    value: Any = None


def parse(text: str) -> Node:
    """The tree of an answer.

    Raises:
        Unreadable: it is not an expression that this reader knows.
    """
    return _parse(text)


@lru_cache(maxsize=4096)
def _parse(text: str) -> Node:
    reader = _Reader(tokens(clean(text)))
    if not reader.tokens:
        raise Unreadable("nothing to read")
    try:
        node = reader.groups()
    except RecursionError:
        raise Unreadable("too deeply nested") from None
    if reader.now is not END:
        raise Unreadable(f"{reader.now.text!r} was not expected")
    return node


class _Reader:
    """One pass over the tokens; each method reads what its name says and leaves the position behind it."""

    def __init__(self, found: list[Token]) -> None:
        self.tokens = [part for token in found for part in _apart(token)]
        self.at = 0
        self.bars = 0
        self.depth = 0

    @property
    def now(self) -> Token:
        return self.tokens[self.at] if self.at < len(self.tokens) else END

    def look(self, ahead: int) -> Token:
        place = self.at + ahead
        return self.tokens[place] if place < len(self.tokens) else END

    def take(self) -> Token:
        token = self.now
        self.at += 1
        return token

    def ate(self, *texts: str) -> bool:
        if self.now.text in texts and self.now.kind in ("op", "cmd"):
            self.at += 1
            return True
        return False

    def need(self, text: str) -> None:
        if not self.ate(text):
            raise Unreadable(f"expected {text!r}, got {self.now.text!r}")

    # --- lists and relations ---

    def groups(self) -> Node:
        """Lists between semicolons; of lists with several items each becomes a tuple."""
        parts = [self.listing()]
        while self.ate(";"):
            parts.append(self.listing())
        if len(parts) == 1:
            return parts[0]
        if all(part.kind != "list" for part in parts):
            return Node("list", tuple(parts))
        return Node("list", tuple(Node("tuple", p.args, "()") if p.kind == "list" else p for p in parts))

    def listing(self) -> Node:
        items = self.items()
        return items[0] if len(items) == 1 else Node("list", tuple(items))

    def items(self) -> list[Node]:
        found = [self.relation()]
        while True:
            separated = self.ate(",")
            separated = self._conjunction() or separated
            if separated and self.now is not END:
                found.append(self.relation())
            else:
                return found

    def _conjunction(self) -> bool:
        token = self.now
        if token.kind in ("text", "word") and token.text.strip(" ,.").lower() in (
            "and",
            "or",
            "和",
            "或",
            "och",
            "または",
        ):
            self.at += 1
            return True
        return self.ate(r"\and", r"\or")

    def relation(self) -> Node:
        parts, signs = [self.union()], []
        while self.now.text in RELATIONS and self.now.kind in ("op", "cmd"):
            signs.append(RELATIONS[self.take().text])
            parts.append(self.union())
        if not signs:
            return parts[0]
        if set(signs) == {":"}:
            return Node("ratio", tuple(parts))
        if ":" in signs:  # S_1 : S_2 = 7 : 32
            parts, signs = _ratios(parts, signs)
        return Node("relation", tuple(parts), tuple(signs))

    def union(self) -> Node:
        parts = [self.sum()]
        while self.now.text in (r"\cup", r"\cap", r"\setminus") or (self.now.text == "U" and self.look(1).text in "(["):
            if self.take().text not in (r"\cup", "U"):
                raise Unreadable("an intersection or a difference of sets")
            parts.append(self.sum())
        return parts[0] if len(parts) == 1 else Node("union", tuple(parts))

    # --- arithmetic ---

    def sum(self) -> Node:
        self.depth += 1
        if self.depth > 100:
            raise Unreadable("too deeply nested")
        total = self._signed()
        while self.now.text in ("+", "-", r"\pm", r"\mp") and self.now.kind in ("op", "cmd"):
            sign = self.take().text
            term = self.term()
            if sign == "+":
                total = Node("add", (total, term))
            elif sign == "-":
                total = Node("add", (total, Node("neg", (term,))))
            else:
                total = Node("pm", (total, term), sign)
        self.depth -= 1
        return total

    def _signed(self) -> Node:
        if self.ate("+"):
            return self._signed()
        if self.ate("-"):
            return Node("neg", (self._signed(),))
        if self.now.text in (r"\pm", r"\mp"):
            sign = self.take().text
            return Node("pm", (Node("num", value=Fraction(0)), self.term()), sign)
        return self.term()

    def term(self) -> Node:
        total = self.factor()
        while True:
            token = self.now
            if token.kind in ("op", "cmd") and token.text in TIMES:
                self.take()
                total = Node("mul", (total, self._signed_factor()))
            elif token.kind in ("op", "cmd") and token.text in OVER:
                self.take()
                total = Node("div", (total, self._signed_factor()))
            elif total.kind == "unit" and token.kind == "num":
                total = _compound(total, self.factor())
            elif self._starts_factor(token):
                if token.kind == "num" and total.kind in ("num", "decimal", "mixed"):
                    raise Unreadable("two numbers side by side")
                following = self.factor()
                total = Node("mul", (total, following))
            else:
                return total

    def _signed_factor(self) -> Node:
        if self.ate("-"):
            return Node("neg", (self._signed_factor(),))
        self.ate("+")
        return self.factor()

    def _starts_factor(self, token: Token) -> bool:
        if token.kind in ("num", "sym"):
            return True
        if token.kind == "op":
            return token.text in "([{" or (token.text == "|" and not self.bars)
        if token.kind != "cmd":
            return False
        name = token.text[1:]
        return (
            name in FUNCTIONS
            or name in GREEK
            or name in _ATOMS
            or name in _CONSTANT_ATOMS
            or token.text in (r"\{", r"\langle")
        )

    def factor(self) -> Node:
        node = self.postfix(self.atom())
        while self.ate("^", "**"):
            if self._degree():
                node = Node("degree", (node,))
            elif self.ate(r"\prime") or self.ate("*"):
                raise Unreadable("a prime or a star")
            else:
                node = self.postfix(Node("pow", (node, self._exponent())))
        return self._unit(node)

    def _degree(self) -> bool:
        start = self.at
        braced = self.ate("{")
        if self.ate(r"\circ") and (not braced or self.ate("}")):
            return True
        self.at = start
        return False

    def _exponent(self) -> Node:
        if self.ate("-"):
            return Node("neg", (self._exponent(),))
        node = self.braced() if self.now.text == "{" else self.postfix(self.atom())
        if self.ate("^", "**"):
            return Node("pow", (node, self._exponent()))
        return node

    def postfix(self, node: Node) -> Node:
        while True:
            if self.now.text == "!" and self.look(1).text != "=":
                self.take()
                node = Node("fact", (node,))
            elif self.ate("%", r"\%") or (
                self.now.kind in ("word", "text") and self.now.text.strip().lower() in PERCENT and self.take()
            ):
                node = Node("percent", (node,))
            else:
                return node

    def _unit(self, node: Node) -> Node:
        """A unit or a counted noun behind a quantity: kept apart from the value."""
        said: list[str] = []
        while self.now.kind in ("text", "word") and not self._separates():
            scale = SCALES.get(self.now.text.strip().lower())
            if scale and not said:
                self.take()
                node = Node("mul", (node, Node("num", value=Fraction(scale))))
                continue
            said.append(self.take().text)
            if CHANGES.search(said[-1]):
                raise Excessive("words that change the value")
            while self.ate("^"):
                said.append("^" + _plain(self._exponent()))
            if self.now.text == "/" and (self.look(1).kind in ("text", "word") or self.look(1).text in UNITS):
                self.take()
                said.append("/")
                said.append(self.take().text)
        return Node("unit", (node,), " ".join(said)) if said else node

    def _separates(self) -> bool:
        return self.now.text.strip(" ,.").lower() in ("and", "or", "和", "或", "または")

    # --- atoms ---

    def atom(self, *, single: bool = False) -> Node:
        token = self.take()
        while token.text in IGNORED and token.kind == "cmd":
            token = self.take()
        if token.kind == "num":
            return self.number(token.text, single=single)
        if token.kind == "sym":
            return self.symbol(token.text)
        if token.kind == "cmd":
            return self.command(token.text)
        if token.kind == "op" and token.text in "([{":
            return self.bracket(token.text)
        if token.text == "|" and token.kind == "op":
            return self.absolute()
        if token is END:
            raise Unreadable("it ends too early")
        raise Unreadable(f"{token.text!r} was not expected")

    def number(self, text: str, *, single: bool = False) -> Node:
        if "e" in text.lower():
            if abs(int(text.lower().partition("e")[2])) > MAX_EXPONENT:
                raise Unreadable("too large an exponent")
            return Node("num", value=Fraction(text))
        if single and len(text) > 1 and "." not in text:  # \frac12 is one half
            self.at -= 1
            self.tokens[self.at] = Token("num", text[1:])
            return Node("num", value=Fraction(text[0]))
        whole, _, places = text.partition(".")
        if self.now.text == "_" and not places:
            self.take()
            base = self._script()
            return Node("base", value=(whole, BASES.get(base, base)))
        if self.now.text == r"\overline" and "." in text:
            self.take()
            repeated = _plain(self.braced())
            if not repeated.isdigit():
                raise Unreadable("a line over something else than digits")
            shift = 10 ** len(places)
            value = Fraction(text + "0") + Fraction(int(repeated), (10 ** len(repeated) - 1) * shift)
            return Node("num", value=value)
        value = Fraction(text)
        node = Node("decimal", value=(value, len(places))) if places else Node("num", value=value)
        return node if single or places else self._mixed(node)

    def _mixed(self, whole: Node) -> Node:
        r"""``1\frac{4}{5}`` and ``1 4/5`` are sums."""
        start = self.at
        if self.now.text == r"\frac":
            part = self.atom()
        elif self.now.kind == "num" and self.now.spaced and self.look(1).text == "/" and self.look(2).kind == "num":
            top, bottom = self.take().text, (self.take(), self.take())[1].text
            part = Node("div", (Node("num", value=Fraction(top)), Node("num", value=Fraction(bottom))))
        else:
            return whole
        top_and_bottom = [arg.value for arg in part.args]
        if all(arg.kind == "num" for arg in part.args) and 0 < top_and_bottom[0] < top_and_bottom[1]:
            return Node("mixed", (whole, part))
        self.at = start
        return whole

    def symbol(self, name: str) -> Node:
        if self.ate("_"):
            name += "_" + self._script()
        while self.ate("'"):
            name += "'"
        if name in ("e", "i"):
            return Node("const", value=name)
        return Node("sym", value=name)

    def _script(self) -> str:
        """A subscript, letter by letter: it names, it is not computed."""
        if not self.ate("{"):
            if self.now.kind not in ("num", "sym", "cmd"):
                raise Unreadable("a subscript that is not a name")
            return self.take().text
        said, depth = "", 1
        while self.now is not END:
            text = self.take().text
            depth += (text == "{") - (text == "}")
            if not depth:
                return said
            said += text
        raise Unreadable("a subscript that does not end")

    def command(self, text: str) -> Node:
        name = text[1:]
        if name in GREEK:
            return self.symbol(text)
        if name in FUNCTIONS:
            return self.function(name)
        if name in _CONSTANT_ATOMS:
            return _CONSTANT_ATOMS[name]
        reader = _ATOMS.get(name)
        if reader is None:
            raise Unreadable(f"{text!r} is not known")
        node: Node = reader(self)
        return node

    def function(self, name: str) -> Node:
        base: tuple[Node, ...] = ()
        power: Node | None = None
        while self.now.text in ("_", "^"):
            if self.take().text == "_":
                base = (self.braced() if self.now.text == "{" else self.atom(single=True),)
            else:
                power = self._exponent()
        if self.now.text in ("(", "{", "[") and self.now.kind == "op":
            inner = self.bracket(self.take().text)
            args = inner.args if inner.kind == "tuple" else (inner,)
        else:
            args = (self._argument(),)
        node = Node("call", (*args, *base), name if not base else f"{name}_")
        if power == Node("neg", (Node("num", value=Fraction(1)),)):
            return Node("call", node.args, f"arc{name}")
        return Node("pow", (node, power)) if power else node

    def _argument(self) -> Node:
        r"""What ``\sin 2x`` applies to: the factors up to a sign, a bracket or another function."""
        negative = self.ate("-")
        total = self.factor()
        while self._starts_factor(self.now) and self.now.text not in "([" and self.now.text[1:] not in FUNCTIONS:
            total = Node("mul", (total, self.factor()))
        return Node("neg", (total,)) if negative else total

    def braced(self) -> Node:
        self.need("{")
        return self.bracket("{")

    def bracket(self, opening: str) -> Node:
        """What stands in brackets: a grouped expression, a tuple, an interval or a set."""
        bars, self.bars = self.bars, 0
        closers = CLOSERS[opening]
        if opening == r"\{" and self.ate(r"\}"):
            return Node("set")
        items = self.items()
        if self.ate(";"):
            items += self.items()
            while self.ate(";"):
                items += self.items()
        closing = self.take().text
        if closing not in (closers if opening not in (r"\{", r"\langle") else (closers,)):
            raise Unreadable(f"{opening!r} is not closed")
        self.bars = bars
        if opening == r"\{":
            return Node("set", tuple(items))
        if opening == "{" and len(items) > 1:
            return Node("list", tuple(items))
        if len(items) == 1:
            if opening + closing in ("(]", "[)"):
                raise Unreadable("an interval with one end")
            return items[0]
        return Node("tuple", tuple(items), "()" if opening == r"\langle" else opening + closing)

    def absolute(self, closing: str = "|") -> Node:
        self.bars += 1
        inner = self.sum()
        self.need(closing)
        self.bars -= 1
        return Node("call", (inner,), "abs")

    def fraction(self) -> Node:
        top = self.braced() if self.now.text == "{" else self.atom(single=True)
        bottom = self.braced() if self.now.text == "{" else self.atom(single=True)
        return Node("div", (top, bottom))

    def root(self) -> Node:
        if self.ate("["):
            degree = self.sum()
            self.need("]")
        else:
            degree = Node("num", value=Fraction(2))
        inner = self.braced() if self.now.text == "{" else self.postfix(self.atom())
        return Node("root", (inner, degree))

    def binomial(self) -> Node:
        return Node("call", self.fraction().args, "binomial")

    def rounded(self, name: str, closing: str) -> Node:
        inner = self.sum()
        self.need(closing)
        return Node("call", (inner,), name)

    def overlined(self) -> Node:
        """The conjugate of one letter; a segment between two points is named by its points."""
        inner = self.boxed()
        return Node("sym", value=f"conjugate {inner.value}") if inner.kind == "sym" and len(inner.value) == 1 else inner

    def figure(self, name: str) -> Node:
        r"""``\triangle ABC`` is a name; ``\angle`` before anything else says nothing."""
        inner = self.atom()
        return Node("sym", value=f"{name} {inner.value}") if inner.kind == "sym" else inner

    def boxed(self) -> Node:
        return self.braced() if self.now.text == "{" else self.atom(single=True)

    def environment(self) -> Node:
        name = self._name()
        if name.rstrip("*") in ("align", "aligned", "equation", "gather", "gathered", "split"):
            raise Unreadable("several lines of mathematics")
        if name not in MATRICES:
            raise Unreadable(f"the environment {name!r} is not known")
        if name == "array":
            self._name()
        rows: list[list[Node]] = [[]]
        while not self.ate(r"\end"):
            if self.ate("\\\\"):
                rows.append([])
            elif not self.ate("&"):
                rows[-1].append(self.sum())
        self._name()
        filled = [row for row in rows if row]
        if len({len(row) for row in filled}) != 1:
            raise Unreadable("a matrix whose rows differ in length")
        return Node("matrix", tuple(cell for row in filled for cell in row), (len(filled), len(filled[0])))

    def _name(self) -> str:
        self.need("{")
        said = ""
        while self.now.text != "}" and self.now is not END:
            said += self.take().text
        self.need("}")
        return said


_ATOMS: dict[str, Any] = {
    "frac": _Reader.fraction,
    "sqrt": _Reader.root,
    "binom": _Reader.binomial,
    "dbinom": _Reader.binomial,
    "tbinom": _Reader.binomial,
    "boxed": _Reader.boxed,
    "fbox": _Reader.boxed,
    "begin": _Reader.environment,
    "overline": _Reader.overlined,
    "angle": lambda reader: reader.figure(r"\angle"),
    "triangle": lambda reader: reader.figure(r"\triangle"),
    "{": lambda reader: reader.bracket(r"\{"),
    "langle": lambda reader: reader.bracket(r"\langle"),
    "|": lambda reader: reader.absolute("\\|"),
    "lfloor": lambda reader: reader.rounded("floor", r"\rfloor"),
    "lceil": lambda reader: reader.rounded("ceil", r"\rceil"),
}
_CONSTANT_ATOMS = {"pi": Node("const", value="pi"), "infty": Node("const", value="oo"), "emptyset": Node("set")}
_FACTORS = FUNCTIONS | GREEK | _ATOMS.keys() | _CONSTANT_ATOMS.keys()


def _apart(token: Token) -> list[Token]:
    """A run of letters: a function, a constant, a word or unit, or symbols side by side."""
    if token.kind != "word":
        return [token]
    name = token.text
    if len(name) == 1:
        return [Token("sym", name, token.spaced)]
    if name in CONSTANTS:
        return [Token("cmd", CONSTANTS[name], token.spaced)]
    if name in FUNCTIONS:
        return [Token("cmd", "\\" + name, token.spaced)]
    if len(name) > 1 and name.isupper():  # points: ABC
        return [Token("sym", name, token.spaced)]
    if len(name) > 3 or name.lower() in UNITS or name.lower() in ("and", "or", "pct"):
        return [token]
    return [Token("sym", letter, token.spaced and not place) for place, letter in enumerate(name)]


def _compound(first: Node, second: Node) -> Node:
    """``3 hours 20 minutes`` is one quantity."""
    units = [unit(part.value) if part.kind == "unit" else None for part in (first, second)]
    if units[0] is None or units[1] is None or units[0][0] != units[1][0]:
        raise Unreadable("two quantities side by side")
    factor = Node("num", value=units[0][1] / units[1][1])
    total = Node("add", (Node("mul", (first.args[0], factor)), second.args[0]))
    return Node("unit", (total,), second.value)


def _ratios(parts: list[Node], signs: list[str]) -> tuple[list[Node], list[str]]:
    joined, kept = [[parts[0]]], []
    for sign, part in zip(signs, parts[1:], strict=True):
        if sign == ":":
            joined[-1].append(part)
        else:
            kept.append(sign)
            joined.append([part])
    return [side[0] if len(side) == 1 else Node("ratio", tuple(side)) for side in joined], kept


def _plain(node: Node) -> str:
    """A subscript or a base as text."""
    if node.kind in ("num", "sym", "const"):
        return str(node.value)
    if node.kind == "mul":
        return "".join(map(_plain, node.args))
    if node.kind in ("tuple", "set", "list"):
        return ",".join(map(_plain, node.args))
    if node.kind == "add":
        return "+".join(map(_plain, node.args))
    if node.kind == "neg":
        return "-" + _plain(node.args[0])
    raise Unreadable("a subscript that is not a name")
