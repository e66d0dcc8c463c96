"""Changed problems: their answers stay true, or they are not changed."""

import contextlib
import json
import re
from fractions import Fraction
from pathlib import Path

import pytest

from porism import pipeline, store
from porism.graders import check
from porism.problems import _arithmetic, aqua, gsm8k, samples, svamp
from porism.problems._arithmetic import NotArithmetic, evaluate, numbers, plain, rewrite
from porism.problems._changing import sentences, tokens
from porism.problems.perturb import CHANGES, Change, Unchanged, changed
from porism.records import Problem

ANNOTATION = re.compile(r"<<([^<>=]+)=([^<>=]+)>>")


def word_problem(question: str, worked: str) -> Problem:
    answer = worked.rpartition("####")[2].strip()
    return Problem(
        question=question, answer=answer, solution=gsm8k.unannotated(worked), source="t", meta={"annotated": worked}
    )


TOM = word_problem(
    "Tom has 12 pens. He gives 5 pens to Anna and buys 3 boxes of 8 pens each day. How many pens are left in total?",
    "After the gift he has 12-5=<<12-5=7>>7 pens.\nThe boxes hold 3*8=<<3*8=24>>24 pens.\n"
    "Now 7+24=<<7+24=31>>31.\n#### 31",
)


# --- arithmetic --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("48/2", "24"), ("(3+4)*2", "14"), ("100-50-30-15", "5"), ("0.2*50", "10"), ("20%*50", "10"),
        ("1,200/4", "300"),
        ("-3+5", "2"), ("2(3+4)", "14"), ("12×6÷8", "9"), ("3 x 4", "12"), (".5*4", "2"), ("2*-3", "-6"),
        ("1/3*3", "1"),
    ],
)  # fmt: skip
def test_expressions_are_exact(text: str, value: str) -> None:
    assert evaluate(text) == Fraction(value)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1/0",
        "2**3",
        "2^3",
        "__import__('os')",
        "1+",
        "(1+2",
        "a*2",
        "9" * 16,
        "1;2",
        "(" * 50 + "1" + ")" * 50,
        "1" * 300,
    ],
)
def test_what_is_no_arithmetic(text: str) -> None:
    with pytest.raises(NotArithmetic):
        evaluate(text)


def test_numbers_of_an_expression_can_be_replaced() -> None:
    assert [number.value for number in numbers("20%*50+1,000")] == [20, 50, 1000]
    assert rewrite("(3+4) * 2", lambda at, number: number.value * (at + 1)) == "(3+8) * 6"
    assert evaluate("3+4", lambda at, _: Fraction(at)) == 1
    assert plain(Fraction(5, 2)) == "2.5"
    assert plain(Fraction(12345), like="1,000") == "12,345"
    assert (plain(Fraction(9), like="5.00"), plain(Fraction(6), like="4.5"), plain(Fraction(-1, 2))) == (
        "9.00",
        "6",
        "-0.5",
    )
    with pytest.raises(NotArithmetic):
        plain(Fraction(1, 3))


# --- numbers -----------------------------------------------------------------------------------------


def consistent(problem: Problem) -> None:
    """Every calculation holds, the last is the answer, and the solution is judged right."""
    found = ANNOTATION.findall(problem.meta["annotated"])
    assert found
    for expression, result in found:
        assert evaluate(expression) == _arithmetic.read_number(result), (expression, result)
    assert _arithmetic.read_number(found[-1][1]) == _arithmetic.read_number(problem.answer)
    assert check(gold=problem.answer, text=problem.solution).correct
    assert problem.solution == gsm8k.unannotated(problem.meta["annotated"])


def test_other_numbers_and_an_answer_that_fits() -> None:
    seen = set()
    for seed in range(20):
        made = changed(TOM, "numbers", str(seed))
        consistent(made)
        pens, gift, boxes, each = (int(number) for number in re.findall(r"\d+", made.question))
        assert int(made.answer) == pens - gift + boxes * each
        assert pens > each > gift > boxes > 1, "the numbers keep their order"
        assert re.sub(r"\d+", "N", made.question) == re.sub(r"\d+", "N", TOM.question)
        seen.add(made.question)
    assert len(seen) > 10
    assert changed(TOM, "numbers", "1") == changed(TOM, "numbers", "1")


