"""Read models: small answers about a state, in the shapes that people and scripts rely on."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec

from anabranch.core import events as ev
from anabranch.core.deciding.guardian import breakers
from anabranch.core.deciding.points.convergence import participants
from anabranch.core.deciding.points.endings import left_out
from anabranch.core.deciding.waiting.reasons import waits_of
from anabranch.core.deciding.waiting.wording import as_json, reason_for, waiting_for
from anabranch.core.ids import FINAL_POINT, PointId, StreamId
from anabranch.core.json_values import value_of
from anabranch.core.model.joined import JoinedStream
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Liveness, Point, PointPhase, RunPhase, State, Stream
from anabranch.core.views.attention import (
    Signs,
    attention_of,
    attention_status,
    signs_of,
)
from anabranch.core.views.conflicts import decisions_of, resolution_of, why_not_reopened
from anabranch.core.views.copies import copy_status
from anabranch.core.views.dead_letters import dead_letter_status
from anabranch.core.views.fusion import fusion_status
from anabranch.core.views.included import included_status
from anabranch.core.views.plugin_faults import plugin_status
from anabranch.core.views.queues import queue_status
from anabranch.core.views.reviews import review_status, reviews_awaited_at
from anabranch.core.views.services import service_status
from anabranch.core.wording import length, utc

SCHEMA = 1


def wall_time(state: State, at: float | None) -> str | None:
    """Return a point on the run clock as RFC 3339 in UTC; None if that is not a time of day."""
    if at is None:
        return None
    return utc(state.started_wall + at)


def event_line(state: State, record: ev.Recorded) -> dict[str, Any]:
    """Return an event as one line of ``events --json``."""
    body: dict[str, Any] = msgspec.to_builtins(record.event, enc_hook=value_of)
    return {
        "schema": SCHEMA,
        "seq": record.seq,
        "time": wall_time(state, record.at),
        "type": body.pop("type"),
        "run": state.run,
        "cause": record.cause,
        **body,
    }


def run_state(state: State, is_hosted: bool) -> str:
    """Return the run's state in the contract's words; a live run without a host is interrupted."""
    if state.phase in (RunPhase.RUNNING, RunPhase.STOPPING):
        return "running" if is_hosted else "interrupted"
    return state.phase.value


def stream_counts(state: State) -> dict[str, int]:
    """Return how many streams are in each public state; states nobody is in are left out."""
    return dict(Counter(s.public_state for s in state.streams.values()))


def evidence_for(stream: Stream) -> str:
    """Return the journalled facts behind a stream's state."""
    facts = []
    if stream.attempt:
        facts.append(f"attempt {stream.attempt}")
    if stream.is_active and stream.slot and not stream.is_captured_again:
        facts.append(f"slot {stream.slot}")
    if stream.is_active and stream.goes_on_from:
        facts.append(f"goes on from {stream.goes_on_from}")
    if stream.setup.began_at is not None and not stream.has_ended:
        facts.append(_setup_in_words(stream))
    if stream.phase is Phase.RUNNING and stream.pid:
        facts.append(f"pid {stream.pid}")
    exit_ = stream.exit
    if exit_:
        facts.append("exit status lost" if exit_.lost else f"exit {exit_code_of(stream)}")
    if stream.result:
        facts.append(f"commit {stream.result.commit[:10]}")
    facts += [f"kept {ref}" for ref in stream.partial]
    return ", ".join(facts) or "not started"


def _setup_in_words(stream: Stream) -> str:
    if stream.setup.seconds is None:
        return "its setup runs"
    return stream.setup.failure or f"set up in {length(stream.setup.seconds, 1)}"


def setup_status(state: State, stream: Stream) -> dict[str, Any] | None:
    """Return how the setup of a stream's newest attempt went; None if it had none."""
    known = stream.setup
    if known.began_at is None:
        return None
    return {
        "since": wall_time(state, known.began_at),
        "seconds": known.seconds,
        "exit_code": known.exit_code,
        "failure": known.failure or None,
    }


def exit_code_of(stream: Stream) -> int | None:
    """Return the exit code as a shell tells it: 128 + n for signal n."""
    return stream.exit.status if stream.exit else None


