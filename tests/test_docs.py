"""The documentation, held against the code: links lead somewhere, every setting is described, every command works."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from porism import find, pipeline, recipe
from quickstart import SMALL

ROOT = Path(__file__).parents[1]
PAGES = [page for page in (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))) if page.is_file()]
LABELS = [page.relative_to(ROOT).as_posix() for page in PAGES]

PAGE_OF = {verb: ROOT / "docs" / ("evaluate.md" if verb == "compare" else f"{verb}.md") for verb in pipeline.VERBS}

BLOCK = re.compile(
    r"^(?P<skip><!-- not run: [^\n]+ -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")

QUICKSTART = "porism run recipes/quickstart/recipe.yaml"


class Block(NamedTuple):
    """A fenced block that can be checked."""

    language: str
    text: str
    line: int


def blocks(page: Path, *languages: str) -> list[Block]:
    """The blocks of a page in those languages, but those marked ``<!-- not run: REASON -->``."""
    whole = page.read_text(encoding="utf-8")
    return [
        Block(match["language"], match["text"], whole.count("\n", 0, match.start("text")))
        for match in BLOCK.finditer(whole)
        if match["language"] in languages and not match["skip"]
    ]


def recipes(page: Path) -> list[Block]:
    return [block for block in blocks(page, "yaml") if re.search(r"^stages:", block.text, re.MULTILINE)]


def settings() -> list[tuple[str, str, str]]:
    """Every verb, part and setting, those of the engines among them."""
    found = []
    for verb in pipeline.VERBS:
        package = pipeline.parts_package(verb)
        engines = find.names("porism.engines") if verb == "solve" else [""]
        for part in find.names(package) if package else [""]:
            for engine in engines:
                kind = pipeline.settings_class(verb, part, {"engine": engine} if engine else {})
                found += [(verb, part, name) for name in kind.model_fields]
    return sorted(set(found))


@pytest.mark.parametrize("page", PAGES, ids=LABELS)
def test_links_lead_to_files(page: Path) -> None:
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:|#", target):
            continue
        assert (page.parent / target.partition("#")[0]).exists(), f"{page.name}: {target}"


def test_every_setting_and_part_is_described() -> None:
    missing = []
    for verb, part, name in settings():
        pages = [
            PAGE_OF[verb],
            *([ROOT / "docs" / "concepts.md"] if verb == "synth" else []),
            *([ROOT / "docs" / "rl.md"] if verb == "train" else []),
        ]
        text = "".join(page.read_text(encoding="utf-8") for page in pages)
        missing += [f"{verb} {part}: {word}" for word in (name, part) if word and f"`{word}`" not in text]
    assert not missing, f"not in the documentation: {sorted(set(missing))}"


@pytest.mark.parametrize("page", [page for page in PAGES if recipes(page)], ids=lambda page: page.name)
def test_recipes_in_the_pages_have_known_settings(page: Path, tmp_path: Path) -> None:
    for block in recipes(page):
        file = tmp_path / "recipe.yaml"
        file.write_text(block.text)
        for entry in recipe.load(file).stages:
            if ":" in entry.part:
                continue
            known = pipeline.settings_class(
                entry.verb, entry.part or pipeline.default_part(entry.verb), entry.settings
            ).model_fields
            assert set(entry.settings) <= set(known), f"{page.name}, line {block.line}: stage {entry.name}"


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=LABELS)
def test_what_a_page_tells_to_type_works(page: Path, tmp_path: Path) -> None:
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
    small = f"{QUICKSTART} {shlex.join(SMALL)}"
    todo = sorted([*blocks(page, "bash", "python"), *recipes(page)], key=lambda block: block.line)
    for block in todo:
        if block.language == "yaml":
            (tmp_path / ".block.yaml").write_text(block.text)
            command = ["porism", "run", ".block.yaml", "--dry-run"]
        elif block.language == "python":
            command = ["python", "-c", block.text]
        else:
            command = ["bash", "-euo", "pipefail", "-c", block.text.replace(QUICKSTART, small)]
        done = subprocess.run(
            command, cwd=tmp_path, env={**os.environ, "PATH": search}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, f"{page.name}, line {block.line}:\n{block.text}\n{done.stdout}\n{done.stderr}"
