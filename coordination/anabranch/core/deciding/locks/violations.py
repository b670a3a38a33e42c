"""Writes against the locks: seen by watching, reported at once, and kept out of the merge.

Locks are agreed on, so a stream can write without one. What it writes on a path that another
stream holds, or outside what its plan lets it write, is a violation. Its result is then not merged
before the operator has allowed it; another attempt begins with a clean slate.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.draft import Draft
from anabranch.core.globs import PatternRefused, covered_by_any, normalised
from anabranch.core.ids import StreamId
from anabranch.core.model.locks import Grant, Violation, entries_over
from anabranch.core.model.state import State
from anabranch.core.wording import clauses, counted

MOST_VIOLATIONS = 100
"""How many violations of one attempt are recorded; one is enough to keep it from the merge."""


NEARLY_ALL = 0.9
"""The share of the files of its start that a result may not remove without being asked about."""

FEWEST_FILES = 2
"""In a project of fewer files than that, only removing everything is asked about."""

WHOLE_FOLDER = "."


def paths_written(draft: Draft, fact: inputs.PathsWritten) -> None:
    """Record every new violation among the paths that an attempt wrote."""
    if draft.state.plan.file_access != "exclusive_write":
        return
    known = {v.path for v in _of_attempt(draft.state, fact.stream)}
    allowed = _writes(draft.state, fact.stream)
    for path in dict.fromkeys(fact.paths):
        if path in known or len(known) >= MOST_VIOLATIONS:
            continue
        violation = _violation(draft.state, fact, path, allowed)
        if violation is not None:
            known.add(path)
            draft.emit(violation)


def outside(paths: Iterable[str], writes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the paths that none of a plan's ``writes`` covers, the first hundred."""
    allowed = tuple(_normalised(pattern) for pattern in writes)
    found = (path for path in paths if not covered_by_any(path, allowed))
    return tuple(islice(found, MOST_VIOLATIONS))


def against_locks(
    state: State, stream: StreamId, written: Iterable[tuple[str, float]]
) -> tuple[str, ...]:
    """Return the paths that another stream held already when they were ``written`` (run seconds).

    For an attempt that is over: what it wrote before the other got the lock is not a violation.
    """
    if state.plan.file_access != "exclusive_write" or not state.locks.entries:
        return ()
    held = (
        path
        for path, at in written
        if (grant := _held_by_another(state, stream, path)) is not None and grant.since <= at
    )
    return tuple(islice(held, MOST_VIOLATIONS))


def doubtful(state: State, stream: StreamId, paths: Iterable[str]) -> tuple[str, ...]:
    """Return the paths, a hundred at most, on which a running stream may not have written.

    For whoever sees many of them, so that the core need not look at those that are of no interest.
    """
    allowed = _writes(state, stream)
    found = (
        path
        for path in paths
        if (allowed and not covered_by_any(path, allowed))
        or _held_by_another(state, stream, path) is not None
    )
    return tuple(islice(found, MOST_VIOLATIONS))


def strays_kept(draft: Draft, stream: StreamId, attempt: int, strays: Iterable[str]) -> None:
    """Record files in a result that lie where its stream may not write: by its plan, or a lock."""
    paths = tuple(strays)
    paths_written(draft, inputs.PathsWritten(stream=stream, attempt=attempt, paths=paths))


def removes_nearly_all(removed: int, before: int, left: int) -> bool:
    """Say whether so few of ``before`` files remain that a person should say it was meant."""
    if not left:
        return removed > 0
    return before >= FEWEST_FILES and removed >= before * NEARLY_ALL


def removal_kept(draft: Draft, stream: StreamId, fact: inputs.ResultReady) -> None:
    """Keep a result that removes nearly all it started from out of the merge, until allowed."""
    if not removes_nearly_all(fact.files_removed, fact.files_before, fact.files_left):
        return
    if any(v.path == WHOLE_FOLDER for v in _of_attempt(draft.state, stream)):
        return
    which = counted(fact.files_before, "file")
    reason = f"{stream} removed {fact.files_removed} of the {which} that it started from"
    draft.emit(
        ev.LockViolated(
            stream, fact.attempt, "", path=WHOLE_FOLDER, holder=None, fence=None, reason=reason
        )
    )


def _violation(
    state: State, fact: inputs.PathsWritten, path: str, allowed: tuple[str, ...]
) -> ev.LockViolated | None:
    grant = _held_by_another(state, fact.stream, path)
    if grant is not None:
        holder = grant.stream or "the operator"
        reason = f"{fact.stream} wrote {path}, which {holder} holds (fence {grant.fence})"
        return ev.LockViolated(
            fact.stream,
            fact.attempt,
            "",
            path=path,
            holder=grant.stream,
            fence=grant.fence,
            reason=reason,
        )
    if allowed and not covered_by_any(path, allowed):
        reason = f"{fact.stream} wrote {path}, outside the paths that its plan lets it write"
        return ev.LockViolated(
            fact.stream, fact.attempt, "", path=path, holder=None, fence=None, reason=reason
        )
    return None


def _held_by_another(state: State, stream: StreamId, path: str) -> Grant | None:
    grants = (g for entry in entries_over(state.locks, path) for g in entry.grants)
    others = (g for g in grants if g.stream != stream)
    return min(others, key=lambda g: g.fence, default=None)


def _writes(state: State, stream: StreamId) -> tuple[str, ...]:
    """Return what a stream may write, as normalised patterns; nothing means anything."""
    return tuple(_normalised(pattern) for pattern in state.stream_plan(stream).writes)


def _normalised(pattern: str) -> str:
    try:
        return normalised(pattern)
    except PatternRefused:
        return pattern


def unresolved(state: State, stream: StreamId) -> tuple[Violation, ...]:
    """Return what keeps a stream's current attempt from being merged."""
    return tuple(v for v in _of_attempt(state, stream) if not v.is_allowed)


def _of_attempt(state: State, stream: StreamId) -> Iterator[Violation]:
    attempt = state.streams[stream].attempt
    return (v for v in state.locks.violations.get(stream) or () if v.attempt == attempt)


def why_not_merged(state: State, streams: Iterable[StreamId]) -> str | None:
    """Return why these results may not be merged, in words for the operator, or None."""
    found = [v for stream in streams for v in unresolved(state, stream)]
    if not found:
        return None
    return f"not merged before you allow it: {clauses([v.reason for v in found], 2)}"
