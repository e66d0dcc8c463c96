"""Every training method on the tiny model: what it learns, which settings reach it, what it refuses."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from train_kit import assistant, metrics, pair, train, user, write

from conftest import attempt
from porism import store
from porism.errors import DataError, ModelError, RecipeError
from porism.graders import Scorer
from porism.models.load import load
from porism.records import Example, Message, Pair, Status, Stepwise


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    return write(tmp_path / "pairs.jsonl", [pair(number) for number in range(8)])


@pytest.fixture
def judged(tmp_path: Path) -> str:
    """Right and wrong answers to each of four questions."""
    records = []
    for number in range(4):
        records.append(attempt(number))
        records.append(attempt(number, Status.WRONG, text="#### 77", sample=1))
    return write(tmp_path / "judged.jsonl", records)


def test_preferences_are_learnt(pairs: str, tiny_model: Path, tmp_path: Path) -> None:
    train("dpo", tmp_path / "x", pairs, tiny_model, max_steps=12, lr=3e-3, beta=1.0)
    lines = metrics(tmp_path / "x")
    assert lines[0]["loss"] == pytest.approx(0.6931, abs=1e-3)  # the policy is the reference
    assert lines[0]["reward_chosen"] == pytest.approx(0, abs=1e-4)
    assert lines[-1]["loss"] < 0.3
    assert lines[-1]["accuracy"] == 1
    assert lines[-1]["reward_chosen"] > lines[-1]["reward_rejected"]
    assert load(str(tmp_path / "x" / "model")).model.num_parameters() == load(str(tiny_model)).model.num_parameters()


@pytest.mark.slow
def test_all_references_are_the_same(pairs: str, tiny_model: Path, tmp_path: Path) -> None:
    def losses(name: str, **settings: Any) -> list[float]:
        values = {"max_steps": 4, "method": "lora", "lora_r": 2, "beta": 1.0, "lr": 1e-2, **settings}
        train("dpo", tmp_path / name, pairs, tiny_model, **values)
        return [line["loss"] for line in metrics(tmp_path / name)]

    base = losses("before")
    assert losses("off", reference="adapter-off") == pytest.approx(base, rel=1e-4)
    assert losses("second", reference="model") == pytest.approx(base, rel=1e-4)
    assert losses("named", reference_model=str(tiny_model)) == pytest.approx(base, rel=1e-4)
    for settings in ({"beta": 0.1}, {"loss": "ipo"}, {"sft_weight": 1.0}, {"loss": "simpo"}):
        assert losses(str(settings), **settings) != pytest.approx(base, rel=1e-3)
    for one, other in (
        ({"loss": "simpo", "gamma": 0.0}, {"loss": "simpo", "gamma": 2.0}),
        ({"loss": "robust"}, {"loss": "robust", "label_smoothing": 0.3}),
    ):
        assert losses(f"{one}1", **one) != pytest.approx(losses(f"{other}2", **other), rel=1e-3)
    with pytest.raises(RecipeError, match="adapter-off: needs adapters"):
        losses("y", method="full", reference="adapter-off")


def test_a_loss_of_ones_own(pairs: str, tiny_model: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text("REFERENCE = False\ndef loss(pairs, *, beta):\n    return beta * (pairs.rejected - pairs.chosen)\n")
    train("dpo", tmp_path / "x", pairs, tiny_model, max_steps=3, loss=f"{file}:loss")
    assert metrics(tmp_path / "x")[-1]["loss"] < metrics(tmp_path / "x")[0]["loss"]
    with pytest.raises(RecipeError, match="no preference loss is called 'sigmoyd'. Did you mean 'sigmoid'"):
        train("dpo", tmp_path / "y", pairs, tiny_model, loss="sigmoyd")


def test_unfit_pairs(tiny_model: Path, tmp_path: Path) -> None:
    same = Pair(prompt=user("a?"), chosen=assistant("b"), rejected=assistant("b"))
    empty = Pair(prompt=user("a?"), chosen=assistant("b"), rejected=assistant(" "))
    long = Pair(prompt=user("a?"), chosen=assistant("b" * 300), rejected=assistant("c"))
    rows = write(tmp_path / "p.jsonl", [same, empty, long, pair(1)])
    manifest = train("dpo", tmp_path / "x", rows, tiny_model, max_steps=1, max_length=200)
    assert manifest.counts == {"records": 1, "dropped": 3}
    reasons = [row["reason"] for _, row in store.rows(tmp_path / "x" / "dropped.jsonl")]
    assert reasons[:2] == ["both answers are the same", "rejected: empty completion"]
    assert reasons[2].startswith("chosen: longer than max_length")
    with pytest.raises(DataError, match="none of 1 rows can be trained on"):
        train("dpo", tmp_path / "y", write(tmp_path / "e.jsonl", [same]), tiny_model)
    single = write(tmp_path / "w.jsonl", [Example(prompt=user("a?"), completion=assistant("b"))])
    with pytest.raises(DataError, match="expected pair records, got example"):
        train("dpo", tmp_path / "z", single, tiny_model)


def test_kto_learns_from_single_answers(judged: str, tiny_model: Path, tmp_path: Path, capsys: Any) -> None:
    train("kto", tmp_path / "x", judged, tiny_model, max_steps=10, lr=3e-3, beta=1.0)
    lines = metrics(tmp_path / "x")
    assert lines[0]["loss"] == pytest.approx(0.5, abs=1e-3)
    assert lines[-1]["loss"] < 0.35
    assert lines[-1]["reward_wanted"] > 0 > lines[-1]["reward_unwanted"]
    train("kto", tmp_path / "w", judged, tiny_model, max_steps=1, undesirable_weight=3.0)
    assert "would make both count alike" in capsys.readouterr().err
    bare = Example(prompt=user("a?"), completion=assistant("b"))
    with pytest.raises(DataError, match="has no 'label'"):
        train("kto", tmp_path / "y", write(tmp_path / "b.jsonl", [bare]), tiny_model)
    alone = Example(prompt=user("a?"), completion=assistant("b"), label=True)
    with pytest.raises(DataError, match="two different prompts"):
        train("kto", tmp_path / "z", write(tmp_path / "a.jsonl", [alone]), tiny_model)


def test_a_reward_model_is_trained_and_used(pairs: str, tiny_model: Path, tmp_path: Path) -> None:
    train("reward", tmp_path / "x", pairs, tiny_model, max_steps=10, lr=3e-3)
    assert metrics(tmp_path / "x")[-1]["accuracy"] == 1
    scorer = Scorer(str(tmp_path / "x" / "model"), "float32")
    both = scorer.score(user("3 + 1?"), ["It is 4.", "No idea."])
    assert both[0] > both[1]
    assert scorer.score(user("3 + 1?"), ["No idea."])[0] == pytest.approx(both[1], rel=1e-4)
    with pytest.raises(ModelError, match="expected a reward model or a verifier"):
        Scorer(str(tiny_model))

    train("reward", tmp_path / "l", pairs, tiny_model, max_steps=10, lr=1e-2, method="lora", lora_r=2)
    assert json.loads((tmp_path / "l" / "model" / "adapter_config.json").read_text())["task_type"] == "SEQ_CLS"
    found = Scorer(str(tmp_path / "l" / "model"), "float32").score(user("3 + 1?"), ["It is 4.", "No idea."])
    assert found[0] > found[1]


def test_margins_and_centring_reach_the_loss(tiny_model: Path, tmp_path: Path) -> None:
    rows = write(tmp_path / "p.jsonl", [pair(number, margin=3.0) for number in range(4)])

    def first(name: str, **settings: Any) -> float:
        train("reward", tmp_path / name, rows, tiny_model, max_steps=1, **settings)
        return metrics(tmp_path / name)[0]["loss"]

    base = first("base")
    assert first("margin", use_margin=True) > base + 1
    assert first("centre", centre=10.0) > base


def test_an_outcome_verifier_tells_right_from_wrong(judged: str, tiny_model: Path, tmp_path: Path) -> None:
    train("verifier", tmp_path / "x", judged, tiny_model, max_steps=12, lr=3e-3)
    assert metrics(tmp_path / "x")[-1]["accuracy"] == 1
    right, wrong = Scorer(str(tmp_path / "x" / "model"), "float32").score(user("What is 2 + 1?"), ["#### 3", "#### 77"])
    assert right > 0 > wrong

    def first(name: str, group: int) -> float:
        train("verifier", tmp_path / name, judged, tiny_model, max_steps=1, group=group, batch_size=8)
        return metrics(tmp_path / name)[0]["loss"]

    assert first("together", 2) == pytest.approx(first("apart", 1), rel=1e-4)
    same = write(tmp_path / "s.jsonl", [attempt(0), attempt(1)])
    with pytest.raises(DataError, match="all 2 answers have the same label"):
        train("verifier", tmp_path / "y", same, tiny_model)


def test_a_process_verifier_judges_every_step(tiny_model: Path, tmp_path: Path) -> None:
    rows = [
        Stepwise(prompt=user(f"{n}?"), completions=["Good. ", "Bad. ", "Good again."], labels=[1, 0, 1])
        for n in range(6)
    ]
    uneven = Stepwise(prompt=user("?"), completions=["a"], labels=[1, 0])
    file = write(tmp_path / "s.jsonl", [*rows, uneven])
    manifest = train("verifier", tmp_path / "x", file, tiny_model, labels="steps", max_steps=15, lr=3e-3)
    assert manifest.counts == {"records": 6, "dropped": 1}
    scores = Scorer(str(tmp_path / "x" / "model"), "float32").steps(user("2?"), [["Good. ", "Bad. ", "Good again."]])
    assert [score > 0 for score in scores[0]] == [True, False, True]


def test_steps_are_labelled_by_roll_outs(tiny_model: Path, tmp_path: Path) -> None:
    texts = ["First 1. Then 2. #### 1", "Only this. #### 9"]
    tries = [attempt(0, text=texts[0]), attempt(1, Status.WRONG, text=texts[1])]
    rows = write(tmp_path / "a.jsonl", tries)
    train(
        "verifier", tmp_path / "x", rows, tiny_model, labels="rollouts", rollouts=2, rollout_max_tokens=4, max_steps=1
    )
    made = [row for _, row in store.rows(tmp_path / "x" / "records.jsonl")]
    assert ["".join(row["completions"]) for row in made] == texts
    assert made[0]["labels"][-1] == 1.0
    assert made[1]["labels"][-1] == 0.0
    assert all(label in (0.0, 0.5, 1.0) for row in made for label in row["labels"])


@pytest.mark.slow
def test_a_student_comes_near_its_teacher(tiny_model: Path, tmp_path: Path) -> None:
    teacher, student = tmp_path / "teacher", load(str(tiny_model))
    torch.manual_seed(2)
    with torch.no_grad():
        for parameter in student.model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.1)
    student.model.save_pretrained(teacher)
    student.tokenizer.save_pretrained(teacher)
    rows = write(tmp_path / "r.jsonl", [attempt(number) for number in range(8)])

    def divergences(name: str, **settings: Any) -> list[float]:
        values = {"teacher": str(teacher), "max_steps": 8, "lr": 5e-3, **settings}
        train("distill", tmp_path / name, rows, tiny_model, **values)
        return [line["divergence"] for line in metrics(tmp_path / name)]

    found = divergences("js")
    assert found[-1] < 0.8 * found[0]
    forward, reverse = divergences("f", divergence=0.0, max_steps=1), divergences("r", divergence=1.0, max_steps=1)
    assert len({round(one[0], 5) for one in (found, forward, reverse)}) == 3
    assert divergences("hot", temperature=4.0, max_steps=1)[0] < found[0]
    assert metrics(tmp_path / "hot")[0]["loss"] == pytest.approx(metrics(tmp_path / "hot")[0]["divergence"])
    divergences("sft", sft_weight=1.0, max_steps=1)
    assert metrics(tmp_path / "sft")[0]["loss"] > found[0] + 1
    own = divergences("own", on_policy=1.0, max_tokens=5, max_steps=2)
    assert own != found[:2]
    assert divergences("own again", on_policy=1.0, max_tokens=5, max_steps=2) == own


def test_a_teacher_with_other_tokens_is_refused(tiny_model: Path, tmp_path: Path) -> None:
    loaded = load(str(tiny_model))
    loaded.tokenizer.add_tokens(["<new>"])
    loaded.model.save_pretrained(tmp_path / "t")
    loaded.tokenizer.save_pretrained(tmp_path / "t")
    rows = write(tmp_path / "r.jsonl", [attempt(0)])
    with pytest.raises(
        ModelError, match=r"its vocabulary of \d+ tokens is not that of the model .* \(such as '<new>'\)"
    ):
        train("distill", tmp_path / "x", rows, tiny_model, teacher=str(tmp_path / "t"))


def test_other_adapters(tiny_model: Path, tmp_path: Path) -> None:
    rows = write(tmp_path / "r.jsonl", [attempt(number) for number in range(4)])

    def adapter(name: str, **settings: Any) -> dict[str, Any]:
        train("sft", tmp_path / name, rows, tiny_model, max_steps=1, **settings)
        load(str(tmp_path / name / "model"))
        return json.loads((tmp_path / name / "model" / "adapter_config.json").read_text())  # type: ignore[no-any-return]

    assert adapter("dora", method="lora", lora_kind="dora", lora_r=2)["use_dora"]
    assert adapter("rs", method="lora", lora_kind="rslora", lora_r=2)["use_rslora"]
    ia3 = {"peft_type": "IA3", "target_modules": ["k_proj"], "feedforward_modules": []}
    assert adapter("ia3", method="peft", peft=ia3)["peft_type"] == "IA3"
    for settings, complaint in (
        ({"method": "peft"}, "belong together"),
        ({"method": "peft", "peft": {"peft_type": "NONE"}}, "peft {'peft_type': 'NONE'}"),
        ({"method": "peft", "peft": {"r": 3}}, "expected 'peft_type'"),
    ):
        with pytest.raises((RecipeError, ModelError), match=complaint):
            train("sft", tmp_path / "y", rows, tiny_model, **settings)


def test_a_chat_of_several_turns(tiny_model: Path, tmp_path: Path) -> None:
    chat: list[Message] = [*user("a"), *assistant("bb"), *user("ccc"), *assistant("dddd")]
    file = tmp_path / "c.json"
    file.write_text(json.dumps([{"messages": chat}]))
    manifest = train("sft", tmp_path / "x", str(file), tiny_model, max_steps=1)
    assert manifest.counts["records"] == 1
