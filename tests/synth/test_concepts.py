"""The stages that work with concepts: shipped sets, extraction, sampling, generation, the E-step, the page."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from concepts_kit import engine, said
from synth_kit import synth

from porism import pipeline, store
from porism.engines import Sample
from porism.errors import DataError, RecipeError
from porism.files import to_line
from porism.records import Concepts, Problem, to_row
from porism.synth import _blocks, _concepts, _judging, concepts_rationales
from porism.synth._blocks import BEGIN_PROBLEM, BEGIN_RATIONALE, END_PROBLEM, END_RATIONALE
from porism.synth._writing import _wrong, cut

PERFECT = dict.fromkeys(_judging.CRITERIA, "Perfect")


def rows(path: Path) -> list[dict[str, Any]]:
    return [row for _, row in store.rows(path)] if path.is_file() else []


def write(path: Path, *records: Any) -> Path:
    path.write_bytes(b"".join(to_line(to_row(record)) for record in records))
    return path


def draws(folder: Path, count: int = 5, domain: str = "math") -> Path:
    made = [
        Concepts(concepts=["sums", f"concept {at}"], level="primary", domain=domain, subject="s") for at in range(count)
    ]
    return write(folder / "draws.jsonl", *made)


# --- shipped sets ---


@pytest.mark.parametrize(("domain", "least", "subjects"), [("math", 500, 15), ("code", 200, 12)])
def test_shipped_concepts_are_many_different_and_sorted_by_subject_and_level(
    domain: str, least: int, subjects: int
) -> None:
    there = _concepts.shipped(domain)
    names = [_concepts.key(one.name) for one in there.concepts]
    assert len(names) == len(set(names)) >= least
    assert len({one.subject for one in there.concepts}) >= subjects
    assert {one.level for one in there.concepts} == set(there.levels)
    for one in there.concepts:
        assert 2 < len(one.name) <= 60, one
        assert not one.name.endswith("."), one
    for level, fits in there.levels.items():
        assert level in fits
        assert set(fits) <= set(there.levels)


def test_concepts_are_filtered_and_unknown_names_are_told(tmp_path: Path) -> None:
    synth("concepts", tmp_path / "some", subjects=["algebra"], levels=["high school"])
    found = rows(tmp_path / "some" / "records.jsonl")
    assert len(found) == 26
    assert {(row["subject"], row["level"], row["domain"]) for row in found} == {("algebra", "high school", "math")}
    with pytest.raises(RecipeError, match="Did you mean 'algebra'"):
        synth("concepts", tmp_path / "none", subjects=["algebr"])
    with pytest.raises(RecipeError, match="no concept of math is of these"):
        synth("concepts", tmp_path / "none", subjects=["calculus"], levels=["primary"])


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    file.write_text('{"concept": "sums", "level": 3, "topic": "t"}\n{"concepts": ["a", "b"], "subject": "s"}\n')
    assert _concepts.read([str(file)]) == [
        Concepts(concepts=["sums"], level="3", meta={"topic": "t"}),
        Concepts(concepts=["a", "b"], subject="s"),
    ]
    for row, complaint in (
        ('{"question": "1?", "answer": "1"}', "line 1: expected concepts, such as .* got the fields answer, question"),
        ('{"concepts": "sums"}', "line 1: expected concepts"),
        (json.dumps({"concept": "x" * 1001}), "line 1: a concept of more than 1,000 characters"),
        ('{"concepts": ["sums"], "level": ["a"]}', "line 1: expected concepts"),
        ('{"concept": " "}', "line 1: an empty concept"),
        ("", "no concepts in the input"),
    ):
        file.write_text(f"{row}\n")
        with pytest.raises(DataError, match=complaint):
            _concepts.read([str(file)])


# --- extraction ---


def test_concepts_are_extracted_each_once_with_a_level(tmp_path: Path) -> None:
    problems = write(tmp_path / "p.jsonl", Problem(question="1 + 2?", answer="3", group="g"))
    synth("concepts-extract", tmp_path / "out", input=[str(problems)], engine=engine(tmp_path))
    (row,) = rows(tmp_path / "out" / "records.jsonl")
    assert (row["concepts"], row["level"], row["domain"]) == (["Sums", "carrying"], "primary", "math")
    assert row["meta"]["problem"] == Problem(question="1 + 2?", answer="3").id


@pytest.mark.parametrize(
    "answer", ["no", "[]", '{"concepts": "x", "level": "primary"}', '{"concepts": ["ab"], "level": "easy"}', "1" * 5000]
)
def test_what_cannot_be_read_is_dropped(tmp_path: Path, answer: str) -> None:
    problems = write(tmp_path / "p.jsonl", Problem(question="1 + 2?", answer="3"))
    options = {"input": [str(problems)], "engine": engine(tmp_path), "said": said(extract=answer)}
    with pytest.raises(DataError, match="kept none of 1"):
        synth("concepts-extract", tmp_path / "out", **options)
    synth("concepts-extract", tmp_path / "out", **options, allow_empty=True)
    assert rows(tmp_path / "out" / "dropped.jsonl")[0]["reason"].startswith("unreadable")


# --- sampling as a stage ---


def test_sets_are_drawn_with_levels_and_repeats_dropped(tmp_path: Path) -> None:
    synth("concepts", tmp_path / "all", levels=["primary", "middle school"])
    names = [row["concepts"][0] for row in rows(tmp_path / "all" / "records.jsonl")]
    (tmp_path / "vectors").mkdir()
    encoded = write(tmp_path / "encoded.jsonl", *(Concepts(concepts=[name]) for name in names))
    vectors = np.random.default_rng(0).normal(size=(len(names), 8)).astype(np.float32)
    np.save(tmp_path / "encoded.vectors.npy", vectors / np.linalg.norm(vectors, axis=1, keepdims=True))
    options: dict[str, Any] = {"input": [str(tmp_path / "all")], "embed": str(encoded), "total": 300, "size": 2}
    made = synth(
        "concepts-sample", tmp_path / "a", **options, temperature=0.05, levels={"primary": 3, "middle school": 1}
    )
    kept = rows(tmp_path / "a" / "records.jsonl")
    primary = {one.name for one in _concepts.shipped("math").concepts if one.level == "primary"}
    assert all(set(row["concepts"]) <= primary for row in kept if row["level"] == "primary")
    assert {row["level"] for row in kept} == {"primary", "middle school"}
    assert len(kept) + made.counts["dropped: repeat"] == 300
    assert set(made.figures["diversity"]) == {
        "coverage",
        "entropy",
        "distinct_sets",
        "distinct_pairs",
        "within",
        "between",
    }
    synth("concepts-sample", tmp_path / "b", **options, temperature=0.05, levels={"primary": 3, "middle school": 1})
    assert (tmp_path / "a" / "records.jsonl").read_bytes() == (tmp_path / "b" / "records.jsonl").read_bytes()
    with pytest.raises(RecipeError, match="no concept has the level 'hard'"):
        synth("concepts-sample", tmp_path / "c", **options, levels={"hard": 1})
    with pytest.raises(DataError, match="a set has 500"):
        synth("concepts-sample", tmp_path / "c", **{**options, "size": 500})
    other = write(tmp_path / "other.jsonl", Concepts(concepts=["unheard of"]))
    with pytest.raises(DataError, match="lacks the concept 'unheard of'"):
        synth("concepts-sample", tmp_path / "c", **{**options, "input": [str(other)], "size": 1})


# --- blocks ---

WHOLE = f"x {BEGIN_RATIONALE} a {END_RATIONALE}\n{BEGIN_PROBLEM}\nb\n{END_PROBLEM}"


def test_blocks_are_read_exactly() -> None:
    assert _blocks.parse(WHOLE) == ("a", "b", "")
    assert _blocks.parse(_blocks.assembled("r", "p")) == ("r", "p", "")
    for wrong, complaint in (
        (WHOLE.replace(END_PROBLEM, ""), "is missing"),
        (WHOLE + END_PROBLEM, "more than once"),
        (WHOLE.replace(" a ", " "), "the rationale is empty"),
        (WHOLE.replace("\nb\n", "\n"), "the problem is empty"),
        (f"{BEGIN_PROBLEM}b{END_PROBLEM}{BEGIN_RATIONALE}a{END_RATIONALE}", "not in order"),
        (WHOLE.lower(), "is missing"),
    ):
        assert complaint in _blocks.parse(wrong).complaint, wrong


def test_braces_in_values_stay() -> None:
    asked = _blocks.filled("testcase", problem="{focus} {{x}}", focus="f", form='{"a": 1}')
    assert "{focus} {{x}}" in asked
    assert '{"a": 1}' in asked


def test_an_engine_without_prefixes_is_told_of_free_blocks() -> None:
    failed = Sample(text="", finish="error", error="a prefix in a chat needs a server that goes on")
    assert _wrong(failed, "", "rationale").endswith("; or set blocks to free, which needs no prefix")
    assert _wrong(Sample(text="", finish="error", error="time-out"), "", "rationale") == "engine: time-out"


def test_a_text_is_cut_at_its_last_sentence() -> None:
    assert cut("One. Two three. Fo") == "One. Two three."
    assert cut("no end") == ""


# --- judges ---


@pytest.mark.parametrize(
    "text",
    [
        "",
        "perfect",
        "not perfect",
        "Final Judgement: perfect",
        json.dumps({**PERFECT, "format": "not Perfect"}),
        json.dumps({**PERFECT, "format": "perfect"}),
        json.dumps({**PERFECT, "format": ["Perfect"]}),
        json.dumps({**PERFECT, "more": "Perfect"}),
        json.dumps({name: rating for name, rating in PERFECT.items() if name != "coverage"}),
        json.dumps(PERFECT)[:-1] + ', "format": "Bad"}',
        f"It is {json.dumps(PERFECT)}",
        f"```python\n{json.dumps(PERFECT)}\n```",
        "[" * 5000,
    ],
)
def test_only_an_exact_verdict_is_one(text: str) -> None:
    assert _judging.read(text) is None


def test_verdicts_and_the_rule() -> None:
    assert _judging.read(f" ```json\n{json.dumps(PERFECT)}\n``` ") == PERFECT
    for changed, wanted in (
        ({}, "perfect"),
        ({"format": "Acceptable"}, "perfect"),
        ({"format": "Acceptable", "coverage": "Acceptable"}, "acceptable"),
        ({"accuracy": "Acceptable"}, "acceptable"),
        ({"solvability": "Acceptable"}, "acceptable"),
        ({"difficulty": "Bad"}, "bad"),
    ):
        assert _judging.overall({**PERFECT, **changed}) == wanted
    good, fair = _judging.Judgement("m", PERFECT), _judging.Judgement("m", {**PERFECT, "accuracy": "Acceptable"})
    assert _judging.kept([good, good], "perfect") == ""
    assert _judging.kept([good, fair], "perfect") == "judged acceptable: by judge 2 (accuracy Acceptable)"
    assert _judging.kept([good, fair], "acceptable") == ""
    assert "gave no verdict" in _judging.kept([good, _judging.Judgement("m", {}, "unreadable")], "bad")


# --- generation ---


def generate(folder: Path, target: str = "made", **options: Any) -> store.Manifest:
    given = {"input": [str(draws(folder))], "engine": engine(folder), "solutions": 3, **options}
    return synth("concepts-generate", folder / target, **given)


def test_a_problem_names_all_that_it_comes_from(tmp_path: Path) -> None:
    generate(tmp_path)
    row = rows(tmp_path / "made" / "records.jsonl")[0]
    assert row["question"].startswith("What is 2 +")
    assert (row["answer"], row["kind"], row["source"]) == ("5", "math", "concepts")
    meta = row["meta"]
    assert meta["concepts"] == ["sums", "concept 0"]
    assert meta["agreement"] == [2, 3]
    assert [judge["overall"] for judge in meta["judges"]] == ["perfect", "perfect"]
    assert meta["rationale"]
    (first, *_) = rows(tmp_path / "made" / "rows.jsonl")
    assert _blocks.parse(first["completion"][0]["content"])[:2] == (meta["rationale"], row["question"])
    assert "1. sums\n2. concept 0" in first["prompt"][0]["content"]


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"said": said(judges=["It is not Perfect."])}, "judge 1 gave no verdict"),
        ({"said": said(judges=[{**PERFECT, "accuracy": "Acceptable"}])}, "judged acceptable"),
        ({"said": said(judges=[{**PERFECT, "coverage": "Bad"}]), "keep": "acceptable"}, "judged bad"),
        ({"said": said(solutions=["\\boxed{1}", "\\boxed{2}", "\\boxed{3}"])}, "unsolved"),
        ({"said": said(solutions=["\\boxed{1}", "\\boxed{2}", "\\boxed{3}"]), "agreement": 0.1}, "unsolved"),
        ({"said": said(problem="a <!-- b")}, "format: the problem holds a mark"),
        ({"said": said(problem=" ")}, "format: the problem is empty"),
        ({"problem_tokens": 3}, "cut off: the problem"),
        ({"rationale_tokens": 3, "long": "drop"}, "cut off: the rationale"),
        (
            {"rationale_tokens": 10, "said": said(rationale="One <!-- BEGIN PROBLEM --> two. And three four")},
            "format: the rationale holds a mark",
        ),
        ({"blocks": "free", "said": said(free="no marks")}, "format: <!-- BEGIN RATIONALE --> is missing"),
    ],
)
def test_what_is_dropped_says_why(tmp_path: Path, options: dict[str, Any], reason: str) -> None:
    with pytest.raises(DataError, match="kept none of 5"):
        generate(tmp_path, **options)
    found = rows(tmp_path / "made" / "dropped.jsonl")
    assert len(found) == 5
    assert all(row["reason"].startswith(reason) for row in found), found[0]["reason"]


def test_options_of_generation_change_what_is_made(tmp_path: Path) -> None:
    acceptable = said(judges=[{**PERFECT, "accuracy": "Acceptable"}])
    assert generate(tmp_path, "a", said=acceptable, keep="acceptable").counts["records"] == 5
    assert generate(tmp_path, "b", limit=2, samples=3).counts["records"] == 6
    assert len({row["question"] for row in rows(tmp_path / "b" / "records.jsonl")}) > 2
    generate(tmp_path, "c", judges=[], solutions=0)
    row = rows(tmp_path / "c" / "records.jsonl")[0]
    assert "judges" not in row["meta"]
    assert row["answer"] == ""
    generate(tmp_path, "d", blocks="free")
    assert rows(tmp_path / "d" / "records.jsonl")[0]["question"] == "p"
    generate(tmp_path, "e", rationale_tokens=6)
    assert rows(tmp_path / "e" / "records.jsonl")[0]["meta"]["rationale"] == "Add two numbers."


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"judges": ["one"]}, "expected at least two"),
        ({"judge_temp": 0.0}, "says the same twice"),
        ({"solutions": 1}, "at least two that can agree"),
        ({"solution_temp": 0.0}, "all solutions would be the same"),
        ({"judges": ["a", "b"], "judge_options": {"nothing": 1}}, "nothing"),
    ],
)
def test_settings_that_exclude_each_other_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        generate(tmp_path, **options)


def test_a_stage_that_was_cut_off_ends_with_the_same_bytes(tmp_path: Path) -> None:
    options: dict[str, Any] = {"at_once": 1, "calm_calls": 9}
    generate(tmp_path, "whole", **options)
    dies = tmp_path / "dies"
    dies.touch()
    with pytest.raises(RuntimeError):
        generate(tmp_path, "cut", **options, dies=str(dies))
    assert not (tmp_path / "cut" / "records.jsonl").exists()
    dies.unlink()
    generate(tmp_path, "cut", **options, dies=str(dies))
    for name in ("records.jsonl", "rows.jsonl"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


# --- the E-step ---


def seeds(folder: Path) -> Path:
    meta = {"concepts": ["sums"], "level": "primary"}
    return write(folder / "seeds.jsonl", Problem(question="What is 1 + 1?", answer="2", kind="math", meta=meta))


def test_the_likeliest_rationale_is_kept(tmp_path: Path) -> None:
    """The scripted engine gives every word −1, so the shortest rationale is the likeliest."""
    made = synth(
        "concepts-rationales", tmp_path / "out", input=[str(seeds(tmp_path))], engine=engine(tmp_path), samples=3
    )
    (row,) = rows(tmp_path / "out" / "records.jsonl")
    assert row["completion"][0]["content"] == _blocks.assembled("Because.", "What is 1 + 1?")
    assert row["meta"]["chosen"] == 0
    assert len(row["meta"]["scores"]) == 2, "the one with a mark is no rationale"
    assert row["meta"]["log_likelihood"] == sum(row["meta"]["scores"][0])
    assert made.figures["log_likelihood"] > made.figures["log_likelihood_drawn"]
    (other,) = rows(tmp_path / "out" / "posterior.jsonl")
    assert "What is 1 + 1?" in other["prompt"][0]["content"]
    assert "What is 1 + 1?" not in other["completion"][0]["content"]


def test_a_problem_that_holds_a_mark_gives_no_row(tmp_path: Path) -> None:
    marked = Problem(question=f"What does {END_PROBLEM} say?", answer="", meta={"concepts": ["marks"]})
    file = write(tmp_path / "marked.jsonl", marked)
    options: dict[str, Any] = {"input": [str(file)], "engine": engine(tmp_path), "samples": 2, "allow_empty": True}
    synth("concepts-rationales", tmp_path / "out", **options)
    (row,) = rows(tmp_path / "out" / "dropped.jsonl")
    assert row["reason"] == f"format: {END_PROBLEM} stands more than once"


def test_the_posterior_has_no_part_in_the_writers_adapter() -> None:
    kind = pipeline.settings_class("synth", "concepts-rationales", {"engine": "vllm"})
    given = kind(input=["x"], engine="vllm", adapter="lora", posterior="q")
    assert concepts_rationales._plain(given).adapter == ""
    assert concepts_rationales._plain(given).posterior == "q"


@pytest.fixture
def long_model(tiny_model: Path, tmp_path: Path) -> Path:
    """The tiny model with a context that holds a prompt, letter by letter."""
    folder = shutil.copytree(tiny_model, tmp_path / "long")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 4096}))
    return folder


def test_scores_are_those_of_the_model(long_model: Path) -> None:
    """Against the model's own log-probabilities, token by token, over the whole text."""
    import torch
    import transformers

    from porism.engines.local import start
    from porism.synth import _posterior
    from porism.synth._writing import prompt

    concepts = Concepts(concepts=["a"], level="x")
    case = _posterior.Case(concepts, Problem(question="b?", answer=""))
    loaded = start(str(long_model), dtype="float32", threads=1)
    try:
        ((found,),) = _posterior.score([case], [["z z"]], loaded)
    finally:
        loaded.close()
    tokenizer = transformers.AutoTokenizer.from_pretrained(long_model)
    model = transformers.AutoModelForCausalLM.from_pretrained(long_model)
    head = tokenizer.apply_chat_template(prompt(concepts), add_generation_prompt=True, tokenize=False)
    parts = [
        f"{head}{BEGIN_RATIONALE}\n",
        f"z z\n{END_RATIONALE}",
        f"\n{BEGIN_PROBLEM}\n",
        f"b?\n{END_PROBLEM}",
    ]
    ids = [tokenizer(part, add_special_tokens=False)["input_ids"] for part in parts]
    whole = torch.tensor([[one for part in ids for one in part]])
    with torch.inference_mode():
        scores = model(whole).logits[0].log_softmax(-1)
    sums = []
    at = 0
    for part in ids:
        sums.append(sum(float(scores[at + n - 1, one]) for n, one in enumerate(part) if at + n))
        at += len(part)
    assert found.of_rationale == pytest.approx(sums[1], abs=1e-3)
    assert found.of_problem == pytest.approx(sums[3], abs=1e-3)
    assert found.joint == pytest.approx(sums[1] + sums[3], abs=1e-3)


