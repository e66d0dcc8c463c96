"""The model card: what a trained model was made from, how, and what training it looked like."""

from __future__ import annotations

import json
from pathlib import Path

from porism import __version__, recipe, store

__all__ = ["write"]


def write(folder: Path, settings: recipe.Settings, out: store.Output) -> None:
    """Write ``README.md`` into a model's folder, in the layout that model hubs read.

    Args:
        folder: the model.
        settings: the training stage's.
        out: the stage's output, with its key and figures.
    """
    manifest = out.manifest
    inputs = manifest.key.inputs if manifest else {}
    values = settings.model_dump()
    lines = [
        "---",
        f"base_model: {json.dumps(values.get('model'))}",
        "library_name: transformers",
        "tags: [porism]",
        "---",
        "",
        f"# {values.get('model')}, trained with Porism {__version__}",
        "",
        "## Figures",
        "",
        *(f"- {name.replace('_', ' ')}: {value:,}" for name, value in out.figures.items()),
        "",
        "## Inputs",
        "",
        *(f"- `{name}` SHA-256 `{digest}`" for name, digest in inputs.items()),
        "",
        "## Settings",
        "",
        "```json",
        json.dumps(values, ensure_ascii=False, indent=1),
        "```",
        "",
        "The whole recipe is `recipe.yaml` in the run's folder. Accuracy before and after training is in its",
        "`report.html`, not here: this card is written with the weights, before they are measured.",
        "",
    ]
    (folder / "README.md").write_text("\n".join(lines), encoding="utf-8")
