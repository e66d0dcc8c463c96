from pathlib import Path

import pytest
from curation_kit import kept, run, write

from conftest import attempt, problem
from porism.curate import pair
from porism.errors import DataError
from porism.records import Attempt, Message, Pair, Status, Verdict


def tried(number: int, text: str, *, right: bool, answer: str | None = None, **changes: object) -> Attempt:
    status = Status.CORRECT if right else Status.WRONG
    verdict = Verdict(status=status, answer=answer or text.rsplit(maxsplit=1)[-1], grader="number")
    return attempt(number, text=text, verdict=verdict, **changes)


def test_a_right_attempt_is_chosen_over_a_wrong_one(tmp_path: Path) -> None:
    given = [
        tried(1, "it is 3", right=False),
        tried(2, "it is 3", right=True),
        tried(1, "it is 2", right=True),
        tried(2, "so it is 3", right=True),
        tried(1, "perhaps 4", right=False),
    ]
    manifest = run("pair", tmp_path / "out", write(tmp_path / "a.jsonl", given))
    (made,) = kept(tmp_path / "out")
    assert isinstance(made, Pair)
    assert (made.chosen[0]["content"], made.rejected[0]["content"]) == ("it is 2", "it is 3")
    assert made.prompt == [Message(role="user", content="What is 1 + 1?")]
    assert made.meta["by"] == "correctness"
    assert made.meta["chosen_answer"] == "2"
    assert manifest.counts["dropped: all correct"] == 2
    assert manifest.counts["dropped: spare"] == 1


def test_the_reward_decides_where_all_are_right() -> None:
    given = [
        tried(1, "it is 2", right=True, meta={"judge": {"reward": 4}}),
        tried(1, "so it is 2", right=True, meta={"judge": {"reward": 9}}),
    ]
    made = [item for item in pair.make(given, reward="judge.reward") if not item.reason]
    assert [item.record.chosen[0]["content"] for item in made] == ["so it is 2"]
    ties = [item.reason for item in pair.make(given, reward="judge.reward", margin=5.0)]
    assert len(ties) == 2
    assert all(reason.startswith("tie: all correct") for reason in ties)
    assert all(reason.startswith("all correct: ") for reason in [item.reason for item in pair.make(given)])


def test_several_pairs_and_balanced_lengths() -> None:
    given = [
        tried(1, "it is 2", right=True, completion_tokens=10),
        tried(1, "is 2", right=True, completion_tokens=40),
        tried(1, "it is 5", right=False, completion_tokens=41),
        tried(1, "it is 6", right=False, completion_tokens=11),
    ]
    assert sum(not item.reason for item in pair.make(given)) == 1
    made = [item.record for item in pair.make(given, pairs=5, balance=True) if not item.reason]
    found = {(one.chosen[0]["content"], one.rejected[0]["content"]) for one in made}
    assert found == {("it is 2", "it is 6"), ("is 2", "it is 5")}


def test_easy_problems_and_badly_formed_attempts_are_left_out() -> None:
    given = [
        tried(1, "<think>hm</think>it is 2", right=True),
        tried(1, "<think>it is 2", right=True),
        tried(1, "<think>so</think>it is 3", right=False),
    ]
    reasons = {item.reason for item in pair.make(given, max_pass_rate=0.5)}
    assert reasons == {"too easy: 2 of 3 are right"}
    assert [item.record.chosen[0]["content"] for item in pair.make(given[1:]) if not item.reason] == ["<think>it is 2"]
    assert all(item.reason for item in pair.make(given[1:], well_formed=True))
    assert sum(not item.reason for item in pair.make(given, well_formed=True)) == 1


def test_attempts_with_other_prompts_make_no_pair() -> None:
    other = [Message(role="user", content="Think. What is 1 + 1?")]
    given = [tried(1, "it is 2", right=True), tried(1, "it is 3", right=False, messages=other)]
    assert all(item.reason.startswith("too few: ") for item in pair.make(given))
    with pytest.raises(DataError, match="no graded attempt in the input"):
        list(pair.make([problem()]))


@pytest.mark.parametrize("reward", [10**400, float("inf"), float("nan"), True, "9", None])
def test_a_reward_that_cannot_be_compared_is_none(reward: object) -> None:
    given = [
        tried(1, "it is 2", right=True, meta={"reward": reward}),
        tried(1, "so it is 2", right=True, meta={"reward": 3}),
    ]
    reasons = [item.reason for item in pair.make([problem(), *given])]
    assert reasons[0] == "not graded: it is no attempt with a verdict"
    assert all("no reward tells them apart" in reason for reason in reasons[1:])
