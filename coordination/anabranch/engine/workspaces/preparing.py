"""Making a stream's workspace.

The stream's repository is made first (`stream_repository`); the files are then written through the
frozen view. The note in `records` is written last: a folder without a note is what a crash left.
Such a folder is removed when nothing in it differs from the start, and moved aside otherwise.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

from anabranch.core.events import Conflict
from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.core.model.state import Result
from anabranch.core.plans.plan import WorkspaceKind, WorkspaceMethod
from anabranch.engine.git import Git, GitError
from anabranch.engine.workspaces.checking import some
from anabranch.engine.workspaces.cone import confine, view_of
from anabranch.engine.workspaces.converting import converted_by_git
from anabranch.engine.workspaces.deciding import NOTHING_DECIDED
from anabranch.engine.workspaces.file_times import give_users_times
from anabranch.engine.workspaces.filling import BY_GIT, Way, begin_filling
from anabranch.engine.workspaces.identity import (
    WorkspaceReplaced,
    identity_of,
)
from anabranch.engine.workspaces.including.frozen_files import (
    copy_into,
    included_in,
    require_there,
)
from anabranch.engine.workspaces.including.keeping_out import add_all_but_included
from anabranch.engine.workspaces.large_files import AS_POINTERS, are_missing
from anabranch.engine.workspaces.layers.bases import SHARES_BASE, frozen_base
from anabranch.engine.workspaces.layers.laying import clear_half_laid
from anabranch.engine.workspaces.layers.setup_below import Setup, with_setup_below
from anabranch.engine.workspaces.layers.standing import require_standing
from anabranch.engine.workspaces.merging import merge_trees
from anabranch.engine.workspaces.names import start_ref
from anabranch.engine.workspaces.objects import names_in
from anabranch.engine.workspaces.pool.bounds import NO_MORE, WHATEVER_COMES, Bounds
from anabranch.engine.workspaces.pool.recycling import recycle
from anabranch.engine.workspaces.records import (
    claimed_by_other,
    git_path,
    index_path,
    layers_path,
    made_path,
    read_record,
    write_record,
)
from anabranch.engine.workspaces.refs import keep_new_ref
from anabranch.engine.workspaces.repository import (
    followed_by,
    frozen_view,
    raw_view,
    run_folder,
)
from anabranch.engine.workspaces.setting_aside import free_name
from anabranch.engine.workspaces.settings import sparse_settings
from anabranch.engine.workspaces.snapshots import take_over_own
from anabranch.engine.workspaces.stream_repository import make_stream_repository
from anabranch.engine.workspaces.values import (
    Decisions,
    PreparedWorkspace,
    Repository,
    Standing,
    StreamResult,
)
from anabranch.files import LEFTOVERS, replace_whole
from anabranch.plain_files import SMALL_FILE_BYTES, NotPlain, read_if_there


def prepare_workspace(
    repo: Repository,
    run: RunId,
    stream: StreamId,
    attempt: Attempt,
    kind: WorkspaceKind,
    folder: Path,
    base: Standing,
    dependencies: Sequence[StreamResult] = (),
    decisions: Decisions = NOTHING_DECIDED,
    checkpoint: Result | None = None,
    method: WorkspaceMethod = "worktree",
    frozen_tree: str | None = None,
    paths: Sequence[str] = (),
    setup: Setup | None = None,
) -> PreparedWorkspace | Conflict:
    """Make the folder a stream works in: the base merged with its dependencies' results.

    Asked again for the same attempt it returns the same workspace. When the dependencies do not
    merge, nothing is made and their conflict is returned. A ``shared`` workspace is the user's own
    folder. With a ``checkpoint`` of an earlier attempt, what that had changed by then is there
    again, uncommitted, if it merges with the start.

    The ``method`` says how files come into the folder; layers begin with the frozen checkout of
    ``frozen_tree``, or else of the base, and show what an earlier ``setup`` made. With ``paths``
    the folder holds those alone. Raises GitError when git or the disk refuses.
    """
    prepared = read_record(repo, run, stream, attempt)
    if prepared is not None and _still_stands(prepared):
        return prepared
    start = base
    if dependencies:
        outcome = merge_trees(
            repo,
            run,
            base,
            dependencies,
            message=f"What {stream} starts from",
            stop_early=True,
            decisions=decisions,
        )
        if outcome.conflicts:
            return outcome.conflicts[0]
        start = outcome
    if kind == "shared":
        workspace = PreparedWorkspace(
            run, stream, attempt, kind, repo.root, start.commit, start.tree
        )
        write_record(repo, workspace)
        return workspace
    keep_new_ref(repo, start_ref(run, stream, attempt), start.commit)
    restored = _restored_tree(repo, run, start, (stream, checkpoint)) if checkpoint else None
    warnings = _warnings(repo, run, start.tree)
    lower = frozen_tree or base.tree
    frozen = frozen_base(repo, run, lower, paths) if method in SHARES_BASE else None
    way = Way(method, frozen, paths, setup)
    return make_workspace(repo, run, stream, attempt, kind, folder, start, restored, warnings, way)


def make_workspace(
    repo: Repository,
    run: RunId,
    stream: StreamId,
    attempt: Attempt,
    kind: WorkspaceKind,
    folder: Path,
    start: Standing,
    restored: str | None = None,
    warnings: tuple[str, ...] = (),
    way: Way = BY_GIT,
) -> PreparedWorkspace:
    """Make the folder and its repository, with the files of a start that somebody keeps by a ref.

    The files of ``restored``, if given, are there instead, as changes that are not committed.
    Raises GitError when git or the disk refuses.
    """
    own, made = (path(repo, run, stream, attempt) for path in (layers_path, made_path))
    folder = _unclaimed(repo, run, stream, attempt, folder)
    _clear_half_made(folder, own, made)
    bounds = WHATEVER_COMES if way.method == "pool" else NO_MORE
    _clear_leftovers(repo, run, folder, start, bounds)
    git_dir = folder / ".git" if kind == "clone" else git_path(repo, run, stream, attempt)
    included = included_in(repo, run)
    if included is not None:
        require_there(included)
    below = () if included is None else (included.folder,)
    filling = begin_filling(repo, run, way, start.tree, folder, own, below)
    _make_folder(repo, run, kind, folder, git_dir, start)
    if way.paths:
        confine(git_dir, way.paths)
    index = git_dir / "index"
    git = view_of(repo, run, way.paths).at(work_tree=folder, index=index)
    filling.bring_index(git, folder)
    has_all = filling.tree == start.tree and not restored
    pointers = () if has_all else _write_files(git, start, restored)
    layers = filling.layers
    if layers is None and included is not None:
        copy_into(included, folder)
        if not filling.has_users_times and not restored:
            give_users_times(repo, folder, index)
    if layers is not None and way.setup is not None:
        layers = with_setup_below(layers, folder, way.setup, made)
    alike = way.frozen.index if way.frozen and layers is not None and has_all else None
    take_over_own(index, index_path(repo, run, stream, attempt), alike)
    is_restored, identity = restored is not None, identity_of(layers.upper if layers else folder)
    workspace = PreparedWorkspace(
        run, stream, attempt, kind, folder, start.commit, start.tree, git_dir,
        (*warnings, *pointers), is_restored, identity, layers, filling.method,
    )  # fmt: skip
    write_record(repo, workspace)
    return workspace


def _clear_half_made(folder: Path, own: Path, made: Path) -> None:
    """Make room where a workspace was being made when its engine was killed. Raises OSError."""
    clear_half_laid(folder, own)
    made.unlink(missing_ok=True)


def _still_stands(workspace: PreparedWorkspace) -> bool:
    try:
        require_standing(workspace)
    except WorkspaceReplaced:
        return False
    return True


def _make_folder(
    repo: Repository, run: RunId, kind: WorkspaceKind, folder: Path, git_dir: Path, start: Standing
) -> None:
    """Make the folder and its git directory, which lies inside a clone and beside others."""
    if kind == "clone":
        folder.mkdir(parents=True, exist_ok=True)
    else:
        _clear_git_directory(git_dir, start)
    make_stream_repository(repo, run, kind, git_dir, start.commit)
    if kind != "clone":
        folder.mkdir(parents=True, exist_ok=True)
        replace_whole(folder / ".git", b"gitdir: " + os.fsencode(git_dir) + b"\n")


def _clear_git_directory(git_dir: Path, start: Standing) -> None:
    """Make room where a crash left a git directory; one that was used is moved aside."""
    if not os.path.lexists(git_dir):
        return
    try:
        head = read_if_there(git_dir / "HEAD", SMALL_FILE_BYTES)
    except NotPlain:
        head = None
    is_as_made = head == f"{start.commit}\n".encode()
    objects = [path for path in (git_dir / "objects").glob("*/*") if path.name != "alternates"]
    if is_as_made and not objects:
        shutil.rmtree(git_dir)
    else:
        git_dir.rename(free_name(git_dir))


def write_tree(repo: Repository, run: RunId, tree: str, folder: Path) -> None:
    """Write the files of a tree into an empty folder that is not a stream's workspace."""
    index = run_folder(repo, run) / "index" / f".tree-{os.getpid()}-{id(folder)}"
    try:
        frozen_view(repo, run).at(work_tree=folder, index=index).run("read-tree", "-m", "-u", tree)
    finally:
        index.unlink(missing_ok=True)


