"""What an earlier setup made, shown in a workspace of layers as its lowest one.

The setup's program finds it there and makes it the workspace's own: see ``kept_setups``.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

import msgspec
from msgspec.structs import replace

from anabranch.engine.git import GitError
from anabranch.engine.kept_setups.made import Made, note_made
from anabranch.engine.kept_setups.results import TREE, is_there, kept_in, place_of
from anabranch.engine.kept_setups.wanted import Wanted
from anabranch.engine.workspaces.layers.mounting import Layers, NoLayers, hide, show
from anabranch.undecodable import UNDECODABLE


class Setup(msgspec.Struct, frozen=True):
    """What is to be run in a new workspace, ``wanted`` for one whose folder is not known yet."""

    argv: tuple[str, ...]
    wanted: Wanted


def with_setup_below(layers: Layers, folder: Path, setup: Setup, made: Path) -> Layers:
    """Show what an earlier setup made below the layers of a new workspace, if that can be.

    Nobody may be in it yet. What is shown is noted in ``made``. Raises OSError, GitError if the
    workspace cannot be shown any more.
    """
    wanted = replace(setup.wanted, workspace=str(folder))
    place = _usable(wanted, setup.argv, folder)
    if place is None:
        return layers
    further = replace(layers, lower=(*layers.lower, place / TREE))
    note_made(made, Made(str(place)))
    hide(folder)
    try:
        show(further, folder)
    except (OSError, NoLayers):
        made.unlink()
        _show_as_before(layers, folder)
        return layers
    return further


def _show_as_before(layers: Layers, folder: Path) -> None:
    try:
        show(layers, folder)
    except NoLayers as error:
        raise GitError(str(error)) from error


def _usable(wanted: Wanted, argv: tuple[str, ...], folder: Path) -> Path | None:
    """Return a kept result that can be shown in a workspace, marked as used; None without one."""
    if not wanted.inputs or wanted.not_reused:
        return None
    with suppress(OSError, GitError, *UNDECODABLE):
        key = wanted.key(argv)
        place = place_of(Path(wanted.store), key) if key else None
        if place is None or not is_there(place):
            return None
        kept = kept_in(place)
        is_free = not any(os.path.lexists(folder / name) for name in kept.entries)
        return place if is_free and not kept.second_names else None
    return None
