"""Giving the user the result: the only operation that touches the user's branch and files.

The branch moves by compare-and-swap from where the run began, and nothing else is ever done to it.
A checkout of that branch comes along: with git's index lock held, files are written from a private
copy of the index, the copy takes the index's place, the branch moves. Whatever fails on the way is
put back. Anything unexpected is refused beforehand, with the reason and the next step.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from anabranch.core.ids import RunId
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import Base
from anabranch.core.wording import listing
from anabranch.engine.git import Git, GitError, repository_lock
from anabranch.engine.workspaces.applying import apply_to_folder
from anabranch.engine.workspaces.names import result_branch
from anabranch.engine.workspaces.objects import Change, changes
from anabranch.engine.workspaces.own_state import own_paths
from anabranch.engine.workspaces.refs import RefMoved, move_ref, read_ref
from anabranch.engine.workspaces.repository import (
    checkout_view,
    empty_tree,
    frozen_view,
    live_view,
    run_folder,
)
from anabranch.engine.workspaces.snapshots import copy_index, take_snapshot
from anabranch.engine.workspaces.values import Approved, FilesInTheWay, Repository
from anabranch.paths import state_home
from anabranch.plain_files import open_plain

IN_PROGRESS = {
    "MERGE_HEAD": "a merge",
    "CHERRY_PICK_HEAD": "a cherry-pick",
    "REVERT_HEAD": "a revert",
    "rebase-merge": "a rebase",
    "rebase-apply": "a rebase",
    "BISECT_LOG": "a bisection",
}
_LISTED = 20


def approve(repo: Repository, run: RunId, base: Base, result_commit: str) -> Approved | Refusal:
    """Move the user's branch, and a checkout of it, from the base to the result.

    A plain folder gets the changed files instead. A refusal leaves everything as it was. Approving
    twice is the same as once.
    """
    git = frozen_view(repo, run)
    tree = git.run("rev-parse", f"{result_commit}^{{tree}}").text
    changed = changes(git, base.tree, tree)
    if repo.kind == "plain":
        return apply_to_folder(repo, git, changed, result_commit)
    with repository_lock(repo.lock_path):
        refusal = _refused(repo, run, base, result_commit)
        if refusal is not None:
            return refusal
        assert base.branch is not None
        done = Approved(base.branch, result_commit, len(changed))
        if read_ref(repo, base.branch) == result_commit:
            return done
        if not _stands_on(repo, base.branch):
            move_ref(repo, base.branch, result_commit, base.head)
            return done
        return _bring_along(repo, run, base, tree, changed, done)


def _refused(repo: Repository, run: RunId, base: Base, commit: str) -> Refusal | None:
    """Return what speaks against it before any file is looked at."""
    name = result_branch(run).removeprefix("refs/heads/")
    if base.branch is None:
        return Refusal(
            "HEAD was detached when the run began, so there is no branch to move",
            f"take the result yourself: git merge {name}",
        )
    branch = base.branch.removeprefix("refs/heads/")
    now = read_ref(repo, base.branch)
    if now not in (base.head, commit):
        return Refusal(
            f"{branch} moved since the run began",
            f"anabranch approve --onto merges the result onto it as it is now; by hand: "
            f"git switch {branch} && git merge {name}",
        )
    elsewhere = list(checkouts_of(repo, base.branch))
    if elsewhere:
        return Refusal(
            f"{branch} is checked out in {elsewhere[0]} too",
            f"switch that checkout to another branch, or merge there: git merge {name}",
        )
    if now == commit or not _stands_on(repo, base.branch):
        return None
    for mark, words in IN_PROGRESS.items():
        if (repo.checkout_dir / mark).exists():
            return Refusal(f"{words} is in progress in {repo.root}", "finish or abort it first")
    return None


def checkouts_of(repo: Repository, branch: str) -> Iterator[Path]:
    """Yield other checkouts that stand on a branch: they would be at odds with it once it moves.

    What git lists is looked at: where its git directory is not in its checkout (a submodule's, say)
    git takes that for the checkout; entries of deleted checkouts stay in the list; and streams may
    check out what they like in their workspaces.
    """
    if repo.checkout_dir == repo.git_dir and not (repo.git_dir / "worktrees").is_dir():
        return
    path, state = Path(), Path(os.path.realpath(state_home()))
    entries = live_view(repo).run("worktree", "list", "--porcelain", "-z").fields
    for number, entry in enumerate(entries):
        kind, _, value = entry.partition(" ")
        if kind == "worktree":
            path, is_main = Path(value), number == 0
        elif kind == "branch" and value == branch:
            is_ours = path == repo.root or (is_main and repo.checkout_dir == repo.git_dir)
            if not is_ours and path.is_dir() and not path.resolve().is_relative_to(state):
                yield path


def _stands_on(repo: Repository, branch: str) -> bool:
    here = Git(git_dir=repo.checkout_dir, cwd=repo.root)
    return here.run("symbolic-ref", "-q", "HEAD", accept=(0, 1)).text == branch


def _bring_along(
    repo: Repository,
    run: RunId,
    base: Base,
    tree: str,
    changed: Sequence[Change],
    done: Approved,
) -> Approved | Refusal:
    index = repo.checkout_dir / "index"
    private = run_folder(repo, run) / "index" / "approving"
    before = run_folder(repo, run) / "index" / "approving-before"
    try:
        with _index_lock(index) as lock:
            for copy in (private, before):
                copy.unlink(missing_ok=True)
                if index.exists():
                    copy_index(index, copy)
            if index.exists():
                # A split index is whole only beside its shared part.
                whole = Git(git_dir=repo.checkout_dir, index=private, cwd=repo.root)
                whole.run("update-index", "--no-split-index")
            git = checkout_view(repo, run).at(index=private)
            if _brought_along(git, tree):
                move_ref(repo, done.branch or "", done.commit, base.head)
                return done
            refusal = _unclean(repo, git, base, changed)
            if refusal is None:
                _write_and_move(repo, git, base, tree, changed, done, lock)
    except FileExistsError:
        return Refusal(
            "another git command is at work in your checkout (index.lock exists)",
            "wait for it; if none runs, remove the file .git/index.lock",
        )
    except RefMoved as error:
        return Refusal(error.reason, error.hint)
    except GitError as error:
        hint = error.hint or "nothing was changed; mend the cause, then approve again"
        return Refusal(f"your files cannot be updated: {error.reason}", hint)
    return refusal or done


@contextmanager
def _index_lock(index: Path) -> Iterator[Path]:
    """Hold git's own lock of an index; the lock file is free to become the index."""
    lock = index.with_name("index.lock")
    mode = index.stat().st_mode & 0o777 if index.exists() else 0o644
    os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, mode))
    try:
        yield lock
    finally:
        lock.unlink(missing_ok=True)


