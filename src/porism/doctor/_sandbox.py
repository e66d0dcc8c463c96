"""Whether untrusted programs can be run here: every wall and limit of the sandbox is run against."""

from __future__ import annotations

from collections.abc import Iterator

from porism import sandbox
from porism.doctor._checks import Check, Status
from porism.sandbox import selftest

__all__ = ["checks"]

_GROUP = "sandbox"


def checks() -> Iterator[Check]:
    """The tier that ``auto`` means here, and a line for each of its walls and limits."""
    try:
        tier = sandbox.ready(sandbox.AUTO)
    except sandbox.Refused as error:
        yield Check(_GROUP, "tier", Status.FAILED, str(error).removeprefix("sandbox: "))
        return
    yield Check(_GROUP, "tier", Status.OK, f"{tier}: {sandbox.TIERS[tier]}", figures={"tier": tier})
    for proof in selftest.proofs(tier):
        status = Status.OK if proof.holds else Status.FAILED
        cure = "" if proof.holds else "Do not run untrusted programs here, and report this."
        yield Check(_GROUP, proof.name, status, proof.found, cure)
