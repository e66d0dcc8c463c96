import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import attempt, problem
from porism.curate import filter as keep
from porism.curate._expression import Expression
from porism.errors import RecipeError
from porism.records import Status

TAGS = {
    "difficulty": 4,
    "subject": "number theory",
    "quality": "good",
    "hard": "very hard",
    "judge": {"quality": "excellent", "reward": 7},
    "nothing": None,
    "list": ["a", "b"],
    "flag": True,
    "formula": r"\frac{1}{2} \neq 1",
    "lines": "a\n\tb",
    "quote": "it's",
}


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("difficulty >= 4", True),
        ("difficulty > 4 or subject == 'number theory'", True),
        ("1 < difficulty <= 4", True),
        ("not (difficulty == 4)", False),
        ("subject in ['algebra', 'number theory']", True),
        ("subject not in ('algebra',)", True),
        ("'theory' in subject", True),
        ("'a' in list and 'c' not in list", True),
        ("quality >= 'average' and quality < 'excellent'", True),
        ("hard > 'medium'", True),
        ("quality >= 'medium'", False),  # another scale
        ("judge.quality == 'excellent' and judge.reward / 2 > 3", True),
        ("judge.nothing > 3", False),
        ("missing > 3 or missing < 3 or missing == 3", False),
        ("missing == null and nothing is null and difficulty is not null", True),
        ("subject > 3", False),
        ("difficulty == '4'", False),
        ("flag and flag == true and not false", True),
        ("contains(subject, 'THEORY') and starts_with(subject, 'num') and ends_with(subject, 'ory')", True),
        (r"contains(formula, '\frac') and contains(formula, '\\neq') and not contains(formula, '\nu')", True),
        (r"contains(lines, '\n') and contains(lines, '\n\t') and not contains(formula, '\n')", True),
        (r"quote == 'it\'s' and contains(formula, '\\')", True),
        ("difficulty > 3 and\n  difficulty < 5", True),
        ("length(subject) == 13 and length(difficulty) == null and lower('A') == 'a'", True),
        ("difficulty * 2 - 1 == 7 and difficulty + 0.5 == 4.5 and -1 < difficulty", True),
        ("difficulty / 0 == null and subject + 1 == null", True),
        ("difficulty % 2 == 0", None),
    ],
)
def test_what_a_condition_means(text: str, holds: bool | None) -> None:
    if holds is None:
        with pytest.raises(RecipeError, match="is not allowed"):
            Expression(text)
    else:
        assert Expression(text)(TAGS) is holds


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('true')",
        "open('/etc/passwd')",
        "().__class__",
        "difficulty.__class__",
        "_private",
        "[x for x in list]",
        "lambda: 1",
        "f'{difficulty}'",
        "list[0]",
        "9 ** 9 ** 9",
        "'a' * 10 ** 9 if 1 else 2",
        "contains(subject)",
        "contains(*list)",
        "contains(one=subject, other='a')",
        "(x := 3)",
        "b'bytes'",
        "1j",
        "...",
        "difficulty >",
        "",
        "a b",
        "(" * 300 + "1" + ")" * 300,
        "not " * 200 + "1",
        "a" + ".b" * 1500,
        "a" + "[0]" * 1200,
        "a + " * 200 + "1",
        "x" * 5000,
    ],
)
def test_nothing_else_is_taken(text: str) -> None:
    with pytest.raises(RecipeError, match="where: "):
        Expression(text)


@given(st.text(max_size=60))
def test_any_text_is_a_condition_or_a_mistake_of_the_user(text: str) -> None:
    try:
        condition = Expression(text)
    except RecipeError:
        return
    assert condition(TAGS) in (True, False)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
)


@given(VALUES, VALUES)
def test_no_tag_stops_a_condition(one: object, other: object) -> None:
    condition = Expression(
        "a < b or a == b or a in b or not a >= 1 or a + b > 1 or a / b < a * b or "
        "length(a) > 1 or a.x == 'y' or contains(a, b)"
    )
    assert condition({"a": one, "b": other}) in (True, False)


def test_records_are_asked_for_their_fields_and_tags(capsys: pytest.CaptureFixture[str]) -> None:
    records = [attempt(0), attempt(1, Status.WRONG), problem(2, meta={"difficulty": 5})]
    kept = [not reason for _, reason in keep.curate(records, where="correct or difficulty == 5")]
    assert kept == [True, False, True]
    reasons = [reason for _, reason in keep.curate(records, where="status == 'correct' and completion_tokens == 5")]
    assert reasons == [
        "",
        "condition: completion_tokens is 5, status is 'wrong'",
        "condition: completion_tokens is None, status is None",
    ]
    assert [bool(reason) for _, reason in keep.curate(records, where="group == 'g0' and source == 'test'")] == [
        False,
        True,
        False,
    ]
    capsys.readouterr()
    list(keep.curate(records, where="dificulty == 5"))
    assert "no record has the tag 'dificulty'. Did you mean 'difficulty'?" in capsys.readouterr().err
