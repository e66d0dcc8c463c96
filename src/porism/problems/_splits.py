"""Which files of a data set make up a configuration and a split.

As the ``datasets`` library does: by the ``configs`` in the card (README.md) where it has some, else by the names of
files and folders.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import yaml

from porism.errors import DataError, nearest
from porism.problems._rows import SUFFIXES, kind_of

__all__ = ["choose", "data_files"]

_FRONT = re.compile(r"\A---\s*\n(.*?)\n---\s*(?:\n|\Z)", re.DOTALL)
_LONGEST = 200
_MOST_STARS = 10
_SHARD = re.compile(r"-\d{5}-of-\d{5}|\.\w+(?:\.gz)?\Z")
_WORD = re.compile(r"[^A-Za-z0-9]+")
_NAMES = {
    "train": ("train", "training"),
    "validation": ("validation", "valid", "val", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
_NOT_DATA = re.compile(r"(?:dataset_infos?|dataset_dict|state|config|package)\.json|\..*", re.IGNORECASE)
_USUAL = ("default", "main")


def data_files(paths: Iterable[str]) -> list[str]:
    """The files that hold rows, sorted."""
    return sorted(path for path in paths if kind_of(path) and not _NOT_DATA.fullmatch(PurePosixPath(path).name))


def choose(paths: Iterable[str], card: str, config: str, split: str, label: str) -> list[str]:
    """The files of a configuration and a split, in the order in which they are read.

    Args:
        paths: all files, with ``/`` between folders.
        card: the text of README.md; empty where there is none.
        config: the configuration; empty for the only or the usual one.
        split: the split.
        label: what messages call the data set.

    Raises:
        DataError: there is no such configuration or split; the message lists what there is.
    """
    known = data_files(paths)
    if not known:
        raise DataError(f"{label}: expected files of rows ({', '.join(SUFFIXES)}), found none.")
    named = _configs(card)
    found = _by_card(known, named, config, split, label) if named else _by_name(known, config, split, label)
    best = min((SUFFIXES.index(kind_of(path)) for path in found), default=0)
    return [path for path in found if SUFFIXES.index(kind_of(path)) == best]


# --- by the card -------------------------------------------------------------------------------------


def _configs(card: str) -> dict[str, Mapping[str, Any]]:
    """The configurations that a card names; none where it cannot be read."""
    front = _FRONT.match(card)
    try:
        about = yaml.safe_load(front[1]) if front else None
    except (yaml.YAMLError, ValueError, RecursionError):
        return {}
    listed = about.get("configs") if isinstance(about, dict) else None
    return {
        str(entry.get("config_name", "default")): entry
        for entry in (listed if isinstance(listed, list) else [])
        if isinstance(entry, dict) and entry.get("data_files")
    }


def _by_card(
    known: Sequence[str], named: Mapping[str, Mapping[str, Any]], config: str, split: str, label: str
) -> list[str]:
    if not config:
        marked = [name for name, entry in named.items() if entry.get("default") is True]
        usual = [name for name in _USUAL if name in named]
        config = next(iter([*marked, *usual, *(named if len(named) == 1 else ())]), "")
    _require(config, named, "configuration", "--config", label)
    patterns = dict(_patterns(named[config]))
    split = _meant(split, patterns)
    _require(split, patterns, "split", "--split", label)
    matching = [_glob(pattern) for pattern in patterns[split]]
    found = [path for path in known if any(regex.fullmatch(path) for regex in matching)]
    if not found:
        raise DataError(f"{label}: its card names {', '.join(patterns[split])[:_LONGEST]}, which is not there.")
    return found


def _patterns(entry: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """Split → patterns of its files."""
    files, folder = entry["data_files"], entry.get("data_dir")
    prefix = f"{folder}/" if isinstance(folder, str) else ""
    if isinstance(files, dict):
        files = [{"split": split, "path": path} for split, path in files.items()]
    for item in files if isinstance(files, list) else [files]:
        split, path = (item.get("split", "train"), item.get("path")) if isinstance(item, dict) else ("train", item)
        texts = [text for text in (path if isinstance(path, list) else [path]) if isinstance(text, str)]
        yield str(split), [f"{prefix}{text}".removeprefix("./") for text in texts]


def _glob(pattern: str) -> re.Pattern[str]:
    """A pattern of files as a regular expression; one that could take for ever matches nothing."""
    if len(pattern) > _LONGEST or pattern.count("*") > _MOST_STARS:
        return re.compile(r"(?!)")
    parts = re.split(r"(\*\*/|\*\*|\*|\?)", pattern)
    meanings = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meanings.get(part) or re.escape(part) for part in parts))


# --- by names ----------------------------------------------------------------------------------------


def _by_name(known: Sequence[str], config: str, split: str, label: str) -> list[str]:
    splits = {path: _split_of(path) for path in known}
    if not any(splits.values()):
        splits = dict.fromkeys(known, "train")
    wanted = _meant(split, [name for name in splits.values() if name])
    found = [path for path in known if splits[path] == wanted]
    if not found:
        _require(wanted, sorted({name for name in splits.values() if name}), "split", "--split", label)
    groups: dict[str, list[str]] = {}
    for path in found:
        groups.setdefault(_group_of(path), []).append(path)
    if not config:
        usual = [name for name in ("", *_USUAL) if name in groups]
        config = usual[0] if usual else next(iter(groups)) if len(groups) == 1 else "\0"
    _require(config, groups, "configuration", "--config", label)
    return groups[config]


def _split_of(path: str) -> str:
    """The split that a file's name, or else one of its folders, speaks of; empty where none does."""
    for part in reversed(PurePosixPath(path).parts):
        words = {word.casefold() for word in _WORD.split(_SHARD.sub("", part))}
        for split, names in _NAMES.items():
            if words & set(names):
                return split
    return ""


def _group_of(path: str) -> str:
    """What is left of a path without split, shard and suffix: the configuration's name."""
    *folders, name = PurePosixPath(path).parts
    words = {word for names in _NAMES.values() for word in names}
    kept = [folder for folder in folders if folder.casefold() not in words | {"data"}]
    rest = [word for word in _WORD.split(_SHARD.sub("", name)) if word.casefold() not in words and not word.isdecimal()]
    rest = [word for word in rest if word.casefold() not in ("data", "of")]
    return "/".join([*kept, *(["-".join(rest)] if "".join(rest) else [])])


# --- both --------------------------------------------------------------------------------------------


def _meant(split: str, known: Iterable[str]) -> str:
    """The split under the name that it has here: ``dev`` is ``validation``."""
    names = set(known)
    same = next((alike for alike in _NAMES.values() if split in alike), (split,))
    return split if split in names else next((name for name in same if name in names), split)


def _require(wanted: str, known: Iterable[str], what: str, flag: str, label: str) -> None:
    """Refuse a name that is not there.

    Raises:
        DataError: it is not.
    """
    names = list(known)
    if wanted in names:
        return
    listed = ", ".join(name or "default" for name in names[:20])
    if wanted in ("", "\0"):
        raise DataError(f"{label} has several {what}s: {listed}. Name one with {flag}.")
    raise DataError(f"{label} has no {what} {wanted!r}.{nearest(wanted, names)} It has {listed}. Name one with {flag}.")
