import json
import re
from pathlib import Path

import pytest
import safetensors.torch
import torch
from doctor_kit import bad, changed, checks, copied

from conftest import CHAT
from porism.doctor import Status

TURN = "<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n"
LOOP = f"{{% for m in messages %}}{TURN}{{% endfor %}}"
ASKS = "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"


def test_a_sound_model_passes(tiny_model: Path) -> None:
    found = checks(tiny_model)
    assert bad(found) == {}
    weights = safetensors.torch.load_file(tiny_model / "model.safetensors")
    assert found["model weights"].figures["parameters"] == sum(tensor.numel() for tensor in weights.values())
    assert found["model weights"].found.endswith("stored as float32")
    assert found["model context"].figures["max_position_embeddings"] == 256
    assert "<|im_end|> ends an answer" in found["template EOS"].found
    assert "<|im_start|> stands once" in found["template BOS"].found


# --- the folder ---


def test_code_and_pickles_are_failures_not_tracebacks(tiny_model: Path, tmp_path: Path) -> None:
    for number, (name, said) in enumerate((("modeling_x.py", "Python code"), ("pytorch_model.bin", "pickled weights"))):
        folder = copied(tiny_model, tmp_path / str(number))
        (folder / name).touch()
        found = checks(folder)
        assert bad(found) == {"model folder": "failed"}
        assert said in found["model folder"].found
    folder = copied(tiny_model, tmp_path / "map")
    changed(folder / "config.json", auto_map={"AutoModel": "x.Y"})
    assert "'auto_map' asks to run code" in checks(folder)["model folder"].found
    assert "no model 'nowhere'" in checks("nowhere")["model folder"].found


@pytest.mark.parametrize(
    ("name", "text", "check"),
    [
        ("model.safetensors", "not safetensors", "model folder"),
        ("config.json", '{"model_type": "never-heard-of"}', "model files"),
        ("config.json", '{"model_type": "llama", "hidden_size": "wide"}', "model files"),
        ("tokenizer.json", "{}", "model files"),
        ("generation_config.json", "[]", "model files"),
    ],
)
def test_a_damaged_file_is_named(tiny_model: Path, tmp_path: Path, name: str, text: str, check: str) -> None:
    folder = copied(tiny_model, tmp_path)
    (folder / name).write_text(text)
    found = checks(folder)[check]
    assert found.status == Status.FAILED
    assert name in found.found


# --- vocabulary and context ---


def test_too_few_rows_of_the_embedding(tiny_model: Path, tmp_path: Path) -> None:
    folder = copied(tiny_model, tmp_path)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    weights["model.embed_tokens.weight"] = weights["model.embed_tokens.weight"][:-2].clone()
    safetensors.torch.save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    found = checks(folder)["model vocabulary"]
    assert found.status == Status.FAILED
    assert "2 tokens have no embedding" in found.found
    changed(folder / "config.json", vocab_size=257)
    assert checks(folder)["model vocabulary"].status == Status.FAILED


def test_added_tokens_beyond_the_embedding_are_named(tiny_model: Path, tmp_path: Path) -> None:
    import transformers

    folder = copied(tiny_model, tmp_path)
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder)
    tokenizer.add_tokens(["<think>", "</think>"])
    tokenizer.save_pretrained(folder)
    found = checks(folder)["model vocabulary"]
    assert found.status == Status.FAILED
    assert "'<think>'" in found.found
    assert "Resize the embedding" in found.cure


def test_config_and_weights_disagree(tiny_model: Path, tmp_path: Path) -> None:
    folder = copied(tiny_model, tmp_path)
    rows = json.loads((folder / "config.json").read_text())["vocab_size"]
    changed(folder / "config.json", vocab_size=rows + 8)
    found = checks(folder)["model vocabulary"]
    assert found.status == Status.FAILED
    assert f"states {rows + 8} tokens, but the embedding has {rows} rows" in found.found


