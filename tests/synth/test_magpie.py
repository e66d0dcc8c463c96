"""The stage ``synth magpie``: records, balance, resume, determinism, refusals."""

from pathlib import Path

import pytest
from fake_openai import Act, Fake, Seen
from synth_kit import files, magpie, rows, synth, writer

from porism import pipeline
from porism.engines import Request, Sampling, local
from porism.errors import DataError, ModelError, RecipeError
from porism.models.load import load
from porism.synth._domains import Domain
from porism.synth._instructions import Turn, Writer, template_of


def test_records_tell_how_they_were_made(tmp_path: Path) -> None:
    manifest = magpie(tmp_path / "a", ins_top_p=0.9, seed=3)
    kept, dropped = rows(tmp_path / "a"), rows(tmp_path / "a", "dropped.jsonl")
    assert len(kept) + len(dropped) == 60
    assert manifest.counts["records"] == len(kept)
    assert {row["reason"].partition(":")[0] for row in dropped} == {
        "leaked solution",
        "truncated",
        "ends in a colon",
    }
    first = kept[0]
    assert first["strategy"] == "magpie"
    assert first["model"] == "scripted"
    meta = first["problem"]["meta"]
    assert meta["top_p"] == 0.9
    assert meta["temperature"] == 1.0
    assert {"index", "seed", "model", "template", "tokens", "max_tokens"} <= set(meta)
    square = next(row for row in kept if "square" in row["problem"]["question"])
    assert square["problem"]["question"].startswith("Find the area")
    assert square["problem"]["meta"]["taken_away"] == ["label", "solution"]
    assert square["problem"]["meta"]["written"].endswith("Answer: no.")
    told = pipeline.store.load_json(tmp_path / "a" / "generation.json")
    assert told["family"] == "smollm2"
    assert told["settings"]["seed"] == 3
    assert told["pre_query"]["algebra"]["text"].endswith("<|im_start|>user\n")
    assert told["pre_query"]["algebra"]["id"] == meta["template"]
    example = rows(tmp_path / "a", "sft.jsonl")[0]
    assert example["prompt"] == [{"role": "user", "content": first["problem"]["question"]}]
    assert example["completion"][0]["content"] == first["text"]


def test_domains_are_balanced_by_quota(tmp_path: Path) -> None:
    magpie(tmp_path / "a", domains=["algebra", "code", "none"], quotas={"code": 2.0}, total=20, responses=0)
    written = [*rows(tmp_path / "a"), *rows(tmp_path / "a", "dropped.jsonl")]
    counts = {name: sum(row["group"] == name for row in written) for name in ("algebra", "code", "none")}
    assert counts == {"algebra": 5, "code": 10, "none": 5}
    assert {row["kind"] for row in written if row["group"] == "code"} == {"judge"}

    manifest = magpie(tmp_path / "b", domains=["algebra", "code"], total=20, count="kept", responses=0)
    kept = [row["group"] for row in rows(tmp_path / "b")]
    assert (kept.count("algebra"), kept.count("code")) == (10, 10)
    assert manifest.counts["records"] == 20
    magpie(tmp_path / "c", domains=["algebra", "code"], total=20, count="kept", responses=0, at_once=3)
    assert (tmp_path / "c" / "records.jsonl").read_bytes() == (tmp_path / "b" / "records.jsonl").read_bytes()


def test_neither_the_batch_nor_other_domains_change_a_record(tmp_path: Path) -> None:
    magpie(tmp_path / "a", responses=2, res_temp=0.7)
    magpie(tmp_path / "b", responses=2, res_temp=0.7, at_once=7)
    both = [
        {name: files(tmp_path / run)[name] for name in ("records.jsonl", "dropped.jsonl", "sft.jsonl")} for run in "ab"
    ]
    assert both[0] == both[1]
    magpie(tmp_path / "c", domains=["algebra"], total=10)
    alone = {row["problem"]["question"] for row in rows(tmp_path / "c")}
    assert alone == {row["problem"]["question"] for row in rows(tmp_path / "a") if row["problem"]["group"] == "algebra"}
    magpie(tmp_path / "d", domains=["algebra"], total=10, seed=1)
    assert alone != {row["problem"]["question"] for row in rows(tmp_path / "d")}


