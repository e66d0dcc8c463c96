"""Extraction profiles, and lm-eval as the oracle of those that copy it."""

import json
from pathlib import Path

import pytest

from conftest import lines
from porism.graders import PROFILES, check
from porism.graders._extract import profile_of, read
from porism.records import Status


@pytest.mark.parametrize(
    ("text", "rule", "statement"),
    [
        (r"#### 4 and \boxed{5}", "boxed", "5"),
        ("#### 4\nThe answer is 6.", "hash", "4"),
        ("<answer>4</answer>", "tag", "4"),
        ("So the final answer is 7.", "phrase", "7"),
        ("There are 7.", "last", "There are 7."),
        (r"\boxed{1} and \boxed{2}", "boxed", "1 , 2"),
        (r"\boxed{1}, \boxed{2} or \boxed{3}", "boxed", "1 , 2 , 3"),
        (r"First \boxed{1}. Then \boxed{2}", "boxed", "2"),
        (r"\boxed{1} so we get \boxed{2}", "boxed", "2"),
        (r"<think>\boxed{9}</think>It is 3.", "last", "It is 3."),
    ],
)
def test_auto_takes_the_strongest_statement(text: str, rule: str, statement: str) -> None:
    reading = read(text, profile_of("auto"))
    assert reading is not None
    assert (reading.rule, reading.statement.strip()) == (rule, statement)


def test_boxed_wants_a_box() -> None:
    assert check(gold="5", text="#### 5", profile="boxed").status is Status.UNPARSED
    assert check(gold="5", text=r"\boxed{5}", profile="boxed").correct


def test_a_denied_answer_is_not_the_last_number() -> None:
    for text in ("The answer is not 5.", "答案不是5。", "答えは5ではない。"):
        assert check(gold="5", text=text).status is Status.UNPARSED
        assert check(gold="5", text=text, kind="math").status is Status.UNPARSED


def test_verdicts_carry_the_profiles_version() -> None:
    for name, profile in PROFILES.items():
        assert check(gold="5", text="#### 5", profile=name).profile == f"{name}@{profile.version}"


@pytest.mark.parametrize("digits", ["１２", "12", "12.0"])
@pytest.mark.parametrize("wrap", ["答案是{}。", "答えは{}です", "#### {}", "\\boxed{{{}}}", "The answer is {}"])
def test_full_width_digits(wrap: str, digits: str) -> None:
    assert check(gold="12", text=wrap.format(digits)).correct
    assert check(gold="12", text=wrap.format(digits), kind="math").correct


@pytest.mark.slow
@pytest.mark.parametrize(
    ("task", "filter_name", "profile"),
    [
        ("gsm8k", "strict-match", "strict"),
        ("gsm8k", "flexible-extract", "flexible"),
        ("gsm8k_cot", "strict-match", "strict_cot"),
        ("gsm8k_cot", "flexible-extract", "flexible"),
        ("gsm8k_cot_llama", "strict-match", "strict_llama"),
        ("gsm8k_cot_llama", "flexible-extract", "flexible"),
    ],
)
def test_same_as_lm_eval_record_for_record(data: Path, task: str, filter_name: str, profile: str) -> None:
    yaml = pytest.importorskip("yaml")
    lm_eval = pytest.importorskip("lm_eval")
    from lm_eval.api.metrics import exact_match_hf_evaluate
    from lm_eval.filters import build_filter_ensemble

    folder = Path(lm_eval.__file__).parent / "tasks" / "gsm8k"
    config = yaml.safe_load((folder / f"{task.replace('_', '-') if task != 'gsm8k' else task}.yaml").read_text())
    assert int(float(config["metadata"]["version"])) == PROFILES["strict_llama" if "llama" in task else profile].version
    steps = next(entry["filter"] for entry in config["filter_list"] if entry["name"] == filter_name)
    parts = [(step["function"], {k: v for k, v in step.items() if k != "function"} or None) for step in steps]
    ensemble = build_filter_ensemble(filter_name, parts)
    metric = config["metric_list"][0]
    options = {k: metric[k] for k in ("regexes_to_ignore", "ignore_case", "ignore_punctuation") if k in metric}
    golds, texts = [], []
    for row in lines(data / "grading" / "gsm8k_labelled_outputs.jsonl"):
        for value in row.values():
            if isinstance(value, dict):
                number = row["ground_truth"].rpartition("A: ")[2]
                golds.append(number if "cot" in task else f"work\n#### {number}")
                style = len(golds) % 4
                answer = value["solution"].rpartition("A: ")[2]
                said = ("", f"\n#### {answer}", f" The answer is {answer}.", f" The final answer is ${answer}. #### 1")
                texts.append(value["solution"] + said[style])
    filtered = texts
    instances = [_Instance(text) for text in texts]
    ensemble.apply(instances)
    filtered = [instance.filtered_resps[filter_name] for instance in instances]
    different = []
    for gold, text, found in zip(golds, texts, filtered, strict=True):
        theirs = exact_match_hf_evaluate([found], [gold], **options)["exact_match"] == 1.0
        if check(gold=gold, text=text, profile=profile).correct != theirs:
            different.append((gold, text[-60:], found))
    assert len(texts) == 5276
    assert not different, json.dumps(different[:3])


class _Instance:
    """What lm-eval's filters read and write."""

    def __init__(self, text: str) -> None:
        self.resps = [text]
        self.filtered_resps: dict[str, str] = {}
        self.doc: dict[str, str] = {}