def test_an_adapter_is_seen_with_its_base(tiny_model: Path, tmp_path: Path) -> None:
    import peft
    import transformers

    network = transformers.AutoModelForCausalLM.from_pretrained(tiny_model)
    adapted = peft.get_peft_model(network, peft.LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM"))
    adapted.save_pretrained(tmp_path / "adapter")
    (tmp_path / "adapter" / "README.md").unlink(missing_ok=True)
    found = checks(tmp_path / "adapter")
    assert bad(found) == {}
    assert f"an adapter on {tiny_model}" in found["model folder"].found


def test_context_length(tiny_model: Path, tmp_path: Path) -> None:
    folder = copied(tiny_model, tmp_path)
    changed(folder / "tokenizer_config.json", model_max_length=4096)
    found = checks(folder)["model context"]
    assert found.status == Status.WARNING
    assert "max_position_embeddings 256, model_max_length 4,096" in found.found
    changed(folder / "tokenizer_config.json", model_max_length=128)
    assert checks(folder)["model context"].status == Status.OK


def test_stored_dtype(tiny_model: Path, tmp_path: Path) -> None:
    folder = copied(tiny_model, tmp_path)
    weights = safetensors.torch.load_file(folder / "model.safetensors")
    half = {name: tensor.to(torch.bfloat16) for name, tensor in weights.items()}
    safetensors.torch.save_file(half, folder / "model.safetensors", metadata={"format": "pt"})
    assert "stored as bfloat16" in checks(folder)["model weights"].found


# --- the template ---


def template(tiny_model: Path, tmp_path: Path, chat: str) -> list[str]:
    found = checks(copied(tiny_model, tmp_path, chat=chat)).values()
    return [f"{one.name} {one.status}: {one.found}" for one in found if one.group == "template"]


def test_no_template(tiny_model: Path, tmp_path: Path) -> None:
    folder = copied(tiny_model, tmp_path)
    (folder / "chat_template.jinja").unlink()
    found = checks(folder)
    assert bad(found) == {"template template": "failed"}
    assert "has no chat template" in found["template template"].found


FORGETS = "{{ m['content'] if loop.last else m['content'].split('</think>')[-1] }}"
SPEAKS = "{% if messages[0]['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"


def refusing(condition: str, why: str) -> str:
    return f"{{% if {condition} %}}{{{{ raise_exception('{why}') }}}}{{% endif %}}{CHAT}"


@pytest.mark.parametrize(
    ("chat", "said"),
    [
        ("{{ messages | length }} " + CHAT, "prefix failed: an answer changes the prompt before it: turn 2 turns '1 <"),
        (CHAT.replace("assistant\n", "assistant\n<think>\n"), "prefix failed: an answer changes the prompt before it"),
        (
            LOOP.replace("{{ m['content'] }}", FORGETS) + ASKS,
            "history warning: earlier thinking is dropped when the chat goes on: turn 3 turns '",
        ),
        (
            LOOP.replace("{{ m['content'] }}", "{{ m['content'].split('</think>')[-1] }}") + ASKS,
            "history warning: the thinking of every answer is dropped",
        ),
        (
            CHAT + "{% if not add_generation_prompt %}<|endoftext|>{% endif %}",
            "history warning: earlier turns change when",
        ),
        (
            LOOP.replace("in messages", "in messages if m['role'] != 'system'") + ASKS,
            "system warning: a system message is left out in silence",
        ),
        (
            refusing("messages[0]['role'] == 'system'", "no system here"),
            "system warning: a system message is refused: .*no system here",
        ),
        (
            refusing("messages | length > 2", "one turn"),
            "prefix failed: a conversation of several turns is refused: .*one turn",
        ),
        (refusing("messages | length > 1", "questions only"), "EOS failed: an answer is refused: .*questions only"),
        (
            "{{ messages[0]['content'] }}: " + LOOP.replace("in messages", "in messages[1:]") + ASKS,
            "system ok: accepted$",
        ),
        (SPEAKS + CHAT, "system ok: accepted; without one the template puts in its own: 'Be kind.'"),
        (CHAT + "{# strftime_now #}", "template warning: present, but it may write today's date"),
        (CHAT.replace("<|im_end|>", ""), "EOS warning: the template ends an answer with no token of its own"),
        (
            CHAT.replace("<|im_end|>", "<|endoftext|>"),
            r"EOS failed: generation never stops: the template ends an answer with <\|endoftext\|>",
        ),
        ("<|im_start|><|im_start|>" + CHAT, r"BOS failed: the template writes <\|im_start\|> 3 times"),
        ("{{ nonsense(", "template failed: "),
    ],
)
def test_what_is_wrong_with_a_template(tiny_model: Path, tmp_path: Path, chat: str, said: str) -> None:
    lines = template(tiny_model, tmp_path, chat)
    assert any(re.match(said, line) for line in lines), lines


def test_the_ends_of_a_turn(tiny_model: Path, tmp_path: Path) -> None:
    folder = copied(tiny_model, tmp_path)
    changed(folder / "generation_config.json", eos_token_id=0)
    found = checks(folder)["template EOS"]
    assert found.status == Status.WARNING
    assert (
        "but not in generation_config.json (config.json <|im_end|>; generation_config.json <|endoftext|>" in found.found
    )
    changed(folder / "tokenizer_config.json", eos_token="<|endoftext|>")
    assert checks(folder)["template EOS"].status == Status.FAILED
    changed(folder / "generation_config.json", eos_token_id=[0, 2])
    found = checks(folder)["template EOS"]
    assert (found.status, "the tokenizer's EOS is <|endoftext|>" in found.found) == (Status.WARNING, True)
    changed(folder / "tokenizer_config.json", eos_token=None)
    assert "the tokenizer has none" in checks(folder)["template EOS"].found


def test_pad_token(tiny_model: Path, tmp_path: Path) -> None:
    folder = copied(tiny_model, tmp_path)
    changed(folder / "tokenizer_config.json", pad_token="<|im_end|>")
    assert "which is also the EOS" in checks(folder)["template pad token"].found
    changed(folder / "tokenizer_config.json", pad_token=None)
    assert checks(folder)["template pad token"].found.startswith("none")
    assert bad(checks(folder)) == {"template pad token": "warning"}


def test_bos_that_both_write(tiny_model: Path, tmp_path: Path) -> None:
    import tokenizers

    folder = copied(tiny_model, tmp_path)
    core = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
    core.post_processor = tokenizers.processors.TemplateProcessing(
        single="<|im_start|> $A", special_tokens=[("<|im_start|>", 1)]
    )
    core.save(str(folder / "tokenizer.json"))
    found = checks(folder)["template BOS"]
    assert (found.status, "the tokenizer adds another" in found.found) == (Status.WARNING, True)
    (folder / "chat_template.jinja").write_text(CHAT.replace("<|im_start|>", ""))
    assert "the template a chat without it" in checks(folder)["template BOS"].found
