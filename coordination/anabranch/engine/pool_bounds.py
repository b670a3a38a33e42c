"""How many checkouts a run wants to have ready, by its plan, its width and the room on the disk."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from anabranch.core.model.state import State
from anabranch.engine import workspaces as ws
from anabranch.engine.caches import POOL
from anabranch.engine.workspaces.pool.bounds import NO_MORE, Bounds
from anabranch.engine.workspaces.pool.filling import TreeSize

MOST_READY = 16
FEWEST_FILES = 200
"""Fewer files are written in no time. A plan that asks for a pool gets one whatever there is."""
ROOM_SHARE = 10
"""Of the room on the disk, what is made ahead takes a tenth at most;"""
BUDGET_SHARE = 2
"""of what is left of a budget, half."""
BYTES_A_FILE = 2048
"""What a file takes besides its content: on average, half a block of the disk."""


def bounds_of(repo: ws.Repository, state: State) -> Bounds:
    """Return how many checkouts are kept ready for a run, or one like it: about its width."""
    streams = [s for s in state.plan.streams if s.workspace != "shared" and not s.paths]
    methods = {stream.method for stream in streams}
    if all(ws.method_here(repo, method) != "pool" for method in methods):
        return NO_MORE
    wanted = state.max_parallel if state.plan.is_open else min(state.max_parallel, len(streams))
    return Bounds(min(wanted, MOST_READY), 0 if "pool" in methods else FEWEST_FILES)


def bounds_of_recycling(repo: ws.Repository, state: State) -> Bounds:
    """Return how many there may be for a workspace to become one; with a budget, all of it goes."""
    return NO_MORE if state.plan.max_disk_bytes is not None else bounds_of(repo, state)


def number_in_room(
    size: TreeSize, ready: int, free: int, budget: int | None, used: Mapping[str, int]
) -> int:
    """Return for how many checkouts there is room.

    Args:
        size: how large one is.
        ready: how many there are.
        free: how many bytes are free on the disk.
        budget: how many bytes may be kept of the project.
        used: how many are, by what they are.
    """
    one = size.bytes + size.files * BYTES_A_FILE + 1
    room = (free + ready * one) // ROOM_SHARE
    if budget is not None:
        others = sum(used.values()) - used.get(POOL.name, 0)
        room = min(room, (budget - others) // BUDGET_SHARE)
    return max(0, room // one)


def free_bytes(repo: ws.Repository) -> int:
    """Return how much room there is where checkouts lie. Raises OSError."""
    return shutil.disk_usage(repo.store).free
