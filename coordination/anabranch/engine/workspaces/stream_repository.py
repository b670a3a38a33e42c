"""Making the repository a stream works in: a git directory of its own.

It borrows the project's objects and knows the project's branches, tags, notes and remotes as they
were when the run began; its settings are those of that moment. Everything else that git shares
between the worktrees of one repository (stash, hooks, bisection, recorded resolutions, the next
settings) is not there, and what the stream makes of it stays here. A *mould* is made once a run;
each workspace gets a copy, which costs a few small files.

A clone, which is for streams that are not trusted, knows neither refs nor remotes.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from anabranch.core.ids import RunId
from anabranch.core.plans.plan import WorkspaceKind
from anabranch.engine.git import Git, encode, repository_lock
from anabranch.engine.workspaces.names import tips_ref
from anabranch.engine.workspaces.objects import Drafts, commit_content, existing
from anabranch.engine.workspaces.refs import keep_ref
from anabranch.engine.workspaces.repository import (
    blank_git_dir,
    copy_files,
    followed_by,
    frozen_view,
    live_view,
    remove_unfinished,
    run_folder,
)
from anabranch.engine.workspaces.settings import (
    list_settings,
    of_the_project,
    only_in_the_checkout,
    write_settings,
)
from anabranch.engine.workspaces.values import Repository
from anabranch.files import replace_whole, write_fresh
from anabranch.plain_files import LARGE_FILE_BYTES, read_if_there, read_plain

_NOT_SHARED = (
    "refs/anabranch/",
    "refs/bisect/",
    "refs/heads/anabranch/",
    "refs/rewritten/",
    "refs/stash",
    "refs/worktree/",
)
_MADE_BY_GIT = ("refs/heads", "refs/tags")
"""Folders that git makes when it wants them; each costs as much as a small file."""
_IDENTITY = "Anabranch <anabranch@localhost>"
_PACKED_HEADER = b"# pack-refs with: sorted "
_ALTERNATES_QUOTED = ('"', "#")


def make_stream_repository(
    repo: Repository, run: RunId, kind: WorkspaceKind, git_dir: Path, start: str
) -> None:
    """Make the git directory of a workspace, standing at a commit and on no branch.

    Nothing may be at ``git_dir``. Raises GitError, OSError.
    """
    mould = mould_of(repo, run, kind)
    git_dir.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=".made-", dir=git_dir.parent))
    try:
        _cast(mould, made, start)
        made.rename(git_dir)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def stand_at(git_dir: Path, start: str) -> None:
    """Have a git directory stand at a commit, as where its stream starts."""
    for name, content in _standing_at(start).items():
        replace_whole(git_dir / name, content, mode=0o666)


def _standing_at(start: str) -> dict[str, bytes]:
    """Return the files by which a git directory stands at a commit, by their names in it."""
    who = f"{_IDENTITY} {int(time.time())} +0000"
    line = f"{'0' * len(start)} {start} {who}\tanabranch: where the stream starts\n"
    return {"HEAD": f"{start}\n".encode(), "logs/HEAD": line.encode()}


def _cast(mould: Path, made: Path, start: str) -> None:
    """Fill an empty folder, which nobody knows yet, with what a mould holds, standing at a commit.

    Most of what a workspace costs is this, so a mould is read once.
    """
    own = _standing_at(start)
    for piece in _pieces(mould):
        path = os.path.join(made, piece.name)
        if piece.content is None:
            os.mkdir(path)
        elif piece.is_link:
            os.symlink(piece.content, path)
        elif piece.name not in own:
            write_fresh(path, piece.content)
    os.mkdir(os.path.join(made, "logs"))
    for name, content in own.items():
        write_fresh(os.path.join(made, name), content, mode=0o666)


class _Piece(NamedTuple):
    """Something in a mould, by its path in it; a folder has no content, a link where it leads."""

    name: str
    content: bytes | None = None
    is_link: bool = False


@lru_cache(maxsize=4)
def _pieces(mould: Path) -> tuple[_Piece, ...]:
    """Return what a mould holds, each folder before what is in it; it never changes."""
    return tuple(_pieces_below(mould, ""))


def _pieces_below(mould: Path, prefix: str) -> Iterator[_Piece]:
    with os.scandir(mould / prefix) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_symlink():
                yield _Piece(name, os.fsencode(os.readlink(entry.path)), is_link=True)
            elif entry.is_dir():
                yield _Piece(name)
                yield from _pieces_below(mould, f"{name}/")
            else:
                yield _Piece(name, read_plain(entry.path, LARGE_FILE_BYTES))


def is_as_made(repo: Repository, run: RunId, git_dir: Path, start: str) -> bool:
    """Say whether a stream has left the repository of its workspace alone, but for its index."""
    mould = run_folder(repo, run) / "mould"
    if git_dir.is_symlink():
        return False
    made = _stamps(mould) | {"HEAD": len(start) + 1}
    found = _stamps(git_dir)
    for own in ("index", "logs/HEAD", "logs"):
        found.pop(own, None)
        made.pop(own, None)
    if found != made:
        return False
    log = read_if_there(git_dir / "logs" / "HEAD", LARGE_FILE_BYTES) or b""
    head = read_if_there(git_dir / "HEAD", LARGE_FILE_BYTES)
    same = all(_same(mould / name, git_dir / name) for name in ("packed-refs", "info/exclude"))
    return head == f"{start}\n".encode() and log.count(b"\n") == 1 and same


def _same(one: Path, other: Path) -> bool:
    return read_if_there(one, LARGE_FILE_BYTES) == read_if_there(other, LARGE_FILE_BYTES)


def _stamps(folder: Path, prefix: str = "") -> dict[str, int]:
    """Return the size of each file below a folder, by its path; -1 for a folder, -2 for a link."""
    found: dict[str, int] = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            name = prefix + entry.name
            if entry.is_symlink():
                found[name] = -2
            elif entry.is_dir():
                found[name] = -1
                found |= _stamps(Path(entry.path), f"{name}/")
            else:
                found[name] = entry.stat(follow_symlinks=False).st_size
    return found


def mould_of(repo: Repository, run: RunId, kind: WorkspaceKind) -> Path:
    """Return the git directory that a run's workspaces get copies of; make it if need be."""
    is_trusted = kind != "clone"
    mould = run_folder(repo, run) / ("mould" if is_trusted else "mould-of-clones")
    if mould.is_dir():
        return mould
    view = frozen_view(repo, run)  # made before the lock is taken, as it takes the lock itself
    with repository_lock(run_folder(repo, run) / "freezing.lock"):
        if not mould.is_dir():
            remove_unfinished(mould.parent)
            _make_mould(repo, run, view, mould, is_trusted=is_trusted)
    return mould


