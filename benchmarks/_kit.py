"""What every benchmark does: read its settings, find its data, say on what it ran, write or print the result."""

import argparse
import contextlib
import importlib.metadata
import json
import os
import platform
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from porism import store

__all__ = ["DATA", "finish", "has_data", "machine", "parser", "processor", "versions"]

RESULTS = Path(__file__).parent / "results"
DATA = Path(os.environ.get("PORISM_DATA") or Path(__file__).parents[2] / "shared" / "data")


def parser(description: str | None, small: str) -> argparse.ArgumentParser:
    """A command line with ``--small``, which prints what a few of its work units give.

    Args:
        description: the script's docstring, whose first line is shown.
        small: what few is.
    """
    made = argparse.ArgumentParser(description=(description or "").partition("\n")[0])
    made.add_argument("--small", action="store_true", help=f"{small}, printed, not stored")
    return made


def has_data(file: str) -> bool:
    """Whether a file of the real data is here; says so on standard output where it is not."""
    if (DATA / file).is_file():
        return True
    sys.stdout.write(json.dumps({"command": "", "skipped": f"no data in {DATA}; set PORISM_DATA"}) + "\n")
    return False


def finish(name: str, result: dict[str, Any], packages: list[str], *, small: bool) -> None:
    """Write ``results/name.json``; a small run is printed instead.

    Args:
        name: the benchmark's.
        result: its figures.
        packages: those whose versions matter.
        small: whether this run only shows that the benchmark still works.
    """
    whole = {
        **result,
        "versions": versions(packages) | result.get("versions", {}),
        "machine": machine(),
        "date": datetime.now(UTC).date().isoformat(),
    }
    text = json.dumps(whole, indent=1) + "\n"
    if small:
        sys.stdout.write(text)
    else:
        store.write_text(RESULTS / f"{name}.json", text)


def versions(packages: list[str]) -> dict[str, str]:
    """The versions of those packages that are here; a peer that a small run leaves out need not be."""
    here: dict[str, str] = {}
    for package in packages:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            here[package] = importlib.metadata.version(package)
    return here


def machine() -> dict[str, Any]:
    """The machine, as far as it matters for speed."""
    return {
        "processor": processor(),
        "cores": len(os.sched_getaffinity(0)),
        "python": platform.python_version(),
    }


def processor() -> str:
    """The processor's name as the system gives it."""
    with Path("/proc/cpuinfo").open(encoding="utf-8") as file:
        return next((line.partition(":")[2].strip() for line in file if line.startswith("model name")), "unknown")
