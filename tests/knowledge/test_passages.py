"""Documents are cut where a reader would."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from porism.knowledge._passages import passages

TEXT = """# Rivers

The Nile is long.

It flows north.

## Bridges

A bridge is built.

```
line one

line two
```
"""


def test_headings_begin_passages_and_fences_stay_whole() -> None:
    found = [passage.text for passage in passages(TEXT, size=200, overlap=0)]
    assert found == [
        "# Rivers\n\nThe Nile is long.\n\nIt flows north.",
        "## Bridges\n\nA bridge is built.\n\n```\nline one\n\nline two\n```",
    ]


def test_long_paragraphs_end_with_sentences_and_share_words() -> None:
    sentence = "This is a sentence of some length. "
    found = passages(sentence * 20, size=200, overlap=40)
    assert all(len(passage.text) <= 200 for passage in found)
    assert all(passage.text.endswith(".") for passage in found)
    assert found[1].text[:20] in found[0].text
    assert passages(sentence * 20, size=200, overlap=0)[1].text[:20] == sentence[:20]


def test_what_stands_before_is_kept() -> None:
    found = passages("A question is here.\n\n" + "x" * 150 + "\n\nIts answer.", size=150, overlap=0)
    assert found[0].before == ""
    assert "A question is here." in found[1].before
    assert len(found[-1].before) <= 300


def test_scripts_without_spaces() -> None:
    found = passages("小明有三个苹果。他又买了两个。" * 30, size=100, overlap=0)
    assert all(passage.text.endswith("。") for passage in found)


@pytest.mark.parametrize("text", ["", "\n\n", "   \n"])
def test_nothing(text: str) -> None:
    assert passages(text) == []


@given(st.text(alphabet="ab .#`\n苹。", max_size=600), st.integers(100, 150), st.integers(0, 60))
def test_nothing_is_lost_and_nothing_too_long(text: str, size: int, overlap: int) -> None:
    found = passages(text, size=size, overlap=overlap)
    assert all(len(passage.text) <= size for passage in found)
    assert sorted(set("".join("".join(p.text for p in found).split()))) == sorted(set("".join(text.split())))
    if not overlap:
        assert "".join("".join(p.text for p in found).split()) == "".join(text.split())
