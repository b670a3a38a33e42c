"""Whether a workspace still is as it was captured directly: then all that it holds is kept."""

from __future__ import annotations

import time

from anabranch.engine.workspaces.direct.capture import captured_index, changes_in
from anabranch.engine.workspaces.direct.folder_changes import NotDirect
from anabranch.engine.workspaces.direct.index_file import read_entries
from anabranch.engine.workspaces.identity import WorkspaceReplaced
from anabranch.engine.workspaces.layers.standing import require_standing
from anabranch.engine.workspaces.records import index_path
from anabranch.engine.workspaces.snapshots import is_as_taken_over
from anabranch.engine.workspaces.stream_repository import is_as_made
from anabranch.engine.workspaces.values import PreparedWorkspace, Repository
from anabranch.plain_files import LARGE_FILE_BYTES, NotPlain, read_plain


def is_as_captured(repo: Repository, workspace: PreparedWorkspace, trusted_ns: int = 0) -> bool:
    """Say whether a workspace is as it was captured, with all that belongs to it.

    Files are not looked at again if that was less than ``trusted_ns`` ago.
    """
    git_dir = workspace.git_dir
    if workspace.kind != "isolated" or git_dir is None:
        return False
    index = captured_index(repo, workspace)
    private = index_path(repo, workspace.run, workspace.stream, workspace.attempt)
    try:
        require_standing(workspace)
        entries = read_entries(read_plain(index, LARGE_FILE_BYTES), repo.object_format)
        if entries is None or not is_as_taken_over(git_dir / "index", private):
            return False
        if not is_as_made(repo, workspace.run, git_dir, workspace.start_commit):
            return False
        before = {entry.path: entry for entry in entries}
        written_ns = index.stat().st_mtime_ns
        if 0 <= time.time_ns() - written_ns < trusted_ns:
            return True
        found = changes_in(repo, workspace, before, written_ns)
    except (NotDirect, NotPlain, FileNotFoundError, WorkspaceReplaced):
        return False
    return not (found.now or found.gone or found.odd)
