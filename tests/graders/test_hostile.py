r"""500 inputs made to hang a grader, to crash it, or to run code through it."""

import itertools
import os
import time
from pathlib import Path

import pytest

from porism.graders import check
from porism.graders._answers import SECONDS
from porism.graders._pool import shared
from porism.records import Status

GOLD = "7654321"


def hostile(target: Path) -> list[str]:
    payloads = [
        f"__import__('os').system('touch {target}')",
        f"().__class__.__base__.__subclasses__()[0]; open('{target}','w')",
        f"exec(\"open('{target}','w')\")",
        f"lambda: open('{target}', 'w')",
        f"sympify(\"__import__('pathlib').Path('{target}').touch()\")",
        rf"\input{{/etc/passwd}} \write18{{touch {target}}}",
        f"eval(compile('open(\"{target}\",\"w\")','','exec'))",
        f"[c for c in ().__class__.__bases__[0].__subclasses__()]; open('{target}','w')",
    ]
    towers = ["^{".join(["10"] * height) + "}" * (height - 1) for height in range(3, 23)] + [
        "9" * digits for digits in (500, 1_001, 10_000, 1_000_000)
    ]
    towers += [str(n) + "!" * k for n in (3, 9, 99, 999_999) for k in (1, 2, 5, 50)]
    towers += [rf"\binom{{{10**k}}}{{{10 ** (k - 1)}}}" for k in range(2, 12)]
    towers += [rf"\sqrt[{n}]{{{n}}}" for n in (10**3, 10**9, 10**30)]
    towers += [
        rf"{{{a}}}^{{{b}}}" for a in (2, 10, "x") for b in (10**4, 10**6, 10**9, -(10**9), "10^{10}", "0.5^{-99}")
    ]
    deep = [o * n + "1" + c * n for o, c in ("()", "[]", "{}") for n in (10, 39, 41, 300, 3_000, 100_000)]
    deep += [
        o * n
        for o in ("(", "{", r"\{", r"\frac{", r"\sqrt{", r"\boxed{", "[", "|", "-", "\\")
        for n in (50, 1_500, 50_000)
    ]
    deep += ["1" + "+1" * n for n in (100, 900, 100_000)] + ["x" + r"\cdot x" * n for n in (50, 300)]
    deep += [r"\frac{1}{1+" * n + "x" + "}" * n for n in (10, 30, 100, 400)]
    deep += [f"(x+1)^{{{n}}}-(x-1)^{{{n}}}" for n in (10, 100, 5_000)]
    symbolic = [rf"\int_0^{{{n}}} \sin(x^{{{n}}}) \cos(e^x) dx" for n in (1, 7)]
    symbolic += [rf"\sum_{{k=1}}^{{{10**n}}} \frac{{1}}{{k^{{k}}}}" for n in (1, 4, 11)]
    symbolic += [rf"\prod_{{k=1}}^{{{10**n}}} \sin(k)" for n in (1, 7)]
    symbolic += [rf"\lim_{{x \to 0}} \frac{{\sin(x^{{{n}}})}}{{x^{{{n}}}}}" for n in (1, 7)]
    odd = ["\x00", "\x00" * 1000, "1\x002", "\ud800", "\u202e5", "5\u200b", "\N{FULLWIDTH DIGIT FIVE}" * 500, "𝟝"]
    odd += ["½" * 100, "∞^∞", "0/0", "1/0", r"\frac{0}{0}", "0^0", r"\infty - \infty", "nan", "inf", "1e999"]
    odd += ["-" * 1000 + "1", "%" * 500, "=" * 500, "x=" * 300 + "1", "1," * 1500, ";" * 900, r"\pm " * 12 + "1"]
    odd += ["&" * 900, r"\\" * 900, "$" * 999, r"\begin{pmatrix}" + "1 & " * 300 + r"\end{pmatrix}"]
    odd += [r"\begin{pmatrix}" * 30, r"\begin{align}" * 99]
    repeated = [
        piece * 200 for piece in (r"\sin", r"\log_", "a_", "x^", r"\text{", "1 2 ", "f(", "'", '"', "√", "答案是", "\n")
    ]
    repeated += [
        piece * 20_000 for piece in ("#### ", "the answer is ", "<think>", r"\boxed{", "Answer: ", "\\(", "$1$ ")
    ]
    found = payloads + towers + deep + symbolic + odd + repeated
    pairs = ((a, b, sign) for sign in "=<+-*/^,;:&|!" for a, b in itertools.permutations(payloads, 2))
    return found + [f"{a} {sign} {b}" for a, b, sign in itertools.islice(pairs, 500 - len(found))]


@pytest.mark.slow
def test_five_hundred_hostile_inputs(tmp_path: Path) -> None:
    """Nothing runs, nothing hangs, the pool is healthy afterwards, and memory is flat."""
    target = tmp_path / "owned"
    inputs = hostile(target)
    assert len(inputs) >= 500
    check(gold="1", text="x + 1", kind="math")
    before = memory()
    slowest = 0.0
    for number, text in enumerate(inputs):
        for wrapped in (rf"\boxed{{{text}}}", f"The answer is ${text}$."):
            began = time.monotonic()
            verdict = check(gold=GOLD, text=wrapped, kind="math")
            slowest = max(slowest, time.monotonic() - began)
            assert verdict.status in (Status.WRONG, Status.UNPARSED, Status.TIMEOUT), (number, text[:80], verdict)
        if number % 5 == 0:
            assert check(gold=text, text=GOLD, kind="math").status is not Status.CORRECT
            for kind in ("number", "choice", "boolean"):
                assert check(gold=GOLD, text=text, kind=kind).status is not Status.CORRECT
    assert not target.exists()
    assert slowest < SECONDS + 5.0, "nothing hangs; the rest is for a busy machine"
    assert memory() - before < 200
    assert check(gold=r"\sum_{k=1}^{4} k", text=r"\boxed{10}", kind="math").correct
    assert len(shared().workers) <= (os.cpu_count() or 1) + 2


def memory() -> float:
    """MB that this process holds."""
    with Path("/proc/self/statm").open() as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def test_reckoning_with_infinity_is_no_number() -> None:
    for text in ("∞^∞", r"\infty", r"\infty - 1", "-∞"):
        found = check(gold=GOLD, text=rf"\boxed{{{text}}}", kind="math")
        assert found.status is Status.WRONG, text
        assert "Math-Verify" not in found.reason, "which is not always of one mind about it"
    assert check(gold=r"\infty", text=r"\boxed{∞}", kind="math").correct
