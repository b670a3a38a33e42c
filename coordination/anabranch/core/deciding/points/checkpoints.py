"""Decisions about a point's checkpoints: of running streams, merged, and offered back to them.

A checkpoint never stops anybody. It begins with an ordinary checkpoint of each stream that is at
work, the one that recovery restarts from. Once all are there, or will not come, they are merged
outside the core onto the point's last checkpoint, each against the tree that the point knows of its
workspace. What comes of it is offered to the streams that opted in, and conflicts are reported.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from anabranch.core import effects as fx
from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding.conflicts import radar
from anabranch.core.deciding.draft import Draft
from anabranch.core.ids import PointId, StreamId
from anabranch.core.model.checkpoints import NONE
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Point, State, Stream
from anabranch.core.strategies import Checkpoint

LEAST_SECONDS = 1.0
"""However often a strategy asks, a point takes no checkpoint sooner than this after the last."""

PATIENCE_SHARE = 0.8
"""How much of the interval between checkpoints an offer waits for a quiet moment."""

LEAST_PATIENCE_SECONDS = 5.0


def is_under_way(state: State, point: Point) -> bool:
    """Return whether a checkpoint of the point is being made, or offered to somebody."""
    if point.checkpoint.takes:
        return True
    works = point.checkpoint.works
    return any(_is_offered(state.streams[s], point) for s in works)


def _is_offered(stream: Stream, point: Point) -> bool:
    return stream.offer is not None and stream.offer.point == point.id


def may_begin_at(point: Point) -> float:
    """Return when the point may take its next checkpoint at the earliest (run seconds)."""
    last = point.checkpoint.finished_at
    return point.opened_at if last is None else last + LEAST_SECONDS


def begin(draft: Draft, point: Point, decision: Checkpoint, at_work: Iterable[StreamId]) -> None:
    """Ask for a checkpoint of every chosen stream that is at work."""
    working = set(at_work)
    chosen = [s for s in dict.fromkeys(decision.streams) if s in working]
    if not chosen or draft.state.stop_reason:
        return
    number = point.checkpoint.last + 1
    takes = {s: draft.state.checkpoints.get(s, NONE).last + 1 for s in chosen}
    begun = ev.PointCheckpointBegun(point.id, number=number, takes=takes, reason=decision.reason)
    with draft.because_of(draft.emit(begun)):
        for stream_id, take in takes.items():
            attempt = draft.stream(stream_id).attempt
            label = f"{point.id} {number}"
            draft.emit(ev.CheckpointRequested(stream_id, attempt, "", number=take, label=label))


def call_off(draft: Draft, point_id: PointId, reason: str) -> None:
    """End a checkpoint in the making: the point itself goes on."""
    made = draft.point(point_id).checkpoint
    if made.takes:
        draft.emit(ev.PointCheckpointFailed(point_id, number=made.last, reason=reason))


def taken_or_not(draft: Draft, stream_id: StreamId) -> None:
    """Merge once each snapshot is there, or will not come."""
    for point_id in draft.state.topology.points:
        made = draft.point(point_id).checkpoint
        if stream_id not in made.takes or made.is_merging:
            continue
        if any(_is_awaited(draft.state, s, n) for s, n in made.takes.items()):
            continue
        if any(snapshots(draft.state, point_id)):
            draft.emit(ev.CheckpointMergeStarted(point_id, number=made.last))
        else:
            call_off(draft, point_id, "no stream could be captured")


def _is_awaited(state: State, stream: StreamId, number: int) -> bool:
    return any(w.number == number for w in state.checkpoints.get(stream, NONE).wanted)


def snapshots(state: State, point: PointId) -> Iterator[tuple[StreamId, str, str]]:
    """Yield what is merged into a point's checkpoint: stream, commit and tree.

    These are the snapshots of those at work, and the results of those that have ended well.
    """
    takes = state.points[point].checkpoint.takes
    for stream_id in state.point_plan(point).streams or state.topology.jobs:
        stream = state.streams[stream_id]
        if state.stream_plan(stream_id).converge != point:
            continue
        if stream.phase is Phase.SUCCEEDED and stream.result is not None:
            yield stream_id, stream.result.commit, stream.result.tree
            continue
        for taken in state.checkpoints.get(stream_id, NONE).taken:
            if taken.number == takes.get(stream_id) and taken.attempt == stream.attempt:
                yield stream_id, taken.commit, taken.tree


# --- what comes back -----------------------------------------------------------------------------


def merged(draft: Draft, fact: inputs.CheckpointMerged) -> None:
    """Keep the checkpoint, tell early what does not merge, and offer the rest."""
    made = draft.point(fact.point).checkpoint
    if not made.is_merging or made.last != fact.number:
        return
    event = ev.CheckpointMerged(
        fact.point,
        number=fact.number,
        commit=fact.commit,
        tree=fact.tree,
        ref=fact.ref,
        works=fact.works,
        conflicts=fact.conflicts,
    )
    with draft.because_of(draft.emit(event)):
        for stream_id, paths in fact.reverted.items():
            lines_reverted(draft, fact.point, stream_id, paths)
        for conflict in fact.conflicts:
            _tell_early(draft, conflict)
        for work in fact.works:
            if work.stream in made.takes and _wants(draft.state, work, fact):
                offered = ev.SyncOffered(
                    work.stream, attempt=work.attempt, point=fact.point, number=fact.number
                )
                draft.emit(offered)


def _wants(state: State, work: ev.Contribution, fact: inputs.CheckpointMerged) -> bool:
    stream = state.streams[work.stream]
    is_running = stream.phase is Phase.RUNNING and stream.attempt == work.attempt
    has_news = work.is_merged and work.tree != fact.tree
    return is_running and has_news and state.stream_plan(work.stream).sync


def _tell_early(draft: Draft, conflict: ev.Conflict) -> None:
    """Foresee a conflict for each pair, as the radar does."""
    late = conflict.streams[-1]
    for other in conflict.streams[:-1]:
        pair = radar.pair_of(late, other)
        attempts = (draft.stream(pair[0]).attempt, draft.stream(pair[1]).attempt)
        tested = inputs.PairTested(streams=pair, attempts=attempts, paths=conflict.paths)
        radar.pair_tested(draft, tested)


def lines_reverted(
    draft: Draft, point: PointId, stream_id: StreamId, paths: tuple[str, ...]
) -> None:
    """Say that a stream has written files as they were before a sync, once for each."""
    stream = draft.stream(stream_id)
    news = tuple(p for p in paths if not any(w.startswith(f"{p} is as") for w in stream.warnings))
    if news:
        draft.emit(
            ev.SyncedLinesReverted(stream_id, attempt=stream.attempt, point=point, paths=news)
        )


def not_merged(draft: Draft, fact: inputs.CheckpointNotMerged) -> None:
    """Record that a checkpoint failed: the last one stays, and the streams run on."""
    made = draft.point(fact.point).checkpoint
    if made.is_merging and made.last == fact.number:
        draft.emit(ev.PointCheckpointFailed(fact.point, number=fact.number, reason=fact.reason))


def sync_done(draft: Draft, fact: inputs.SyncDone) -> None:
    """Record that files were brought into a workspace."""
    if _is_open(draft, fact):
        synced = ev.StreamSynced(
            fact.stream,
            attempt=fact.attempt,
            point=fact.point,
            number=fact.number,
            files=fact.files,
            removed=fact.removed,
            left_alone=fact.left_alone,
            given_tree=fact.given_tree,
            known_tree=fact.known_tree,
            was_held=fact.was_held,
        )
        draft.emit(synced)


def sync_delayed(draft: Draft, fact: inputs.SyncDelayed) -> None:
    """Say what a stream's share of a checkpoint waits for, once a reason."""
    offer = draft.stream(fact.stream).offer
    if _is_open(draft, fact) and offer is not None and offer.waits_for != fact.reason:
        delayed = ev.SyncDelayed(
            fact.stream,
            attempt=fact.attempt,
            point=fact.point,
            number=fact.number,
            reason=fact.reason,
        )
        draft.emit(delayed)


