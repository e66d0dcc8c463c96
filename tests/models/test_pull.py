"""Pulling from the Hugging Face hub and its mirrors, against a server on loopback that speaks the hub's protocol."""

import contextlib
import hashlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hub_server import COMMIT, Cdn, Hub, Server, files_of

from porism import pipeline
from porism.errors import ModelError, StorageError
from porism.models import _site, names, pull, remote
from porism.models.load import fingerprint, load

KEY = "hf_test0123456789secret"
OTHER = "d00d" + "1" * 36
BIG = "model.safetensors"


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORISM_HOME", str(tmp_path / "cache"))
    for name in ("HF_ENDPOINT", "HF_TOKEN", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "no-token"))
    monkeypatch.setattr(_site, "PAUSES", [0.0, 0.0])


@pytest.fixture
def model(tiny_model: Path) -> dict[str, bytes]:
    return files_of(tiny_model)


def hidden(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("models/hf/org--tiny/.*") if path.is_dir())


def test_a_model_is_fetched_checked_and_used_by_name(
    tmp_path: Path, model: dict[str, bytes], tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    extra = {"pytorch_model.bin": b"pickle", "onnx/config.json": b"{}", "README.md": b"card", "handler.py": b"evil"}
    with Hub({**model, **extra, "consolidated.safetensors": b"twice"}) as hub:
        folder = pull.pull("org/tiny", endpoint=hub.url)
        assert pull.pull("org/tiny", endpoint=hub.url) == folder
        assert len(hub.gets("resolve")) == len(model) + 1, "each file once, and no more than is needed"
    assert folder == tmp_path / "cache" / "models" / "hf" / "org--tiny" / COMMIT
    assert sorted(path.name for path in folder.iterdir()) == sorted([*model, "README.md", "porism.json"])
    about = json.loads((folder / "porism.json").read_text())
    assert about["repository"] == "org/tiny"
    assert about["revision"] == "main"
    assert about["commit"] == COMMIT
    assert about["files"][BIG] == hashlib.sha256(model[BIG]).hexdigest()
    assert fingerprint("org/tiny") == fingerprint(str(tiny_model))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for name in ("org/tiny", "hf:org/tiny", "org/tiny@main", f"org/tiny@{COMMIT}"):
        assert pull.locate(name) == folder
        assert pull.pull(name) == folder
    assert load("org/tiny").model.config.hidden_size == 32


def test_names_that_were_not_pulled_say_how_to(model: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ModelError, match=r"To fetch it from its hub: porism pull org/tiny$"):
        pull.locate("org/tiny")
    with pytest.raises(ModelError, match=r"porism pull modelscope:org/tiny@v2$"):
        pull.verify("modelscope:org/tiny@v2")
    with Hub(model) as hub:
        pull.pull("org/tiny", endpoint=hub.url)
        with pytest.raises(ModelError, match="has no revision 'v9'"):
            pull.pull("org/tiny@v9", endpoint=hub.url)
    with pytest.raises(ModelError, match=r"In the cache: org/tiny\. To fetch"):
        pull.locate("org/tiny@v9")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(ModelError, match="HF_HUB_OFFLINE forbids"):
        pull.pull("org/other")


def test_a_recipe_says_before_its_first_stage_what_to_pull(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    stages = ["- problems: procedural", "  tasks: {gcd: {count: 1}}", "- solve: direct"]
    file.write_text("\n".join(["name: r", "model: org/tiny", "stages:", *stages, ""]))
    with pytest.raises(ModelError, match="porism pull org/tiny"):
        pipeline.dry_run(file)


@pytest.mark.parametrize(
    "name",
    ["hf:", "hf:x", "hf:../x", "modelscope:a/b/c", "hf:a/..", "org/x@../../y", "org/x@a b", "hf:a--b/c", "a\nb/c"],
)
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ModelError, match=re.escape(repr(name))):
        pull.pull(name, endpoint="http://127.0.0.1:9")


def test_a_folder_comes_before_a_hub(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org").mkdir()
    (tmp_path / "org" / "tiny").symlink_to(tiny_model)
    assert pull.pull("org/tiny") == Path("org/tiny")
    with pytest.raises(ModelError, match="Leave --endpoint"):
        pull.pull("org/tiny", endpoint="http://127.0.0.1:9")


def test_a_branch_moves_and_a_commit_does_not(model: dict[str, bytes]) -> None:
    with Hub(model) as hub:
        first = pull.pull("org/tiny", endpoint=hub.url)
        hub.commits |= {"main": OTHER, OTHER: OTHER}
        second = pull.pull("org/tiny", endpoint=hub.url)
        asked = len(hub.seen)
        assert pull.pull(f"org/tiny@{COMMIT}", endpoint=hub.url) == first
        assert len(hub.seen) == asked, "a commit that is here needs no server"
    assert pull.locate("org/tiny") == second != first
    assert pull.locate(f"org/tiny@{COMMIT}") == first
    assert pull.pull("org/tiny", endpoint=hub.url) == second, "the hub is gone, and what is here is used"
    with Hub(model, commits={"main": "9" * 40}) as hub, pytest.raises(ModelError, match="no model 'org/tiny' on"):
        pull.pull("org/tiny", endpoint=hub.url)
    assert pull.locate("org/tiny") == second, "a pull that failed changes nothing"


def test_a_cut_connection_is_gone_on_with(model: dict[str, bytes]) -> None:
    with Hub(model) as hub:
        hub.faults.cut_after = 20_000
        folder = pull.pull("org/tiny", endpoint=hub.url)
        ranges = [seen.headers.get("range", "") for seen in hub.gets(BIG)]
        sent = hub.sent[f"/org/tiny/resolve/{COMMIT}/{BIG}"]
    assert (folder / BIG).read_bytes() == model[BIG]
    assert ranges[:3] == ["", "bytes=20000-", "bytes=40000-"]
    assert sent == len(model[BIG])


def test_a_pull_that_failed_goes_on_where_it_stopped(tmp_path: Path, model: dict[str, bytes]) -> None:
    with Hub(model) as hub:
        hub.faults.cut_after, hub.commits = 20_000, {"main": COMMIT}
        hub.faults.raw = {f"/org/tiny/resolve/{COMMIT}/{BIG}": (503, {}, b"busy")}
        hub.commits[COMMIT] = COMMIT
        with pytest.raises(ModelError, match="answered 503"):
            pull.pull("org/tiny", endpoint=hub.url)
        (scratch,) = hidden(tmp_path / "cache")
        (scratch / f"{BIG}.part").write_bytes(model[BIG][:12_345])
        assert names.cached(remote.Remote("hf", "org/tiny", "main")) is None
        hub.faults = type(hub.faults)()
        before = len(hub.gets("tokenizer.json"))
        folder = pull.pull("org/tiny", endpoint=hub.url)
        assert len(hub.gets("tokenizer.json")) == before, "what is there is not fetched again"
        assert hub.gets(BIG)[-1].headers["range"] == "bytes=12345-"
    assert (folder / BIG).read_bytes() == model[BIG]
    assert not hidden(tmp_path / "cache")


def test_what_is_left_of_another_file_or_too_long_is_fetched_anew(tmp_path: Path, model: dict[str, bytes]) -> None:
    scratch = tmp_path / "cache" / "models" / "hf" / "org--tiny" / f".{COMMIT}"
    scratch.mkdir(parents=True)
    (scratch / "config.json").write_text("damaged")
    (scratch / f"{BIG}.part").write_bytes(b"x" * (len(model[BIG]) + 1))
    with Hub(model) as hub:
        with pytest.raises(ModelError, match=rf"expected {len(model[BIG]):,} bytes, got {len(model[BIG]) + 1:,}"):
            pull.pull("org/tiny", endpoint=hub.url)
        hub.faults.no_ranges = True
        (scratch / f"{BIG}.part").write_bytes(b"x" * 100)
        folder = pull.pull("org/tiny", endpoint=hub.url)
    assert files_of(folder).items() >= model.items()


@pytest.mark.parametrize("file", [BIG, "config.json"])
def test_a_wrong_byte_is_refused(tmp_path: Path, model: dict[str, bytes], file: str) -> None:
    with Hub(model) as hub:
        wrong = model[file][:-1] + bytes([model[file][-1] ^ 1])
        hub.faults.raw = {f"/org/tiny/resolve/{COMMIT}/{file}": (200, {}, wrong)}
        for _ in range(2):
            with pytest.raises(
                ModelError, match=rf"{file} from 127.*expected (SHA-256|Git hash) \w+, got \w+.* damaged"
            ):
                pull.pull("org/tiny", endpoint=hub.url)
    assert not list((tmp_path / "cache").rglob(f"{file}*"))
    with pytest.raises(ModelError, match="no model"):
        pull.locate("org/tiny")


def test_more_bytes_than_announced_are_refused(model: dict[str, bytes]) -> None:
    with Hub(model) as hub:
        hub.faults.raw = {f"/org/tiny/resolve/{COMMIT}/{BIG}": (200, {}, model[BIG] * 2)}
        with pytest.raises(ModelError, match="bytes and sends more"):
            pull.pull("org/tiny", endpoint=hub.url)


def test_a_busy_server_is_asked_again(model: dict[str, bytes]) -> None:
    with Hub(model) as hub:
        hub.faults.busy = 2
        pull.pull("org/tiny", endpoint=hub.url)
        hub.faults.busy = 10
        with pytest.raises(ModelError, match=r"answered 503 for org/tiny"):
            pull.pull("org/tiny", endpoint=hub.url)


def test_the_listing_of_a_mirror_without_hashes(model: dict[str, bytes], capfd: pytest.CaptureFixture[str]) -> None:
    with Hub(model, metadata=False) as hub:
        folder = pull.pull("org/tiny", endpoint=hub.url)
        assert [seen for seen in hub.seen if seen.method == "HEAD"]
        hub.commits |= {"main": OTHER, OTHER: OTHER}
        wrong = {**model, BIG: b"?" + model[BIG][1:]}
        hub.faults.raw = {f"/org/tiny/resolve/{OTHER}/{BIG}": (200, _headers(model[BIG]), wrong[BIG])}
        with pytest.raises(ModelError, match="expected SHA-256"):
            pull.pull("org/tiny", endpoint=hub.url)
    assert files_of(folder).items() >= model.items()
    assert "no hash" not in capfd.readouterr().err
    with Hub(model, metadata=False, hashes=False, commits={"main": "9" * 40, "9" * 40: "9" * 40}) as hub:
        pull.pull("org/tiny", endpoint=hub.url)
    assert re.search(rf"states no hash of {BIG}: only the size", capfd.readouterr().err)


def _headers(data: bytes) -> dict[str, str]:
    return {"X-Linked-Etag": f'"{hashlib.sha256(data).hexdigest()}"', "X-Linked-Size": str(len(data))}


# --- where requests go -------------------------------------------------------------------------------


def test_a_mirror_serves_everything_itself(model: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    """The large files lead elsewhere in their headers (xet) and the token stays where it belongs."""
    monkeypatch.setenv("HF_TOKEN", KEY)
    with Server("127.0.0.2") as elsewhere, Cdn(model) as cdn, Hub(model, cdn=cdn.url, tokens=(KEY,)) as hub:
        hub.cdn = elsewhere.url
        with pytest.raises(
            ModelError, match=r"the mirror 127\.0\.0\.1:\d+ does not serve this itself.*--data-host 127\.0\.0\.2"
        ):
            pull.pull("org/tiny", endpoint=hub.url)
        assert not elsewhere.seen
        hub.cdn = cdn.url
        folder = pull.pull("org/tiny", endpoint=hub.url)
        assert (folder / BIG).read_bytes() == model[BIG]
        assert not elsewhere.seen
        assert {seen.path for seen in cdn.seen} == {f"/blobs/{BIG}"}, "no xet"
        assert all("authorization" not in seen.headers for seen in cdn.seen), "another port is another server"
        assert all(seen.headers["authorization"] == f"Bearer {KEY}" for seen in hub.seen)


def test_a_host_that_the_user_names_may_serve_the_files(
    model: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", KEY)
    with Cdn(model, "127.0.0.2") as cdn, Hub(model, cdn=cdn.url, tokens=(KEY,)) as hub:
        cdn.faults.cut_after = 30_000
        pull.pull("org/tiny", endpoint=hub.url, data_hosts=["127.0.0.2"])
        assert all("authorization" not in seen.headers for seen in cdn.seen)
        assert cdn.seen[1].headers["range"] == "bytes=30000-"


@pytest.mark.parametrize("place", ["listing", "file"])
@pytest.mark.parametrize("target", ["http://127.0.0.2:9/x", "file:///etc/passwd", "ftp://127.0.0.1/x", "//127.0.0.2/x"])
def test_a_redirect_leads_nowhere_else(model: dict[str, bytes], place: str, target: str) -> None:
    path = "/api/models/org/tiny/revision/main" if place == "listing" else f"/org/tiny/resolve/{COMMIT}/config.json"
    with Hub(model) as hub:
        hub.faults.raw = {path: (302, {"Location": target}, b"")}
        with pytest.raises(ModelError, match="refused"):
            pull.pull("org/tiny", endpoint=hub.url)


def test_a_redirect_in_a_circle_ends(model: dict[str, bytes]) -> None:
    path = "/api/models/org/tiny/revision/main"
    with Hub(model) as hub:
        hub.faults.raw = {path: (307, {"Location": path}, b"")}
        with pytest.raises(ModelError, match="in a circle"):
            pull.pull("org/tiny", endpoint=hub.url)


def test_what_redirects_may_do() -> None:
    """The hub itself may send to its content network, but not back to what is not encrypted."""
    hub = _site.Site("https://huggingface.co", {})
    hub._check("https://cdn-lfs.example.org/x")
    with pytest.raises(ModelError, match="without encryption"):
        hub._check("http://huggingface.co/x")
    mirror = _site.Site("https://mirror.example", {}, mirror=True, hosts=["CDN.example"])
    for url in ("https://mirror.example/x", "https://lfs.mirror.example/x", "https://cdn.example/x"):
        mirror._check(url)
    for url in ("https://huggingface.co/x", "https://notmirror.example/x", "https://mirror.example.evil.org/x"):
        with pytest.raises(ModelError, match="does not serve this itself"):
            mirror._check(url)


@pytest.mark.parametrize(
    "address",
    ["mirror.example", "ftp://mirror.example", "https://", "https://u:secret@mirror.example", "https://x/?a=secret"],
)
def test_an_endpoint_that_is_none(address: str) -> None:
    with pytest.raises(ModelError, match="expected an address such as") as error:
        pull.pull("org/tiny", endpoint=address)
    assert "secret" not in str(error.value)


def test_hf_endpoint_names_a_mirror(model: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    with Hub(model) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url + "/")
        pull.pull("org/tiny")
        assert hub.gets("resolve")


def test_a_server_that_is_no_hub(model: dict[str, bytes]) -> None:
    path = "/api/models/org/tiny/revision/main"
    with Hub(model) as hub:
        for body, complaint in (
            (b"<html>sign in</html>", "something else than JSON"),
            (b"[]", "names no commit"),
            (b'{"sha": "../../x", "siblings": []}', "names no commit"),
            (b'{"sha": "%s", "siblings": [{}]}' % COMMIT.encode(), "without a name"),
            (b'{"sha": "%s", "siblings": []}' % COMMIT.encode(), "found no weights"),
        ):
            hub.faults.raw = {path: (200, {}, body)}
            with pytest.raises(ModelError, match=complaint):
                pull.pull("org/tiny", endpoint=hub.url)
    with pytest.raises(ModelError, match=r"cannot fetch from 127\.0\.0\.1:\d+: .*Check the network"):
        pull.pull("org/tiny", endpoint=hub.url)


# --- who may read ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "token", "complaint"),
    [
        (
            {"gated": ()},
            "",
            r"is gated, and no token was found\. Accept its licence at https://huggingface\.co/org/tiny",
        ),
        ({"gated": (), "tokens": (KEY,)}, KEY, "is gated, and the token in HF_TOKEN has no access to it"),
        ({}, KEY, "does not accept the token in HF_TOKEN"),
        ({"repo": "org/else"}, "", "no model 'org/tiny' on 127.*needs a token"),
        ({"repo": "org/else", "tokens": (KEY,)}, KEY, "or it is private and the token in HF_TOKEN may not see it"),
    ],
)
def test_refusals_say_what_to_do(
    model: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], token: str, complaint: str
) -> None:
    if token:
        monkeypatch.setenv("HF_TOKEN", token)
    with Hub(model, **options) as hub, pytest.raises(ModelError, match=complaint) as error:
        pull.pull("org/tiny", endpoint=hub.url)
    assert KEY not in str(error.value)


def test_a_gated_model_with_the_token_of_a_login(
    model: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "token").write_text(KEY + "\n")
    monkeypatch.setattr("huggingface_hub.constants.HF_TOKEN_PATH", str(tmp_path / "token"))
    with Hub(model, gated=(KEY,), tokens=(KEY,)) as hub:
        folder = pull.pull("org/tiny", endpoint=hub.url)
    assert KEY not in "".join(capfd.readouterr())
    assert all(KEY.encode() not in data for data in files_of(folder).values())
    monkeypatch.setenv("HF_TOKEN", "hf_wüst")
    with pytest.raises(ModelError, match="has characters that no token has") as error:
        pull.pull("org/tiny", endpoint=hub.url)
    assert "hf_w" not in str(error.value)


# --- what is not trusted -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        "../evil.json",
        "/etc/evil.json",
        "a/../../evil.json",
        "a\\..\\evil.json",
        "./x.json",
        "evil\x1b[2J.json",
        "..",
        "a//../b",
    ],
)
def test_paths_that_lead_out_are_refused(tmp_path: Path, model: dict[str, bytes], path: str) -> None:
    with Hub({**model, path: b"{}"}) as hub, pytest.raises(ModelError, match="may lie outside its folder") as error:
        pull.pull("org/tiny", endpoint=hub.url)
    assert "\x1b" not in str(error.value)
    assert not hub.gets("resolve")
    assert not list(tmp_path.rglob("*evil*"))


