"""``anabranch review``: look at results before they are merged; take them, or hand them back."""

from __future__ import annotations

from typing import Any

import click

from anabranch.core.ids import StreamId
from anabranch.core.inputs import HandBackWork, TakeWork
from anabranch.core.model.state import State, Stream
from anabranch.core.views.projections import SCHEMA, stream_status
from anabranch.core.views.reviews import review_of, waiting_for_review, waits_for_review
from anabranch.core.wording import age, counted
from anabranch.engine.differences import DifferenceReader, StreamDifference
from anabranch.engine.reaching_layers import reach_layers_of
from anabranch.engine.runs import FoundRun
from anabranch.errors import UsageError, WorldError
from anabranch_console.cli.diff import as_json_object, print_stat
from anabranch_console.cli.output import json_option, print_json, print_table, say, shown
from anabranch_console.cli.reading import found_run, known_streams, last_moment
from anabranch_console.cli.steering import state_of, steer
from anabranch_console.cli.which_run import RunsHere, run_meant

TAKEN, HANDED_BACK = "taken by you", "handed back by you"


@click.command
@click.argument("stream", required=False)
@click.option("--take", "takes", is_flag=True, help="Let the result be merged.")
@click.option("--hand-back", "hands_back", is_flag=True, help="Have the stream go on from it.")
@click.option("-m", "--message", "note", default="", metavar="TEXT", help="What is to be done.")
@click.option(
    "--commit", metavar="COMMIT", help="Only if this is still the result; the newest by default."
)
@click.option("--run", help="The run; by default the latest where it waits.")
@json_option
def command(
    stream: str | None,
    takes: bool,
    hands_back: bool,
    note: str,
    commit: str | None,
    run: str | None,
    as_json: bool,
) -> None:
    """Show the result of STREAM that waits for a review, or all that do; decide about it.

    What is handed back goes on from its result, with the message and the notes that were written
    in the console. Only what was taken is merged.
    """
    if takes and hands_back:
        raise click.UsageError("say one of --take and --hand-back")
    if (takes or hands_back) and stream is None:
        raise click.UsageError("name the STREAM")
    if note and not hands_back:
        raise click.UsageError("a message goes with --hand-back")
    if stream is not None and (takes or hands_back):
        _decide(stream, run, note if hands_back else None, commit, as_json)
        return
    found, state = found_run("review", run, stream)
    reach_layers_of(found.folder)
    if stream is None:
        _list(found, state, as_json)
    else:
        (name,) = known_streams(state, [stream])
        _show(state, name, as_json)


def _decide(
    name: str, run: str | None, note: str | None, commit: str | None, as_json: bool
) -> None:
    """Take a result, or hand it back with a note."""
    home = run_meant("review", run, name)
    state = state_of(home)
    (stream,) = known_streams(state, [name])
    looked_at = _full_commit(state, stream, commit)
    if note is None:
        state = steer(home, TakeWork(stream=stream, commit=looked_at, reason=TAKEN), TAKEN)
    else:
        handing = HandBackWork(stream=stream, commit=looked_at, note=note, reason=HANDED_BACK)
        state = steer(home, handing, HANDED_BACK)
    if as_json:
        print_json({"schema": SCHEMA, "run": state.run, **_status(state, state.streams[stream])})
        return
    what = "is taken" if note is None else "goes on from its result"
    say(f"{shown(name)} {what}; run {home.run} is {shown(state.phase)}")


def _full_commit(state: State, name: StreamId, asked: str | None) -> str:
    """Return the commit that somebody means, or that a stream has now."""
    stream = state.streams.get(name)
    has = stream.result.commit if stream is not None and stream.result is not None else ""
    if asked is None or (len(asked) >= 7 and has.startswith(asked)):
        return has
    return asked


def _status(state: State, stream: Stream) -> dict[str, Any]:
    row = stream_status(state, stream)
    return {name: row[name] for name in ("stream", "state", "attempt", "reason", "review")}


def _list(found: FoundRun, state: State, as_json: bool) -> None:
    waiting = waiting_for_review(state)
    seen = {name: _stat(state, name) for name in waiting}
    if as_json:
        rows = [{**_status(state, state.streams[name]), **_sums(seen[name])} for name in waiting]
        print_json({"schema": SCHEMA, "run": state.run, "reviews": rows})
        return
    if not waiting:
        say(f"nothing in run {state.run} waits for a review")
        return
    now = last_moment(found, state)
    print_table(
        ["STREAM", "TRY", "SINCE", "CHANGED", "NOTES", "COMMIT"],
        [_row(state, name, seen[name], now) for name in waiting],
    )
    _say_how(state, "STREAM")


def _say_how(state: State, stream: str) -> None:
    """Say what may be typed about what waits."""
    runs = RunsHere()
    say(f"look:   {runs.named_in(f'anabranch diff {stream}', state.run)}")
    decide = f"anabranch review {stream} --take | --hand-back -m TEXT"
    say(f"decide: {runs.named_in(decide, state.run)}")


def _row(state: State, name: StreamId, seen: StreamDifference | None, now: float) -> list[str]:
    stream = state.streams[name]
    sums = _sums(seen)
    files = counted(sums["files"], "file") if seen else "?"
    changed = f"{files} +{sums['added']} -{sums['removed']}" if seen else files
    commit = stream.result.commit[:12] if stream.result else ""
    notes = str(len(review_of(state, name).notes) or "")
    return [name, str(stream.attempt), age(max(0.0, now - stream.since)), changed, notes, commit]


def _sums(seen: StreamDifference | None) -> dict[str, Any]:
    found = seen.found if seen else None
    return {
        "files": len(found.files) if found else None,
        "added": found.added if found else None,
        "removed": found.removed if found else None,
    }


def _stat(state: State, name: StreamId) -> StreamDifference | None:
    """Return how much a stream has changed; None if that cannot be read now."""
    try:
        with DifferenceReader(state) as reader:
            return reader.read(state, name, with_lines=False)
    except (UsageError, WorldError):
        return None


def _show(state: State, name: StreamId, as_json: bool) -> None:
    stream = state.streams.get(name)
    if stream is None:
        raise UsageError(f"{name} was started outside", "what it brings is not merged from here")
    row = _status(state, stream)
    seen = _stat(state, name)
    if as_json:
        changes = as_json_object(seen, with_lines=False) if seen else None
        print_json({"schema": SCHEMA, "run": state.run, **row, "changes": changes})
        return
    if row["review"] is None:
        say(f"{shown(name)} needs no review")
    click.echo(f"{shown(name)} is {row['state'].replace('_', ' ')}: {shown(row['reason'])}")
    _print_review(row["review"] or {})
    if seen is not None:
        print_stat(seen)
    if waits_for_review(state, name):
        _say_how(state, shown(name))


def _print_review(review: dict[str, Any]) -> None:
    if review.get("state"):
        by = f" by the {review['by']}" if review["by"] else ""
        attempt, commit = review["attempt"], (review["commit"] or "")[:12]
        state = {"waiting": "waits for a review", "taken": "taken", "handed_back": "handed back"}
        click.echo(f"{state[review['state']]}{by}: attempt {attempt}, {commit}")
    if review.get("note"):
        click.echo(f"said: {shown(review['note'])}")
    for noted in review.get("notes", ()):
        line = f" | {noted['line'].strip()}" if noted["line"] else ""
        click.echo(f"note {noted['number']}: {shown(noted['path'] + line)}: {shown(noted['text'])}")
