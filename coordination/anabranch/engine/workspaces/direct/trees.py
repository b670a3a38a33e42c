"""Trees made from the entries of an index, as ``git write-tree`` makes them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from anabranch.engine.workspaces.direct.index_file import IndexEntry
from anabranch.engine.workspaces.objects import Drafts, object_id, tree_content

_FOLDER_MODE = b"40000"

Row = tuple[bytes, bytes]
"""What a folder says of one name in it: the mode and the id."""

Folders = Mapping[bytes, Mapping[bytes, Row]]
"""The rows of each folder by its path; the top is the empty one."""


def folders_of(entries: Iterable[IndexEntry], object_format: str) -> Folders:
    """Return all folders that files lie in, with the ids of the trees that git has of them."""
    found: dict[bytes, dict[bytes, Row]] = {b"": {}}
    for entry in entries:
        folder, _, leaf = entry.path.rpartition(b"/")
        found.setdefault(folder, {})[leaf] = (b"%o" % entry.mode, entry.blob)
        while folder and folder.rpartition(b"/")[0] not in found:
            folder = folder.rpartition(b"/")[0]
            found[folder] = {}
    for folder in sorted(found, key=_depth, reverse=True):
        if folder:
            above, _, leaf = folder.rpartition(b"/")
            name = object_id("tree", _content(found[folder]), object_format)
            found[above][leaf] = (_FOLDER_MODE, bytes.fromhex(name))
    return found


def draft_trees(
    before: Folders, now: Mapping[bytes, IndexEntry], gone: Iterable[bytes], drafts: Drafts
) -> str:
    """Return the tree of what was before with some changes; only the folders of those are drafted.

    Args:
        before: the folders as they were; their trees are kept already.
        now: the files that are new or have changed, by path.
        gone: the paths that are not there any more.
        drafts: where new trees go.
    """
    changed: dict[bytes, dict[bytes, Row | None]] = {b"": {}}
    for path in gone:
        folder, _, leaf = path.rpartition(b"/")
        changed.setdefault(folder, {})[leaf] = None
    for path, entry in now.items():
        folder, _, leaf = path.rpartition(b"/")
        changed.setdefault(folder, {})[leaf] = (b"%o" % entry.mode, entry.blob)
    for folder in list(changed):
        while folder:
            folder = folder.rpartition(b"/")[0]
            changed.setdefault(folder, {})
    for folder in sorted(changed, key=_depth, reverse=True):
        rows = {
            leaf: row for leaf, row in {**before.get(folder, {}), **changed[folder]}.items() if row
        }
        above, _, leaf = folder.rpartition(b"/")
        if rows or not folder:
            name = drafts.add("tree", _content(rows))
            if folder:
                changed[above][leaf] = (_FOLDER_MODE, bytes.fromhex(name))
        else:  # nothing is left of it, or a file has taken its place
            changed[above].setdefault(leaf, None)
    return name


def _content(rows: Mapping[bytes, Row]) -> bytes:
    return tree_content((mode, leaf, name) for leaf, (mode, name) in rows.items())


def _depth(folder: bytes) -> int:
    return folder.count(b"/") + bool(folder)
