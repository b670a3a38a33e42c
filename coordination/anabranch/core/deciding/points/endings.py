"""What proves how a run, or a point, has ended.

A run has not converged because nothing speaks against it: every result that a stream brought has to
be merged at the final point or be named there with the reason why it is not, every point where
somebody brought a result has to have merged, and what it merged has to have passed its check.
"""

from __future__ import annotations

from collections import Counter

from anabranch.core.deciding.points.convergence import participants
from anabranch.core.folds.inheritance import LEFT_OUT
from anabranch.core.folds.verifying import has_passed
from anabranch.core.ids import FINAL_POINT, PointId, StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Point, PointPhase, State, Stream
from anabranch.core.plans.plan import StreamPlan
from anabranch.core.wording import clauses, counted


def left_out(state: State, point: Point) -> dict[StreamId, str]:
    """Return whose result is not in what a point has merged, each with the reason.

    That is whom the point's type did not choose, who does not merge, who is quarantined, and who
    came when the point had merged already.
    """
    found: dict[StreamId, str] = {}
    for name in participants(state, point.id):
        stream = state.streams[name]
        has_result = stream.phase is Phase.SUCCEEDED
        if stream.phase is Phase.PASSED_OVER:
            found[name] = stream.reason
        elif name in point.left_out:
            found[name] = point.left_out[name]
        elif stream.phase in LEFT_OUT:
            found[name] = stream.reason
        elif has_result and point.phase is PointPhase.MERGED and name not in point.merged:
            found[name] = f"it came when {point.id} had merged already"
    return found


def why_not_converged(state: State) -> str | None:
    """Return what would go unsaid if the run counted as converged now; None if it is proved."""
    for plan in state.plan.points:
        why = _unproved(state, state.points[plan.id])
        if why:
            return why
    return None


def _unproved(state: State, point: Point) -> str:
    brought = _brought(state, point.id)
    if point.phase is not PointPhase.MERGED:
        if not brought:
            return ""
        results = counted(len(brought), "result")
        return f"{point.id} is {point.phase} and does not hold {results}: {point.reason}"
    accounted = {*point.merged, *point.left_out}
    lost = [s for s in brought if s not in accounted]
    if lost and point.id == FINAL_POINT:  # at other points it may have come too late
        return f"the result of {lost[0]} is not in the merge, and nothing says why"
    command = state.point_plan(point.id).verify
    if command and point.merged and not (point.tree and has_passed(state, command, point.tree)):
        return f"verify never passed on what {point.id} has merged"
    return ""


def _brought(state: State, point: PointId) -> list[StreamId]:
    found = participants(state, point)
    return [s for s in found if state.streams[s].phase is Phase.SUCCEEDED]


def proof_in_words(state: State) -> str:
    """Return in one sentence what a converged run holds."""
    final = state.points[FINAL_POINT]
    brought, out = _brought(state, FINAL_POINT), left_out(state, final)
    if not brought and not out:
        return "no stream brought a result, and none had to"
    merged = len(set(brought) & set(final.merged))
    standing = f"{merged} of {counted(len(brought), 'result')} merged"
    return f"{standing}; left out: {', '.join(out)}" if out else standing


def speaks_against(state: State, plan: StreamPlan) -> bool:
    """Return whether a stream's end keeps a run from having converged.

    Of a service only its failure does: it may have been ended, or never been needed.
    """
    phase = state.streams[plan.id].phase
    return phase is Phase.FAILED if plan.is_service else phase is not Phase.SUCCEEDED


STREAMS_NAMED = 3


def standing_in_words(state: State) -> str:
    """Return what proves an end that is not a good one: how each stream ended, and what is kept.

    Whoever did not succeed is named with the evidence, an exit code and an attempt, and with the
    refs that keep its work; a point that did not merge is named with its phase.
    """
    streams = [state.streams[p.id] for p in state.plan.streams]
    counts = Counter(stream.public_state for stream in streams)
    ends = ", ".join(f"{n} {word}" for word, n in sorted(counts.items()))
    others = [s for s in streams if s.phase not in (Phase.SUCCEEDED, Phase.SKIPPED)]
    parts = [clauses([f"{s.id}: {_evidence(s)}" for s in others], STREAMS_NAMED)] if others else []
    points = [state.points[p.id] for p in state.plan.points]
    held = (PointPhase.BLOCKED, PointPhase.ABANDONED)
    parts += [f"{p.id} is {p.phase}" for p in points if p.phase in held]
    return "; ".join(["no process runs any more", ends, *parts])


def _evidence(stream: Stream) -> str:
    """Return the journalled facts about how a stream ended."""
    if not stream.attempt:
        return f"{stream.public_state}, never started"
    status = stream.exit.status if stream.exit else None
    ended = "its exit status is not known" if status is None else f"exit {status}"
    kept = [f"kept {ref}" for ref in stream.partial[-1:]]
    return ", ".join([f"attempt {stream.attempt}", ended, *kept])
