"""Where a repository and the records of its runs do not go together any more, and the way out.

A repository can be removed and cloned again under its old runs; a state folder can be emptied while
worktrees of earlier versions stay locked in the repository; a project can be moved away from its
runs. Each is seen from what both sides say: the repository's refs and worktrees, and the journals.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from anabranch.core.ids import RunId
from anabranch.core.wording import counted
from anabranch.engine.git import Git, repository_lock
from anabranch.engine.opening import open_project
from anabranch.engine.runs import read_run, run_folders
from anabranch.engine.workspaces import Repository, has_commits, keep_ref
from anabranch.engine.workspaces.lost import git_directory_names, lost_commits
from anabranch.engine.workspaces.refs import list_refs
from anabranch.engine.workspaces.repository import live_view
from anabranch.paths import RunFolder
from anabranch.plain_files import SMALL_FILE_BYTES, read_if_there

_BASES = "refs/anabranch/base/"
_LOCKED_BY_US = re.compile(r"Anabranch run ([\w-]+)\Z")
_FORGOTTEN = "refs/anabranch/forgotten/"


class Leftover(msgspec.Struct, frozen=True):
    """One thing that does not go together: what was seen, and what to do about it."""

    message: str
    mend: str


class StaleWorktree(msgspec.Struct, frozen=True):
    """A worktree that a run of an earlier version locked, whose folder has gone."""

    run: str
    path: Path
    git_dir: Path


def look(folder: Path) -> list[Leftover]:
    """Return everything of this kind in a project. Raises AnabranchError, GitError."""
    repo, _ = open_project(folder)
    if repo.kind != "git":
        return []
    here = {home.run: home for home in run_folders(folder)}
    return [*_worktrees(repo), *_results(repo, here), *_of_other_places(folder, repo, here)]


def remove_stale_worktrees(folder: Path) -> list[str]:
    """Take locked worktrees whose folders are gone out of a repository; return what was done.

    What only such a worktree leads to is kept by a ref first. Raises AnabranchError, GitError.
    """
    repo, _ = open_project(folder)
    done = []
    for stale in stale_worktrees(repo) if repo.kind == "git" else ():
        with repository_lock(repo.lock_path):
            kept = _keep_history(repo, stale)
            live_view(repo).run("worktree", "unlock", str(stale.path), accept=(0, 128))
            live_view(repo).run("worktree", "remove", "-f", str(stale.path))
        gone = f"the entry of the worktree {stale.path} is gone"
        done.append(f"{gone}; its commits are kept: {', '.join(kept)}" if kept else gone)
    return done


def moved_runs(folder: Path) -> dict[RunId, RunFolder]:
    """Return runs of this repository that were made where it lay before, by name.

    Raises AnabranchError, GitError.
    """
    repo, _ = open_project(folder)
    known = {home.run for home in run_folders(folder)}
    wanted = _runs_in_refs(repo) - known if repo.kind == "git" else set()
    if not wanted:
        return {}
    return {home.run: home for home in run_folders(None) if home.run in wanted}


def stale_worktrees(repo: Repository) -> Iterator[StaleWorktree]:
    """Yield the worktrees that our runs locked and whose folders are gone. Raises GitError."""
    path: Path | None = None
    git_dirs = {_folder_of(entry): entry for entry in _entries(repo.git_dir / "worktrees")}
    for field in live_view(repo).run("worktree", "list", "--porcelain", "-z").fields:
        kind, _, value = field.partition(" ")
        if kind == "worktree":
            path = Path(value)
        elif kind == "locked" and path is not None and not os.path.lexists(path):
            found, git_dir = _LOCKED_BY_US.fullmatch(value), git_dirs.get(path)
            if found is not None and git_dir is not None:
                yield StaleWorktree(found[1], path, git_dir)


def _worktrees(repo: Repository) -> Iterator[Leftover]:
    stale = list(stale_worktrees(repo))
    if stale:
        yield Leftover(
            f"{counted(len(stale), 'worktree')} locked by runs whose folders have gone: "
            f"{', '.join(sorted({found.run for found in stale}))}",
            "anabranch doctor --repair takes them out and keeps their commits",
        )


def _results(repo: Repository, here: Mapping[RunId, RunFolder]) -> Iterator[Leftover]:
    for home in here.values():
        state = read_run(home).state
        base = None if state is None else state.base
        if base is not None and not has_commits(repo, (base.commit,)):
            yield Leftover(
                f"run {home.run} belongs to another repository that lay here: what it started from "
                "and its result are not in this one",
                f"its logs and its report are in {home.path}; delete that folder when they are not "
                "needed",
            )


def _of_other_places(
    folder: Path, repo: Repository, here: Mapping[RunId, RunFolder]
) -> Iterator[Leftover]:
    moved = moved_runs(folder)
    for place in sorted({_place_of(home) for home in moved.values()}):
        names = [run for run, home in moved.items() if _place_of(home) == place]
        yield Leftover(
            f"{counted(len(names), 'run')} of this repository from when it lay in {place}",
            "anabranch runs --all lists them; their results are branches here (git branch --list "
            "'anabranch/*'); to resume one, put the project back",
        )
    gone = sorted(_runs_in_refs(repo) - here.keys() - moved.keys())
    if gone:
        yield Leftover(
            f"the records of {counted(len(gone), 'run')} are gone, the work is kept by refs: "
            f"{', '.join(gone[:3])}",
            "git for-each-ref refs/anabranch shows it; git update-ref -d REF lets go of it",
        )


def _runs_in_refs(repo: Repository) -> set[RunId]:
    return {RunId(ref.removeprefix(_BASES)) for ref in list_refs(live_view(repo), _BASES)}


def _place_of(home: RunFolder) -> str:
    state = read_run(home).state
    return state.project if state is not None else str(home.path)


def _keep_history(repo: Repository, stale: StaleWorktree) -> list[str]:
    git = Git(git_dir=repo.git_dir, cwd=repo.git_dir)
    names = git_directory_names(stale.git_dir)
    kept = []
    for number, commit in enumerate(lost_commits(git, names, list_refs(git).values())):
        ref = f"{_FORGOTTEN}{RunId(stale.run)}/{stale.git_dir.name}.{number}"
        keep_ref(repo, ref, commit)
        kept.append(ref)
    return kept


def _entries(folder: Path) -> list[Path]:
    return sorted(folder.iterdir()) if folder.is_dir() else []


def _folder_of(entry: Path) -> Path:
    """Return the folder that an entry of a repository's worktrees stands for."""
    content = read_if_there(entry / "gitdir", SMALL_FILE_BYTES) or b""
    return Path(os.fsdecode(content.rstrip(b"\n"))).parent