def files_changed_by(stream: Stream, live: int | None = None) -> int | None:
    """Return how many files a stream has changed: what its capture found, as soon as there is one.

    Until then it is what is counted while it runs (``live``), and nothing once it is over: then
    nothing was captured. A result from before it had a figure of its own counts too.
    """
    if stream.files_changed is not None:
        return stream.files_changed
    if stream.result is not None:
        return stream.result.files_changed
    return None if stream.has_ended else live


def stream_status(
    state: State, stream: Stream, live: int | None = None, signs: Signs | None = None
) -> dict[str, Any]:
    """Return one stream as ``status --json`` tells it; ``live`` counts what it has changed."""
    return {
        "stream": stream.id,
        "state": stream.public_state,
        "attempt": stream.attempt,
        "exit_code": exit_code_of(stream),
        "reason": reason_for(state, stream),
        "failure_class": stream.failure_class or None,
        "limits": state.stream_plan(stream.id).limits,
        "alone": stream.memory.is_alone,
        "evidence": evidence_for(stream),
        "heartbeat": heartbeat_status(state, stream.liveness),
        "sync": sync_status(state, stream),
        "pid": stream.pid if stream.phase in (Phase.RUNNING, Phase.STOPPING) else None,
        "started": wall_time(state, stream.first_started_at),
        "ended": wall_time(state, stream.ended_at) if stream.has_ended else None,
        "files_changed": files_changed_by(stream, live),
        "workspace": stream.workspace.path if stream.workspace else None,
        "workspace_made": made_of(stream),
        "ports": dict(stream.ports) if stream.is_active else {},
        "service": service_status(state, stream, lambda at: wall_time(state, at)),
        "log": stream.log,
        "commit": stream.result.commit if stream.result else None,
        "partial": list(stream.partial),
        "rescue": list(stream.rescue),
        "warnings": list(stream.warnings),
        "attention": attention_status(state, attention_of(state, stream.id, signs)),
        "waits_for": waits_as_json(state, stream.id),
        "slot": lease_status(state, stream),
        "goes_on_from": stream.goes_on_from or None,
        "copy": copy_status(state, stream),
        "queue": queue_status(state, stream.id),
        "setup": setup_status(state, stream),
        "review": review_status(state, stream, lambda at: wall_time(state, at)),
    }


def made_of(stream: Stream) -> dict[str, Any] | None:
    """Return by which method a workspace was made, and how to get into one that is shown nowhere.

    None where there is none, or it is the user's own folder.
    """
    found = stream.workspace
    if found is None or not found.method:
        return None
    enter = f"anabranch enter {stream.id}" if found.in_namespace else None
    return {"method": found.method, "in_namespace": found.in_namespace, "enter": enter}


def lease_status(state: State, stream: Stream) -> dict[str, Any] | None:
    """Return which slot a stream runs in, since when and why; None if it holds none."""
    slot = state.slots.get(stream.slot)
    if slot is None or slot.runs != stream.id:
        return None
    return {
        "number": slot.number,
        "incarnation": slot.incarnation,
        "since": wall_time(state, slot.since),
        "because": stream.placed_because or None,
        "before": slot.last,
    }


def heartbeat_status(state: State, known: Liveness | JoinedStream) -> dict[str, Any] | None:
    """Return what a stream's heartbeats said last, and when; None if it never sent one."""
    if known.status_at is None:
        return None
    return {
        "status": known.status,
        "progress": known.progress,
        "info": known.info,
        "at": wall_time(state, known.status_at),
    }


def waits_as_json(state: State, stream: StreamId) -> list[dict[str, Any]]:
    """Return what a stream waits for as ``waits_for`` of ``status --json``."""
    return as_json(waits_of(state, stream), lambda at: wall_time(state, at))


