"""Opening a project: the repository that a folder belongs to, or the folder itself.

Apart from hosting, because many commands only read, and start twice as fast without an engine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from anabranch.engine.git import GitError
from anabranch.engine.runs import project_root
from anabranch.engine.workspaces import Repository, open_repository
from anabranch.errors import UsageError, machine_errors
from anabranch.hostile_text import utf8_text
from anabranch.paths import ProjectFolder, project_folder, state_home


@machine_errors()
def open_project(folder: Path) -> tuple[Repository, ProjectFolder]:
    """Return the project that a folder belongs to: its repository, or the folder itself.

    Raises UsageError if there is no such folder or it cannot be used.
    """
    for path in (os.path.realpath(folder), str(state_home())):
        _require_text(path)
    with git_errors():
        state = ProjectFolder(project_folder(project_root(folder)))
        state.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        return open_repository(folder, state.store, state.git_lock), state


@contextmanager
def git_errors() -> Iterator[None]:
    """Turn what git refuses about a project into a UsageError with the next step."""
    try:
        yield
    except GitError as error:
        raise UsageError(error.reason, error.hint) from error


def _require_text(path: str) -> None:
    """Raise UsageError for a path that is not UTF-8: a journal holds names as text."""
    shown = utf8_text(path)
    if shown != path:
        raise UsageError(f"the path {shown} is not UTF-8", "rename the folder, or work in a copy")