def _brought_along(git: Git, tree: str) -> bool:
    """Return whether an approval was cut off after the files and before the branch."""
    answer = git.run("write-tree", accept=(0, 128))
    return answer.exit_code == 0 and answer.text == tree and not _dirty_files(git)


def _dirty_files(git: Git) -> tuple[str, ...]:
    git.run("update-index", "-q", "--refresh", accept=(0, 1))
    return git.run("diff-files", "--name-only", "--ignore-submodules=dirty", "-z").fields


def _unclean(repo: Repository, git: Git, base: Base, changed: Sequence[Change]) -> Refusal | None:
    """Compare the checkout with the base, and look for files in the way."""
    is_committed = base.tree == empty_tree(repo) if base.head is None else base.commit == base.head
    if is_committed:
        staged = git.run("diff-index", "--cached", "--name-only", "-z", base.tree).fields
        dirty = tuple(sorted({*staged, *_dirty_files(git)}))
        reason = "your checkout has uncommitted changes"
        hint = "put them away with git stash (git stash pop brings them back)"
    else:
        now = take_snapshot(git, own_paths(repo)).tree
        dirty = tuple(change.path for change in changes(git, base.tree, now))
        reason = "your files changed since the run began"
        hint = "put them back, or commit and merge the result's branch yourself"
    if dirty:
        hint = f"{hint}, then approve again"
        return FilesInTheWay(f"{reason}: {listing(dirty, 3)}", hint, dirty[:_LISTED])
    blocked = tuple(_in_the_way(git, changed))
    if not blocked:
        return None
    return FilesInTheWay(
        f"files that git does not track are in the way: {listing(blocked, 3)}",
        "move them away, then approve again",
        blocked[:_LISTED],
    )


