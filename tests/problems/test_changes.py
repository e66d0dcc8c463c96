"""Order, units, expressions and instances: what is changed keeps a true answer, by a solver that shares no code."""

import math
import re
from fractions import Fraction
from pathlib import Path

import pytest

from porism.problems import gsm8k, procedural
from porism.problems._change_units import _UNITS
from porism.problems._changing import sentences
from porism.problems.perturb import CHANGES, Unchanged, changed
from porism.records import Problem

TRAINS = Problem(
    question="Ann has 3 pens. Bob has twice as many pens as Ann. Cleo has 4 pens. How many have Ann, Bob and Cleo?",
    answer="13",
    solution="3 + 6 + 4 = 13\n#### 13",
)


# --- order -------------------------------------------------------------------------------------------


def test_premises_that_stand_alone_are_mixed() -> None:
    found = {changed(TRAINS, "order", str(seed)).question for seed in range(20)}
    assert len(found) > 3
    for question in found:
        assert sorted(sentences(question + " ")) == sorted(sentences(TRAINS.question + " "))
        assert question != TRAINS.question
    assert any(question.startswith("How many") for question in found)


@pytest.mark.parametrize(
    "question",
    [
        "Ann has 3 pens. She buys 2. How many has she?",
        "Prices rose by 10%. Then Ann paid 5. How many does she have?",
        "How many pens are there?",
        "Ann has 3 pens. Give her number.",
        "Is it? Ann has 3 pens. How many?",
        "Let $x. 5$ be. Find $y$?",
        "小明有3支笔。还剩几支?",
        "Ann has:\n3 pens. How many pens has Ann?",
    ],
)
def test_sentences_that_lean_on_one_another_stay(question: str) -> None:
    with pytest.raises(Unchanged):
        changed(Problem(question=question, answer="1"), "order")


def test_where_premises_lean_the_question_goes_first() -> None:
    made = changed(Problem(question="Ann has 3 pens. She buys 2 pens. How many pens has Ann?", answer="5"), "order")
    assert made.question == "How many pens has Ann? Ann has 3 pens. She buys 2 pens."


def test_the_order_of_real_problems(data: Path) -> None:
    """No sentence is lost, and premises move only where none of them has a pronoun."""
    made = 0
    for problem in list(gsm8k.load("test", path=str(data)))[:400]:
        assert isinstance(problem, Problem)
        try:
            found = changed(problem, "order")
        except Unchanged:
            continue
        made += 1
        assert sorted(found.question.split()) == sorted(problem.question.split())
        assert (found.answer, found.solution) == (problem.answer, problem.solution)
        if not found.question.startswith(list(sentences(problem.question.strip()))[-1].strip()):
            assert not re.search(
                r"\b(he|she|it|they|his|her|their)\b", problem.question.rpartition(". ")[0], re.IGNORECASE
            )
    assert made > 40


# --- units -------------------------------------------------------------------------------------------

FACTORS = {"minute": 60, "second": 60, "meter": 1000, "metre": 1000, "m": 1000, "centimeter": 100, "centimetre": 100,
           "gram": 1000, "g": 1000, "milliliter": 1000, "inch": 12, "foot": 3, "ounce": 16, "quart": 4}  # fmt: skip


def test_factors_are_those_of_the_books() -> None:
    assert {unit.one: unit.factor for unit in _UNITS} == FACTORS


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("He reads 3 hours a day. How many pages does he read?", "180 minutes a day"),
        ("She walks 2.5 km. How many steps does she take?", "2500 m."),
        ("A rope is 20 meters long. How many pieces of it are there?", "2000 centimeters long"),
        ("Buy 3 pounds of figs. How many figs are there?", "48 ounces of figs"),
        ("A film of 2 hours starts. How long is it in minutes?", "120 minutes starts"),
        ("A tank holds 12 kilograms. How many bags are needed?", "12,000 grams."),
    ],
)
def test_a_smaller_unit(question: str, expected: str) -> None:
    problem = Problem(question=question, answer="7", solution="7\n#### 7", meta={"annotated": "x", "level": 1})
    made = changed(problem, "units")
    assert expected in made.question
    assert made.answer == "7"
    assert made.solution.endswith("#### 7")
    assert re.match(r"[\d,]+ \w+ = [\d.]+ \w+\.\n", made.solution)
    assert "annotated" not in made.meta
    assert made.meta["level"] == 1


@pytest.mark.parametrize(
    "question",
    [
        "He reads 3 hours a day. How long does he read?",
        "He walks 3 km. How far does he walk?",
        "Ann works 5 days a week. How many days are there?",
        "He mows 3 yards. How many lawns does he mow?",
        "A dog has 4 feet. How many feet are there?",
        "An 8-hour shift. How many shifts are there?",
        "She runs at 6 km/h. How many laps does she run?",
        "She has 3 pens. How many does she have?",
        "He paid £3 for 2 pounds of figs. How many figs are there?",
    ],
)
def test_a_unit_that_may_matter_stays(question: str) -> None:
    with pytest.raises(Unchanged):
        changed(Problem(question=question, answer="1"), "units")


