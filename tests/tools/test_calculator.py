"""The calculator is exact, reads what people write, and evaluates nothing."""

import math
import re
import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from porism import tools
from porism.tools import calculator


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("1 + 2 * 3", "7"),
        ("(1 + 2) * 3 =", "9"),
        ("0.1 + 0.2", "0.3"),
        ("1/3 + 1/6", "0.5"),
        ("2/3", "2/3 ≈ 0.666666666667"),
        ("-2^2", "-4"),
        ("(-2)^2", "4"),
        ("2^3^2", "512"),
        ("2**-1", "0.5"),
        ("2 * -3", "-6"),
        ("--3", "3"),
        ("10 - 2 - 3", "5"),
        ("100 / 10 / 2", "5"),
        ("7 // 2", "3"),
        ("-7 // 2", "-4"),
        ("7 % 3", "1"),
        ("-7 % 3", "2"),
        ("15% * 200", "30"),
        ("15% of 200", "30"),
        ("50%", "0.5"),
        ("1,250.5 * 2", "2501"),
        ("6 × 7 ÷ 2 − 1", "20"),
        ("max(1,200)", "200"),
        ("max(1, 2, 3/2) + min(4, 5)", "6"),
        ("sqrt(2.25)", "1.5"),
        ("4^(1/2)", "2"),
        ("factorial(20)", str(math.factorial(20))),
        ("comb(10, 3) - gcd(12, 18) + lcm(4, 6)", "126"),
        ("round(2.5) + round(-2.5) + round(1.2345, 2)", "1.23"),
        ("floor(-1.5) + ceil(1.2) + abs(-3)", "3"),
        ("2^1000 - 2^1000 + 1", "1"),
        (".5 + 0.5", "1"),
        ("1 - 1", "0"),
        ("-1/8", "-0.125"),
    ],
)
def test_values(text: str, answer: str) -> None:
    assert calculator.call(text) == tools.Answer(answer)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "expected 'a number', got 'the end'"),
        ("1 +", "got 'the end'"),
        ("(1", "expected ')'"),
        ("1 2", "'2' is not expected"),
        ("1)", "')' is not expected"),
        ("1 / 0", "division by zero"),
        ("1 % 0", "division by zero"),
        ("0 ** -1", "division by zero"),
        ("sqrt(2)", "the root of 2 is not rational"),
        ("sqrt(-1)", "negative"),
        ("2^0.3", "the exponent is no whole number"),
        ("9^9^9^9", "digits"),
        ("factorial(10^9)", "numbers up to"),
        ("factorial(0.5)", "whole numbers"),
        ("gcd(1)", "gcd takes 2 or more numbers, got 1"),
        ("x + 1", "'x' is not understood"),
        ("__import__('os').system('true')", "is not understood"),
        ("1e5", "is not understood"),
        ("lambda: 0", "is not understood"),
        ("1;2", "is not understood"),
        ("(" * 500, "nested too deeply"),
        ("-" * 500 + "1", "nested too deeply"),
        ("1+" * 2000 + "1", "longer than"),
    ],
)
def test_what_cannot_be_computed(text: str, why: str) -> None:
    answer = calculator.call(text)
    assert answer.failed
    assert why in answer.text
    with pytest.raises(ValueError, match=re.escape(why)):
        calculator.value(text)


@given(st.text(alphabet="0123456789.,+-*/%^() abcgdmx×÷", max_size=40))
def test_no_text_takes_long_or_breaks_it(text: str) -> None:
    began = time.monotonic()
    assert isinstance(calculator.call(text).text, str)
    assert time.monotonic() - began < 2


@given(
    st.recursive(
        st.integers(0, 10**6).map(str),
        lambda inner: st.tuples(inner, st.sampled_from("+-*"), inner).map(lambda t: f"({t[0]}{t[1]}{t[2]})"),
        max_leaves=20,
    )
)
def test_whole_numbers_as_python_computes_them(text: str) -> None:
    assert calculator.value(text) == Fraction(eval(text))  # noqa: S307  (made here)
