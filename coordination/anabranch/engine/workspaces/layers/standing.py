"""Whether a workspace stands as it was made; one of layers is shown again first, if need be.

After a reboot of the machine nothing shows the layers any more, and the folder is empty. Whoever
took that for the stream's work would take every file for a removed one.
"""

from __future__ import annotations

import os
from pathlib import Path

from anabranch.engine.workspaces.identity import WorkspaceReplaced, require_unreplaced
from anabranch.engine.workspaces.layers.mounting import NoLayers, ShownElsewhere, is_shown, show
from anabranch.engine.workspaces.layers.place import is_empty, leave_note
from anabranch.engine.workspaces.values import PreparedWorkspace


class WorkspaceElsewhere(WorkspaceReplaced):
    """The workspace stands, and is in use, where this process cannot see it."""


def is_there(workspace: PreparedWorkspace) -> bool:
    """Say whether anything is left of a workspace's files, shown or not."""
    place = workspace.path if workspace.layers is None else workspace.layers.upper
    return os.path.lexists(place)


def require_standing(workspace: PreparedWorkspace) -> None:
    """Raise WorkspaceReplaced if a workspace is not the one that was prepared, or cannot be had."""
    layers = workspace.layers
    if layers is None:
        require_unreplaced(workspace.path, workspace.identity)
        return
    require_unreplaced(layers.upper, workspace.identity)
    if is_shown(layers, workspace.path):
        return
    _require_empty(workspace.path)
    try:
        workspace.path.mkdir(parents=True, exist_ok=True)
        leave_note(workspace.path)
        show(layers, workspace.path)
    except ShownElsewhere as error:
        raise WorkspaceElsewhere(
            f"the layers of the workspace cannot be shown: {error}",
            hint="go on there, or end what runs there; all work is as it was",
        ) from error
    except (OSError, NoLayers) as error:
        raise WorkspaceReplaced(
            f"the layers of the workspace cannot be shown: {error}",
            hint=f"what the stream has changed is in {layers.upper}",
        ) from error


def is_git_replaced(workspace: PreparedWorkspace) -> bool:
    """Say whether what tells git of a workspace is not what was put there."""
    own = workspace.path / ".git"
    is_ours = own.is_dir() if workspace.kind == "clone" else not own.is_dir()
    return own.is_symlink() or not is_ours


def why_not_its_own(workspace: PreparedWorkspace) -> str:
    """Return why what stands in a workspace's place is somebody else's; empty if it is not.

    What is empty is nobody's.
    """
    if workspace.kind == "shared" or not is_there(workspace):
        return ""
    try:
        require_standing(workspace)
    except WorkspaceReplaced as error:
        is_empty = workspace.path.is_dir() and not any(workspace.path.iterdir())
        return "" if is_empty else error.reason
    return "its .git was replaced" if is_git_replaced(workspace) else ""


def _require_empty(folder: Path) -> None:
    """Raise WorkspaceReplaced if something would be hidden by what is to be shown in a folder."""
    if not os.path.lexists(folder):
        return
    if folder.is_symlink() or not folder.is_dir() or os.path.ismount(folder):
        what = "something that is not its folder stands in its place"
    elif not is_empty(folder):
        what = "files were put where its layers are to be shown"
    else:
        return
    raise WorkspaceReplaced(
        f"the workspace was replaced: {what}", hint=f"move away what stands at {folder}"
    )
