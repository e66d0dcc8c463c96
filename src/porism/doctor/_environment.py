"""The machine and what is installed on it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
import os
import platform
import shutil
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from porism import __version__
from porism.doctor._checks import Check, Status
from porism.models import memory
from porism.models.machine import choose_dtype, choose_threads, processors, said_threads
from porism.models.names import home

__all__ = ["TESTED", "checks", "host"]

TESTED = {"torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.2", "tokenizers": "0.23.3"}
"""The versions that the tests run with, as in ``constraints.txt``."""

_LITTLE_DISK = 5_000_000_000
_NOT_OURS = ("all", "dev", "docs")


def checks() -> Iterator[Check]:
    """Versions, extras, processor, memory, disk, and the variables that rule where models come from."""
    yield from _versions()
    yield _extras()
    yield from _processor()
    found = memory.available()
    yield Check(
        "environment",
        "memory",
        Status.OK,
        f"{_gigabytes(found.free)} of {_gigabytes(found.total)} free ({found.what})",
        figures={"free": found.free, "total": found.total},
    )
    yield from _disk()
    yield _hub()


def _versions() -> Iterator[Check]:
    from packaging.requirements import Requirement
    from packaging.specifiers import SpecifierSet

    python = platform.python_version()
    try:
        package = importlib.metadata.metadata("porism")
    except importlib.metadata.PackageNotFoundError:
        yield _line(
            "python", f"{python}; porism {__version__} is not installed as a package", "Run: pip install -e .", bad=True
        )
        return
    wanted = SpecifierSet(package["Requires-Python"] or "")
    if python in wanted:
        yield _line("python", f"{python}, porism {__version__}")
    else:
        yield Check(
            "environment", "python", Status.FAILED, f"{python}, but porism needs {wanted}", "Use another interpreter."
        )
    unmet = []
    for text in importlib.metadata.requires("porism") or ():
        requirement = Requirement(text)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        version = _version(requirement.name)
        if not version or not requirement.specifier.contains(version, prereleases=True):
            unmet.append(f"{requirement.name}{requirement.specifier} (there is {version or 'none'})")
    if unmet:
        yield Check(
            "environment",
            "packages",
            Status.FAILED,
            f"not as porism needs them: {', '.join(unmet)}",
            "Run: pip install -c constraints.txt -e .",
        )
    other = [
        f"{name} {_version(name)} (tested: {tested})" for name, tested in TESTED.items() if not _same(name, tested)
    ]
    shown = ", ".join(f"{name} {_version(name)}" for name in TESTED)
    if other:
        yield _line(
            "versions", f"not those of the tests: {', '.join(other)}", "Install with -c constraints.txt.", bad=True
        )
    else:
        yield _line("versions", f"{shown}, as tested")


def _version(name: str) -> str:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _same(name: str, tested: str) -> bool:
    return _version(name).partition("+")[0] == tested


def _extras() -> Check:
    from packaging.requirements import Requirement

    try:
        package = importlib.metadata.metadata("porism")
    except importlib.metadata.PackageNotFoundError:
        return _line("extras", "cannot be told: porism is not installed as a package", bad=True)
    wanted = [Requirement(text) for text in importlib.metadata.requires("porism") or ()]
    optional = [one for one in wanted if one.marker and not one.marker.evaluate({"extra": ""})]
    lacking: list[str] = []
    there: list[str] = []
    for extra in sorted(set(package.get_all("Provides-Extra") or ()) - set(_NOT_OURS)):
        own = [one.name for one in optional if one.marker and one.marker.evaluate({"extra": extra})]
        (there if all(_version(name) for name in own) else lacking).append(extra)
    found = f"installed: {', '.join(there) or 'none'}"
    if lacking:
        found += f"; not installed: {', '.join(lacking)} (pip install 'porism[{','.join(lacking)}]')"
    return Check("environment", "extras", Status.OK, found, figures={"installed": there, "missing": lacking})


def _processor() -> Iterator[Check]:
    import torch

    all_of_them = processors()
    with contextlib.redirect_stderr(io.StringIO()):  # it says there what the line below says
        threads = choose_threads()
    crowded = threads < all_of_them and not said_threads()
    yield _line(
        "threads",
        f"OMP_NUM_THREADS says {said_threads()}, of {all_of_them} processors"
        if said_threads()
        else f"{threads} of {all_of_them} processors are idle, so that many threads are chosen",
        "Stop what keeps the others busy, or set threads yourself." if crowded else "",
        bad=crowded,
    )
    dtype = choose_dtype()
    native = [name for name in ("amx_bf16", "avx512_bf16") if torch.cpu.get_capabilities().get(name)]
    if torch.cuda.is_available():
        why = torch.cuda.get_device_name()
    elif native:
        why = f"the processor has {' and '.join(native)}; no GPU"
    else:
        why = "the processor has neither amx_bf16 nor avx512_bf16 and would emulate bfloat16; no GPU"
    yield Check("environment", "dtype", Status.OK, f"{dtype}: {why}", figures={"dtype": dtype})


def _disk() -> Iterator[Check]:
    places = {"the cache": home(), "this folder": Path.cwd()}
    for what, folder in places.items():
        there = next(path for path in (folder, *folder.parents) if path.exists())
        free = shutil.disk_usage(there).free
        yield _line(
            "disk",
            f"{_gigabytes(free)} free for {what} ({folder})",
            "Free some: a checkpoint takes 12 bytes a parameter, a model in the cache 2 to 4."
            if free < _LITTLE_DISK
            else "",
            bad=free < _LITTLE_DISK,
        )


def _hub() -> Check:
    offline = [name for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE") if _on(os.environ.get(name, ""))]
    endpoint = os.environ.get("HF_ENDPOINT", "")
    said = [f"{', '.join(offline)} is set: nothing is fetched from a hub"] if offline else ["not switched off"]
    if endpoint:
        said.append(f"HF_ENDPOINT is {host(endpoint)}")
    return _line("hub", "; ".join(said))


def host(address: str) -> str:
    """Scheme, host and port of an address, and nothing that may be a secret."""
    try:
        parts = urlsplit(address if "//" in address else f"//{address}")
        return f"{parts.scheme or 'https'}://{parts.hostname or ''}" + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return "no readable address"


def _on(value: str) -> bool:
    return value.strip().upper() in ("1", "ON", "YES", "TRUE")


def _line(name: str, found: str, cure: str = "", *, bad: bool = False) -> Check:
    return Check("environment", name, Status.WARNING if bad else Status.OK, found, cure)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
