"""Program-aided reasoning: the model writes a Python program, and what it prints is the answer.

Gao et al., 2023, arXiv:2211.10435; Chen et al., 2022, arXiv:2211.12588. The program runs in the sandbox. Where it
fails, or prints nothing, the model is shown why and may mend it. A reply without a program stands as it is. Departure:
no worked examples are shown.
"""

from __future__ import annotations

import ast
import re
from typing import Annotated, NamedTuple

from pydantic import Field

from porism import sandbox as box
from porism.problems._python import tree
from porism.prompts import messages
from porism.prompts.messages import Instruction, System
from porism.records import Message, Problem
from porism.strategies._desk import Ask, Desk, Said
from porism.strategies._rounds import together
from porism.strategies._toolboxes import shared
from porism.strategies._trace import Branch
from porism.tools import Call

__all__ = ["Programming", "check", "program_of", "solve"]

_WORDS = "Write a Python program that prints the answer, and nothing else. Put it into one ```python block."
_MEND = "The program did not give an answer:\n{}\n\nWrite the whole program again, mended, in one ```python block."
_BLOCK = re.compile(r"```[ \t]*(?:python|py)?[ \t]*\n(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_LONGEST = 1_000


class Programming(NamedTuple):
    """How programs are asked for and run."""

    repairs: Annotated[int, Field(description="times that a program that fails may be mended", ge=0)] = 1
    cpu_seconds: Annotated[int, Field(description="limit of a program's processor time", ge=1)] = 10
    memory_mb: Annotated[int, Field(description="limit of a program's memory, in MB", ge=64)] = 1024
    sandbox: str = box.AUTO
    instruction: Instruction = ""
    system: System = None


def check(*, sandbox: str = box.AUTO) -> None:
    """Find before anything runs that programs could not be run.

    Raises:
        Refused: the sandbox cannot be had here.
    """
    box.ready(sandbox)


@together("program")
async def solve(problem: Problem, desk: Desk, *, programming: Programming) -> None:
    """Have a program written, run it, and have it mended where it fails."""
    limits = {
        "sandbox": programming.sandbox,
        "cpu_seconds": programming.cpu_seconds,
        "memory_mb": programming.memory_mb,
    }
    toolbox = shared(("python",), {"python": limits})
    words = f"{_WORDS}\n{programming.instruction}" if programming.instruction else _WORDS
    talk = messages.question(problem, words, programming.system)
    for number in range(programming.repairs + 1):
        branch = str(number)
        ((said,),) = await desk.ask(Ask(messages=talk, does="program" if not number else "repair", branch=branch))
        desk.draft(said.text)
        program = program_of(said.text)
        if not program:
            (reading,) = await desk.read([(said.text, said.finish)])
            if reading.stated or number == programming.repairs:
                _offer(desk, said, said.text, reading.answer)
                return
            printed = "there is no ```python block in the reply"
        else:
            (answer,) = await desk.call(toolbox, [(branch, Call("python", {"text": program}))])
            printed = answer.text.strip()
            if printed and not answer.failed:
                found = printed.splitlines()[-1].strip()
                _offer(desk, said._replace(finish="stop"), f"{said.text.rstrip()}\n\n#### {found}", found)
                return
        told = Message(role="user", content=_MEND.format(printed[-_LONGEST:] or "it printed nothing"))
        talk = [*talk, Message(role="assistant", content=said.text), told]
    _offer(desk, said, said.text, None)


def _offer(desk: Desk, said: Said, text: str, answer: str | None) -> None:
    branch = Branch(branch=said.branch, answer=answer, tokens=said.tokens, seconds=said.seconds)
    desk.offer(text, branch, said.finish)


def program_of(text: str) -> str:
    """The program in a reply: its last block, or the whole where that is one; empty where there is none.

    A function ``solution`` that is never called is called, and its value printed.
    """
    blocks = [block for block in _BLOCK.findall(text) if block.strip()]
    code = blocks[-1] if blocks else text
    parsed = tree(code)
    if parsed is None:
        return code if blocks else ""  # what is no Python says so when it is run
    if not blocks and not any(_does_something(one) for one in parsed.body):
        return ""
    if not any(isinstance(one, ast.FunctionDef) and one.name == "solution" for one in parsed.body):
        return code
    called = any(isinstance(node, ast.Call) and getattr(node.func, "id", "") == "solution" for node in ast.walk(parsed))
    return code if called else f"{code}\nprint(solution())\n"


def _does_something(statement: ast.stmt) -> bool:
    """Words that happen to be Python, such as "42" or "yes", do nothing."""
    return not isinstance(statement, ast.Expr) or isinstance(statement.value, ast.Call)
