"""Removing what a workspace was, once everything in it is proved to be kept elsewhere."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from anabranch.engine.git import repository_lock
from anabranch.engine.workspaces.layers.laying import take_up
from anabranch.engine.workspaces.names import start_ref, tips_ref
from anabranch.engine.workspaces.records import (
    git_path,
    index_path,
    made_path,
    objects_path,
    record_path,
)
from anabranch.engine.workspaces.refs import drop_ref, read_ref
from anabranch.engine.workspaces.repository import live_view
from anabranch.engine.workspaces.stream_history import forget_objects, is_linked
from anabranch.engine.workspaces.values import PreparedWorkspace, Repository


def remove_files(workspace: PreparedWorkspace) -> None:
    """Remove a workspace's files, all of which are kept elsewhere. Raises OSError."""
    if workspace.layers is None:
        _delete(workspace.path)
    else:
        take_up(workspace.layers, workspace.path)


def _delete(path: Path) -> None:
    """Remove a folder under another name: a half-deleted one is never taken for whole."""
    doomed = path.with_name(f".{path.name}.reclaimed")
    if os.path.lexists(doomed):
        shutil.rmtree(doomed, onerror=make_writable)
    path.rename(doomed)
    shutil.rmtree(doomed, onerror=make_writable)


def make_writable(remove: Callable[[str], object], path: str, _: object) -> None:
    """Make read-only folders, as package caches have them, no obstacle to a deletion."""
    for folder in (os.path.dirname(path), path):
        with suppress(OSError):
            if not stat.S_ISLNK(os.lstat(folder).st_mode):
                os.chmod(folder, 0o700)
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(FileNotFoundError):
            os.unlink(path)


def forget_workspace(repo: Repository, workspace: PreparedWorkspace) -> None:
    """Remove git's and our own notes about a workspace that is gone."""
    run, stream, attempt = workspace.run, workspace.stream, workspace.attempt
    if is_linked(repo, workspace):
        with repository_lock(repo.lock_path):
            path = str(workspace.path)
            live_view(repo).run("worktree", "remove", "-f", "-f", path, accept=(0, 128))
    git_dir = git_path(repo, run, stream, attempt)
    if os.path.lexists(git_dir):
        _delete(git_dir)
    forget_objects(objects_path(repo, run, stream, attempt))
    if read_ref(repo, start_ref(run, stream, attempt)) is not None:
        drop_ref(repo, start_ref(run, stream, attempt))
    index = index_path(repo, run, stream, attempt)
    for note in (
        made_path(repo, run, stream, attempt),
        index,
        *(index.with_name(index.name + end) for end in (".source", ".files", ".captured")),
    ):
        note.unlink(missing_ok=True)
    record = record_path(repo, run, stream, attempt)
    record.unlink(missing_ok=True)
    if not any(record.parent.glob("*.json")) and read_ref(repo, tips_ref(run)) is not None:
        drop_ref(repo, tips_ref(run))
