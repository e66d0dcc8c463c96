"""What the tests of the preflight share: broken copies of the tiny model, and the checks by name."""

import json
import shutil
from pathlib import Path
from typing import Any

from porism import doctor
from porism.records import Message


def copied(model: Path, to: Path, **templates: str) -> Path:
    """A copy of a model that a test may break; ``chat`` is its chat template."""
    folder = to / "model"
    shutil.copytree(model, folder)
    if "chat" in templates:
        (folder / "chat_template.jinja").write_text(templates["chat"])
    return folder


def changed(file: Path, **values: Any) -> None:
    """Change keys of a JSON file; None takes one away."""
    value = {**json.loads(file.read_text()), **values}
    file.write_text(json.dumps({key: item for key, item in value.items() if item is not None}))


def checks(model: Path | str = "", data: Path | str = "", **options: Any) -> dict[str, doctor.Check]:
    """The checks by group and name."""
    found = doctor.examine(str(model), str(data), doctor.Options(**options))
    return {f"{one.group} {one.name}": one for one in found if isinstance(one, doctor.Check)}


def previews(model: Path, data: Path, **options: Any) -> list[doctor.Preview]:
    """The rows that are shown."""
    found = doctor.examine(str(model), str(data), doctor.Options(**options))
    return [one for one in found if isinstance(one, doctor.Preview)]


def bad(found: dict[str, doctor.Check]) -> dict[str, str]:
    """The checks of a model and its data that are not ok, with their status."""
    return {
        name: str(one.status)
        for name, one in found.items()
        if one.status != doctor.Status.OK and one.group not in ("environment", "network", "memory")
    }


def row(question: str = "1 + 1?", answer: str = "#### 2") -> dict[str, Any]:
    """A training row."""
    return {
        "prompt": [Message(role="user", content=question)],
        "completion": [Message(role="assistant", content=answer)],
    }


def written(path: Path, *rows: Any) -> Path:
    """A file of rows."""
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path