def sync_not_done(draft: Draft, fact: inputs.SyncNotDone) -> None:
    """Record that nothing was brought: the next checkpoint is offered again."""
    if _is_open(draft, fact):
        declined = ev.SyncDeclined(
            fact.stream,
            attempt=fact.attempt,
            point=fact.point,
            number=fact.number,
            reason=fact.reason,
        )
        draft.emit(declined)


def _is_open(draft: Draft, fact: inputs.SyncDone | inputs.SyncNotDone | inputs.SyncDelayed) -> bool:
    """Return whether just this was offered. What came in as the stream ended still counts."""
    offer = draft.stream(fact.stream).offer
    return offer is not None and (offer.point, offer.number) == (fact.point, fact.number)


def give_back(draft: Draft, stream: Stream) -> None:
    """Withdraw what was offered to an attempt that has no process any more."""
    offer = stream.offer
    if offer is not None and stream.phase is not Phase.CAPTURING:
        reason = f"{stream.id} is {stream.phase}"
        draft.emit(
            ev.SyncDeclined(
                stream.id,
                attempt=stream.attempt,
                point=offer.point,
                number=offer.number,
                reason=reason,
            )
        )


# --- what is owed --------------------------------------------------------------------------------


def owed_by_point(point: Point) -> Iterator[fx.Effect]:
    """Yield the merge that a checkpoint waits for."""
    made = point.checkpoint
    if made.is_merging:
        yield fx.MergeCheckpoint(point=point.id, number=made.last, cause=made.cause)


def owed_to(state: State, stream: Stream) -> Iterator[fx.Effect]:
    """Yield what is to be brought to a running stream."""
    offer = stream.offer
    if offer is not None and stream.phase is Phase.RUNNING:
        interval = state.point_plan(offer.point).interval_seconds
        yield fx.OfferCheckpoint(
            stream=stream.id,
            attempt=stream.attempt,
            point=offer.point,
            number=offer.number,
            patience_seconds=max(PATIENCE_SHARE * interval, LEAST_PATIENCE_SECONDS),
            cause=offer.cause,
        )
