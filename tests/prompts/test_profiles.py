"""Profiles of other harnesses: their prompts are those of the originals, to the byte."""

import ast
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from conftest import lines
from porism.errors import DataError, RecipeError
from porism.graders import PROFILES, check, profile_of
from porism.problems import gsm8k, math
from porism.prompts import profiles
from porism.records import Problem

COUNT = 40


def gsm8k_problems(data: Path, split: str) -> list[Problem]:
    return [one for one in gsm8k.load(split, path=str(data)) if isinstance(one, Problem)]


def task_of(config: dict[str, Any], splits: dict[str, list[dict[str, Any]]]) -> Any:
    """lm-eval's own task, on local rows."""
    import datasets
    from lm_eval.api.task import ConfigurableTask

    made = datasets.DatasetDict({name: datasets.Dataset.from_list(rows) for name, rows in splits.items()})
    config = {name: value for name, value in config.items() if name not in ("include", "tag")}
    task = ConfigurableTask(config={**config, "custom_dataset": lambda **_: made})
    task.set_fewshot_seed(profiles.SEED)
    return task


def yaml_of(name: str) -> dict[str, Any]:
    import lm_eval
    import yaml

    file = Path(lm_eval.__file__).parent / "tasks" / "gsm8k" / f"{name}.yaml"
    found: dict[str, Any] = yaml.safe_load(file.read_text())
    return found


@pytest.fixture(scope="module")
def _lm_eval() -> None:
    pytest.importorskip("lm_eval")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("_lm_eval")
@pytest.mark.parametrize("name", ["gsm8k", "gsm8k-cot", "gsm8k-cot-zeroshot", "gsm8k-cot-llama"])
def test_gsm8k_as_lm_eval_renders_it(data: Path, name: str) -> None:
    config = yaml_of(name)
    task = task_of(config, {part: lines(data / f"gsm8k_{part}.jsonl") for part in ("train", "test")})
    known = profiles.load(f"lm-eval/{config['task']}@{config['metadata']['version']:g}")
    assert known.shots == config["num_fewshot"]
    assert list(known.stop) == config["generation_kwargs"]["until"]
    assert [one["name"] for one in config["filter_list"]] == list(known.scores)
    for score, listed in zip(known.scores.values(), config["filter_list"], strict=True):
        pattern = PROFILES[score].pattern
        assert pattern is not None
        assert pattern.pattern == listed["filter"][0]["regex_pattern"]

    as_chat: dict[str, Any] = {}
    if known.chat == "turns":
        render: Callable[..., str] = lambda turns, **_: json.dumps(turns)  # noqa: E731
        as_chat = {"apply_chat_template": True, "fewshot_as_multiturn": True, "chat_template": render}
    problems = gsm8k_problems(data, "test")[:COUNT]
    drawn = known.drawn(gsm8k_problems(data, "train"), COUNT) if known.draws else [None] * COUNT
    for problem, doc, shown in zip(problems, task.test_docs(), drawn, strict=False):
        theirs = task.fewshot_context(doc, num_fewshot=config["num_fewshot"], **as_chat)
        ours = json.dumps(known.messages(problem, shown)) if as_chat else known.text(problem, shown)
        assert ours == theirs


