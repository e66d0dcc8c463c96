from pathlib import Path

import pytest

from porism.errors import RecipeError
from porism.synth._domains import NONE, Domain, chosen, known, quotas
from porism.synth._sanitise import Rules, clean

ALGEBRA = chosen(["algebra"])[0]
ANY = Rules(language="", shortest=8)


def kept(text: str, *, whole: bool = True, rules: Rules = ANY) -> str:
    found = clean(text, whole=whole, domain=ALGEBRA, rules=rules)
    assert not found.reason, found
    return found.text


def reason(text: str, *, whole: bool = True, rules: Rules = ANY) -> str:
    return clean(text, whole=whole, domain=ALGEBRA, rules=rules).reason


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("1. Solve x + 1 = 3.", "Solve x + 1 = 3."),
        ("Question 3: What is 7 * 8?", "What is 7 * 8?"),
        ("**Problem:** Find x if 2x = 8.", "Find x if 2x = 8."),
        ("### Algebra Problem 12\nFind x if 2x = 8.", "Find x if 2x = 8."),
        ("Q: What is 7 * 8?", "What is 7 * 8?"),
        ('"What is 7 * 8?"', "What is 7 * 8?"),
        ("**What is 7 * 8?**", "What is 7 * 8?"),
        ("user\nWhat is 7 * 8?", "What is 7 * 8?"),
        ("What is 7 * 8?<|im_end|>\n<|im_start|>assistant\n56", "What is 7 * 8?"),
        ("What is 7 * 8?<|im_end", "What is 7 * 8?"),
        ("What is 7 * 8?<|end|", "What is 7 * 8?"),
        ("What is 7 * 8?<|", "What is 7 * 8?"),
        ("<|im_start|>What is 7 * 8?", "What is 7 * 8?"),
        ("What is 7 * 8?<｜Assistant｜><think>\nWell", "What is 7 * 8?"),
        ("What is 7 * 8?\nassistant\nIt is 56.", "What is 7 * 8?"),
        ("What is 7 * 8?\nAssistant: It is 56.", "What is 7 * 8?"),
        ("What is 7 * 8? Answer: 56", "What is 7 * 8?"),
        ("What is 7 * 8?\n\nSolution:\n7 * 8 = 56", "What is 7 * 8?"),
        ("What is 7 * 8?\n\n## Step 1\nMultiply.", "What is 7 * 8?"),
        ("What is 7 * 8?\n\nTo solve this problem, we multiply.", "What is 7 * 8?"),
        ("What is 7 * 8?\nSure! It is 56.", "What is 7 * 8?"),
        ("Q: What is 7 * 8?\n\nA:", "What is 7 * 8?"),
    ],
)
def test_what_is_no_part_of_an_instruction_is_taken_away(text: str, wanted: str) -> None:
    assert kept(text) == wanted


