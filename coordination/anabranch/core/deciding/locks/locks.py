"""Decisions about locks: who gets one now, who waits, and who is next when one is given back.

A lock belongs to an attempt of a stream. Asking again for what it holds, in the same mode or a
weaker one, gives the same fence: holds are not counted, so a client that lost its answer just asks
again, and one unlock gives the path back. Who is told ``was_held`` should leave that to whoever
locked it first. In the same way an ask that waits is joined, not
doubled. The rules of who waits for whom are those of :mod:`anabranch.core.model.locks`.
"""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace

from anabranch.core import calls
from anabranch.core import events as ev
from anabranch.core.calls import Call
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.hearing import Handler
from anabranch.core.folds.locks import UNLOCKED, granted, waiting
from anabranch.core.globs import PatternRefused, is_literal, normalised
from anabranch.core.ids import StreamId
from anabranch.core.model.answers import refused
from anabranch.core.model.locks import (
    Ask,
    Grant,
    LockTable,
    ask_at,
    asks_of,
    blockers,
    conflict,
    entries_over,
    grant_at,
    grants_of,
)
from anabranch.core.model.state import State, Stream

MOST_LOCKS = 1024
"""How many paths one stream may hold and wait for."""

MOST_PATTERNS = 128
"""How many of those may be folders and globs; they are what everybody's ask is compared with."""

MOST_WAITING, MOST_WAITING_PATTERNS = 256, 16
"""For how many locks, and for how many folders and globs, one stream may wait at a time."""

MOST_PATTERNS_IN_ALL = 4096
MOST_LOCKS_IN_ALL = 65_536
"""How many paths all streams of a run may hold and wait for together."""


def lock(draft: Draft, call: calls.Lock) -> None:
    """Grant a lock, queue for it, or refuse it."""
    caller, path = call.caller, _normalised(draft, call.path)
    if path is None:
        return
    table = draft.state.locks
    held = grant_at(table, caller.stream, path)
    if held is not None and (held.mode == "write" or call.mode == "read"):
        answer = granted(draft.state, caller.stream, held.fence)
        draft.answer = replace(answer, facts={**answer.facts, "was_held": True})
        return
    upgrades = held.fence if held else None
    ask = Ask(caller.stream, caller.attempt, path, call.mode, upgrades, 0, call.request, draft.now)
    known = ask_at(table, caller.stream, path)
    if known is not None:
        _join(draft, known, call)
    elif not _is_within_limits(draft, ask):
        return
    elif _is_free(draft, ask):
        _grant(draft, ask)
        with draft.because_of_last_event():  # what it holds now may let its waiting asks pass
            _serve_stream(draft, ask.stream)
    elif call.wait:
        _queue(draft, ask)
    else:
        holder = _first_blocker(draft, ask)
        reason = f"{path} is held by {holder or 'the operator'}"
        draft.answer = refused(reason, "wait for it, or work elsewhere first", holder=holder)


def unlock(draft: Draft, call: calls.Unlock) -> None:
    """Give a lock back. The operator may take any away, by fence, or all of a path."""
    found = _meant(draft, call)
    if draft.answer is not None:
        return
    if not found:
        _refuse_unlock(draft, call)
        return
    own = [g for g in found if g.stream == call.caller.stream]
    taken = [g for g in found if g.stream != call.caller.stream]
    _release(draft, own, UNLOCKED, call.request)
    for grant in taken:
        reason = "the operator took the lock away"
        _release(draft, [grant], reason, grant.request, taken_by=call.request)


CALLS: dict[type[Call], Handler] = {
    calls.Lock: lock,
    calls.Unlock: unlock,
}


def may_close_ring(state: State, event: ev.LockGranted | ev.LockReleased) -> bool:
    """Return whether a stream got or gave back something, which changes who waits for whom.

    A grant keeps others waiting, whatever its stream itself waits for, a lock or anything else;
    what was given back no longer lets its stream pass others by.
    """
    table = state.locks
    holder = table.holders.get(event.stream)
    if holder is None or not (len(holder.asked) or isinstance(event, ev.LockGranted)):
        return False
    asks = (ask for entry in entries_over(table, event.path) for ask in entry.asks)
    return any(ask.stream != event.stream for ask in asks)


def give_back(draft: Draft, stream: Stream) -> None:
    """Release all that a stream without a process holds, and end its waits."""
    table = draft.state.locks
    if stream.id in table.holders:
        reason = f"attempt {table.holders[stream.id].attempt} of {stream.id} is over"
        give_up_waits(draft, stream.id, reason)
        held = sorted(grants_of(draft.state.locks, stream.id), key=lambda g: g.fence)
        _release(draft, held, reason, "")