def _in_the_way(git: Git, changed: Sequence[Change]) -> Iterator[str]:
    tracked = set(git.run("ls-files", "-z").fields)
    root = git.work_tree
    assert root is not None
    for change in changed:
        if change.before is not None:
            continue
        parts = change.path.split("/")
        for depth in range(1, len(parts) + 1):
            path = "/".join(parts[:depth])
            if path in tracked and depth < len(parts):
                break  # it goes; what a symbolic link seems to hold lies elsewhere
            if path in tracked or not os.path.lexists(root / path):
                continue
            is_folder = (root / path).is_dir() and not (root / path).is_symlink()
            if depth == len(parts) and is_folder and _all_tracked(root, path, tracked):
                continue
            if depth == len(parts) or not is_folder:
                yield path
                break


def _all_tracked(root: Path, folder: str, tracked: set[str]) -> bool:
    return all(
        (Path(at) / name).relative_to(root).as_posix() in tracked
        for at, _, names in os.walk(root / folder)
        for name in names
    )


def _write_and_move(
    repo: Repository,
    git: Git,
    base: Base,
    tree: str,
    changed: Sequence[Change],
    done: Approved,
    lock: Path,
) -> None:
    """Write the files, then the index, then move the branch; undo it if one of them fails."""
    assert git.index is not None
    before = git.index.with_name("approving-before")
    index = repo.checkout_dir / "index"
    entries = git.run("ls-files", "-t", "-z").fields
    kept_out = {entry[2:] for entry in entries if entry[0] == "S"}
    git.run("read-tree", "-m", "-u", "-n", base.tree, tree)
    try:
        git.run("read-tree", "-m", "-u", base.tree, tree)
        copy_index(git.index, lock)
        _sync(lock)
        lock.replace(index)
        move_ref(repo, done.branch or "", done.commit, base.head)
    except (GitError, OSError) as error:
        _put_back(git, base, tree, changed, kept_out)
        if before.exists():
            copy_index(before, lock)
            lock.replace(index)
        else:
            index.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise GitError(error.strerror or str(error)) from None
        raise


def _put_back(
    git: Git, base: Base, tree: str, changed: Sequence[Change], kept_out: Collection[str]
) -> None:
    """Restore what was written or removed; a file that anyone else changed is left alone.

    What a sparse checkout had ``kept_out`` was not there before.
    """
    assert git.work_tree is not None
    assert git.index is not None
    restoring = git.at(index=git.index.with_name("approving-restore"))
    restoring.run("read-tree", tree)
    foreign = set(_dirty_files(restoring))
    for change in changed:
        path = git.work_tree / change.path
        if change.after is not None and change.path not in foreign and os.path.lexists(path):
            if not path.is_dir() or path.is_symlink():
                path.unlink()
            _remove_empty(path.parent, git.work_tree)
    lost = [
        os.fsencode(change.path) + b"\0"
        for change in changed
        if change.before is not None
        and change.path not in kept_out
        and not os.path.lexists(git.work_tree / change.path)
    ]
    restoring.run("read-tree", base.tree)
    restoring.run("checkout-index", "-f", "-z", "--stdin", stdin=b"".join(lost))


def _remove_empty(folder: Path, root: Path) -> None:
    with suppress(OSError):
        while folder != root:
            folder.rmdir()
            folder = folder.parent


def _sync(path: Path) -> None:
    descriptor = open_plain(path)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
