"""Settings whose effect is not in the losses: what they do is counted; those that would do nothing are refused."""

import dataclasses
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from train_kit import metrics, pair, train, user, write

from conftest import attempt, problem
from porism import pipeline
from porism.engines.scripted import Scripted
from porism.errors import DataError, ModelError, RecipeError
from porism.models.load import fingerprint, load
from porism.records import Example, Status
from porism.train import _network, _rollouts, _trl, verifier

PROBE = 4
"""Tokens of the row on which it is tried out how a model's scores are made."""


@pytest.fixture
def rows(tmp_path: Path) -> str:
    return write(tmp_path / "rows.jsonl", [attempt(n, text=f"{n} + 1 = {n + 1}\n#### {n + 1}") for n in range(8)])


@pytest.fixture
def pairs(tmp_path: Path) -> str:
    return write(tmp_path / "pairs.jsonl", [pair(number) for number in range(8)])


@dataclasses.dataclass
class Passes:
    """Packed rows that went through the first layer: their tokens, in training or not, and the layers they met."""

    trained: list[int] = dataclasses.field(default_factory=list)
    looked: list[int] = dataclasses.field(default_factory=list)
    trainers: set[int] = dataclasses.field(default_factory=set)
    lookers: set[int] = dataclasses.field(default_factory=set)


@contextmanager
def passes() -> Iterator[Passes]:
    found = Passes()

    def count(module: Any, given: Any, out: Any) -> None:
        if type(module).__name__ == "LlamaRMSNorm" and given[0].shape[1] != PROBE:
            (found.trained if module.training else found.looked).append(given[0].shape[1])
            (found.trainers if module.training else found.lookers).add(id(module.weight))

    handle = torch.nn.modules.module.register_module_forward_hook(count)
    try:
        yield found
    finally:
        handle.remove()


NORMS = 5
"""Norms in the tiny model: two in each layer, and the last."""


def test_how_much_is_in_memory_at_once(rows: str, tiny_model: Path, tmp_path: Path) -> None:
    def trained(name: str, **settings: Any) -> list[int]:
        with passes() as found:
            train("sft", tmp_path / name, rows, tiny_model, max_steps=1, batch_size=8, **settings)
        return found.trained

    whole = trained("whole", micro_batch_size=8)
    assert len(whole) == NORMS
    assert len(trained("halves", micro_batch_size=4)) == 2 * NORMS
    parts = trained("parts", micro_batch_size=8, micro_batch_tokens=120)
    assert max(parts) <= 120 < whole[0]
    assert sum(parts) == sum(whole)
    again = trained("again", micro_batch_size=8, gradient_checkpointing=True)
    assert len(again) == NORMS + (NORMS - 1), "each layer computes its activations twice"


def test_where_the_reference_comes_from(pairs: str, tiny_model: Path, tmp_path: Path) -> None:
    def passed(name: str, **settings: Any) -> Passes:
        values = {"method": "lora", "lora_r": 2, "epochs": 2, **settings}
        with passes() as found:
            train("dpo", tmp_path / name, pairs, tiny_model, **values)
        return found

    before, off, second = (passed(kind, reference=kind) for kind in ("precomputed", "adapter-off", "model"))
    assert len(before.looked) == len(before.trained) // 2, "once, for two epochs"
    assert len(off.looked) == len(off.trained)
    assert len(second.looked) == len(second.trained)
    assert off.lookers == off.trainers
    assert not second.lookers & second.trainers


def test_answers_to_one_prompt_share_it(tiny_model: Path, tmp_path: Path) -> None:
    right = [attempt(n) for n in range(4)]
    wrong = [attempt(n, Status.WRONG, text="#### 77", sample=1) for n in range(4)]
    judged = write(tmp_path / "judged.jsonl", [*right, *wrong])

    def tokens(group: int) -> int:
        with passes() as found:
            train("verifier", tmp_path / f"{group}", judged, tiny_model, group=group, batch_size=8, micro_batch_size=8)
        return found.trained[0]

    apart, together = tokens(1), tokens(2)
    assert together < apart


def test_how_long_answers_to_an_evaluation_may_be(rows: str, tiny_model: Path, tmp_path: Path) -> None:
    asked = write(tmp_path / "q.jsonl", [problem(3)])

    def looked(tokens: int) -> int:
        values = {"max_steps": 1, "eval_problems": [asked], "eval_every": 1, "eval_max_tokens": tokens}
        with passes() as found:
            train("sft", tmp_path / f"{tokens}", rows, tiny_model, **values)
        return len(found.looked)

    assert looked(6) > looked(1)


