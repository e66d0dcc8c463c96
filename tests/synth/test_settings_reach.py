"""Every setting of generation reaches the engine: what it was asked is held against what was set."""

import json
from pathlib import Path
from typing import Any

import pytest
from synth_kit import synth

from porism import pipeline
from porism.errors import RecipeError
from porism.files import to_line
from porism.models.load import fingerprint
from porism.records import Concepts, Problem, content_id, to_row
from porism.synth import concepts_generate

ENGINE = '''
import dataclasses
import json

from porism.engines.scripted import Scripted

RATINGS = {name: "Perfect" for name in ("format", "accuracy", "difficulty", "coverage", "solvability")}


def start(model: str, *, log: str, tokenizer: str = "") -> Scripted:
    """An engine that writes down what it is asked."""

    def say(request, number):
        asked = request.messages[-1]["content"] if request.messages else ""
        told = {
            **dataclasses.asdict(request.sampling),
            "n": request.n, "seed": request.seed, "asked": asked, "model": model,
            "roles": [message["role"] for message in request.messages],
        }
        if number == 0:
            with open(log, "a", encoding="utf-8") as file:
                file.write(json.dumps(told) + "\\n")
        if not request.messages:
            heading = len(request.ids) and not request.sampling.logit_bias and request.seed % 2
            return f"# About {request.seed % 97}" if heading else f"What is {request.seed % 97} + 1?"
        if asked.startswith("You analyse problems"):
            return '{"concepts": ["sums"], "level": "primary"}'
        if asked.startswith("Write one pro"):
            return "What is 2 + 3?" if "BEGIN PROBLEM" in request.prefix else "Because."
        if asked.startswith("You judge"):
            return json.dumps(RATINGS)
        if asked.startswith("Here are concepts"):
            return "Because."
        return "It is \\\\boxed{5}."

    return Scripted(say)
'''


def asked(folder: Path, part: str, **values: Any) -> list[dict[str, Any]]:
    """What the engine was asked while a stage ran."""
    (folder / "log_engine.py").write_text(ENGINE)
    log = folder / "log.jsonl"
    log.unlink(missing_ok=True)
    synth(part, folder / "out", engine=f"{folder / 'log_engine.py'}:start", log=str(log), **values)
    return [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()]


def told(found: list[dict[str, Any]], *names: str) -> set[tuple[Any, ...]]:
    """The different values of some settings."""
    return {tuple(one[name] for name in names) for one in found}


def write(folder: Path, record: Any) -> list[str]:
    file = folder / "in.jsonl"
    file.write_bytes(to_line(to_row(record)))
    return [str(file)]


SUM = Problem(question="What is 2 + 3?", answer="5", kind="math", meta={"concepts": ["sums"], "level": "primary"})
DRAW = Concepts(concepts=["sums"], level="primary", domain="math")


def test_instructions_and_responses_of_magpie(tmp_path: Path) -> None:
    given: dict[str, Any] = {"family": "qwen3", "domains": ["algebra"], "total": 4, "min_chars": 5}
    ins = {"ins_temp": 1.3, "ins_top_p": 0.9, "ins_top_k": 7, "ins_min_p": 0.05, "ins_max_tokens": 33}
    res = {"responses": 3, "res_temp": 0.2, "res_top_p": 0.8, "res_max_tokens": 44, "res_system": "Be brief."}
    found = asked(tmp_path, "magpie", **given, **ins, **res, res_prompt="boxed")
    raw, chats = ([one for one in found if bool(one["roles"]) == is_chat] for is_chat in (False, True))
    names = ("temperature", "top_p", "top_k", "min_p", "max_tokens", "n")
    assert told(raw, *names) == {(1.3, 0.9, 7, 0.05, 33, 1)}
    assert told(chats, "temperature", "top_p", "max_tokens", "n") == {(0.2, 0.8, 44, 3)}
    assert all(one["roles"] == ["system", "user"] and "boxed" in one["asked"] for one in chats)
    other = asked(tmp_path, "magpie", **given, **ins, **res, seed=1)
    assert not told(raw, "seed") & told([one for one in other if not one["roles"]], "seed")


def test_headings_are_biased_against_at_the_first_token_alone(tmp_path: Path, tiny_model: Path) -> None:
    given: dict[str, Any] = {
        "tokenizer": str(tiny_model),
        "domains": ["none"],
        "total": 12,
        "responses": 0,
        "min_chars": 5,
    }
    found = asked(tmp_path, "magpie", **given)
    biased = [one for one in found if one["logit_bias"]]
    assert biased
    assert told(biased, "max_tokens") == {(1,)}
    assert {value for one in biased for _, value in one["logit_bias"]} == {-100.0}
    assert not any(one["logit_bias"] for one in asked(tmp_path, "magpie", **given, headings=True))


def test_trajectories(tmp_path: Path) -> None:
    found = asked(
        tmp_path, "trajectories", input=write(tmp_path, SUM), samples=5, temperature=0.6, top_p=0.7, max_tokens=21,
        prompt="boxed", system="Be brief.",
    )  # fmt: skip
    assert told(found, "n", "temperature", "top_p", "max_tokens") == {(5, 0.6, 0.7, 21)}
    assert found[0]["roles"] == ["system", "user"]
    assert "boxed" in found[0]["asked"]


