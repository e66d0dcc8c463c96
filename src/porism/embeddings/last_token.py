"""The last layer's state at a text's last token, of any causal language model: no encoder is needed.

PromptCoT embeds concepts in this way (Zhao et al., 2025, arXiv:2503.02324). Texts are cut at the model's context.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from porism.models.load import fingerprint
from porism.models.load import load as load_model
from porism.models.machine import choose_threads, prepare

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from porism.models.load import Loaded

__all__ = ["LastToken", "identify", "load"]

_DEFAULT = "smollm2-135m"
_LONGEST = 2_048
"""Tokens of a text."""
_BATCH_TOKENS = 4_096
"""Tokens of a batch, padding among them."""


class LastToken:
    """A causal model as an encoder.

    Args:
        loaded: the model, in float32.
    """

    def __init__(self, loaded: Loaded) -> None:
        self._model, self._tokenizer = loaded.model, loaded.tokenizer
        context = getattr(loaded.model.config, "max_position_embeddings", _LONGEST)
        self._longest = min(int(context), _LONGEST)

    def encode(self, texts: Sequence[str]) -> npt.NDArray[np.float32]:
        """The states, in the order of the texts. [N, D]."""
        import numpy as np
        import torch

        rows = [self._ids(text) for text in texts]
        order = sorted(range(len(rows)), key=lambda at: -len(rows[at]))
        found = np.empty((len(rows), self._model.config.hidden_size), np.float32)
        while order:
            size = max(1, _BATCH_TOKENS // len(rows[order[0]]))
            some, order = order[:size], order[size:]
            longest = len(rows[some[0]])
            ids_B_T = torch.tensor([rows[at] + [0] * (longest - len(rows[at])) for at in some])
            lengths_B = torch.tensor([len(rows[at]) for at in some])
            mask_B_T = (torch.arange(longest) < lengths_B[:, None]).long()
            with torch.inference_mode():
                states = self._model.base_model(input_ids=ids_B_T, attention_mask=mask_B_T, use_cache=False)
            last = states.last_hidden_state[torch.arange(len(some)), lengths_B - 1]
            found[some] = last.float().numpy()
        return found

    def _ids(self, text: str) -> list[int]:
        """The text's tokens; an empty text is the end token alone."""
        found: list[int] = self._tokenizer(text, truncation=True, max_length=self._longest)["input_ids"]
        return found or [int(self._tokenizer.eos_token_id or 0)]


def identify(model: str = "") -> str:
    """The model's fingerprint.

    Raises:
        ModelError: see :func:`porism.models.load.fingerprint`.
    """
    return fingerprint(model or _DEFAULT)


def load(model: str = "", *, threads: int = 0) -> LastToken:
    """Load a model into memory.

    Raises:
        ModelError: see :func:`porism.models.load.load`.
    """
    prepare(choose_threads(threads))
    return LastToken(load_model(model or _DEFAULT, "float32"))
