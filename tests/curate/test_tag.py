import json
import shutil
import statistics
from pathlib import Path

import pytest
from curation_kit import kept, run, write

from _leaks import AS_IN_MATH, SUBJECTS
from conftest import attempt, problem
from porism import curate, placed, store
from porism.curate import _judge, _rules, tag
from porism.curate._expression import SCALES
from porism.errors import DataError, RecipeError
from porism.records import Message, Pair, Record, Status


def tags(record: Record, **settings: object) -> dict[str, object]:
    ((marked, reason),) = tag.curate([record], **settings)
    assert reason == ""
    assert marked.id == record.id
    return dict(marked.meta)


@pytest.mark.parametrize(
    ("text", "subject"),
    [
        ("What is the remainder when 7^{100} is divided by 5?", "number theory"),
        ("Two dice are rolled. What is the probability that the sum is 7?", "counting and probability"),
        (r"Find the area of triangle $ABC$ with $\angle A = 90^\circ$.", "geometry"),
        (r"Compute $\sin 60^\circ$ and $\cos 30^\circ$.", "precalculus"),
        (r"Find the derivative of $f(x) = x^2$.", "calculus"),
        ("Solve for $x$: $2x + 3 = 7$.", "algebra"),
        ("Write a function in Python that reverses a list.", "coding"),
        ("三角形の面積を求める複数の方法を比較してください", "geometry"),
        ("有一个质数除以5的余数是3", "number theory"),
        ("Who wrote the first opera?", "other"),
    ],
)
def test_subjects(text: str, subject: str) -> None:
    assert _rules.subject(text) == subject
    assert subject in _rules.SUBJECTS


def test_difficulty_and_safety() -> None:
    easy = _rules.difficulty("What is 3 + 4?", "3 + 4 = 7, so the answer is 7. That is all there is.")
    hard = _rules.difficulty(
        "Let $P(x)$ be a polynomial of degree 5 with real coefficients, all of whose roots are complex numbers "
        "of modulus 1. "
        "Find the maximum value of the sum of the squares of its coefficients.",
        "We have that " * 300,
    )
    assert (easy, hard) == (1, 5)
    assert _rules.safety("How do I build a bomb at home?") == "unsafe: weapons"
    assert _rules.safety("A bomb squad has 3 members. How many ways can they be arranged?") == "safe"


def test_tags_of_rules_are_written(tmp_path: Path) -> None:
    run("tag", tmp_path / "out", write(tmp_path / "p.jsonl", [problem(1), attempt(2)]))
    one, two = kept(tmp_path / "out")
    assert set(one.meta) == {"language", "subject", "difficulty", "safety", "question_words", "response_words"}
    assert one.meta["question_words"] == 5
    assert two.meta["response_words"] == 1
    assert set(tags(problem(1, meta={"mine": 1}), tags=["language"])) == {"mine", "language"}


def test_pass_rates_are_measured(tmp_path: Path) -> None:
    tries = [attempt(1, sample=0), attempt(1, Status.WRONG, sample=1, text="x"), attempt(2, Status.UNPARSED)]
    found = [dict(record.meta) for record, _ in tag.curate(tries, tags=["pass_rate"])]
    assert found == [{"pass_rate": 0.5, "passes_of": 2}, {"pass_rate": 0.5, "passes_of": 2}, {}]
    file = write(tmp_path / "a.jsonl", tries)
    assert tags(problem(1), tags=["pass_rate"], attempts=[file]) == {"pass_rate": 0.5, "passes_of": 2}
    with Path(file).open("a") as more:
        more.write("{\n")
    assert tags(problem(1), tags=["pass_rate"], attempts=[file])["passes_of"] == 2, "a line that is none stops nothing"
    with pytest.raises(DataError, match="pass_rate needs graded attempts"):
        tags(problem(1), tags=["pass_rate"])


def test_tokens_are_counted_by_a_tokenizer(tiny_model: Path) -> None:
    found = tags(problem(1), tags=["tokens"], tokenizer=str(tiny_model))
    assert found == {"question_tokens": len("What is 1 + 1?"), "response_tokens": len(problem(1).solution)}
    with pytest.raises(RecipeError, match="Set tokenizer"):
        tags(problem(1), tags=["tokens"])


def test_rewards_are_given_by_a_reward_model(tiny_model: Path, tmp_path: Path) -> None:
    import torch
    import transformers

    torch.manual_seed(3)
    folder = tmp_path / "reward"
    config = transformers.AutoConfig.from_pretrained(tiny_model, num_labels=1)
    transformers.LlamaForSequenceClassification(config).save_pretrained(folder)
    transformers.AutoTokenizer.from_pretrained(tiny_model).save_pretrained(folder)
    one, other = attempt(1, text="it is 2"), attempt(1, text="who knows?")
    pair = Pair(
        prompt=one.messages,
        chosen=[Message(role="assistant", content=one.text)],
        rejected=[Message(role="assistant", content=other.text)],
    )
    chosen = {"tags": ["reward"], "scorer": str(folder)}
    found = [tags(record, **chosen) for record in (one, other, pair, problem(1, solution=""))]
    assert found[0]["reward"] != found[1]["reward"]
    assert found[2]["reward"] == pytest.approx(found[0]["reward"], abs=1e-3)
    assert found[2]["reward_difference"] == pytest.approx(found[0]["reward"] - found[1]["reward"], abs=1e-3)  # type: ignore[operator]
    assert found[3] == {}
    file = write(tmp_path / "r.jsonl", [one])
    assert "scorer" in run("tag", tmp_path / "out", file, **chosen).key.inputs
    with pytest.raises(RecipeError, match="Set scorer"):
        tags(one, tags=["reward"])


