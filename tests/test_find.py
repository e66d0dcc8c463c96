from pathlib import Path

import pytest

from porism import find
from porism.errors import RecipeError


def test_a_files_name_is_its_name() -> None:
    from porism.problems import gsm8k

    assert find.find("porism.problems", "gsm8k", "load") is gsm8k.load
    assert find.names("porism.problems") == ["file", "gsm8k", "humaneval", "mbpp", "procedural"]
    assert find.summary("porism.problems", "gsm8k").startswith("GSM8K")


def test_outside_code_is_reached(tmp_path: Path) -> None:
    assert find.find("porism.problems", "math:sqrt", "load")(9) == 3
    mine = tmp_path / "mine.py"
    mine.write_text("def twice(x):\n    return 2 * x\n")
    assert find.find("porism.graders", f"{mine}:twice", "grade")(4) == 8


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("gsm8", "Did you mean 'gsm8k'"),
        ("__init__", "Known: file"),
        ("_worked", "Known: file"),
        ("../recipe", "Known: file"),
        ("nowhere.at.all:x", "no module 'nowhere.at.all'"),
        ("math:nothing", "defines no 'nothing'"),
        ("gone.py:x", "no such file"),
    ],
)
def test_a_wrong_name_lists_the_known_ones(name: str, complaint: str) -> None:
    with pytest.raises(RecipeError, match=complaint):
        find.find("porism.problems", name, "load")
