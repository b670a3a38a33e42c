"""Which parts of a workspace are looked at, and how its folders are listed."""

from __future__ import annotations

import os
from collections.abc import Iterator

PRUNED_NAMES = frozenset(
    {
        ".anabranch",
        ".git",
        ".hg",
        ".mypy_cache",
        ".nox",
        ".pytest_cache",
        ".ruff_cache",
        ".svn",
        ".tox",
        ".venv",
        "__pycache__",
        "node_modules",
        "venv",
    }
)


def is_pruned(directory: str, name: str) -> bool:
    """Say whether ``name`` in ``directory`` holds tools' files that nobody counts as changes.

    ``target`` is pruned only beside a ``Cargo.toml``: elsewhere it is an ordinary name.
    """
    if name == "target":
        return os.path.lexists(os.path.join(directory, "Cargo.toml"))
    return name in PRUNED_NAMES


def list_directory(directory: str) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a folder that count; one that is gone or unreadable has none."""
    try:
        with os.scandir(directory) as entries:
            yield from (entry for entry in entries if not is_pruned(directory, entry.name))
    except OSError:
        return


def is_real_directory(entry: os.DirEntry[str]) -> bool:
    """Say whether an entry is a folder and no link to one: links are not followed."""
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False
