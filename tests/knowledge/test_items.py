"""What is read into an index, and what is left out with a reason."""

from pathlib import Path

import pytest
from knowledge_kit import solved, write

from conftest import attempt, problem
from porism.errors import DataError
from porism.knowledge._items import Item, Reading, from_data, to_data, words
from porism.records import Example, Message, Status


def test_solved_problems_are_taken_and_others_counted(tmp_path: Path) -> None:
    records = [
        solved(0),
        solved(0, sample=1),
        attempt(1, Status.WRONG),
        attempt(2, verdict=None),
        problem(3),
        problem(4, solution=""),
        Example(prompt=[Message(role="user", content="a")], completion=[]),
    ]
    file = write(tmp_path / "records.jsonl", [*records, {"x": 1}])
    file.write_text(f"{file.read_text()}no json\n")
    reading = Reading([str(tmp_path)])
    found = list(reading.items())
    assert [item.record for item in found] == [solved(0).problem.id, problem(3).id]
    assert found[0].solution == solved(0).text
    assert found[1].problem.solution == problem(3).solution
    assert reading.left_out == {
        "a further solution": 1,
        "not correct": 1,
        "not graded": 1,
        "a problem without a solution": 1,
        "no record and no text": 3,
    }


def test_several_solutions_of_a_problem(tmp_path: Path) -> None:
    records = [solved(0), solved(0, text="another way\n#### 320"), solved(0, text="a third\n#### 320")]
    file = write(tmp_path / "a.jsonl", records)
    assert [item.solution for item in Reading([str(file)], of_each=2).items()] == [one.text for one in records[:2]]


def test_documents(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.md").write_text("# One\n\ntext of one\n")
    (tmp_path / "b.txt").write_text("plain \0 text")
    (tmp_path / ".hidden.txt").write_text("not this")
    (tmp_path / "picture.png").write_bytes(b"\x89")
    write(tmp_path / "rows.jsonl", [{"title": "T", "text": "row one"}, {"content": "row \ud800 two"}])
    reading = Reading([str(tmp_path)])
    found = {item.source: item.text for item in reading.items()}
    assert found == {
        "b.txt": "plain   text",
        "in/a.md": "# One\n\ntext of one",
        "rows.jsonl:1": "T\n\nrow one",
        "rows.jsonl:2": "row \ufffd two",
    }
    assert reading.documents == 4


def test_the_same_passage_twice_is_one(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("the same")
    reading = Reading([str(file), str(file)])
    assert len(list(reading.items())) == 1
    assert reading.left_out["the same as another one"] == 1


@pytest.mark.parametrize(
    ("name", "said"), [("a.pdf", "expected a stage's folder"), ("none.txt", "no such file"), ("empty", "found none")]
)
def test_what_cannot_be_read(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=said):
        list(Reading([str(tmp_path / name)]).items())


def test_an_item_comes_back_as_it_was() -> None:
    item = Item(kind="document", text="é 苹果", source="a", number=3, before="b")
    assert from_data(to_data(item)) == item
    assert item.id != Item(kind="document", text="é 苹果", source="a", number=4, before="b").id


def test_words_of_every_script() -> None:
    assert words("Ann's 3 苹果!") == "ann s 3 苹 果"
