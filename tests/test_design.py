"""The rules of the house, as tests: layers, sizes, names, docstrings."""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

from porism import find

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "porism").rglob("*.py"))
PACKAGES = {
    "porism.problems": ("load",),
    "porism.graders": ("grade", "grade_all"),
    "porism.engines": ("start",),
    "porism.strategies": ("solve", "prompt"),
    "porism.curate": ("curate", "make", "page", "write"),
    "porism.embeddings": ("load", "identify"),
    "porism.knowledge": ("connect",),
    "porism.losses.policy": ("loss",),
    "porism.losses.preferences": ("loss",),
    "porism.synth": ("run",),
    "porism.tools": ("call",),
    "porism.train": ("run",),
    "porism.train.rewards": ("reward",),
}


def trees() -> dict[Path, ast.Module]:
    return {path: ast.parse(path.read_text()) for path in SOURCES}


def test_layers_hold() -> None:
    """import-linter with the contract in pyproject.toml."""
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_files_and_functions_are_small() -> None:
    lengths = [len(path.read_text().splitlines()) for path in SOURCES]
    assert statistics.median(lengths) <= 150
    assert statistics.quantiles(lengths, n=10)[-1] <= 400
    others = [path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py")]
    assert max(*lengths, *(len(path.read_text().splitlines()) for path in others)) <= 600
    functions = {
        f"{path.name}:{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path, tree in trees().items()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert statistics.quantiles(functions.values(), n=10)[-1] <= 45
    assert max(functions.values()) <= 120, max(functions, key=functions.__getitem__)


def test_modules_say_what_they_export() -> None:
    """``__all__`` is there, sorted, and names what exists."""
    for path, tree in trees().items():
        public = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
        public = [name for name in public if not name.startswith("_")]
        listed = [
            ast.literal_eval(node.value)
            for node in tree.body
            if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "__all__"
        ]
        if public:
            assert listed, f"{path} has no __all__"
            in_order = sorted(listed[0], key=lambda n: (not n.isupper(), not n[0].isupper(), n))
            assert listed[0] == in_order, f"{path}: __all__ is not sorted"


def test_every_module_says_what_it_is() -> None:
    for path, tree in trees().items():
        assert ast.get_docstring(tree), path


@pytest.mark.parametrize(
    ("package", "name", "wanted"),
    [(package, name, wanted) for package, wanted in PACKAGES.items() for name in find.names(package)],
)
def test_a_part_is_one_file_that_defines_what_its_package_asks_for(
    package: str, name: str, wanted: tuple[str, ...]
) -> None:
    assert callable(find.find(package, name, *wanted))
    assert find.summary(package, name)


def test_importing_porism_does_no_work() -> None:
    """No network, no torch, nothing but the standard library until something is asked for."""
    code = "import sys, porism, porism.records; print(sorted({'torch', 'transformers', 'pydantic'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_nothing_unfinished_is_left() -> None:
    for path in SOURCES:
        text = path.read_text()
        for word in ("TODO", "FIXME", "NotImplementedError", "except Exception: pass"):
            assert word not in text, f"{path}: {word}"
