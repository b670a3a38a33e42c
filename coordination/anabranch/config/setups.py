"""What makes workspaces ready, and what leaves them in good order: for all, or a stream's own."""

from __future__ import annotations

import shlex
from typing import Any

from anabranch.config.model import Isolation
from anabranch.config.stream_tables import StreamTable
from anabranch.core.plans.plan import SideCommand, WorkspaceKind

Written = str | list[str] | bool | None


def setups_for_all(isolation: Isolation) -> dict[str, Any]:
    """Return what a plan says of setup and teardown for all its streams."""
    return {
        "setup": _command(isolation.setup, ".", tuple(isolation.setup_inputs)),
        "teardown": _command(isolation.teardown, "."),
        "setup_timeout_seconds": float(isolation.setup_timeout),
    }


def setups_of(isolation: Isolation, table: StreamTable, workspace: WorkspaceKind) -> dict[str, Any]:
    """Return what a stream's plan says of them.

    What is for all does not reach a stream that works in the user's own folder: that is ready.
    """
    found = setups_for_all(isolation)
    for key in ("setup", "teardown"):
        own: Written = getattr(table, key)
        if own is not None:
            inputs = tuple(isolation.setup_inputs) if key == "setup" else ()
            found[key] = _command(own, table.working_dir, inputs)
        elif workspace == "shared":
            found[key] = None
    return found


def _command(
    written: Written, working_dir: str, inputs: tuple[str, ...] = ()
) -> SideCommand | None:
    if written is None or isinstance(written, bool):
        return None
    if isinstance(written, str):
        return SideCommand(("/bin/sh", "-c", written), written, working_dir, inputs)
    return SideCommand(tuple(written), shlex.join(written), working_dir, inputs)
