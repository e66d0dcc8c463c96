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


def _dollars(answer: str) -> str:
    return f"${answer}$" if re.search(r"[\\^_=<>|]", answer) and "$" not in answer else answer


def mutants(answer: str) -> Iterator[tuple[str, str]]:
    """Other answers that look like this one: (kind of change, mutant). Some may be equal after all."""
    for match in re.finditer(r"\d", answer):
        for other in {str((int(match[0]) + 1) % 10), str((int(match[0]) + 7) % 10)}:
            yield "digit", answer[: match.start()] + other + answer[match.end() :]
    yield "sign", answer[1:] if answer.startswith("-") else f"-{answer}"
    for match in re.finditer(r"(?<=[\w}) ])[+-](?=[\w\\( ])", answer):
        yield "sign", answer[: match.start()] + ("-" if match[0] == "+" else "+") + answer[match.end() :]
    for match in re.finditer(r"\\d?frac\{([^{}]+)\}\{([^{}]+)\}", answer):
        yield "reciprocal", answer[: match.start()] + rf"\frac{{{match[2]}}}{{{match[1]}}}" + answer[match.end() :]
    if re.fullmatch(r"[2-9]|[1-9]\d+", answer):
        yield "reciprocal", f"1/{answer}"
        yield "factor", rf"{answer}\sqrt{{2}}"
        yield "factor", rf"{answer}\pi"
    if match := re.fullmatch(r"([(\[])(.*)([)\]])", answer):
        parts = match[2].split(",")
        if len(parts) > 1 and "frac" not in answer:
            yield "swapped", match[1] + ",".join([parts[1], parts[0], *parts[2:]]) + match[3]
        if len(parts) == 2:
            yield "interval", ("[" if match[1] == "(" else "(") + match[2] + match[3]
            yield "interval", match[1] + match[2] + ("]" if match[3] == ")" else ")")
    for factor in (r"\sqrt{2}", r"\sqrt{3}", r"\sqrt{5}", r"\pi", "x", "i"):
        if answer.endswith(factor) and answer != factor:
            yield "factor", answer.removesuffix(factor).strip().rstrip("+-") or "1"
    for match in re.finditer(r"\^\{?(\d)\}?", answer):
        yield "factor", answer[: match.start()] + answer[match.end() :]


def plain_value(answer: str) -> Fraction | None:
    """An independent reading of plain numbers, by which mutants that are equal after all are told."""
    bare = answer.replace(",", "").replace("$", "").replace("\\", "").replace("!", "").strip()
    try:
        return Fraction(bare)
    except (ValueError, ZeroDivisionError):
        return None
