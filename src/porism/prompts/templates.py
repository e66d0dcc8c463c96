"""Prompts as text files: Jinja templates that become the messages of a chat.

A template says with variables what a problem's prompt is. Without markers it is one user message. A line that has only
``--- system``, ``--- user`` or ``--- assistant`` begins a message; such lines may stand in a loop. They are found in
the template itself, so that a question that holds such a line cannot begin a message.
"""

from __future__ import annotations

import functools
import re
import secrets
import traceback
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from porism.errors import DataError, RecipeError, nearest
from porism.files import read_text
from porism.records import Message

if TYPE_CHECKING:
    import jinja2
    import jinja2.nodes
    import jinja2.sandbox

__all__ = ["VARIABLES", "Template", "known", "load", "source"]

VARIABLES = ("question", "options", "kind", "source", "group", "meta", "instruction", "examples")
"""What a template may use. The reference answer is not among them."""

_FOLDER = resources.files("porism.prompts").joinpath("templates")
_MARKER = re.compile(r"^---[ \t]+(\w+)[ \t]*\r?$", re.MULTILINE)
_ROLES = ("system", "user", "assistant")
_LONGEST = 1_000_000
_OURS = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What an expression in a template may raise besides Jinja's own errors."""


class Template(NamedTuple):
    """A prompt that is ready to be filled in; :func:`load` makes one."""

    name: str
    uses: frozenset[str]
    """The variables that stand in it."""
    compiled: jinja2.Template
    mark: str
    """What a role is wrapped in where a message begins; no text can hold it by chance."""

    def messages(self, variables: Mapping[str, Any]) -> list[Message]:
        """The messages for one problem.

        Args:
            variables: a value for each of :data:`VARIABLES`.

        Raises:
            RecipeError: an expression fails, a message is empty, or the last one is not the user's.
        """
        import jinja2

        try:
            text = self.compiled.render(variables)
        except (jinja2.TemplateError, *_OURS) as error:
            raise _complaint(self.name, _line(error), str(error) or type(error).__name__) from None
        before, *rest = text.split(self.mark)
        found = [Message(role=role, content=body.strip()) for role, body in zip(rest[::2], rest[1::2], strict=True)]
        if not found:
            found = [Message(role="user", content=before.strip())]
        elif before.strip():
            raise _complaint(self.name, 0, f"text before the first message: {before.strip()[:60]!r}")
        empty = next((one["role"] for one in found if not one["content"] and one["role"] != "system"), "")
        if empty:
            raise _complaint(self.name, 0, f"a message of the role {empty} is empty")
        if found[-1]["role"] != "user" or any(one["role"] == "system" for one in found[1:]):
            roles = ", ".join(one["role"] for one in found)
            raise _complaint(
                self.name,
                0,
                f"expected messages of which the last is the user's, and at most the first the system's, got {roles}",
            )
        return found


def known() -> list[str]:
    """The names of the shipped templates."""
    return sorted(Path(entry.name).stem for entry in _FOLDER.iterdir() if entry.name.endswith(".jinja"))


def source(name: str) -> str:
    """The text of a template.

    Args:
        name: a shipped one, or a path to a file such as ``mine.txt`` or ``mine.jinja``.

    Raises:
        RecipeError: neither.
        DataError: the file is no UTF-8 text.
    """
    if name in known():
        return _FOLDER.joinpath(f"{name}.jinja").read_text(encoding="utf-8")
    file = Path(name).expanduser()
    if not file.suffix or not file.is_file():
        raise RecipeError(
            f"prompt: no template {name!r}.{nearest(name, known())} Known: {', '.join(known())}, or a path to a "
            "file such as mine.jinja or mine.txt."
        )
    text = read_text(file)
    if len(text) > _LONGEST:
        raise DataError(f"{file}: expected a prompt template of at most {_LONGEST:,} characters, got {len(text):,}.")
    return text


def load(name: str) -> Template:
    """A template, checked as far as it can be without a problem.

    Args:
        name: see :func:`source`.

    Raises:
        RecipeError: no such template, a syntax error, an unknown variable or role, or the question is left out.
        DataError: the file is no UTF-8 text.
    """
    return _compiled(name, source(name))


@functools.lru_cache(maxsize=32)
def _compiled(name: str, text: str) -> Template:
    import jinja2
    from jinja2 import meta

    mark = f"\x02{secrets.token_hex(16)}\x02"
    marked = _MARKER.sub(functools.partial(_marked, name, mark), text)
    environment = _environment()
    try:
        tree = environment.parse(marked)
        used = meta.find_undeclared_variables(tree)
        compiled = environment.from_string(marked)
    except jinja2.TemplateSyntaxError as error:
        raise _complaint(name, error.lineno, error.message or "not a Jinja template") from None
    except RecursionError:
        raise _complaint(name, 0, "it is nested too deeply") from None
    _check(name, text, tree, used)
    return Template(name, frozenset(used), compiled, mark)


def _marked(name: str, mark: str, found: re.Match[str]) -> str:
    role = found[1]
    if role not in _ROLES:
        line = found.string.count("\n", 0, found.start()) + 1
        raise _complaint(name, line, f"unknown role {role!r}.{nearest(role, _ROLES)} Known: {', '.join(_ROLES)}")
    return f"{mark}{role}{mark}"


def _environment() -> jinja2.sandbox.ImmutableSandboxedEnvironment:
    """Jinja without access to Python's insides, to other files, and to chance."""
    import jinja2
    from jinja2 import sandbox

    made = sandbox.ImmutableSandboxedEnvironment(undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    del made.filters["random"], made.globals["lipsum"]
    return made


def _check(name: str, text: str, tree: jinja2.nodes.Template, used: set[str]) -> None:
    """Refuse a template that names what there is not, reads other files, or never shows the question."""
    from jinja2 import nodes

    for unknown in sorted(used - set(VARIABLES)):
        line = min((node.lineno for node in tree.find_all(nodes.Name) if node.name == unknown), default=0)
        hint = " The reference answer is not shown to a model" if unknown in ("answer", "solution") else ""
        wrong = f"unknown variable {unknown!r}.{hint or nearest(unknown, VARIABLES)}. ".replace("..", ".").replace(
            "?.", "?"
        )
        raise _complaint(name, line, f"{wrong}Known: {', '.join(VARIABLES)}")
    other = (nodes.Include, nodes.Extends, nodes.Import, nodes.FromImport)
    for node in tree.find_all(other):
        raise _complaint(name, node.lineno, "a template cannot read other files; put their text into it")
    if "question" not in used:
        how = "Write {{ question }}, with two braces" if "{question}" in text else "Put {{ question }} where it belongs"
        raise _complaint(name, 0, f"it does not use the question, so every prompt would be the same. {how}")


def _line(error: BaseException) -> int:
    """The line of the template in which an error arose; 0 where that is not known."""
    frames = traceback.extract_tb(error.__traceback__)
    return next((frame.lineno or 0 for frame in reversed(frames) if frame.filename == "<template>"), 0)


def _complaint(name: str, line: int, what: str) -> RecipeError:
    place = f"the prompt template {name}" + (f", line {line}" if line else "")
    return RecipeError(f"{place}: {what.rstrip('.')}.")
