"""Moving and listing refs; a ref never moves unless it stands where the caller thinks it does."""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress
from typing import NamedTuple

from anabranch.engine.git import Git, GitError
from anabranch.engine.workspaces.objects import existing
from anabranch.engine.workspaces.repository import live_view
from anabranch.engine.workspaces.values import Repository
from anabranch.files import write_fresh

_MOVED = "something else moved it; look at it with git log, then try again"
_STILL_THERE = (
    "it stands where it stood; wait for the git command that is at work there "
    "(if none runs, remove the lock file), or mend what git says, then try again"
)


class RefMoved(GitError):
    """Someone else moved a ref in between, or git refuses to move it."""


def read_ref(repo: Repository, ref: str) -> str | None:
    """Return the object a ref points at, or None."""
    answer = live_view(repo).run("rev-parse", "-q", "--verify", ref, accept=(0, 1, 128))
    return answer.text if answer.exit_code == 0 else None


def read_commit(repo: Repository, ref: str) -> tuple[str, str] | None:
    """Return the commit and the tree that a ref points at, or None."""
    asked = (f"{ref}^{{commit}}", f"{ref}^{{tree}}")
    answer = live_view(repo).run("rev-parse", "-q", "--verify", asked[0], accept=(0, 1, 128))
    if answer.exit_code:
        return None
    return answer.text, live_view(repo).run("rev-parse", asked[1]).text


def has_commits(repo: Repository, names: Collection[str]) -> bool:
    """Return whether all these objects are in the repository that is there now. Raises GitError."""
    return len(existing(live_view(repo), set(names))) == len(set(names))


def move_ref(repo: Repository, ref: str, new: str, expected: str | None) -> None:
    """Move ``ref`` to ``new`` if it stands at ``expected`` (None: if it does not exist).

    Does nothing when it is there already. Raises RefMoved when it stands elsewhere, or git does not
    move it.
    """
    zero = "0" * len(new)
    try:
        live_view(repo).run("update-ref", ref, new, expected or zero)
    except GitError as error:
        stands_at = read_ref(repo, ref)
        if stands_at == new:
            return
        raise RefMoved(
            f"{ref} cannot be moved: {error.reason}",
            command=error.command,
            exit_code=error.git_exit_code,
            stderr=error.stderr,
            hint=_STILL_THERE if stands_at == expected else _MOVED,
        ) from None


def keep_ref(repo: Repository, ref: str, new: str) -> None:
    """Point one of the engine's own refs at ``new``, wherever it stood."""
    live_view(repo).run("update-ref", ref, new)


def make_loose_ref(repo: Repository, ref: str, new: str) -> None:
    """Make one of the engine's own refs without git, in one step.

    No lock is taken, so none is left by an engine that is killed; what it leaves lies where git's
    clean-up takes it. Only for a repository that keeps refs as files. Raises FileExistsError if it
    is there already, OSError.
    """
    path = repo.git_dir / ref
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = repo.git_dir / "objects" / f"tmp_ref_{os.urandom(8).hex()}"
    write_fresh(fresh, f"{new}\n".encode(), mode=0o666)
    try:
        os.link(fresh, path)
    finally:
        fresh.unlink(missing_ok=True)


def keep_new_ref(repo: Repository, ref: str, new: str) -> None:
    """Point one of the engine's own refs, which is hardly ever there yet, at ``new``.

    No process is started for it where git keeps refs as files.
    """
    if not (repo.git_dir / "reftable").exists():
        with suppress(FileExistsError):
            make_loose_ref(repo, ref, new)
            return
    keep_ref(repo, ref, new)


def drop_ref(repo: Repository, ref: str) -> None:
    """Remove one of the engine's own refs."""
    live_view(repo).run("update-ref", "-d", ref)


def list_refs(git: Git, prefix: str = "refs/") -> dict[str, str]:
    """Return each ref under a prefix, and the object it points at."""
    answer = git.run("for-each-ref", "--format=%(objectname) %(refname)", prefix)
    rows = (line.split(" ", 1) for line in answer.lines)
    return {ref: name for name, ref in rows}


def resolve_head(git: Git) -> str | None:
    """Return the commit HEAD stands at in this git directory, or None when there is none."""
    answer = git.run("rev-parse", "-q", "--verify", "HEAD^{commit}", accept=(0, 1, 128))
    return answer.text if answer.exit_code == 0 else None


class Head(NamedTuple):
    """Where HEAD stands: its commit (None: nothing was committed yet), and the ref that it names
    (None: it is detached)."""

    commit: str | None
    branch: str | None


def where_head_stands(git: Git) -> Head:
    """Return the commit of HEAD and its branch; in one call where there are both."""
    asked = ("HEAD^{commit}", "--symbolic-full-name", "HEAD")
    answer = git.run("rev-parse", *asked, accept=(0, 128))
    if answer.exit_code == 0 and len(answer.lines) == 2:
        commit, branch = answer.lines
        return Head(commit, None if branch == "HEAD" else branch)
    branch = git.run("symbolic-ref", "-q", "HEAD", accept=(0, 1)).text
    return Head(resolve_head(git), branch or None)
