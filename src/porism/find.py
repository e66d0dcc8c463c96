"""A name → the object that it names.

Every kind of part (data set, grader, strategy, curation step, …) is a module in one package, and the
module's name is the part's name. ``package.module:name`` and ``path/to/file.py:name`` reach code outside.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
import traceback
from pathlib import Path
from types import ModuleType
from typing import Any

from porism.errors import RecipeError, nearest

__all__ = ["find", "names", "summary"]

_NOUNS = {
    "porism.curate": "curation step",
    "porism.embeddings": "encoder",
    "porism.engines": "engine",
    "porism.graders": "grader",
    "porism.knowledge": "store of an index",
    "porism.losses.policy": "algorithm",
    "porism.losses.preferences": "preference loss",
    "porism.problems": "source of problems",
    "porism.strategies": "strategy",
    "porism.tools": "tool",
    "porism.synth": "way of synthesis",
    "porism.train": "training method",
    "porism.train.rewards": "reward",
}


def find(package: str, name: str, *attributes: str) -> Any:
    """An object of the part ``name`` of a package, or the outside object that ``name`` spells out.

    Args:
        package: such as ``porism.problems``.
        name: a part's name, ``package.module:name``, or ``path/to/file.py:name``.
        attributes: what a part of that package defines, such as ``load``; the first that it has is taken.

    Raises:
        RecipeError: there is no such part, module, file or object; the message lists what there is.
    """
    if ":" in name:
        place, _, wanted = name.rpartition(":")
        attributes = (wanted,)
        module = _from_file(Path(place)) if place.endswith(".py") else _import(place, name)
    else:
        known = names(package)
        part = name.replace("-", "_")
        if part not in known:
            noun = _NOUNS.get(package, "part")
            raise RecipeError(
                f"no {noun} is called {name!r}.{nearest(name, known)} Known: {', '.join(known)}. "
                "Outside code is reached as 'package.module:name' or 'path/file.py:name'."
            )
        module = importlib.import_module(f"{package}.{part}")
    for attribute in attributes:
        if hasattr(module, attribute):
            found = getattr(module, attribute)
            if ":" in name and not callable(found):
                raise RecipeError(f"{name!r}: expected a function or a class, got {found!r:.80}.")
            return found
    where = name.rpartition(":")[0] or module.__name__
    raise RecipeError(f"{name!r}: {where} defines no {' or '.join(map(repr, attributes))}.")


def names(package: str) -> list[str]:
    """The parts of a package: its modules whose names have no leading underscore. Only the package is imported."""
    folder = _folder(package)
    return sorted(file.stem for file in folder.glob("[!_]*.py"))


def summary(package: str, name: str) -> str:
    """The first line of a part's docstring, read without importing the part."""
    text = ast.get_docstring(ast.parse((_folder(package) / f"{name}.py").read_text(encoding="utf-8"))) or ""
    return text.partition("\n")[0]


def _folder(package: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise RuntimeError(f"{package} is not a package")
    return Path(spec.submodule_search_locations[0])


def _import(place: str, name: str) -> ModuleType:
    try:
        return importlib.import_module(place)
    except ModuleNotFoundError as error:
        if error.name and place.startswith(error.name):
            raise RecipeError(f"{name!r}: there is no module {place!r} on the Python path.") from None
        raise _broken(name, error) from error
    except (Exception, SystemExit) as error:
        raise _broken(name, error) from error


def _broken(place: str, error: BaseException) -> RecipeError:
    """What to say of outside code that cannot be imported: its own error, and the line."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename.endswith(place)]
    where = f"{place}, line {lines[-1]}" if lines else place
    return RecipeError(f"{where}: this code of yours fails when it is imported: {type(error).__name__}: {error}")


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise RecipeError(f"{path}: no such file.")
    changed = path.stat().st_mtime_ns  # a file that was edited since is another module
    name = f"porism_outside_{path.resolve().as_posix().replace('/', '_').removesuffix('.py')}_{changed}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise RecipeError(f"{path}: cannot be imported as Python.")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as error:
        del sys.modules[name]
        if isinstance(error, Exception | SystemExit):
            raise _broken(str(path), error) from error
        raise
    return module