def expire(draft: Draft, stream: StreamId) -> None:
    """Take all locks of a stream that was not heard from, and end its waits."""
    reason = f"nothing was heard of {stream or 'the operator'} for the length of its lease"
    give_up_waits(draft, stream, reason)
    held = sorted(grants_of(draft.state.locks, stream), key=lambda g: g.fence)
    for g in held:
        seconds = draft.now - g.since
        with draft.because_of(g.fence):
            draft.emit(
                ev.LockExpired(
                    g.stream,
                    g.attempt,
                    g.request,
                    path=g.path,
                    mode=g.mode,
                    fence=g.fence,
                    held_seconds=seconds,
                    reason=reason,
                )
            )
    reconsider(draft, [g.path for g in held])


def give_up_waits(draft: Draft, stream: StreamId, reason: str) -> None:
    """End every wait of a stream."""
    asks = sorted(asks_of(draft.state.locks, stream), key=lambda a: a.ticket)
    for ask in asks:
        withdraw_ask(draft, ask, reason, "ask again if you still need it")
    reconsider(draft, [ask.path for ask in asks])


def withdraw_ask(
    draft: Draft, ask: Ask, reason: str, hint: str, cycle: tuple[ev.Edge, ...] = ()
) -> None:
    """End one wait without a grant; who waited is refused."""
    draft.emit(
        ev.LockWithdrawn(
            ask.stream,
            ask.attempt,
            ask.request,
            path=ask.path,
            mode=ask.mode,
            ticket=ask.ticket,
            waited_seconds=draft.now - ask.since,
            reason=reason,
            hint=hint,
            cycle=cycle,
        )
    )


def reconsider(draft: Draft, paths: Iterable[str]) -> None:
    """Grant whatever can be granted now that something on these paths was given up."""
    table = draft.state.locks
    queues = {e.path for path in paths for e in entries_over(table, path) if e.asks}
    for path in sorted(queues):
        _serve(draft, path)


# --- asking --------------------------------------------------------------------------------------


def _normalised(draft: Draft, path: str) -> str | None:
    try:
        return normalised(path)
    except PatternRefused as error:
        draft.answer = refused(str(error), "name a file, a folder/ or a glob below your workspace")
        return None


def _join(draft: Draft, known: Ask, call: calls.Lock) -> None:
    """Answer one who asks for what the stream already waits for."""
    if known.mode != call.mode and known.mode == "read":
        reason = f"your stream already waits for {known.path} to read it"
        draft.answer = refused(reason, "wait for that one first, or withdraw it")
    elif call.wait:
        holder, position = _first_blocker(draft, known), _position(draft, known)
        draft.answer = waiting(holder, position, known.ticket)
    else:
        draft.answer = refused(f"{known.path} is not free", "your stream already waits for it")


def _is_within_limits(draft: Draft, ask: Ask) -> bool:
    table = draft.state.locks
    patterns = 0 if is_literal(ask.path) else len(table.patterns)
    if len(table.entries) >= MOST_LOCKS_IN_ALL or patterns >= MOST_PATTERNS_IN_ALL:
        hint = "wait until others unlock what they are done with"
        draft.answer = refused("as much is locked in this run as can be", hint)
        return False
    holder = table.holders.get(ask.stream)
    if holder is None:
        return True
    if len(holder.asked) >= MOST_WAITING:
        hint = "wait for some of them first, or lock a folder/ instead of its files"
        draft.answer = refused(f"your stream waits for {MOST_WAITING} locks already", hint)
        return False
    if len(holder.held) + len(holder.asked) >= MOST_LOCKS:
        hint = "lock a folder/ instead of its files, or unlock what you are done with"
        draft.answer = refused(f"a stream may have {MOST_LOCKS} locks", hint)
        return False
    if is_literal(ask.path):
        return True
    if sum(not is_literal(path) for path in holder.asked.values()) >= MOST_WAITING_PATTERNS:
        reason = f"your stream waits for {MOST_WAITING_PATTERNS} folders and globs already"
        draft.answer = refused(reason, "wait for some of them first, or lock one larger folder/")
        return False
    paths = (*holder.held.values(), *holder.asked.values())
    if sum(not is_literal(path) for path in paths) >= MOST_PATTERNS:
        hint = "lock a larger folder/, or unlock what you are done with"
        draft.answer = refused(f"a stream may have {MOST_PATTERNS} folders and globs locked", hint)
        return False
    return True


def _grant(draft: Draft, ask: Ask) -> None:
    draft.emit(
        ev.LockGranted(
            ask.stream,
            ask.attempt,
            ask.request,
            path=ask.path,
            mode=ask.mode,
            fence=draft.state.seq + 1,
            ticket=ask.ticket or None,
            waited_seconds=draft.now - ask.since,
            upgrades=ask.upgrades,
        )
    )


def _queue(draft: Draft, ask: Ask) -> None:
    draft.emit(
        ev.LockQueued(
            ask.stream,
            ask.attempt,
            ask.request,
            path=ask.path,
            mode=ask.mode,
            holder=_first_blocker(draft, ask),
            position=_position(draft, ask),
            upgrades=ask.upgrades,
        )
    )


