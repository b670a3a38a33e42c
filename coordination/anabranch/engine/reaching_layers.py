"""Reaching the layers of workspaces: by right where this process has it, else in a namespace.

It has to be done before a process has several threads, and so before a console is shown. Most runs
have no layers: what makes them is loaded when there are some.
"""

from __future__ import annotations

import os
from pathlib import Path

from anabranch.core.plans.plan import Plan
from anabranch.paths import RunFolder, state_home
from anabranch.plain_files import SMALL_FILE_BYTES, read_plain

_TO_ADMINISTER = 21
"""The number of CAP_SYS_ADMIN; source: capabilities(7)."""


def reach_layers_for(plan: Plan) -> None:
    """Have a plan's workspaces be made of layers, if it insists on it and a namespace helps.

    Whether they can be is found, and told, when the run begins.
    """
    if any(stream.method == "overlay" for stream in plan.streams):
        _reach()


def reach_layers_of(home: RunFolder) -> str:
    """Enter the namespace in which a run's workspaces are shown, if that is needed.

    Returns why they cannot be reached; nothing if they can, or if they are ordinary folders.
    """
    if not (home.project.store / "runs" / home.run / "layers").is_dir():
        return ""
    return _reach()


def leave_unused_layers() -> None:
    """Let the namespace go if no workspace is shown in it any more."""
    from anabranch.engine.workspaces.layers.namespace import leave_if_unused

    leave_if_unused(state_home())


def tried_in_a_namespace(store: Path) -> str:
    """Return why layers cannot be shown in a namespace either; nothing if they can.

    It is tried in a process of its own, for it is for good. Raises OSError.
    """
    from anabranch.engine.workspaces.layers.mounting import why_not_layers
    from anabranch.engine.workspaces.layers.namespace import NoNamespace, make_namespace

    place, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            why_not_layers.cache_clear()
            make_namespace()
            os.write(writing, why_not_layers(store).encode())
        except (NoNamespace, OSError) as error:
            os.write(writing, str(error).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(place, "rb") as file:
        said = file.read().decode()
    os.waitpid(child, 0)
    return said


def may_mount() -> bool:
    """Say whether this process has the right to mount, here or in a namespace that it is in."""
    lines = read_plain("/proc/self/status", SMALL_FILE_BYTES).splitlines()
    held = next((int(line.split()[1], 16) for line in lines if line.startswith(b"CapEff:")), 0)
    return bool(held >> _TO_ADMINISTER & 1)


def _reach() -> str:
    if may_mount():
        return ""
    from anabranch.engine.workspaces.layers.mounting import why_not_layers
    from anabranch.engine.workspaces.layers.namespace import NoNamespace, enter_namespace

    try:
        enter_namespace(state_home())
    except NoNamespace as error:
        return str(error)
    why_not_layers.cache_clear()
    return ""