def minerva() -> dict[str, Any]:
    """The functions of lm-eval's minerva_math that need neither sympy's LaTeX nor its pinned antlr."""
    import re

    import lm_eval

    file = Path(lm_eval.__file__).parent / "tasks" / "minerva_math" / "utils.py"
    wanted = ("doc_to_text", "list_fewshot_samples", "normalize_final_answer", "get_unnormalized_answer",
              "SUBSTITUTIONS", "REMOVED_EXPRESSIONS")  # fmt: skip
    tree = ast.parse(file.read_text())
    tree.body = [
        node
        for node in tree.body
        if getattr(node, "name", "") in wanted
        or (isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") in wanted)
    ]
    found: dict[str, Any] = {"re": re}
    exec(compile(tree, str(file), "exec"), found)  # noqa: S102 (lm-eval's own source)
    return found


@pytest.mark.filterwarnings("ignore")
@pytest.mark.usefixtures("_lm_eval")
def test_math_as_lm_eval_renders_it(data: Path) -> None:
    theirs = minerva()
    rows = lines(data / "math500_test.jsonl")[:COUNT]
    config = {
        "task": "minerva_math_algebra",
        "output_type": "generate_until",
        "training_split": "train",
        "test_split": "test",
        "doc_to_text": theirs["doc_to_text"],
        "doc_to_target": "{{answer if few_shot is undefined else solution}}",
        "num_fewshot": 4,
        "fewshot_config": {"sampler": "first_n", "samples": theirs["list_fewshot_samples"]},
    }
    plain = [{name: row[name] for name in ("problem", "solution", "answer")} for row in rows]
    task = task_of(config, {"train": plain, "test": plain})
    known = profiles.load("lm-eval/minerva_math@3.1")
    problems = [one for one in math.load("test", path=str(data), subset="math500") if isinstance(one, Problem)]
    for problem, doc in zip(problems, task.test_docs(), strict=False):
        assert known.text(problem) == task.fewshot_context(doc, num_fewshot=4)


@pytest.mark.usefixtures("_lm_eval")
def test_minervas_answers_are_read_and_spelt_as_lm_eval_does(data: Path) -> None:
    from porism.graders import _minerva

    theirs = minerva()
    answers = [row["answer"] for row in lines(data / "math500_test.jsonl")]
    odd = ["$x=5$", "an apple", r"\frac12", r"\sqrt3", r"\sqrt[3]8", "100,000", "0,1", r"2\pi cm", r"\left(1\right)",
           r"\text{east}", "12 square feet", "$5$. Or $6$", "=", "",
           r"\boxed{3}", "5 dollars", r"90^\circ", "1,234,567"]  # fmt: skip
    for answer in (*answers, *odd):
        assert _minerva.normal(answer) == theirs["normalize_final_answer"](answer), answer
        text = f"So.\nFinal Answer: The final answer is ${answer}$. I hope it is correct.\n\nProblem:"
        found = _minerva.ANSWER.findall(text + _minerva.ENDING)
        assert (found[0].strip() if found else "[invalidanswer]") == theirs["get_unnormalized_answer"](text)
    ended = "Final Answer: The final answer is $7$. "
    assert theirs["get_unnormalized_answer"](ended) == "$7$"
    assert check(gold="7", text=ended, kind="math", profile="minerva").answer == "$7$"


def test_minervas_score(data: Path) -> None:
    rows = lines(data / "math500_test.jsonl")
    for row in rows[::5]:
        text = f"Final Answer: The final answer is ${row['answer']}$. I hope it is correct."
        assert check(gold=row["answer"], text=text, kind="math", profile="minerva").correct, row["answer"]
    told = "Final Answer: The final answer is $0.5$. I hope it is correct."
    assert check(gold=r"\frac{1}{2}", text=told, kind="math", profile="lm-eval/minerva_math").correct
    assert not check(gold="3", text=told, kind="math", profile="minerva").correct
    assert check(gold="3", text="It is 3.", kind="math", profile="minerva").status == "unparsed"


def test_qwens_prompt() -> None:
    """As construct_prompt of Qwen2.5-Math's evaluation/utils.py writes it for prompt type qwen-boxed."""
    made = profiles.load("qwen/boxed@1").text(Problem(question="What is {1} + 1?", answer="2"))
    assert made == (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\nWhat is {1} + 1?\n"
        "Please reason step by step, and put your final answer within \\boxed{}.<|im_end|>\n<|im_start|>assistant\n"
    )


def test_lightevals_prompt() -> None:
    """As the function gsm8k of lighteval's default_prompts.py writes it."""
    made = profiles.load("lighteval/gsm8k@0").text(Problem(question="What is 1 + 1?", answer="2"))
    assert made == "Question: What is 1 + 1?\nAnswer:"


def test_names_and_versions() -> None:
    assert profiles.known() == [
        "lighteval/gsm8k@0", "lm-eval/gsm8k@3", "lm-eval/gsm8k_cot@3", "lm-eval/gsm8k_cot_llama@4",
        "lm-eval/gsm8k_cot_zeroshot@3", "lm-eval/minerva_math@3.1", "qwen/boxed@1",
    ]  # fmt: skip
    assert profiles.load("lm-eval/gsm8k") == profiles.load("lm-eval/gsm8k@3")
    with pytest.raises(RecipeError, match="expected version 3, which is the one that is here, got 2"):
        profiles.load("lm-eval/gsm8k@2")
    with pytest.raises(RecipeError, match="Did you mean 'lm-eval/gsm8k'"):
        profiles.load("lm-eval/gsm8")


def test_a_hash_of_all_that_is_said() -> None:
    every = [profiles.load(name) for name in profiles.known()]
    assert len({one.hash for one in every}) == len(every)
    one = every[2]
    assert one._replace(stop=(*one.stop, "x")).hash != one.hash
    assert one._replace(shown=one.shown[:-1]).hash != one.hash
    assert one._replace(scores={"a": "strict"}).hash != one.hash


def test_a_question_cannot_fill_holes() -> None:
    shown = profiles.Worked("Is {answer} {question}?", "{solution}", "7", "{worked}")
    text = profiles.load("lm-eval/gsm8k_cot").text(Problem(question="{solution}?", answer="1"), [shown])
    assert text == "Q: Is {answer} {question}?\nA: {solution} The answer is 7.\n\nQ: {solution}?\nA:"


def test_examples_are_drawn_in_order_and_anew() -> None:
    known = profiles.load("lm-eval/gsm8k")
    pool = [Problem(question=f"q{n}", answer="1", solution="s") for n in range(30)]
    drawn = known.drawn(pool, 3)
    assert drawn[0] != drawn[1]
    assert known.drawn(pool, 2) == drawn[:2], "a limit changes nothing before it"
    with pytest.raises(DataError, match="at least 5 examples, got 4"):
        known.drawn(pool[:4], 1)


def test_each_score_is_one_that_graders_know() -> None:
    for name in profiles.known():
        known = profiles.load(name)
        assert all(way == "symbolic" or way in PROFILES for way in known.scores.values())
        assert profile_of(name).name in ("auto", *known.scores.values())
