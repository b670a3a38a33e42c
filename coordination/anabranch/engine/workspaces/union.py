"""Merging without a merge: when two sides changed different paths, the result is both changes.

git's merge looks at three things beyond single paths: renames (which need a deletion and an
addition on one side), directory renames (which follow from them and move the *other* side's
additions), and a file on one side where the other has a directory. Where none of these can occur,
applying one side's changes to the other side's tree is exactly what git's merge would make, at the
price of rewriting a few tree objects.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from anabranch.engine.git import GitError, encode
from anabranch.engine.workspaces.objects import (
    Change,
    Drafts,
    ObjectReader,
    tree_content,
    tree_entries,
)

Entry = tuple[bytes, bytes]
_TREE_MODE = b"40000"


class Leaf(NamedTuple):
    """What a path shall be: a mode and a blob id, or nothing."""

    path: str
    mode: str
    blob: str | None


class Extent:
    """All paths one side changed since a tree, and what kind of changes they are."""

    def __init__(self, changed: Iterable[Change] = ()) -> None:
        self._paths: dict[str, tuple[str | None, str | None]] = {}
        self._folders: dict[str, int] = {}
        self.additions = 0
        self.deletions = 0
        self.add(changed)

    def add(self, changed: Iterable[Change]) -> None:
        """Count further changes in; each must follow on the ones before."""
        for change in changed:
            before = self._forget(change.path, change.before and change.before_mode + change.before)
            after = change.after and change.after_mode + change.after
            if before != after:
                self._remember(change.path, before, after)

    def unites_with(self, changed: Iterable[Change]) -> bool:
        """Return whether git's merge of both sides is certain to be the union of their changes."""
        other = Extent(changed)
        if other._touches(self._paths, self._folders):
            return False
        if self.may_rename and (other.additions or other.deletions):
            return False
        return not (other.may_rename and (self.additions or self.deletions))

    @property
    def may_rename(self) -> bool:
        """True when git could find a rename among these changes."""
        return self.additions > 0 and self.deletions > 0

    def _touches(self, paths: Mapping[str, object], folders: Mapping[str, object]) -> bool:
        for path in self._paths:
            if path in paths or path in folders:
                return True
            if any(folder in paths for folder in _folders(path)):
                return True
        return False

    def _forget(self, path: str, before: str | None) -> str | None:
        if path not in self._paths:
            return before
        first, after = self._paths.pop(path)
        self._count(path, first, after, -1)
        return first

    def _remember(self, path: str, before: str | None, after: str | None) -> None:
        self._paths[path] = (before, after)
        self._count(path, before, after, 1)

    def _count(self, path: str, before: str | None, after: str | None, step: int) -> None:
        self.additions += step * (before is None)
        self.deletions += step * (after is None)
        for folder in _folders(path):
            left = self._folders.get(folder, 0) + step
            self._folders[folder] = left
            if not left:
                del self._folders[folder]


def apply_leaves(reader: ObjectReader, drafts: Drafts, tree: str, leaves: Iterable[Leaf]) -> str:
    """Return the tree that ``tree`` becomes when each of these paths is set or removed."""
    branch: dict[bytes, object] = {}
    ordered = sorted(leaves, key=lambda leaf: leaf.blob is not None)
    for leaf in ordered:
        _plant(branch, encode(leaf.path).split(b"/"), leaf)
    return _rewritten(reader, drafts, tree, branch) or drafts.add("tree", b"")


def leaves_of(changed: Iterable[Change]) -> Iterator[Leaf]:
    """Yield what each changed path became."""
    for change in changed:
        yield Leaf(change.path, change.after_mode, change.after)


def _plant(branch: dict[bytes, object], parts: list[bytes], leaf: Leaf) -> None:
    for part in parts[:-1]:
        below = branch.get(part)
        if not isinstance(below, dict):
            # A file is replaced by a folder: its removal is implied.
            below = {}
            branch[part] = below
        branch = below
    known = branch.get(parts[-1])
    if isinstance(known, dict) and leaf.blob is None:
        return
    branch[parts[-1]] = leaf


def _rewritten(
    reader: ObjectReader, drafts: Drafts, tree: str | None, branch: Mapping[bytes, object]
) -> str | None:
    entries = _entries(reader, drafts, tree)
    for name, wanted in branch.items():
        entry: Entry | None = None
        if isinstance(wanted, Leaf):
            if wanted.blob is not None:
                entry = wanted.mode.lstrip("0").encode(), bytes.fromhex(wanted.blob)
        elif isinstance(wanted, dict):
            known = entries.get(name)
            subtree = known[1].hex() if known and known[0] == _TREE_MODE else None
            rewritten = _rewritten(reader, drafts, subtree, wanted)
            entry = (_TREE_MODE, bytes.fromhex(rewritten)) if rewritten else None
        if entry is None:
            entries.pop(name, None)
        else:
            entries[name] = entry
    if not entries:
        return None
    return drafts.add(
        "tree", tree_content((mode, name, blob) for name, (mode, blob) in entries.items())
    )


def _entries(reader: ObjectReader, drafts: Drafts, tree: str | None) -> dict[bytes, Entry]:
    if tree is None:
        return {}
    content = drafts.get(tree)
    if content is None:
        found = reader.read(tree)
        if found is None or found[0] != "tree":
            raise GitError(f"the tree {tree} is not there: nothing can be put into it")
        content = found[1]
    return {name: (mode, blob) for mode, name, blob in tree_entries(content, len(tree) // 2)}


def _folders(path: str) -> Iterator[str]:
    at = path.find("/")
    while at != -1:
        yield path[:at]
        at = path.find("/", at + 1)
