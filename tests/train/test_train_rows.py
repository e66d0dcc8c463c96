"""Where the loss is: masks that the data bring, weights of reasoning and answer, several turns; layouts of rows."""

import json
from pathlib import Path
from typing import Any

import pytest
from train_kit import assistant, user

from conftest import attempt, problem
from porism.errors import DataError, ModelError
from porism.models.load import load
from porism.prompts.render import encode
from porism.records import Example, to_row
from porism.train import _layouts, _rows
from porism.train._weights import parts


@pytest.fixture(scope="module")
def tokenizer(tiny_model: Path) -> Any:
    return load(str(tiny_model)).tokenizer


def learnt(tokenizer: Any, row: _rows.Row, weight: float = 1.0) -> str:
    """The text of the tokens with this weight."""
    ids = [token for token, own in zip(row.tokens.completion, row.weights, strict=True) if own == weight]
    return str(tokenizer.decode(ids, skip_special_tokens=False))


def of(tokenizer: Any, text: str, *, by_part: dict[str, float] | None = None, **fields: Any) -> _rows.Row:
    return _rows.row(tokenizer, Example(prompt=user("q"), completion=assistant(text), **fields), 1000, by_part)


def test_one_turn_is_learnt_as_it_stands(tokenizer: Any) -> None:
    row = of(tokenizer, "  4 + 5 = 9\n#### 9 ")
    assert row.tokens.prompt == encode(tokenizer, user("q"))
    assert learnt(tokenizer, row) == "  4 + 5 = 9\n#### 9 <|im_end|>"
    assert set(row.weights) == {1.0}


def test_only_the_assistant_is_learnt(tokenizer: Any) -> None:
    chat = [*assistant("bb"), *user("ccc"), *assistant("dddd")]
    row = _rows.row(tokenizer, Example(prompt=user("a"), completion=chat), 1000)
    assert learnt(tokenizer, row) == "bb<|im_end|>dddd<|im_end|>"
    whole = tokenizer.apply_chat_template([*user("a"), *chat], tokenize=False).removesuffix("\n")
    assert tokenizer.decode([*row.tokens.prompt, *row.tokens.completion], skip_special_tokens=False) == whole


def test_a_template_that_changes_earlier_turns_is_refused(tiny_model: Path) -> None:
    loaded = load(str(tiny_model))
    loaded.tokenizer.chat_template = (
        "{% for m in messages %}{% if loop.last or m.role == 'user' %}"
        "{{ m.role }}: {{ m.content }}<|im_end|>{% endif %}"
        "{% endfor %}{% if add_generation_prompt %}assistant: {% endif %}"
    )
    chat = [*assistant("bb"), *user("ccc"), *assistant("dddd")]
    with pytest.raises(ModelError, match="renders a prompt differently"):
        _rows.row(loaded.tokenizer, Example(prompt=user("a"), completion=chat), 1000)


def test_masks_by_token(tokenizer: Any) -> None:
    row = of(tokenizer, "abcd", loss_mask=[0, 1, 1, 0])
    assert learnt(tokenizer, row) == "bc<|im_end|>"
    assert learnt(tokenizer, of(tokenizer, "abcd", loss_mask=[0, 1, 1, 0, 0])) == "bc"
    assert list(of(tokenizer, "abcd", loss_mask=[0.5, 0, 0, 2]).weights) == [0.5, 0, 0, 2, 1]
    for wrong in ([1, 0], [1] * 6):
        with pytest.raises(DataError, match=rf"has {len(wrong)} numbers, but its output has 4 tokens \(5 with"):
            of(tokenizer, "abcd", loss_mask=wrong)
    assert of(tokenizer, "abcd", loss_mask=[0] * 5).reason == "no token carries a loss"
    for wrong in (-100, float("inf"), float("nan")):
        with pytest.raises(DataError, match="loss_mask: expected numbers of at least 0, got"):
            of(tokenizer, "abcd", loss_mask=[1, 1, 1, wrong])
    with pytest.raises(DataError, match=r"the first: no token carries a loss. Mend the rows."):
        _rows.render(tokenizer, [Example(prompt=user("q"), completion=assistant("a"), loss_mask=[0, 0])], 1000)


