"""Submodules: empty folders in a workspace, as git leaves them, which a stream may fill by itself.

What such a folder holds then belongs to a repository of its own, below the git directory of the
workspace. The project's result has no more of it than the commit it stands at; so the workspace
stays for the rest, unless it is proved that there is nothing but what came from a remote. Nothing
of such a repository is ever started: its files are read, and its objects are linked elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from anabranch.core.ids import RunId
from anabranch.core.wording import listing
from anabranch.engine.git import Git, GitError, decode
from anabranch.engine.workspaces.lost import git_directory_names, lost_commits
from anabranch.engine.workspaces.repository import frozen_view, raw_view
from anabranch.engine.workspaces.snapshots import copy_whole_index
from anabranch.engine.workspaces.stream_history import head_of, link_objects, refs_of
from anabranch.engine.workspaces.values import PreparedWorkspace, Repository
from anabranch.plain_files import SMALL_FILE_BYTES, NotPlain, read_if_there

_LINK = "160000 commit "
_POINTS = b"gitdir: "


def submodules_in(repo: Repository, run: RunId, tree: str) -> tuple[str, ...]:
    """Return the paths of a tree's submodules; none if the project names none. Raises GitError."""
    if not os.path.lexists(repo.root / ".gitmodules"):  # git is not asked for nothing
        return ()
    listed = frozen_view(repo, run).run("ls-tree", "-r", "-z", "--full-tree", tree).fields
    return tuple(line.partition("\t")[2] for line in listed if line.startswith(_LINK))


def empty_in_words(paths: Sequence[str]) -> tuple[str, ...]:
    """Return what to say once of submodules that are not there, if there are any."""
    if not paths:
        return ()
    what = "a submodule is an empty folder" if len(paths) == 1 else "submodules are empty folders"
    return (
        f"{what} in workspaces: {listing(paths, 3)} (git submodule update --init there fills it, "
        "as a setup for instance)",
    )


def git_directory_of(folder: Path) -> Path | None:
    """Return where a submodule's repository lies by what its folder says; None if it says none."""
    try:
        said = read_if_there(folder / ".git", SMALL_FILE_BYTES)
    except (NotPlain, OSError):
        return None
    if said is None or not said.startswith(_POINTS):
        return None
    return Path(os.path.normpath(folder / decode(said.removeprefix(_POINTS).rstrip(b"\n"))))


def is_as_committed(git: Git, folder: Path, scratch: Path) -> bool:
    """Say whether nothing in a filled submodule differs from its index, as far as times tell.

    ``git`` is a frozen view, ``scratch`` a path of the engine's own for a copy of that index.
    """
    place = git_directory_of(folder)
    if place is None:
        return False
    try:
        copy_whole_index(git, place / "index", scratch)
        view = git.at(work_tree=folder, index=scratch)
        return not view.run("ls-files", "-m", "-d", "-o", "--exclude-standard", "-z").out
    except (GitError, NotPlain, OSError):
        return False
    finally:
        scratch.unlink(missing_ok=True)


def is_only_fetched(
    repo: Repository, workspace: PreparedWorkspace, path: str, scratch: Path
) -> bool:
    """Say whether it is proved that a submodule holds nothing but what came from its remotes.

    Each file is read, and is in the commit that it stands at; no commit, stash or tag was made in
    it, and nothing is staged. ``scratch`` is a folder for what is needed meanwhile.
    """
    folder, git_dir = workspace.path / path, workspace.git_dir
    place = git_directory_of(folder)
    if git_dir is None or place is None or git_dir / "modules" not in place.parents:
        return False
    if place.resolve() != place or any((place / "refs" / "tags").rglob("*")):
        return False
    store = scratch / "objects"
    (store / "info").mkdir(parents=True)
    try:
        link_objects(place / "objects", store)
        git = replace(raw_view(repo, workspace.run), objects=store, work_tree=folder, cwd=folder)
        head = head_of(repo, replace(workspace, git_dir=place))
        fetched = [name for ref, name in refs_of(place).items() if ref.startswith("refs/remotes/")]
        if head is None or not fetched or lost_commits(git, git_directory_names(place), fetched):
            return False
        tree = git.run("rev-parse", f"{head}^{{tree}}").text
        copy_whole_index(git, place / "index", scratch / "staged")
        if git.at(index=scratch / "staged").run("write-tree", "--missing-ok").text != tree:
            return False
        files = git.at(index=scratch / "files")
        files.run("add", "-A", "-f", "--", ":/")
        return files.run("write-tree").text == tree
    except (GitError, NotPlain, OSError):
        return False