@pytest.mark.parametrize("count", ["written", "kept"])
def test_cut_off_in_the_middle_it_ends_as_if_it_had_not_been(tmp_path: Path, count: str) -> None:
    values = {"total": 40, "count": count, "at_once": 4, "responses": 2, "res_temp": 1.0, "dies": str(tmp_path / "now")}
    magpie(tmp_path / "calm", **values)
    for lives in (1, 2, 9, 14):
        (tmp_path / "now").touch()
        target = tmp_path / f"cut{lives}"
        with pytest.raises(RuntimeError, match="died"):
            magpie(target, **values, lives=lives)
        (tmp_path / "now").unlink()
        magpie(target, **values, lives=lives)
        same = {name: data for name, data in files(target).items() if name != "generation.json"}
        assert same == {name: data for name, data in files(tmp_path / "calm").items() if name != "generation.json"}


def test_changed_settings_start_anew_and_say_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    magpie(tmp_path / "a")
    capsys.readouterr()
    magpie(tmp_path / "a")
    assert "done before, kept" in capsys.readouterr().err
    magpie(tmp_path / "a", ins_temp=1.3)
    assert "done again: setting ins_temp was None, is now 1.3" in capsys.readouterr().err
    assert rows(tmp_path / "a")[0]["problem"]["meta"]["temperature"] == 1.3


def test_a_conversation_of_several_turns(tmp_path: Path, tiny_model: Path) -> None:
    engine = writer(tmp_path)
    values = {"engine": f"{engine}", "model": str(tiny_model), "total": 12, "turns": 3, "headings": True}
    with pytest.raises(ModelError, match="needs the model's tokenizer"):
        synth("magpie", tmp_path / "x", **values, family="smollm2", min_chars=8)
    file = tmp_path / "writer.py"
    file.write_text(file.read_text().replace("answers: str", "tokenizer: str = '', answers: str"))
    synth("magpie", tmp_path / "a", **values, tokenizer=str(tiny_model), min_chars=8)
    found = rows(tmp_path / "a")
    later = [row for row in found if row["problem"]["meta"]["turn"] == 2]
    assert later
    for row in later:
        assert [one["role"] for one in row["messages"]] == ["user", "assistant"] * 2 + ["user"]
        assert row["meta"]["before"] == row["messages"][:-1]
        assert "<think>" not in row["messages"][1]["content"]
    ended = [row for row in rows(tmp_path / "a", "dropped.jsonl") if row["meta"]["turn"]]
    assert ended, "instructions of later turns that were dropped are told too"
    example = next(row for row in rows(tmp_path / "a", "sft.jsonl") if len(row["prompt"]) == 5)
    assert example["prompt"][-1]["role"] == "user"


def test_settings_that_do_not_go_together_are_refused_before_anything_runs(tmp_path: Path) -> None:
    for values, said in (
        ({"ins_top_p": 1.2}, "expected a share in (0, 1], got 1.2.*the two labels are swapped.*it is ins_temp"),
        ({"res_top_p": 0.0}, "res_top_p: expected a share"),
        ({"turns": 2, "responses": 0}, "a second turn needs a response"),
        ({"responses": 4}, "at 0 all responses would be the same"),
        ({"domains": ["algebr"]}, "Did you mean 'algebra'"),
        ({"domains": []}, "domains: expected at least one name"),
        ({"language": "xx"}, "language: 'xx' is no language that can be told"),
        ({"quotas": {"code": 1.0}}, "'code' is none of the domains"),
        ({"res_prompt": "five_part"}, "Did you mean 'five_parts'"),
        ({"res_options": {"threads": 1}}, "they belong to another engine or model"),
        ({"res_engine": "local", "res_options": {"thread": 1}}, "unknown setting 'thread'"),
        ({"ins_tempp": 1.2}, "Did you mean 'ins_temp'"),
        ({"tensor_parallel": 2}, "is a setting of the engine 'vllm'"),
        ({"domain_file": str(tmp_path / "none.jsonl")}, "no such file"),
        ({"sandbox": "box"}, "there is no 'box'"),
        ({"engine": "scripted"}, "nothing is known of this one's"),
        ({"engine": "scripted", "family": "qwen25"}, "Did you mean 'qwen2.5'"),
        ({"engine": "scripted", "family": "qwen3", "turns": 2}, "needs the model's tokenizer"),
    ):
        with pytest.raises((RecipeError, DataError, ModelError), match=said.replace("(", r"\(").replace("]", r"\]")):
            pipeline.prepare("synth", "magpie", values)


