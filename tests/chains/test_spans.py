"""``read`` on real texts in three languages, on any text, and on texts that are made to be slow."""

import json
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from porism.chains import Chain, Span, read


def answers(text: str, *rules: str) -> list[str]:
    return [found.answer.of(text) for found in read(text).statements if not rules or found.rule in rules]


@pytest.mark.parametrize(
    ("text", "reasoning", "response"),
    [
        ("<think>Six.</think>\nIt is 6.", "Six.", "\nIt is 6."),
        ("<Thinking>a</Thinking>b", "a", "b"),
        ("<reasoning>\na\n</reasoning>\n<answer>\n5\n</answer>\n", "\na\n", "\n5\n"),
        ("<thought>a</thought>b", "a", "b"),
        ("<seed:think>a</seed:think>b", "a", "b"),
        ("[THINK]a[/THINK]b", "a", "b"),
        ("◁think▷a◁/think▷b", "a", "b"),
        (
            "<|begin_of_thought|>a<|end_of_thought|>\n\n<|begin_of_solution|>b<|end_of_solution|>",
            "a",
            "b",
        ),
        ("opened by the template</think>b", "opened by the template", "b"),
        ("<think>a <think>b</think> c</think>d", "a <think>b</think> c", "d"),
        ("<think>see `</think>`, a</think>d", "see `</think>`, a", "d"),
        ("<think>```python\nx = 1\n</think>d", "```python\nx = 1\n", "d"),
        ("I use <thought> tags.</think>b", "I use <thought> tags.", "b"),
        ("<think>a</think>So <answer>5</answer>", "a", "So <answer>5</answer>"),
        ("<think>a</think><answer>5", "a", "5"),
        ("[think] is a word", None, "[think] is a word"),
        ("", None, ""),
    ],
)
def test_reasoning_and_response(text: str, reasoning: str | None, response: str) -> None:
    chain = read(text)
    assert (chain.reasoning and chain.reasoning.of(text)) == reasoning
    assert chain.response.of(text) == response
    assert chain.closed


def test_reasoning_that_is_cut_off_leaves_no_response() -> None:
    chain = read("Well. <think>so far 3 + 4")
    assert chain.reasoning is not None
    assert chain.reasoning.of(chain.text) == "so far 3 + 4"
    assert chain.response == Span(len(chain.text), len(chain.text))
    assert not chain.closed


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("9 + 9 = 18\n#### 18", ["18"]),
        ("so #### 7", ["7"]),
        ("#### $1,200.", ["$1,200"]),
        ("#### 12 + 8 = 20", ["12 + 8 = 20"]),
        ("#### Step 1: add 3\n3\n\n#### Step 2: stop\n\n#### 18", ["18"]),
        ("#### 1. Find the cost\n#### Total for day 2\nIt is 5.", []),
        ("##### 18", []),
        ("It is\n#### Paris", ["Paris"]),
        ("#### 18\n#### 19", ["18", "19"]),
        ("#### 18<|im_end|>", ["18"]),
        ("####", []),
    ],
)
def test_hash(text: str, found: list[str]) -> None:
    assert answers(text, "hash") == found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"$\boxed{18}$", ["18"]),
        (r"\fbox{x} and \boxed {y}", ["x", "y"]),
        (r"\boxed{\left( 3, \frac{\pi}{2} \right)}.", [r"\left( 3, \frac{\pi}{2} \right)"]),
        (r"\boxed{\{1, 2\}}", [r"\{1, 2\}"]),
        (r"\boxed{x\\{y}}", [r"x\\{y}"]),
        (r"\boxed{\boxed{7}}", [r"\boxed{7}", "7"]),
        (r"$\boxed 5$ apples", ["5"]),
        (r"$\boxed 1,200$.", ["1,200"]),
        (r"$\boxed\frac12$", [r"\frac12"]),
        (r"$\boxed\frac{1}{2}\pi$", [r"\frac{1}{2}"]),
        (r"$\boxed\sqrt[3]{2}$", [r"\sqrt[3]{2}"]),
        (r"$\boxed\pi$", [r"\pi"]),
        (r"$\boxed{12 $ and $13 }. $", ["12 $ and $13"]),
        ("\\boxed{\n\\begin{pmatrix} 1 \\\\ 2 \\end{pmatrix}\n}", [r"\begin{pmatrix} 1 \\ 2 \end{pmatrix}"]),
        (r"Put it in \boxed{}, \boxed{...} or \boxed{\text{your answer}}.", []),
        (r"\boxedx{3}", []),
    ],
)
def test_boxed(text: str, found: list[str]) -> None:
    assert answers(text, "boxed") == found
    assert all(statement.closed for statement in read(text).statements)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (r"So it is \boxed{12", "12"),
        (r"So it is \boxed{\$12 ", r"\$12"),
        (r"$\boxed{\frac{1}{2}$ is it.", r"\frac{1}{2}"),
        ("$\\boxed{\\frac{1}{2}$\n\nmore }", r"\frac{1}{2}"),
    ],
)
def test_a_brace_that_is_never_closed(text: str, found: str) -> None:
    (statement,) = read(text).statements
    assert statement.answer.of(text) == found
    assert not statement.closed


