"""While a plugin is asked in a run: it leaves the process as it is, and what it prints is kept.

Other threads work meanwhile, the engine's and the command's, so nothing can be put back afterwards
(as :mod:`anabranch.undisturbed` does while plugins are loaded). What would change the process for
all of them is refused in the thread that asks, before it is done. What is printed in that thread
would be taken for the command's own output, so :mod:`anabranch_console.cli.sinks` hands it over.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

MOST_KEPT_BYTES = 200
_REFUSED = {
    "os.chdir": "it would have changed the current folder",
    "os.putenv": "it would have changed the environment",
    "os.unsetenv": "it would have changed the environment",
}
"""What Python's audit events tell of, in the thread that does it, before it is done."""

T = TypeVar("T")


class Unmannerly(BaseException):
    """A plugin was about to change the process; no Exception, so that it does not swallow it."""


class _Asked(threading.local):
    """What the plugin that this thread asks has printed; None in a thread that asks none."""

    said: bytes | None = None


_asked = _Asked()
_guarding = threading.Lock()
_is_guarded: list[bool] = []


def asked(call: Callable[[], T]) -> tuple[T, str]:
    """Ask a plugin in this thread; return its answer, and what it printed (the beginning).

    Raises what the call raises, Unmannerly among it.
    """
    _guard_process()
    _asked.said = b""
    try:
        answer = call()
        return answer, _asked.said.decode("utf-8", "replace").strip()
    finally:
        _asked.said = None


def keep_print(data: bytes) -> bool:
    """Take what is printed in a thread that asks a plugin; False in any other thread."""
    if _asked.said is None:
        return False
    _asked.said = (_asked.said + data)[:MOST_KEPT_BYTES]
    return True


def _guard_process() -> None:
    """Listen to audit events from now on; there is no way to listen to fewer."""
    with _guarding:
        if not _is_guarded:
            sys.addaudithook(_refuse)
            _is_guarded.append(True)


def _refuse(event: str, arguments: tuple[Any, ...]) -> None:
    if event in _REFUSED and _asked.said is not None:
        raise Unmannerly(_REFUSED[event])