def test_masks_by_character(tokenizer: Any) -> None:
    assert learnt(tokenizer, of(tokenizer, "abcdef", loss_mask=[[1, 3], [4, 5]])) == "bce"
    assert learnt(tokenizer, of(tokenizer, "abcdef", loss_mask=[[4, 6]])) == "ef<|im_end|>"
    for wrong in ([[4, 7]], [[3, 3]], [[1, 2, 3]], [[0, 2], 1]):
        with pytest.raises(DataError, match="expected spans"):
            of(tokenizer, "abcdef", loss_mask=wrong)


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("4 + 5 = 9\n#### 9", "#### 9<|im_end|>"),
        (r"so \boxed{9} it is", r"\boxed{9}<|im_end|>"),
        ("<think>4 + 5</think>It is 9.", "It is 9.<|im_end|>"),
        ("nothing of the kind", "<|im_end|>"),
    ],
)
def test_answers_may_weigh_more(tokenizer: Any, text: str, answer: str) -> None:
    row = of(tokenizer, text, by_part={"reasoning": 1.0, "answer": 2.0})
    assert learnt(tokenizer, row, 2.0) == answer
    assert set(row.weights) <= {1.0, 2.0}
    assert learnt(tokenizer, of(tokenizer, text, by_part={"reasoning": 0.0}), 1.0) == answer


def test_the_data_may_say_where_the_answer_stands(tokenizer: Any) -> None:
    row = of(tokenizer, "it is nine, I think", by_part={"answer": 3.0}, meta={"answer_span": [6, 10]})
    assert learnt(tokenizer, row, 3.0) == "nine<|im_end|>"
    assert parts("plain") == []
    chat = [*assistant("it is one"), *user("sure?"), *assistant("it is nine, I think")]
    example = Example(prompt=user("q"), completion=chat, meta={"answer_span": [6, 10]})
    row = _rows.row(tokenizer, example, 1000, {"answer": 3.0})
    assert learnt(tokenizer, row, 3.0) == "<|im_end|>nine<|im_end|>", "the span belongs to the last turn"
    for wrong in ([6, 99], [6], "6-10", [6.5, 10], {}):
        with pytest.raises(DataError, match=r"meta.answer_span: expected a span \[start, end\] within the output's 19"):
            of(tokenizer, "it is nine, I think", by_part={"answer": 3.0}, meta={"answer_span": wrong})


@pytest.mark.parametrize(
    "row",
    [
        {"messages": [*user("q"), *assistant("a")]},
        {"conversations": [{"from": "human", "value": "q"}, {"from": "gpt", "value": "a"}]},
        {"input": "q", "output": "a"},
        {"instruction": "q", "input": "", "output": "a"},
        {"prompt": "q", "completion": "a"},
        {"prompt": "q", "completion": "a", "answer": "9", "source": "elsewhere"},
        {"question": "q", "answer": "a"},
        {"question": "q", "answer": "9", "solution": "a"},
    ],
)
def test_layouts_of_rows(tmp_path: Path, row: dict[str, Any]) -> None:
    for name, text in (("r.jsonl", json.dumps(row) + "\n"), ("r.json", json.dumps([row], indent=1))):
        (tmp_path / name).write_text(text)
        found = _rows.examples([str(tmp_path / name)], allow_unverified=False)
        assert [(one.prompt, one.completion) for one in found] == [(user("q"), assistant("a"))]


def test_masks_and_labels_survive_the_layouts(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    file.write_text(json.dumps({"input": "q", "output": "abc", "loss_mask": [0, 1, 1]}) + "\n")
    (found,) = _rows.examples([str(file)], allow_unverified=False)
    assert found.loss_mask == [0, 1, 1]
    assert found.id != Example(prompt=found.prompt, completion=found.completion).id
    assert to_row(found)["loss_mask"] == [0, 1, 1]


def test_unwanted_answers_are_not_taught(tmp_path: Path) -> None:
    file = tmp_path / "r.jsonl"
    rows = [{"prompt": "q", "completion": "a", "label": True}, {"prompt": "q", "completion": "b", "label": False}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    with pytest.raises(DataError, match=r"r\.jsonl: the label of the row \w+ is false: its answer is not wanted"):
        _rows.examples([str(file)], allow_unverified=False)
    assert len(_rows.examples([str(file)], allow_unverified=True)) == 2


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ({"messages": user("q")}, "the assistant answers"),
        ({"messages": [{"role": "user"}]}, "texts role and content"),
        ({"conversations": [{"from": "nobody", "value": "q"}]}, "'from' to be one of"),
        ({"conversations": ["q"]}, "'from' to be one of .*got 'q'"),
        ({"conversations": [{"from": "human"}]}, "texts role and content"),
        ({"text": "q"}, "expected a problem"),
        (["q"], "expected an object"),
    ],
)
def test_rows_of_no_layout_name_their_place(tmp_path: Path, row: Any, complaint: str) -> None:
    (tmp_path / "r.json").write_text(json.dumps([row]))
    with pytest.raises(DataError, match=rf"r.json, row 1: .*{complaint}"):
        list(_layouts.read(tmp_path / "r.json", Example))


def test_attempts_and_problems_are_rows(tmp_path: Path) -> None:
    assert _rows.example_of(attempt(1)).completion == assistant("#### 2")
    assert _rows.example_of(problem(1)).completion == assistant("1 + 1 = 2\n#### 2")
