"""Every definition of a step on real texts in three languages, on any text, and on texts that are made to be slow."""

import json
import time
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from porism.chains import Definition, counts, steps
from porism.errors import RecipeError

DEFINITIONS = get_args(Definition)


def pieces(text: str, by: Definition) -> list[str]:
    return [step.of(text).strip() for step in steps(text, by)]


def labels(text: str, by: Definition) -> list[str]:
    return [step.label for step in steps(text, by)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("He has 3.5 kg. She has 1,000.25 kg! Why?", ["He has 3.5 kg.", "She has 1,000.25 kg!", "Why?"]),
        ("Use e.g. apples, i.e. fruit. Dr. Smith ate.", ["Use e.g. apples, i.e. fruit.", "Dr. Smith ate."]),
        ("See Fig. 3 and Eq. 4, No. 5. Done.", ["See Fig. 3 and Eq. 4, No. 5.", "Done."]),
        ("Pens, etc. are cheap. Pens, etc. They sell.", ["Pens, etc. are cheap.", "Pens, etc.", "They sell."]),
        ("The U.S. Army is approx. 5 ft. tall.", ["The U.S. Army is approx. 5 ft. tall."]),
        ("See J. Smith and J. R. Tolkien. Then go.", ["See J. Smith and J. R. Tolkien.", "Then go."]),
        ("The answer is B. Then stop.", ["The answer is B.", "Then stop."]),
        ("So 1, 2, ..., n. Hmm... let me see... Yes.", ["So 1, 2, ..., n.", "Hmm... let me see...", "Yes."]),
        ("Go to https://a.b/c.d?e=f. Then v1.2.3 runs.", ["Go to https://a.b/c.d?e=f.", "Then v1.2.3 runs."]),
        ("5! = 120 and n! ways. Wow! Yes", ["5! = 120 and n! ways.", "Wow!", "Yes"]),
        ("It costs $5. Then $6 more.", ["It costs $5.", "Then $6 more."]),
        ("Let $a. B$ be. Let \\(c. D\\) be.", ["Let $a. B$ be.", "Let \\(c. D\\) be."]),
        ("So $x = 5.$ Then $y = 6.$", ["So $x = 5.$", "Then $y = 6.$"]),
        ("We get\n\\[ x. Y \\]\nso it is\nlarge.\nEnd", ["We get\n\\[ x. Y \\]\nso it is\nlarge.", "End"]),
        ("A\n\\begin{align}\nx. Y\n\nz\n\\end{align}\nB", ["A\n\\begin{align}\nx. Y\n\nz\n\\end{align}", "B"]),
        ("Run `a. B`. It prints.\n```py\nx = 1. \n\nY\n```\nEnd", None),
        ("1. Find x.\n2. Find y.\n- a\n- b", ["1. Find x.", "2. Find y.", "- a", "- b"]),
        ("She sold 48\nShe sold 24\n#### 72", ["She sold 48", "She sold 24", "#### 72"]),
        ("## Plan\nadd them", ["## Plan", "add them"]),
        ('He said "Go." Then (she left.) **Bold.** End', ['He said "Go."', "Then (she left.)", "**Bold.**", "End"]),
        ("他有3.5元。然后呢？好！「对。」结束", ["他有3.5元。", "然后呢？", "好！", "「对。」", "结束"]),
        ("答案是5.所以对", ["答案是5.", "所以对"]),
        ("1.首先加。２．次に", ["1.首先加。", "２．", "次に"]),
        (
            "りんごは３．５kgです。「はい。」と言った！終わり",
            ["りんごは３．５kgです。", "「はい。」", "と言った！", "終わり"],
        ),
    ],
)
def test_sentences(text: str, found: list[str] | None) -> None:
    if found is None:
        found = ["Run `a. B`.", "It prints.", "```py\nx = 1. \n\nY\n```", "End"]
    assert pieces(text, "sentence") == found


