"""The files of a folder as a tree, through an index of our own.

The index that git keeps for the folder is never written and no lock of it is taken, so a snapshot
works while the folder is in use. Our index is kept between snapshots, because what makes them quick
is that it knows the files' times. It is renewed from the folder's own index whenever that changed:
only there git keeps that an ignored file was added by force, or that a file is no longer tracked.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from anabranch.engine.git import Answer, Git, GitError, decode, encode
from anabranch.files import replace_whole
from anabranch.plain_files import (
    LARGE_FILE_BYTES,
    SMALL_FILE_BYTES,
    copy_plain,
    read_if_there,
    read_plain,
)
from anabranch.undecodable import UNDECODABLE

_MOST_NESTED = 64
_MOST_PLACES = 500
_MOST_GONE = 16
_LINK_MODE = (0o160000).to_bytes(4, "big")
_UNREAD = re.compile(r"^warning: could not open directory '(.+)': (.+)$", re.MULTILINE)
_AT_FAULT = (
    _UNREAD,
    re.compile(r'^error: open\("(.+)"\): ', re.MULTILINE),
    re.compile(r"^error: unable to index file '(.+)'$", re.MULTILINE),
    re.compile(r"^fatal: (.+): clean filter '.*' failed$", re.MULTILINE),
    re.compile(r"^(?:fatal|error): failed to encode '(.+)' from ", re.MULTILINE),
    re.compile(r"^(?:fatal|error): BOM is (?:prohibited|required) in '(.+)' if ", re.MULTILINE),
    re.compile(r"^(?:fatal|error): (?:CRLF|LF) would be replaced by (?:CRLF|LF) in (.+)$", re.M),
    re.compile(r"^error: invalid path '(.+)'$", re.MULTILINE),
    re.compile(r"^error: readlink\(\"(.+)\"\): ", re.MULTILINE),
    re.compile(r"^fatal: unable to stat '(.+)': ", re.MULTILINE),
)
_NO_COMMIT = "/' does not have a commit checked out"


class Snapshot(msgspec.Struct, frozen=True):
    """A tree of a folder's files; ``left_out`` are nested repositories it could not take."""

    tree: str
    left_out: tuple[str, ...] = ()


def take_snapshot(git: Git, withheld: Sequence[str] = ()) -> Snapshot:
    """Write all files of ``git``'s work tree that are not ignored as a tree.

    ``withheld`` are folders that do not belong to it. What is gone by the time git comes to it was
    never there. Raises GitError when a file or a folder cannot be read, or a file not converted.
    """
    left_out: list[str] = []
    looks_left = _MOST_GONE
    links = nested_with_commit(git)
    while True:
        excluded = [f":(exclude,top,literal){path}" for path in (*withheld, *links, *left_out)]
        try:
            _require_all_read(_add(git, [":/", *excluded]), withheld)
        except GitError as error:
            looks_left -= 1
            if looks_left and _is_gone(git, path_at_fault(error)):
                continue
            nested = _nested_without_commit(error.stderr)
            if nested is None or nested in left_out or len(left_out) >= _MOST_NESTED:
                raise
            left_out.append(nested)
        else:
            break
    if links:
        stdin = b"".join(os.fsencode(path) + b"\0" for path in links)
        git.run("update-index", "--remove", "-z", "--stdin", stdin=stdin)
    return Snapshot(git.run("write-tree").text, tuple(left_out))


def _add(git: Git, where: Sequence[str]) -> Answer:
    """Add files to an index; where there are many places, they are more than a command can have."""
    if len(where) < _MOST_PLACES:
        return git.run("add", "-A", "--", *where)
    places = b"".join(encode(place) + b"\0" for place in where)
    from_stdin = ("--pathspec-from-file=-", "--pathspec-file-nul")
    return git.run("add", "-A", *from_stdin, stdin=places)


def path_at_fault(error: GitError) -> str | None:
    """Return the file or folder that a snapshot failed of, if git has said so."""
    for pattern in _AT_FAULT:
        found = pattern.search(error.stderr or error.reason)
        if found:
            return found[1].rstrip("/")
    return None


def _is_gone(git: Git, path: str | None) -> bool:
    assert git.work_tree is not None
    return path is not None and not os.path.lexists(git.work_tree / path)


def _require_all_read(answer: Answer, withheld: Sequence[str]) -> None:
    """Raise GitError if a folder could not be opened: git passes over it with a warning only."""
    for found in _UNREAD.finditer(decode(answer.err)):
        if found[1].rstrip("/") not in withheld:
            raise GitError(
                f"a folder cannot be read: '{found[1]}': {found[2]}",
                stderr=found[0],
                hint="make it readable, or have a .gitignore leave it out",
            )


def nested_with_commit(git: Git) -> list[str]:
    """Return nested repositories that the index knows already.

    `git add` would start `git status` in each of them, with *their* configuration, whoever wrote
    it; their commit can be read without.
    """
    assert git.index is not None
    if _LINK_MODE not in (read_if_there(git.index, LARGE_FILE_BYTES) or b""):
        return []
    entries = git.run("ls-files", "-s", "-z").fields
    return [entry.split("\t", 1)[1] for entry in entries if entry.startswith("160000 ")]


def _nested_without_commit(stderr: str) -> str | None:
    for line in stderr.splitlines():
        if line.startswith("error: '") and line.endswith(_NO_COMMIT):
            return line.removeprefix("error: '").removesuffix(_NO_COMMIT)
    return None


