"""``porism doctor --sandbox`` runs against every wall and limit, and fails where one does not hold."""

import json
import subprocess
import sys

import pytest
from doctor_kit import checks

from porism import sandbox
from porism.doctor import Status
from porism.sandbox import _tiers, selftest


def test_every_wall_holds(tier: str) -> None:
    command = [sys.executable, "-m", "porism", "doctor", "--sandbox", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = {one["name"]: one for one in json.loads(done.stdout)["checks"] if one["group"] == "sandbox"}
    assert found["tier"]["figures"] == {"tier": tier}
    assert found["tier"]["found"] == f"{tier}: {_tiers.TIERS[tier]}"
    assert {name: one["found"] for name, one in found.items() if one["status"] != "ok"} == {}
    assert len(found) >= 16
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
def test_without_isolation_the_walls_are_seen_to_be_missing(tier: str) -> None:
    del tier
    found = {one.name: one.holds for one in selftest.proofs("unsafe")}
    assert not found["files of this user"]
    assert not found["processes of others"]
    assert not found["network"]
    assert found["processor time"]
    assert found["verdicts"]


def test_it_is_looked_at_only_when_wanted() -> None:
    assert not any(one.group == "sandbox" for one in checks().values())


def test_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(name: str) -> str:
        raise sandbox.Refused(f"sandbox: {name} is not to be had")

    monkeypatch.setattr(sandbox, "ready", refuse)
    found = checks(sandbox=True)["sandbox tier"]
    assert (found.status, found.found) == (Status.FAILED, "auto is not to be had")
