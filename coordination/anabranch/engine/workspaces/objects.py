"""Objects of a repository, read and written without a process for each.

Merging a hundred streams needs hundreds of small trees and commits. They are drafted in memory and
handed to git in one go, as the same kind of pack that a push would bring; contents are read through
one ``cat-file`` that stays open.
"""

from __future__ import annotations

import hashlib
import os
import struct
import subprocess
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType

from anabranch.engine.git import Git, GitError, decode, encode
from anabranch.files import write_fresh

_PACK_TYPES = {"commit": 1, "tree": 2, "blob": 3}
_UNPACK_LIMIT = 100
_IDENTITY = "Anabranch <anabranch@localhost>"
_STOPPED = "git stopped answering while objects were read"
_ASKED_AT_ONCE = 60
"""So many requests fit into the smallest pipe there is, one page: asking never waits."""


class ObjectReader:
    """One ``git cat-file``, started at the first question, that answers as long as it is open."""

    def __init__(self, git: Git) -> None:
        self._git = git

    @cached_property
    def _process(self) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            ["git", "cat-file", "--batch-command"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._git.environment(),
            cwd=self._git.cwd,
        )

    def __enter__(self) -> ObjectReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if "_process" not in vars(self):
            return
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.kill()
        self._process.wait()

    def read(self, name: str) -> tuple[str, bytes] | None:
        """Return the type and content of an object, or None when there is no such object.

        Raises GitError when git ends meanwhile: nothing that it has said by then counts.
        """
        self._send(f"contents {name}\n")
        return self._content()

    def _content(self) -> tuple[str, bytes] | None:
        header = self._header()
        if header is None:
            return None
        assert self._process.stdout is not None
        content = self._process.stdout.read(header[1])
        if len(content) < header[1] or self._process.stdout.read(1) != b"\n":
            raise GitError(_STOPPED)
        return header[0], content

    def read_all(self, names: Sequence[str]) -> Iterator[tuple[str, bytes] | None]:
        """Yield what ``read`` returns of each of these, asked for many at a time."""
        for first in range(0, len(names), _ASKED_AT_ONCE):
            some = names[first : first + _ASKED_AT_ONCE]
            self._send("".join(f"contents {name}\n" for name in some))
            for _ in some:
                yield self._content()

    def size(self, name: str) -> int | None:
        """Return the size of an object in bytes, or None when there is no such object."""
        self._send(f"info {name}\n")
        header = self._header()
        return header[1] if header else None

    def _send(self, asked: str) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(encode(asked))
            self._process.stdin.flush()
        except BrokenPipeError:
            raise GitError(_STOPPED) from None

    def _header(self) -> tuple[str, int] | None:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line.endswith(b"\n"):
            raise GitError(_STOPPED)
        header = line.split()
        if len(header) != 3 or not header[2].isdigit():
            return None
        return header[1].decode(), int(header[2])


def existing(git: Git, names: Iterable[str]) -> dict[str, str]:
    """Return the type of each of these objects that is there."""
    asked = "".join(f"{name}\n" for name in names).encode()
    if not asked:
        return {}
    answer = git.run("cat-file", "--batch-check=%(objectname) %(objecttype)", stdin=asked)
    rows = (line.split() for line in answer.lines)
    return {row[0]: row[1] for row in rows if len(row) == 2 and row[1] != "missing"}


def names_in(git: Git, tree: str) -> tuple[str, ...]:
    """Return the paths of all files of a tree."""
    return git.run("ls-tree", "-r", "--name-only", "-z", tree).fields


class Drafts:
    """Objects that exist in memory until `store` gives them to the repository."""

    def __init__(self, object_format: str) -> None:
        self._algorithm = object_format
        self._objects: dict[str, tuple[str, bytes]] = {}

    def add(self, kind: str, content: bytes) -> str:
        """Draft an object and return its id."""
        name = object_id(kind, content, self._algorithm)
        self._objects[name] = (kind, content)
        return name

    def get(self, name: str) -> bytes | None:
        """Return the content of a drafted object."""
        found = self._objects.get(name)
        return found[1] if found else None

    def store(self, git: Git) -> None:
        """Write every draft into the repository that ``git`` sees."""
        if not self._objects:
            return
        few = len(self._objects) < _UNPACK_LIMIT
        command = ("unpack-objects", "-q") if few else ("index-pack", "--stdin")
        git.run(*command, stdin=self._pack())
        self._objects.clear()

    def store_loose(self, store: Path) -> None:
        """Write every draft as a file of its own into an object store, as git writes few of them.

        Contents come before what names them, and each file is whole when it has its name. Raises
        OSError; what was written stays, and is nobody's.
        """
        for name, (kind, content) in self._objects.items():
            path = store / name[:2] / name[2:]
            if not os.path.lexists(path):
                whole = f"{kind} {len(content)}\0".encode() + content
                _write_loose(path, zlib.compress(whole, 1))
        self._objects.clear()

    def _pack(self) -> bytes:
        parts = [b"PACK" + struct.pack(">II", 2, len(self._objects))]
        for kind, content in self._objects.values():
            parts += [_entry_header(_PACK_TYPES[kind], len(content)), zlib.compress(content, 1)]
        body = b"".join(parts)
        return body + hashlib.new(self._algorithm, body).digest()


