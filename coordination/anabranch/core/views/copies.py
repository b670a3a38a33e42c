"""Copies of streams as they are told: beside a stream, and in the report."""

from __future__ import annotations

from typing import Any

from anabranch.core.deciding.streams.copies import in_words
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import Copy, State, Stream
from anabranch.core.wording import age, counted, duration, utc

_DOES = {
    Phase.PREPARING: "starting",
    Phase.STARTING: "starting",
    Phase.SETTING_UP: "setting_up",
    Phase.RUNNING: "running",
    Phase.STOPPING: "ending",
    Phase.CAPTURING: "ending",
}


def copy_of(state: State, stream: Stream) -> Copy | None:
    """Return the attempt that is at work beside a stream's own, if there is one."""
    return state.copies.get(stream.id)


def since_in_words(copy: Copy, now: float) -> str:
    """Return an attempt beside a stream's own in words, with how long it has been there."""
    return f"{in_words(copy)}, for {age(max(0.0, now - copy.since))}"


def copy_status(state: State, stream: Stream) -> dict[str, Any] | None:
    """Return the attempt beside a stream's own as ``status --json`` tells it; None without one."""
    copy = copy_of(state, stream)
    if copy is None:
        return None
    run = copy.run
    return {
        "attempt": run.attempt,
        "of": copy.of,
        "state": _DOES[run.phase],
        "fenced": run.stop.reason if run.stop else None,
        "slot": run.slot,
        "since": utc(state.started_wall + copy.since),
        "elapsed_seconds": copy.elapsed_seconds,
        "long_seconds": copy.long_seconds,
        "pid": run.pid if run.phase in (Phase.RUNNING, Phase.STOPPING) else None,
        "workspace": run.workspace.path if run.workspace else None,
        "log": run.log,
    }


def speculation(state: State) -> dict[str, Any]:
    """Return what has come of copies, as the report tells it."""
    known = state.speculation
    return {
        "copies": known.copies,
        "won": known.won,
        "fenced": known.fenced,
        "seconds_saved": round(known.seconds_saved, 3),
        "seconds_spent": round(known.seconds_spent, 3),
    }


def speculation_in_words(found: dict[str, Any]) -> str:
    """Return what has come of copies in one line, from what the report has."""
    copies = counted(found["copies"], "copy", "copies")
    saved, spent = duration(found["seconds_saved"]), duration(found["seconds_spent"])
    gain = f"; about {saved} saved" if found["won"] else ""
    return f"{copies}, {found['won']} of them first{gain}; {spent} worked for nothing"
