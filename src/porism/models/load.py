"""A model folder → model and tokenizer in memory, with the hash that names exactly these weights."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import warnings
from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from porism import store
from porism.errors import ModelError
from porism.models import names
from porism.models.machine import choose_dtype
from porism.models.pull import locate

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

__all__ = ["SCORER", "Loaded", "base_of", "fingerprint", "gives_scores", "load"]

_HASHED = ("*.safetensors", "*.json", "*.jinja", "*.txt", "*.model")
SCORER = "scorer.json"
"""In the folder of a reward model or verifier: which of the two it is, and what it scores."""


class Loaded(NamedTuple):
    """A model that is ready to use."""

    model: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    path: Path
    fingerprint: str


def fingerprint(model: str, *, base: str = "") -> str:
    """A hash of all that determines what a model says: weights, configuration, tokenizer, template, an adapter's base.

    Args:
        model: an alias or a directory.
        base: the hash of an adapter's base, where it is known: hashing a large one takes long.

    Raises:
        ModelError: see :func:`porism.models.pull.locate`.
    """
    folder = locate(model)
    files = sorted({file for pattern in _HASHED for file in folder.rglob(pattern) if file.name != "porism.json"})
    digests = [f"{file.relative_to(folder)} {_digest(file)}" for file in files]
    plain = _plain_base(folder)
    if plain != folder:
        digests.append(f"base {base or fingerprint(str(plain))}")
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()


def _digest(file: Path) -> str:
    """SHA-256 of a file, computed once in a process as long as the file is not written again."""
    seen = file.stat()
    return _hashed(file, (seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns))


@functools.lru_cache(maxsize=4096)
def _hashed(file: Path, state: tuple[int, ...]) -> str:
    del state
    return store.sha256(file)


def load(model: str, dtype: str = "float32", *, four_bit: bool = False, scores: bool = False) -> Loaded:
    """Load a model, or an adapter on its base model, with its tokenizer.

    Args:
        model: an alias or a directory.
        dtype: of the weights in memory; ``auto`` asks :func:`choose_dtype`.
        four_bit: keep the weights of linear layers in 4 bits (NF4, quantised twice), as QLoRA does.
        scores: give each position one number instead of a vocabulary: a reward model or a verifier. The layer that
            does so begins at random where the folder has none.

    Raises:
        ModelError: unknown, unsafe or unreadable.
    """
    import huggingface_hub.errors
    import safetensors
    import torch
    import transformers

    transformers.utils.logging.disable_progress_bar()
    folder = locate(model)
    source = _plain_base(folder)
    if gives_scores(folder) and not scores:
        raise ModelError(
            f"{folder}: this is a reward model or a verifier: it scores answers and writes none. Name it as scorer, or "
            "name the model that it was trained from."
        )
    torch_dtype: torch.dtype = getattr(torch, choose_dtype(dtype))
    try:
        kind, options = transformers.AutoModelForCausalLM, {}
        if scores:
            kind, options = transformers.AutoModelForSequenceClassification, {"num_labels": 1}
        if four_bit:
            options["quantization_config"] = _four_bit(torch_dtype)
        with _silent() if scores else contextlib.nullcontext():  # what is missing is looked at below
            network, found = kind.from_pretrained(
                source,
                **options,
                dtype=torch_dtype,
                use_safetensors=True,
                trust_remote_code=False,
                local_files_only=True,
                output_loading_info=True,
            )
        _refuse_other_weights(network, found, source, fresh={"score.weight"} if scores else set())
        has_tokenizer = (folder / "tokenizer_config.json").is_file()
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            folder if has_tokenizer else source, trust_remote_code=False, local_files_only=True
        )
        if source != folder:
            network = _adapted(network, folder, scores=scores)
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
        huggingface_hub.errors.StrictDataclassError,
        safetensors.SafetensorError,
    ) as error:
        raise ModelError(f"{folder}: cannot be loaded: {' '.join(str(error).split())[:400]}") from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return Loaded(network.eval(), tokenizer, folder, fingerprint(model))


@contextlib.contextmanager
def _silent() -> Iterator[None]:
    """In here transformers says nothing."""
    import transformers

    level = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.utils.logging.set_verbosity(level)


def _four_bit(dtype: torch.dtype) -> Any:
    """QLoRA's quantisation (Dettmers et al., 2023, arXiv:2305.14314)."""
    import transformers

    return transformers.BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
    )