def _restored_tree(
    repo: Repository, run: RunId, start: Standing, checkpoint: StreamResult
) -> str | None:
    """Return the start with what a checkpoint has changed; None if that does not merge."""
    stream, result = checkpoint
    if result.start_tree == start.tree:
        return result.tree
    message = f"What {stream} goes on from"
    merged = merge_trees(repo, run, start, [checkpoint], message=message, stop_early=True)
    return None if merged.conflicts else merged.tree


def _write_files(git: Git, start: Standing, restored: str | None) -> tuple[str, ...]:
    """Write the files; restored ones are changes that the stream's own git sees.

    Large files that cannot be had now are left as pointers, which is returned in words.
    """
    warnings: tuple[str, ...] = ()
    try:
        git.run("read-tree", "-m", "-u", restored or start.tree)
    except GitError as error:
        if not are_missing(error):
            raise
        git.run("read-tree", "--reset", "-u", restored or start.tree, env=AS_POINTERS)
        warnings = (f"large files (LFS) are pointers in this workspace: {error.reason}",)
    if restored:
        git.run("read-tree", "-m", start.tree)  # what is not there stays marked as left out
    return warnings


def _unclaimed(
    repo: Repository, run: RunId, stream: StreamId, attempt: Attempt, folder: Path
) -> Path:
    """Return the folder, or one beside it if a record says that it is somebody else's."""
    found, number = folder, 1
    while os.path.lexists(found) and claimed_by_other(repo, run, stream, attempt, found):
        number += 1
        found = folder.with_name(f"{folder.name}@@{number}")
    return found