def test_threads_are_set_and_kept(rows: str, tiny_model: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    try:
        assert train("sft", tmp_path / "x", rows, tiny_model, max_steps=1, threads=2).environment["threads"] == 2
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


def test_what_a_preference_loss_does_not_take_is_refused(pairs: str, tiny_model: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.py"
    mine.write_text("def loss(pairs, *, beta, gamma):\n    return gamma - beta * pairs.difference\n")
    for settings, complaint in (
        ({"label_smoothing": 0.1}, "label_smoothing: the loss sigmoid has no such option"),
        ({"loss": "ipo", "gamma": 1.0}, "gamma: the loss ipo has no such option"),
        ({"loss": "simpo", "reference_model": str(tiny_model)}, "reference_model: the loss simpo has no such option"),
        ({"loss": "orpo", "reference": "model"}, "reference: the loss orpo has no such option"),
        ({"loss": f"{mine}:loss", "label_smoothing": 0.1}, "label_smoothing: the loss .*mine.py:loss has no"),
    ):
        with pytest.raises(RecipeError, match=complaint):
            train("dpo", tmp_path / "x", pairs, tiny_model, **settings)
    pipeline.prepare("train", "dpo", {"input": [pairs], "loss": f"{mine}:loss", "gamma": 1.0})


def test_models_with_other_tokens_are_no_reference(pairs: str, tiny_model: Path, tmp_path: Path) -> None:
    loaded = load(str(tiny_model))
    loaded.tokenizer.add_tokens(["<new>"])
    loaded.model.save_pretrained(tmp_path / "o")
    loaded.tokenizer.save_pretrained(tmp_path / "o")
    for part in ("dpo", "kto"):
        file = pairs if part == "dpo" else write(tmp_path / "a.jsonl", [attempt(0), attempt(1)])
        with pytest.raises(
            ModelError, match=r"reference_model .*: its vocabulary of \d+ tokens .* \(such as '<new>'\)"
        ):
            train(part, tmp_path / "x", file, tiny_model, reference_model=str(tmp_path / "o"))


@pytest.mark.slow
def test_another_model_as_reference(pairs: str, tiny_model: Path, other_model: Path, tmp_path: Path) -> None:
    right = [attempt(n) for n in range(2)]
    wrong = [attempt(n, Status.WRONG, text="#### 77", sample=1) for n in range(2)]
    judged = write(tmp_path / "judged.jsonl", [*right, *wrong])
    for part, file in (("dpo", pairs), ("kto", judged)):
        for kind in ("precomputed", "model"):
            values = {"reference": kind, "reference_model": str(other_model), "max_steps": 1, "beta": 1.0}
            train(part, tmp_path / f"{part} {kind}", file, tiny_model, **values)
        first, second = (metrics(tmp_path / f"{part} {kind}")[0]["loss"] for kind in ("precomputed", "model"))
        assert first == pytest.approx(second, rel=1e-4)
        assert first != pytest.approx(0.6931 if part == "dpo" else 0.5, abs=1e-3)


@pytest.mark.slow
def test_weights_of_wanted_and_other_answers(tiny_model: Path, tmp_path: Path) -> None:
    """At the start every answer's value is 1/2, so that the loss is half of the mean weight."""
    right = [attempt(n) for n in range(3)]
    file = write(tmp_path / "r.jsonl", [*right, attempt(0, Status.WRONG, text="#### 77", sample=1)])

    def losses(name: str, **settings: Any) -> list[float]:
        train("kto", tmp_path / name, file, tiny_model, max_steps=3, micro_batch_size=4, lr=1e-2, **settings)
        return [line["loss"] for line in metrics(tmp_path / name)]

    plain = losses("plain")
    assert plain[0] == pytest.approx(0.5, abs=1e-4)
    assert losses("wanted", desirable_weight=3.0)[0] == pytest.approx(0.5 * (3 * 3 + 1) / 4, abs=1e-3)
    assert losses("others", undesirable_weight=3.0)[0] == pytest.approx(0.5 * (3 + 3) / 4, abs=1e-3)
    assert losses("beta", beta=2.0)[-1] != pytest.approx(plain[-1], rel=1e-3)


def test_how_steps_are_labelled_by_roll_outs() -> None:
    """Every second try is right; all that a roll-out is told stands in the request."""
    text = "One. And.\n\nTwo. #### 1"

    def made(**settings: Any) -> tuple[Any, list[Any]]:
        chosen = verifier.Settings(input=["x"], labels="rollouts", **settings)
        engine = Scripted(lambda request, number: f" #### {1 if number % 2 == 0 else 9}")
        return _rollouts.roll_out([attempt(0, text=text)], engine, chosen)[0], engine.requests

    soft, requests = made(rollouts=4, rollout_temperature=0.3, rollout_max_tokens=20)
    assert "".join(soft.completions) == text
    assert set(soft.labels[:-1]) == {0.5}
    assert soft.labels[-1] == 1.0
    assert {(one.n, one.sampling.temperature, one.sampling.max_tokens) for one in requests} == {(4, 0.3, 20)}
    assert [one.prefix for one in requests] == [text[: len(one.prefix)] for one in requests]
    assert set(made(hard_labels=True)[0].labels) == {1.0}
    by_paragraph = made(steps_by="paragraph")[0]
    assert by_paragraph.completions == ["One. And.\n\n", "Two. #### 1"]
    assert len(soft.completions) > 2
    assert made(seed=1)[1][0].seed != requests[0].seed


def test_who_rolls_out(tiny_model: Path, other_model: Path) -> None:
    values = {"input": ["x"], "model": str(tiny_model), "labels": "rollouts"}
    assert _rollouts._engine(verifier.Settings(**values)).model == fingerprint(str(tiny_model))
    settings = verifier.Settings(**values, rollout_model=str(other_model))
    assert _rollouts._engine(settings).model == fingerprint(str(other_model))


def test_labelled_steps_that_are_not_trained_on_are_told(tiny_model: Path, tmp_path: Path, capsys: Any) -> None:
    tries = [attempt(0, text="One. #### 1"), attempt(1, Status.WRONG, text=f"{'long ' * 12}. #### 9")]
    values = {"labels": "rollouts", "rollouts": 1, "rollout_max_tokens": 2, "max_steps": 1, "max_length": 60}
    train("verifier", tmp_path / "x", write(tmp_path / "a.jsonl", tries), tiny_model, **values)
    assert "1 of the labelled answers are not trained on; the first: longer than max_length" in capsys.readouterr().err


@pytest.mark.slow
def test_a_student_writes_a_share_of_the_batches(tiny_model: Path, other_model: Path, tmp_path: Path) -> None:
    """With a rate of almost nothing, a step differs from that without ``on_policy`` where the student has written."""
    file = write(tmp_path / "r.jsonl", [attempt(number) for number in range(16)])

    def steps(name: str, **settings: Any) -> list[dict[str, float]]:
        values = {"teacher": str(other_model), "lr": 1e-12, "batch_size": 1, "micro_batch_size": 1, "max_tokens": 6}
        train("distill", tmp_path / name, file, tiny_model, **{**values, **settings})
        return metrics(tmp_path / name)

    given = [line["divergence"] for line in steps("given")]
    some = steps("some", on_policy=0.5, sft_weight=1.0)
    own = [line["divergence"] != pytest.approx(same, rel=1e-5) for line, same in zip(some, given, strict=True)]
    assert 3 <= sum(own) <= 13
    for line, is_own in zip(some, own, strict=True):
        extra = line["loss"] - line["divergence"]
        assert extra == pytest.approx(0, abs=1e-4) if is_own else extra > 1, (
            "cross-entropy is that of the rows' answers"
        )
    short = [line["divergence"] for line in steps("short", on_policy=1.0, max_tokens=1)]
    greedy = [line["divergence"] for line in steps("greedy", on_policy=1.0, sampling_temperature=0.0)]
    whole = [line["divergence"] for line in steps("whole", on_policy=1.0)]
    assert short != whole
    assert greedy != whole


def test_only_right_answers_are_distilled(tiny_model: Path, tmp_path: Path) -> None:
    file = write(tmp_path / "r.jsonl", [attempt(0), attempt(1, Status.WRONG)])
    with pytest.raises(DataError, match="is wrong"):
        train("distill", tmp_path / "x", file, tiny_model, teacher=str(tiny_model))
    values = {"teacher": str(tiny_model), "allow_unverified": True, "max_steps": 1}
    assert train("distill", tmp_path / "y", file, tiny_model, **values).counts["records"] == 2


def test_adapters_go_on_as_they_are(rows: str, tiny_model: Path, tmp_path: Path, capsys: Any) -> None:
    train("sft", tmp_path / "a", rows, tiny_model, max_steps=1, method="lora", lora_r=2)
    assert "not used" not in capsys.readouterr().err
    start = tmp_path / "a" / "model"
    train("sft", tmp_path / "b", rows, start, max_steps=1, method="lora", lora_r=4, lora_alpha=8)
    assert f"lora_r, lora_alpha: not used, training goes on with the adapter that {start} is" in capsys.readouterr().err
    assert json.loads((tmp_path / "b" / "model" / "adapter_config.json").read_text())["r"] == 2


def test_figures_of_merged_adapters(rows: str, tiny_model: Path, tmp_path: Path) -> None:
    values = {"max_steps": 1, "method": "lora", "lora_r": 2}
    apart, merged = (
        train("sft", tmp_path / f"{merge}", rows, tiny_model, merge=merge, **values).figures for merge in (False, True)
    )
    assert apart == merged
    with pytest.raises(RecipeError, match="merge: adapters cannot be added to weights of 4 bits"):
        train("sft", tmp_path / "q", rows, tiny_model, method="qlora", merge=True)


def test_layers_that_are_named_otherwise() -> None:
    network = transformers.GPT2LMHeadModel(transformers.GPT2Config(n_layer=1, n_head=1, n_embd=8, vocab_size=16))
    with pytest.raises(ModelError, match="GPT2LMHeadModel does not name its layers as Llama"):
        _network._unfreeze(network, 1)


def test_a_template_that_refuses_a_row_names_it(tiny_model: Path, tmp_path: Path) -> None:
    loaded = load(str(tiny_model))
    loaded.tokenizer.chat_template = (
        "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}{{ m.content }}"
        "{% endfor %}"
    )
    loaded.model.save_pretrained(tmp_path / "m")
    loaded.tokenizer.save_pretrained(tmp_path / "m")
    system = [{"role": "system", "content": "s"}, *user("q")]
    good, bad = (Example(prompt=prompt, completion=pair(1).chosen) for prompt in (user("q"), system))
    with pytest.raises(ModelError, match=rf"row {bad.id}: the chat template of .* refuses the roles system, user"):
        train("sft", tmp_path / "x", write(tmp_path / "r.jsonl", [good, bad]), tmp_path / "m")
    both = dataclasses.replace(pair(1), prompt=system)
    with pytest.raises(ModelError, match=f"row {both.id}: the chat template"):
        train("dpo", tmp_path / "y", write(tmp_path / "p.jsonl", [both]), tmp_path / "m")


@pytest.mark.filterwarnings("ignore")
def test_trl_is_told_what_it_presumes_otherwise(tmp_path: Path) -> None:
    """A setting that equals transformers' default is not lost where TRL's default is another."""
    trl = pytest.importorskip("trl")
    given = _trl.given(
        transformers.TrainingArguments(output_dir=str(tmp_path), use_cpu=True, remove_unused_columns=False)
    )
    known = {"gradient_checkpointing", "train_sampling_strategy"}  # another name of one that is given; KTO's own order
    plain = {one.name: one.default for one in dataclasses.fields(transformers.TrainingArguments)}
    for kind in (trl.SFTConfig, trl.RewardConfig, trl.DPOConfig, trl.KTOConfig, trl.GRPOConfig, trl.RLOOConfig):
        others = {one.name for one in dataclasses.fields(kind) if one.name in plain and one.default != plain[one.name]}
        assert others - known <= given.keys(), kind


@pytest.mark.filterwarnings("ignore")
def test_trl_trains_adapters_at_the_rate_that_is_given(pairs: str, tiny_model: Path, tmp_path: Path) -> None:
    pytest.importorskip("trl")
    values = {"backend": "trl", "method": "lora", "lora_r": 2, "schedule": "constant_with_warmup", "warmup": 0.0}
    train("dpo", tmp_path / "x", pairs, tiny_model, max_steps=2, lr=5e-5, **values)
    assert [line["learning_rate"] for line in metrics(tmp_path / "x")] == [5e-5, 5e-5]
    assert {path.name for path in (tmp_path / "x" / "model").iterdir()} == {
        "README.md", "adapter_config.json", "adapter_model.safetensors", "chat_template.jinja", "tokenizer.json",
        "tokenizer_config.json",
    }, "and not the copy of the adapter that TRL takes as the reference"  # fmt: skip
    assert not (tmp_path / "x" / "checkpoints").exists()
