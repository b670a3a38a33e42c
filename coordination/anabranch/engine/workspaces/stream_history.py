"""What a stream made of its repository: where HEAD stands, refs, stashes, objects.

All of it is the stream's to write, with git or without, so git itself is never started on it: a
pipe in the place of a file would make it wait, settings could make it run a program. Files are read
here, plain and bounded; the objects are linked into a store of the engine's own, under the names
that objects have and no others, and git reads them there, checking what it reads.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec.structs import replace

from anabranch.engine.git import Git, decode
from anabranch.engine.workspaces.records import objects_path
from anabranch.engine.workspaces.refs import resolve_head
from anabranch.engine.workspaces.values import PreparedWorkspace, Repository
from anabranch.plain_files import NotPlain, copy_plain, read_plain

MOST_REFS = 20_000
_REF_BYTES = 1024
_PACKED_REFS_BYTES = 64 << 20
_REFLOG_BYTES = 4 << 20
_LARGEST_PACK_BYTES = 1 << 40
_DEEPEST = 16
_UNPACK_LIMIT = 100
_SYMBOLIC_AT_MOST = 5
_OBJECT = re.compile(rb"([0-9a-f]{64}|[0-9a-f]{40})\s*")
_SYMBOLIC = re.compile(rb"ref:\s*(refs/[^\s]+)\s*")
_LOOSE_FOLDER = re.compile(r"[0-9a-f]{2}\Z")
_LOOSE_NAME = re.compile(r"(?:[0-9a-f]{62}|[0-9a-f]{38})\Z")
_PACK_NAME = re.compile(r"pack-[0-9a-f]+\.(?:pack|idx|rev)\Z")


def is_linked(repo: Repository, workspace: PreparedWorkspace) -> bool:
    """Say whether a workspace is a worktree of the project, as runs of earlier versions had."""
    git_dir = workspace.git_dir
    return git_dir is not None and repo.git_dir / "worktrees" in git_dir.parents


def head_of(repo: Repository, workspace: PreparedWorkspace) -> str | None:
    """Return the commit that a workspace's HEAD leads to; None if none can be believed."""
    assert workspace.git_dir is not None
    git_dir, name = workspace.git_dir, "HEAD"
    for _ in range(_SYMBOLIC_AT_MOST):
        content = _read(git_dir / name, _REF_BYTES)
        if content is None:
            return _packed(git_dir).get(name)
        if found := _OBJECT.fullmatch(content):
            return found[1].decode()
        symbolic = _SYMBOLIC.fullmatch(content)
        if symbolic is None or b".." in symbolic[1]:
            return None
        if is_linked(repo, workspace):
            return resolve_head(Git(git_dir=git_dir, cwd=git_dir))
        name = decode(symbolic[1])
    return None


def refs_of(git_dir: Path) -> dict[str, str]:
    """Return each ref of a stream's repository, and the object that it names; no symbolic ones.

    Of more than a bounded number only the first are returned.
    """
    refs = _packed(git_dir)
    for number, path in enumerate(_plain_files(git_dir / "refs")):
        if number >= MOST_REFS:
            break
        found = _OBJECT.fullmatch(_read(path, _REF_BYTES) or b"")
        if found:
            refs[path.relative_to(git_dir).as_posix()] = found[1].decode()
    return refs


def stashes_of(git_dir: Path) -> list[str]:
    """Return the commits of a stream's stashes, oldest first."""
    log = _read(git_dir / "logs" / "refs" / "stash", _REFLOG_BYTES) or b""
    entries = (line.split(b" ", 2) for line in log.splitlines())
    return [
        entry[1].decode() for entry in entries if len(entry) == 3 and _OBJECT.fullmatch(entry[1])
    ]


def objects_of(repo: Repository, workspace: PreparedWorkspace) -> Path | None:
    """Return the objects that only a stream's repository has, as a store that git may read safely.

    None if it has none of its own. Raises OSError when they cannot be linked.
    """
    git_dir = workspace.git_dir
    if git_dir is None or is_linked(repo, workspace):
        return None
    store = objects_path(repo, workspace.run, workspace.stream, workspace.attempt)
    for _ in range(3):  # a stream that repacks meanwhile moves objects from one file to another
        if link_objects(git_dir / "objects", store):
            break
    return store if store.is_dir() else None


def bring_objects(
    git: Git, store: Path | None, wanted: Sequence[str], known: Sequence[str]
) -> None:
    """Copy what ``wanted`` lead to from a stream's store into the one that ``git`` writes to.

    ``known`` objects, and what they lead to, are there already. Raises GitError.
    """
    if store is None:
        return
    assert git.objects is not None
    source = replace(git, objects=store, alternates=(git.objects, *git.alternates))
    revisions = "".join(f"{name}\n" for name in wanted) + "".join(f"^{name}\n" for name in known)
    pack = source.run(
        *("pack-objects", "--revs", "--local", "--stdout", "-q"), stdin=revisions.encode()
    ).out
    count = int.from_bytes(pack[8:12], "big")
    if count:
        few = count < _UNPACK_LIMIT
        command = (
            ("unpack-objects", "-q", "--strict") if few else ("index-pack", "--strict", "--stdin")
        )
        git.run(*command, stdin=pack)


def forget_objects(store: Path) -> None:
    """Remove the engine's links to a stream's objects."""
    shutil.rmtree(store, ignore_errors=True)


def link_objects(source: Path, store: Path) -> bool:
    """Link what is new; False if something went away in the middle of it."""
    is_complete = True
    for folder in _folders(source):
        if folder.name == "pack":
            wanted = _PACK_NAME
        elif _LOOSE_FOLDER.match(folder.name):
            wanted = _LOOSE_NAME
        else:
            continue
        for entry in _entries(folder):
            if wanted.match(entry.name) and entry.is_file(follow_symlinks=False):
                is_complete &= _link(Path(entry.path), store / folder.name / entry.name)
    return is_complete


def _link(source: Path, target: Path) -> bool:
    """Link one plain file; what a stream put in its place meanwhile is taken away again."""
    if target.exists():
        return True
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target, follow_symlinks=False)
    except FileNotFoundError:
        return False
    except FileExistsError:
        return True
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK):
            raise
        copy = target.with_name(f".{target.name}")
        copy_plain(source, copy, _LARGEST_PACK_BYTES)
        copy.rename(target)
    if not stat.S_ISREG(target.lstat().st_mode):
        target.unlink()
    return True


def _folders(source: Path) -> Iterator[Path]:
    """Yield the folders of an object store: loose objects before packs, as objects move so."""
    found = [entry for entry in _entries(source) if entry.is_dir(follow_symlinks=False)]
    yield from (Path(entry.path) for entry in sorted(found, key=lambda e: e.name))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _plain_files(folder: Path, depth: int = 0) -> Iterator[Path]:
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False) and depth < _DEEPEST:
            yield from _plain_files(Path(entry.path), depth + 1)
        elif entry.is_file(follow_symlinks=False):
            yield Path(entry.path)


def _packed(git_dir: Path) -> dict[str, str]:
    refs: dict[str, str] = {}
    for line in (_read(git_dir / "packed-refs", _PACKED_REFS_BYTES) or b"").splitlines():
        name, _, ref = line.partition(b" ")
        if ref and _OBJECT.fullmatch(name):
            refs[decode(ref)] = name.decode()
    return refs


def _read(path: Path, most_bytes: int) -> bytes | None:
    with suppress(FileNotFoundError, NotADirectoryError, NotPlain):
        return read_plain(path, most_bytes)
    return None