def test_concepts_of_another_stage_go_with_their_problems(tmp_path: Path) -> None:
    problem = Problem(question="3?", answer="3")
    alone = write(tmp_path / "alone.jsonl", problem)
    known = write(tmp_path / "known.jsonl", Concepts(concepts=["three"], level="primary", meta={"problem": problem.id}))
    options: dict[str, Any] = {"engine": engine(tmp_path), "samples": 2}
    synth("concepts-rationales", tmp_path / "out", input=[str(alone), str(known)], **options)
    assert rows(tmp_path / "out" / "records.jsonl")[0]["meta"]["concepts"] == ["three"]
    with pytest.raises(DataError, match="no problem has any"):
        synth("concepts-rationales", tmp_path / "none", input=[str(alone)], **options)


def test_a_problem_without_concepts_is_dropped_with_the_reason(tmp_path: Path) -> None:
    named = Problem(question="3?", answer="3", meta={"concepts": ["three"]})
    given = write(tmp_path / "given.jsonl", Problem(question="4?", answer="4"), named)
    out = tmp_path / "out"
    synth("concepts-rationales", out, input=[str(given)], engine=engine(tmp_path), samples=2, at_once=1)
    assert [row["meta"]["concepts"] for row in rows(out / "records.jsonl")] == [["three"]]
    dropped = rows(out / "dropped.jsonl")
    assert [(row["question"], row["reason"].partition(":")[0]) for row in dropped] == [("4?", "no concepts")]


