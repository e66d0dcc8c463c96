"""The Python tool says what a program prints, and runs it in the sandbox."""

import pytest

from porism import tools
from porism.errors import RecipeError


@pytest.fixture(autouse=True)
def needs_it(tier: str) -> None:
    """Programs are run here."""


@pytest.mark.parametrize(
    ("text", "said", "failed"),
    [
        ("print(1 + 1)", "2", False),
        ("x = 3\nx * 2", "6", False),
        ("print('a')\n'b' 'c'", "a\n'bc'", False),
        ("if True:\n    print(1)", "1", False),
        ("x = 1; x", "1", False),
        ("é = 2; é + 1", "3", False),
        ("(1,\n 2)", "(1, 2)", False),
        ("None", "", False),
        ("x = 'a\u2028b'\nlen(x)", "3", False),
        ("x = 1\r\nx + 1\r\n", "2", False),
        ("x = 'a\x0cb'  # \x0c\nlen(x)", "3", False),
        ("'\\d'", r"'\\d'", False),
        ("", "", False),
        ("print(2)\n1 / 0", "2\nTraceback", True),
        ("def f(:", "SyntaxError", True),
        ("raise SystemExit(3)", "ended with exit code 3", True),
        ("while True: pass", "stopped: ", True),
        ("x = bytearray(1 << 31)", "stopped: it reached its limit of memory", True),
        ("open('/etc/passwd').read()", "No such file", True),
    ],
)
def test_what_it_says(text: str, said: str, failed: bool, tier: str) -> None:
    answer = tools.tool("python")(text, cpu_seconds=1, memory_mb=256)
    assert said in answer.text if failed else said == answer.text
    assert answer.failed is failed
    assert answer.sandbox == tier


def test_long_output_is_cut_in_the_middle() -> None:
    answer = tools.tool("python")("for n in range(10_000): print(n)")
    assert answer.text.startswith("0\n1\n")
    assert answer.text.endswith("\n9999")
    assert "\n…\n" in answer.text
    assert len(answer.text) < 4_100


def test_tools_are_found_by_name() -> None:
    assert tools.tool("calculator")("2 * 21").text == "42"
    with pytest.raises(RecipeError, match="no tool is called 'calculater'. Did you mean 'calculator'"):
        tools.tool("calculater")