PHRASES = [
    ("The answer is 18. Then he goes.", "18"),
    ("Therefore, the answer is: **42**.", "42"),
    ("The answer is 3.5 dollars. Done", "3.5 dollars"),
    ("The answer is $18.50. Then", "$18.50"),
    ("the final answer is approx. 5 cm. Then", "approx. 5 cm"),
    ("The answer is U.S. dollars 5. Then", "U.S. dollars 5"),
    ("The answer is B. Therefore we choose B.", "B"),
    ("The answer is (A. b, 3. c) here. No", "(A. b, 3. c) here"),
    ("(The answer is (0, 1].)", "(0, 1]"),
    ('"The answer is 5."', "5"),
    ("**The answer is 5.**", "5"),
    ("**Answer**: 5", "5"),
    ("**Answer:** 5 apples", "5 apples"),
    ("### Final Answer\n\n5", "5"),
    ("**Final Answer**\n\n\\[\nx = 5\n\\]\nDone.", "\\[\nx = 5\n\\]"),
    ("Final answer: $$\nx = 5\n$$", "$$\nx = 5\n$$"),
    ("Final answer:\n\\[\nx = 5", "x = 5"),
    ("Answer:\n```\n18\n```", "18"),
    ("The answer is as follows:\n\nx = 5", "x = 5"),
    ("The correct option is (C).", "(C)"),
    ("the correct choice is **D**", "D"),
    ("The answer to part (a) is 12.", "12"),
    ("The answer is 5 because 3 + 2 = 5.", "5"),
    ("The answer is $5$, not $6$.", "$5$"),
    ("The answer is therefore $28\\%$.", "$28\\%$"),
    ("The answer is no.", "no"),
    ("The answer is not enough information", "not enough information"),
    ("Answer = 5", "5"),
    ("Ans: 5", "5"),
    ("The answer\nis 5", "5"),
    ("the answer is\n5.\nDone.", "5"),
    ("The answers are 3 and 4.", "3 and 4"),
    ("The answer is 10 a.m.", "10 a.m."),
    ("Final Answer: The final answer is $\\frac{1}{2}$. I hope it is correct.", "$\\frac{1}{2}$"),
    ("The answer isn't 5, it's 6.", "6"),
    ("The answer is not 5 but 6.", "6"),
    ("The answer is 18<|im_end|>", "18"),
    ("答案是18。所以", "18"),
    ("所以，最终答案是 $\\frac{1}{2}$。", "$\\frac{1}{2}$"),
    ("答案为：3.5元。", "3.5元"),
    ("答案：5", "5"),
    ("**答案**：5", "5"),
    ("正确答案是（B）。", "（B）"),
    ("正确选项是 C", "C"),
    ("故选：C．", "C"),
    ("故选C。", "C"),
    ("因此选 B，因为它大。", "B"),
    ("故答案为：$x=2$．", "$x=2$"),
    ("最终答案：\n\n\\[\nx = 3\n\\]", "\\[\nx = 3\n\\]"),
    ("答案是5，因为2+3=5。", "5"),
    ("答案不是5，而是6。", "6"),
    ("答えは5です。", "5"),
    ("よって、答えは 3.5 m です。", "3.5 m"),
    ("最終的な答えは $x = 2$ です。", "$x = 2$"),
    ("正解はBです。", "B"),
    ("答え：5", "5"),
    ("解答：\n5", "5"),
    ("答えは5ではなく6です。", "6"),
    ("答案应该是18吧。", "18"),
    ("【答案】B", "B"),
    ("所以都对，选B。", "B"),
    ("答えは5だと思います。", "5"),
    ('{"reason": "3 + 2", "answer": "5"}', "5"),
    ('{"final_answer": 5, "unit": "cm"}', "5"),
    ("\\text{The answer is } 5", "5"),
    ("The answer is 5, but let me check: 4 + 1 = 5.", "5"),
    ("The answer is 5 and so the sum is 7", "5 and so the sum is 7"),
]


