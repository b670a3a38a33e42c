"""The events of conflicts in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from anabranch.core import events as ev
from anabranch.core import wording

WARNINGS = (ev.ConflictForeseen, ev.ConflictReopened, ev.ConflictHandedBack, ev.ResolverStarted)
GOOD = (ev.ConflictCleared, ev.ConflictResolved)


def between(streams: tuple[str, ...]) -> str:
    """Return whose conflict it is."""
    return " and ".join(streams)


def _paths(paths: tuple[ev.ConflictedPath, ...]) -> str:
    return wording.listing([p.path for p in paths], 3)


def _resolved(event: ev.ConflictResolved) -> str:
    return f"{event.resolution.path}: {event.resolution.choice}, by the {event.by}"


def _reopened(event: ev.ConflictReopened) -> str:
    return f"{event.resolution.path}: no longer {event.resolution.choice}; {event.reason}"


def _resolver(event: ev.ResolverStarted) -> str:
    return "; ".join(f"{between(c.streams)}: {_paths(c.paths)}" for c in event.conflicts)


DETAILS: dict[type[ev.Event], Callable[[Any], str]] = {
    ev.ConflictForeseen: lambda e: f"{between(e.streams)} would not merge: {_paths(e.paths)}",
    ev.ConflictCleared: lambda e: f"{between(e.streams)}: {e.reason}",
    ev.ConflictTold: lambda e: f"{between(e.streams)} know of it",
    ev.ConflictResolved: _resolved,
    ev.ConflictReopened: _reopened,
    ev.ConflictHandedBack: lambda e: f"{_paths(e.conflict.paths)}: {e.reason}",
    ev.ResolverStarted: _resolver,
    ev.ResolverEnded: lambda e: f"{e.reason}; {wording.counted(e.resolved, 'path')} settled",
}