def _refuse_other_weights(
    network: PreTrainedModel, found: Mapping[str, Any], folder: Path, fresh: AbstractSet[str]
) -> None:
    """Refuse weights that are not those of the configuration: Transformers would fill gaps with random numbers.

    Tied weights and those that a model's class declares as not needed are no gaps. Weights beyond the configuration are
    refused where they are layers of this network; other parts, such as an encoder of images, are left out.

    Raises:
        ModelError: weights are missing, of another shape, or too many.
    """
    layers = f"{network.base_model_prefix}.layers."
    over = {name for name in found.get("unexpected_keys", ()) if name.startswith(layers)}
    for kind, wrong in (
        ("lack", set(found.get("missing_keys", ())) - fresh),
        ("have another shape for", {name for name, *_ in found.get("mismatched_keys", ())}),
        ("have, beyond the configuration,", over),
    ):
        if wrong:
            shown = ", ".join(sorted(wrong)[:3]) + (", …" if len(wrong) > 3 else "")
            raise ModelError(
                f"{folder}: the weights {kind} {len(wrong)} tensors of the model that config.json describes ({shown}). "
                "Fetch the model again, or mend config.json."
            )


def _adapted(network: PreTrainedModel, folder: Path, *, scores: bool) -> Any:
    """The network with an adapter.

    Raises:
        ModelError: the adapter's weights are not those that its configuration describes.
    """
    import peft

    config = peft.PeftConfig.from_pretrained(folder)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", "Found missing adapter keys", UserWarning)
        warnings.filterwarnings("ignore", "`is_gradient_checkpointing`", FutureWarning)  # peft's own use of an old name
        if scores and config.task_type != "SEQ_CLS":
            return _scoring(network, folder, config)
        try:
            return peft.PeftModel.from_pretrained(network, folder)
        except UserWarning as warning:
            raise ModelError(
                f"{folder}: the adapter's weights lack tensors that adapter_config.json describes "
                f"({str(warning)[:200]}). Train it again, or mend adapter_config.json."
            ) from None


def _scoring(network: PreTrainedModel, folder: Path, config: Any) -> Any:
    """The network with an adapter of a model that writes, which becomes one of a model that scores.

    The layer that scores is saved with the adapter from then on, and begins as it is in the network.

    Raises:
        ModelError: the adapter's weights are not those that its configuration describes.
    """
    import peft

    layer = {
        f"base_model.model.{name}": weight.detach().clone()
        for name, weight in network.named_parameters()
        if "score" in name.split(".")
    }
    config.task_type, config.inference_mode = "SEQ_CLS", False
    found = peft.get_peft_model(network, config)
    loaded = peft.set_peft_model_state_dict(found, {**peft.load_peft_weights(str(folder), device="cpu"), **layer})
    missing = [name for name in loaded.missing_keys if "lora_" in name]
    if missing or loaded.unexpected_keys:
        raise ModelError(
            f"{folder}: the adapter's weights are not those that adapter_config.json describes "
            f"({', '.join([*missing, *loaded.unexpected_keys])[:200]}). Train it again, or mend adapter_config.json."
        )
    return found


def gives_scores(folder: Path) -> bool:
    """Whether a model folder says that it is a sequence classifier, or an adapter of one: it scores answers."""
    for name, key, wanted in (
        ("adapter_config.json", "task_type", "SEQ_CLS"),
        ("config.json", "architectures", "ForSequenceClassification"),
    ):
        file = folder / name
        if file.is_file():
            config = store.load_json(file)
            return isinstance(config, dict) and wanted in str(config.get(key))
    return False


def base_of(folder: Path) -> str:
    """The base model that an adapter folder names, or nothing for a plain model.

    A base on a hub is named with the commit that ``revision`` in the adapter's configuration pins, where it does.

    Raises:
        ModelError: the adapter names no base.
    """
    file = folder / "adapter_config.json"
    if not file.is_file():
        return ""
    config = store.load_json(file)
    base = config.get("base_model_name_or_path") if isinstance(config, dict) else None
    if not base or not isinstance(base, str):
        raise ModelError(f"{file}: expected 'base_model_name_or_path', the model that the adapter was trained on.")
    revision = config.get("revision")
    if revision and isinstance(revision, str) and not Path(base).expanduser().is_dir():
        remote = names.read(base)
        return str(remote._replace(revision=revision)) if remote else base
    return base


def _plain_base(folder: Path) -> Path:
    """The folder of an adapter's base, checked; the folder itself where it is no adapter.

    Raises:
        ModelError: the base is unknown or unsafe, or is an adapter in turn.
    """
    base = base_of(folder)
    if not base:
        return folder
    place = locate(base)
    if base_of(place):
        raise ModelError(f"{folder}: its base {base} is an adapter itself. Merge that one first: porism export {base}")
    return place
