"""A model's name → its folder, fetched first where that is asked for.

A name is an alias of the embedded model, a folder, or a model of a hub (see :mod:`porism.models.names`). The alias is
fetched where it is needed. A model of a hub is fetched by :func:`pull` alone: it may be large, its licence may have to
be accepted, and a mistyped folder must not become a request to a server.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from porism import console
from porism.errors import ModelError, nearest
from porism.models import names, wheel
from porism.models.check import check
from porism.models.wheel import WHEELS, Wheel

__all__ = ["WHEELS", "Wheel", "locate", "pull", "verify"]


def locate(model: str) -> Path:
    """The folder of a model, an alias fetched first where it is not in the cache yet.

    Args:
        model: an alias (``smollm2-135m``), a directory, or a model that was pulled from a hub (``org/name``).

    Raises:
        ModelError: none of these, or the directory is unsafe to load.
    """
    if model in WHEELS:
        return wheel.fetch(model)
    folder = Path(model).expanduser()
    if model and folder.is_dir():
        check(folder)
        return folder
    remote = names.read(model)
    if remote is None:
        raise _unknown(model)
    fetched = names.cached(remote)
    if fetched is None:
        raise ModelError(
            f"no model {model!r}: there is no such folder, and no such model of a hub in the cache."
            f"{names.pulled(remote)}{nearest(model, WHEELS)} To fetch it from its hub: porism pull {remote}"
        )
    check(fetched)
    return fetched


def verify(model: str) -> None:
    """Check that a model can be had and is safe to load, without fetching it.

    Raises:
        ModelError: see :func:`locate`.
    """
    if model not in WHEELS:
        locate(model)


def pull(model: str, to: str | Path | None = None, *, endpoint: str = "", data_hosts: Sequence[str] = ()) -> Path:
    """Fetch a model, or check a local one, and return its folder.

    Args:
        model: an alias, a directory, or a model of a hub: ``org/name``, ``org/name@revision``, ``modelscope:org/name``.
        to: also put a copy there.
        endpoint: for a model of a hub: the address of a mirror.
        data_hosts: further hosts that the mirror may redirect to.

    Raises:
        ModelError: the model is unknown, cannot be fetched, fails its hash, or is unsafe; or ``to`` is not empty.
        StorageError: the disk is too full.
    """
    target = Path(to).expanduser() if to is not None else None
    if target and target.exists() and any(target.iterdir()):
        raise ModelError(f"{target}: expected a folder that does not exist or is empty. Choose another --to.")
    remote = None if model in WHEELS or Path(model).expanduser().is_dir() else names.read(model)
    if remote:
        from porism.models import remote as hubs

        folder = hubs.fetch(remote, endpoint, data_hosts)
        _tell_of_base(folder)
    elif endpoint or data_hosts:
        raise ModelError(
            f"{model!r} is not a model of a hub, so it has no endpoint. Leave --endpoint and --data-host out."
        )
    else:
        folder = locate(model)
    if target is None:
        return folder
    shutil.copytree(folder, target, dirs_exist_ok=True)
    return target


def _unknown(model: str) -> ModelError:
    return ModelError(
        f"no model {model!r}: expected an alias ({', '.join(WHEELS)}), a directory with config.json and "
        f"safetensors weights, or a model of a hub (org/name, modelscope:org/name).{nearest(model, WHEELS)}"
    )


def _tell_of_base(folder: Path) -> None:
    """Say that an adapter's base is still to be fetched, where it is."""
    from porism.models.load import base_of

    base = base_of(folder)
    try:
        if base:
            verify(base)
    except ModelError:
        console.notice(f"This is an adapter on {base}, which is not here yet. Fetch it too: porism pull {base}")
