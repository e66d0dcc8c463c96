"""Reward models and verifiers at work: as graders, in choices among answers, as tags, in synthesis, exported."""

import json
from pathlib import Path
from typing import Any

import pytest
from train_kit import assistant, pair, train, user, write

from conftest import attempt, lines, problem
from porism import graders, pipeline, store
from porism.errors import DataError, ModelError, RecipeError
from porism.graders import Scorer
from porism.graders._scorer import probability
from porism.models.export import export
from porism.models.load import load
from porism.records import Attempt, Example, Status, Stepwise

RIGHT, WRONG = "It is 4.", "No idea."


def judged() -> list[Attempt]:
    """Right and wrong answers to each of four questions."""
    wrong = [attempt(n, Status.WRONG, text="#### 77", sample=1) for n in range(4)]
    return [one for n in range(4) for one in (attempt(n), wrong[n])]


@pytest.fixture(scope="module")
def reward(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("reward")
    rows = write(folder / "pairs.jsonl", [pair(number) for number in range(8)])
    train("reward", folder / "x", rows, tiny_model, max_steps=12, lr=3e-3, centre=0.1)
    return str(folder / "x" / "model")


@pytest.fixture(scope="module")
def verifier(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("verifier")
    train("verifier", folder / "x", write(folder / "a.jsonl", judged()), tiny_model, max_steps=12, lr=3e-3)  # type: ignore[arg-type]
    return str(folder / "x" / "model")


@pytest.fixture(scope="module")
def steps(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("steps")
    rows = [
        Stepwise(prompt=user(f"{n}?"), completions=["Good. ", "Bad. ", "Good again."], labels=[1, 0, 1])
        for n in range(6)
    ]
    file = write(folder / "s.jsonl", rows)  # type: ignore[arg-type]
    train("verifier", folder / "x", file, tiny_model, labels="steps", max_steps=15, lr=3e-3, eval_input=[file])
    return str(folder / "x" / "model")


def stage(verb: str, part: str, target: Path, **settings: Any) -> store.Manifest:
    return pipeline.execute(pipeline.prepare(verb, part, settings), target)


def test_a_verifier_grades_stored_attempts(verifier: str, tmp_path: Path) -> None:
    file = write(tmp_path / "a.jsonl", judged())  # type: ignore[arg-type]
    manifest = stage("grade", "", tmp_path / "x", input=[file], kind="verifier", scorer=verifier)
    assert manifest.counts["correct"] == manifest.counts["wrong"] == 4
    verdicts = [row["verdict"] for row in lines(tmp_path / "x" / "records.jsonl")]
    assert all((one["status"] == "correct") == (one["detail"]["score"] > 0) for one in verdicts)
    assert all(
        one["detail"]["probability"] == pytest.approx(probability(one["detail"]["score"]), abs=1e-5) for one in verdicts
    )
    assert {one["profile"] for one in verdicts} == {Scorer(verifier).model}
    strict = stage(
        "grade", "", tmp_path / "y", input=[file], kind="verifier", scorer=verifier, threshold=1.0, max_unjudged=1.0
    )
    assert strict.counts["wrong"] == 8


def test_scorers_are_graders_in_python(reward: str, verifier: str) -> None:
    asked = {"gold": "", "kind": "reward", "question": "3 + 1?", "scorer": Scorer(reward, "float32")}
    good, bad = (graders.check(text=text, **asked) for text in (RIGHT, WRONG))  # type: ignore[arg-type]
    assert good.detail["score"] > bad.detail["score"]
    assert (good.status, bad.status) == (Status.CORRECT, Status.WRONG)
    assert not graders.has_profiles("reward")
    assert graders.asks_engine("verifier")
    one = attempt(0, problem=problem(0, kind="verifier"), text="half \ud800")
    assert graders.grade_all([one], scorer=Scorer(verifier))[0].status is Status.ERROR


def test_what_is_asked_must_be_a_scorer_of_that_kind(
    reward: str, verifier: str, tiny_model: Path, tmp_path: Path
) -> None:
    file = write(tmp_path / "a.jsonl", judged())  # type: ignore[arg-type]
    for settings, error, complaint in (
        ({"kind": "verifier"}, RecipeError, "'verifier' asks a model. Set scorer"),
        ({"kind": "verifier", "scorer": reward}, ModelError, "expected a verifier, got a reward"),
        ({"kind": "reward", "scorer": verifier}, ModelError, "expected a reward, got a verifier"),
        ({"kind": "reward", "scorer": str(tiny_model)}, ModelError, "expected a reward model or a verifier"),
    ):
        with pytest.raises(error, match=complaint):
            stage("grade", "", tmp_path / "x", input=[file], **settings)
    with pytest.raises(ModelError, match="scores answers and writes none"):
        load(reward)


def test_a_process_verifier_says_how_likely_each_step_is(steps: str) -> None:
    scorer = Scorer(steps, "float32")
    assert (scorer.kind, scorer.steps_by) == ("verifier", "sentence")
    asked = [(user("2?"), "Good. Bad. Good again."), (user("2?"), "")]
    found, empty = scorer.scored(asked)
    assert [one > 0.5 for one in found.steps] == [True, False, True]
    assert probability(found.score) == pytest.approx(min(found.steps))
    last = scorer.scored(asked, "last")[0]
    mean, product = (probability(scorer.scored(asked, how)[0].score) for how in ("mean", "product"))  # type: ignore[arg-type]
    assert probability(last.score) == pytest.approx(found.steps[-1])
    assert mean == pytest.approx(sum(found.steps) / 3)
    assert product == pytest.approx(found.steps[0] * found.steps[1] * found.steps[2])
    assert len(empty.steps) == 1
    verdict = graders.check(gold="", kind="verifier", question="2?", text="Good. Bad. Good again.", scorer=scorer)
    assert (verdict.status, len(verdict.detail["steps"])) == (Status.WRONG, 3)


def test_many_prompts_are_scored_as_each_alone(verifier: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = Scorer(verifier, "float32")
    asked = [(user(f"What is {n % 3} + 1?"), f"#### {n}") for n in range(7)]
    whole = [one.score for one in scorer.scored(asked)]
    assert whole == pytest.approx([scorer.scored([one])[0].score for one in asked], rel=1e-4)
    monkeypatch.setattr("porism.graders._scorer._MOST_TOKENS", 60)
    assert [one.score for one in scorer.scored(asked)] == pytest.approx(whole, rel=1e-4)


def test_tags_and_margins(reward: str, tmp_path: Path) -> None:
    records = [
        attempt(3, text=RIGHT, messages=user("3 + 1?")),
        attempt(3, text=WRONG, messages=user("3 + 1?"), sample=1),
    ]
    example = Example(prompt=user("3 + 1?"), completion=assistant(RIGHT))
    file = write(tmp_path / "r.jsonl", [*records, example, pair(3)])  # type: ignore[list-item]
    stage("curate", "tag", tmp_path / "x", input=[file], tags=["words"], scorer=reward)
    right, wrong, same, both = (row["meta"] for row in lines(tmp_path / "x" / "records.jsonl"))
    assert right["reward"] > wrong["reward"]
    assert same["reward"] == pytest.approx(right["reward"], abs=1e-4)
    assert both["reward_difference"] == pytest.approx(right["reward"] - wrong["reward"], abs=1e-4)
    tagged = tmp_path / "t.jsonl"
    tagged.write_text("".join(json.dumps(row) + "\n" for row in lines(tmp_path / "x" / "records.jsonl")[:2]))
    stage("curate", "pair", tmp_path / "p", input=[str(tagged)])
    made = lines(tmp_path / "p" / "records.jsonl")[0]
    assert made["chosen"][0]["content"] == RIGHT
    assert made["meta"]["by"] == "reward"
    assert made["meta"]["margin"] == pytest.approx(both["reward_difference"], abs=1e-4)
    bare = write(tmp_path / "b.jsonl", [problem(0, solution="")])
    stage("curate", "tag", tmp_path / "y", input=[bare], tags=["words"], scorer=reward)
    assert "reward" not in lines(tmp_path / "y" / "records.jsonl")[0]["meta"], "a problem has no answer to score"


def test_responses_are_paired_by_a_scorer(reward: str, tmp_path: Path) -> None:
    asked = write(tmp_path / "p.jsonl", [problem(3, question="3 + 1?", answer="")])
    script = tmp_path / "s.json"
    script.write_text(json.dumps({"3 + 1?": [WRONG, RIGHT]}))
    settings = {"input": [asked], "responses": 2, "res_temp": 0.8, "engine": "scripted", "script": str(script)}
    stage("synth", "respond", tmp_path / "x", scorer=reward, **settings)
    align = lines(tmp_path / "x" / "align.jsonl")
    assert [row["chosen"][0]["content"] for row in align] == [RIGHT]
    with pytest.raises(RecipeError, match="scorer and reward both"):
        stage("synth", "respond", tmp_path / "y", scorer=reward, reward="a.py:b", **settings)


@pytest.mark.parametrize("method", ["full", "lora"])
def test_an_exported_scorer_scores_the_same(method: str, tiny_model: Path, tmp_path: Path) -> None:
    rows = write(tmp_path / "p.jsonl", [pair(number) for number in range(8)])
    own = {"method": "lora", "lora_r": 2} if method == "lora" else {}
    train("reward", tmp_path / "x", rows, tiny_model, max_steps=4, lr=3e-3, **own)
    source, target = tmp_path / "x" / "model", tmp_path / "out"
    export(str(source), target)
    before, after = (Scorer(str(place), "float32").score(user("3 + 1?"), [RIGHT, WRONG]) for place in (source, target))
    assert after == pytest.approx(before, rel=1e-4)
    assert not (target / "adapter_config.json").exists()
    assert json.loads((target / "scorer.json").read_text()) == {"kind": "reward"}
    card = (target / "README.md").read_text()
    assert "pipeline_tag: text-classification" in card
    assert "## Scores\n\nA reward model" in card
    with pytest.raises(ModelError, match="neither GGUF nor added tokens suit"):
        export(str(source), tmp_path / "g", gguf="f16")


def test_a_reward_model_from_an_adapter(tiny_model: Path, tmp_path: Path) -> None:
    """SFT with LoRA, and a reward model that goes on with the same adapter and a layer that scores."""
    train(
        "sft",
        tmp_path / "sft",
        write(tmp_path / "a.jsonl", [attempt(n) for n in range(4)]),
        tiny_model,
        max_steps=3,
        method="lora",
        lora_r=2,
        lr=1e-2,
    )
    rows = write(tmp_path / "p.jsonl", [pair(number) for number in range(8)])
    train("reward", tmp_path / "r", rows, tmp_path / "sft" / "model", max_steps=12, lr=1e-2, method="lora")
    config = json.loads((tmp_path / "r" / "model" / "adapter_config.json").read_text())
    assert (config["task_type"], config["base_model_name_or_path"]) == ("SEQ_CLS", str(tiny_model))
    found = Scorer(str(tmp_path / "r" / "model"), "float32").score(user("3 + 1?"), [RIGHT, WRONG])
    assert found[0] > found[1]


def test_probabilities_do_not_overflow() -> None:
    assert (probability(1e4), probability(-1e4), probability(0)) == (1.0, 0.0, 0.5)


def test_evaluate_tells_the_first_wrong_step(steps: str, verifier: str, tmp_path: Path) -> None:
    tried = [
        attempt(n, messages=user(f"{n}?"), text="Good. Bad. Good again.", meta={"first_error": 1}) for n in range(4)
    ]
    file = write(tmp_path / "a.jsonl", tried)  # type: ignore[arg-type]
    stage("evaluate", "", tmp_path / "x", input=[file], scorer=steps)
    found = json.loads((tmp_path / "x" / "metrics.json").read_text())["test"]["chain"]["verified"]
    assert found["first_error"] == {"1": 4}
    assert found["no_error_found"]["value"] == 0.0
    assert found["process_f1"]["value"] is None, "no answer is without an error"
    with pytest.raises(DataError, match="expected a process verifier"):
        stage("evaluate", "", tmp_path / "y", input=[file], scorer=verifier)
