"""Finds results that take back lines which were brought into their workspaces: conflicts unseen.

Such a result merges cleanly and drops what somebody else did. It is made a conflict like any other,
between what was brought and what is there now, so that the point's policy and a person's decision
apply to it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec.structs import replace

from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.engine import workspaces as ws
from anabranch.engine.workspaces.union import Leaf

KIND = "reverts synced lines"


class Screened(msgspec.Struct, frozen=True):
    """Conflicts that nobody decided, and the trees of results with what was decided in them."""

    conflicts: tuple[ws.Conflict, ...]
    trees: Mapping[StreamId, str]

    def settled(self, results: Sequence[ws.Result]) -> list[ws.Result]:
        """Return the results as they are to be merged."""
        return [replace(r, tree=self.trees.get(r.stream, r.tree)) for r in results]


def screen(
    repo: ws.Repository,
    run: RunId,
    results: Sequence[ws.Result],
    mixed: Mapping[StreamId, Attempt],
    decisions: ws.Decisions,
) -> Screened:
    """Look at the results of the attempts that were brought others' work while they ran."""
    conflicts: list[ws.Conflict] = []
    trees: dict[StreamId, str] = {}
    for result in results:
        if result.stream not in mixed:
            continue
        given, tree, attempt = result.start_tree, result.tree, mixed[result.stream]
        found = ws.reversals(repo, run, result.stream, attempt, given, tree)
        paths = tuple(_conflicted(reversal) for reversal in found)
        open_ones = tuple(p for p in paths if ws.decision_key(p) not in decisions)
        if open_ones:
            against = _who_brought(repo, run, results, result.stream, open_ones)
            conflicts.append(ws.Conflict(result.stream, against, open_ones))
        elif paths:
            leaves = [
                Leaf(p.path, made.mode or p.theirs_mode or p.ours_mode, made.blob)
                for p in paths
                if (made := decisions[ws.decision_key(p)])
            ]
            trees[result.stream] = ws.overlaid(repo, run, tree, leaves)
    return Screened(tuple(conflicts), trees)


def _conflicted(reversal: ws.Reversal) -> ws.ConflictedPath:
    version = reversal.version
    return ws.ConflictedPath(
        reversal.path,
        KIND,
        version.before,
        version.after,
        reversal.now,
        version.after_mode,
        reversal.now_mode,
    )


def _who_brought(
    repo: ws.Repository,
    run: RunId,
    results: Sequence[ws.Result],
    stream: StreamId,
    paths: Sequence[ws.ConflictedPath],
) -> tuple[StreamId, ...]:
    others = [result for result in results if result.stream != stream]
    return ws.who_touched(repo, run, others, {p.path for p in paths})
