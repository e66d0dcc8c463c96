import ast
import json
import re
from fractions import Fraction
from pathlib import Path

import pytest

from porism import pipeline, store
from porism.errors import DataError, RecipeError
from porism.graders import check
from porism.problems import MissingData, file, gsm8k, procedural

TASKS = {
    "chain_sum": {"count": 150, "max_terms": 4, "max_digits": 3},
    "products": {"count": 150, "max_terms": 3, "max_digits": 2},
    "simple_equations": {"count": 150},
    "leg_counting": {"count": 150},
    "gcd": {"count": 150},
    "lcm": {"count": 150},
    "basic_arithmetic": {"count": 150, "operators": ["+", "-", "*"]},
    "number_sequence": {"count": 80},
}


OPERATORS = {
    ast.Add: "__add__",
    ast.Sub: "__sub__",
    ast.Mult: "__mul__",
    ast.Div: "__truediv__",
    ast.FloorDiv: "__floordiv__",
}


def exact(text: str) -> Fraction | None:
    """Value of an arithmetic expression; None where it has letters."""
    if re.search(r"[a-zA-Z]", text) or not text.strip():
        return None
    return walk(ast.parse(text.strip(), mode="eval").body)


def walk(node: ast.expr) -> Fraction:
    if isinstance(node, ast.Constant):
        return Fraction(node.value)
    if isinstance(node, ast.UnaryOp):
        return -walk(node.operand)
    assert isinstance(node, ast.BinOp)
    return Fraction(getattr(walk(node.left), OPERATORS[type(node.op)])(walk(node.right)))


def test_worked_solutions_are_true_step_by_step() -> None:
    """Every ``a = b`` of every line holds, and the final answer is the generator's."""
    steps = 0
    for item in procedural.load("train", tasks=TASKS, seed=5):
        assert check(gold=item.answer, text=item.solution).rule == "hash"
        assert check(gold=item.answer, text=item.solution).correct, item
        for line in item.solution.splitlines()[:-1]:
            sides = [exact(side) for side in line.rsplit(": ", 1)[-1].split(" = ")]
            known = [side for side in sides if side is not None]
            assert len(set(known)) <= 1, line
            steps += max(0, len(known) - 1)
    assert steps > 2000


def test_the_quickstarts_templates_are_true() -> None:
    """200 instances of each template that is trained on: the solution's last number is the answer."""
    templates = [6, 10, 16, 43, 50, 58, 62, 72]
    tasks = {"gsm_symbolic": {"count": 200 * len(templates), "templates": templates}}
    seen = 0
    for item in procedural.load("train", tasks=tasks, seed=1):
        assert check(gold=item.answer, text=item.solution).correct, item
        for a, sign, b, c in re.findall(
            r"(?<![\d.*/+-])(\d+)\s*([-+*x×/])\s*(\d+)\s*=\s*(\d+)(?![\d.])", item.solution
        ):
            value = exact(f"{a} {sign.replace('x', '*').replace('×', '*')} {b}")
            assert value == int(c), item.solution
        seen += 1
    assert seen == 1600


def numbers(text: str) -> list[str]:
    return sorted(re.findall(r"\d+", text))


def test_splits_share_no_problem_and_no_twin() -> None:
    tasks = {
        "chain_sum": {"max_terms": 2, "max_digits": 1, "count": 30},
        "gsm_symbolic": {"templates": [10], "count": 60},
    }
    sets = {split: list(procedural.load(split, tasks=tasks)) for split in ("train", "test")}
    twins = {split: {(p.group, *numbers(p.question)) for p in found} for split, found in sets.items()}
    assert not twins["train"] & twins["test"]
    assert len({p.question for p in sets["train"]}) == 90


def test_the_same_seed_makes_the_same_problems() -> None:
    first, again = (list(procedural.load("test", tasks={"gcd": {}}, count=20, seed=9)) for _ in range(2))
    assert first == again
    assert first != list(procedural.load("test", tasks={"gcd": {}}, count=20, seed=8))


@pytest.mark.parametrize(
    ("tasks", "split", "error", "complaint"),
    [
        ({"chain_sums": {}}, "train", RecipeError, "Did you mean 'chain_sum'"),
        ({"chain_sum": {"terms": 3}}, "train", RecipeError, "chain_sum: its generator refuses"),
        ({"gsm_symbolic": {"templates": [100]}}, "train", RecipeError, "no template 100"),
        ({"gsm_symbolic": {"n": 1}}, "train", RecipeError, "unknown parameter 'n'"),
        ({"chain_sum": {"seed": 1}}, "train", RecipeError, "'seed' is no parameter of a task here. Use 'seed' beside"),
        ({"chain_sum": {"size": 1}}, "train", RecipeError, "Use 'count'"),
        ({"chain_sum": {}}, "dev", RecipeError, "Known: train, validation, test"),
        ({"word_sorting": {}}, "train", DataError, "is not a number"),
        (
            {"products": {"max_digits": 1, "count": 500}},
            "test",
            DataError,
            "different problems in the test split, found",
        ),
    ],
)
def test_wrong_tasks_say_what_is_wrong(tasks: dict, split: str, error: type[Exception], complaint: str) -> None:
    with pytest.raises(error, match=complaint):
        list(procedural.load(split, tasks=tasks))


