import dataclasses
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import attempt, problem
from porism import store
from porism.records import Example, Message, Problem, Status, Verdict, content_id, to_row


def test_id_is_the_hash_of_what_the_record_says() -> None:
    assert problem(1).id == problem(1, group="other", meta={"a": 1}).id
    assert problem(1).id != problem(1, answer="3").id
    assert attempt(1).id != attempt(1, sample=1).id
    # Written down, so that a change of the hash, which would orphan every stored run, is noticed.
    assert content_id("problem", "1+1?", "2", "number") == "1af8f72670e1e662"


def test_records_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        problem().question = "else"  # type: ignore[misc]


@given(
    question=st.text(),
    answer=st.text(),
    meta=st.dictionaries(st.text(), st.integers() | st.text() | st.lists(st.booleans())),
)
def test_a_row_on_disk_reads_back_as_the_record(question: str, answer: str, meta: dict[str, object]) -> None:
    for record in (
        Problem(question=question, answer=answer, meta=meta),
        attempt(3, text=answer, meta=meta),
        attempt(3, Status.UNPARSED, verdict=Verdict(status=Status.UNPARSED)),
        Example(prompt=[Message(role="user", content=question)], completion=[Message(role="assistant", content="")]),
    ):
        assert store.parse(json.loads(json.dumps(to_row(record)))) == record


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"question": "?"}, "answer"),
        ({"question": "?", "answer": 5}, "answer"),
        ({"question": "?", "answer": "5", "anser": "6"}, "anser"),
        ({"text": "?"}, "expected a problem"),
        ({"problem": {"question": "?"}, "strategy": "x", "messages": [], "text": ""}, "problem.answer"),
    ],
)
def test_a_wrong_row_names_the_field(row: dict[str, object], complaint: str, tmp_path) -> None:
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps(to_row(problem())) + "\n\n" + json.dumps(row) + "\n")
    with pytest.raises(store.DataError, match=rf"rows.jsonl, line 3: .*{complaint}"):
        list(store.read(file))
