import codecs
from pathlib import Path

import pytest

from porism import files, recipe
from porism.errors import DataError, RecipeError, StorageError

DEEP = "[" * 5000 + "]" * 5000


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        ('{"a": 1}'.encode("utf-16"), r"x\.jsonl.*Save the file as UTF-8"),
        (b'{"a": "\xff"}', r"x\.jsonl.*Save the file as UTF-8"),
        (f'{{"a": {DEEP}}}'.encode(), "at most 100 levels"),
        (f'{{"a": {"[" * 200}{"]" * 200}}}'.encode(), "at most 100 levels"),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, data: bytes, complaint: str) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(data)
    for read in (files.load_json, lambda path: list(files.rows(path))):
        with pytest.raises(DataError, match=complaint):
            read(file)


def test_a_byte_order_mark_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "x.jsonl"
    file.write_bytes(codecs.BOM_UTF8 + b'{"a": 1}\n')
    assert list(files.rows(file)) == [(1, {"a": 1})]
    assert files.load_json(file) == {"a": 1}


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    for read in (files.load_json, files.read_text, lambda path: list(files.rows(path))):
        with pytest.raises(DataError, match="found a folder"):
            read(tmp_path)


def test_deep_yaml_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text(f"stages: {DEEP}")
    with pytest.raises(RecipeError, match=r"r\.yaml: the YAML is nested too deeply"):
        recipe.load(tmp_path / "r.yaml")
    with pytest.raises(RecipeError, match="nested too deeply"):
        recipe.scalar(DEEP)


def test_half_a_surrogate_pair_does_not_spoil_a_file(tmp_path: Path) -> None:
    files.write_json(tmp_path / "x.json", {"a": "\ud800 é"})
    assert files.load_json(tmp_path / "x.json") == {"a": "\ud800 é"}


def test_a_file_where_a_folder_is_needed(tmp_path: Path) -> None:
    (tmp_path / "x.txt").touch()
    with pytest.raises(StorageError, match="expected a folder, found a file"), files.lock(tmp_path / "x.txt" / ".lock"):
        pass