def test_extraction(tmp_path: Path) -> None:
    given: dict[str, Any] = {"input": write(tmp_path, SUM), "temperature": 0.4, "max_tokens": 55}
    (found,) = asked(tmp_path, "concepts-extract", **given, count=3, longest=30)
    assert (found["temperature"], found["max_tokens"]) == (0.4, 55)
    schema = json.loads(found["json_schema"])["properties"]
    assert (schema["concepts"]["minItems"], schema["concepts"]["items"]["maxLength"]) == (3, 30)
    assert "primary" in schema["level"]["enum"]
    (code,) = asked(tmp_path, "concepts-extract", **given, domain="code", constrained=False, allow_empty=True)
    assert code["json_schema"] == ""
    assert "introductory" in code["asked"]


def test_generation_judges_and_solutions(tmp_path: Path) -> None:
    given: dict[str, Any] = {"input": write(tmp_path, DRAW), "temperature": 0.3, "top_p": 0.9}
    lengths = {"rationale_tokens": 41, "problem_tokens": 42, "judge_tokens": 43, "solution_tokens": 44}
    found = asked(
        tmp_path, "concepts-generate", **given, **lengths, judge_temp=0.7, solutions=3, solution_temp=0.9
    )  # fmt: skip
    kinds = [
        [one for one in found if one["asked"].startswith(begin)]
        for begin in ("Write one pro", "You judge", "What is 2")
    ]
    assert told(kinds[0], "temperature", "top_p", "max_tokens") == {(0.3, 0.9, 41), (0.3, 0.9, 42)}
    assert told(kinds[1], "temperature", "max_tokens") == {(0.7, 43)}
    assert len(kinds[1]) == len(told(kinds[1], "seed")) == 2, "judges that are one model differ by their seeds"
    assert all(one["json_schema"] for one in kinds[1])
    assert told(kinds[2], "n", "temperature", "max_tokens") == {(3, 0.9, 44)}
    free = asked(tmp_path, "concepts-generate", **given, constrained=False, solutions=0)
    assert not any(one["json_schema"] for one in free)


def test_rationales_of_the_posterior(tmp_path: Path) -> None:
    found = asked(
        tmp_path, "concepts-rationales", input=write(tmp_path, SUM), model="p", posterior="q", samples=4,
        temperature=0.9, rationale_tokens=31,
    )  # fmt: skip
    assert told(found, "model", "n", "temperature", "max_tokens") == {("q", 4, 0.9, 31)}


def test_proposals_and_solutions_of_test_cases(tmp_path: Path, tier: str) -> None:
    del tier
    problem = Problem(question="Read two numbers.", answer="", kind="code")
    given: dict[str, Any] = {"input": write(tmp_path, problem), "allow_empty": True, "focuses": ["edge", "complex"]}
    found = asked(
        tmp_path, "testcases", **given, rounds=3, temperature=0.5, max_tokens=61, solutions=2, solution_temp=0.4,
        solution_tokens=62,
    )  # fmt: skip
    proposals, solutions = (
        [one for one in found if one["asked"].startswith(begin)] for begin in ("You test", "Read two")
    )
    assert len(proposals) == len(told(proposals, "seed")) == 6
    assert sum("an edge case" in one["asked"] for one in proposals) == 3
    assert told(proposals, "temperature", "max_tokens") == {(0.5, 61)}
    assert all(one["json_schema"] for one in proposals)
    assert told(solutions, "n", "temperature", "max_tokens") == {(2, 0.4, 62)}
    free = asked(tmp_path, "testcases", **given, rounds=1, solutions=0, constrained=False)
    assert not any(one["json_schema"] for one in free)


@pytest.mark.parametrize(
    ("part", "values", "said"),
    [
        ("trajectories", {"temperature": 0.0}, "all solutions would be the same"),
        ("concepts-rationales", {"temperature": 0.0}, "all rationales would be the same"),
        ("concepts-generate", {"temperature": 0.0, "samples": 2}, "all problems of a set would be the same"),
        ("testcases", {"temperature": 0.0}, "all rounds would propose the same"),
        ("testcases", {"sandbox": "box"}, "there is no 'box'"),
        ("respond", {"sandbox": "box"}, "there is no 'box'"),
        ("concepts-sample", {"levels": {"primary": float("inf")}}, "expected finite weights"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_runs(
    tmp_path: Path, part: str, values: dict[str, Any], said: str
) -> None:
    with pytest.raises(RecipeError, match=said):
        pipeline.prepare("synth", part, {"input": write(tmp_path, SUM), **values})


def test_an_adapter_of_the_judges_is_among_the_inputs(tmp_path: Path, tiny_model: Path) -> None:
    values = {"judges": ["base", "base"], "judge_engine": "vllm", "judge_options": {"adapter": str(tiny_model)}}
    given = concepts_generate.Settings(input=write(tmp_path, DRAW), engine="scripted", solver="base", **values)
    found = concepts_generate.inputs(given)
    assert found["judges"] == content_id([fingerprint(str(tiny_model))] * 2)
    assert found["solver"] == fingerprint(str(tiny_model))
