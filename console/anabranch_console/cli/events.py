"""``anabranch events``: what happened, one line an event."""

from __future__ import annotations

import time
from typing import Any

import click

from anabranch.core.events import Event, Recorded
from anabranch.core.model.state import State
from anabranch.core.views.projections import event_line
from anabranch.core.wording import duration
from anabranch.engine.follower import RunFollower
from anabranch.engine.runs import records_of
from anabranch_console.cli.output import print_json_line, run_argument, shown
from anabranch_console.cli.reading import found_run, known_streams
from anabranch_console.presenters import coordination_events, handler_events, queue_events

DETAILS = handler_events.DETAILS | queue_events.DETAILS
"""What is told of events whose reason alone does not say it."""
FOLLOW_SECONDS = 0.2


@click.command
@run_argument
@click.option("--follow", "-f", is_flag=True, help="Go on until the run ends.")
@click.option("--stream", help="Only what concerns one stream or point.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines (schema 1).")
def command(run: str | None, follow: bool, stream: str | None, as_json: bool) -> None:
    """List what happened in RUN (that goes on)."""
    found, state = found_run("events", run)
    known_streams(state, [stream] if stream else [], state.points)
    cursor = 0
    for record in records_of(found.folder):
        _tell(state, record, stream, as_json)
        cursor = record.seq
    if follow and not state.has_ended:
        _follow(RunFollower(found.folder), cursor, stream, as_json)


def _follow(follower: RunFollower, cursor: int, stream: str | None, as_json: bool) -> None:
    try:
        while True:
            frame = follower.take(cursor)
            cursor = frame.cursor
            for record in frame.events:
                _tell(frame.state, record, stream, as_json)
            if frame.state.has_ended:
                return
            time.sleep(FOLLOW_SECONDS)
    finally:
        follower.close()


def _tell(state: State, record: Recorded, only: str | None, as_json: bool) -> None:
    line = event_line(state, record)
    if only is not None and only not in _named(line):
        return
    if as_json:
        print_json_line(line)
        return
    subject = line.get("stream") or line.get("point") or " and ".join(line.get("streams") or ())
    cause = f" ←{record.cause}" if record.cause else ""
    in_words = DETAILS.get(type(record.event))
    detail = in_words(record.event) if in_words else _detail(line) or _otherwise(record.event)
    click.echo(
        f"{duration(record.at):>7} {record.seq:>5}{cause:<6} {line['type']:<22} "
        f"{subject:<16} {shown(str(detail), 100)}".rstrip()
    )


def _named(line: dict[str, Any]) -> set[str | None]:
    """Return whom an event is about: one stream or point, or who waits in a slot's queue."""
    waiting = (queued["stream"] for queued in line.get("queued") or ())
    return {line.get("stream"), line.get("point"), *waiting}


def _detail(line: dict[str, object]) -> object:
    said = (
        line.get(key) for key in ("reason", "message", "question", "answer", "text", "evidence")
    )
    return next((text for text in said if text), None) or _brief(line)


def _otherwise(event: Event) -> str:
    """Return what the console says of an event that brings neither a reason nor figures."""
    in_words = coordination_events.DETAILS.get(type(event))
    return in_words(event) if in_words else ""


def _brief(line: dict[str, object]) -> str:
    keys = ("attempt", "pid", "exit_code", "signal", "files_changed", "commit")
    return " ".join(f"{key}={line[key]}" for key in keys if line.get(key) is not None)