def test_gsm8k_as_published(data: Path) -> None:
    train, test = (list(gsm8k.load(split, path=str(data))) for split in ("train", "test"))
    assert (len(train), len(test)) == (7473, 1319)
    assert test[0].answer == "18"
    assert "<<" not in test[0].solution
    assert test[0].solution.endswith("#### 18")
    assert gsm8k.files("test", path=str(data)) == [data / "gsm8k_test.jsonl"]


def test_gsm8k_errors(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"expected gsm8k_train\.jsonl"):
        list(gsm8k.load("train", path=str(tmp_path)))


def test_files_in_both_layouts(tmp_path: Path) -> None:
    rows = [
        {"question": "a?", "answer": "x\n#### 1,000", "topic": "t"},
        {"question": "b?", "answer": 2, "solution": "worked"},
    ]
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (tmp_path / "b.jsonl").write_text("\n".join(map(json.dumps, rows)))
    a, b = (list(file.load(path=str(tmp_path / name), group="topic")) for name in ("a.json", "b.jsonl"))
    assert [(p.question, p.answer, p.solution, p.group) for p in a] == [
        ("a?", "1000", "x\n#### 1,000", "t"),
        ("b?", "2", "worked", ""),
    ]
    assert [p.id for p in a] == [p.id for p in b]
    (tmp_path / "d.json").write_bytes(b"\xef\xbb\xbf" + (tmp_path / "a.json").read_bytes())
    assert [p.id for p in file.load(path=str(tmp_path / "d.json"))] == [p.id for p in a]
    renamed = tmp_path / "c.json"
    renamed.write_text(json.dumps([{"q": "c?", "a": "3", "w": "3"}]))
    assert next(file.load(path=str(renamed), question="q", answer="a", solution="w")).solution == "3"


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        (
            "a.jsonl",
            '{"question": "?"}',
            r"a\.jsonl, line 1: no answer: expected a text under 'answer'.*Keys in this row: question",
        ),
        ("a.json", '[{"question": "?", "answer": ""}]', r"a\.json, item 1"),
        ("a.json", "[3]", "item 1: no object: expected a JSON object, got int"),
        ("a.json", "[", "cut off: the list is never closed"),
        ("a.jsonl", "", r"a\.jsonl: the source gave no problem"),
        (
            "a.jsonl",
            '{"question": "?", "answer": NaN}',
            r"a\.jsonl, line 1: no answer: expected one under 'answer', got 'nan'",
        ),
        ("a.jsonl", '{"question": "?", "answer": "-Infinity"}', "no answer: expected one"),
        ("a.jsonl", '{"question": "?", "answer": "so it is\\n####"}', "line 1: no answer: expected one"),
        (
            "a.jsonl",
            '{"question": "\\ud800?", "answer": "1"}',
            "half of a surrogate pair: in the question",
        ),
        (".", None, "found a folder"),
        ("gone.jsonl", None, "no such file"),
    ],
)
def test_a_malformed_file_is_named(tmp_path: Path, name: str, text: str | None, complaint: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=complaint):
        pipeline.execute(pipeline.prepare("problems", "file", {"path": str(tmp_path / name)}), tmp_path / "out")


def test_the_stages_own_settings(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("".join(f'{{"question": "q{n}", "answer": {n}}}\n' for n in range(20)))

    def made(name: str, **settings: object) -> list[str]:
        values = {"path": str(tmp_path / "a.jsonl"), **settings}
        pipeline.execute(pipeline.prepare("problems", "file", values), tmp_path / name)
        return [row["question"] for _, row in store.rows(tmp_path / name / "records.jsonl")]

    assert made("all") == [f"q{n}" for n in range(20)]
    assert made("some", limit=3) == ["q0", "q1", "q2"]
    assert sorted(made("mixed", shuffle=1)) == sorted(made("all")) != made("mixed")
    assert made("mixed") == made("all")
    assert made("one", shuffle=1, limit=5) != made("two", shuffle=2, limit=5)
    named = pipeline.prepare("problems", "file", {"path": str(tmp_path / "a.jsonl"), "set": "mine"})
    pipeline.execute(named, tmp_path / "named")
    assert next(store.rows(tmp_path / "named" / "records.jsonl"))[1]["set"] == "mine"


def test_an_optional_source_may_be_missing(tmp_path: Path) -> None:
    values = {"path": str(tmp_path), "optional": True}
    manifest = pipeline.execute(pipeline.prepare("problems", "gsm8k", values), tmp_path / "out")
    assert manifest.counts["records"] == 0
    assert manifest.counted == "no records"
    assert (tmp_path / "out" / "records.jsonl").read_text() == ""
    (tmp_path / "train.jsonl").write_text('{"question": "?", "answer": "#### 3"}\n')
    manifest = pipeline.execute(pipeline.prepare("problems", "gsm8k", values), tmp_path / "out")
    assert manifest.counts["records"] == 1, "a file that turns up later is noticed"


def test_the_tasks_that_the_page_names_work_as_they_are() -> None:
    page = (Path(__file__).parents[2] / "docs" / "problems.md").read_text()
    named = re.search(r"these (\d+) give numbers with their default parameters: (.*?)\.", page, re.DOTALL)
    tasks = re.findall(r"`(\w+)`", named.group(2))  # type: ignore[union-attr]
    assert len(tasks) == int(named.group(1))  # type: ignore[union-attr]
    for task in tasks:
        assert len(list(procedural.load("train", tasks={task: {"count": 2}}))) == 2