@pytest.mark.parametrize(("text", "found"), PHRASES)
def test_phrases(text: str, found: str) -> None:
    assert answers(text, "phrase") == [found]


@pytest.mark.parametrize(
    ("text", "denied"),
    [
        ("The answer is not 5.", "The answer is not 5."),
        ("So the answer isn’t 5, sadly.", "the answer isn’t 5"),
        ("The answer is definitely not \\boxed{5}.", "The answer is definitely not \\boxed{5}."),
        ("I don't think the answer is 5.", "the answer is 5."),
        ("The answer cannot be 7, as it is odd.", "The answer cannot be 7"),
        ("It's not that the answer is 5.", "the answer is 5."),
        ("答案不是5", "答案不是5"),
        ("答案并不等于5。", "答案并不等于5。"),
        ("答えは5ではない", "答えは5ではない"),
        ("答えは5ではありません。", "答えは5ではありません"),
    ],
)
def test_denials_are_no_statements(text: str, denied: str) -> None:
    chain = read(text)
    assert chain.statements == ()
    assert [span.of(text) for span in chain.denied] == [denied]


@pytest.mark.parametrize(
    "text",
    [
        "Is the answer 5?",
        "Could the answer be 5?",
        "So the answer is 5? Let me check.",
        "If the answer is 5, then x = 3.",
        "Let me see whether the answer is 5.",
        "Maybe the answer is 5.",
        "A wrong answer is 5.",
        "I'm not sure the answer is 5.",
        "The answer is stated above.",
        "The answer is correct.",
        "The answer is found by adding.",
        "No answer.",
        "Let me find the answer.\nFirst, 3 + 4 = 7.",
        "Count the answers for how many apples there are.\n5",
        "答案是5吗？",
        "答案是什么",
        "答案是不是5？",
        "如果答案是5，那么",
        "答案是正确的。",
        "所以选两个苹果",
        "答えは5ですか？",
        "答えは何ですか",
        "答えは5かもしれない",
        '```python\nprint("The answer is", x)  # answer: 5\n#### 5\n```',
    ],
)
def test_what_is_no_statement(text: str) -> None:
    chain = read(text)
    assert chain.statements == ()
    assert chain.denied == ()


def test_tags_and_order() -> None:
    text = "<think>The answer is 3.</think>#### 4\nThe answer is $\\boxed{5}$.\n<answer> **6** </answer>"
    found = read(text).statements
    assert [(item.rule, item.answer.of(text)) for item in found] == [
        ("phrase", "3"),
        ("hash", "4"),
        ("phrase", "$\\boxed{5}$"),
        ("boxed", "5"),
        ("tag", "6"),
    ]
    assert [item.span.of(text) for item in found[1:]] == [
        "#### 4",
        "The answer is $\\boxed{5}$.",
        "\\boxed{5}",
        "<answer> **6** </answer>",
    ]


def test_an_answer_tag_that_is_only_mentioned_in_the_reasoning() -> None:
    assert answers("<think>I must write <answer> tags. 3</think><answer>5") == ["5"]


