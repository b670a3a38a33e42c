"""Laying a workspace out of layers, and taking it up again."""

from __future__ import annotations

import errno
import os
import shutil
import stat
from pathlib import Path

from msgspec.structs import replace

from anabranch.engine.git import GitError
from anabranch.engine.workspaces.layers.bases import FrozenBase
from anabranch.engine.workspaces.layers.mounting import Layers, NoLayers, hide, show
from anabranch.engine.workspaces.layers.place import make_place, remove_place
from anabranch.engine.workspaces.setting_aside import free_name


def lay(frozen: FrozenBase, folder: Path, own: Path, below: tuple[Path, ...] = ()) -> Layers:
    """Show a frozen checkout at a folder, with an empty layer above it that lies in ``own``.

    Layers ``below`` are shown where the checkout has nothing. Raises GitError, OSError.
    """
    lower = (frozen.files, *frozen.below, *below)
    layers = Layers(lower, own / "upper", own / "scratch")
    make_place(folder)
    layers.upper.mkdir(parents=True)
    return _shown(layers, folder)


_OTHERWISE = 'write method = "worktree" under [coordination.isolation]'


def _shown(layers: Layers, folder: Path) -> Layers:
    try:
        show(layers, folder)
    except NoLayers as error:
        raise GitError(f"no workspace of layers can be made: {error}", hint=_OTHERWISE) from error
    return layers


def clear_half_laid(folder: Path, own: Path) -> None:
    """Make room where a workspace of layers was being made when its engine was killed.

    No stream was ever let into it: the note about a workspace goes last. What lies in its upper
    layer all the same is moved aside. Raises OSError.
    """
    if os.path.ismount(folder):
        hide(folder)
        remove_place(folder)
    if not os.path.lexists(own):
        return
    if _holds_something(own / "upper"):
        own.rename(free_name(own))
    else:
        shutil.rmtree(own)


def _holds_something(upper: Path) -> bool:
    """Say whether an upper layer has more than the note of where git looks, and what is removed."""
    for folder, folders, names in os.walk(upper):
        is_top = folder == str(upper)
        if is_top and ".git" in folders:
            return True
        kinds = (
            os.lstat(os.path.join(folder, n)).st_mode for n in names if n != ".git" or not is_top
        )
        if not all(map(stat.S_ISCHR, kinds)):
            return True
    return False


def lay_elsewhere(layers: Layers, folder: Path, target: Path, own: Path) -> Layers | None:
    """Show layers at another folder, and keep what is theirs in ``own``; None if they are in use.

    Raises OSError, GitError.
    """
    try:
        hide(folder)
    except OSError as error:
        if error.errno == errno.EBUSY:
            return None
        raise
    remove_place(folder)
    own.parent.mkdir(parents=True, exist_ok=True)
    layers.upper.parent.rename(own)
    moved = replace(layers, upper=own / "upper", scratch=own / "scratch")
    make_place(target)
    return _shown(moved, target)


def take_up(layers: Layers, folder: Path) -> None:
    """Remove the layers that are a workspace's own, and its folder. Raises OSError if it is in use.

    What only they hold must be kept elsewhere by then.
    """
    hide(folder)
    if os.path.lexists(folder):
        remove_place(folder)
    own = layers.upper.parent
    doomed = own.with_name(f".{own.name}.reclaimed")
    if os.path.lexists(doomed):
        shutil.rmtree(doomed)
    own.rename(doomed)
    shutil.rmtree(doomed)
