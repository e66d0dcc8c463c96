"""What an index holds, and how it is read: solved problems, and passages of documents.

Solved problems are attempts that were graded correct, or problems with a worked solution. Documents are plain text,
Markdown, or JSON Lines with a text in each row.
"""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from porism import console
from porism.errors import DataError
from porism.files import Malformed, each, read_text
from porism.knowledge._passages import passages
from porism.records import Attempt, Problem, content_id
from porism.store import parse
from porism.words import normal, readable, tokens

__all__ = ["Item", "Reading", "from_data", "to_data", "words"]

_PLAIN = (".txt", ".md", ".markdown")
_ROWS = ".jsonl"
_TEXTS = ("text", "content", "body", "passage")
"""Fields of a row that may hold its text; the first that is there is taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One thing that can be found."""

    kind: Literal["problem", "document"]
    text: str
    """What it is found by: a problem's question, or a passage."""
    solution: str = ""
    answer: str = ""
    grader: str = ""
    """The problem's kind."""
    source: str = ""
    """Where it comes from: the problem's source, or the document's name."""
    number: int = 0
    """Which passage of the document."""
    before: str = ""
    """What stands in the document before the passage; see :mod:`porism.knowledge._leaks`."""
    record: str = ""
    """The id of the problem."""

    @property
    def id(self) -> str:
        """Hash of all that it says."""
        return content_id("item", *(getattr(self, field.name) for field in dataclasses.fields(self)))

    @property
    def problem(self) -> Problem:
        """The solved problem, with the solution that is kept."""
        return Problem(
            question=self.text, answer=self.answer, solution=self.solution, kind=self.grader, source=self.source
        )


class Reading:
    """The items of some files, each once, and what was left out.

    Args:
        paths: stage folders, files of records, text or Markdown, JSON Lines, or folders with such files.
        of_each: solutions kept of one problem.
        size: most characters of a passage.
        overlap: characters that passages have in common.
    """

    def __init__(self, paths: Sequence[str], *, of_each: int = 1, size: int = 800, overlap: int = 100) -> None:
        self._paths, self._of_each = paths, of_each
        self._shape: dict[str, int] = {"size": size, "overlap": overlap}
        self._solutions: Counter[str] = Counter()
        self.left_out: Counter[str] = Counter()
        """How often each reason was given."""
        self.documents = 0
        self._first = ""

    def items(self) -> Iterator[Item]:
        """What is to be indexed, in the order of the input.

        Raises:
            DataError: a path is not there, or is nothing that can be read.
        """
        seen: set[str] = set()
        for path in self._paths:
            for item in self._of_path(Path(path).expanduser()):
                name = item.id
                if name in seen:
                    self.left_out["the same as another one"] += 1
                    continue
                seen.add(name)
                yield item
        if self._first:
            count = self.left_out["no record and no text"]
            console.notice(f"  {count:,} lines are no records and no documents, the first: {self._first}")

    def _of_path(self, place: Path) -> Iterator[Item]:
        if place.is_dir() and (place / "records.jsonl").is_file():
            yield from self._of_rows(place / "records.jsonl", place.name)
        elif place.is_dir():
            files = sorted(
                file
                for file in place.rglob("*")
                if file.suffix.lower() in (*_PLAIN, _ROWS)
                and file.is_file()
                and not any(part.startswith(".") for part in file.relative_to(place).parts)
            )
            if not files:
                raise DataError(f"{place}: expected files that end in {', '.join((*_PLAIN, _ROWS))}, found none.")
            for file in files:
                yield from self._of_file(file, file.relative_to(place).as_posix())
        else:
            yield from self._of_file(place, place.name)

    def _of_file(self, file: Path, name: str) -> Iterator[Item]:
        if file.suffix.lower() == _ROWS and file.is_file():
            yield from self._of_rows(file, name)
        elif file.suffix.lower() in (*_PLAIN, _ROWS):
            yield from self._of_document(read_text(file), name)
        else:
            raise DataError(
                f"{file}: expected a stage's folder, a folder of documents, or a file that ends in "
                f"{', '.join((*_PLAIN, _ROWS))}. Check the path, or save the text as .txt."
            )

    def _of_rows(self, file: Path, name: str) -> Iterator[Item]:
        for number, row in each(file):
            if isinstance(row, Malformed):
                self._unread(row.complaint)
                continue
            text = next((row[field] for field in _TEXTS if isinstance(row.get(field), str)), None)
            if "problem" in row or "question" in row:
                yield from self._of_record(row, f"{file}, line {number}")
            elif text is not None:
                title = row.get("title")
                whole = f"{title}\n\n{text}" if isinstance(title, str) and title else text
                yield from self._of_document(whole, f"{name}:{number}")
            else:
                self._unread(f"{file}, line {number}: none of the fields {', '.join(_TEXTS)} holds a text.")

    def _of_record(self, row: dict[str, Any], where: str) -> Iterator[Item]:
        try:
            record = parse(row)
        except (ValueError, RecursionError) as error:
            self._unread(f"{where}: {' '.join(str(error).split())[:200]}")
            return
        if isinstance(record, Attempt):
            problem, solution = record.problem, record.text
            reason = "" if record.verdict else "not graded"
            reason = reason or ("" if record.verdict and record.verdict.correct else "not correct")
        elif isinstance(record, Problem):
            problem, solution = record, record.solution
            reason = "" if solution else "a problem without a solution"
        else:
            self._unread(f"{where}: neither a problem nor an attempt at one.")
            return
        if not reason and self._solutions[problem.id] >= self._of_each:
            reason = "a further solution"
        if reason:
            self.left_out[reason] += 1
            return
        self._solutions[problem.id] += 1
        yield Item(
            kind="problem",
            text=_clean(problem.question),
            solution=_clean(solution),
            answer=_clean(problem.answer),
            grader=problem.kind,
            source=problem.source,
            record=problem.id,
        )

    def _of_document(self, text: str, name: str) -> Iterator[Item]:
        self.documents += 1
        for number, passage in enumerate(passages(_clean(text), **self._shape)):
            yield Item(kind="document", text=passage.text, source=name, number=number, before=passage.before)

    def _unread(self, complaint: str) -> None:
        self.left_out["no record and no text"] += 1
        self._first = self._first or complaint


def words(text: str) -> str:
    """The words that full-text search compares, a space between them; in scripts without spaces each sign is one."""
    return " ".join(tokens(normal(text)))


def to_data(item: Item) -> str:
    """The item as it is stored: one line of JSON."""
    return json.dumps({name: value for name, value in dataclasses.asdict(item).items() if value}, ensure_ascii=False)


def from_data(data: str) -> Item:
    """The item that was stored."""
    return Item(**json.loads(data))


def _clean(text: str) -> str:
    """The text without what no store keeps: NUL characters and halves of surrogate pairs."""
    return readable(text).replace("\0", " ")
