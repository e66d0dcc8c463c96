"""Ways to say the same answer, and ways to say another one, for tests and the benchmark."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fractions import Fraction

FORMATS: dict[str, Callable[[str], str]] = {
    "bare": lambda answer: answer,
    "hash": lambda answer: f"Some work.\n#### {answer}",
    "boxed": lambda answer: rf"Some work with $x_1 = 7$. So we get $\boxed{{{answer}}}$.",
    "phrase": lambda answer: f"2 + 2 = 4 first. The answer is {_dollars(answer)}.",
    "final": lambda answer: f"Final Answer: The final answer is {_dollars(answer)}. I hope it is correct.",
    "bold": lambda answer: f"There are 3 cases.\n\n**Answer:** {_dollars(answer)}",
    "display": lambda answer: f"Hence the final answer is:\n\\[\n{answer}\n\\]",
    "thinking": lambda answer: f"<think>Perhaps \\boxed{{17}}? No.</think>\nThe answer is \\(\\boxed{{{answer}}}\\).",
    "tag": lambda answer: f"<think>5?</think><answer>{_dollars(answer)}</answer>",
    "chinese": lambda answer: f"先算 3 × 4。所以答案是 {_dollars(answer)}。",
    "japanese": lambda answer: f"まず 3 × 4 を計算します。答えは {_dollars(answer)} です。",
}


_SQUARE = r"(?<![A-Za-z\\])([a-z])\^(?:2|\{2\})(?!\d)"


def _dollars(answer: str) -> str:
    return f"${answer}$" if re.search(r"[\\^_=<>|]", answer) and "$" not in answer else answer


def rewritten(answer: str) -> Iterator[str]:
    """The same answer, written otherwise."""
    scalar = not re.search(r"[,=<>]|\\(?:in|le|ge|cup|text|mbox|begin|pm|circ|\$)|_", answer)
    if re.fullmatch(r"-?\d+", answer):
        yield rf"\frac{{{2 * int(answer)}}}{{2}}"
        yield f"{answer}.0"
        yield f"{int(answer) - 1} + 1"
    if "frac" in answer and not re.search(r"\d\s*\\d?frac", answer):  # a mixed number is no product
        yield re.sub(r"\\d?frac\{([^{}]+)\}\{([^{}]+)\}", r"(\1)/(\2)", answer)
        yield re.sub(r"\\d?frac\{([^{}]+)\}\{([^{}]+)\}", r"\\dfrac{2 \\cdot (\1)}{2 \\cdot (\2)}", answer)
    if "sqrt" in answer:
        yield re.sub(r"\\sqrt\{([^{}]+)\}", r"(\1)^{\\frac{1}{2}}", answer)
    if scalar:
        yield rf"\frac{{3 \left({answer}\right)}}{{3}}"
        yield rf"\left({answer}\right) + 0"
    if re.search(_SQUARE, answer):
        yield re.sub(_SQUARE, r"\1 \\cdot \1", answer)
    if re.fullmatch(r"[(\[].*,.*[)\]]", answer):
        yield rf"\left{answer[0]} {answer[1:-1].replace(',', ' , ')} \right{answer[-1]}"


def mutants(answer: str) -> Iterator[tuple[str, str]]:
    """Other answers that look like this one: (kind of change, mutant). Some may be equal after all."""
    for match in re.finditer(r"\d", answer):
        for other in sorted({str((int(match[0]) + 1) % 10), str((int(match[0]) + 7) % 10)}):
            yield "digit", _put(answer, match, other)
    yield "sign", answer[1:] if answer.startswith("-") else f"-{answer}"
    for match in re.finditer(r"(?<=[\w}) ])[+-](?=[\w\\( ])", answer):
        yield "sign", _put(answer, match, "-" if match[0] == "+" else "+")
    for match in re.finditer(r"\\d?frac\{([^{}]+)\}\{([^{}]+)\}", answer):
        yield "reciprocal", _put(answer, match, rf"\frac{{{match[2]}}}{{{match[1]}}}")
    yield from _factors(answer)
    bracketed = re.fullmatch(r"([(\[])(.*)([)\]])", answer)
    if bracketed:
        yield from _brackets(*bracketed.groups())


def _factors(answer: str) -> Iterator[tuple[str, str]]:
    if re.fullmatch(r"[2-9]|[1-9]\d+", answer):
        yield "reciprocal", f"1/{answer}"
        yield "factor", rf"{answer}\sqrt{{2}}"
        yield "factor", rf"{answer}\pi"
    for factor in (r"\sqrt{2}", r"\sqrt{3}", r"\sqrt{5}", r"\pi", "x", "i"):
        if answer.endswith(factor) and answer != factor:
            yield "factor", answer.removesuffix(factor).strip().rstrip("+-") or "1"
    for match in re.finditer(r"\^\{?(\d)\}?", answer):
        yield "factor", _put(answer, match, "")


def _brackets(opening: str, inside: str, closing: str) -> Iterator[tuple[str, str]]:
    parts = inside.split(",")
    if len(parts) > 1 and "frac" not in inside:
        yield "swapped", opening + ",".join([parts[1], parts[0], *parts[2:]]) + closing
    if len(parts) == 2:
        yield "interval", ("[" if opening == "(" else "(") + inside + closing
        yield "interval", opening + inside + ("]" if closing == ")" else ")")


def _put(answer: str, match: re.Match[str], other: str) -> str:
    return answer[: match.start()] + other + answer[match.end() :]


def plain_value(answer: str) -> Fraction | None:
    """An independent reading of plain numbers, by which mutants that are equal after all are told."""
    bare = answer.replace(",", "").replace("$", "").replace("\\", "").replace("!", "").strip()
    try:
        return Fraction(bare)
    except (ValueError, ZeroDivisionError):
        return None
