"""Decisions about the shared state: sets, updates, commits, sync points, and its propagation.

``centralized`` is one store that everybody writes: a set replaces, a compare-and-set is refused
when the key has moved on, and a commit goes through only if none of its keys has. ``immutable``
adds concurrent versions: a commit made from an older version is merged three ways into the newest,
and refused only for what both sides changed differently.

A set always makes a version, even of an equal value: two callers who both compare-and-set the same
value from the same version must not both succeed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from anabranch.core import events as ev
from anabranch.core.calls import Answer, Call, StateCommit, StateSet, StateUpdate
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.merging import Clash, Lookup, merge, patched
from anabranch.core.ids import Attempt, PointId, StreamId
from anabranch.core.json_values import Json, NotJson, checked_text, raw_of, value_of
from anabranch.core.model.answers import refused
from anabranch.core.model.sharing import SharedState, chained_hash
from anabranch.core.model.state import State
from anabranch.core.wording import listing

LONGEST_KEY = 256
MOST_KEYS_A_COMMIT = 1000
CLASHES_SHOWN = 4
"""How many clashes a refusal shows with their values; of the others it names the keys."""


class Author(msgspec.Struct, frozen=True):
    """Whose change it is; with a request if a call asked for it."""

    stream: StreamId
    attempt: Attempt = 0
    request: str = ""


class Contribution(msgspec.Struct, frozen=True):
    """One participant's snapshot at a sync point: what it set, made from version ``base``.

    A key set to None is removed. A base that is not kept any more counts as the oldest that is.
    """

    stream: StreamId
    base: int
    changes: Mapping[str, Json]


class Synchronised(msgspec.Struct, frozen=True):
    """What a sync point came to: the one version that everybody gets, and what was left out."""

    version: int
    clashes: tuple[tuple[StreamId, Clash], ...] = ()
    refused: tuple[tuple[StreamId, str], ...] = ()


# --- calls ---------------------------------------------------------------------------------------


def set_key(draft: Draft, call: StateSet) -> None:
    """Set one key, or remove it with null."""
    problem = _bad_key(call.key) or _moved_on(draft.state.shared, call.key, call.if_version)
    if problem:
        draft.answer = problem
        return
    _write(draft, call, call.value)


def update_key(draft: Draft, call: StateUpdate) -> None:
    """Merge an object into the object under a key (RFC 7396); anything else replaces it."""
    shared = draft.state.shared
    problem = _bad_key(call.key) or _moved_on(shared, call.key, call.if_version)
    if problem is None:
        checked = checked_text(call.value)
        problem = _bad_value(call.key, checked) if isinstance(checked, NotJson) else None
    if problem:
        draft.answer = problem
        return
    _write(draft, call, patched(shared.text(call.key), call.value))


def _write(draft: Draft, call: StateSet | StateUpdate, value: Json) -> None:
    checked = checked_text(value)
    if isinstance(checked, NotJson):
        draft.answer = _bad_value(call.key, checked)
        return
    after = None if value is None else checked
    if after is None and draft.state.shared.text(call.key) is None:
        draft.answer = Answer("done", {"version": draft.state.shared.head})
        return
    version = record(draft, _author(call), {call.key: after})
    draft.answer = Answer("done", {"version": version})


def commit(draft: Draft, call: StateCommit) -> None:
    """Bring a whole version made from ``base`` in, all of it or nothing."""
    shared = draft.state.shared
    proposed = _proposed(call)
    problem = proposed if isinstance(proposed, Answer) else _bad_base(shared, call.base)
    if problem is not None or isinstance(proposed, Answer):
        draft.answer = problem
        return
    base = _lookup(shared, call.base)
    if call.exact or draft.state.plan.shared_state.type == "centralized":
        moved = sorted(key for key in proposed if base(key) != shared.text(key))
        if moved:
            draft.answer = _moved_keys(shared, call.base, moved)
            return
    merged = merge(base, shared.text, proposed)
    if merged.clashes:
        draft.answer = _clashing(shared, call.base, merged.clashes)
        return
    too_large = _too_large(merged.changes)
    if too_large:
        draft.answer = too_large
        return
    version = record(draft, _author(call), merged.changes)
    draft.answer = Answer("done", {"version": version})


def _proposed(call: StateCommit) -> dict[str, str | None] | Answer:
    wanted = {**call.changes, **dict.fromkeys(call.removed)}
    if len(wanted) > MOST_KEYS_A_COMMIT:
        reason = f"the commit has {len(wanted)} keys; {MOST_KEYS_A_COMMIT} are the most"
        return refused(reason, "make several commits")
    return _texts(wanted)


def _texts(wanted: Mapping[str, Json]) -> dict[str, str | None] | Answer:
    texts: dict[str, str | None] = {}
    for key, value in wanted.items():
        problem = _bad_key(key)
        if problem:
            return problem
        checked = checked_text(value)
        if isinstance(checked, NotJson):
            return _bad_value(key, checked)
        texts[key] = None if value is None else checked
    return texts


def _too_large(changes: Mapping[str, str | None]) -> Answer | None:
    """Return why a merge is refused: two values of a proper size can make one that is too large."""
    for key, text in changes.items():
        checked = checked_text(value_of(text)) if text is not None else ""
        if isinstance(checked, NotJson):
            return _bad_value(key, checked)
    return None


CALLS: dict[type[Call], Callable[[Draft, Any], None]] = {
    StateSet: set_key,
    StateUpdate: update_key,
    StateCommit: commit,
}


# --- writing -------------------------------------------------------------------------------------


def record(draft: Draft, author: Author, changes: Mapping[str, str | None]) -> int:
    """Make one version of some changes (canonical text by key, None removes); return its number.

    Changes to what is there already count too; no changes make no version.
    """
    version = draft.state.shared.head + 1
    for key in sorted(changes):
        _emit_change(draft, author, version, key, changes[key])
    return draft.state.shared.head


def _emit_change(draft: Draft, author: Author, version: int, key: str, after: str | None) -> None:
    shared = draft.state.shared
    before = shared.text(key)
    digest = chained_hash(shared.hash, version, key, before, after, author.stream, draft.now)
    draft.emit(
        ev.StateChanged(
            author.stream,
            author.attempt,
            author.request,
            version=version,
            key=key,
            before=raw_of(before),
            after=raw_of(after),
            hash=digest,
        )
    )


def _author(call: Call) -> Author:
    return Author(call.caller.stream, call.caller.attempt, call.request)


def _lookup(shared: SharedState, version: int) -> Lookup:
    values = shared.versions[version].values

    def text(key: str) -> str | None:
        entry = values.get(key)
        return entry.text if entry else None

    return text


# --- propagation ---------------------------------------------------------------------------------


def synchronise(draft: Draft, point: PointId, given: Sequence[Contribution]) -> Synchronised:
    """Merge every participant's snapshot into one version and say that everybody has it now.

    They are merged in the order given. What a later one changed differently than an earlier one
    is left out and reported; nothing that was written before is lost by it.
    """
    shared = draft.state.shared
    changes: dict[str, str | None] = {}
    authors: dict[str, StreamId] = {}
    clashes: list[tuple[StreamId, Clash]] = []
    left_out: list[tuple[StreamId, str]] = []

    def current(key: str) -> str | None:
        return changes[key] if key in changes else shared.text(key)

    for one in given:
        proposed = _texts(one.changes)
        if isinstance(proposed, Answer):
            left_out.append((one.stream, str(proposed.facts["reason"])))
            continue
        base = min(max(one.base, shared.floor), shared.head)
        merged = merge(_lookup(shared, base), current, proposed)
        clashes += ((one.stream, clash) for clash in merged.clashes)
        too_large = _too_large(merged.changes)
        if too_large:
            left_out.append((one.stream, str(too_large.facts["reason"])))
            continue
        changes |= merged.changes
        authors |= dict.fromkeys(merged.changes, one.stream)
    for key in sorted(changes):
        _emit_change(draft, Author(authors[key]), shared.head + 1, key, changes[key])
    version = draft.state.shared.head
    names = tuple(sorted({clash.key for _, clash in clashes}))
    streams = tuple(one.stream for one in given)
    draft.emit(
        ev.StateSynced(
            version=version, reason=f"sync point {point}", streams=streams, clashes=names
        )
    )
    return Synchronised(version, tuple(clashes), tuple(left_out))


def sync_due_at(state: State) -> float | None:
    """Return when changes must have been propagated, or None if all have been."""
    since = state.shared.unsynced
    return None if since is None else since[0] + state.plan.shared_state.sync_interval_seconds


def time_reached(draft: Draft) -> None:
    """Propagate the newest version if the interval is over."""
    due = sync_due_at(draft.state)
    if due is not None and draft.now >= due and not draft.state.has_ended:
        draft.emit(ev.StateSynced(version=draft.state.shared.head, reason="interval"))


# --- refusals ------------------------------------------------------------------------------------


def _bad_key(key: str) -> Answer | None:
    if not isinstance(key, str) or not key:
        return refused("a key is text that is not empty", 'use a key like "build/version"')
    if len(key) > LONGEST_KEY:
        reason = f"the key has {len(key)} characters; {LONGEST_KEY} are the most"
        return refused(reason, "use a shorter key, and put the rest into the value")
    if not key.isprintable():
        return refused("the key holds characters that cannot be printed", "use plain text")
    return None


def _bad_value(key: str, problem: NotJson) -> Answer:
    return refused(f"the value for {key!r} cannot be kept: {problem.reason}", problem.hint, key=key)


def _moved_on(shared: SharedState, key: str, if_version: int | None) -> Answer | None:
    entry = shared.values.get(key)
    version = entry.version if entry else 0
    if if_version is None or if_version == version:
        return None
    return refused(
        f"{key!r} is at version {version}, not {if_version}"
        if version
        else f"{key!r} is not there any more, or not yet; its version is 0, not {if_version}",
        f"look at the value, then try again with if_version {version}",
        key=key,
        version=version,
        value=value_of(entry.text) if entry else None,
    )


def _bad_base(shared: SharedState, base: int) -> Answer | None:
    if shared.floor <= base <= shared.head:
        return None
    reason = f"there is no version {base}"
    if 0 <= base < shared.floor:
        reason = f"version {base} is not kept any more; the oldest is {shared.floor}"
    hint = f"read the newest version, {shared.head}, and make the change from there"
    return refused(reason, hint, head=shared.head)


def _moved_keys(shared: SharedState, base: int, keys: Iterable[str]) -> Answer:
    named = list(keys)
    return refused(
        f"changed since version {base}: {listing(named)}",
        f"read version {shared.head} and make the change again from there",
        head=shared.head,
        keys=named,
    )


def _clashing(shared: SharedState, base: int, clashes: Sequence[Clash]) -> Answer:
    keys = sorted({clash.key for clash in clashes})
    return refused(
        f"changed differently since version {base}: {listing(keys)}",
        f"read version {shared.head}, settle each conflict, and commit again from there",
        head=shared.head,
        keys=keys,
        conflicts=[clash.as_json() for clash in clashes[:CLASHES_SHOWN]],
    )