def sync_status(state: State, stream: Stream) -> dict[str, Any] | None:
    """Return what a stream was brought of checkpoints, or why it is not; None if nothing was."""
    offer, synced = stream.offer, stream.synced
    if offer is None and synced is None and not stream.sync_declined:
        return None
    at = "waiting" if offer else "declined" if stream.sync_declined else "brought"
    return {
        "state": at,
        "reason": offer.waits_for if offer else stream.sync_declined,
        "since": wall_time(state, offer.since) if offer else None,
        "files": synced.files if synced else 0,
        "left_alone": list(synced.left_alone) if synced else [],
    }


def joined_streams(state: State) -> list[JoinedStream]:
    """Return the streams that joined from outside, in the order in which they came."""
    return sorted(state.registry.joined.values(), key=lambda j: j.ticket)


def joined_status(state: State, joined: JoinedStream) -> dict[str, Any]:
    """Return a stream that joined from outside as ``status --json`` tells it."""
    ended = "succeeded" if joined.has_succeeded else "stopped"
    return {
        "stream": joined.id,
        "state": ended if joined.has_left else "joined",
        "attempt": joined.attempt,
        "exit_code": None,
        "reason": _joined_reason(state, joined),
        "evidence": "told by itself; it has no process of ours",
        "heartbeat": heartbeat_status(state, joined),
        "pid": None,
        "started": wall_time(state, joined.since),
        "ended": wall_time(state, joined.ended_at),
        "files_changed": None,
        "workspace": None,
        "ports": {},
        "log": None,
        "partial": [],
        "rescue": [],
        "warnings": [],
        "capabilities": list(joined.capabilities),
        "attention": attention_status(state, attention_of(state, joined.id)),
        "waits_for": waits_as_json(state, joined.id),
        "slot": None,
        "goes_on_from": None,
        "queue": None,
        "review": None,
    }


def _joined_reason(state: State, joined: JoinedStream) -> str:
    waits = waiting_for(state, joined.id)
    return f"waits for {waits}" if waits else joined.status or joined.reason


_POINT_STATES = {PointPhase.OPEN: "waiting"}


def point_status(state: State, point: Point) -> dict[str, Any]:
    """Return one convergence point as ``status --json`` tells it."""
    expected = participants(state, point.id)
    gone = {*point.arrived, *point.departed}
    missing = [s for s in expected if s not in gone] if not point.is_settled else []
    reviews = reviews_awaited_at(state, point, missing)
    quarantined = [s for s in expected if _is_quarantined_at(state, point.id, state.streams[s])]
    return {
        "point": point.id,
        "type": state.point_plan(point.id).type,
        "state": _POINT_STATES.get(point.phase, point.phase.value),
        "reason": f"waits for review of {', '.join(reviews)}" if reviews else point.reason,
        "arrived": list(point.arrived),
        "waiting_for": missing,
        "reviews": reviews,
        "merged": list(point.merged),
        "quarantined": quarantined,
        "left_out": [{"stream": s, "reason": why} for s, why in left_out(state, point).items()],
        "warnings": list(point.warnings),
        "verify": state.point_plan(point.id).verify or None,
        "adopted": point.adoption.adopted,
        "asks_to_adopt": list(point.adoption.asked),
        "guilty": [list(streams) for streams in point.guilty],
        "conflicts": [
            {"paths": [p.path for p in c.paths], "streams": list(c.streams)}
            for c in point.conflicts
        ],
    }


def _is_quarantined_at(state: State, point: PointId, stream: Stream) -> bool:
    """Say whether a stream was left out at this point; at later ones it is missing, not twice."""
    where = stream.quarantined_at or state.stream_plan(stream.id).converge
    return stream.phase is Phase.QUARANTINED and where == point


def conflict_status(state: State, point: PointId, conflict: ev.Conflict) -> dict[str, Any]:
    """Return a conflict that waits for a decision as ``conflicts --json`` tells it."""
    return {
        "point": point,
        "streams": list(conflict.streams),
        "halts": conflict.halts or None,
        "paths": [
            {
                "path": p.path,
                "kind": p.kind,
                "base": p.base,
                "ours": p.ours,
                "theirs": p.theirs,
                "decided": None if (made := resolution_of(state, p)) is None else made.choice,
            }
            for p in conflict.paths
        ],
    }


