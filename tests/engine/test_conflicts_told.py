"""How conflicts are told: who is in one, each once."""

from __future__ import annotations

from anabranch.core.events import ConflictedPath
from anabranch.core.ids import StreamId
from anabranch.engine.workspaces import conflict_between


def test_nobody_conflicts_with_an_earlier_self() -> None:
    """A checkpoint that a result is merged onto can hold an older version of the same work."""
    fmt, urls = StreamId("fmt"), StreamId("urls")
    path = ConflictedPath(path="a.txt", kind="contents", ours="1", theirs="2")
    conflict = conflict_between((fmt, urls, fmt), urls, (path,))
    assert (conflict.others, conflict.late) == ((fmt,), urls)