def _write_loose(path: Path, content: bytes) -> None:
    """Write an object's file; what a killed engine leaves has a name that git's clean-up takes."""
    path.parent.mkdir(exist_ok=True)
    fresh = path.with_name(f"tmp_obj_{os.urandom(8).hex()}")
    try:
        write_fresh(fresh, content, mode=0o444)
        fresh.rename(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def object_id(kind: str, content: bytes, object_format: str) -> str:
    """Return what git calls an object of this kind and content."""
    whole = f"{kind} {len(content)}\0".encode() + content
    return hashlib.new(object_format, whole).hexdigest()


def _entry_header(kind: int, size: int) -> bytes:
    first, size = (kind << 4) | (size & 15), size >> 4
    header = bytearray()
    while size:
        header.append(first | 0x80)
        first, size = size & 0x7F, size >> 7
    header.append(first)
    return bytes(header)


def commit_content(tree: str, parents: Sequence[str], message: str, time_seconds: int) -> bytes:
    """Return the content of a commit object by the engine."""
    stamp = f"{_IDENTITY} {time_seconds} +0000"
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    lines += [f"author {stamp}", f"committer {stamp}", "", message.rstrip("\n") + "\n"]
    return "\n".join(lines).encode("utf-8", "replace")


def commit_time(content: bytes) -> int:
    """Return when a commit was made, in seconds since the epoch."""
    for line in content.split(b"\n\n", 1)[0].splitlines():
        if line.startswith(b"committer "):
            digits = line.split()[-2]
            return int(digits) if digits.isdigit() else 0
    return 0


def tree_entries(content: bytes, id_bytes: int) -> Iterator[tuple[bytes, bytes, bytes]]:
    """Yield the (mode, name, raw id) entries of a tree object."""
    at = 0
    while at < len(content):
        space = content.index(b" ", at)
        end = content.index(b"\0", space)
        yield content[at:space], content[space + 1 : end], content[end + 1 : end + 1 + id_bytes]
        at = end + 1 + id_bytes


def tree_content(entries: Iterable[tuple[bytes, bytes, bytes]]) -> bytes:
    """Return the content of a tree object with these entries, in git's order."""
    ordered = sorted(entries, key=lambda entry: entry[1] + (b"/" if entry[0] == b"40000" else b""))
    return b"".join(mode + b" " + name + b"\0" + oid for mode, name, oid in ordered)


class Change:
    """One path between two trees: modes and blob ids before and after (None: no file)."""

    __slots__ = ("after", "after_mode", "before", "before_mode", "path")

    def __init__(self, path: str, before_mode: str, after_mode: str, before: str, after: str):
        self.path = path
        self.before_mode = before_mode
        self.after_mode = after_mode
        self.before = None if before_mode == "000000" else before
        self.after = None if after_mode == "000000" else after


def changes(git: Git, before: str, after: str) -> tuple[Change, ...]:
    """Return what differs between two trees, path by path, with no guess about renames."""
    if before == after:
        return ()
    return next(iter(many_changes(git, ((before, after),))))


def many_changes(git: Git, pairs: Sequence[tuple[str, str]]) -> list[tuple[Change, ...]]:
    """Return `changes` for many pairs of trees, in one process.

    Raises GitError for a tree that is not there: git passes over it in silence.
    """
    wanted = dict.fromkeys(pair for pair in pairs if pair[0] != pair[1])
    asked = "".join(f"{before} {after}\n" for before, after in wanted)
    if not asked:
        return [() for _ in pairs]
    answer = git.run(
        "diff-tree", "--stdin", "-r", "-z", "--raw", "--no-renames", "--no-abbrev",
        "--ignore-submodules=none", "--always", stdin=asked.encode(),
    )  # fmt: skip
    found = _parsed_changes(decode(answer.out))
    missing = next((pair for pair in wanted if pair not in found), None)
    if missing is not None:
        raise GitError(f"git cannot compare {missing[0]} with {missing[1]}: one is not there")
    return [tuple(found.get(pair, ())) for pair in pairs]


def _parsed_changes(text: str) -> dict[tuple[str, str], list[Change]]:
    found: dict[tuple[str, str], list[Change]] = {}
    current: list[Change] = []
    fields = iter(text.split("\0"))
    for field in fields:
        # The two trees stand on a line of their own, in front of the first field of their list.
        while not field.startswith(":") and "\n" in field:
            head, _, field = field.partition("\n")
            before, after = head.split(" ")
            current = found.setdefault((before, after), [])
        if field.startswith(":"):
            before_mode, after_mode, before_id, after_id, _ = field[1:].split(" ")
            current.append(Change(next(fields), before_mode, after_mode, before_id, after_id))
    return found