@pytest.mark.parametrize(
    "text",
    [
        "Write a function that adds an assistant to a list of assistants.",
        "A teaching assistant grades 12 papers an hour. How many in 5 hours?",
        "Tom has $5 and spends $2. How many dollars are left?",
        "To find the height of a tree, Ann measures a shadow of 3 m. What else does she need?",
        "Let x be a number.\nIf x + 1 = 3, what is x?",
        "Find the solution set of x^2 = 4.",
        "Prove that the answer is unique: if 2x = 4 then x = 2.",
        "Solve the following system:\n x + y = 3\n x - y = 1",
        "Explain each step when solving 3x + 2 = 11.",
        "What is the remainder when 22^21 is divided by 5.",
        "The sum of 2x + 3 is 5. If x is a real number, what is the value of x^4",
        "I want to know the number of ways to tile a 2 by 8 board.",
        "Solve the problem: 2x + 3 = 7.",
        "Write a statement. Then prove it.",
        r"Evaluate $\sum_{n=1}^{\infty} \frac{1}{n^{2}}$.",
        r"Simplify $x^{\frac{1}{2^{3}}}$, where $x > 0$.",
        "Prove that |x|<|y| implies x^2 < y^2 for all real x and y.",
        "We have 3 red and 2 blue balls. What is the chance of a red one?",
    ],
)
def test_real_questions_stay_whole(text: str) -> None:
    assert kept(text) == text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "template junk"),
        ("<|im_end|>", "template junk"),
        ("assistant\nThe answer is 4.", "leaked solution: no question before it"),
        ("Answer: 4", "leaked solution: no question before it"),
        ("Solve for [insert variable here] in the equation.", "template junk: a placeholder"),
        ("Find {{ number }} in the sequence 1, 2, 3.", "template junk: a placeholder"),
        ("Find x \ufffd\ufffd in the equation.", "template junk: broken characters"),
        ("Find x: ++==--++==--++==--++==--", "template junk: hardly any words"),
        ("What is " + "the sum of the numbers in the list of numbers " * 4 + "?", "template junk: it repeats itself"),
        ("Find the values of the following:", "ends in a colon"),
        ("Find the value of $x + 1", "truncated: its end hangs"),
        ("Solve the equation for x and the", "truncated: its end hangs"),
        ("Solve x?", "too short: 8 characters"),
        ("To solve the equation, we first isolate x on the left.", "not a question: it answers one"),
        ("Sure, here is a problem for you about cats and dogs.", "leaked solution: no question before it"),
        ("I am glad to help you with algebra today.", "not a question: it answers one"),
        ("We have to find x, so we write 2x = 4.", "not a question: it answers one"),
        ("Linear equations with two variables.", "not a question: it asks for nothing"),
        ("You are a helpful AI assistant that solves riddles.", "copies the system message"),
        ("The user asks what the sum of two numbers is.", "not a question: it tells of a user"),
        (
            "An equation, a system of equations, an inequality, a polynomial, a sequence: solve one.",
            "copies the system message",
        ),
    ],
)
def test_what_is_no_instruction_is_dropped_with_the_reason(text: str, wanted: str) -> None:
    rules = Rules(language="", shortest=9)
    assert reason(text, rules=rules) == wanted


def test_options_of_the_rules_have_their_effect() -> None:
    cut_off = "Find the value of x if 2x + 3 equals seven"
    assert reason(cut_off, whole=False) == "truncated"
    assert kept(cut_off) == cut_off
    answered = "What is 7 * 8?\nAnswer: 56 because seven"
    assert kept(answered, whole=False) == "What is 7 * 8?", "the question was whole"
    assert reason(answered, rules=ANY._replace(leaked="drop")) == "leaked solution"
    assert reason("What is 7 * 8?", rules=ANY._replace(longest=10)) == "too long: 14 characters"
    about_cats = "Why do cats purr at night?"
    assert kept(about_cats) == about_cats
    assert reason(about_cats, rules=ANY._replace(on_domain=True)) == "off the domain: none of its words"
    assert kept("Solve 3y = 9 now.", rules=ANY._replace(on_domain=True))


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Find the value of the number whose square is four hundred.", ""),
        ("Trouvez la valeur du nombre dont le carré est égal à quatre cents, solve it.", "wrong language: fr"),
        ("请找出平方等于四百的数值是多少?请一步一步地解释你的推理过程。", "wrong language: zh"),
        (r"Solve $\frac{a}{b} = \sqrt{c}$ and $x^2 + y^2 = z^2$.", ""),
    ],
)
def test_other_languages_are_dropped_and_formulas_are_no_language(text: str, wanted: str) -> None:
    assert reason(text, rules=Rules(shortest=8)) == wanted