def test_domains_of_your_own(tmp_path: Path) -> None:
    own = tmp_path / "own.jsonl"
    own.write_text('{"name": "riddles", "system": "You solve riddles.", "temperature": 0.7, "words": ["what"]}\n')
    values = {"domain_file": str(own), "domains": ["riddles"], "total": 30, "responses": 0, "on_domain": True}
    magpie(tmp_path / "a", **values)
    assert {row["meta"]["temperature"] for row in rows(tmp_path / "a")} == {0.7}
    assert all(row["question"].startswith("What") for row in rows(tmp_path / "a"))
    own.write_text(own.read_text().replace("0.7", "0.8"))
    magpie(tmp_path / "a", **values)
    assert {row["meta"]["temperature"] for row in rows(tmp_path / "a")} == {0.8}, "an edited file is noticed"
    for text, said in (
        ("", "no domain in it"),
        ('{"name": "riddles"}\n' * 2, "line 2: the domain 'riddles' stands in the file twice"),
        ('{"name": "riddles", "kind": "nothing"}\n', "'nothing'"),
    ):
        own.write_text(text)
        with pytest.raises((DataError, RecipeError), match=said):
            pipeline.prepare("synth", "magpie", values)
    own.write_text('{"name": "x", "sytem": "?"}\n')
    with pytest.raises(RecipeError, match=r"own.jsonl, line 1: unknown setting 'sytem'. Did you mean 'system'"):
        pipeline.prepare("synth", "magpie", values)
    own.write_text('{"name": "riddles", "kind": "maths"}\n')
    with pytest.raises(RecipeError, match="Did you mean 'math'"):
        pipeline.prepare("synth", "magpie", values)


def test_where_nothing_is_kept_it_stops_with_the_reasons(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"synth magpie kept none of 6 \(\d too short"):
        magpie(tmp_path / "a", total=6, min_chars=900)


def test_where_tries_do_not_suffice_it_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = {"domains": ["algebra"], "total": 20, "count": "kept", "responses": 0}
    magpie(tmp_path / "a", **values, most_tries=1)
    kept = len(rows(tmp_path / "a"))
    assert f"after most_tries=1 times as many: algebra {kept} of 20" in capsys.readouterr().err
    magpie(tmp_path / "b", **values)
    assert "fewer were kept" not in capsys.readouterr().err


WRITES = (
    "Solve 7x = 56 for x.\nAnswer: 8",
    "Trouvez la valeur du nombre x dont le carré est égal à 49, et le nombre y, solve it.",
    "Why do the cats in the house always sleep on the same chair?",
)


@pytest.mark.parametrize(
    ("values", "reasons"),
    [
        ({}, {"wrong language"}),
        ({"language": ""}, set()),
        ({"language": "fr"}, {"wrong language"}),
        ({"leaked": "drop"}, {"leaked solution", "wrong language"}),
        ({"max_chars": 30}, {"too long"}),
        ({"on_domain": True}, {"off the domain", "wrong language"}),
        ({"with_data": True}, {"nothing given", "wrong language"}),
    ],
)
def test_rules_of_the_sanitiser_are_settings(tmp_path: Path, values: dict[str, object], reasons: set[str]) -> None:
    file = tmp_path / "fixed.py"
    file.write_text(
        "from porism.engines.scripted import Scripted\n\n"
        f"WRITES = {WRITES!r}\n\n\ndef start(model):\n"
        "    return Scripted(lambda request, number: WRITES[request.seed % len(WRITES)])\n"
    )
    given = {"engine": f"{file}:start", "family": "qwen3", "domains": ["algebra"], "total": 30, "responses": 0}
    synth("magpie", tmp_path / "a", **given, min_chars=8, **values)
    dropped = rows(tmp_path / "a", "dropped.jsonl") if (tmp_path / "a" / "dropped.jsonl").exists() else []
    assert {row["reason"].partition(":")[0] for row in dropped} == reasons