def _clear_leftovers(
    repo: Repository, run: RunId, folder: Path, start: Standing, bounds: Bounds
) -> None:
    if not os.path.lexists(folder):
        return
    if folder.is_dir() and not folder.is_symlink() and _holds_nothing_new(repo, run, folder, start):
        if not recycle(repo, run, folder, bounds):
            shutil.rmtree(folder)
        return
    folder.rename(free_name(folder))


def _holds_nothing_new(repo: Repository, run: RunId, folder: Path, start: Standing) -> bool:
    """Return whether each file in the folder is one that the start has too, byte for byte."""
    for half in folder.glob(LEFTOVERS):  # of what was to be its .git
        half.unlink()
    entries = [entry for entry in folder.iterdir() if entry.name != ".git"]
    if not entries:
        return not (folder / ".git").is_dir()
    if (folder / ".git").is_dir():
        return False
    index = run_folder(repo, run) / "index" / f".leftover-{os.getpid()}-{id(folder)}"
    git = raw_view(repo, run).at(work_tree=folder, index=index)
    try:
        add_all_but_included(git, repo, run)
        tree = git.run("write-tree").text
        differing = git.run(
            "diff-tree", "-r", "--no-renames", "--diff-filter=d", "--name-only", start.tree, tree
        )
    except GitError:
        return False
    finally:
        index.unlink(missing_ok=True)
    return not differing.out


@lru_cache(maxsize=64)
def _warnings(repo: Repository, run: RunId, tree: str) -> tuple[str, ...]:
    """Return what to say of workspaces that start from this tree; most streams share one."""
    warnings = []
    git = frozen_view(repo, run)
    names = names_in(git, tree)
    converted = converted_by_git(git, tree, names)
    if converted:
        warnings.append(
            f"git changes the line ends of files that nobody touches: {some(converted)} "
            "(git add --renormalize . and a commit mend that)"
        )
    if sparse_settings(followed_by(repo, run).settings):
        warnings.append("your checkout is sparse; this workspace holds every file")
    return tuple(warnings)