def test_shown_questions_are_not_taken_for_new_ones() -> None:
    shown = Domain(name="sums", shown=[["What is the sum of one and two?", "It is 3."]])
    assert [one["role"] for one in shown.conversation()] == ["user", "assistant"]
    again = clean("What is the sum of one and two?", whole=True, domain=shown, rules=ANY)
    assert again.reason == "copies the system message"
    assert not clean("What is the sum of nine and four?", whole=True, domain=shown, rules=ANY).reason


def test_a_shown_question_with_other_numbers_is_another_question() -> None:
    shown = Domain(name="gcd", shown=[["What is the greatest common divisor of 48 and 180?", "It is 12."]])
    again = clean("What is the greatest common divisor of 48 and 180", whole=True, domain=shown, rules=ANY)
    assert again.reason == "copies the system message"
    assert not clean("What is the greatest common divisor of 36 and 90?", whole=True, domain=shown, rules=ANY).reason


def test_shown_questions_stand_in_turn() -> None:
    pool = [[f"What is {number}?", f"{number}."] for number in range(5)]
    two = Domain(name="two", system="You count.", shown=pool, show=2)
    asked = [[one["content"] for one in two.conversation(number)[1::2]] for number in range(6)]
    assert asked[0] == ["What is 0?", "What is 1?"]
    assert asked[4] == ["What is 4?", "What is 0?"]
    assert asked[5] == asked[0]
    assert two.prompts == len({tuple(one) for one in asked}) == 5
    for size in (0, 5, 9):
        every = Domain(name="all", shown=pool, show=size)
        assert every.prompts == 1
        assert len(every.conversation(3)) == 10
        assert every.conversation(3)[0]["content"] == "What is 0?"


@pytest.mark.parametrize(
    ("text", "has_data"),
    [
        ("What is the probability of drawing a marble of a specific color?", False),
        ("Why is the sum of the angles of a triangle always the same?", False),
        ("How do you find the area of a figure?", False),
        ("What is the area of a square with side 4?", True),
        ("A circle has twice the area of another one. How do the radii compare?", True),
        ("Find the derivative of sin(x).", True),
        ("Solve a = b - c for b, please.", True),
        (r"Simplify \frac{a}{b} as far as you can.", True),
        ("A coin is tossed three times. What is the chance of heads each time?", True),
    ],
)
def test_where_data_are_asked_for_a_number_or_a_formula_must_stand_there(text: str, has_data: bool) -> None:
    assert kept(text) == text
    wanted = "" if has_data else "nothing given: no number and no formula"
    assert reason(text, rules=ANY._replace(with_data=True)) == wanted


def test_every_shipped_domain_is_whole() -> None:
    page = (Path(__file__).parents[2] / "docs" / "synth.md").read_text(encoding="utf-8")
    for name, domain in known().items():
        assert domain.name == name
        assert f"`{name}`" in page
        assert (not domain.system) == (name == NONE)
        assert 0 <= domain.temperature <= 2
        assert domain.system == "" or domain.words
    with pytest.raises(RecipeError, match="Did you mean 'geometry'"):
        chosen(["geometri"])
    with pytest.raises(RecipeError, match="'algebra' stands twice"):
        chosen(["algebra", "algebra"])


@pytest.mark.parametrize("total", [1, 2, 5, 7, 100, 1000])
def test_quotas_add_up_and_keep_to_their_weights(total: int) -> None:
    domains = [Domain(name=name) for name in ("a", "b", "c")]
    for weights in ({}, {"a": 2.0}, {"b": 0.0}, {"a": 0.1, "b": 0.7}):
        found = quotas(total, domains, weights)
        assert sum(found) == total
        shares = [weights.get(name, 1.0) for name in ("a", "b", "c")]
        for count, share in zip(found, shares, strict=True):
            assert abs(count - total * share / sum(shares)) < 1
    with pytest.raises(RecipeError, match="'d' is none of the domains"):
        quotas(total, domains, {"d": 1.0})
    with pytest.raises(RecipeError, match="at least one domain"):
        quotas(total, domains[:1], {"a": 0.0})
