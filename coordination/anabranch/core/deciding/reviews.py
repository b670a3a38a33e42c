"""Decisions about reviews: taking a result, or handing it back to its stream with notes.

A result that waits for a review has come to no point (:mod:`anabranch.core.folds.reviews`). Taking
it names the commit that was looked at, so nothing is merged that nobody has seen. Handing it back
queues the stream's next attempt, which goes on from that very result.
"""

from __future__ import annotations

from anabranch.core import events as ev
from anabranch.core import inputs
from anabranch.core.deciding import terminal
from anabranch.core.deciding.draft import Draft
from anabranch.core.deciding.messages import tell
from anabranch.core.deciding.points import convergence
from anabranch.core.deciding.runs import is_being_approved, unknown_stream
from anabranch.core.folds.adoption import may_count
from anabranch.core.folds.reviews import (
    held_up_by,
    is_taken,
    merged_at,
    review_of,
    waits_for_review,
)
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.outcome import NotYet, Refusal
from anabranch.core.model.reviews import review_as_line, review_as_text
from anabranch.core.model.state import Result, RunPhase, State, Stream
from anabranch.core.model.terminal import LONGEST_LINE_BYTES
from anabranch.core.wording import spelled

MOST_NOTES = 200
LONGEST_NOTE = 10_000
LONGEST_LINE = 1_000
MOST_LINES_AROUND = 5


def take(draft: Draft, command: inputs.TakeWork) -> Refusal | None:
    """Let a result be merged that a person has looked at."""
    state, name = draft.state, command.stream
    found = _looked_at(state, name, command.commit)
    if isinstance(found, Refusal):
        return found
    stream, result = found
    if is_taken(state, stream):
        return Refusal(f"{name} was taken before", "nothing is left to do")
    if name in state.topology.adopted_at and not may_count(state, name):
        return Refusal(f"{name} is one of several in a race", f"anabranch adopt {name} takes it")
    if not waits_for_review(state, name):
        return Refusal(f"{name} has changed nothing", "there is nothing to take")
    if state.has_ended:
        draft.cause = draft.emit(ev.RunReopened(reason=command.reason))
    draft.emit(ev.ReviewTaken(name, attempt=stream.attempt, commit=result.commit, by=command.by))
    terminal.look_at(draft, inputs.LookAt(streams=(name,)))
    return None


def hand_back(draft: Draft, command: inputs.HandBackWork) -> Refusal | None:
    """Have a stream go on from its result, with what a person says of it."""
    state, name = draft.state, command.stream
    found = _looked_at(state, name, command.commit)
    if isinstance(found, Refusal):
        return found
    stream, result = found
    notes = tuple(noted.note for noted in review_of(state, name).notes)
    refusal = _why_not_back(state, name, command.note, bool(notes))
    if refusal:
        return refusal
    if state.has_ended:
        draft.cause = draft.emit(ev.RunReopened(reason=command.reason))
    before = stream.handed_back
    draft.cause = draft.emit(
        ev.WorkHandedBack(
            name,
            attempt=stream.attempt,
            commit=result.commit,
            tree=result.tree,
            start_commit=result.start_commit,
            start_tree=result.start_tree,
            builds_on=before.builds_on if before else (),
            note=command.note.strip(),
            notes=notes,
            by=command.by,
        )
    )
    said = command.note.strip().split("\n")[0] or notes[0].text.strip().split("\n")[0]
    draft.emit(ev.StreamRequeued(name, reason=f"handed back: {said[:200]}", at_once=True))
    if state.stream_plan(name).hand_back != "restart":  # then its command reads them from a file
        tell(draft, name, _message(stream, result, command.note, notes))
    _reopen(draft, name, command.reason)
    return None


def _looked_at(state: State, name: StreamId, commit: str) -> tuple[Stream, Result] | Refusal:
    """Return a finished stream with the result that was looked at, or why it is not that."""
    stream = state.streams.get(name)
    if stream is None:
        return unknown_stream(state, name)
    if name not in state.topology.reviewed:
        return Refusal(
            f"{name} needs no review",
            "review = true in the plan, at a stream or a point, has results wait for you",
        )
    if state.phase is RunPhase.STOPPING:
        return Refusal("the run is stopping", "decide when it has stopped, and was resumed")
    if state.phase not in (RunPhase.RUNNING, RunPhase.NEEDS_OPERATOR):
        return Refusal(f"the run is {state.phase}", f"anabranch resume {state.run} goes on with it")
    if stream.phase is not Phase.SUCCEEDED or stream.result is None:
        is_over = stream.has_ended
        hint = "only work that succeeded is reviewed" if is_over else "it is not finished yet"
        return Refusal(f"{name} is {spelled(stream.public_state)}", hint)
    if commit != stream.result.commit:
        return Refusal(
            f"{name} has another result now: {stream.result.commit[:12]}, of attempt "
            f"{stream.attempt}",
            f"look at that first: anabranch review {name}",
        )
    return stream, stream.result


