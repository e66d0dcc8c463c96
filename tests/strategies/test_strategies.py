import pytest

from conftest import problem
from porism import find, recipe, strategies
from porism.engines import Sampling
from porism.engines.scripted import Scripted
from porism.errors import DataError
from porism.records import Problem
from porism.solve import Settings

SCORED = {"best_of", "weighted_vote"}
"""They choose by scores, which nobody gives here; see test_choices.py."""
INDEXED = {"rag"}
"""They need an index; see test_retrieval.py."""
NAMES = [
    name for name in find.names("porism.strategies") if name not in SCORED | INDEXED | {"harness"}
]  # see test_harness.py


def bound(name: str, **values: object) -> strategies.Strategy:
    kind = recipe.settings_of(strategies.function(name), Settings)
    return strategies.bind(name, recipe.build(kind, {"input": [], **values}, "test"))


@pytest.mark.parametrize("name", NAMES)
def test_every_strategy_answers_every_problem(name: str) -> None:
    """The contract: a batch in, for each problem its attempts, ungraded, with what the model was shown."""
    problems = [problem(n) for n in range(3)]
    engine = Scripted({}, default="#### 1")
    attempts = bound(name)(problems, engine, Sampling())
    assert [tries[0].problem for tries in attempts] == problems
    for tries, asked in zip(attempts, problems, strict=True):
        assert tries[0].strategy == name
        assert tries[0].verdict is None
        assert tries[0].messages[-1]["content"].startswith(asked.question)
    assert strategies.asks_engine(name) == bool(engine.requests)


def test_samples_and_seeds() -> None:
    engine = Scripted({"What is 0 + 1?": ["a", "b"]})
    tries = bound("direct", samples=3, seed=4)([problem(0), problem(1)], engine, Sampling(temperature=1.0))
    assert [(t.sample, t.text) for t in tries[0]] == [(0, "a"), (1, "b"), (2, "a")]
    assert engine.requests[0].seed != engine.requests[1].seed
    alone = Scripted({})
    bound("direct", samples=3, seed=4)([problem(1)], alone, Sampling())
    assert alone.requests[0].seed == engine.requests[1].seed, "a problem's seed does not depend on its company"


def test_what_the_settings_change() -> None:
    def shown(name: str, **values: object) -> list[dict[str, str]]:
        return list(bound(name, **values)([problem(0)], Scripted({}), Sampling())[0][0].messages)  # type: ignore[arg-type]

    assert shown("direct")[0]["role"] == "user"
    assert shown("direct", system="")[0] == {"role": "system", "content": ""}
    assert shown("direct", instruction="Go.")[0]["content"].endswith("\n\nGo.")
    assert len(shown("cot", shots=2)) == 5
    assert "6 * 8 = 48" in shown("cot")[1]["content"]
    assert shown("few_shot")[1]["content"] == "#### 17"


def test_own_examples(tmp_path) -> None:
    import json

    from porism.records import to_row

    path = tmp_path / "mine.jsonl"
    path.write_text(json.dumps(to_row(problem(7))) + "\n")
    tries = bound("cot", shots=1, examples=str(path))([problem(0)], Scripted({}), Sampling())
    assert tries[0][0].messages[1]["content"] == problem(7).solution


def test_a_problem_without_a_solution_has_no_worked_attempt() -> None:
    with pytest.raises(DataError, match="has no worked solution"):
        bound("worked")([Problem(question="?", answer="1")], Scripted({}), Sampling())


def test_an_outside_prompt_is_a_strategy(tmp_path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text(
        "def shout(problem, *, mark: str = '!'):\n"
        "    return [{'role': 'user', 'content': problem.question.upper() + mark}]\n"
    )
    tries = bound(f"{mine}:shout", mark="?!")([problem(0)], Scripted({}), Sampling())
    assert tries[0][0].messages[0]["content"] == "WHAT IS 0 + 1??!"
