"""Every layout in which rows are written → question, chain of thought, answer."""

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from porism import pipeline
from porism.graders import check
from porism.problems import Unreadable, _layouts, file
from porism.records import Problem

STEPS = "3 boxes hold 3 * 4 = 12 eggs.\n#### 12"
ASKED = "A box holds 4 eggs. How many do 3 boxes hold?"
TURNS = [{"role": "user", "content": ASKED}, {"role": "assistant", "content": STEPS}]
SHARE = [{"from": "human", "value": ASKED}, {"from": "gpt", "value": STEPS}]
SYSTEM = {"role": "system", "content": "Be brief."}

LAYOUTS: dict[str, tuple[str, dict[str, Any]]] = {
    "question and answer": ("columns", {"question": ASKED, "answer": STEPS}),
    "question, answer, solution": ("columns", {"question": ASKED, "answer": 12, "solution": STEPS}),
    "messages": ("messages", {"messages": TURNS}),
    "messages with a system's": ("messages", {"messages": [SYSTEM, *TURNS]}),
    "messages in parts": (
        "messages",
        {"messages": [{"role": "user", "content": [{"type": "text", "text": ASKED}]}, TURNS[1]]},
    ),
    "messages in a cell": ("messages", {"messages": json.dumps(TURNS)}),
    "ShareGPT": ("sharegpt", {"conversations": SHARE}),
    "ShareGPT with a system": ("sharegpt", {"conversations": SHARE, "system": "Be brief."}),
    "ShareGPT with roles": ("sharegpt", {"conversations": TURNS}),
    "alpaca": ("alpaca", {"instruction": ASKED, "input": "", "output": STEPS}),
    "alpaca with input": (
        "alpaca",
        {"instruction": "Solve the problem.", "input": ASKED, "output": STEPS, "system": "Be brief."},
    ),
    "input and output": ("input_output", {"input": f"问：{ASKED}", "output": f"答：{STEPS}", "loss_mask": [0, 0, 1]}),
    "prompt and completion": ("prompt_completion", {"prompt": ASKED, "completion": STEPS}),
    "prompt and completion as messages": ("prompt_completion", {"prompt": TURNS[:1], "completion": TURNS[1:]}),
    "KTO": ("prompt_completion", {"prompt": TURNS[:1], "completion": TURNS[1:], "label": True}),
    "DPO": ("preference", {"prompt": ASKED, "chosen": STEPS, "rejected": "7"}),
    "DPO with an implicit prompt": (
        "preference",
        {"chosen": TURNS, "rejected": [TURNS[0], {"role": "assistant", "content": "7"}]},
    ),
    "steps with labels": (
        "stepwise",
        {"prompt": ASKED, "completions": ["3 boxes hold 3 * 4 = 12 eggs.", "#### 12"], "labels": [True, True]},
    ),
    "MATH": ("problem", {"problem": ASKED, "solution": r"So $\boxed{12}$."}),
    "MATH-500": ("problem", {"problem": ASKED, "solution": STEPS, "answer": "12"}),
    "query and response": ("query_response", {"query": ASKED, "response": "3 * 4 = 12. The answer is: 12"}),
    "alpaca with a history": (
        "alpaca",
        {"instruction": "And 5?", "output": "20", "history": [[ASKED, STEPS], ["And 4?", "16"]]},
    ),
    "LLaMA-Factory's pairs as alpaca": (
        "preference",
        {"instruction": "Solve the problem.", "input": ASKED, "chosen": STEPS, "rejected": "7"},
    ),
    "LLaMA-Factory's pairs as ShareGPT": (
        "preference",
        {"conversations": SHARE[:1], "chosen": SHARE[1], "rejected": {"from": "gpt", "value": "7"}},
    ),
    "a question with pairs": ("preference", {"system": "", "question": ASKED, "chosen": STEPS, "rejected": "7"}),
    "prompt and response": ("query_response", {"prompt": ASKED, "response": STEPS}),
    "prompt and answer": ("query_response", {"prompt": TURNS[:1], "answer": 12, "id": "x"}),
    "a chain in think tags": (
        "query_response",
        {"instruction": ASKED, "response": r"<think>4 and \boxed{7}?</think>It is \boxed{12}."},
    ),
}


def load(folder: Path, row: object, **settings: object) -> Problem | Unreadable:
    (folder / "a.jsonl").write_text(json.dumps(row))
    (found,) = file.load(path=str(folder / "a.jsonl"), **settings)  # type: ignore[arg-type]
    return found


@pytest.mark.parametrize("what", LAYOUTS)
def test_a_layout_is_told_by_its_keys(tmp_path: Path, what: str) -> None:
    layout, row = LAYOUTS[what]
    found = load(tmp_path, row)
    assert isinstance(found, Problem), found
    assert found.question.endswith(ASKED)
    assert not found.question.startswith("问")
    assert (found.answer, found.kind) == ("12", "number")
    assert not found.solution or check(gold=found.answer, text=found.solution).correct
    assert bool(found.solution) == (what != "prompt and answer")
    assert load(tmp_path, row, layout=layout) == found