def test_vectors_that_are_none_are_refused_and_never_unpickled(tmp_path: Path) -> None:
    source = write(tmp_path / "k.jsonl", Concepts(concepts=["a"]), Concepts(concepts=["b"]))
    file = tmp_path / "k.vectors.npy"
    for values in (np.array([None, {}], object), np.array([["x"], ["y"]]), np.array([[1.0], [np.nan]])):
        np.save(file, values, allow_pickle=True)
        with pytest.raises(DataError, match=r"k.vectors.npy: expected vectors as"):
            synth("concepts-sample", tmp_path / "out", input=[str(source)], embed=str(source), total=2, size=1)
    for content in (b"", b"PK\x03\x04 no numbers"):
        file.write_bytes(content)
        with pytest.raises(DataError, match=r"k.vectors.npy: expected vectors as"):
            synth("concepts-sample", tmp_path / "out", input=[str(source)], embed=str(source), total=2, size=1)


# --- the page ---


def test_the_page_shows_problems_rationales_verdicts_and_what_was_dropped(tmp_path: Path) -> None:
    bad = {**PERFECT, "coverage": "Bad"}
    hostile = said(judges=[PERFECT, PERFECT, bad], problem="<script>alert(1)</script> What is it?")
    generate(tmp_path, said=hostile, at_once=2)
    synth("concepts-rationales", tmp_path / "e", input=[str(seeds(tmp_path))], engine=engine(tmp_path), samples=2)
    synth("concepts-report", tmp_path / "page", input=[str(tmp_path / "made"), str(tmp_path / "e")], examples=20)
    page = (tmp_path / "page" / "report.html").read_text()
    assert "Add two numbers." in page
    assert "&lt;script&gt;" in page
    assert "<script>" not in page
    assert "stated by 2 of 3" in page
    assert "judged bad" in page
    assert "Likelihood by round" in page
    figures = json.loads((tmp_path / "page" / "report.json").read_text())
    assert figures[0]["verdicts"]["coverage Bad"] >= 1


