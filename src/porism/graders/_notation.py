"""The signs and words of final answers: functions, relations, brackets, scales."""

from __future__ import annotations

import re

from porism.graders._tokens import Token

__all__ = [
    "BASES",
    "CHANGES",
    "CLOSERS",
    "CONSTANTS",
    "END",
    "FUNCTIONS",
    "GREEK",
    "IGNORED",
    "MATRICES",
    "MAX_EXPONENT",
    "OVER",
    "PERCENT",
    "RELATIONS",
    "SCALES",
    "TIMES",
]

FUNCTION_NAMES = """
    sin cos tan cot sec csc arcsin arccos arctan arccot arcsec arccsc sinh cosh tanh coth sech csch
    arcsinh arccosh arctanh asin acos atan ln log lg exp min max gcd lcm
"""
GREEK_NAMES = """
    alpha beta gamma delta epsilon varepsilon zeta eta theta vartheta iota kappa lambda mu nu xi rho sigma tau upsilon
    phi varphi chi psi omega Gamma Delta Theta Lambda Xi Sigma Upsilon Phi Psi Omega ell
"""
FUNCTIONS = frozenset(FUNCTION_NAMES.split())
GREEK = frozenset(GREEK_NAMES.split())
RELATIONS = {"=": "=", "==": "=", "<": "<", ">": ">", "<=": "<=", ">=": ">=", "!=": "!=", r"\le": "<=", r"\ge": ">="}
RELATIONS |= {r"\ne": "!=", r"\approx": "~", r"\in": "in", ":": ":", r"\equiv": "=", r"\to": "=", r"\rightarrow": "="}
TIMES = frozenset({"*", r"\cdot", r"\times", r"\bullet"})
OVER = frozenset({"/", r"\div"})
END = Token("end", "")
CLOSERS = {"(": ")]", "[": "])", r"\{": r"\}", "{": "}", r"\langle": r"\rangle"}
MATRICES = frozenset({"matrix", "pmatrix", "bmatrix", "Bmatrix", "smallmatrix", "array"})
IGNORED = frozenset({r"\displaystyle", r"\#", r"\,", r"\!", r"\_"})
BASE_NAMES = "two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
BASES = {name: str(number) for number, name in enumerate(BASE_NAMES.split(), 2)}
SCALES = {"hundred": 100, "thousand": 1_000, "million": 10**6, "billion": 10**9, "dozen": 12, "万": 10**4, "亿": 10**8}
CHANGES = re.compile(
    r"\b(?:squared|cubed|half|halves|not|or|more|less|higher|lower|greater|fewer|than|least|most|times|mod|out"
    r"|to|percent|per cent|negative|minus|plus|wrong|false|except)\b",
    re.IGNORECASE,
)
MAX_EXPONENT = 400
PERCENT = frozenset({"percent", "pct", "percentage", "per cent"})
CONSTANTS = {"pi": r"\pi", "infinity": r"\infty", "inf": r"\infty", "oo": r"\infty", "sqrt": r"\sqrt", "cup": r"\cup"}
