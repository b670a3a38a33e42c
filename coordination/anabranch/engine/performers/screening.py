"""Finds results that take back lines which were brought into their workspaces: conflicts unseen.

Such a result merges cleanly and drops what somebody else did. It is made a conflict like any other,
between what was brought and what is there now, so that the point's policy and a person's decision
apply to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from anabranch.core import events as ev
from anabranch.core.folds.resolutions import key_of
from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.engine import workspaces as ws
from anabranch.engine.workspaces.union import Leaf
from anabranch.hostile_text import utf8_text

KIND = "reverts synced lines"


class Screened(msgspec.Struct, frozen=True):
    """Conflicts that nobody decided, and the trees of results with what was decided in them."""

    conflicts: tuple[ev.Conflict, ...]
    trees: Mapping[StreamId, str]

    def settled(self, results: Sequence[ws.StreamResult]) -> list[ws.StreamResult]:
        """Return the results as they are to be merged."""
        return [(s, replace(r, tree=self.trees.get(s, r.tree))) for s, r in results]


def screen(
    repo: ws.Repository,
    run: RunId,
    results: Sequence[ws.StreamResult],
    mixed: Mapping[StreamId, Attempt],
    decisions: ws.Decisions,
) -> Screened:
    """Look at the results of the attempts that were brought others' work while they ran."""
    conflicts: list[ev.Conflict] = []
    trees: dict[StreamId, str] = {}
    for stream, result in results:
        if stream not in mixed:
            continue
        given, tree, attempt = result.start_tree, result.tree, mixed[stream]
        found = ws.reversals(repo, run, stream, attempt, given, tree)
        paths = tuple(_conflicted(reversal) for reversal in found)
        open_ones = tuple(p for p in paths if key_of(p) not in decisions)
        if open_ones:
            others = [(s, r) for s, r in results if s != stream]
            brought = ws.who_touched(repo, run, others, open_ones)
            conflicts.append(ws.conflict_between(brought, stream, open_ones))
        elif paths:
            leaves = [
                Leaf(r.path, made.mode or p.theirs_mode or p.ours_mode, made.blob)
                for r, p in zip(found, paths, strict=True)
                if (made := decisions[key_of(p)])
            ]
            trees[stream] = ws.overlaid(repo, run, tree, leaves)
    return Screened(tuple(conflicts), trees)


def _conflicted(reversal: ws.Reversal) -> ev.ConflictedPath:
    version = reversal.version
    return ev.ConflictedPath(
        path=utf8_text(reversal.path),
        kind=KIND,
        base=version.before,
        ours=version.after,
        theirs=reversal.now,
        ours_mode=version.after_mode,
        theirs_mode=reversal.now_mode,
    )
