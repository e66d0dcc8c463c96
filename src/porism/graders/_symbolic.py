"""A worker process: two answers in, Math-Verify's judgement out, one line each. :mod:`porism.graders._pool` starts it.

Only LaTeX goes through: Math-Verify's reader of plain expressions ends in SymPy's ``parse_expr``, which evaluates text
as Python, and is never used here. The process has limits on memory, ends with its parent, and may be killed any time.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import time
from typing import Any

__all__: list[str] = []

_MEMORY = 3 * 2**30


def _limit() -> None:
    import resource
    import signal

    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    threading.Thread(target=_end_with_parent, args=(os.getppid(),), daemon=True).start()


def _end_with_parent(parent: int) -> None:
    """Linux's own signal for this (PR_SET_PDEATHSIG) comes when the thread that started the worker ends: too early."""
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(0)


def _compare(gold: str, answer: str, options: dict[str, Any]) -> dict[str, Any]:
    from math_verify import LatexExtractionConfig, parse, verify

    parsed: list[list[Any]] = []
    for text in (gold, answer):
        found = parse(
            f"${text}$", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=0, raise_on_error=True
        )
        if not found:
            return {"equal": None, "unread": "gold" if not parsed else "answer"}
        parsed.append(found)
    # no time limit in here: the parent kills what takes too long, which no handler of a signal can prevent
    return {"equal": bool(verify(*parsed, timeout_seconds=0, raise_on_error=True, **options))}


def _main() -> None:
    _limit()
    logging.disable()
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # a library that prints must not be taken for a reply
    sys.setrecursionlimit(3_000)
    try:
        _compare("1", "x+1", {})  # load everything before the first deadline runs
    except ImportError as error:
        out.write(json.dumps({"missing": str(error)}) + "\n")
        return
    out.write('{"ready": true}\n')
    out.flush()
    for line in sys.stdin:
        request = json.loads(line)
        try:
            reply = _compare(request["gold"], request["answer"], request["options"])
        except MemoryError:
            reply = {"error": "out of memory"}
        except Exception as error:  # noqa: BLE001  # whatever a library raises on odd text is a reply, not a crash
            reply = {"error": f"{type(error).__name__}: {error}"[:200]}
        out.write(json.dumps(reply) + "\n")
        out.flush()


if __name__ == "__main__":
    _main()