@pytest.mark.parametrize(
    ("question", "worked", "reason"),
    [
        ("Ann has 3 cats. How many legs?", "<<3*4=12>>12\n#### 12", "an unexplained number: 4"),
        ("Ann has 3 dozen eggs.", "3*12=<<3*12=36>>36\n#### 36", ""),
        ("It takes 5 hours, at most 4 a day. How many days?", "<<5-4=1>>1\n#### 1", "a condition"),
        ("Which is cheaper, 5 or 4?", "<<5-4=1>>1\n#### 1", "a condition"),
        ("A and B share 10. A gets 4.", "<<10-4=6>>6 and <<10-6=4>>4\n#### 4", ""),
        ("He has 10 and eats 4.", "10/4=<<10/4=2>>2\n#### 2", "not exact"),
        ("He has 10 and eats 4.", "<<10-4=6>>6\n#### 7", "no program"),
        ("He has 10 and eats 4.", "<<10-4=6>>6 <<10*4=40>>40\n#### 40", "a side result"),
        ("He has 10 and eats 4.", "He had 99 before. <<10-4=6>>6\n#### 6", "an unexplained number: 99"),
        ("He has 10 and eats 4.", "<<import os=6>>6\n#### 6", "no arithmetic"),
        ("He has 10 and eats 4.", "10-4=6\n#### 6", "no program"),
        ("Two trains leave at 10:30 and 12:45.", "<<45-30=15>>15\n#### 15", "no free number"),
        ("It was 1998 then, and 2010 now.", "<<2010-1998=12>>12\n#### 12", "no free number"),
        ("20% of 50 are red.", "50*.2=<<50*.2=10>>10\n#### 10", ""),
        ("The price of 50 fell by 20%.", "50*.8=<<50*.8=40>>40\n#### 40", ""),
    ],
)
def test_what_is_not_accounted_for_is_not_changed(question: str, worked: str, reason: str) -> None:
    if reason:
        with pytest.raises(Unchanged, match=reason):
            changed(word_problem(question, worked), "numbers")
    else:
        made = changed(word_problem(question, worked), "numbers")
        consistent(made)
        kept = re.search(r"\d+%", question)
        assert not kept or kept[0] in made.question, "a share that the solution writes otherwise stays"


def test_a_number_that_means_two_things_stays() -> None:
    twice = word_problem(
        "Ann has 4 bags of 4 red balls and 10 blue balls. How many balls?",
        "4*4=<<4*4=16>>16\n16+10=<<16+10=26>>26\n#### 26",
    )
    made = changed(twice, "numbers")
    assert made.question.startswith("Ann has 4 bags of 4 red balls and ")
    consistent(made)


def test_numbers_of_real_problems(data: Path) -> None:
    """Of every fourth problem of GSM8K's test split a third can be changed; what is changed is consistent."""
    made = 0
    for problem in list(gsm8k.load("test", path=str(data)))[::4]:
        assert isinstance(problem, Problem)
        try:
            found = changed(problem, "numbers")
        except Unchanged:
            continue
        consistent(found)
        assert re.sub(r"[\d,.]+", "", found.question) == re.sub(r"[\d,.]+", "", problem.question)
        assert found.answer != problem.answer
        made += 1
    assert made > 110


def test_numbers_of_the_samples_and_of_svamp() -> None:
    made = 0
    for problem in samples.load():
        try:
            consistent(changed(problem, "numbers"))
            made += 1
        except Unchanged:
            continue
    assert made >= 30
    row = {"Body": "Ida had 7 pears and 4 figs. She ate 9 of them", "Question": "How many are left?",
           "Equation": "( ( 7.0 + 4.0 ) - 9.0 )", "Answer": 2.0, "Type": "Subtraction"}  # fmt: skip
    consistent(changed(svamp._problem(row, "test"), "numbers"))


# --- words -------------------------------------------------------------------------------------------


