"""Stages that solve, with the cache of replies: the same bytes, no work, and never by mistake."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from conftest import problem
from engines.fake_openai import Fake
from porism import pipeline, store
from porism.engines import Reply, Request, local
from porism.records import to_row

Solve = Callable[..., store.Manifest]


@pytest.fixture
def solve(tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch) -> Solve:
    """Solves nine problems with the tiny model; replies are kept in a folder of the test."""
    monkeypatch.setenv("PORISM_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PORISM_REPLIES_MB", "16")
    problems = tmp_path / "p.jsonl"
    problems.write_text("".join(json.dumps(to_row(problem(n))) + "\n" for n in range(9)))

    def solved(name: str, **settings: object) -> store.Manifest:
        values = {
            "input": [str(problems)], "model": str(tiny_model), "dtype": "float32", "samples": 2, "temperature": 1.0,
            "max_tokens": 8, "problems_at_once": 4, "max_unjudged": 1.0, **settings,
        }  # fmt: skip
        values = {key: value for key, value in values.items() if value is not None}
        return pipeline.execute(pipeline.prepare("solve", "direct", values), tmp_path / name)

    return solved


def records(folder: Path) -> bytes:
    return (folder / "records.jsonl").read_bytes()


def forbid(monkeypatch: pytest.MonkeyPatch) -> None:
    """From here on no model may be loaded."""
    monkeypatch.setattr(local, "load", None)


def test_a_rerun_costs_nothing_and_has_the_same_bytes(
    solve: Solve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "samples_from_cache" not in solve("plain", cache=False).figures
    assert not (tmp_path / "home" / "replies").exists()
    assert "samples_from_cache" not in solve("first").figures
    assert "came from the cache" not in capsys.readouterr().err
    forbid(monkeypatch)
    manifest = solve("again")
    assert manifest.figures["samples_from_cache"] == 18
    assert "18 samples were made before and came from the cache" in capsys.readouterr().err
    assert records(tmp_path / "plain") == records(tmp_path / "first") == records(tmp_path / "again")
    assert manifest.environment["dtype"] == "float32"
    solve("other-batches", problems_at_once=7, batch_size=3, threads=1)
    assert records(tmp_path / "other-batches") == records(tmp_path / "plain")


def test_a_rerun_with_more_samples_has_the_bytes_of_a_first_run(
    solve: Solve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    solve("plain", samples=5, cache=False)
    solve("some")
    generate, made = local.Local.generate, []

    def counting(self: local.Local, requests: Sequence[Request], **more: Any) -> list[Reply]:
        made.extend(request.n for request in requests)
        return generate(self, requests, **more)

    monkeypatch.setattr(local.Local, "generate", counting)
    assert solve("more", samples=5).figures["samples_from_cache"] == 18
    assert records(tmp_path / "more") == records(tmp_path / "plain")
    assert sum(made) == 9 * 5 - 18, "those that were there are not made again"


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"temperature": 0.5}, {"top_k": 3}, {"system": "x"}, {"dtype": "bfloat16"}]
)
def test_what_changes_a_reply_is_asked_anew(solve: Solve, change: dict[str, object]) -> None:
    solve("first")
    assert "samples_from_cache" not in solve("other", **change).figures


def test_another_model_is_asked_anew(solve: Solve, tmp_path: Path, tiny_model: Path) -> None:
    import transformers

    solve("first")
    network = transformers.AutoModelForCausalLM.from_pretrained(tiny_model)
    network.model.norm.weight.data[0] += 0.01
    other = tmp_path / "model"
    network.save_pretrained(other)
    transformers.AutoTokenizer.from_pretrained(tiny_model).save_pretrained(other)
    assert "samples_from_cache" not in solve("other", model=str(other)).figures


def test_whether_there_is_a_cache_does_not_make_a_stage_another_one(
    solve: Solve, capsys: pytest.CaptureFixture[str]
) -> None:
    solve("a", cache=False)
    solve("a", cache=True)
    solve("a")
    assert capsys.readouterr().err.count("done before, kept") == 2


def test_a_stage_that_was_cut_off_ends_with_the_same_bytes(
    solve: Solve, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    solve("plain", cache=False)
    generate, calls = local.Local.generate, []

    def cut_off(self: local.Local, *args: object, **more: object) -> object:
        calls.append(args)
        if len(calls) == 2:
            raise KeyboardInterrupt
        return generate(self, *args, **more)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(local.Local, "generate", cut_off)
        with pytest.raises(KeyboardInterrupt):
            solve("cut")
    assert "samples_from_cache" not in solve("cut").figures  # what is stored is not asked for at all
    assert records(tmp_path / "cut") == records(tmp_path / "plain")
    forbid(monkeypatch)
    solve("again")
    assert records(tmp_path / "again") == records(tmp_path / "plain")


def test_a_server_is_asked_again_unless_the_user_says_otherwise(solve: Solve) -> None:
    with Fake() as fake:
        asked = {"engine": "openai", "base_url": fake.url, "model": "m", "dtype": None}
        for name, settings, requests in (
            ("a", {}, 9),
            ("b", {}, 18),
            ("c", {"cache": True}, 27),
            ("d", {"cache": True}, 27),
            ("e", {"cache": True, "extra_body": {"x": 1}}, 36),
        ):
            solve(name, **asked, **settings)
            assert len(fake.asked()) == requests, name
