"""Keeping what a stream made of files that were taken along, when its workspace is given back.

As they were, they are in the user's checkout. As they are now, they are nowhere else, and git is
not the place for them; so they are put beside the run's other files.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from anabranch.engine.workspaces.including.copying import Copier
from anabranch.engine.workspaces.including.frozen_files import included_in
from anabranch.engine.workspaces.including.listing import FolderWalk, IncludedFile
from anabranch.engine.workspaces.records import aside_path
from anabranch.engine.workspaces.values import PreparedWorkspace, Repository


def set_changed_aside(repo: Repository, workspace: PreparedWorkspace) -> Path | None:
    """Copy the taken-along files that have changed out of a workspace; return where they are now.

    None: all of them are as they were, or gone. Raises OSError.
    """
    included = included_in(repo, workspace.run)
    if included is None:
        return None
    changed = list(_changed(included.files, workspace.path))
    if not changed:
        return None
    aside = aside_path(repo, workspace.run, workspace.stream, workspace.attempt)
    aside.mkdir(parents=True, exist_ok=True, mode=0o700)
    copier = Copier()
    with FolderWalk(workspace.path) as source, FolderWalk(aside, is_making=True) as target:
        for file in changed:
            folder, _, name = file.path.rpartition(b"/")
            at = target.at(folder)
            if os.path.lexists(os.path.join(os.fsencode(aside), file.path)):
                os.unlink(name, dir_fd=at)  # of a time before that came to no end
            copier.copy(file, source.at(folder), at)
    return aside


def _changed(files: Mapping[bytes, IncludedFile], root: Path) -> Iterator[IncludedFile]:
    with FolderWalk(root) as walk:
        for path, file in files.items():
            folder, _, name = path.rpartition(b"/")
            try:
                found = os.stat(name, dir_fd=walk.at(folder), follow_symlinks=False)
            except OSError:  # nothing of it is there, or something that is no folder above it
                continue
            is_kept = stat.S_ISREG(found.st_mode) or stat.S_ISLNK(found.st_mode)
            if is_kept and not file.is_as(found):
                yield IncludedFile.of(path, found)
