"""What differs between two trees, as people read it: files, hunks and lines, within bounds.

git is asked twice, because its two answers are good for different things: what it says with zero
bytes between names is exact whatever a file is called, and its patches have the lines. They come in
the same order. What is too much to be read is counted and named, never left out without a word.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec
from msgspec.structs import replace

from anabranch.core.wording import counted
from anabranch.engine.git import Git, GitError, decode

MOST_FILES = 2_000
"""Of more files than this only the names and counts are told."""

MOST_LINES = 100_000
LARGEST_FILE = "1m"
LARGEST_PATCH_BYTES = 32 * 1024 * 1024
FILES_AT_ONCE = 25

Status = Literal["added", "deleted", "modified", "renamed", "copied", "retyped"]
_STATUS: dict[str, Status] = {
    "A": "added", "D": "deleted", "M": "modified", "R": "renamed", "C": "copied", "T": "retyped",
}  # fmt: skip
_LISTED = ("diff-tree", "-r", "-M", "-l1000", "--ignore-submodules=none", "--no-ext-diff")
_CONFIG = (("core.bigFileThreshold", LARGEST_FILE),)
_HUNK = re.compile(r"^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@ ?(.*)$", re.DOTALL)
_SECTION = "diff --git "


class Hunk(msgspec.Struct, frozen=True, gc=False):
    """Changed lines with a few around them.

    A line is its sign (a blank, ``+``, ``-``, or a backslash for what git says of a line's end)
    followed by its text. ``heading`` is the function that it is in, as far as git can tell.
    """

    before_start: int
    before_count: int
    after_start: int
    after_count: int
    heading: str
    lines: tuple[str, ...]


class FileDifference(msgspec.Struct, frozen=True, gc=False):
    """What became of one file; ``added`` and ``removed`` count lines, None for what is not text.

    ``before_path`` differs from ``path`` where it was renamed. Modes are git's, ``000000`` where
    there is no file. ``cut`` says why there are no hunks though there could be.
    """

    path: str
    status: Status
    before_path: str
    before_mode: str
    after_mode: str
    added: int | None = None
    removed: int | None = None
    hunks: tuple[Hunk, ...] = ()
    cut: str = ""

    @property
    def is_binary(self) -> bool:
        """Whether it is not text, or too large to be taken for one."""
        return self.added is None


class Difference(msgspec.Struct, frozen=True, gc=False):
    """What differs between two trees, in order of paths."""

    before: str
    after: str
    files: tuple[FileDifference, ...] = ()

    @property
    def added(self) -> int:
        return sum(file.added or 0 for file in self.files)

    @property
    def removed(self) -> int:
        return sum(file.removed or 0 for file in self.files)

    @property
    def cut(self) -> str:
        """What of it is not shown, in words; empty if all is."""
        number = sum(1 for file in self.files if file.cut)
        return f"the lines of {counted(number, 'file')} are not shown: too much" if number else ""


def read_difference(
    git: Git, before: str, after: str, *, with_lines: bool = True, without: Sequence[str] = ()
) -> Difference:
    """Return what differs between two trees; ``without`` are paths that do not count.

    Raises GitError.
    """
    if before == after:
        return Difference(before, after)
    left_out = set(without)
    files = [file for file in _listed(git, before, after) if file.path not in left_out]
    if with_lines:
        files = list(_with_hunks(git, before, after, files))
    return Difference(before, after, tuple(files))


def _listed(git: Git, before: str, after: str) -> Iterator[FileDifference]:
    answer = git.run(*_LISTED, "--raw", "--numstat", "--no-abbrev", "-z", before, after,
                     config=_CONFIG)  # fmt: skip
    fields = iter(answer.fields)
    found: list[FileDifference] = []
    counts: list[tuple[int | None, int | None]] = []
    for field in fields:
        if field.startswith(":"):
            before_mode, after_mode, _, _, letter = field[1:].split(" ")
            status = _STATUS.get(letter[0], "modified")
            first = next(fields)
            path = next(fields) if letter[0] in "RC" else first
            found.append(FileDifference(path, status, first, before_mode, after_mode))
            continue
        added, removed, path = field.split("\t", 2)
        if not path:  # of a file that was renamed, both names follow
            next(fields)
            next(fields)
        counts.append((_number(added), _number(removed)))
    if len(found) != len(counts):
        raise GitError("git has listed and counted different files")
    for file, (plus, minus) in zip(found, counts, strict=True):
        yield replace(file, added=plus, removed=minus)


def _number(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _with_hunks(
    git: Git, before: str, after: str, files: Sequence[FileDifference]
) -> Iterator[FileDifference]:
    """Yield the files with their lines, as many as fit within the bounds."""
    lines_left, bytes_left, waiting = MOST_LINES, LARGEST_PATCH_BYTES, list[FileDifference]()
    for number, file in enumerate(files):
        size = (file.added or 0) + (file.removed or 0)
        is_too_much = number >= MOST_FILES or size > lines_left or bytes_left <= 0
        if not is_too_much:
            lines_left -= size
            waiting.append(file)
        if waiting and (is_too_much or len(waiting) == FILES_AT_ONCE):
            read, taken = _patches(git, before, after, waiting)
            bytes_left -= taken
            yield from read
            waiting = []
        if is_too_much:
            changed = counted(size, "changed line")
            yield replace(file, cut=f"{changed}, too much to be shown here")
    if waiting:
        yield from _patches(git, before, after, waiting)[0]


def _patches(
    git: Git, before: str, after: str, files: Sequence[FileDifference]
) -> tuple[list[FileDifference], int]:
    """Return a few files with their hunks, and how many bytes git has said."""
    paths = dict.fromkeys(path for file in files for path in (file.before_path, file.path))
    answer = git.run(
        *_LISTED, "-p", "--no-textconv", "--full-index", "--histogram", before, after, "--", *paths,
        config=_CONFIG,
        env={"GIT_LITERAL_PATHSPECS": "1"},
    )  # fmt: skip
    sections = _sections(decode(answer.out))
    expected = [2 if file.status == "retyped" else 1 for file in files]
    if sum(expected) != len(sections):  # among few files git finds other renames than among all
        return _one_by_one(git, before, after, files)
    found, at = [], 0
    for file, count in zip(files, expected, strict=True):
        own = [line for section in sections[at : at + count] for line in section]
        found.append(replace(file, hunks=tuple(_hunks(own))))
        at += count
    return found, len(answer.out)


def _one_by_one(
    git: Git, before: str, after: str, files: Sequence[FileDifference]
) -> tuple[list[FileDifference], int]:
    if len(files) == 1:
        return [replace(files[0], cut="git tells its lines in another way")], 0
    parts = [_patches(git, before, after, [file]) for file in files]
    return [file for read, _ in parts for file in read], sum(taken for _, taken in parts)


def _sections(patch: str) -> list[list[str]]:
    """Return the lines of each file's part; a line of a text never begins as a part does."""
    sections: list[list[str]] = []
    for line in patch.split("\n"):
        if line.startswith(_SECTION):
            sections.append([])
        elif sections:
            sections[-1].append(line)
    if sections and sections[-1] and not sections[-1][-1]:
        sections[-1].pop()
    return sections


def _hunks(lines: Sequence[str]) -> Iterator[Hunk]:
    numbers: tuple[int, int, int, int] | None = None
    heading, own = "", list[str]()
    for line in lines:
        found = _HUNK.match(line) if line.startswith("@@ ") else None
        if found is None:
            if numbers is not None:
                own.append(line)
            continue
        if numbers is not None:
            yield Hunk(*numbers, heading, tuple(own))
        counts = (int(found[n]) if found[n] else 1 for n in (2, 4))
        before_count, after_count = counts
        numbers = (int(found[1]), before_count, int(found[3]), after_count)
        heading, own = found[5], []
    if numbers is not None:
        yield Hunk(*numbers, heading, tuple(own))
