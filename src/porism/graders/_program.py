"""Which part of a text is the program that it answers with."""

from __future__ import annotations

import ast
import re

from porism import chains
from porism.problems._python import tree
from porism.problems._tests import CodeTests

__all__ = ["program"]

_FENCE = re.compile(
    r"^[ \t]{0,3}(?P<mark>```+|~~~+)[ \t]*(?P<language>[\w+.#-]*)[^\n]*\n"
    r"(?P<code>.*?)(?:^[ \t]{0,3}(?P=mark)[ \t]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_PYTHON = ("", "python", "py", "python3", "python2", "code")
_BEGINS = re.compile(r"^(?:def|async def|class|import|from|@)\b|^@", re.MULTILINE)
_MOST_TRIES = 200
_LONGEST = 100_000
"""Characters of the longest program: reading one takes this process time that nothing limits."""


def program(text: str, tests: CodeTests) -> str | None:
    """The program in a response, with what the question gave in front of it; None where there is none.

    Blocks of code count first: of several, the last that defines the function, or the longest that is Python where a
    whole program is wanted. A body alone goes on from the start that the question gave. What stands between think tags
    is no answer; nor is a text that is too long to be read.
    """
    chain = chains.read(text)
    response = chain.response.of(text) if chain.reasoning is not None else text
    blocks = [match["code"] for match in _FENCE.finditer(response) if match["language"].lower() in _PYTHON]
    blocks = [block for block in blocks if len(block) <= _LONGEST]
    found = _among(blocks, tests) if blocks else _bare(response, tests) if len(response) <= _LONGEST else None
    if found is None or not found.strip():
        return None
    return _whole(found, tests)


def _among(blocks: list[str], tests: CodeTests) -> str:
    """The block that answers, or several together."""
    if len(blocks) == 1:
        return blocks[0]
    if not tests.function and not tests.functions:
        good = [block for block in blocks if tree(block) is not None and block.strip()]
        return max(good, key=len) if good else blocks[-1]
    for block in reversed(blocks):
        if _defines(block, tests):
            return block
    joined = "\n".join(block for block in blocks if tree(block) is not None)
    return joined if len(joined) <= _LONGEST and _defines(joined, tests) else blocks[0]


def _bare(response: str, tests: CodeTests) -> str | None:
    """The code in a text without blocks: all of it, the rest of a function, or the lines that are Python."""
    if tree(response) is not None and (_defines(response, tests) or _is_program(response, tests)):
        return response
    for body in (response, f"    {response.lstrip()}"):
        if tests.start and _defines(tests.start + body, tests) and body.strip():
            return body
    began = _BEGINS.search(response)
    if began is None:
        return None
    lines = response[began.start() :].splitlines()
    for end in range(len(lines), max(0, len(lines) - _MOST_TRIES), -1):
        code = "\n".join(lines[:end])
        if tree(code) is not None:
            return code
    return None


def _is_program(code: str, tests: CodeTests) -> bool:
    """A text that is Python only because it is a word or a sum is no program."""
    found = tree(code)
    return tests.kind == "runs" and found is not None and any(not _is_name(node) for node in found.body)


def _is_name(node: ast.stmt) -> bool:
    return isinstance(node, ast.Expr) and not isinstance(node.value, ast.Call)


def _whole(code: str, tests: CodeTests) -> str:
    """The code with the start in front: its imports and helpers, or the head of the function that it goes on with."""
    if not tests.start or "from __future__" in code:
        return code
    if _defines(code, tests):
        return f"{tests.start}\n\n{code}" if tree(tests.start) is not None else code
    for body in (code, "\n".join(f"    {line}" for line in code.splitlines())):
        if tree(tests.start + body) is not None:
            return tests.start + body
    return code


def _defines(code: str, tests: CodeTests) -> bool:
    """Whether the code defines what the tests call, at its top level."""
    found = tree(code)
    if found is None:
        return False
    names = {name for node in found.body for name in _bound(node)}
    wanted = {tests.function} if tests.function else set(tests.functions)
    return bool(wanted) and wanted <= names


def _bound(node: ast.stmt) -> list[str]:
    """The names that a statement binds, where it is a definition or an assignment."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [node.name]
    targets = node.targets if isinstance(node, ast.Assign) else []
    return [target.id for target in targets if isinstance(target, ast.Name)]