def test_names_change_everywhere_and_keep_their_gender() -> None:
    made = changed(TOM, "names", "3")
    his, hers = re.match(r"(\w+) has .* to (\w+) and", made.question).groups()  # type: ignore[union-attr]
    assert {his, hers}.isdisjoint({"Tom", "Anna"})
    assert made.question == TOM.question.replace("Tom", his).replace("Anna", hers)
    assert (made.answer, made.kind) == (TOM.answer, TOM.kind)
    from porism.problems._change_names import _LISTS

    assert hers in _LISTS[0]
    assert his in _LISTS[1]
    assert len({name for known in _LISTS for name in known}) == sum(map(len, _LISTS)) > 300
    chinese = word_problem("小明有3支笔,小红有2支。", "小明和小红有<<3+2=5>>5支\n#### 5")
    made = changed(chinese, "names", "3")
    assert "小明" not in made.question + made.solution + made.meta["annotated"]
    for question in ("How many letters has Anna?", "Will May mark it?"):
        with pytest.raises(Unchanged):
            changed(Problem(question=question, answer="1"), "names")


def test_reworded() -> None:
    questions = {changed(TOM, "reword", str(seed)).question for seed in range(20)}
    assert len(questions) > 3
    for question in questions:
        assert "12" in question or "twelve" in question
        assert "altogether" in question or "five" in question or "three" in question or "every day" in question or (
            "eight" in question or "purchases" in question or "remain" in question
        )  # fmt: skip
    for question in ("It costs $5.", "He runs 5 km.", "At 5 pm.", "5% of it.", "The 5th one.", "A 5 x 4 x 6 board."):
        with pytest.raises(Unchanged):
            changed(Problem(question=question, answer="1"), "reword")
    with pytest.raises(Unchanged, match="a formula"):
        changed(Problem(question=r"Let $x$ be 5 in total.", answer="1"), "reword")


def test_an_idle_sentence_stands_before_the_last_one() -> None:
    made = changed(TOM, "irrelevant", "2")
    parts, before = list(sentences(made.question)), list(sentences(TOM.question))
    assert parts[:-2] + parts[-1:] == before
    assert not set(re.findall(r"\w{4,}", parts[-2].casefold())) & {"pens", "boxes", "left", "total"}
    formal = changed(Problem(question="Let $x. 5$ be. Find $y$.", answer="1"), "irrelevant")
    assert formal.question.endswith("Let $x. 5$ be. Find $y$.")
    chinese = changed(Problem(question="小明有3支笔。还剩几支？", answer="1"), "irrelevant")
    assert chinese.question.startswith("小明有3支笔。")
    assert chinese.question.endswith("还剩几支？")
    assert len(chinese.question) > 16
    with pytest.raises(Unchanged, match="everything counts"):
        changed(Problem(question="Ann has 2 cats and 3 dogs. How many animals are there?", answer="5"), "irrelevant")


def test_options_in_another_order(data: Path) -> None:
    done = left = 0
    for problem in aqua.load("test", path=str(data)):
        assert isinstance(problem, Problem)
        try:
            made = changed(problem, "options", "1")
        except Unchanged:
            left += 1
            continue
        done += 1
        old, new = problem.meta["options"], made.meta["options"]
        assert sorted(old) == sorted(new) != new or old != new
        assert new[ord(made.answer) - 65] == old[ord(problem.answer) - 65]
        words = " ".join(new[ord(made.answer) - 65].split())
        assert f"\n{made.answer}) {words}" in made.question
        if made.solution:
            assert check(gold=made.answer, text=made.solution, kind="choice", question=made.question).correct
    assert done > 200
    assert left < 54
    for option in ("None of the above", "Both A and B"):
        bad = aqua._problem({"question": "?", "options": ["1", option], "rationale": "r", "correct": "A"}, "test")
        with pytest.raises(Unchanged, match="options that speak of others"):
            changed(bad, "options")


# --- the source --------------------------------------------------------------------------------------