def test_what_else_a_row_says_is_kept(tmp_path: Path) -> None:
    def meta(what: str) -> dict[str, Any]:
        found = load(tmp_path, LAYOUTS[what][1])
        assert isinstance(found, Problem)
        return dict(found.meta)

    assert meta("DPO") == meta("DPO with an implicit prompt") == {"rejected": "7"}
    for what in ("messages with a system's", "ShareGPT with a system", "alpaca with input"):
        assert meta(what) == {"system": "Be brief."}
    assert meta("steps with labels") == {"steps": 2}
    assert meta("alpaca with a history") == {"turns": 6}
    for what in ("alpaca", "ShareGPT"):
        assert meta(f"LLaMA-Factory's pairs as {what}") == {"rejected": "7"}
    longer = load(tmp_path, {"messages": [*TURNS, {"role": "user", "content": "And 5?"}, TURNS[1]]})
    assert isinstance(longer, Problem)
    assert (longer.question, longer.meta) == (ASKED, {"turns": 4})


@pytest.mark.parametrize(
    ("row", "settings", "reason"),
    [
        ({"a": 1}, {}, "no layout: expected 'question' and 'answer', or another known layout. Keys in this row: a."),
        ({"question": ASKED}, {}, "no answer: expected a text under 'answer', got None"),
        ({"question": ASKED, "answer": ["12"]}, {}, "no answer: expected a text under 'answer'"),
        ({"question": ASKED, "answer": float("nan")}, {}, "no answer: expected one under 'answer', got 'nan'"),
        ({"question": ASKED, "answer": "so\n####"}, {}, "no answer"),
        ({"question": " ", "answer": "1"}, {}, "no question: expected a text under 'question'"),
        ({"prompt": ASKED, "completion": STEPS, "label": False}, {}, "labelled false"),
        ({"prompt": ASKED, "completions": ["a", "b"], "labels": [1, 0]}, {}, "labelled false: step 2 is wrong"),
        ({"prompt": ASKED, "completions": ["a"], "labels": []}, {}, "no steps"),
        ({"instruction": ASKED, "output": STEPS, "history": ["a"]}, {}, "no history: expected a list of pairs"),
        ({"instruction": ASKED, "chosen": STEPS, "rejected": {"value": "7"}}, {}, "no rejected: expected turns"),
        ({"messages": [{"role": "user", "content": None}]}, {}, "no messages: expected turns with 'role'"),
        ({"messages": TURNS[:1]}, {}, "no messages: expected a question and then an answer, got the roles user"),
        ({"messages": TURNS[::-1]}, {}, "got the roles assistant, user"),
        ({"messages": "[" * 5000}, {}, "no messages: expected a list of turns"),
        ({"conversations": {"from": "human"}}, {}, "no conversations: expected a list of turns"),
        ({"prompt": [], "completion": STEPS}, {}, "no prompt: expected a list of turns"),
        ({"prompt": TURNS, "completion": STEPS}, {}, "no prompt: expected one question that stands last"),
        ({"input": ASKED, "output": STEPS, "loss_mask": "110"}, {}, "no loss_mask: expected a list"),
        ({"question": ASKED, "answer": "12"}, {"layout": "alpaca"}, "no instruction: expected a text"),
        (
            {"question": ASKED, "options": ["12", "None"], "correct": "A"},
            {},
            "no answer: expected one of the options under 'answer', got None. Keys in this row: question, opt",
        ),
        ({"question": ASKED, "answer": "E", "options": ["1", "2"]}, {}, "no answer: expected one of A, B, got 'E'"),
        ({"question": ASKED, "answer": "A", "options": "1 or 2"}, {}, "no options: expected a list"),
        ({"question": ASKED, "answer": "A", "options": ["1", {}]}, {}, "no options: expected texts"),
        ({"question": ASKED, "answer": "A", "options": "[" * 9000}, {}, "no options: expected a list"),
    ],
)
def test_a_row_of_no_layout_says_why(tmp_path: Path, row: object, settings: dict[str, Any], reason: str) -> None:
    found = load(tmp_path, row, **settings)
    assert isinstance(found, Unreadable)
    assert reason in found.reason
    assert found.place.endswith("a.jsonl, line 1")


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        ("42", "number"), ("-3/4", "number"), ("$1,200.50", "number"), ("12 apples", "number"), ("15%", "number"),
        (True, "boolean"), ("Yes", "boolean"), ("no", "boolean"), (r"\frac{1}{2}", "math"), ("(1, 2)", "math"),
        ("x = 5", "math"), ("Paris", "math"), ("2^{10}", "math"), ("w " * 150, "judge"),
        ("A long\nstory of 3 bears", "judge"),
    ],
)  # fmt: skip
def test_the_grader_fits_the_answer(tmp_path: Path, answer: object, kind: str) -> None:
    found = load(tmp_path, {"question": ASKED, "answer": answer})
    assert isinstance(found, Problem)
    assert found.kind == kind
    named = load(tmp_path, {"question": ASKED, "answer": answer}, kind="judge")
    assert isinstance(named, Problem)
    assert named.kind == "judge"


