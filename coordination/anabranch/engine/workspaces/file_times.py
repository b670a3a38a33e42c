"""Times of files as the user's own checkout has them, so that what was built from them is younger.

A tool like make compares times. In a fresh checkout every source is younger than all that was built
and taken along, and everything would be built again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from anabranch.engine.workspaces.direct.index_file import IndexEntry, index_of, read_entries
from anabranch.engine.workspaces.values import Repository
from anabranch.files import replace_whole
from anabranch.plain_files import LARGE_FILE_BYTES, read_if_there


def give_users_times(repo: Repository, folder: Path, index: Path) -> None:
    """Give files that git has just written the times that the same files have in the checkout.

    The index is written anew with what the disk says of them. Raises OSError.
    """
    content = read_if_there(index, LARGE_FILE_BYTES) or b""
    entries = read_entries(content, repo.object_format)
    theirs = users_times(repo) if entries else {}
    if not entries or not theirs:
        return
    for entry in entries:
        written_ns = theirs.get((entry.path, entry.blob))
        if written_ns is not None:
            with suppress(FileNotFoundError, NotADirectoryError):
                place = os.path.join(os.fsencode(folder), entry.path)
                if os.lstat(place).st_mtime_ns != written_ns:
                    os.utime(place, ns=(written_ns, written_ns), follow_symlinks=False)
    now = [_as_it_is(entry, folder) for entry in entries]
    replace_whole(index, index_of(now, repo.object_format), mode=0o666)


def _as_it_is(entry: IndexEntry, folder: Path) -> IndexEntry:
    try:
        found = os.lstat(os.path.join(os.fsencode(folder), entry.path))
    except (FileNotFoundError, NotADirectoryError):
        return entry
    return IndexEntry.of(entry.path, entry.mode, entry.blob, found)


def users_times(repo: Repository) -> Mapping[tuple[bytes, bytes], int]:
    """Return when files of the user's checkout were written, by path and content."""
    try:
        content = read_if_there(repo.checkout_dir / "index", LARGE_FILE_BYTES)
    except OSError:
        return {}
    entries = read_entries(content or b"", repo.object_format) or []
    return {(entry.path, entry.blob): _written_ns(entry) for entry in entries}


def _written_ns(entry: IndexEntry) -> int:
    seconds, ns = entry.row[8:12], entry.row[12:16]
    return int.from_bytes(seconds, "big") * 10**9 + int.from_bytes(ns, "big")