def test_another_model_may_answer(tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    options = {"answers": r"From another: \boxed{7}."}
    magpie(tmp_path / "a", res_engine=writer(other), res_model="r1", res_options=options, res_prompt="five_parts")
    found = rows(tmp_path / "a")
    assert {row["text"] for row in found} == {r"From another: \boxed{7}."}
    assert "5. Generalise" in found[0]["messages"][0]["content"]
    assert found[0]["meta"]["prompt"] == "five_parts"
    assert rows(tmp_path / "a", "sft.jsonl")[0]["prompt"][0]["content"] == found[0]["problem"]["question"]


# --- servers ---


def write(body: dict[str, object], number: int) -> str:
    return "It is 4." if "messages" in body else f"What is {body.get('seed')} + 1?<|im_end|>"


def test_a_server_with_raw_completions_serves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")
    with Fake(answer=write) as fake:
        values = {"engine": "openai", "base_url": fake.url, "model": "m", "total": 6, "backoff": 0.01}
        synth("magpie", tmp_path / "a", **values, family="llama-3.1", language="", min_chars=8)
        raw = [seen.body for seen in fake.asked("/completions") if "prompt" in seen.body][1:]
        assert len(rows(tmp_path / "a")) == 6
        assert {body["stop"][0] for body in raw} == {"<|eot_id|>"}
        assert all(body["prompt"].startswith("<|start_header_id|>system") for body in raw), "the server adds the BOS"
        assert len({body["seed"] for body in raw}) == 6
        with pytest.raises(ModelError, match="Name its tokenizer"):
            synth("magpie", tmp_path / "b", **values)


def test_a_server_that_only_chats_is_refused_with_the_reason(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-x")

    def chats(seen: Seen) -> Act | None:
        gone = seen.path.endswith("/completions") and "chat" not in seen.path
        return Act(404, {"error": {"message": "This is a chat model"}}) if gone else None

    for server, said in ((Fake(template="a long template around it "), "puts a chat template"), (Fake(chats), "404")):
        with server as fake:
            values = {"engine": "openai", "base_url": fake.url, "model": "m", "family": "qwen3", "backoff": 0.01}
            with pytest.raises(ModelError, match=rf"{said}.*Magpie needs raw completions"):
                synth("magpie", tmp_path / "a", **values, total=6)


# --- the engine in this process ---


def test_drafts_depend_on_their_seeds_alone(tiny_model: Path) -> None:
    engine = local.Local(load(str(tiny_model), "float32"))
    made = Writer(engine, template_of("local", str(tiny_model)), Sampling(max_tokens=12), headings=False)
    domain = Domain(name="x", system="Say something.")
    turns = [Turn(domain.conversation(), 1.0, seed) for seed in range(20)]
    together = made.write(turns)
    assert [draft.text for draft in together] == [made.write([turn])[0].text for turn in turns]
    assert len({draft.text for draft in together}) == 20
    assert {draft.tokens for draft in together} <= set(range(1, 13))


def test_how_likely_an_instruction_is_stands_in_its_record(tmp_path: Path, tiny_model: Path) -> None:
    engine = local.Local(load(str(tiny_model), "float32"))
    template = template_of("local", str(tiny_model))
    how, turn = Sampling(max_tokens=8), Turn([], 1.0, 5)
    (draft,) = Writer(engine, template, how, headings=True, logprobs=True).write([turn])
    asked = Request(ids=draft.prompt.ids, sampling=Sampling(temperature=1.0, max_tokens=8), seed=5, logprobs=True)
    assert draft.logprob == pytest.approx(sum(engine.generate([asked])[0].samples[0].logprobs))
    assert Writer(engine, template, how, headings=True).write([turn])[0].logprob is None
    values = {"model": str(tiny_model), "total": 3, "domains": ["none"], "ins_max_tokens": 8, "responses": 0}
    with pytest.raises(DataError, match="kept none"):
        synth("magpie", tmp_path / "a", **values, logprobs=True)
    assert all(row["meta"]["logprob"] < 0 for row in rows(tmp_path / "a", "dropped.jsonl"))


def test_no_instruction_begins_with_a_heading_though_one_may_stand_in_it(tiny_model: Path) -> None:
    engine = local.Local(load(str(tiny_model), "float32"))
    template = template_of("local", str(tiny_model))
    turns = [Turn([], 1.0, seed) for seed in range(3000)]
    texts = {}
    for headings in (True, False):
        drafts = Writer(engine, template, Sampling(max_tokens=2), headings=headings).write(turns)
        texts[headings] = [draft.text for draft in drafts]
    assert any(text.startswith("#") for text in texts[True])
    assert not any(text.startswith("#") for text in texts[False])
    assert any("#" in text for text in texts[False])


@pytest.mark.slow
def test_the_real_model_writes_questions_and_answers_them(tmp_path: Path) -> None:
    synth("magpie", tmp_path / "a", total=12, ins_temp=0.7, ins_max_tokens=96, res_max_tokens=48, domains=["algebra"])
    kept = rows(tmp_path / "a")
    assert len(kept) >= 4
    assert all("<|im" not in row["problem"]["question"] for row in kept)