def _why_not_back(state: State, name: StreamId, note: str, has_notes: bool) -> Refusal | None:
    if not note.strip() and not has_notes:
        return Refusal("nothing is said of it", "say what is to be done: -m TEXT, or notes")
    if len(note) > LONGEST_NOTE:
        return Refusal(f"the note has {len(note)} characters", f"{LONGEST_NOTE} are taken")
    merged = merged_at(state, name)
    if merged is not None:
        return Refusal(f"{name} is merged at {merged} already", "another stream can mend it")
    if any(p.is_busy or p.resolving for p in state.points.values()):
        return NotYet("results are being merged", "try again in a moment")
    if is_being_approved(state):
        return NotYet("the result is on its way to your branch", "try again in a moment")
    return None


def _message(
    stream: Stream, result: Result, note: str, notes: tuple[ev.ReviewNote, ...]
) -> dict[str, object]:
    """Return what a stream finds in its inbox when its work was handed back."""
    listed = [
        {"path": n.path, "line": n.line, "number": n.number, "side": n.side, "text": n.text}
        for n in notes
    ]
    review = {"attempt": stream.attempt, "commit": result.commit, "notes": listed}
    return {"review": review, "text": review_as_text(note, notes)}


def _reopen(draft: Draft, name: StreamId, reason: str) -> None:
    """Have everybody come anew to the points to which the stream, or what it holds up, had come."""
    state = draft.state
    others = [s for s in state.topology.descendants(name) if state.streams[s].has_ended]
    points = {p: None for s in (name, *others) for p in convergence.points_of(state, s)}
    for point_id in points:
        convergence.reopen(draft, point_id, reason)


def follow(draft: Draft, event: ev.StreamEvent) -> None:
    """Let those come to their points whom this stream's review has held up until now.

    One that goes on from work that was handed back is told so as it starts, where it wants that
    typed.
    """
    state, name = draft.state, event.stream
    if isinstance(event, ev.StreamStarted):
        _type_what_was_said(draft, name)
    if name not in state.topology.reviewed or not state.streams[name].has_ended:
        return
    for other in state.topology.descendants(name):
        stream = draft.stream(other)
        if stream.has_ended and not held_up_by(state, other):
            convergence.report_end(draft, stream)


def _type_what_was_said(draft: Draft, name: StreamId) -> None:
    state, plan = draft.state, draft.state.stream_plan(name)
    given = state.streams[name].handed_back
    if plan.hand_back != "input" or not plan.tty or given is None or not given.goes_on:
        return
    line = review_as_line(given.note, given.notes, LONGEST_LINE_BYTES)
    request = f"review of attempt {given.attempt}, attempt {state.streams[name].attempt}"
    terminal.send(draft, inputs.SendInput(stream=name, text=line, request=request))


# --- notes ---------------------------------------------------------------------------------------


def add_note(draft: Draft, command: inputs.AddNote) -> Refusal | None:
    """Keep a note until the work is handed back."""
    state, name, note = draft.state, command.stream, command.note
    if name not in state.streams:
        return unknown_stream(state, name)
    if name not in state.topology.reviewed:
        return Refusal(f"{name} needs no review", "notes go to a stream that is handed back")
    if len(review_of(state, name).notes) >= MOST_NOTES:
        return Refusal(f"there are {MOST_NOTES} notes on {name}", "hand it back, or remove some")
    if not note.text.strip():
        return Refusal("the note says nothing", "write a word, or leave it")
    if len(note.text) > LONGEST_NOTE or len(note.line) > LONGEST_LINE:
        return Refusal("the note is too long", f"{LONGEST_NOTE} characters are taken")
    if any(len(around) > MOST_LINES_AROUND for around in (note.above, note.below)):
        return Refusal("the note is anchored to too many lines", "a few around it will do")
    draft.emit(ev.NoteAdded(name, note=note, by=command.by))
    return None


def remove_note(draft: Draft, command: inputs.RemoveNote) -> Refusal | None:
    """Take a note back that was not sent yet."""
    state, name = draft.state, command.stream
    if name not in state.streams:
        return unknown_stream(state, name)
    if all(noted.number != command.note for noted in review_of(state, name).notes):
        return Refusal(f"there is no note {command.note} on {name}", "it was sent, or removed")
    draft.emit(ev.NoteRemoved(name, note=command.note))
    return None
