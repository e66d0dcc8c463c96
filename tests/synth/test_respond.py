"""Responses: verdicts by reference or agreement, rewards, the two products, the joint report."""

import json
from pathlib import Path

import pytest
from concepts_kit import engine
from synth_kit import magpie, rows, synth, writer

from conftest import attempt, problem
from porism import chains, pipeline, store
from porism.errors import DataError, ModelError, RecipeError
from porism.graders import Scorer
from porism.records import Attempt, Example, Message, Pair, to_row
from porism.synth import _measures
from porism.synth._responses import _judged

SCRIPT = {
    "A?": [r"\boxed{1/2}", r"So 0.5 it is: \boxed{0.5}.", r"\boxed{3}", r"<think>Half.</think>\boxed{\frac{1}{2}}"],
    "B?": [r"\boxed{1}", r"\boxed{2}", r"\boxed{3}", r"\boxed{4}"],
    "C?": [r"\boxed{7}", r"The answer is 7, \boxed{7}", r"\boxed{7}!", r"So \boxed{7}"],
    "D?": [r"\boxed{8}", r"\boxed{9}", r"\boxed{9}.", r"\boxed{9} or so"],
}


def given(folder: Path, **answers: str) -> str:
    """Problems A to D, with reference answers for some."""
    made = [problem(question=f"{name}?", answer=answers.get(name, ""), solution="", kind="math") for name in "ABCD"]
    file = folder / "in.jsonl"
    file.write_text("".join(json.dumps(to_row(one)) + "\n" for one in made))
    return str(file)


def respond(folder: Path, source: str, name: str = "out", **values: object) -> Path:
    script = folder / "script.json"
    script.write_text(json.dumps(SCRIPT))
    settings = {"input": [source], "engine": "scripted", "script": str(script), "responses": 4, "res_temp": 0.8}
    synth("respond", folder / name, **{**settings, **values})
    return folder / name


def test_what_most_candidates_state_becomes_the_answer(tmp_path: Path) -> None:
    target = respond(tmp_path, given(tmp_path))
    found: dict[str, list[dict]] = {}
    for row in rows(target):
        found.setdefault(row["problem"]["question"], []).append(row)
    statuses = {name: [row.get("verdict", {}).get("status") for row in each] for name, each in found.items()}
    assert statuses == {
        "A?": ["correct", "correct", "wrong", "correct"],
        "B?": [None] * 4,
        "C?": ["correct"] * 4,
        "D?": ["wrong", "correct", "correct", "correct"],
    }
    assert found["A?"][0]["problem"]["answer"] == "1/2"
    assert found["A?"][0]["meta"]["agreement"] == [3, 4]
    assert found["A?"][0]["meta"]["verified"] == "agreement"
    thought = found["A?"][3]
    (start, end), (begin, finish) = thought["meta"]["reasoning"], thought["meta"]["response"]
    assert thought["text"][start:end] == "Half."
    assert thought["text"][begin:finish] == r"\boxed{\frac{1}{2}}"
    strict = rows(respond(tmp_path, given(tmp_path), "strict", agreement=0.8))
    assert sum("verdict" in row for row in strict) == 4, "only C is agreed by more than 80 %"


def test_a_reference_answer_counts_more_than_agreement(tmp_path: Path) -> None:
    found = rows(respond(tmp_path, given(tmp_path, D="8")))[12:]
    assert [row["verdict"]["status"] for row in found] == ["correct", "wrong", "wrong", "wrong"]
    assert {row["meta"]["verified"] for row in found} == {"reference"}


def test_the_two_products_and_why_there_is_no_pair(tmp_path: Path) -> None:
    target = respond(tmp_path, given(tmp_path))
    sft = {row["prompt"][-1]["content"]: row["completion"][0]["content"] for row in rows(target, "sft.jsonl")}
    assert sft == {"A?": SCRIPT["A?"][0], "B?": SCRIPT["B?"][0], "C?": SCRIPT["C?"][0], "D?": SCRIPT["D?"][1]}
    pairs = {row["prompt"][-1]["content"]: row for row in rows(target, "align.jsonl")}
    assert {name: (row["chosen"][0]["content"], row["rejected"][0]["content"]) for name, row in pairs.items()} == {
        "A?": (SCRIPT["A?"][0], SCRIPT["A?"][2]),
        "D?": (SCRIPT["D?"][1], SCRIPT["D?"][0]),
    }
    assert pairs["A?"]["meta"]["by"] == "correctness"
    assert pairs["A?"]["meta"]["answer"] != pairs["A?"]["meta"]["rejected_answer"]
    why = {row["question"]: row["reason"].partition(":")[0] for row in rows(target, "align-dropped.jsonl")}
    assert why == {"B?": "not judged", "C?": "all correct"}
    assert [type(one) for one in store.read(target / "align.jsonl")] == [Pair, Pair]
    assert {type(one) for one in store.read(target / "sft.jsonl")} == {Example}


