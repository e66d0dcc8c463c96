"""A process that runs one function of the user's, call by call. :mod:`porism.tools._apart` starts and ends it."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from typing import Any

from porism.errors import PorismError
from porism.find import find
from porism.sandbox.inside.wire import Gone, Line
from porism.tools._answer import Answer, shortened
from porism.tools._described import Described, described

__all__: list[str] = []


def _end_with_parent(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def _said(known: Described, arguments: dict[str, Any]) -> Answer:
    try:
        answer = known.call(known.checked(arguments))
    except (Exception, SystemExit) as error:  # noqa: BLE001  (whatever a user's function raises is for the model to read)
        return Answer(shortened(f"{type(error).__name__}: {error}"), failed=True)
    return answer._replace(text=shortened(answer.text))


def _main(name: str, number: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()
    line = Line(socket.socket(fileno=number))
    try:
        known = described(find("porism.tools", name, "call"), name)
    except PorismError as error:
        line.send({"failed": str(error)})
        return
    line.send({"ready": True})
    while True:
        try:
            line.send(_said(known, line.receive())._asdict())
        except Gone:
            return


if __name__ == "__main__":
    _main(sys.argv[1], int(sys.argv[2]))
