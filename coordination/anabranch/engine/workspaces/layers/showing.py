"""Showing the workspaces of a run again when an engine takes it over: a reboot ends all mounts."""

from __future__ import annotations

from anabranch.core.ids import RunId
from anabranch.engine.workspaces.identity import WorkspaceReplaced
from anabranch.engine.workspaces.layers.standing import (
    WorkspaceElsewhere,
    is_there,
    require_standing,
)
from anabranch.engine.workspaces.records import all_records, layers_folder
from anabranch.engine.workspaces.values import Repository


def show_layers(repo: Repository, run: RunId) -> None:
    """Show the layers of a run's workspaces wherever they are not shown.

    What cannot be shown now is found again, and told, when somebody asks for its work. Raises
    WorkspaceElsewhere if the run is to be hosted where its workspaces are: in another container.
    """
    if not layers_folder(repo, run).is_dir():
        return
    for workspace in all_records(repo, run):
        if workspace.layers is not None and is_there(workspace):
            try:
                require_standing(workspace)
            except WorkspaceElsewhere:
                raise
            except WorkspaceReplaced:
                continue
