"""The names of things. Each kind of name is a type of its own, so they cannot be mixed up."""

import re
from typing import Literal, NewType

RunId = NewType("RunId", str)
"""One execution of a plan, for example ``20261121-220412-k3f``."""

StreamId = NewType("StreamId", str)
"""A named line of work; unique in a plan, safe as a file name."""

PointId = NewType("PointId", str)
"""The name of a convergence point; the run's last one is :data:`FINAL_POINT`."""

Attempt = int
"""One incarnation of a stream's process, counted from 1. It is also the stream's fencing token."""

Seq = int
"""The number of an event in the journal, counted from 1 without gaps."""

LockMode = Literal["read", "write"]
"""Readers share a path; a writer has it alone."""

FINAL_POINT = PointId("final")

STREAM_ID_PATTERN = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"


RESERVED_STREAMS = frozenset({"operator"})
"""Names that mean somebody else where streams are named: in messages, locks and the journal."""


def stream_fault(name: str) -> str | None:
    """Return why ``name`` cannot name a stream, or ``None`` if it can."""
    if name.casefold() in RESERVED_STREAMS:
        return f"`{name}` is who operates the run, in messages and everywhere; use another name"
    return id_fault(name)


def id_fault(name: str) -> str | None:
    """Return why ``name`` cannot name a stream or a point, or ``None`` if it can."""
    if not name or len(name) > 64:
        return "must have 1 to 64 characters"
    if not re.fullmatch(STREAM_ID_PATTERN, name):
        return "may hold only letters, digits, `.`, `_`, `-`, and begins with a letter or digit"
    if name.endswith((".", ".lock")) or ".." in name:
        return "must not hold `..` or end with `.` or `.lock`"
    return None
