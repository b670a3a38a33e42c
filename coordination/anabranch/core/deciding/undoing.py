"""Bringing shared state back: the second of the two stores that a recovery restores.

What a stream goes on from is a checkpoint: its files as they were, and the keys of the shared state
that it changed since then as they were. A key that somebody else has changed since is left alone:
what others have written is never undone. Nothing is taken out of the history: a restore is one more
version, so it can itself be undone by restoring the version before it.

Without a checkpoint nothing of the ended attempt was declared good. Then its changes stay, and the
stream says so, with the command that takes them back.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from anabranch.core import events as ev
from anabranch.core.calls import Answer, Call, StateRestore
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.hearing import Handler
from anabranch.core.deciding.sharing import Author, record
from anabranch.core.deciding.streams.restoring import to_restore
from anabranch.core.ids import StreamId
from anabranch.core.model.answers import refused
from anabranch.core.model.checkpoints import NONE, Taken
from anabranch.core.model.sharing import SharedState
from anabranch.core.model.state import State, Stream


class Undoing(msgspec.Struct, frozen=True):
    """What a restore changes, as canonical texts by key (None: not there), and what it leaves."""

    changes: Mapping[str, str | None]
    left: tuple[str, ...] = ()


# --- what it comes to ----------------------------------------------------------------------------


def undoing_of(shared: SharedState, since: int, stream: StreamId | None) -> Undoing:
    """Return what brings the state back to how it was in a version.

    Args:
        shared: the state and its history; of what is not kept any more nothing is undone.
        since: the version.
        stream: only what this stream has changed since, and nobody else after it; None: all.
    """
    first_own: dict[str, str | None] = {}
    before: dict[str, str | None] = {}
    touched: set[str] = set()
    for change in shared.changes(since):
        before.setdefault(change.key, change.before)
        if change.stream == stream:
            touched.add(change.key)
            first_own.setdefault(change.key, change.before)
        else:
            first_own.pop(change.key, None)
    wanted = before if stream is None else first_own
    changes = {key: text for key, text in wanted.items() if shared.text(key) != text}
    return Undoing(changes, tuple(sorted(touched - first_own.keys())))


def undoing_after(state: State, stream: Stream, taken: Taken) -> Undoing:
    """Return what going on from a checkpoint brings back of the shared state."""
    if taken.state_version is None:
        return Undoing({})
    return undoing_of(state.shared, taken.state_version, stream.id)


def unsettled(state: State, stream: Stream, since: float | None) -> tuple[int, tuple[str, ...]]:
    """Return the version before a stream's first change since a time, and the keys it changed."""
    own = [c for c in state.shared.changes() if c.stream == stream.id and c.at >= (since or 0.0)]
    return (own[0].version - 1 if own else 0), tuple(sorted({c.key for c in own}))


# --- after an attempt ----------------------------------------------------------------------------


def follow_retry(draft: Draft, stream: Stream, ended_since: float | None, restored: int) -> None:
    """Give a new attempt the shared state that goes with its files, or say why not.

    ``ended_since`` is when the attempt before it began (run seconds).
    """
    if not stream.is_retry:
        return
    taken = to_restore(draft.state, stream.id)
    if restored and taken is not None and taken.number == restored:
        undoing = undoing_after(draft.state, stream, taken)
        if undoing.changes or undoing.left:
            reason = f"it goes on from checkpoint {taken.number}"
            author = Author(stream.id, stream.attempt)
            _restore(draft, author, stream.id, taken.state_version or 0, undoing, reason)
        return
    version, keys = unsettled(draft.state, stream, ended_since)
    if keys:
        reason = (
            f"it took no checkpoint, so what it changed stays; "
            f"anabranch state restore {version} --stream {stream.id} takes it back"
        )
        head = draft.state.shared.head
        draft.emit(
            ev.StateRestored(
                stream.id,
                stream.attempt,
                "",
                of=stream.id,
                version=version,
                was=head,
                keys=(),
                left=keys,
                reason=reason,
            )
        )


def _restore(
    draft: Draft, author: Author, whose: StreamId, to: int, undoing: Undoing, reason: str
) -> None:
    was = draft.state.shared.head
    record(draft, author, undoing.changes)
    keys = tuple(sorted(undoing.changes))
    draft.emit(
        ev.StateRestored(
            author.stream,
            author.attempt,
            author.request,
            of=whose,
            version=to,
            was=was,
            keys=keys,
            left=undoing.left,
            reason=reason,
        )
    )


# --- by a call -----------------------------------------------------------------------------------


def restore(draft: Draft, call: StateRestore) -> None:
    """Bring back what the caller has changed since a version, or the operator everything."""
    shared, caller = draft.state.shared, call.caller
    whose = _whose(call)
    version = call.version if call.version is not None else _version_of_checkpoint(draft, call)
    if isinstance(version, Answer):
        draft.answer = version
        return
    if not shared.floor <= version <= shared.head:
        reason = f"there is no version {version} to go back to"
        draft.answer = refused(reason, f"versions {shared.floor} to {shared.head} can be restored")
        return
    undoing = undoing_of(shared, version, whose or None)
    author = Author(caller.stream, caller.attempt, call.request)
    who = "the operator" if caller.is_operator else caller.stream
    _restore(draft, author, whose, version, undoing, f"restored by {who}")


def _version_of_checkpoint(draft: Draft, call: StateRestore) -> int | Answer:
    """Return at which version a checkpoint was taken: the one that is named, or the last."""
    whose = _whose(call)
    taken = draft.state.checkpoints.get(whose, NONE).taken
    found = [
        t for t in taken if call.checkpoint in (None, t.number) and t.state_version is not None
    ]
    if not found or found[-1].state_version is None:
        reason = "no such checkpoint" if call.checkpoint else "there is no checkpoint to go back to"
        return refused(reason, "name a version; state log lists them")
    return found[-1].state_version


def _whose(call: StateRestore) -> StreamId:
    """Return the stream whose changes are meant; empty for everybody's."""
    return call.stream or StreamId("") if call.caller.is_operator else call.caller.stream


CALLS: dict[type[Call], Handler] = {StateRestore: restore}