@pytest.mark.parametrize(
    ("options", "answer"),
    [
        (["3", "12", "7"], "B"),
        (["A)3", "B)12", "C)7"], "b"),
        (["3", "12", "7"], 1),
        (["3", "12", "7"], "12"),
        ({"A": "3", "B": "12"}, "(B)"),
        ({"text": ["3", "12"], "label": ["A", "B"]}, "B"),
        ('["3", "12"]', "B"),
    ],
)
def test_a_choice(tmp_path: Path, options: object, answer: object) -> None:
    found = load(tmp_path, {"q": ASKED, "a": answer, "o": options}, question="q", answer="a", options="o")
    assert isinstance(found, Problem)
    assert (found.answer, found.kind) == ("B", "choice")
    assert found.question.startswith(f"{ASKED}\nA) 3\nB) 12")
    assert check(gold="B", text="The answer is 12", kind="choice", question=found.question).correct


def test_keys_of_your_own(tmp_path: Path) -> None:
    row = {"data": {"prompt": TURNS[:1]}, "reward_model": {"ground_truth": "12"}, "topic": 3, "why": STEPS}
    keys = {"question": "data.prompt", "answer": "reward_model.ground_truth", "group": "topic", "solution": "why"}
    found = load(tmp_path, row, **keys)
    assert isinstance(found, Problem)
    assert (found.question, found.answer, found.group, found.solution) == (ASKED, "12", "3", STEPS)
    found = load(tmp_path, {"conversations": SHARE, "task_category": "Math"}, group="task_category")
    assert isinstance(found, Problem)
    assert found.group == "Math"


def test_further_keys_are_kept(tmp_path: Path) -> None:
    row = {"question": ASKED, "answer": 12, "difficulty": "hard", "more": {"id": [1, None]}, "score": float("nan")}
    found = load(tmp_path, row, keep=["difficulty", "more.id", "score", "missing"])
    assert isinstance(found, Problem)
    assert found.meta == {"difficulty": "hard", "more.id": [1, None], "score": None}
    plain = load(tmp_path, row)
    assert isinstance(plain, Problem)
    assert plain.meta == {}
    assert plain.id == found.id


def test_what_is_labelled_false_is_no_defect(tmp_path: Path) -> None:
    """Of a set of good and bad answers most may be bad."""
    rows = [{"prompt": f"{n}?", "completion": "#### 1", "label": n == 0} for n in range(9)]
    rows += [{"prompt": "steps?", "completions": ["a"], "labels": [0]}]
    (tmp_path / "kto.jsonl").write_text("\n".join(map(json.dumps, rows)))
    stage = pipeline.prepare("problems", "file", {"path": str(tmp_path / "kto.jsonl")})
    counts = pipeline.execute(stage, tmp_path / "out").counts
    assert (counts["records"], counts["dropped: labelled false"]) == (1, 9)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("so\n#### 1,200", "1200"),
        ("so\n#### (1, 200)", "(1, 200)"),
        ("so\n#### 1, 2", "1, 2"),
        ("#### 1,200,000.5", "1200000.5"),
    ],
)
def test_commas_between_thousands(text: str, answer: str) -> None:
    assert _layouts.parted(text)[0] == answer


TEXTS = st.sampled_from(
    ["", "12", "#### 12", "\\boxed{", "<think>", "user", "assistant", "human", "text", "A", "[", "nan", "\ud800"]
)
VALUES = st.recursive(
    TEXTS | st.none() | st.booleans() | st.integers() | st.floats(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["role", "content", "from", "value", "type", "text", "label"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)
KEYS = st.sampled_from(sorted({key for _, row in LAYOUTS.values() for key in row} | {"options", "labels", "history"}))


@settings(max_examples=400, deadline=None)
@given(row=st.dictionaries(KEYS, VALUES, max_size=5), layout=st.sampled_from(["auto", *_layouts._LAYOUTS]))
def test_no_row_whatsoever_breaks_off(row: dict[str, Any], layout: Any) -> None:
    """It says a question and an answer, or why it does not."""
    with contextlib.suppress(ValueError):
        found = _layouts.fields(row, _layouts.Columns(), layout)
        assert found.question.strip()
        assert found.answer
        assert _layouts.kind_for(found)
