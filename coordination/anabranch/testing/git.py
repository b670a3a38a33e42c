"""A git of dictionaries: a tree maps paths to contents, a commit names a tree.

Merging is three-way for each path, which is all that streams' promises need: a path that one side
changed is taken from that side, and one that both changed differently is a conflict.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha1
from types import MappingProxyType

import msgspec

from anabranch.core.events import Conflict, ConflictedPath, Resolution
from anabranch.core.folds.inheritance import Inheritance
from anabranch.core.folds.resolutions import key_of
from anabranch.core.ids import StreamId
from anabranch.core.model.state import Base, Result

Tree = Mapping[str, str]
Resolutions = Mapping[str, Resolution]
NOTHING_DECIDED: Resolutions = MappingProxyType({})


class Merge(msgspec.Struct, frozen=True):
    """What came of merging: where it stands, who is in, and who was left out."""

    commit: str
    tree: str
    merged: tuple[StreamId, ...]
    conflicts: tuple[Conflict, ...]

    @property
    def left_out(self) -> tuple[StreamId, ...]:
        return tuple(conflict.streams[-1] for conflict in self.conflicts)


class FakeGit:
    """Keeps trees and commits under names made from their content; ``refs`` keep commits alive."""

    def __init__(self) -> None:
        self._trees: dict[str, Tree] = {}
        self.refs: dict[str, str] = {}

    def write_tree(self, tree: Tree) -> str:
        """Keep a tree; return its name."""
        name = "tree-" + sha1(repr(sorted(tree.items())).encode()).hexdigest()[:12]
        self._trees.setdefault(name, dict(tree))
        return name

    def commit(self, tree: Tree, message: str) -> tuple[str, str]:
        """Keep a commit; return its name and its tree's."""
        tree_name = self.write_tree(tree)
        name = "commit-" + sha1(f"{message}\0{tree_name}".encode()).hexdigest()[:12]
        self._trees.setdefault(name, self._trees[tree_name])
        return name, tree_name

    def tree(self, name: str) -> Tree:
        """Return a tree by its own name or by a commit's."""
        return self._trees[name]

    def edits(self, result: Result) -> dict[str, str | None]:
        """Return what a stream itself changed, against what it was given; None for removed."""
        start, end = self._trees[result.start_tree], self._trees[result.tree]
        return {p: end.get(p) for p in sorted({*start, *end}) if start.get(p) != end.get(p)}

    def bring_together(
        self, base: Base, inheritance: Inheritance, resolutions: Resolutions = NOTHING_DECIDED
    ) -> Merge:
        """Merge what a stream or a point inherits; conflicting results are left out."""
        start = inheritance.start
        return self.merge(start.commit if start else base.commit, inheritance.then, resolutions)

    def merge(
        self,
        start: str,
        results: Sequence[tuple[StreamId, Result]],
        resolutions: Resolutions = NOTHING_DECIDED,
    ) -> Merge:
        """Merge results over a commit, in order, each against the tree that it started from.

        A result whose conflicts were all decided about is merged with the decisions.
        """
        tree = dict(self._trees[start])
        merged: list[StreamId] = []
        touched: dict[str, list[StreamId]] = {}
        conflicts: list[Conflict] = []
        for stream, result in results:
            edits, base = self.edits(result), self._trees[result.start_tree]
            clashes = [p for p in sorted(edits) if _clash(base, tree, edits, p)]
            if clashes:
                against = [s for s in merged if any(s in touched.get(p, ()) for p in clashes)]
                paths = [
                    ConflictedPath(
                        path=p, kind="contents", base=base.get(p), ours=tree.get(p), theirs=edits[p]
                    )
                    for p in clashes
                ]
                decided = [resolutions.get(key_of(path)) for path in paths]
                if None in decided:
                    conflicts.append(Conflict(streams=(*against, stream), paths=tuple(paths)))
                    continue
                edits |= {r.path: r.blob for r in decided if r is not None and r.blob is not None}
            tree.update({path: content for path, content in edits.items() if content is not None})
            for path in [path for path, content in edits.items() if content is None]:
                tree.pop(path, None)
            merged.append(stream)
            for path in edits:
                touched.setdefault(path, []).append(stream)
        commit, name = self.commit(tree, "merge")
        return Merge(commit, name, tuple(merged), tuple(conflicts))


def _clash(base: Tree, ours: Tree, edits: Mapping[str, str | None], path: str) -> bool:
    """Return whether both sides changed a path, and differently."""
    return ours.get(path) not in (base.get(path), edits[path])
