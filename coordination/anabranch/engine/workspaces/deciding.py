"""What a conflicted path shall be: one side, both, or a text that somebody wrote.

A decision is a blob. A ref of its own keeps it alive, so that what the journal remembers can always
be carried out.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Literal

from anabranch.core.events import ConflictedPath, Resolution
from anabranch.core.folds.resolutions import key_of
from anabranch.core.ids import RunId
from anabranch.engine.git import Git
from anabranch.engine.workspaces.names import decision_ref
from anabranch.engine.workspaces.objects import ObjectReader
from anabranch.engine.workspaces.refs import keep_ref
from anabranch.engine.workspaces.repository import frozen_view
from anabranch.engine.workspaces.union import Leaf
from anabranch.engine.workspaces.values import Decisions, Repository, Unmerged
from anabranch.hostile_text import utf8_text

NOTHING_DECIDED: Decisions = MappingProxyType({})

LARGEST_TEXT_BYTES = 4 << 20
_BINARY_LOOK_BYTES = 8000

Side = Literal["base", "ours", "theirs"]


def decided_leaves(merge: Unmerged, decisions: Decisions) -> list[Leaf] | None:
    """Return what to change in the tree of a merge, or None if a path was not decided about.

    A path that has no side at all (git only remarks on it) stays as the tree has it.
    """
    if not merge.paths:
        return None
    leaves: list[Leaf] = []
    for unmerged in merge.paths:
        path = unmerged.path
        decision = decisions.get(key_of(path))
        if decision is None:
            return None
        if path.base or path.ours or path.theirs:
            leaves.append(Leaf(unmerged.at, "", None))
            if decision.blob is not None:
                leaves.append(Leaf(unmerged.name, decision.mode or _mode(path), decision.blob))
    return leaves


def decide_side(path: ConflictedPath, side: Literal["ours", "theirs"]) -> Resolution:
    """Return the decision for a path as one side has it."""
    if side == "ours":
        return Resolution.of(path, side, path.ours, path.ours_mode)
    return Resolution.of(path, side, path.theirs, path.theirs_mode)


def _mode(path: ConflictedPath) -> str:
    """Return the mode of a new text: a side that is executable makes it so."""
    modes = [m for m in (path.ours_mode, path.theirs_mode) if m.startswith("100")]
    return max(modes, default="100644")


class Sides:
    """Reads and writes what a conflict is about; close it after use."""

    def __init__(self, repo: Repository, run: RunId) -> None:
        self._repo, self._run = repo, run
        self._git: Git = frozen_view(repo, run)
        self._reader = ObjectReader(self._git)

    def __enter__(self) -> Sides:
        return self

    def __exit__(self, *_: object) -> None:
        self._reader.__exit__(None, None, None)

    def content(self, blob: str | None) -> bytes | None:
        """Return the bytes of a blob; None where there is none, or it is too large to be shown."""
        if blob is None or (self._reader.size(blob) or 0) > LARGEST_TEXT_BYTES:
            return None
        found = self._reader.read(blob)
        return found[1] if found and found[0] == "blob" else None

    def merged(
        self, path: ConflictedPath, labels: Sequence[str], *, union: bool = False
    ) -> bytes | None:
        """Return both sides in one text: with conflict markers and the base, or with all lines.

        None where that makes no sense: a side is missing, binary, or no file. ``labels`` name ours,
        base and theirs.
        """
        if not all(m.startswith("100") for m in (path.ours_mode, path.theirs_mode)):
            return None
        ours, theirs = self.content(path.ours), self.content(path.theirs)
        base = self.content(path.base) if path.base else b""
        if ours is None or theirs is None or base is None:
            return None
        if any(is_binary(text) for text in (ours, theirs, base)):
            return None
        style = "--union" if union else "--diff3"
        names = [part for label in labels for part in ("-L", utf8_text(label))]
        with tempfile.TemporaryDirectory(prefix="anabranch-sides-") as folder:
            files = [Path(folder) / name for name in ("ours", "base", "theirs")]
            for file, text in zip(files, (ours, base, theirs), strict=True):
                file.write_bytes(text)
            answer = self._git.run(
                "merge-file", "-p", "-q", style, *names, *map(str, files),
                accept=tuple(range(128)),
            )  # fmt: skip
        return answer.out

    def keep(self, content: bytes) -> str:
        """Keep a text as a blob for as long as the run is kept."""
        blob = self._git.run("hash-object", "-w", "--stdin", stdin=content).text
        keep_ref(self._repo, decision_ref(self._run, blob), blob)
        return blob


def is_binary(content: bytes) -> bool:
    """Return whether git would call a content binary."""
    return b"\0" in content[:_BINARY_LOOK_BYTES]


def has_markers(content: bytes) -> bool:
    """Return whether conflict markers are left in a text."""
    text = b"\n" + content
    return b"\n<<<<<<< " in text and b"\n>>>>>>> " in text and b"\n=======" in text
