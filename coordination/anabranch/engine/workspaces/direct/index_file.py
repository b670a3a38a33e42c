"""The file in which git keeps what it knows of a work tree's files.

Only versions 2 and 3 without split or sparse parts are understood, and only entries of which git
knows nothing special (no conflict, nothing hidden). Source: ``gitformat-index`` of git's manual.
"""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Iterable

import msgspec

_HEAD = struct.Struct(">4sII")
_STAT = struct.Struct(">10I")
_ID_BYTES = {"sha1": 20, "sha256": 32}
_NAME_LENGTH = 0x0FFF
_PADDING = 8
_32_BITS = 0xFFFFFFFF
_SECOND_NS = 10**9

LINK, GITLINK = 0o120000, 0o160000


class IndexEntry(msgspec.Struct, frozen=True, gc=False):
    """A file as git knows it: its path, its kind (``mode``), its blob, and what the disk says.

    ``changed_ns`` is when its inode was changed last, on the disk's clock; whatever is done to a
    file changes that. ``row`` is all of it, as it stands in the file.
    """

    path: bytes
    mode: int
    blob: bytes
    changed_ns: int
    inode: int
    size: int
    row: bytes

    @classmethod
    def of(cls, path: bytes, mode: int, blob: bytes, found: os.stat_result) -> IndexEntry:
        """Return the entry of a file as ``lstat`` found it."""
        numbers = (
            *divmod(found.st_ctime_ns, _SECOND_NS),
            *divmod(found.st_mtime_ns, _SECOND_NS),
            *(found.st_dev, found.st_ino, mode, found.st_uid, found.st_gid, found.st_size),
        )
        flags = min(len(path), _NAME_LENGTH).to_bytes(2, "big")
        row = _STAT.pack(*(number & _32_BITS for number in numbers)) + blob + flags + path
        row += b"\0" * (_PADDING - len(row) % _PADDING)
        inode, size = found.st_ino & _32_BITS, found.st_size & _32_BITS
        return cls(path, mode, blob, found.st_ctime_ns, inode, size, row)

    def is_as(self, found: os.stat_result) -> bool:
        """Say whether a file is as it was, as far as the disk tells."""
        return (
            self.changed_ns == found.st_ctime_ns
            and self.inode == found.st_ino & _32_BITS
            and self.size == found.st_size & _32_BITS
        )


def mode_of(found: os.stat_result) -> int:
    """Return what git calls the kind of a plain file or a link; 0 for anything else."""
    if stat.S_ISREG(found.st_mode):
        return 0o100755 if found.st_mode & 0o100 else 0o100644
    return LINK if stat.S_ISLNK(found.st_mode) else 0


def read_entries(content: bytes, object_format: str) -> list[IndexEntry] | None:
    """Return the entries of an index, in its order; None if it is not one that is understood."""
    id_bytes = _ID_BYTES[object_format]
    if len(content) < _HEAD.size + id_bytes:
        return None
    signature, version, count = _HEAD.unpack_from(content)
    if signature != b"DIRC" or version not in (2, 3):
        return None
    entries: list[IndexEntry] = []
    at, end_of_fixed = _HEAD.size, _STAT.size + id_bytes + 2
    try:
        for _ in range(count):
            seconds, ns, _, _, _, inode, mode, _, _, size = _STAT.unpack_from(content, at)
            flags = int.from_bytes(content[at + end_of_fixed - 2 : at + end_of_fixed], "big")
            if flags & ~_NAME_LENGTH:  # hidden, in conflict, or with more flags behind
                return None
            start = at + end_of_fixed
            end = content.index(b"\0", start)
            following = at + (end - at + _PADDING) // _PADDING * _PADDING
            blob, row = content[at + _STAT.size : start - 2], content[at:following]
            changed_ns = seconds * _SECOND_NS + ns
            path = content[start:end]
            entries.append(IndexEntry(path, mode, blob, changed_ns, inode, size, row))
            at = following
    except (struct.error, ValueError):
        return None
    return entries if _has_only_optional(content, at, id_bytes) else None


def _has_only_optional(content: bytes, at: int, id_bytes: int) -> bool:
    """Say whether the extensions behind the entries may be passed over: their names say so."""
    while at < len(content) - id_bytes:
        name, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "big")
        if not name[:1].isupper():
            return False
        at += 8 + size
    return at == len(content) - id_bytes


def index_of(entries: Iterable[IndexEntry], object_format: str) -> bytes:
    """Return an index of version 2 with these entries, which are in the order of their paths."""
    rows = [entry.row for entry in entries]
    body = _HEAD.pack(b"DIRC", 2, len(rows)) + b"".join(rows)
    return body + hashlib.new(object_format, body).digest()
