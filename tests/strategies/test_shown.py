"""What the strategies that ask once show: triggers in three languages, named parts."""

import re

import pytest
from strategy_kit import bound, solved

from porism.engines import Sampling
from porism.engines.scripted import Scripted
from porism.errors import RecipeError
from porism.records import Problem

QUESTIONS = {
    "en": "How many are 2 and 3?",
    "zh": "小明有2个苹果，又买了3个，一共有几个？",
    "ja": "りんごが2個と3個で何個ですか。",
}
TRIGGERS = {"en": "Let's think step by step.", "zh": "让我们一步步思考", "ja": "ステップバイステップで考えましょう。"}


def shown(name: str, question: str, **values: object) -> str:
    attempt = solved(name, [Problem(question=question, answer="5")], Scripted({}, "#### 5"), **values)[0]
    assert attempt.messages[-1]["content"].startswith(question)
    return attempt.messages[-1]["content"].removeprefix(question).strip()


@pytest.mark.parametrize("language", ["en", "zh", "ja"])
def test_the_trigger_is_in_the_language_of_the_question(language: str) -> None:
    assert shown("zero_shot_cot", QUESTIONS[language]) == TRIGGERS[language]
    assert shown("zero_shot_cot", QUESTIONS["en"], language=language) == TRIGGERS[language]
    assert shown("zero_shot_cot", QUESTIONS[language], trigger="Slowly.", instruction="Box it.") == "Slowly.\nBox it."


@pytest.mark.parametrize(("language", "first"), [("en", "Given"), ("zh", "已知"), ("ja", "条件")])
def test_the_parts_are_in_the_language_of_the_question(language: str, first: str) -> None:
    assert first in shown("structured", QUESTIONS[language])
    assert shown("structured", QUESTIONS[language], parts=["One", "Two"], instruction="Go.").endswith("Go.")
    assert "One, Two" in shown("structured", QUESTIONS[language], parts=["One", "Two"])


def test_the_engine_holds_the_model_to_the_parts() -> None:
    engine = Scripted({}, "#### 5")
    problems = [Problem(question=question, answer="5") for question in QUESTIONS.values()]
    tries = bound("structured", enforce=True, samples=2)(problems, engine, Sampling(temperature=1.0))
    assert [one[0].problem for one in tries] == problems
    assert [len(one) for one in tries] == [2, 2, 2]
    pattern = next(one.sampling.regex for one in engine.requests if "2 and 3" in one.messages[-1]["content"])
    text = "\n".join(f"{name}: so it is" for name in ("Given", "Find", "Plan", "Calculation", "Check", "Answer"))
    assert re.fullmatch(pattern, text)
    assert not re.fullmatch(pattern, text.replace("Plan", "Idea"))
    plain = Scripted({}, "#### 5")
    bound("structured")(problems, plain, Sampling())
    assert not any(one.sampling.regex for one in plain.requests)


@pytest.mark.parametrize("parts", [["A:", "B"], ["A", "A"], [""]])
def test_parts_that_cannot_be_told_apart(parts: list[str]) -> None:
    from porism import pipeline

    with pytest.raises(RecipeError, match="structured: parts: expected names that differ, without colons"):
        pipeline.prepare("solve", "structured", {"input": ["x"], "parts": parts})


def test_the_answer_part_is_read() -> None:
    from porism.graders import check

    for words in ("Check: 2 + 3 = 5\nAnswer: 5", "检查: 没问题 7\n答案: 5", "検算: 7\n答え: 5"):
        assert check(gold="5", text=words).correct, words
