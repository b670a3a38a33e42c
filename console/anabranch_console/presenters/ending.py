"""What the console says when a run has ended: the outcome, the reason, and what to do next."""

from __future__ import annotations

from anabranch.core import wording
from anabranch.core.ids import FINAL_POINT
from anabranch.core.model.state import RunPhase, State
from anabranch.core.views.adoption import adoptable
from anabranch.core.views.conflicts import open_conflicts
from anabranch.core.views.projections import is_plain_folder, run_state
from anabranch_console.glyphs import Glyphs
from anabranch_console.lines import Line, Span, line_cells, wrap
from anabranch_console.presenters.header import RUN_WORDS
from anabranch_console.presenters.wording import clock, safe


def ending_lines(state: State, glyphs: Glyphs, cells: int) -> list[Line]:
    """Return the banner of an ended run, ``cells`` wide, and no lines while it lives."""
    if not state.has_ended:
        return []
    name = run_state(state, is_hosted=True)
    style = f"state.{name}"
    outcome = f"{glyphs.state(name)} {RUN_WORDS.get(name, name).capitalize()}"
    head: Line = (Span(outcome, f"{style}.strong"), Span(f"  {_what(state)}", "text"))
    reason = safe(state.reason)
    lines = [head]
    if reason and state.phase is not RunPhase.CONVERGED:
        lines.append((Span(reason, "muted"),))
    report: Line = (Span(f"anabranch report {state.run}", "accent"),)
    if state.phase is RunPhase.NEEDS_OPERATOR:
        if open_conflicts(state):
            here = (Span("6", "key"), Span(" shows both sides and settles it here", "text"))
            lines.append(_as_many_as_fit([here, report], cells))
            return lines
        if adoptable(state):
            here = (Span("8 T", "key"), Span(" shows the attempts and adopts one here", "text"))
            lines.append(_as_many_as_fit([here, report], cells))
            return lines
        lines += [(Span(piece, "text"),) for piece in wrap(safe(state.hint), cells)]
        return [*lines, report]
    refused = _not_approved(state)
    if refused:
        lines += [(Span(piece, "level.warning"),) for piece in wrap(refused, cells)]
    lines.append(_as_many_as_fit([*_next_steps(state), report], cells))
    return lines


def _not_approved(state: State) -> str:
    """Say why the result was not brought to a branch, and the way on unless that is a key here."""
    approval = state.approval
    if state.phase is not RunPhase.CONVERGED or approval.is_done or not approval.message:
        return ""
    way = "" if approval.kind == "sensitive" else f"; {approval.hint}"
    return safe(f"not approved: {approval.message}{way}")


def _what(state: State) -> str:
    final = state.points[FINAL_POINT]
    took = f"after {clock(state.ended_at)}"
    if state.phase is RunPhase.CONVERGED and final.commit and final.merged:
        merged = wording.counted(len(final.merged), "stream")
        if is_plain_folder(state):
            return f"{merged} merged {took}"
        return f"{merged} merged into anabranch/{state.run} {took}"
    succeeded = sum(1 for s in state.streams.values() if s.phase == "succeeded")
    return f"{succeeded} of {wording.counted(len(state.plan.streams), 'stream')} succeeded {took}"


def _next_steps(state: State) -> list[Line]:
    approval = state.approval
    if state.phase is not RunPhase.CONVERGED:
        again = f"anabranch resume {state.run}"
        return [
            (Span("x r", "key"), Span(" tries a stream again", "text")),
            (Span(again, "accent"),),
        ]
    if approval.is_done:
        return [(Span(safe(approval.message), "state.succeeded"),)]
    if approval.message:
        asks = "asks about that" if approval.kind == "sensitive" else "tries it again"
        return [(Span("x A", "key"), Span(f" {asks}", "text"))]
    where = "folder" if is_plain_folder(state) else "branch"
    return [(Span("x A", "key"), Span(f" brings it to your {where}", "text"))]


def _as_many_as_fit(steps: list[Line], cells: int) -> Line:
    line = steps[0]
    for step in steps[1:]:
        longer = (*line, Span("  ·  ", "muted"), *step)
        if line_cells(longer) <= cells:
            line = longer
    return line