def test_the_page_passes_over_what_others_mean_by_judges(tmp_path: Path) -> None:
    file = tmp_path / "own.jsonl"
    judges = [["me"], "me", [{"ratings": {}}], [{"overall": "fine", "ratings": {}}]]
    made = [Problem(question=f"{at}?", answer="", meta={"judges": one, "passes": 1}) for at, one in enumerate(judges)]
    synth("concepts-report", tmp_path / "page", input=[str(write(file, *made))])
    assert "3?" in (tmp_path / "page" / "report.html").read_text()


@pytest.mark.parametrize("part", ["concepts-generate", "concepts_generate"])
def test_the_page_has_the_verdicts_of_a_stage_from_the_shell_too(tmp_path: Path, part: str) -> None:
    options: dict[str, Any] = {"judges": ["", ""], "solutions": 0, "keep": "bad", "said": said()}
    synth(part, tmp_path / "made", input=[str(draws(tmp_path, 1))], engine=engine(tmp_path), **options)
    synth("concepts-report", tmp_path / "page", input=[str(tmp_path / "made")])
    page = (tmp_path / "page" / "report.html").read_text()
    assert "<td>synth concepts-generate</td>" in page
    assert "Quality by round" in page
    assert "<th>criterion</th>" in page


def test_the_page_says_what_each_text_is_and_takes_records_from_elsewhere(tmp_path: Path) -> None:
    meta: dict[str, Any] = {"judges": "x", "passes": 1, "testcases": "t", "log_likelihood": "l", "agreement": 3}
    other = {"judges": ["x", {"ratings": 1, "overall": "great"}], "concepts": "c", "testcases": {"tests": 1}}
    lines = [
        {"question": "1?", "answer": "1", "meta": meta},
        {"question": "2?", "answer": "2", "meta": other},
        {"prompt": "3?", "completion": "Three.", "verdict": None},
        {"prompt": "4?", "chosen": "Four.", "rejected": [{}]},
    ]
    source = tmp_path / "any.jsonl"
    source.write_text("".join(json.dumps(line) + "\n" for line in lines))
    synth("concepts-report", tmp_path / "page", input=[str(source)], examples=3)
    page = (tmp_path / "page" / "report.html").read_text()
    assert "<h3>Kept: 3 of 4</h3>" in page
    assert "<p>Problem:</p><pre>1?</pre>" in page
    assert "<p>Written:</p><pre>Three.</pre>" in page
    assert json.loads((tmp_path / "page" / "report.json").read_text())[0]["quality"]["no verdict"] == 1


@pytest.mark.parametrize("name", ["promptcot-math", "promptcot-code", "promptcot-selfplay"])
def test_recipes_are_right(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    root = Path(__file__).parents[2]
    monkeypatch.chdir(root)  # to which the paths in a recipe are relative
    assert f"name: {name}" in pipeline.dry_run(root / "recipes" / name / "recipe.yaml")
