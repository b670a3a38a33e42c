"""Which commits a workspace's git directory knows that no ref of the repository keeps."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

from anabranch.engine.git import Git
from anabranch.engine.workspaces.objects import existing
from anabranch.plain_files import LARGE_FILE_BYTES, read_plain

_OBJECT_NAME = re.compile(rb"\b(?:[0-9a-f]{64}|[0-9a-f]{40})\b")
_NOT_READ = frozenset(("index", "gitdir", "commondir", "config"))


def git_directory_names(git_dir: Path) -> set[str]:
    """Return every object name that a git directory's files mention: HEAD, refs, reflogs."""
    names: set[str] = set()
    for at, folders, files in os.walk(git_dir):
        inside = Path(at)
        if inside == git_dir and "objects" in folders:
            folders.remove("objects")
        for name in files:
            path = inside / name
            if name not in _NOT_READ and path.is_file() and not path.is_symlink():
                content = read_plain(path, LARGE_FILE_BYTES)
                names |= {found.decode() for found in _OBJECT_NAME.findall(content)}
    return names


def stored_names(git: Git) -> set[str]:
    """Return the names of all objects in the stores that a view reads."""
    asked = ("cat-file", "--batch-all-objects", "--unordered", "--batch-check=%(objectname)")
    return set(git.run(*asked).lines)


def lost_commits(git: Git, names: Iterable[str], kept: Iterable[str]) -> list[str]:
    """Return the tips of all commits among ``names`` that ``kept`` objects do not lead to."""
    kinds = existing(git, sorted(names))
    commits = [name for name, kind in kinds.items() if kind == "commit"]
    if not commits:
        return []
    revisions = [*commits, *(f"^{name}" for name in set(kept))]
    asked = "".join(f"{revision}\n" for revision in revisions).encode()
    listed = git.run("rev-list", "--parents", "--stdin", stdin=asked).lines
    rows = [line.split() for line in listed]
    parents = {parent for row in rows for parent in row[1:]}
    return [row[0] for row in rows if row[0] not in parents]


def lost_tags(git: Git, names: Iterable[str], kept: Iterable[str]) -> list[str]:
    """Return the annotated tags among ``names`` that no ref keeps."""
    known = set(kept)
    kinds = existing(git, sorted(names))
    return [name for name, kind in kinds.items() if kind == "tag" and name not in known]
