"""What a checkout would write into files, without a file being written.

git converts the contents as it does for a checkout (ends of lines, filters). The sizes that it
tells are those before; so contents are told apart by a line that nobody can have foreseen.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Iterator

from anabranch.engine.git import Git, GitError
from anabranch.engine.workspaces.direct.index_file import IndexEntry

MOST_BYTES_AT_ONCE = 16 << 20
LARGEST_BYTES = 64 << 20
"""Of larger files nothing is said."""
_CUT_BY_GIT = (b" ", b"\t")


def checked_out(git: Git, entries: Iterable[IndexEntry]) -> Iterator[tuple[IndexEntry, bytes]]:
    """Yield files with what a checkout would write into them, but for some that are not known.

    Raises GitError.
    """
    plain = [e for e in entries if b"\n" not in e.path and not e.path.startswith(_CUT_BY_GIT)]
    for part in _parts(zip(plain, _sizes(git, plain), strict=True)):
        yield from zip(part, _contents(git, part), strict=True)


def _sizes(git: Git, entries: list[IndexEntry]) -> list[int]:
    asked = b"".join(entry.blob.hex().encode() + b"\n" for entry in entries)
    if not asked:
        return []
    said = git.run("cat-file", "--batch-check=%(objectsize)", stdin=asked).out.split(b"\n")[:-1]
    if len(said) != len(entries) or not all(size.isdigit() for size in said):
        raise GitError("not all that the base holds is there")
    return list(map(int, said))


def _parts(sized: Iterable[tuple[IndexEntry, int]]) -> Iterator[list[IndexEntry]]:
    part, total = list[IndexEntry](), 0
    for entry, size in sized:
        if size > LARGEST_BYTES:
            continue
        if part and total + size > MOST_BYTES_AT_ONCE:
            yield part
            part, total = [], 0
        part.append(entry)
        total += size
    if part:
        yield part


def _contents(git: Git, entries: list[IndexEntry]) -> list[bytes]:
    asked = b"".join(b"%s %s\n" % (e.blob.hex().encode(), e.path) for e in entries)
    line = secrets.token_hex(16)
    said = git.run("cat-file", f"--batch={line}", "--filters", stdin=asked).out
    found = [content[:-1] for content in said.split(line.encode() + b"\n")[1:]]
    if len(found) != len(entries):
        raise GitError("git did not say what all files hold")
    return found
