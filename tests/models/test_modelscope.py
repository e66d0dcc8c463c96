"""Pulling from ModelScope, against a server on loopback that speaks its protocol."""

import json
from pathlib import Path

import pytest
from hub_server import Cdn, ModelScope, files_of

from porism.errors import ModelError
from porism.models import _site, pull
from porism.models.load import fingerprint

KEY = "ms-0123456789-secret"
BIG = "model.safetensors"
PAGE = r"https://modelscope\.cn/models/org/tiny"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORISM_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_not_for_modelscope")
    for name in ("MODELSCOPE_ENDPOINT", "MODELSCOPE_API_TOKEN", "HF_HUB_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(_site, "PAUSES", [0.0, 0.0])


@pytest.fixture
def model(tiny_model: Path) -> dict[str, bytes]:
    return files_of(tiny_model)


def test_a_model_is_fetched_and_used_by_name(
    model: dict[str, bytes], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ModelScope({**model, "pytorch_model.bin": b"pickle"}) as server:
        monkeypatch.setenv("MODELSCOPE_ENDPOINT", server.url)
        folder = pull.pull("modelscope:org/tiny")
        assert pull.pull("modelscope:org/tiny@v1") == folder, "the same files are the same commit"
        assert len([seen for seen in server.seen if seen.path.endswith("/repo")]) == len(model)
        assert all("authorization" not in seen.headers for seen in server.seen)
        server.files["config.json"] = model["config.json"] + b"\n"
        second = pull.pull("modelscope:org/tiny")
    assert second != folder
    assert fingerprint("modelscope:org/tiny@v1") == fingerprint(str(tiny_model))
    about = json.loads((folder / "porism.json").read_text())
    assert (about["hub"], about["repository"], about["revision"]) == ("modelscope", "org/tiny", "master")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert pull.pull("modelscope:org/tiny") == pull.locate("modelscope:org/tiny@master") == second
    with pytest.raises(ModelError, match="porism pull org/tiny"):
        pull.locate("org/tiny")


def test_files_on_a_content_network(model: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODELSCOPE_API_TOKEN", KEY)
    with Cdn(model) as cdn, ModelScope(model, cdn=cdn.url) as server:
        server.tokens = (KEY,)
        cdn.faults.cut_after = 20_000
        folder = pull.pull("modelscope:org/tiny", endpoint=server.url)
        assert not {"authorization", "cookie"} & {name for seen in cdn.seen for name in seen.headers}
        assert {seen.headers["cookie"] for seen in server.seen} == {f"m_session_id={KEY}"}
        assert cdn.seen[1].headers["range"] == "bytes=20000-"
    assert (folder / BIG).read_bytes() == model[BIG]


def test_a_wrong_byte_is_refused(model: dict[str, bytes]) -> None:
    with ModelScope(model) as server:
        server.faults.flip = True
        with pytest.raises(ModelError, match="expected SHA-256"):
            pull.pull("modelscope:org/tiny", endpoint=server.url)
    with pytest.raises(ModelError, match="no model 'modelscope:org/tiny'"):
        pull.locate("modelscope:org/tiny")


def test_paths_that_lead_out_are_refused(tmp_path: Path, model: dict[str, bytes]) -> None:
    with ModelScope({**model, "../evil.json": b"{}"}) as server:
        with pytest.raises(ModelError, match="may lie outside its folder"):
            pull.pull("modelscope:org/tiny", endpoint=server.url)
        server.files = {**model, "config.json": b'{"auto_map": {"a": "b"}}'}
        with pytest.raises(ModelError, match=r"modelscope:org/tiny, config\.json: refused, 'auto_map'"):
            pull.pull("modelscope:org/tiny", endpoint=server.url)
    assert not list(tmp_path.rglob("*evil*"))
    assert not list((tmp_path / "cache").rglob("*.safetensors*"))


def test_refusals_say_what_to_do(model: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    with ModelScope(model) as server:
        for name in ("modelscope:org/none", "modelscope:org/tiny@v9"):
            with pytest.raises(ModelError, match=r"no model .* with the revision .*\(Not found\)"):
                pull.pull(name, endpoint=server.url)
        server.tokens = ()
        with pytest.raises(ModelError, match=rf"without a token \(no permission\)\. Accept its terms at {PAGE}"):
            pull.pull("modelscope:org/tiny", endpoint=server.url)
        monkeypatch.setenv("MODELSCOPE_API_TOKEN", KEY)
        with pytest.raises(ModelError, match="MODELSCOPE_API_TOKEN has no access to modelscope:org/tiny") as error:
            pull.pull("modelscope:org/tiny", endpoint=server.url)
        assert KEY not in str(error.value)
        monkeypatch.setenv("MODELSCOPE_API_TOKEN", "a; b=c")
        with pytest.raises(ModelError, match="characters that no token has"):
            pull.pull("modelscope:org/tiny", endpoint=server.url)


def test_a_server_that_is_not_modelscope(model: dict[str, bytes]) -> None:
    at = "/api/v1/models/org/tiny/repo/files"
    with ModelScope(model) as server:
        for body, complaint in (
            (b"{}", "lists no files"),
            (b'{"Data": {"Files": [{"Size": 3}]}}', "without a path"),
            (b'{"Success": false, "Code": 10, "Message": "gone\\u001b[2J"}', r"\(gone\[2J\)"),
        ):
            server.faults.raw = {at: (200, {}, body)}
            with pytest.raises(ModelError, match=complaint):
                pull.pull("modelscope:org/tiny", endpoint=server.url)