def test_names_of_our_own_files_are_not_taken_from_a_server(model: dict[str, bytes]) -> None:
    with Hub({**model, "porism.json": b"{}", ".hidden.json": b"{}", "a.json.part": b"{}"}) as hub:
        folder = pull.pull("org/tiny", endpoint=hub.url)
    assert json.loads((folder / "porism.json").read_text())["commit"] == COMMIT
    assert sorted(path.name for path in folder.iterdir()) == sorted([*model, "porism.json"])


@pytest.mark.parametrize(
    ("changed", "complaint", "before"),
    [
        ({"modeling_x.py": b""}, r"org/tiny: refused, it contains Python code \(modeling_x\.py\)", 0),
        ({"config.json": b'{"auto_map": {"AutoModel": "x.Y"}}'}, r"org/tiny, config\.json: refused, 'auto_map'", 9),
        ({"tokenizer_config.json": b'{"auto_map": {}}'}, r"tokenizer_config\.json: refused, 'auto_map'", 9),
        ({"config.json": b"{"}, "not readable as JSON", 9),
        ({BIG: None, "pytorch_model.bin": b"x"}, r"found weights in \.bin only", 0),
        ({BIG: None, "m.gguf": b"x"}, r"found weights in \.gguf only", 0),
        ({BIG: None, f"{BIG}.index.json": b'{"weight_map": {"a": "../x.safetensors"}}'}, "outside the folder", 9),
        ({BIG: None, f"{BIG}.index.json": b'{"weight_map": {"a": "x.safetensors"}}'}, "not among its files", 9),
        ({BIG: None, f"{BIG}.index.json": b'{"weight_map": {"a": "config.json"}}'}, "not among its files", 9),
        ({BIG: None, f"{BIG}.index.json": b"{}"}, "not among its files", 9),
    ],
)
def test_what_could_run_code_is_refused_before_the_weights(
    tmp_path: Path, model: dict[str, bytes], changed: dict[str, bytes | None], complaint: str, before: int
) -> None:
    files = {name: data for name, data in {**model, **changed}.items() if data is not None}
    with Hub(files) as hub, pytest.raises(ModelError, match=complaint):
        pull.pull("org/tiny", endpoint=hub.url)
    assert len(hub.gets("resolve")) <= before
    assert not [seen for seen in hub.gets() if seen.path.endswith(".safetensors")]
    assert names.cached(remote.Remote("hf", "org/tiny", "main")) is None


