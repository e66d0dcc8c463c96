"""Records on disk: JSON Lines, a stage's output with its manifest, and resuming a stage that was cut off.

A stage writes to an :class:`Output`, which is a folder (``records.jsonl``, ``dropped.jsonl``, ``manifest.json``)
or a single ``name.jsonl`` with ``name.dropped.jsonl`` and ``name.manifest.json`` beside it.

While a stage runs, its results go to a ``partial`` file in the order in which they are made, and after each
unit of work a line in a ``progress`` file says how many bytes of it are good. A stage that was cut off at any
moment drops what lies beyond that point and goes on with the next unit; when all are done, the results are put
into the order of the input. So an interrupted run ends with the bytes of one that was not.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import re
import shutil
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypeVar, cast

from porism import console
from porism.errors import DataError, StorageError
from porism.files import (
    Malformed,
    checksum,
    each,
    load_json,
    lock,
    read_text,
    rows,
    sha256,
    to_line,
    write_json,
    write_text,
)
from porism.placed import DROPPED, RECORDS, Placed, as_line, assemble
from porism.records import Attempt, Concepts, Example, Pair, Problem, Record, Stepwise

__all__ = [
    "Key",
    "Manifest",
    "Output",
    "Placed",
    "State",
    "hashes",
    "load_json",
    "locate",
    "lock",
    "parse",
    "read",
    "read_each",
    "read_text",
    "rows",
    "sha256",
    "write_json",
    "write_text",
]

Unit = TypeVar("Unit", bound=Sequence[Any])

_HIDDEN = 3
_NUMBER = re.compile(r"^\d+-(?=[^/]+/records\.jsonl$)")


# --- reading -----------------------------------------------------------------------------------------


def locate(path: str | Path) -> Path:
    """The records file that ``path`` means: the file itself, or ``records.jsonl`` in a stage's folder.

    Raises:
        DataError: there is no such file.
    """
    place = Path(path).expanduser()
    file = place / "records.jsonl" if place.is_dir() else place
    if not file.is_file():
        what = "a stage's folder with records.jsonl" if place.is_dir() else "a file of records or a stage's folder"
        raise DataError(f"{place}: expected {what}, found none. Check the path, or run the stage that writes it.")
    return file


def parse(row: Mapping[str, Any]) -> Record:
    """The record that a row on disk stands for, told apart by its fields.

    Raises:
        ValueError: the row is none of the records, or a field has the wrong type.
    """
    if "problem" in row:
        kind: type[Record] = Attempt
    elif "question" in row:
        kind = Problem
    elif "prompt" in row and "chosen" in row:
        kind = Pair
    elif "concepts" in row:
        kind = Concepts
    elif "prompt" in row and "completions" in row:
        kind = Stepwise
    elif "prompt" in row and "completion" in row:
        kind = Example
    else:
        raise ValueError(
            "expected a problem (question, answer), an attempt (problem, messages, text), an example (prompt, "
            "completion), a pair (prompt, chosen, rejected), steps (prompt, completions, labels) or concepts; got "
            f"{', '.join(sorted(row)) or 'no field'}"
        )
    values = {name: value for name, value in row.items() if name != "id"}
    return cast("Record", _adapter(cast("Any", kind)).validate_python(values))


def read(path: str | Path, *kinds: type[Record]) -> Iterator[Record]:
    """The records of a file or stage folder, one at a time.

    Args:
        path: a JSON Lines file or a stage's folder.
        kinds: the classes that the caller can use; any if none is named.

    Raises:
        DataError: no such file, or a row that is malformed or of another class; names file and line.
    """
    file = locate(path)
    for number, row in rows(file):
        try:
            record = parse(row)
        except ValueError as error:
            raise DataError(f"{file}, line {number}: {_first_complaint(error)}. Mend or remove that line.") from None
        if kinds and not isinstance(record, kinds):
            wanted = " or ".join(kind.__name__.lower() for kind in kinds)
            raise DataError(f"{file}, line {number}: expected {wanted} records, got {type(record).__name__.lower()}.")
        yield record


def read_each(path: str | Path) -> Iterator[Record | Malformed]:
    """As :func:`read`, but a line that is no record is told of, and stops nothing."""
    file = locate(path)
    for number, row in each(file):
        if isinstance(row, Malformed):
            yield row
            continue
        try:
            yield parse(row)
        except (ValueError, RecursionError) as error:
            why = _first_complaint(error) if isinstance(error, ValueError) else "nested too deeply"
            yield Malformed(f"{file}, line {number}: {why}. Mend or remove that line.", json.dumps(row)[:2_000])


@cache
def _adapter(kind: Any) -> Any:
    import pydantic

    return pydantic.TypeAdapter(kind)


def _first_complaint(error: ValueError) -> str:
    import pydantic

    if not isinstance(error, pydantic.ValidationError):
        return str(error)
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"]) or "row"
    return f"field {where!r}: {first['msg'].lower()}, got {str(first['input'])[:60]!r}"


# --- writing -----------------------------------------------------------------------------------------


def hashes(files: Iterable[Path]) -> dict[str, str]:
    """What a manifest says of its input files: the last two parts of the path → SHA-256, in the order of the files.

    The number of a stage's folder is left out: it changes when a stage is put in front of it.
    """
    found: dict[str, str] = {}
    for file in files:
        name = _NUMBER.sub("", "/".join(file.parts[-2:]))
        if name in found:  # two runs of one recipe have stages of the same name
            name = str(file)
        found[name] = sha256(file)
    return found


@dataclass(frozen=True)
class Key:
    """All that a stage's output depends on. Two runs with equal keys make equal records."""

    stage: str
    settings: dict[str, Any] = field(default_factory=dict)
    references: dict[str, list[str]] = field(default_factory=dict)
    """Setting that names files → their SHA-256, in order: which file stands where."""
    inputs: dict[str, str] = field(default_factory=dict)
    """Name → SHA-256 of every file and model that is read."""
    code: str = ""
    """Porism's version."""

    def difference(self, other: Key) -> str:
        """In a few words, what changed from ``self`` to ``other``."""
        if self.stage != other.stage:
            return f"it was {self.stage!r} before"
        if self.code != other.code:
            return f"porism {self.code} became {other.code}"
        for name in sorted(self.settings.keys() | other.settings.keys()):
            before, after = self.settings.get(name), other.settings.get(name)
            if before != after:
                return f"setting {name} was {before!r}, is now {after!r}"
        for name in sorted(self.inputs.keys() | other.inputs.keys()):
            if self.inputs.get(name) != other.inputs.get(name):
                return f"input {name} changed"
        for name in sorted(self.references.keys() | other.references.keys()):
            if self.references.get(name) != other.references.get(name):
                return f"setting {name} names other files, or names them in another order"
        return ""