def decisions_status(state: State) -> list[dict[str, Any]]:
    """Return what was decided about conflicts and holds, the newest first."""
    return [
        {
            "path": made.resolution.path,
            "choice": made.resolution.choice,
            "by": made.by,
            "at": wall_time(state, made.at),
            "point": made.point,
            "streams": list(made.streams),
            "stays": None if (why := why_not_reopened(state, made)) is None else why.reason,
        }
        for made in decisions_of(state)
    ]


def foreseen_status(state: State) -> list[dict[str, Any]]:
    """Return the conflicts that the radar foresees, the oldest first."""
    return [
        {
            "streams": list(found.streams),
            "paths": [{"path": p.path, "kind": p.kind} for p in found.paths],
            "since": wall_time(state, found.since),
            "told": found.is_told,
        }
        for found in sorted(state.foreseen.values(), key=lambda f: (f.since, f.streams))
    ]


def breaker_status(state: State) -> list[dict[str, Any]]:
    """Return the circuit breakers as ``breakers --json`` tells them: those not closed first."""
    known = sorted(state.breakers.by_name.values(), key=lambda b: (b.phase == "closed", b.name))
    return [
        {
            "breaker": b.name,
            "state": b.phase.value,
            "reason": b.reason,
            "failures": b.failures,
            "outcomes": len(b.recent),
            "usual_rate": round(b.usual_rate, 3),
            "until": wall_time(state, b.until) if b.phase == "open" else None,
            "probe": b.probe,
            "holds_back": breakers.waiting_for(state, b.name) if b.phase != "closed" else [],
        }
        for b in known
    ]


def status(
    state: State,
    is_hosted: bool,
    overhead_share: float | None,
    silent_since: float | None = None,
) -> dict[str, Any]:
    """Return a run as ``status --json`` tells it.

    ``silent_since`` is the time of day, in seconds since 1970, since which its host gives no sign.
    """
    final, signs = state.points[FINAL_POINT], signs_of(state)
    has_result = final.commit is not None and any(s.result for s in state.streams.values())
    return {
        "schema": SCHEMA,
        "run": state.run,
        "plan": state.plan.name,
        "state": run_state(state, is_hosted),
        "is_open": state.plan.is_open,
        "host_silent_since": utc(silent_since) if silent_since else None,
        "reason": state.reason,
        "hint": state.hint,
        "proof": state.proof,
        "branch": f"anabranch/{state.run}" if has_result else None,
        "commit": final.commit if has_result else None,
        "approved": state.approval.is_done,
        "approval": state.approval.message,
        "warnings": list(state.warnings),
        "included": included_status(state),
        "streams": [
            *(stream_status(state, state.streams[p.id], signs=signs) for p in state.plan.streams),
            *(joined_status(state, joined) for joined in joined_streams(state)),
        ],
        "convergence": [point_status(state, p) for p in in_plan_order(state)],
        "foreseen": foreseen_status(state),
        "dead_letters": dead_letter_status(state),
        "breakers": [row for row in breaker_status(state) if row["state"] != "closed"],
        "plugins": plugin_status(state),
        "fusion": fusion_status(state),
        "overhead_share": overhead_share,
    }


def is_plain_folder(state: State) -> bool:
    """Say whether the project is not a git repository; one without commits still has a branch."""
    return state.base is not None and state.base.head is None and state.base.branch is None


def in_plan_order(state: State) -> list[Point]:
    """Return the points in the order of the plan, the final one last."""
    return [state.points[p.id] for p in state.plan.points]


def run_summary(state: State, is_hosted: bool) -> dict[str, Any]:
    """Return a run as one row of ``runs --json``."""
    return {
        "run": state.run,
        "plan": state.plan.name,
        "project": state.project,
        "state": run_state(state, is_hosted),
        "started": wall_time(state, 0.0),
        "ended": wall_time(state, state.ended_at),
        "streams": stream_counts(state),
    }


def story(records: list[ev.Recorded], name: str) -> list[ev.Recorded]:
    """Return the events about one stream or point: the answer to "why?"."""
    return [
        r
        for r in records
        if name in (getattr(r.event, "stream", None), getattr(r.event, "point", None))
    ]
