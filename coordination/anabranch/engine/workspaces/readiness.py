"""What would stand in the way of a result, looked at before the first stream starts.

Giving the result to the user is the last step of a run, and everything it needs can be seen at the
start: that the result's branch can be made, that the user's branch and index can be written, that
no other checkout stands on that branch, that nothing is half done in the checkout. Refs are tried
the way git will write them, in a transaction that is taken back.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from anabranch.core.ids import RunId
from anabranch.core.model.outcome import Refusal
from anabranch.engine.git import Git, GitError
from anabranch.engine.workspaces.approving import IN_PROGRESS, checkouts_of
from anabranch.engine.workspaces.checking import some
from anabranch.engine.workspaces.names import base_ref, result_branch
from anabranch.engine.workspaces.refs import Head, read_ref, resolve_head, where_head_stands
from anabranch.engine.workspaces.repository import empty_tree, live_view
from anabranch.engine.workspaces.values import FilesInTheWay, NoBranch, Repository

_UNMERGED = frozenset(("DD", "AU", "UD", "UA", "DU", "AA", "UU"))
PLENTY_BYTES = 20 << 30
SPARE_BYTES = 16 << 20


class Outlook(msgspec.Struct, frozen=True):
    """Where the checkout's HEAD stands, and whether all that a run and its approval write can be
    written: if not, it is looked up one by one what cannot be, and why."""

    head: Head
    is_clear: bool


def look_ahead(repo: Repository, run: RunId) -> Outlook:
    """Return how things stand before a run: one look for the run and for its approval."""
    if repo.kind == "plain":
        return Outlook(Head(None, None), False)
    head = where_head_stands(Git(git_dir=repo.checkout_dir, cwd=repo.root))
    if head.commit is None:
        return Outlook(head, False)
    stands: dict[str, str | None] = {base_ref(run): None, result_branch(run): None}
    if head.branch is not None:
        stands[head.branch] = head.commit
    return Outlook(head, _cannot_write(repo, stands, head.commit) is None)


def why_not_begin(repo: Repository, run: RunId, outlook: Outlook) -> Iterator[Refusal]:
    """Yield what keeps every run of this project from having a result, each with the way out."""
    if repo.kind == "plain" or outlook.is_clear:
        return
    head = outlook.head.commit
    tried = (base_ref(run), result_branch(run)) if head else (base_ref(run),)
    new = head or _empty_tree(repo)
    if head and _cannot_write(repo, dict.fromkeys(tried), new) is None:
        return
    taken = read_ref(repo, "refs/heads/anabranch")
    if taken is not None:
        yield Refusal(
            f"a branch named anabranch is in the way of the results' branches (anabranch/{run})",
            "give it another name: git branch -m anabranch NAME",
        )
        return
    for ref in tried:
        reason = _cannot_write(repo, {ref: None}, new)
        if reason is not None:
            yield Refusal(
                f"the result's refs cannot be written: {reason}",
                f"mend that first; git -C {repo.root} update-ref {ref} HEAD tries it",
            )
            return


def why_not_approve(
    repo: Repository, include_uncommitted: bool, outlook: Outlook
) -> Iterator[Refusal]:
    """Yield what would keep a result from the user's branch, were it approved now."""
    if repo.kind == "plain":
        if not os.access(repo.root, os.W_OK):
            yield Refusal(f"{repo.root} cannot be written", "make it writable first")
        return
    head, branch = outlook.head
    if branch is None:
        yield NoBranch(
            "HEAD is detached, so there is no branch to bring the result to",
            "it will stand on a branch of its own, and the approval will be refused",
        )
        return
    name = branch.removeprefix("refs/heads/")
    for path in checkouts_of(repo, branch):
        yield Refusal(
            f"{name} is checked out in {path} too", "switch that checkout to another branch first"
        )
    if head is not None and not outlook.is_clear:
        reason = _cannot_write(repo, {branch: head}, head)
        if reason is not None:
            yield Refusal(f"{name} cannot be moved: {reason}", "mend that first")
    here = Git(git_dir=repo.checkout_dir, cwd=repo.root)
    yield from _troubles_of_checkout(repo, here, include_uncommitted)


def missing_folders(
    repo: Repository, folders: set[str], with_uncommitted: bool
) -> Iterator[Refusal]:
    """Yield why no stream could start in these folders (paths from the root).

    A folder may be reached through links, as in the workspace. What lies in a submodule, or where
    a link leads out of the project, is not judged.
    """
    for folder in sorted(folders - {"", "."}):
        stands = (repo.root / folder).is_dir()
        if repo.kind == "plain":
            is_there = stands
        elif with_uncommitted:
            is_there = stands and _has_files(repo, folder)
        else:
            is_there = _is_in_commit(repo, folder)
        if is_there:
            continue
        if not stands:
            yield Refusal(
                f"there is no folder {folder}, and nothing makes it before streams start there",
                "make and commit it, or name another working_dir",
            )
        elif with_uncommitted:
            yield Refusal(
                f"{folder} holds nothing that git does not ignore, so no workspace has it",
                f"commit a file in it: git add -f {folder}/FILE",
            )
        else:
            yield Refusal(
                f"{folder} is not in the commit that streams start from",
                "commit it, or set include_uncommitted = true under [coordination.isolation]",
            )