@dataclass
class Manifest:
    """What made a stage's output, and what is in it. Stands beside the records as JSON."""

    key: Key
    status: Literal["running", "complete"] = "running"
    environment: dict[str, Any] = field(default_factory=dict)
    """Versions of what computes, thread count and dtype; a resumed stage keeps the last two."""
    counts: dict[str, int] = field(default_factory=dict)
    figures: dict[str, Any] = field(default_factory=dict)
    outputs: dict[str, str] = field(default_factory=dict)
    """File, relative to the manifest → SHA-256."""
    writes: list[str] = field(default_factory=list)
    """Files and folders besides the records that the stage writes: all else in its folder is somebody else's."""
    seconds: float = 0.0
    """Wall time over all sessions that it took."""
    peak_memory_mb: float = 0.0
    started: str = ""
    finished: str = ""

    @property
    def counted(self) -> str:
        """What the stage made, in words: ``120 records, 69 correct``."""
        told = any(name.startswith("dropped: ") for name in self.counts)  # the reasons say it
        shown = [(name, count) for name, count in self.counts.items() if count and not (told and name == "dropped")]
        return ", ".join(f"{count:,} {name}" for name, count in shown) or "no records"

    @classmethod
    def load(cls, path: Path) -> Manifest:
        """Read a manifest. One of another version may lack fields or have more: it is read, and its key will differ.

        Raises:
            DataError: it is not one.
        """
        value = load_json(path)
        if not isinstance(value, dict) or not isinstance(value.get("key"), dict):
            raise DataError(
                f"{path}: not a stage's manifest: expected an object with the stage's 'key', got {str(value)[:60]}. "
                "Delete it to run the stage anew."
            )
        try:
            key, own = ({known.name for known in fields(kind)} for kind in (Key, cls))
            value["key"] = Key(**{name: part for name, part in value["key"].items() if name in key})
            return cls(**{name: part for name, part in value.items() if name in own})
        except TypeError as error:
            raise DataError(f"{path}: not a stage's manifest ({error}). Delete it to run the stage anew.") from None