def _first_blocker(draft: Draft, ask: Ask) -> StreamId:
    """Return whom an ask waits for: a holder rather than one who waits as well."""
    found = blockers(draft.state.locks, ask)
    first = next(found, None)
    if first is None or (isinstance(first, Grant) and first.path == ask.path):
        return first.stream if first else StreamId("")
    best = min((first, *found), key=_precedence)
    return best.stream


def _precedence(blocker: Grant | Ask) -> tuple[bool, int]:
    if isinstance(blocker, Grant):
        return (False, blocker.fence)
    return (True, blocker.ticket)


def _position(draft: Draft, ask: Ask) -> int:
    """Return an ask's place in the queue of its path, counted from 1."""
    entry = draft.state.locks.entries.get(ask.path)
    asks = entry.asks if entry else ()
    if ask.upgrades is not None:
        return 1 + sum(a.upgrades is not None and a.ticket != ask.ticket for a in asks)
    if not ask.ticket:
        return 1 + len(asks)
    return 1 + sum(a.rank < ask.rank for a in asks)


# --- giving back ---------------------------------------------------------------------------------


def _meant(draft: Draft, call: calls.Unlock) -> list[Grant]:
    """Return the grants that a call names; nobody but the operator names those of others."""
    table, caller = draft.state.locks, call.caller
    path = _normalised(draft, call.path) if call.path is not None else None
    streams = sorted(table.holders) if caller.is_operator else [caller.stream]
    found = []
    for stream in streams:
        holder = table.holders.get(stream)
        at = path if call.fence is None or holder is None else holder.held.get(call.fence)
        grant = _at_or_below(table, stream, at) if at is not None else None
        if grant is not None and call.fence in (None, grant.fence) and path in (None, at):
            found.append(grant)
    return found


def _at_or_below(table: LockTable, stream: StreamId, path: str) -> Grant | None:
    """Return a grant of a path, or of the folder that it names."""
    return grant_at(table, stream, path) or grant_at(table, stream, f"{path}/")


def _refuse_unlock(draft: Draft, call: calls.Unlock) -> None:
    if call.fence is not None:
        reason = f"stale fence: {call.fence} is not a lock of yours (any more)"
        hint = "whatever you did under it may have been done without the lock; look before going on"
    else:
        reason, hint = f"you do not hold {call.path}", "use the path exactly as it was locked"
    draft.answer = refused(reason, hint)


def _release(
    draft: Draft, held: list[Grant], reason: str, request: str, taken_by: str = ""
) -> None:
    for g in held:
        draft.emit(
            ev.LockReleased(
                g.stream,
                g.attempt,
                request,
                path=g.path,
                mode=g.mode,
                fence=g.fence,
                held_seconds=draft.now - g.since,
                reason=reason,
                taken_by=taken_by,
            )
        )
        upgrade = ask_at(draft.state.locks, g.stream, g.path)
        if upgrade is not None and upgrade.upgrades == g.fence:
            withdraw_ask(draft, upgrade, "the lock that it upgrades was given up", "ask anew")
    if held:
        with draft.because_of_last_event():
            reconsider(draft, [g.path for g in held])


def _serve(draft: Draft, path: str) -> None:
    """Go along the queue of one path until a writer has to stay in it."""
    entry = draft.state.locks.entries.get(path)
    for ask in entry.asks if entry else ():
        if not _grant_if_free(draft, ask) and ask.mode == "write":
            _serve_who_may_pass(draft, ask)
            return


def _serve_who_may_pass(draft: Draft, ask: Ask) -> None:
    """Look at those behind an ask who need not wait for it: it waits for their streams."""
    table = draft.state.locks
    grants = (g for entry in entries_over(table, ask.path) for g in entry.grants)
    holders = {g.stream for g in grants if conflict(g, ask)}
    for stream in sorted(s for s in holders if len(table.holders[s].asked)):
        _serve_stream(draft, stream)


def _serve_stream(draft: Draft, stream: StreamId) -> None:
    """Grant a stream's asks that nothing blocks, in order of rank: each lets later ones pass.

    One that is granted frees none before it. Whoever waits for the new grant, and stands in the way
    of an ask before it, would have stood in the way of this one too.
    """
    for ask in sorted(asks_of(draft.state.locks, stream), key=lambda a: a.rank):
        if _is_free(draft, ask):
            _grant(draft, ask)


def _grant_if_free(draft: Draft, ask: Ask) -> bool:
    """Grant an ask that nothing blocks; what its stream holds now may let its others pass."""
    holder = draft.state.locks.holders.get(ask.stream)
    if holder is None or ask.ticket not in holder.asked:
        return True
    if not _is_free(draft, ask):
        return False
    _grant(draft, ask)
    _serve_stream(draft, ask.stream)
    return True


def _is_free(draft: Draft, ask: Ask) -> bool:
    return next(blockers(draft.state.locks, ask), None) is None