def test_paragraphs() -> None:
    text = "a\nb\n\n\nc\n \t\nd\n```\ne\n\nf\n```\n\n\\[\n\ng\n\n\\]\n"
    assert pieces(text, "paragraph") == ["a\nb", "c", "d\n```\ne\n\nf\n```", "\\[\n\ng\n\n\\]"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Plan:\n1. add\n2. double\n   1. a\n   2. b\n3. stop\nDone.", ["", "1.", "2.", "3."]),
        ("1) a\n2) b", ["1)", "2)"]),
        ("(1) a\n(2) b", ["(1)", "(2)"]),
        ("1、甲\n2、乙", ["1、", "2、"]),
        ("１．甲\n２．乙", ["１．", "２．"]),
        ("① a\n② b", ["①", "②"]),
        ("Step 1: a\nStep 2. b\nStep 3 - c", ["Step 1", "Step 2", "Step 3"]),
        ("**Step 1**\na\n### Step 2: b", ["Step 1", "Step 2"]),
        ("Step one: a\nStep two: b", ["Step one", "Step two"]),
        ("Step 1: a\n1. x\n2. y\n3. z\nStep 2: b", ["Step 1", "Step 2"]),
        ("### 1. A\n1. x\n2. y\n3. z\n### 2. B", ["1.", "2."]),
        ("第一步，甲\n第二步：乙", ["第一步", "第二步"]),
        ("第1步：甲\n第2步：乙", ["第1步", "第2步"]),
        ("步骤1：甲\n步骤二：乙", ["步骤1", "步骤二"]),
        ("ステップ1：甲\nステップ2：乙", ["ステップ1", "ステップ2"]),
        ("手順1 甲\n手順2 乙", ["手順1", "手順2"]),
        ("第九步：a\n第十步：b", [""]),
        ("7. alone", [""]),
        ("3. 5 + 4\n12 + 5 = 17", [""]),
        ("1. 5 + 4 = 9\n2. 9 + 1 = 10", ["1.", "2."]),
        ("1. a\n7. no mark\n2. b", ["1.", "2."]),
        ("1.5 is\n2.5 is", [""]),
        ("Step 1 gives us x.\nStep 2 gives y.", [""]),
        ("```\n1. a\n2. b\n```\n1. c", ["", "1."]),
        ("1. a\n2. b\n\n1. x\n2. y\n3. z", ["", "1.", "2.", "3."]),
        ("First, we add. Second, we double. Finally, stop.", ["First", "Second", "Finally"]),
        ("First Street is long. Then, go.", [""]),
        ("First, we add it.", [""]),
        ("1. a\n2. First, add. Then, stop.", ["1.", "2."]),
        ("首先加。其次乘。最后停。", ["首先", "其次", "最后"]),
        ("まず足す。次に掛ける。最後に止める。", ["まず", "次に", "最後に"]),
    ],
)
def test_numbered(text: str, found: list[str]) -> None:
    assert labels(text, "numbered") == found
    assert counts(text)["numbered"] == sum(1 for label in found if label)


def test_long_numbers_in_words() -> None:
    words = ["一", "二", "三", "四", "五", "六", "七", "八", "九", "十", "十一", "十二"]
    assert counts("\n".join(f"第{word}步" for word in words))["numbered"] == 12


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It is 3. Wait, no. It is 4.", ["", "Wait"]),
        ("It is 3. But wait, why? Hold on. Hmm, 5.", ["", "But wait", "Hold on", "Hmm"]),
        ("Wait. Actually, 4. Alternatively, 5.", ["Wait", "Actually", "Alternatively"]),
        ("Add. Let me double-check. Fine.", ["", "Let me double-check"]),
        ("Add. Let me reconsider. Let me add.", ["", "Let me reconsider"]),
        ("Add. Let me try another way. On second thought, no.", ["", "Let me try another", "On second thought"]),
        ("Add. No, that's wrong. Yes.", ["", "No, that"]),
        ("Waiting is bad. Actuality. Wait for the bus. We wait, too. No apples.", [""]),
        ("算一下。等等，不对。再算。", ["", "等等", "再算"]),
        ("加。不对，是乘。或者除。换一种方法。让我重新检查。", ["", "不对", "或者", "换一种", "让我重新检查"]),
        ("苹果、梨等等。另一种方法是乘。", ["", "另一种方法"]),
        ("足す。待って、違う。いや、掛ける。", ["", "待って", "いや"]),
        ("足す。ちょっと待って。別の方法で。あるいは引く。もう一度。いやな人。", None),
    ],
)
def test_switches(text: str, found: list[str] | None) -> None:
    assert labels(text, "switch") == (found or ["", "ちょっと待って", "別の方法", "あるいは", "もう一度"])