GOOD = {"explanation": "Clear.", "quality": "good", "difficulty": "easy"}


def judged(tmp_path: Path, reply: str, **settings: object) -> list[dict[str, object]]:
    values = {"judge": ["quality", "difficulty"], "judge_engine": "scripted", "judge_options": {"default": reply}}
    records = tag.curate([problem(1), problem(2)], tags=[], **{**values, **settings})
    return [dict(record.meta["judge"]) for record, _ in records]


def test_a_judge_gives_tags(tmp_path: Path) -> None:
    expected = {"quality": "good", "difficulty": "easy", "explanation": "Clear."}
    assert judged(tmp_path, json.dumps(GOOD)) == [expected, expected]
    with pytest.raises(RecipeError, match="Set judge_model"):
        judged(tmp_path, "", judge_engine="local", judge_options={})


@pytest.mark.parametrize("reply", ["", "{", "[]", '{"quality": "superb", "difficulty": "easy"}', '{"quality": true}'])
def test_a_judge_that_fails_is_told_of(tmp_path: Path, reply: str) -> None:
    assert all("error" in found for found in judged(tmp_path, reply, max_failed=1.0))
    with pytest.raises(DataError, match="gave no tags for 2 of 2 records"):
        judged(tmp_path, reply)


def test_a_reply_is_held_to_the_schema() -> None:
    found = _judge.schema(["reward", "category"])
    assert found["required"] == ["explanation", "reward", "category"]
    assert found["properties"]["reward"] == {"type": "integer", "minimum": 1, "maximum": 10}
    assert len(found["properties"]["category"]["enum"]) == 12
    assert found["additionalProperties"] is False


def test_a_random_model_loses_no_tag(tiny_model: Path, tmp_path: Path) -> None:
    """The schema holds even a model that knows nothing to readable tags."""
    pytest.importorskip("llguidance")
    folder = tmp_path / "long"
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "max_position_embeddings": 4096}))
    records = [problem(number) for number in range(3)]
    made = tag.curate(
        records,
        tags=[],
        judge=["difficulty", "safety"],
        judge_model=str(folder),
        judge_options={"dtype": "float32"},
        max_failed=0.0,
    )
    for record, _ in made:
        assert record.meta["judge"]["safety"] in ("safe", "unsafe")
        assert record.meta["judge"]["difficulty"] in SCALES[0]


def test_accuracy_on_the_labels_of_math(data: Path) -> None:
    """Rules were written with the even rows in view; the odd ones were not looked at."""
    rows = [row for _, row in store.rows(data / "math500_test.jsonl")][1::2]
    right = exact = near = 0
    ours, theirs = [], []
    for row in rows:
        label = row["subject"].casefold()
        found = _rules.subject(row["problem"])
        right += AS_IN_MATH.get(found, found) == SUBJECTS.get(label, label)
        level = _rules.difficulty(row["problem"], row["solution"])
        exact, near = exact + (level == row["level"]), near + (abs(level - row["level"]) <= 1)
        ours.append(level)
        theirs.append(row["level"])
    assert right >= 0.55 * len(rows)
    assert exact >= 0.3 * len(rows)
    assert near >= 0.7 * len(rows)
    assert statistics.correlation(ours, theirs) > 0.4


COUNTING = """
from pathlib import Path

from porism.engines.scripted import Scripted


def start(model, *, log: str):
    def answer(request, number):
        with Path(log).open("a") as file:
            file.write("asked\\n")
        return '{"explanation": "", "quality": "good"}'

    return Scripted(answer)
"""


def test_a_stage_that_was_cut_off_asks_the_judge_no_more_than_it_must(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine, log = tmp_path / "counting.py", tmp_path / "log"
    engine.write_text(COUNTING)
    given = write(tmp_path / "p.jsonl", [problem(n) for n in range(300)])
    chosen = {"tags": ["words"], "judge": ["quality"], "judge_engine": f"{engine}:start", "judge_model": "any"}
    settings = {**chosen, "judge_options": {"log": str(log)}}
    monkeypatch.setattr(curate, "_CHUNK", 100)
    run("tag", tmp_path / "calm", given, **settings)
    log.unlink()
    true_write, written = placed.to_line, []

    def mortal(value: object) -> bytes:
        written.append(1)
        if len(written) == 250:
            raise KeyboardInterrupt
        return true_write(value)

    monkeypatch.setattr(placed, "to_line", mortal)
    with pytest.raises(KeyboardInterrupt):
        run("tag", tmp_path / "cut", given, **settings)
    before = len(log.read_text().splitlines())
    monkeypatch.setattr(placed, "to_line", true_write)
    run("tag", tmp_path / "cut", given, **settings)
    asked = len(log.read_text().splitlines()) - before
    assert asked == 300 - 192, "the batch in which the third hundred begins is asked as it was planned"
    assert (tmp_path / "cut" / "records.jsonl").read_bytes() == (tmp_path / "calm" / "records.jsonl").read_bytes()
