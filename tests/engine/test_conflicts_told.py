"""How conflicts are told: who is in one, each once."""

from __future__ import annotations

from anabranch.core.ids import StreamId
from anabranch.engine.performers.workspaces import told_conflict
from anabranch.engine.workspaces import Conflict, ConflictedPath


def test_nobody_conflicts_with_an_earlier_self() -> None:
    """A checkpoint that a result is merged onto can hold an older version of the same work."""
    fmt, urls = StreamId("fmt"), StreamId("urls")
    path = ConflictedPath("a.txt", "contents", None, "1", "2")
    told = told_conflict(Conflict(urls, (fmt, urls, fmt), (path,)))
    assert told.streams == (fmt, urls)