class State(NamedTuple):
    """What stands in an output already: ``done``, ``resume`` or ``fresh``, and why."""

    name: Literal["done", "resume", "fresh"]
    why: str


class Output:
    """Where one stage writes. See the module's text for how it survives an interruption."""

    def __init__(self, target: str | Path) -> None:
        self.target = Path(target).expanduser()
        if self.target.suffix == ".jsonl":
            self.folder, stem = self.target.parent, self.target.stem + "."
            self.records = self.target
        else:
            self.folder, stem = self.target, ""
            self.records = self.target / "records.jsonl"
        self.dropped = self.folder / f"{stem}dropped.jsonl"
        self._manifest = self.folder / f"{stem}manifest.json"
        self._partial = self.folder / f".{stem}partial.jsonl"
        self._progress = self.folder / f".{stem}progress.jsonl"
        self._old = self.folder / f".{stem}old"
        self.lock = self.folder / f".{stem}lock"
        self.manifest: Manifest | None = None
        self._began = time.monotonic()
        self._earlier = 0.0
        self._stem = stem
        self._extra: list[Path] = []
        self._litter: list[Path] = [self._partial, self._progress, self._old]  # _HIDDEN of them
        self.counts: Counter[str] = Counter()
        self.figures: dict[str, Any] = {}

    @property
    def alone(self) -> bool:
        """True where the output is a folder of its own, so that other files may be put there."""
        return self.folder == self.target

    def state(self, key: Key) -> State:
        """Compare what is on disk with what is about to be made.

        Raises:
            StorageError: something stands there that no stage wrote.
        """
        if not self._manifest.exists():
            return self._without_manifest()
        manifest = Manifest.load(self._manifest)
        if manifest.key.stage.split()[0] != key.stage.split()[0]:
            raise StorageError(
                f"{self.target} holds the output of '{manifest.key.stage}'. Choose another output, or delete it first."
            )
        if manifest.key != key:
            return State("fresh", manifest.key.difference(key))
        if manifest.status == "running":
            return State("resume", "it was cut off")
        for name, digest in manifest.outputs.items():
            file = self.folder / name
            if not file.is_file():
                return State("fresh", f"{name} is missing")
            if sha256(file) != digest:
                return State("fresh", f"{name} was changed after it was written")
        self.manifest = manifest
        return State("done", "")

    def _without_manifest(self) -> State:
        """``fresh`` where nothing stands, or only what a session left that ended before its first manifest."""
        if self._old.exists():
            return State("fresh", "it was cut off")
        standing = self._own()
        if self.alone and self.folder.is_dir():
            standing = [path for path in self.folder.iterdir() if path not in (self.lock, self._old)]
        if any(path.suffix != ".tmp" for path in standing):
            raise StorageError(
                f"{self.target} exists and was not written by a Porism stage. Choose another output, or move it away."
            )
        return State("fresh", "")

    def begin(self, key: Key, state: State) -> None:
        """Get ready to write: keep what a cut-off run left, or set a finished output aside until this one is."""
        if state.name == "resume":
            self.manifest = Manifest.load(self._manifest)
            self._earlier = self.manifest.seconds
        else:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._set_aside()
            self.manifest = Manifest(key=key, started=_now(), environment=_versions())
            self.save()
        self._began = time.monotonic()

    def give_back(self) -> None:
        """After a stage that failed before it had stored any work: put the output that was set aside where it was."""
        checkpoints = self._litter[_HIDDEN:]
        worked = self._progress.exists() and self._progress.stat().st_size
        if self._old.exists() and not worked and not any(path.is_dir() and any(path.iterdir()) for path in checkpoints):
            self._clear()
            self._put_back()

    def restore(self, key: Key) -> bool:
        """Put an output back that was set aside for another one that never came to its end, if it is what is wanted.

        Returns:
            Whether it was.
        """
        if not (self._old / self._manifest.name).exists():
            return False
        set_aside = Manifest.load(self._old / self._manifest.name)
        if set_aside.key != key or set_aside.status != "complete":
            return False
        if not self._manifest.exists():  # cut off while it was set aside, or put back
            self._put_aside()
        elif Manifest.load(self._manifest).key == key:
            return False
        for name, digest in set_aside.outputs.items():
            if not (self._old / name).is_file() or sha256(self._old / name) != digest:
                return False
        self._clear()
        self._put_back()
        return True

    def remove_when_finished(self, path: Path) -> None:
        """Name something, such as checkpoints, that is needed until the manifest says that the stage is complete."""
        self._litter.append(path)

    def keep(self, name: str, value: Any) -> Any:
        """Fix a property of the machine (threads, dtype) for the whole stage: a resumed stage gets the first value."""
        manifest = self._open_manifest()
        if name not in manifest.environment:
            manifest.environment[name] = value
            self.save()
        return manifest.environment[name]

    def process(
        self,
        units: Sequence[Unit],
        work: Callable[[Unit], Iterable[Placed]],
        *,
        title: str,
        unit: str = "records",
        again: Sequence[Unit] = (),
    ) -> None:
        """Do the units of work that are not done yet, in order, and store each one's results at once.

        Args:
            units: the plan, made from the input alone: the same in every session.
            work: makes the results of one unit.
            title: what the progress bar says.
            unit: what the progress bar counts; each unit of work counts its length.
            again: units to do after those; what they make takes the place of what stands there already.
        """
        done = self._cut_back()
        todo = [*units[done:], *again]
        with (
            self._partial.open("ab") as partial,
            self._progress.open("ab") as journal,
            console.progress(title, sum(map(len, [*units, *again])), unit, sum(map(len, units[:done]))) as bar,
        ):
            for number, current in enumerate(todo, done + 1):
                crc = 0
                for placed in work(current):
                    text = as_line(placed)
                    crc = zlib.crc32(text, crc)
                    partial.write(text)
                partial.flush()
                os.fsync(partial.fileno())
                mark = {"units": number, "bytes": partial.tell(), "seconds": self._elapsed(), "crc": crc}
                journal.write(to_line(mark))
                journal.flush()
                os.fsync(journal.fileno())
                bar.advance(len(current))
        self._assemble()

    def write(self, results: Iterable[Placed]) -> None:
        """Store results that are quickly made again, all at once: there are no units to go on with."""
        with self._partial.open("wb") as partial:
            for placed in results:
                partial.write(as_line(placed))
        self._assemble()

    def places(self, chosen: Callable[[Mapping[str, Any]], bool]) -> list[int]:
        """Where results stand, stored by earlier sessions, whose row is chosen; the last result of a place counts."""
        self._cut_back()
        with self._partial.open("rb") as partial:
            found = {value["at"]: chosen(value["row"]) for value in map(json.loads, partial)}
        return sorted(at for at, wanted in found.items() if wanted)

    def beside(self, name: str) -> Path:
        """The path of another file or folder of this output; tell :meth:`add` when it is written.

        Raises:
            StorageError: something stands there that no stage wrote.
        """
        path = self.folder / f"{self._stem}{name}"
        manifest = self._open_manifest()
        if path.name not in manifest.writes:
            if path.exists():
                raise StorageError(f"{path} was not written by this stage, which needs its place. Move it away.")
            manifest.writes.append(path.name)
            self.save()
        return path

    def add(self, *files: Path) -> None:
        """Count files beside the records as part of the output: a change to one makes the stage run again."""
        self._extra.extend(files)

    def finish(self, peak_memory_mb: float = 0.0) -> Manifest:
        """Write the manifest that says the stage is complete."""
        manifest = self._open_manifest()
        files = [file for file in (self.records, self.dropped, *self._extra) if file.is_file()]
        manifest.outputs = {file.relative_to(self.folder).as_posix(): sha256(file) for file in files}
        manifest.counts = dict(sorted(self.counts.items()))
        manifest.figures = self.figures
        manifest.status = "complete"
        manifest.peak_memory_mb = max(manifest.peak_memory_mb, round(peak_memory_mb, 1))
        manifest.finished = _now()
        self.save()
        for path in self._litter:
            _remove(path)
        return manifest

    def save(self) -> None:
        """Write the manifest as it stands."""
        manifest = self._open_manifest()
        manifest.seconds = round(self._elapsed(), 3)
        write_json(self._manifest, asdict(manifest))

    def _open_manifest(self) -> Manifest:
        if self.manifest is None:
            raise RuntimeError("Output.begin was not called")
        return self.manifest

    def _elapsed(self) -> float:
        return self._earlier + time.monotonic() - self._began

    def _marks(self) -> list[tuple[int, dict[str, Any]]]:
        """The good marks in the journal, each with the journal's length up to it."""
        available = self._partial.stat().st_size if self._partial.exists() else 0
        marks: list[tuple[int, dict[str, Any]]] = []
        length = good = 0
        for line in self._progress.read_bytes().split(b"\n")[:-1] if self._progress.exists() else []:
            length += len(line) + 1
            try:
                mark = json.loads(line)
                if mark["bytes"] > available:
                    break
                if checksum(self._partial, good, mark["bytes"]) != mark["crc"]:
                    console.notice(
                        f"  {self._partial.name} is damaged: what stands there from that place on is done again"
                    )
                    break
            except (ValueError, KeyError, TypeError):  # a power cut can leave a block of zeros
                break
            good = mark["bytes"]
            marks.append((length, mark))
        return marks

    def _cut_back(self) -> int:
        """Cut both files back to what is known to be good, half-written lines included; how many units that is."""
        marks = self._marks()
        journal, mark = marks[-1] if marks else (0, {"units": 0, "bytes": 0, "seconds": self._earlier})
        for file, length in ((self._partial, mark["bytes"]), (self._progress, journal)):
            file.touch()
            os.truncate(file, int(length))
        self._earlier = mark["seconds"]
        return int(mark["units"])

    def _assemble(self) -> None:
        """Put the partial file's results in the order of the input, each into its file."""
        for name, count in assemble(self._partial, self._file_of).items():
            self.counts[name] = count

    def _file_of(self, name: str) -> Path:
        if name in (RECORDS, DROPPED):
            return self.records if name == RECORDS else self.dropped
        file = self.beside(f"{name}.jsonl")
        if file not in self._extra:
            self.add(file)
        return file

    def _own(self) -> list[Path]:
        """What stages wrote in this place, the manifest last; other files in a stage's folder are left alone."""
        names = {path.name for path in (self.records, self.dropped, self._manifest, self._partial, self._progress)}
        for manifest in (self._manifest, self._old / self._manifest.name):
            if manifest.exists():
                made = Manifest.load(manifest)
                names.update([name.partition("/")[0] for name in made.outputs], made.writes)
        found = {self.folder / f"{name}{end}" for name in names for end in ("", ".tmp")}
        return sorted((path for path in found if path.exists()), key=lambda path: (path == self._manifest, path))

    def _set_aside(self) -> None:
        """Make room: a finished output is moved out of the way, the remains of an unfinished one are deleted."""
        if self._manifest.exists() and Manifest.load(self._manifest).status == "complete":
            _remove(self._old)
            self._put_aside()
        elif self._manifest.exists() or not self._old.exists():
            self._clear()
        else:
            self._put_aside()

    def _put_aside(self) -> None:
        """Move the manifest, then the rest: while no manifest stands here, what does belongs to what is set aside."""
        self._old.mkdir(exist_ok=True)
        for path in reversed(self._own()):
            _remove(self._old / path.name)
            path.rename(self._old / path.name)

    def _put_back(self) -> None:
        for path in sorted(self._old.iterdir(), key=lambda path: path.name == self._manifest.name):
            path.rename(self.folder / path.name)
        self._old.rmdir()

    def _clear(self) -> None:
        for path in self._own():
            _remove(path)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _versions() -> dict[str, Any]:
    """What the results of a stage may depend on besides Porism."""
    return {name: importlib.metadata.version(name) for name in ("torch", "transformers", "peft", "reasoning-gym")}


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