def _has_files(repo: Repository, folder: str) -> bool:
    """Return whether a folder of the checkout holds what git knows or would add."""
    root, place = repo.root.resolve(), (repo.root / folder).resolve()
    if place == root or not place.is_relative_to(root):
        return True
    between = [place, *place.parents[: len(place.relative_to(root).parts) - 1]]
    if any((step / ".git").exists() for step in between):
        return True
    here = Git(git_dir=repo.checkout_dir, cwd=repo.root).at(work_tree=repo.root)
    asked = ("ls-files", "-z", "--cached", "--others", "--exclude-standard", "--directory")
    return bool(here.run(*asked, "--", f":(literal){place.relative_to(root).as_posix()}").text)


def _is_in_commit(repo: Repository, folder: str) -> bool:
    """Return whether HEAD has a folder, through links and all, or may have it (in a submodule)."""
    head = resolve_head(Git(git_dir=repo.checkout_dir, cwd=repo.root))
    tree = f"{head}^{{tree}}" if head else empty_tree(repo)
    view = live_view(repo)
    asked = ("cat-file", "--batch-check=%(objecttype)", "--follow-symlinks")
    kind = view.run(*asked, stdin=os.fsencode(f"{tree}:{folder}\n")).text
    if kind.startswith(("tree", "symlink")):
        return True
    parts = folder.split("/")
    above = ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
    kinds = view.run("ls-tree", "--format=%(objecttype)", tree, "--", *above, accept=(0, 128)).text
    return "commit" in kinds.split()


def _troubles_of_checkout(
    repo: Repository, here: Git, include_uncommitted: bool
) -> Iterator[Refusal]:
    for mark, words in IN_PROGRESS.items():
        if (repo.checkout_dir / mark).exists():
            yield Refusal(f"{words} is in progress in {repo.root}", "finish or abort it first")
    lock = repo.checkout_dir / "index.lock"
    if lock.exists():
        yield Refusal(
            f"another git command is at work in your checkout ({lock} exists)",
            "wait for it; if none runs, remove that file",
        )
    for place in (repo.checkout_dir, repo.root):
        if not os.access(place, os.W_OK):
            yield Refusal(f"{place} cannot be written", "make it writable first")
    status = None if include_uncommitted else _status(repo, here)
    if status is None:
        unmerged = here.run("ls-files", "-u", "--format=%(path)", "-z").fields
    else:
        unmerged = tuple(path for code, path in status if code in _UNMERGED)
    if unmerged:
        listed = some(dict.fromkeys(unmerged))
        yield Refusal(f"your checkout has unresolved conflicts: {listed}", "resolve them first")
    elif status:
        dirty = tuple(path for _, path in status)
        yield FilesInTheWay(
            f"your checkout has uncommitted changes: {some(dirty)}",
            "commit them, put them away with git stash, or have them in the run with "
            "include_uncommitted = true",
            dirty,
        )


def _status(repo: Repository, here: Git) -> list[tuple[str, str]] | None:
    """Return tracked files that differ from HEAD, each with git's two letters about it.

    The index is only read. None if git cannot tell.
    """
    asked = ("--porcelain", "-z", "--no-renames", "--untracked-files=no")
    listed = here.at(work_tree=repo.root).run(
        "status", *asked, "--ignore-submodules=dirty", accept=(0, 128)
    )
    if listed.exit_code:
        return None
    return [(entry[:2], entry[3:]) for entry in listed.fields]


def _cannot_write(repo: Repository, stands: Mapping[str, str | None], new: str) -> str | None:
    """Return why git would not move refs from where they stand; what finds out is taken back."""
    none = "0" * len(new)
    changes = "".join(f"update {ref} {new} {at or none}\n" for ref, at in stands.items())
    script = f"start\n{changes}prepare\nabort\n"
    try:
        live_view(repo).run("update-ref", "--stdin", stdin=script.encode())
    except GitError as error:
        return error.reason
    return None


def _empty_tree(repo: Repository) -> str:
    """Return an object that is there, for where nothing was committed yet."""
    return live_view(repo).run("hash-object", "-t", "tree", "-w", "--stdin").text


def want_of_room(repo: Repository) -> Refusal | None:
    """Return whether the disk has no room for as much as one workspace."""
    free = shutil.disk_usage(_existing(repo.store)).free
    if free > PLENTY_BYTES:
        return None
    needed = SPARE_BYTES + (_size_of_checkout(repo) if repo.kind == "git" else 0)
    if free >= needed:
        return None
    return Refusal(
        f"the disk of {repo.store} is too full: {free >> 20} MB are left, and one workspace needs "
        f"{_megabytes(needed)} MB",
        "make room there, or have XDG_STATE_HOME name a folder on another disk",
    )


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.parent)


def _size_of_checkout(repo: Repository) -> int:
    head = resolve_head(Git(git_dir=repo.checkout_dir, cwd=repo.root))
    if head is None:
        return 0
    sizes = live_view(repo).run("ls-tree", "-r", "--format=%(objectsize)", head).text.split()
    return sum(int(size) for size in sizes if size.isdigit())


def _megabytes(count: int) -> int:
    return -(-count // (1 << 20))
