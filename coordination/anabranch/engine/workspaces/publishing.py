"""A run's result as a folder to look at, for projects without a branch to look at."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from anabranch.core.ids import RunId
from anabranch.engine.workspaces.repository import empty_tree, frozen_view, run_folder
from anabranch.engine.workspaces.values import Repository

_PUBLISHING = RunId("publishing")
"""Under this name the indexes of published folders lie, beside what belongs to runs."""


def publish_result_folder(repo: Repository, run: RunId, commit: str, folder: Path) -> None:
    """Write the files of a result into ``folder``, or bring it from an older result to this one.

    Raises GitError rather than overwrite a file that someone changed there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    indexes = run_folder(repo, _PUBLISHING) / "index"
    indexes.mkdir(parents=True, exist_ok=True)
    name = hashlib.sha256(os.fsencode(folder.resolve())).hexdigest()
    index = indexes / name
    git = frozen_view(repo, run).at(work_tree=folder, index=index)
    before = git.run("write-tree").text if index.is_file() else empty_tree(repo)
    git.run("read-tree", "-m", "-u", before, f"{commit}^{{tree}}")