def test_the_stage(tmp_path: Path) -> None:
    problems = list(samples.load())[:12]
    out = store.Output(tmp_path / "p")
    out.begin(store.Key("problems samples"), store.State("fresh", ""))
    out.write(store.Placed(at, problem) for at, problem in enumerate(problems))
    out.finish()

    def run(name: str, **settings: object) -> list[dict[str, object]]:
        values = {"input": [str(tmp_path / "p")], **settings}
        pipeline.execute(pipeline.prepare("problems", "perturb", values), tmp_path / name)
        return [row for _, row in store.rows(tmp_path / name / "records.jsonl")]

    rows = run("a", changes=["numbers", "names"])
    known = {problem.id for problem in problems}
    assert {row["meta"]["of"] for row in rows} <= known  # type: ignore[index]
    assert {row["set"] for row in rows} == {"chinese_math/numbers", "chinese_math/names"}
    assert run("b", changes=["numbers", "names"]) == rows
    assert run("c", changes=["numbers", "names"], seed=5) != rows
    assert len(run("d", changes=["numbers"], each=3)) > 2 * len(
        [row for row in rows if row["set"] == "chinese_math/numbers"]
    )
    dropped = [row for _, row in store.rows(tmp_path / "a" / "dropped.jsonl")]
    assert all(re.match(r"(numbers|names), \w", str(row["reason"])) for row in dropped)
    assert len(dropped) + len(rows) == 24
    assert run("e", changes=["options"], optional=True) == [], "that nothing can be changed is no defect"


def test_lines_that_are_no_problems_stop_nothing(tmp_path: Path) -> None:
    (tmp_path / "p.jsonl").write_text(
        "{\n"
        + "".join(json.dumps({"question": f"Tom has {n} pens.", "answer": str(n)}) + "\n" for n in range(3))
        + '{"prompt": [], "completion": []}\n'
    )
    values = {"input": [str(tmp_path / "p.jsonl")], "changes": ["names"]}
    manifest = pipeline.execute(pipeline.prepare("problems", "perturb", values), tmp_path / "out")
    assert manifest.counts == {"records": 3, "dropped": 2, "dropped: malformed": 1, "dropped: no problem": 1}


def test_every_change_is_one_that_the_page_names() -> None:
    page = (Path(__file__).parents[2] / "docs" / "problems.md").read_text()
    assert all(f"| `{change}` |" in page for change in CHANGES)


def test_tokens() -> None:
    found = [
        (token.of(text), token.is_free)
        for text in ("He paid $1,200.50 for 3 of 5th, 2nd; 10:30, 3/4 and x2.",)
        for token in tokens(text)
    ]
    assert found == [
        ("1,200.50", True), ("3", True), ("5", False), ("2", False), ("10", False), ("30", False),
        ("3", False), ("4", False), ("2", False),
    ]  # fmt: skip


STRANGE = [
    Problem(question="Which?\nA) 5", answer="A", kind="choice", meta={"options": ["5"]}),
    Problem(question="Which?", answer="A", kind="choice", meta={"options": []}),
    Problem(question="Which?\nA) 5\nB) 6", answer="Z", kind="choice", meta={"options": ["5", "6"]}),
    Problem(question="Which?", answer="L", kind="choice", meta={"options": [str(n) for n in range(20)]}),
    Problem(question="7 pens. " * 40_000, answer="7", meta={"annotated": "7*1=<<7*1=7>>7\n#### 7"}),
    Problem(question="each day, each week, " * 20_000 + "how many?", answer="7"),
    Problem(question=" ".join(map(str, range(2_000))) + " pens?", answer="7", meta={"annotated": "<<2*3=6>>6\n#### 6"}),
    Problem(question="Tom and NUL \0 and \ud800, 3 pens?", answer="\ud800", meta={"annotated": "<<" * 9_000}),
    Problem(question="Tom?", answer="1", meta={"annotated": "<<" + "(" * 150 + "1" + ")" * 30 + "=1>>"}),
]
"""Problems that nobody should write."""


@pytest.mark.parametrize("change", CHANGES)
def test_strange_problems_are_changed_soon_or_left_out(change: Change) -> None:
    for problem in STRANGE:
        with contextlib.suppress(Unchanged):
            assert changed(problem, change).question != problem.question
