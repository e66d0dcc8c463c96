"""Asking as another harness asks: text without a chat template, its stops, its limit, its draws of examples."""

import json
from pathlib import Path
from typing import Any

import pytest

from conftest import lines
from porism import pipeline, store, strategies
from porism.engines import Request, Sampling
from porism.engines.scripted import Scripted
from porism.errors import RecipeError
from porism.prompts import profiles
from porism.records import Problem, to_row


def problems(count: int, word: str = "test") -> list[Problem]:
    return [
        Problem(
            question=f"{word} {n}?",
            answer=str(n),
            solution=f"so {n}",
            meta={"annotated": f"so <<{n}={n}>>{n}\n#### {n}"},
        )
        for n in range(count)
    ]


def write(path: Path, some: list[Problem]) -> str:
    path.write_text("".join(json.dumps(to_row(one)) + "\n" for one in some))
    return str(path)


def asked(profile: str, some: list[Problem], chosen: list[Problem], **settings: Any) -> tuple[list[Request], Any]:
    kind = pipeline.settings_class("solve", "harness", {})
    built = kind(input=["x"], profile=profile, **settings)
    engine = Scripted({}, default="#### 1")
    solve = strategies.bind("harness", built, some)
    tries = solve(chosen, engine, Sampling(max_tokens=7, stop=("x",)))
    return engine.requests, tries


def test_a_text_without_a_template(tmp_path: Path) -> None:
    train = write(tmp_path / "train.jsonl", problems(20, "train"))
    some = problems(6)
    requests, tries = asked("lm-eval/gsm8k@3", some, [some[4], some[1]], examples=train)
    known = profiles.load("lm-eval/gsm8k")
    drawn = known.drawn(problems(20, "train"), 6)
    assert [one.text for one in requests] == [known.text(some[4], drawn[4]), known.text(some[1], drawn[1])]
    assert "<<" in requests[0].text, "the examples are the data set's own solutions"
    assert all(not one.messages for one in requests)
    assert requests[0].sampling == Sampling(max_tokens=256, stop=("Question:", "</s>", "<|im_end|>"))
    attempt = tries[0][0]
    assert attempt.meta == {"asked_by": "lm-eval/gsm8k@3", "asked_by_hash": known.hash, "template": False}
    assert attempt.messages[0]["content"] == requests[0].text


def test_turns_of_a_chat() -> None:
    some = problems(1)
    requests, tries = asked("lm-eval/gsm8k_cot_llama@4", some, some, samples=2)
    assert [one["role"] for one in requests[0].messages] == ["user", "assistant"] * 8 + ["user"]
    assert not requests[0].text
    assert len(tries[0]) == 2
    assert tries[0][0].meta["template"] is True


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({}, "set profile to the one to ask by"),
        ({"profile": "strict"}, "set profile to the one to ask by"),
        ({"profile": "lm-eval/gsm8k"}, "Set examples"),
        ({"profile": "lm-eval/gsm8k_cot", "examples": "x.jsonl"}, "has examples of its own"),
        ({"profile": "lm-eval/gsm8k_cot", "stop": ["x"]}, "Leave out stop"),
        ({"profile": "lm-eval/none"}, "no profile 'lm-eval/none'"),
    ],
)
def test_what_does_not_fit_is_told_first(settings: dict[str, Any], match: str) -> None:
    with pytest.raises(RecipeError, match=match):
        pipeline.prepare("solve", "harness", {"input": ["x"], **settings})


def test_the_stage_scores_as_the_harness(tmp_path: Path) -> None:
    write(tmp_path / "p.jsonl", problems(5))
    values = {
        "input": [str(tmp_path / "p.jsonl")], "profile": "lm-eval/gsm8k_cot", "engine": "scripted",
        "default": "The answer is 3.",
    }  # fmt: skip
    pipeline.execute(pipeline.prepare("solve", "harness", values), tmp_path / "out")
    rows = lines(tmp_path / "out" / "records.jsonl")
    assert [row["verdict"]["status"] for row in rows] == ["wrong"] * 3 + ["correct", "wrong"]
    assert {row["verdict"]["profile"] for row in rows} == {"strict_cot@3"}
    manifest = store.Manifest.load(tmp_path / "out" / "manifest.json")
    assert manifest.key.inputs["profile"] == profiles.load("lm-eval/gsm8k_cot").hash