def test_shards_are_those_of_the_index(model: dict[str, bytes], tiny_model: Path, tmp_path: Path) -> None:
    load(str(tiny_model)).model.save_pretrained(tmp_path / "shards", max_shard_size="30KB")
    shards = files_of(tmp_path / "shards")
    files = {name: data for name, data in {**model, **shards}.items() if name != BIG}
    assert sum(name.endswith(".safetensors") for name in shards) > 1
    with Hub({**files, "consolidated.safetensors": b"x", "model.fp16.safetensors": b"x"}) as hub:
        folder = pull.pull("org/tiny", endpoint=hub.url)
    assert {path.name for path in folder.glob("*.safetensors")} == {n for n in shards if n.endswith(".safetensors")}
    assert load("org/tiny").model.num_parameters() == load(str(tiny_model)).model.num_parameters()


def test_an_adapter_says_that_its_base_is_lacking(
    model: dict[str, bytes], tiny_model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    import peft

    network = peft.get_peft_model(load(str(tiny_model)).model, peft.LoraConfig(r=2, target_modules=["q_proj"]))
    network.peft_config["default"].base_model_name_or_path = str(tiny_model)
    network.save_pretrained(tmp_path / "adapter")
    config = json.loads((tmp_path / "adapter" / "adapter_config.json").read_text())
    config |= {"base_model_name_or_path": "org/tiny", "revision": COMMIT}
    (tmp_path / "adapter" / "adapter_config.json").write_text(json.dumps(config))
    with Hub(files_of(tmp_path / "adapter"), repo="org/adapter") as hub:
        pull.pull("org/adapter", endpoint=hub.url)
    assert f"porism pull org/tiny@{COMMIT}" in capfd.readouterr().err
    with pytest.raises(ModelError, match="porism pull org/tiny@"):
        load("org/adapter")
    with Hub(model) as hub:
        pull.pull("org/tiny", endpoint=hub.url)
    assert load("org/adapter").model.peft_config["default"].r == 2


def test_a_disk_that_is_too_full_is_seen_beforehand(model: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_SPARE", 10**18)
    with Hub(model) as hub, pytest.raises(StorageError, match="GB are free"):
        pull.pull("org/tiny", endpoint=hub.url)


# --- the command -------------------------------------------------------------------------------------


def test_ctrl_c_keeps_what_has_arrived(tmp_path: Path, model: dict[str, bytes]) -> None:
    model = {**model, BIG: model[BIG] * 40}  # the check of the hash comes before anybody reads it
    with Hub(model) as hub:
        hub.faults.pause = 0.02
        command = [sys.executable, "-m", "porism", "pull", "org/tiny", "--endpoint", hub.url]
        started = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        path = f"/org/tiny/resolve/{COMMIT}/{BIG}"
        while hub.sent.get(path, 0) < 100_000:
            time.sleep(0.01)
            assert started.poll() is None
        started.send_signal(signal.SIGINT)
        out, err = started.communicate(timeout=30)
        assert (started.returncode, out) == (130, "")
        assert "Stopped. The same command goes on from here." in err
        assert "Traceback" not in err
        (part,) = (tmp_path / "cache").rglob(f"{BIG}.part")
        arrived = part.stat().st_size
        assert 0 < arrived < len(model[BIG])
        hub.faults.pause = 0.0
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert hub.gets(BIG)[-1].headers["range"] == f"bytes={arrived}-"
    folder = Path(done.stdout.strip())
    assert done.stderr == f"Fetching org/tiny ({COMMIT[:12]}) from {hub.url[7:]}.\n", "one line, no bar off a terminal"
    assert (folder / BIG).read_bytes() == model[BIG]


def test_a_terminal_sees_a_bar(model: dict[str, bytes]) -> None:
    terminal, inside = pty.openpty()
    with Hub({**model, BIG: bytes(3_000_000)}) as hub:
        hub.faults.pause = 0.002
        command = [sys.executable, "-m", "porism", "pull", "org/tiny", "--endpoint", hub.url]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=inside, text=True) as started:
            os.close(inside)
            shown = ""
            with contextlib.suppress(OSError):  # the terminal ends with the command
                while piece := os.read(terminal, 65536):
                    shown += piece.decode(errors="replace")
            assert started.communicate()[0].endswith(f"{COMMIT}\n")
    os.close(terminal)
    assert re.search(r"org/tiny .*[12]/3 \d\.\d MB/s 0:00:0", re.sub(r"\x1b\[[0-9;?]*\w", "", shown))


def test_two_pulls_at_once_fetch_once(model: dict[str, bytes]) -> None:
    with Hub(model) as hub:
        hub.faults.pause = 0.01
        command = [sys.executable, "-m", "porism", "pull", "org/tiny", "--endpoint", hub.url]
        both = [
            subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) for _ in range(2)
        ]
        places = {process.communicate(timeout=60)[0] for process in both}
        assert len(places) == 1
        assert len(hub.gets(BIG)) == 1
