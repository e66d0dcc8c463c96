"""An index is built, brought up to date and searched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from knowledge_kit import asked, build, solved, write

from conftest import problem
from porism import embeddings, knowledge
from porism.embeddings import last_token
from porism.errors import DataError, RecipeError, StorageError
from porism.knowledge import Index


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORISM_HOME", str(tmp_path / "home"))


@pytest.fixture
def records(tmp_path: Path) -> Path:
    return write(tmp_path / "solved.jsonl", [solved(number) for number in range(30)])


def test_solved_problems_are_found_by_words_and_by_meaning(records: Path, tmp_path: Path, tiny_model: Path) -> None:
    made = build([records], tmp_path / "index", tiny_model)
    assert (made.items, made.added, made.removed, made.problems) == (30, 30, 0, 30)
    index = Index(str(tmp_path / "index"))
    query = solved(7).problem.question
    for mode in ("hybrid", "vectors", "words"):
        best = index.search(query, top=3, mode=mode).found
        assert len(best) == 3
        assert best[0].item.problem.question == query
        assert best[0].item.solution == solved(7).text
        assert best[0].score >= best[1].score
    assert index.search("", mode="words").found == []


def test_by_meaning_is_exact(records: Path, tmp_path: Path, tiny_model: Path) -> None:
    build([records], tmp_path / "index", tiny_model)
    questions = [solved(number).problem.question for number in range(30)]
    vectors = embeddings.embed([*questions, "odd one"], encoder="last_token", model=str(tiny_model))
    wanted = np.argsort(-(vectors[:-1] @ vectors[-1]), kind="stable")[:5]
    found = Index(str(tmp_path / "index")).search("odd one", mode="vectors").found
    assert [one.cosine for one in found] == pytest.approx((vectors[:-1] @ vectors[-1])[wanted].tolist(), abs=1e-4)


def test_only_what_is_new_is_embedded(
    records: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORISM_EMBEDDINGS_MB", "0")  # it is the index that knows, not the cache
    build([records], tmp_path / "index", tiny_model)
    embedded: list[str] = []
    encode = last_token.LastToken.encode
    monkeypatch.setattr(
        last_token.LastToken, "encode", lambda self, texts: embedded.extend(texts) or encode(self, texts)
    )
    write(records, [solved(number) for number in range(2, 31)])
    made = build([records], tmp_path / "index", tiny_model)
    assert (made.items, made.added, made.removed) == (29, 1, 2)
    assert embedded == [solved(30).problem.question]
    again = build([records], tmp_path / "index", tiny_model)
    assert (again.items, again.added, again.removed) == (29, 0, 0)
    found = Index(str(tmp_path / "index")).search(solved(0).problem.question, top=29).found
    assert {one.item.record for one in found} == {solved(number).problem.id for number in range(2, 31)}


def test_a_build_that_was_cut_off_goes_on(
    records: Path, tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("porism.knowledge._build._AT_ONCE", 10)
    encode = last_token.LastToken.encode
    calls: list[int] = []

    def once(self: last_token.LastToken, texts: list[str]) -> object:
        calls.append(len(texts))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return encode(self, texts)

    monkeypatch.setattr(last_token.LastToken, "encode", once)
    with pytest.raises(KeyboardInterrupt):
        build([records], tmp_path / "index", tiny_model)
    with pytest.raises(DataError, match="its build was interrupted"):
        Index(str(tmp_path / "index"))
    made = build([records], tmp_path / "index", tiny_model)
    assert (made.items, made.added) == (30, 20)
    assert len(Index(str(tmp_path / "index")).search("apples", top=30).found) == 30


def test_an_index_of_another_embedding_model_is_refused(records: Path, tmp_path: Path, tiny_model: Path) -> None:
    build([records], tmp_path / "index", tiny_model)
    other = tmp_path / "other"
    other.mkdir()
    for file in tiny_model.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    config = other / "config.json"
    config.write_text(config.read_text().replace('"rms_norm_eps": 1e-06', '"rms_norm_eps": 1e-05'))
    with pytest.raises(DataError, match="cannot be compared") as caught:
        build([records], tmp_path / "index", other)
    assert str(tiny_model) in str(caught.value)
    assert str(other) in str(caught.value)
    with pytest.raises(DataError, match="cannot be compared"):
        Index(str(tmp_path / "index"), encoder="last_token", encoder_model=str(other))
    made = build([records], tmp_path / "index", other, rebuild=True)
    assert made.added == 30
    assert Index(str(tmp_path / "index")).size == 30


def test_a_problem_does_not_find_its_own_solution(records: Path, tmp_path: Path, tiny_model: Path) -> None:
    build([records], tmp_path / "index", tiny_model)
    index = Index(str(tmp_path / "index"))
    own = solved(7).problem
    plain = index.search(own.question, top=5)
    assert plain.found[0].item.record == own.id
    assert plain.left_out == {}
    for one in (own, asked(own.question.upper()), asked(own.question.replace("Ann", "Bogdan"))):
        guarded = index.search(one.question, top=5, asked=one, leaks=["id", "question", "near"])
        assert own.id not in [found.item.record for found in guarded.found]
        assert len(guarded.found) == 5
        assert sum(guarded.left_out.values()) >= 1
    everything = index.search(own.question, top=30, asked=own)
    assert len(everything.found) == 29


def test_leaks_do_not_leave_the_result_empty(tmp_path: Path, tiny_model: Path) -> None:
    """More than the pool of copies stand before what may be shown."""
    question = "Kim has 12 pens and buys 30 more pens. How many pens has Kim now?"
    copies = [solved(0, problem=problem(question=f"{'  ' * n}{question}", answer=str(n))) for n in range(80)]
    file = write(tmp_path / "copies.jsonl", [*copies, *[solved(number) for number in range(5)]])
    build([file], tmp_path / "index", tiny_model)
    search = Index(str(tmp_path / "index")).search(question, top=5, mode="words", asked=asked(question))
    assert {one.item.record for one in search.found} == {solved(number).problem.id for number in range(5)}
    assert search.left_out == {"question": 80}


def test_documents_are_found_by_passage(tmp_path: Path, tiny_model: Path) -> None:
    (tmp_path / "guide.md").write_text(
        "# Tides\n\nThe moon pulls the sea.\n\n# Triangles\n\nAngles sum to 180 degrees.\n"
    )
    made = build([tmp_path / "guide.md"], tmp_path / "index", tiny_model)
    assert (made.items, made.documents, made.problems) == (2, 1, 0)
    (best,) = Index(str(tmp_path / "index")).search("sum of the angles", top=1, mode="words").found
    assert best.item.text.startswith("# Triangles")
    assert best.item.number == 1


def test_what_cannot_be_built(tmp_path: Path, records: Path, tiny_model: Path) -> None:
    empty = write(tmp_path / "empty.jsonl", [problem(1, solution="")])
    with pytest.raises(DataError, match=r"nothing to index \(1 a problem without a solution\)"):
        build([empty], tmp_path / "index", tiny_model)
    with pytest.raises(RecipeError, match="overlap less than a passage"):
        build([records], tmp_path / "index", tiny_model, passage=100, overlap=100)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("x")
    with pytest.raises(StorageError, match="is no index"):
        build([records], tmp_path / "mine", tiny_model)
    with pytest.raises(DataError, match="no index is there"):
        Index(str(tmp_path / "nowhere"))


def test_an_encoder_that_is_somebodys_code_is_not_run_unasked(tmp_path: Path, records: Path) -> None:
    code = tmp_path / "bag.py"
    code.write_text(
        "import numpy as np\n"
        "class Bag:\n"
        "    def encode(self, texts):\n"
        "        return np.array([[len(t), t.count('a') + 1, t.count('e')] for t in texts], np.float32)\n"
        "def load(model, *, threads):\n"
        "    return Bag()\n"
    )
    made = knowledge.build(
        knowledge.BuildSettings(input=[str(records)], index=str(tmp_path / "index"), encoder=f"{code}:load")
    )
    assert made.items == 30
    with pytest.raises(RecipeError, match="not run unasked"):
        Index(str(tmp_path / "index"))
    index = Index(str(tmp_path / "index"), encoder=f"{code}:load")
    assert index.search("apples", top=2).found


def test_opened_once_and_again_when_it_changed(records: Path, tmp_path: Path, tiny_model: Path) -> None:
    place = str(tmp_path / "index")
    build([records], place, tiny_model)
    first = knowledge.opened(place)
    assert knowledge.opened(place) is first
    before = knowledge.state(place)
    write(records, [solved(number) for number in range(5)])
    build([records], place, tiny_model)
    assert knowledge.opened(place) is not first
    assert knowledge.opened(place).size == 5
    assert knowledge.state(place) != before


def test_reciprocal_ranks_are_fused() -> None:
    fused = knowledge.fuse([[("a", 9.0), ("b", 8.0), ("c", 7.0)], [("c", 0.3), ("a", 0.2)]])
    assert [name for name, _ in fused] == ["a", "c", "b"]
    assert fused[0][1] == pytest.approx(1 / 61 + 1 / 62)
