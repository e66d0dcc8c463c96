"""A problem never gets its own solution back."""

import pytest

from porism.knowledge._items import Item
from porism.knowledge._leaks import Guard
from porism.records import Problem

QUESTION = "Natalia sold 48 clips in April, and half as many in May. How many clips did she sell in April and May?"
ASKED = Problem(question=QUESTION, answer="72")


def of_problem(text: str, record: str = "other") -> Item:
    return Item(kind="problem", text=text, solution="…", answer="72", grader="number", record=record)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        (of_problem("anything", ASKED.id), "id"),
        (of_problem(QUESTION), "question"),
        (of_problem(QUESTION.upper().replace("?", " ?!")), "question"),
        (of_problem(f"{QUESTION} Think step by step."), "question"),
        (of_problem(QUESTION.replace("Natalia", "Bogdan").replace("sold", "has sold")), "near"),
        (of_problem(QUESTION.replace("48 clips", "forty-eight clips")), ""),
        (of_problem(QUESTION.replace("48", "96")), ""),
        (of_problem("A train leaves at 48 km/h. How far does it go?"), ""),
        (Item(kind="document", text=f"Exercise 7. {QUESTION} Half of 48 is 24."), "question"),
        (Item(kind="document", text="Half of 48 is 24, so 72.", before=f"Exercise 7. {QUESTION}"), "question"),
        (Item(kind="document", text=QUESTION.replace("Natalia", "Mia").replace("did she sell", "were sold")), "near"),
        (Item(kind="document", text="Clips are sold in April and May."), ""),
    ],
)
def test_what_is_left_out(item: Item, reason: str) -> None:
    assert Guard(ASKED).reason(item) == reason


def test_each_method_is_one_of_its_own() -> None:
    same, near = of_problem(QUESTION), of_problem(QUESTION.replace("Natalia", "Mia"))
    assert not Guard(ASKED, ["id"]).reason(same)
    assert not Guard(ASKED, ["id", "question"]).reason(near)
    assert Guard(ASKED, ["near"]).reason(same) == "near"
    assert not Guard(ASKED, []).reason(of_problem(QUESTION, ASKED.id))


def test_the_same_meaning_with_the_same_numbers() -> None:
    other = of_problem("In two months, beginning with 48 in the first one and half of it then: the sum of all sales?")
    assert not Guard(ASKED).reason(other, 0.85)
    assert Guard(Problem(question="48 and half of it?", answer="72")).reason(
        of_problem("Half of 48, and all of it"), 0.95
    )


def test_a_short_question_within_a_longer_one_is_another_one() -> None:
    guard = Guard(Problem(question="What is 1 + 1?", answer="2"))
    assert not guard.reason(of_problem("What is 1 + 15?"))
    assert not guard.reason(Item(kind="document", text="What is 1 + 15? It is 16."))
    assert guard.reason(Item(kind="document", text="What is 1 + 1? It is 2.")) == "question"


def test_chinese() -> None:
    guard = Guard(Problem(question="小明有3个苹果，又买了2个，一共有多少个？", answer="5"))
    assert (
        guard.reason(Item(kind="document", text="例题。小明有3个苹果，又买了2个，一共有多少个？解：5。")) == "question"
    )
    assert not guard.reason(of_problem("小明有7个苹果，又买了9个，一共有多少个？"))
