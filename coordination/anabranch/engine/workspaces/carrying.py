"""What git's merge carries along with a rename, and what it would have lost on the way.

A path that one side alone has changed is in the merged tree as that side has it. Renames are the
exception: the change that one side made to a file goes to the new name that the other side gave it,
and a new file goes into a folder that was renamed. So a merge by git is looked at with all three of
its trees at hand, where each exception can be proved: it must hold what both sides have changed.
What no exception explains is lost, whatever git says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from anabranch.engine.workspaces.objects import Change

Changes = Mapping[str, Change]
Content = Callable[[str | None], bytes]
Entry = tuple[str, str]


class Carried(msgspec.Struct, frozen=True):
    """Where what a side has brought to a path stands now, and as what."""

    path: str
    mode: str
    blob: str


@dataclass
class Account:
    """What became of every path that the two sides of a merge have changed.

    ``theirs``, ``ours`` and ``merged`` are what changed since the base of the merge; ``content``
    reads a blob, and ``has_driver`` says whether a program of the user's merges a path: what that
    makes of it is the user's affair.
    """

    theirs: Changes
    ours: Changes
    merged: Changes
    content: Content
    has_driver: Callable[[str], bool]
    carried: dict[str, Carried] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)

    def settle(self) -> Account:
        """Account for every path; return itself."""
        for path, change in self.theirs.items():
            other = self.ours.get(path)
            is_there = (
                self._holds_one(path, change, self.theirs, self.ours)
                if other is None
                else self._holds_both(path, change, other)
            )
            if not is_there:
                self.lost.append(path)
        for path, change in self.ours.items():
            if path in self.theirs or self._holds_one(path, change, self.ours, self.theirs):
                continue
            self.lost.append(path)
        return self

    def _here(self, path: str, change: Change) -> Entry | None:
        """Return what the merged tree has at a path."""
        merged = self.merged.get(path)
        if merged is None:
            return (change.before_mode, change.before) if change.before else None
        return (merged.after_mode, merged.after) if merged.after else None

    def _holds_both(self, path: str, theirs: Change, ours: Change) -> bool:
        """Return whether a path that both have changed is there, or has gone with a rename."""
        if theirs.after and ours.after:
            return self._here(path, theirs) is not None
        if theirs.after or ours.after:
            kept, side = (theirs, self.ours) if theirs.after else (ours, self.theirs)
            for new in self._targets(kept.after, side):
                here = self._here(new.path, new)
                if here and self._is_carried(kept, new, new.path):
                    self.carried[path] = Carried(new.path, *here)
                    return True
            return False
        return True

    def _targets(self, wanted: str | None, side: Changes) -> Iterator[Change]:
        """Yield what a side has added, the likeliest targets of a rename first."""
        added = [c for c in side.values() if c.before is None and c.after]

        def likelihood(change: Change) -> int:
            here = self._here(change.path, change)
            return 0 if here and here[1] == wanted else 1 if here and here[1] != change.after else 2

        yield from sorted(added, key=likelihood)

    def _holds_one(self, path: str, change: Change, side: Changes, other: Changes) -> bool:
        """Say whether what ``side`` alone has made of a path is there, or was carried elsewhere."""
        here = self._here(path, change)
        if here == ((change.after_mode, change.after) if change.after else None):
            return True
        if change.after is None or change.before is not None:
            return False
        if here is None:
            return self._has_moved(path, change, side, other)
        if any(self._is_carried(kept, change, path) for kept in _renamed(side, other)):
            self.carried[path] = Carried(path, *here)
            return True
        return False

    def _has_moved(self, path: str, change: Change, side: Changes, other: Changes) -> bool:
        """Return whether a new file is in a folder that the other side has renamed."""
        name = path.rpartition("/")[2]
        for target, merged in self.merged.items():
            is_new = merged.before is None and target not in side and target not in other
            if not is_new or merged.after is None or target.rpartition("/")[2] != name:
                continue
            kept = _renamed(side, other)
            if merged.after == change.after or any(
                self._is_carried(k, change, target) for k in kept
            ):
                self.carried[path] = Carried(target, merged.after_mode, merged.after)
                return True
        return False

    def _is_carried(self, kept: Change, new: Change, path: str) -> bool:
        """Say whether ``path`` holds the change of a renamed file, beside the renamer's own.

        ``kept`` is that change under the old name, ``new`` what the renamer has at the new one.
        """
        merged = self.merged.get(path)
        if merged is None or merged.after is None:
            return False
        if kept.after == kept.before:  # its mode alone was changed
            return merged.after == new.after
        if new.after == kept.before:
            return merged.after == kept.after or self.has_driver(path)
        base, here = _lines(self.content(kept.before)), _lines(self.content(merged.after))
        wanted = _lines(self.content(kept.after)) | _lines(self.content(new.after))
        return wanted - base <= here or self.has_driver(path)


def _renamed(side: Changes, other: Changes) -> list[Change]:
    """Return what the other side has made of files that ``side`` has no longer."""
    gone = (path for path, change in side.items() if change.after is None)
    return [other[path] for path in gone if path in other and other[path].after]


def _lines(content: bytes) -> set[bytes]:
    """Return the lines of a text; git may give them other ends when it merges."""
    return {line.rstrip(b"\r") for line in content.split(b"\n")}