def refs_at_start(repo: Repository, run: RunId) -> dict[str, str]:
    """Return the refs that each workspace of the run was given, and what they point at."""
    text = read_if_there(run_folder(repo, run) / "mould" / "packed-refs", LARGE_FILE_BYTES) or b""
    rows = (line.split(b" ", 1) for line in text.splitlines() if not line.startswith((b"#", b"^")))
    return {os.fsdecode(row[1]): row[0].decode() for row in rows if len(row) == 2}


def _make_mould(repo: Repository, run: RunId, view: Git, mould: Path, *, is_trusted: bool) -> None:
    made = Path(tempfile.mkdtemp(prefix=f".{mould.name}-", dir=mould.parent))
    try:
        copy_files(blank_git_dir(repo, run), made)
        for folder in _MADE_BY_GIT:
            (made / folder).rmdir()
        assert view.git_dir is not None
        (made / "info").mkdir(exist_ok=True)
        sources = dict.fromkeys(("info/attributes", "info/exclude"), view.git_dir)
        for name, git_dir in {**sources, "shallow": repo.git_dir}.items():
            content = read_if_there(git_dir / name, LARGE_FILE_BYTES)
            if content:
                (made / name).write_bytes(content)
        (made / "objects" / "info" / "alternates").write_bytes(
            _alternate(repo.git_dir / "objects") + b"\n"
        )
        _write_config(repo, run, made, is_trusted=is_trusted)
        if is_trusted and repo.kind == "git":
            _keep_tips(repo, run, _write_refs(repo, made))
        made.rename(mould)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def _write_config(repo: Repository, run: RunId, made: Path, *, is_trusted: bool) -> None:
    """Write the project's settings, after the user's that only hold in the project's folder."""
    listed = followed_by(repo, run).settings
    found_by_git = read_plain(made / "config", LARGE_FILE_BYTES)
    own = of_the_project(listed, is_trusted=is_trusted)
    own += [("core.bare", "false"), ("core.logallrefupdates", "true")]
    if is_trusted:
        own.append(("lfs.storage", str(repo.git_dir / "lfs")))
    write_settings(made / "config", own)
    elsewhere = list_settings(made, made)
    (made / "config").write_bytes(found_by_git)
    write_settings(made / "config", only_in_the_checkout(listed, elsewhere, is_trusted=is_trusted))
    write_settings(made / "config", own)


def _write_refs(repo: Repository, made: Path) -> list[str]:
    """Write the project's refs in one file, without those of the user's checkout and of runs.

    Returns the commits that they lead to. A ref that points at nothing is left out.
    """
    shape, named = "--format=%(objectname) %(refname) %(symref)", dict[bytes, bytes]()
    # Not asked for their kinds, too: git would open what all those of runs point at.
    for line in live_view(repo).run("for-each-ref", shape).out.splitlines():
        name, ref, symbolic = line.split(b" ")
        if ref.startswith(tuple(map(encode, _NOT_SHARED))):
            continue
        if not symbolic:
            named[ref] = name
        elif symbolic.startswith(b"refs/"):
            path = made / os.fsdecode(ref)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"ref: " + symbolic + b"\n")
    names = dict.fromkeys(name.decode() for name in named.values())
    there = existing(live_view(repo), (*names, *(f"{name}^{{commit}}" for name in names)))
    lines = [name + b" " + ref for ref, name in named.items() if name.decode() in there]
    (made / "packed-refs").write_bytes(b"\n".join([_PACKED_HEADER, *lines]) + b"\n")
    return [name for name, kind in there.items() if kind == "commit"]


def _keep_tips(repo: Repository, run: RunId, tips: Sequence[str]) -> None:
    """Keep by one ref what the copied refs lead to, should the user delete a branch meanwhile."""
    if len(tips) < 2:
        for tip in tips:
            keep_ref(repo, tips_ref(run), tip)
        return
    drafts = Drafts(repo.object_format)
    tree = drafts.add("tree", b"")
    message = "Where the branches and tags stood when the run began"
    commit = drafts.add("commit", commit_content(tree, tips, message, int(time.time())))
    drafts.store(live_view(repo))
    keep_ref(repo, tips_ref(run), commit)


def _alternate(objects: Path) -> bytes:
    """Return a line of an alternates file; git reads one that begins oddly as quoted."""
    text = str(objects)
    if "\n" not in text and not text.startswith(_ALTERNATES_QUOTED):
        return encode(text)
    return encode('"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"')