def test_a_reward_decides_where_correctness_does_not(tmp_path: Path) -> None:
    file = tmp_path / "score.py"
    file.write_text("def score(pairs):\n    return [len(text) for _, text in pairs]\n")
    target = respond(tmp_path, given(tmp_path), reward=f"{file}:score", margin=2.0)
    pairs = {row["prompt"][-1]["content"]: row for row in rows(target, "align.jsonl")}
    assert pairs["C?"]["meta"]["by"] == "reward"
    assert (pairs["C?"]["chosen"][0]["content"], pairs["C?"]["rejected"][0]["content"]) == (
        SCRIPT["C?"][1],
        SCRIPT["C?"][0],
    )
    assert pairs["C?"]["meta"]["margin"] == len(SCRIPT["C?"][1]) - len(SCRIPT["C?"][0])
    assert pairs["A?"]["chosen"][0]["content"] == SCRIPT["A?"][3], "the right one with the highest reward"
    assert rows(target, "align-dropped.jsonl")[0]["reason"].startswith("tie: not judged")
    file.write_text("def score(pairs):\n    return [1]\n")
    with pytest.raises(RecipeError, match="returns a number for each of 16, got"):
        respond(tmp_path, given(tmp_path), "bad", reward=f"{file}:score")
    file.write_text("def score(pairs):\n    return [10**400] * len(pairs)\n")
    with pytest.raises(RecipeError, match="returns a number for each of 16, got"):
        respond(tmp_path, given(tmp_path), "huge", reward=f"{file}:score")
    file.write_text("def score(pairs):\n    return [float('inf'), -2.0, float('nan'), -1.0] * 4\n")
    odd = respond(tmp_path, given(tmp_path), "odd", reward=f"{file}:score")
    assert [row["meta"]["reward"] for row in rows(odd)[:4]] == [None, -2.0, None, -1.0]
    best = {row["prompt"][-1]["content"]: row["completion"][0]["content"] for row in rows(odd, "sft.jsonl")}
    assert best["C?"] == SCRIPT["C?"][3], "none without a reward comes before one that has it"