def test_units_of_real_problems(data: Path) -> None:
    """What replaces a quantity is the same quantity, by factors that are written down here."""
    made = 0
    for problem in gsm8k.load("test", path=str(data)):
        assert isinstance(problem, Problem)
        try:
            found = changed(problem, "units")
        except Unchanged:
            continue
        made += 1
        new, unit, old, _ = re.match(r"([\d,.]+) (\w+) = ([\d,.]+) (\w+)\.\n", found.solution).groups()  # type: ignore[union-attr]
        single = {"inches": "inch", "feet": "foot"}.get(unit, unit if unit in FACTORS else unit.rstrip("s"))
        assert Fraction(new.replace(",", "")) == Fraction(old.replace(",", "")) * FACTORS[single]
        assert f"{new} {unit}" in found.question
        assert found.answer == problem.answer
    assert made > 40


# --- the questions of generators -----------------------------------------------------------------------

TASKS = {
    "chain_sum": {}, "products": {}, "basic_arithmetic": {}, "decimal_chain_sum": {}, "gcd": {}, "lcm": {},
}  # fmt: skip


def solved(question: str) -> Fraction:
    """The answer by Python's own arithmetic on exact numbers: shares no code with what changes problems."""
    if "ommon" in question:
        numbers = [int(number) for number in re.findall(r"\d+", question)]
        return Fraction(math.gcd(*numbers) if "Divisor" in question else math.lcm(*numbers))
    text = re.search(r"-?[(\d][-\d\s+*/().]*[\d)]", question)
    assert text is not None
    assert re.fullmatch(r"[-\d\s+*/().]+", text[0])
    exact = re.sub(r"\d+(?:\.\d+)?", lambda number: f"Fraction('{number[0]}')", text[0])
    return Fraction(eval(exact, {"Fraction": Fraction, "__builtins__": {}}))  # noqa: S307 (digits and signs alone)


@pytest.mark.parametrize("task", TASKS)
def test_every_changed_answer_is_right(task: str) -> None:
    made = 0
    for problem in procedural.load("train", tasks={task: {"count": 60, **TASKS[task]}}, seed=3):
        for seed in range(2):
            try:
                found = changed(problem, "numbers", str(seed))
            except Unchanged:
                continue
            made += 1
            assert solved(found.question) == Fraction(found.answer), found.question
            assert re.sub(r"\d", "0", found.question) == re.sub(r"\d", "0", problem.question), "as many digits"
            assert found.question != problem.question
    assert made >= 60


@pytest.mark.parametrize("change", ["irrelevant", "order", "names", "units"])
def test_what_keeps_the_answer_keeps_the_numbers(change: str) -> None:
    """Of questions of generators, after any other change, the same solver still finds the old answer."""
    for task in ("chain_sum", "gcd"):
        for problem in procedural.load("train", tasks={task: {"count": 20}}, seed=4):
            try:
                found = changed(problem, change)  # type: ignore[arg-type]
            except Unchanged:
                continue
            assert found.answer == problem.answer
            assert sorted(re.findall(r"\d+", problem.question)) == sorted(
                number
                for number in re.findall(r"\d+", found.question)
                if number in re.findall(r"\d+", problem.question)
            )


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("What is 3 + 4?", "8"), ("What is 3 + 4 and 5 + 6?", "7"), ("Ann has 3. What is 3 + 4?", "7"),
        ("What is 3?", "3"), ("What is 3 + x?", "7"), ("What is 1/0 + 1?", "7"), ("The gcd of 4 and 6, not 8?", "2"),
    ],
)  # fmt: skip
def test_a_question_that_is_more_than_a_calculation_stays(question: str, answer: str) -> None:
    with pytest.raises(Unchanged):
        changed(Problem(question=question, answer=answer), "numbers")


def test_instances_of_templates() -> None:
    """Every instance's answer is that of its own worked solution, and differs from the first in numbers."""
    tasks = {"gsm_symbolic": {"count": 40, "templates": list(range(0, 100, 5))}}
    made = 0
    for problem in procedural.load("train", tasks=tasks):
        found = changed(problem, "instance")
        made += 1
        assert found.group == problem.group
        assert found.question != problem.question
        assert Fraction(found.solution.rpartition("####")[2].strip().replace(",", "")) == Fraction(found.answer)
        assert (found.meta["change"], found.meta["of"]) == ("instance", problem.id)
    assert made == 40
    with pytest.raises(Unchanged, match="no template"):
        changed(TRAINS, "instance")


def test_instances_are_solved_by_their_own_calculations() -> None:
    """What a solution of a template computes is right wherever it is numbers alone."""
    from porism.evaluate.quality import calculations

    tasks = {"gsm_symbolic": {"count": 100}}
    found = [
        one
        for problem in procedural.load("train", tasks=tasks)
        for one in calculations(changed(problem, "instance").solution)
    ]
    assert len(found) > 50
    assert sum(one.right for one in found) / len(found) > 0.97


def test_every_change_can_be_asked_for() -> None:
    assert {"order", "units", "instance"} <= set(CHANGES)
