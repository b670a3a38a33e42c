"""Anabranch: run several streams of work side by side, each in its own workspace, and join them.

This package is the engine. It never imports a terminal library: the console and the command line
live in ``anabranch_console`` and see the engine through :mod:`anabranch.engine.source`.

The short names for coordinating (:mod:`anabranch.quick`) and for handlers in a program
(:mod:`anabranch.in_process`) are imported when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anabranch.in_process import HandlersFailed, map_handlers
    from anabranch.quick import (
        AtomicFileOperations,
        FileLock,
        NotGranted,
        Refused,
        Unreachable,
        allocate_stream_directory,
        coordinator,
        hosting,
        lock_manager,
        register_stream,
        request_resources,
        send_heartbeat,
        state_manager,
    )

__version__ = "0.1.0"
__all__ = [
    "AtomicFileOperations",
    "FileLock",
    "HandlersFailed",
    "NotGranted",
    "Refused",
    "Unreachable",
    "__version__",
    "allocate_stream_directory",
    "coordinator",
    "hosting",
    "lock_manager",
    "map_handlers",
    "register_stream",
    "request_resources",
    "send_heartbeat",
    "state_manager",
]

_IN_PROCESS = ("HandlersFailed", "map_handlers")


def __getattr__(name: str) -> object:
    """Import a short name when it is asked for: most of this package is used without."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    module = "in_process" if name in _IN_PROCESS else "quick"
    return getattr(import_module(f"{__name__}.{module}"), name)