def test_a_reward_model_decides_and_its_margin_counts(tmp_path: Path, tiny_model: Path) -> None:
    import transformers

    folder = tmp_path / "scores"
    config = transformers.AutoConfig.from_pretrained(tiny_model, num_labels=1)
    transformers.AutoModelForSequenceClassification.from_config(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(tiny_model).save_pretrained(folder)
    target = respond(tmp_path, given(tmp_path), scorer=str(folder), res_system="Think.")
    scorer = Scorer(str(folder), "auto")
    wanted = scorer.score([Message(role="user", content="C?")], SCRIPT["C?"])  # without the system message
    found = [row["meta"]["reward"] for row in rows(target) if row["problem"]["question"] == "C?"]
    assert found == pytest.approx(wanted, abs=1e-3)
    pairs = {row["prompt"][-1]["content"]: row for row in rows(target, "align.jsonl")}
    assert (pairs["C?"]["meta"]["by"], pairs["A?"]["meta"]["by"]) == ("reward", "correctness")
    assert pairs["C?"]["meta"]["margin"] == pytest.approx(max(wanted) - min(wanted), abs=1e-3)
    wide = respond(tmp_path, given(tmp_path), "wide", scorer=str(folder), res_system="Think.", margin=1e3)
    assert {row["meta"]["by"] for row in rows(wide, "align.jsonl")} == {"correctness"}
    with pytest.raises(ModelError, match="expected a reward model or a verifier"):
        respond(tmp_path, given(tmp_path), "none", scorer=str(tiny_model))
    for values, said in (
        ({"scorer": "x", "reward": "a.py:b"}, "Set one of them"),
        ({"reward": "reward"}, "A reward model is set by scorer"),
    ):
        with pytest.raises(RecipeError, match=said):
            respond(tmp_path, given(tmp_path), "both", **values)


def test_the_questions_of_sft_rows_are_answered(tmp_path: Path) -> None:
    said = [Message(role="system", content="Be kind."), Message(role="user", content="C?")]
    row = Example(prompt=said, completion=[Message(role="assistant", content="7")], meta={"group": "g", "kind": "math"})
    (tmp_path / "rows.jsonl").write_text(json.dumps(to_row(row)) + "\n")
    found = rows(respond(tmp_path, str(tmp_path / "rows.jsonl")))
    assert [one["messages"] for one in found] == [said] * 4
    assert {(one["problem"]["question"], one["problem"]["group"]) for one in found} == {("C?", "g")}
    own = rows(respond(tmp_path, str(tmp_path / "rows.jsonl"), "own", res_system="Be brief."))
    assert [one["role"] for one in own[0]["messages"]] == ["system", "user"]
    assert own[0]["messages"][0]["content"] == "Be brief."
    bad = Example(prompt=[], completion=said)
    (tmp_path / "bad.jsonl").write_text(json.dumps(to_row(bad)) + "\n")
    with pytest.raises(DataError, match="no user's turn"):
        respond(tmp_path, str(tmp_path / "bad.jsonl"), "bad")


def test_what_was_cut_off_is_marked_and_in_no_product(tmp_path: Path) -> None:
    source = given(tmp_path)
    target = respond(tmp_path, source, res_max_tokens=2, responses=1, res_temp=0.0, default="one two three")
    assert not [row for row in rows(target) if row["finish"] == "length"]
    long = {"A?": "a long way to \\boxed{1}", "B?": "b", "C?": "c", "D?": "d"}
    (tmp_path / "long.json").write_text(json.dumps(long))
    synth(
        "respond",
        tmp_path / "cut",
        input=[source],
        engine="scripted",
        script=str(tmp_path / "long.json"),
        res_max_tokens=2,
    )
    cut = rows(tmp_path / "cut")[0]
    assert (cut["finish"], cut["verdict"]["status"]) == ("length", "truncated")
    assert len(rows(tmp_path / "cut", "sft.jsonl")) == 3
    counts = json.loads((tmp_path / "cut" / "manifest.json").read_text())["counts"]
    assert (counts["SFT rows"], counts["no SFT row: cut off"]) == (3, 1)


def test_length_limits_drop_responses_with_the_reason(tmp_path: Path) -> None:
    target = respond(tmp_path, given(tmp_path), min_response=10, max_response=25)
    reasons = {row["reason"].partition(":")[0] for row in rows(target, "dropped.jsonl")}
    assert reasons == {"response too short", "response too long"}
    assert all(10 <= len(row["text"]) <= 25 for row in rows(target))
    with pytest.raises(RecipeError, match="min_response 10 is above max_response 5"):
        respond(tmp_path, given(tmp_path), min_response=10, max_response=5)


def test_code_for_rewards_that_is_not_there_is_found_before_anything_runs() -> None:
    for part in ("magpie", "respond"):
        values = {"reward": "nowhere.py:score"} | ({"input": ["x"]} if part == "respond" else {})
        with pytest.raises(RecipeError, match=r"nowhere.py"):
            pipeline.prepare("synth", part, values)


def test_instructions_of_another_stage_are_answered_once_each(tmp_path: Path) -> None:
    magpie(tmp_path / "m", responses=2, res_temp=1.0, total=30)
    asked = list(dict.fromkeys(row["problem"]["question"] for row in rows(tmp_path / "m")))
    synth("respond", tmp_path / "r", input=[str(tmp_path / "m")], engine=writer(tmp_path), responses=4, res_temp=0.8)
    again = rows(tmp_path / "r")
    assert list(dict.fromkeys(row["problem"]["question"] for row in again)) == asked
    assert len(again) == 4 * len(asked)
    assert {row["meta"].get("verified") for row in again} <= {None, "agreement"}, "agreement is no reference"


def test_no_instructions_and_a_failing_engine_are_errors(tmp_path: Path) -> None:
    (tmp_path / "empty.jsonl").write_text("")
    with pytest.raises(DataError, match="no instructions in the input"):
        respond(tmp_path, str(tmp_path / "empty.jsonl"))
    source = given(tmp_path)
    values = {"input": [source], "engine": engine(tmp_path), "fails": "A?"}
    with pytest.raises(DataError, match="the engine failed on 1 of 4, more than max_failed=0.05"):
        synth("respond", tmp_path / "fails", **values)
    assert rows(tmp_path / "fails", "dropped.jsonl")[0]["reason"] == "engine: it is down"
    assert synth("respond", tmp_path / "fails", **values, max_failed=0.25).counts["records"] == 3


def test_several_pairs_and_pairs_of_like_length(tmp_path: Path) -> None:
    texts = [r"\boxed{5}", r"so then \boxed{5}", r"no, it is \boxed{6}", r"\boxed{7}"]
    (tmp_path / "own.json").write_text(json.dumps({"E?": texts}))
    row = to_row(problem(question="E?", answer="5", solution="", kind="math"))
    (tmp_path / "in.jsonl").write_text(json.dumps(row) + "\n")

    def pairs(name: str, **values: object) -> list[tuple[str, str]]:
        script = {"engine": "scripted", "script": str(tmp_path / "own.json"), "responses": 4, "res_temp": 0.8}
        synth("respond", tmp_path / name, input=[str(tmp_path / "in.jsonl")], **script, **values)
        found = rows(tmp_path / name, "align.jsonl")
        return [(one["chosen"][0]["content"], one["rejected"][0]["content"]) for one in found]

    assert pairs("one") == [(texts[0], texts[2])]
    assert pairs("two", pairs=2) == [(texts[0], texts[2]), (texts[1], texts[3])]
    assert pairs("like", balance=True) == [(texts[0], texts[3])]


def test_one_candidate_or_a_judge_gives_no_verdict() -> None:
    single = [attempt(1, verdict=None, problem=problem(1, answer="", kind="math"))]
    assert _judged(single, 0.5) == single
    asks = [attempt(n, verdict=None, problem=problem(1, answer="x", kind="judge")) for n in range(3)]
    assert _judged(asks, 0.5) == asks


def test_the_joint_report(tmp_path: Path) -> None:
    magpie(tmp_path / "m", total=40)
    target = respond(tmp_path, given(tmp_path))
    synth("report", tmp_path / "rep", input=[str(tmp_path / "m"), str(target)], examples=2)
    figures = json.loads((tmp_path / "rep" / "report.json").read_text())
    own = figures["m"]["instructions"]
    assert own["written"] == 40
    assert own["kept"] + sum(own["dropped"].values()) == 40
    assert sum(each["kept"] for each in own["by domain"].values()) == own["kept"]
    assert figures["out"]["products"]["pairs"] == {"correctness": 2}
    assert figures["out"]["responses"]["verified by"] == {"agreement": 12, "nothing": 4}
    page = (tmp_path / "rep" / "report.md").read_text()
    assert "## m" in page
    assert "| kept |" in page
    assert page.count("### Examples, kept") == 2
    assert "NaN" not in (tmp_path / "rep" / "report.json").read_text()


def test_names_and_reasons_of_others_are_no_markup_in_the_report(tmp_path: Path) -> None:
    row = to_row(problem(question="What is 1 + 1?", answer="2", kind="math", group="a|<b>"))
    (tmp_path / "in.jsonl").write_text(json.dumps(row) + "\n")
    (tmp_path / "in.dropped.jsonl").write_text(json.dumps({**row, "reason": "engine: <i>\nno"}) + "\n")
    synth("report", tmp_path / "rep", input=[str(tmp_path / "in.jsonl")])
    page = (tmp_path / "rep" / "report.md").read_text()
    assert "| | `a/<b>` | sum |" in page
    assert "- `engine: <i> no`: `What is 1 + 1?`" in page


def test_no_text_of_a_record_steers_the_report_or_a_terminal(tmp_path: Path) -> None:
    hostile = "Find <b>x</b> | `y` \x1b[31m\u202e \n# 3?"
    (tmp_path / "p.jsonl").write_text(json.dumps({"question": hostile, "answer": "3", "group": "<i>g</i> |\n# h"}))
    synth("report", tmp_path / "rep", input=[str(tmp_path / "p.jsonl")])
    page = (tmp_path / "rep" / "report.md").read_text()
    assert "| | `<i>g</i> / # h` | sum |" in page
    assert "- `Find <b>x</b> | 'y' [31m # 3?`" in page


def test_measures_against_values_by_hand() -> None:
    assert _measures.distinct(["a b a b", "a b"], 2) == pytest.approx(2 / 4)
    assert _measures.distinct(["a b a b", "a b"], 1) == pytest.approx(2 / 6)
    same = _measures.nearest(["what is one plus one", "what is one plus one", "name a river"])
    assert same["median"] == pytest.approx(0, abs=1e-5)
    assert same["mean"] > 0.2
    assert same["below 0.1"] == pytest.approx(2 / 3)
    assert _measures.languages(["x = 1"]) == {"und": 1.0}


def test_reasoning_is_kept_apart_in_the_rows(tmp_path: Path) -> None:
    target = respond(tmp_path, given(tmp_path))
    (thinks,) = (one for one in store.read(target) if isinstance(one, Attempt) and "<think>" in one.text)
    chain = chains.read(thinks.text)
    assert thinks.meta["response"] == [chain.response.start, chain.response.end]
    assert pipeline.VERBS["synth"] == "porism.synth"