def test_counts_name_every_definition() -> None:
    assert counts("Plan\n\n1. Add. Wait, no.\n2. Stop.") == {"numbered": 2, "paragraph": 2, "sentence": 4, "switch": 2}
    assert counts(" \n\n ") == counts("") == dict.fromkeys(DEFINITIONS, 0)


def test_an_unknown_definition_is_told() -> None:
    with pytest.raises(RecipeError, match="Did you mean 'sentence'"):
        steps("a", "sentences")  # type: ignore[arg-type]


PIECES = st.sampled_from(
    [
        *[". ", ".", "! ", "?", "。", "…", "．", "\n", "\n\n", "\n \n", " ", "   "],
        *["$", "$$", "\\[", "\\]", "\\(", "\\)", "\\begin{a}", "\\end{a}", "```", "`", "~~~", "[asy]", "[/asy]"],
        *[
            "1. ",
            "2. ",
            "(1)",
            "1、",
            "①",
            "Step 1:",
            "Step 2:",
            "第一步",
            "第二步",
            "ステップ1",
            "First, ",
            "Finally, ",
        ],
        *["Wait, ", "Hmm", "等等，", "待って", "e.g.", "Dr.", "U.S.", "3.5", "x", "Then", "然后", "#", "**", '"', ")"],
    ]
)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(), st.lists(PIECES).map("".join)))
def test_steps_rebuild_the_text(text: str) -> None:
    counted = counts(text)
    for by in DEFINITIONS:
        cut = steps(text, by)
        assert "".join(step.of(text) for step in cut) == text
        assert all(step.start < step.end for step in cut)
        assert counted[by] <= len(cut)
        assert steps(text, by) == cut


MILLION = 1_000_000
HOSTILE = {
    "one line": "x" * MILLION,
    "spaces": " " * MILLION,
    "newlines": "\n" * MILLION,
    "dots": "." * MILLION,
    "sentences": "A b. " * 40_000,
    "initials": "U.S. J. " * 30_000,
    "marks": "1. a\n" * 50_000,
    "lists": "".join(f"{number % 900}) a\n" for number in range(30_000)),
    "dollars": "$ " * 100_000,
    "fences": "```a\n" * 50_000,
    "blank lines": "\n \n" * 100_000,
    "emphasis": "*" * MILLION,
    "switches": "Wait. " * 40_000,
}


@pytest.mark.parametrize("name", HOSTILE)
def test_time_is_linear(name: str) -> None:
    """Well below a second on a quiet machine; a method that is quadratic takes minutes."""
    began = time.perf_counter()
    counts(HOSTILE[name])
    assert time.perf_counter() - began < 8


def test_lines_of_gsm8k_are_sentences(data: Path) -> None:
    for line in (data / "gsm8k_train.jsonl").read_text(encoding="utf-8").splitlines()[:1000]:
        solution = json.loads(line)["answer"]
        cut = steps(solution, "sentence")
        assert "".join(step.of(solution) for step in cut) == solution
        assert cut[-1].of(solution).startswith("####")
        lines = [text for text in solution.split("\n") if text.strip() and not text.lstrip()[0].islower()]
        assert len(cut) >= len(lines)