def renew_index(
    git: Git, source: Path, fallback_tree: str, *, keep_hidden: bool = False
) -> str | None:
    """Bring ``git``'s private index up to date with the folder's own index at ``source``.

    A missing or unusable source leaves the private index as it is, or starts it from a tree. What
    is wrong with an unusable one is returned: what only it told is not known then. A stream cannot
    hide work from its capture; what users hide from git (``keep_hidden``) is theirs to hide.
    """
    assert git.index is not None
    index = git.index
    stamp = _stamp_file(index)
    now = _stamp(source)
    if index.is_file() and (now is None or _read_stamp(stamp) == now):
        return None
    fault = None if now is None else _take_over(git, source, index, keep_hidden)
    if now is not None and fault is None:
        replace_whole(stamp, json.dumps(now).encode())
    elif not index.is_file():
        git.run("read-tree", fallback_tree)
    return fault


def take_over_own(source: Path, index: Path, alike: Path | None = None) -> None:
    """Begin a private index with the folder's own, which the engine itself has just written.

    Nothing in it is hidden, so nothing is looked for until somebody has written to it. One that is
    ``alike`` and that nobody writes to spares a copy: git puts another file in its place. Raises
    OSError.
    """
    stamp = _stamp_file(index)
    stamp.unlink(missing_ok=True)
    index.unlink(missing_ok=True)
    written = _stamp(source)
    if written is not None:
        if alike is None or not _linked(alike, index):
            copy_index(source, index)
        replace_whole(stamp, json.dumps(written).encode())


def _linked(alike: Path, index: Path) -> bool:
    try:
        os.link(alike, index)
    except OSError:  # it has as many names as the disk allows
        return False
    return True


def is_as_taken_over(source: Path, index: Path) -> bool:
    """Say whether neither the folder's own index nor the private one has changed since then."""
    try:
        is_same = read_plain(index, LARGE_FILE_BYTES) == read_plain(source, LARGE_FILE_BYTES)
    except OSError:
        return False
    return is_same and _read_stamp(_stamp_file(index)) == _stamp(source)


def forget_index(index: Path) -> None:
    """Remove a private index, with the note of what it was made from."""
    index.unlink(missing_ok=True)
    _stamp_file(index).unlink(missing_ok=True)


def _stamp_file(index: Path) -> Path:
    return index.with_name(index.name + ".source")


def copy_index(source: Path, target: Path) -> None:
    """Copy an index with its time. Raises OSError, also if it is not a plain file.

    git looks into a file that is no older than the index, because it compares whole seconds: such a
    file may have been written again in the same second. A younger copy would lose those changes.
    """
    found = copy_plain(source, target)
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def copy_whole_index(git: Git, source: Path, target: Path) -> None:
    """Copy an index as one file, also one that is split in two.

    The greater part of a split index stands beside it and is found by git only there; so both are
    copied into a git directory of a moment, where git puts them together. Raises OSError, GitError.
    """
    copy_index(source, target)
    shared = _shared_part(source, read_plain(target, LARGE_FILE_BYTES))
    if shared is None:
        return
    assert git.git_dir is not None
    found = target.stat()
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".whole-") as made:
        folder = Path(made)
        for part in ("objects", "refs"):
            (folder / part).mkdir()
        (folder / "HEAD").write_text("ref: refs/heads/none\n")
        copy_plain(git.git_dir / "config", folder / "config")
        copy_plain(shared, folder / shared.name)
        whole = replace(git, git_dir=folder, index=target, work_tree=folder, cwd=folder)
        whole.run("update-index", "--no-split-index")
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))


def _shared_part(source: Path, content: bytes) -> Path | None:
    """Return the other part of a split index: named in its extension ``link``, by a hash."""
    for found in re.finditer(rb"link....", content, re.DOTALL):
        for length in (20, 32):
            name = content[found.end() : found.end() + length].hex()
            beside = source.with_name(f"sharedindex.{name}")
            if os.path.lexists(beside):
                return beside
    return None


def _take_over(git: Git, source: Path, index: Path, keep_hidden: bool) -> str | None:
    """Replace the private index by what the folder's own says; say why it cannot be done."""
    fresh = index.with_name(index.name + ".new")
    try:
        copy_whole_index(git, source, fresh)
        if not keep_hidden:
            _clear_hiding_flags(git.at(index=fresh))
    except (OSError, GitError) as error:
        fresh.unlink(missing_ok=True)
        return error.reason if isinstance(error, GitError) else str(error.strerror)
    fresh.replace(index)
    return None


def _clear_hiding_flags(git: Git) -> None:
    """Make git look at every file again that its index was told to pass over."""
    entries = git.run("ls-files", "-v", "-z").fields
    assumed = [entry[2:] for entry in entries if entry[0].islower()]
    skipped = [entry[2:] for entry in entries if entry[0] in "Ss"]
    root = git.work_tree
    present = [path for path in skipped if root is not None and os.path.lexists(root / path)]
    for option, paths in (("--no-assume-unchanged", assumed), ("--no-skip-worktree", present)):
        if paths:
            stdin = b"".join(os.fsencode(path) + b"\0" for path in paths)
            git.run("update-index", option, "-z", "--stdin", stdin=stdin)


def _stamp(path: Path) -> list[int] | None:
    try:
        found = path.lstat()
    except OSError:
        return None
    return [found.st_mtime_ns, found.st_ctime_ns, found.st_size, found.st_ino]


def _read_stamp(path: Path) -> list[int] | None:
    try:
        stamp: list[int] = json.loads(read_plain(path, SMALL_FILE_BYTES))
    except (OSError, *UNDECODABLE):
        return None
    return stamp
