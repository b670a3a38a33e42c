"""What runs inside a stream and talks to the engine: commands, a Python client, an MCP server.

``Client`` blocks, ``AsyncClient`` is awaited; both have one method a verb and find the engine by
the environment that a stream is started in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anabranch.client.aio import AsyncClient
    from anabranch.client.sync import Client
    from anabranch.client.verbs import Refused, Reply, Unreachable

__all__ = ["AsyncClient", "Client", "Refused", "Reply", "Unreachable"]

_WHERE = {
    "AsyncClient": "aio",
    "Client": "sync",
    "Refused": "verbs",
    "Reply": "verbs",
    "Unreachable": "verbs",
}


def __getattr__(name: str) -> object:
    """Import a class when it is asked for: the commands beside them start without."""
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