PIECES = st.sampled_from(
    [
        *["<think>", "</think>", "<answer>", "</answer>", "[THINK]", "<|im_end|>", "[asy]"],
        *["\\boxed{", "\\fbox", "\\boxed ", "{", "}", "$", "$$", "\\[", "\\]", "\\(", "\\)", "\\begin{a}", "\\end{a}"],
        *["```", "`", "```python\n", "####", "**", "(", ")", '"', "?", ".", "!", "。", "…", "\n", "\n\n", " "],
        *["the answer is ", "answer", "Answer:", "Final Answer\n", "is", "not", "if", "but", "5", "3.5"],
        *["答案", "是", "不", "故选", "B", "答え", "は", "です", "ではなく"],
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES).map("".join), st.lists(PIECES).map(" ".join)))
def test_spans_lie_inside_the_text(text: str) -> None:
    chain = read(text)
    spans = [chain.response, *chain.denied, *([chain.reasoning] if chain.reasoning else [])]
    for statement in chain.statements:
        spans += [statement.span, statement.answer]
        assert statement.span.start <= statement.answer.start < statement.answer.end <= statement.span.end
        assert not any(denied.covers(statement.span) for denied in chain.denied)
    assert all(0 <= span.start <= span.end <= len(text) for span in spans)
    starts = [statement.span.start for statement in chain.statements]
    assert starts == sorted(starts)
    assert isinstance(chain, Chain)


MILLION = 1_000_000
HOSTILE = {
    "braces": "{" * MILLION,
    "boxes": "\\boxed{" * 100_000,
    "boxes without braces": "\\boxed\\sqrt{" * 50_000,
    "boxes before space": "\\boxed{" * 50_000 + " " * 500_000,
    "stars": "the answer is 5" + "*" * MILLION,
    "think": "<think>" * 100_000,
    "close": "</think>" * 100_000,
    "one line": "x" * MILLION,
    "spaces": "answer:" + " " * MILLION,
    "newlines": "\n" * MILLION,
    "dots": "The answer is 5" + "." * MILLION,
    "dollars": "The answer is" + " $" * 200_000,
    "ticks": "answer: " + " ".join("`" * n for n in range(1, 1_400)),
    "fences": "answer: 5\n" + "```a\n" * 100_000,
    "parentheses": "The answer is 5" + "(" * MILLION,
    "displays": "The answer is 5" + "\\[" * 200_000,
    "environments": "The answer is 5" + "".join(f"\\begin{{a{'bcd'[n % 3] * (n % 15)}}}" for n in range(60_000)),
    "phrases": "answer: " * 40_000,
    "long tails": "answer to " * 100_000,
    "open brackets": "the answer is (a. " * 20_000,
    "statements": "the answer is 5 " * 20_000,
    "denials": "答案不是5，" * 30_000,
    "hashes": "#### 1\n" * 50_000,
    "answers": "<answer>" * 100_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_is_linear(name: str) -> None:
    """Well below a second on a quiet machine; a method that is quadratic takes minutes."""
    began = time.perf_counter()
    read(HOSTILE[name])
    assert time.perf_counter() - began < 8


def test_every_answer_of_gsm8k_is_found(data: Path) -> None:
    for line in (data / "gsm8k_train.jsonl").read_text(encoding="utf-8").splitlines():
        solution = json.loads(line)["answer"]
        assert answers(solution, "hash") == [solution.rpartition("####")[2].strip()]


def test_every_answer_of_math500_is_found(data: Path) -> None:
    for line in (data / "math500_test.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        assert answers(row["solution"], "boxed")[-1] == row["answer"]
        assert read(row["solution"]).denied == ()


def test_answers_of_aqua_are_found(data: Path) -> None:
    rows = [json.loads(line) for line in (data / "aqua_dev.jsonl").read_text(encoding="utf-8").splitlines()]
    stated = [(row["correct"], found[-1]) for row in rows if (found := answers(row["rationale"], "phrase"))]
    assert len(stated) > 150
    assert all(correct in found.removeprefix("Option ").removeprefix("OPTION ")[:1] for correct, found in stated)
