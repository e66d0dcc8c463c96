"""Each reward by itself: what it is worth, what it needs, and where it has no opinion."""

from pathlib import Path

import pytest
from train_kit import pair, train, write

from conftest import attempt, problem
from porism.errors import RecipeError
from porism.find import find, names
from porism.graders import Grading, Scorer, grade_all
from porism.records import Attempt, Status
from porism.train._rewarding import Rewarding, inputs
from porism.train.rewards import correct, distance, language, length, model
from porism.train.rewards import format as stated
from porism.train.rl import Settings

FAILED = attempt(9, Status.ERROR, finish="error", error="the engine died", text="")


def said(text: str, question: str = "How many?") -> Attempt:
    return attempt(1, text=text, problem=problem(1, question=question))


@pytest.mark.parametrize("name", [name for name in names("porism.train.rewards") if name != "model"])
def test_an_answer_that_failed_has_no_reward(name: str) -> None:
    found = find("porism.train.rewards", name, "reward")([FAILED, attempt(1)])
    assert found[0] is None
    assert isinstance(found[1], float)


def test_correct() -> None:
    tries = [attempt(1), attempt(1, Status.WRONG), attempt(1, Status.UNPARSED), attempt(1, Status.TRUNCATED)]
    assert correct.reward(tries) == [1.0, 0.0, None, None]
    assert correct.reward(tries, count_as_wrong=["truncated"]) == [1.0, 0.0, None, 0.0]


def test_format() -> None:
    tries = [said("#### 2"), said(r"\boxed{2}"), said("2, I think")]
    assert stated.reward(tries) == [1.0, 1.0, 0.0]
    assert stated.reward(tries, format_rules=["boxed"]) == [0.0, 1.0, 0.0]


def test_length() -> None:
    tries = [attempt(1, completion_tokens=count) for count in (10, 60, 70, 80, 100)]
    assert length.reward(tries, max_tokens=100, overlong_buffer=40) == [0.0, 0.0, -0.25, -0.5, -1.0]
    assert length.reward([attempt(1, completion_tokens=100, finish="length")], max_tokens=200) == [-1.0]


def test_language() -> None:
    tries = [said("It is two."), said("答案是二，因为一加一。"), said("2 + 2"), said("It is 二二二二二二")]
    assert language.reward(tries)[:3] == [1.0, 0.0, 1.0]
    assert language.reward(tries, script="han")[:2] == [0.0, 1.0]
    assert language.reward(tries)[3] == pytest.approx(4 / 10)
    asked = said("答えは二です", question="りんごはいくつですか")
    assert language.reward([asked]) == [1.0]  # kana and ideographs are both Japanese
    assert language.reward([said("the answer", question="りんごはいくつですか")]) == [0.0]


def test_distance() -> None:
    tries = [said("2"), said("#### 3"), said("no idea")]
    assert distance.reward(tries) == [12.0, 6.0, None]
    assert distance.reward(tries, distance="5-4-3-2-1") == [5.0, 3.0, None]
    own = attempt(1, text="3", problem=problem(1, meta={"distance": {"shape": "linear", "scale": 2}}))
    assert distance.reward([own]) == [0.5]  # what the problem itself says comes first


def test_a_function_is_given_the_columns_that_it_names(tiny_model: Path, tmp_path: Path) -> None:
    """Without ``**columns`` too, and a tensor of rewards will do."""
    file = tmp_path / "own.py"
    file.write_text(
        "import torch\n\n\ndef named(labels, completions):\n"
        "    return torch.tensor([float(one[0]['content'] == label) for one, label in zip(completions, labels)])\n\n\n"
        "def missing(level, **columns):\n    return [1.0]\n"
    )
    settings = Settings(input=["x"], model=str(tiny_model), rewards={f"{file}:named": 2.0})
    with Grading(settings, grade_all) as grading:
        found = Rewarding(settings, grading)([said("2"), said("3")])
        assert [one.reward for one in found] == [2.0, 0.0]
        settings = settings.model_copy(update={"rewards": {f"{file}:missing": 1.0, f"{file}:named": 1.0}})
        (found,) = Rewarding(settings, grading)([said("2")])
        assert found.reward is None
        assert "missing: it failed with TypeError" in found.attempt.meta["no_reward"]


def test_a_judge_and_another_grader_as_rewards(tiny_model: Path) -> None:
    judge = {"judge_engine": "scripted", "judge_options": {"default": "It is.\nVERDICT: CORRECT"}}
    settings = Settings(input=["x"], model=str(tiny_model), rewards={"judge": 1.0, "number": 0.5}, **judge)
    with Grading(settings, grade_all) as grading:
        found = Rewarding(settings, grading)([said("#### 2"), said("#### 3"), said("I cannot say")])
    assert [one.reward for one in found] == [1.5, 1.0, None]
    assert found[1].attempt.meta["rewards"] == {"judge": 1.0, "number": 0.0}


def test_what_a_training_depends_on(tmp_path: Path) -> None:
    """A prompt template and a reward in files, by what they say."""
    rows = write(tmp_path / "p.jsonl", [problem(1)])
    prompt, own = tmp_path / "mine.txt", tmp_path / "own.py"
    own.write_text("def worth(**columns):\n    return [1.0]\n")
    prompt.write_text("Q: {{ question }}")
    settings = Settings(input=[rows], prompt=str(prompt), rewards={f"{own}:worth": 1.0})
    first = inputs(settings)
    for file in (prompt, own):
        file.write_text(file.read_text() + " ")
        assert inputs(settings) != first
        first = inputs(settings)


def test_a_reward_model(tiny_model: Path, tmp_path: Path) -> None:
    rows = write(tmp_path / "pairs.jsonl", [pair(number) for number in range(4)])
    train("reward", tmp_path / "rm", rows, tiny_model, max_steps=2)
    place = str(tmp_path / "rm" / "model")
    tries = [attempt(1, text="It is 2."), attempt(1, text="No idea.", sample=1), FAILED, attempt(2, text="It is 3.")]
    found = model.reward(tries, scorer=place)
    scorer = Scorer(place)
    for one, score in zip(tries, found, strict=True):
        wanted = None if one is FAILED else scorer.score(one.messages, [one.text])[0]
        assert score == (pytest.approx(wanted, abs=1e-5) if wanted is not None else None)
    scaled = model.reward(tries, scorer=place, reward_scale=100.0)
    assert scaled[0] == pytest.approx(100 * (found[0] or 0))
    assert {abs(one) for one in model.reward(tries, scorer=place, reward_scale=1e6, reward_clip=2.0) if one} == {2.0}
    with pytest.raises(RecipeError, match="needs scorer"):
        model.reward(tries)
