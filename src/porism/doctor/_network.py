"""Whether the hosts that models and packages come from answer."""

from __future__ import annotations

import configparser
import http.client
import os
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from porism.doctor._checks import Check, Status
from porism.doctor._environment import host

__all__ = ["checks", "places"]

_SECONDS = 5.0
_WEIGHTS = "openai-community/gpt2/resolve/main/model.safetensors"
"""Weights that every hub has."""


class _Place(NamedTuple):
    name: str
    address: str
    without: str
    """What works when it cannot be reached."""


def checks() -> Iterator[Check]:
    """Ask each host once, all at the same time. Any answer of it counts, also that there is no such page.

    A hub that answers is also asked where it sends for weights, and that host too.
    """
    asked = places()
    answers = _answers(asked)
    if answers.get(asked[0].name, "").startswith("answers") and (sent := _sends_to(asked[0])):
        asked.insert(1, _Place("the hub's weights", sent, "The hub sends for weights there: let the firewall pass it."))
        answers |= _answers(asked[1:2])
    for place in asked:
        answer = answers.get(place.name, f"no answer within {_SECONDS:.0f} s")
        well = answer.startswith("answers")
        yield Check(
            "network",
            place.name,
            Status.OK if well else Status.WARNING,
            f"{host(place.address)} {answer}" if well else f"{host(place.address)} cannot be reached: {answer}",
            "" if well else place.without,
        )


def _answers(asked: Sequence[_Place]) -> dict[str, str]:
    """How each host answers; one that takes too long is left out."""
    answers: dict[str, str] = {}
    threads = [threading.Thread(target=_ask, args=(place, answers), daemon=True) for place in asked]
    for thread in threads:
        thread.start()
    last = time.monotonic() + _SECONDS + 1  # looking a name up may take longer than any time-out
    for thread in threads:
        thread.join(max(0.0, last - time.monotonic()))
    return dict(answers)


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None:
        """Follow nothing."""


def _sends_to(hub: _Place) -> str:
    """The host to which a hub sends for a model's weights; nothing where it has them itself, or does not say."""
    request = urllib.request.Request(f"{hub.address.rstrip('/')}/{_WEIGHTS}", method="HEAD")  # noqa: S310 (it has answered)
    try:
        with urllib.request.build_opener(_Stay).open(request, timeout=_SECONDS):
            return ""
    except urllib.error.HTTPError as error:
        sent = host(urllib.parse.urljoin(request.full_url, error.headers.get("Location") or ""))
        error.close()
    except (OSError, http.client.HTTPException, ValueError):
        return ""
    return "" if sent == host(hub.address) else sent


def places() -> list[_Place]:
    """The hosts that this machine's settings name, or the usual ones."""
    hub = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    scope = os.environ.get("MODELSCOPE_ENDPOINT") or "https://modelscope.cn"
    return [
        _Place("hub", hub, "Models by name need it or a mirror (HF_ENDPOINT); folders and smollm2-135m work without."),
        _Place("ModelScope", scope, "Only names that begin with modelscope: need it."),
        _Place(
            "PyPI", _index(), "Fetching smollm2-135m and installing extras need it; what is installed works without."
        ),
    ]


def _index() -> str:
    """The package index that pip asks: of its environment variable, of its files, or the usual one."""
    named = os.environ.get("PIP_INDEX_URL", "")
    files = [
        os.environ.get("PIP_CONFIG_FILE", ""),
        *(str(Path.home() / name) for name in (".config/pip/pip.conf", ".pip/pip.conf")),
        "/etc/pip.conf",
    ]
    for file in files:
        read = configparser.ConfigParser(interpolation=None)
        try:
            read.read(file or os.devnull, encoding="utf-8")
        except (configparser.Error, UnicodeDecodeError):
            continue
        named = named or read.get("global", "index-url", fallback="")
    return named or "https://pypi.org/simple"


def _ask(place: _Place, answers: dict[str, str]) -> None:
    """Put into ``answers`` how the host answers. Of the address only scheme, host and port are used."""
    begun = time.monotonic()
    request = urllib.request.Request(host(place.address) + "/", method="HEAD")  # noqa: S310 (see the next line)
    if request.type not in ("http", "https"):
        answers[place.name] = "expected an http or https address"
        return
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as reply:  # noqa: S310
            status = reply.status
    except urllib.error.HTTPError as error:
        status = error.code
        error.close()
    except urllib.error.URLError as error:
        answers[place.name] = str(error.reason)
        return
    except (OSError, http.client.HTTPException, ValueError) as error:
        answers[place.name] = str(error) or type(error).__name__
        return
    if status >= 500:
        answers[place.name] = f"it answers with an error of its own (status {status})"
    else:
        answers[place.name] = f"answers after {time.monotonic() - begun:.1f} s"
