"""``anabranch conflicts``: what does not merge, with both sides."""

from __future__ import annotations

from collections.abc import Sequence

import click

from anabranch.core.events import ConflictedPath
from anabranch.core.ids import StreamId
from anabranch.core.inputs import TellConflict
from anabranch.core.model.state import State
from anabranch.core.views.conflicts import in_order, open_conflicts, resolution_of
from anabranch.core.views.projections import (
    SCHEMA,
    conflict_status,
    decisions_status,
    foreseen_status,
)
from anabranch.engine.settling import (
    SideTexts,
    paths_named,
    repository_of,
    texts_foreseen,
    texts_of,
)
from anabranch_console.cli.output import (
    json_option,
    print_json,
    print_table,
    run_argument,
    say,
    shown,
)
from anabranch_console.cli.reading import found_run
from anabranch_console.cli.steering import steer
from anabranch_console.cli.which_run import RunsHere
from anabranch_console.presenters.side_diff import diff_texts


@click.command
@run_argument
@click.option("--show", "path", metavar="PATH", help="Show what each side did to PATH.")
@click.option(
    "--tell", nargs=2, metavar="A B", help="Tell both streams of the conflict that is foreseen."
)
@json_option
def command(run: str | None, path: str | None, tell: tuple[str, str] | None, as_json: bool) -> None:
    """List what of RUN (that is in conflict) does not merge, what would not if it ended now, and
    what was decided: how, by whom and when."""
    found_home, state = found_run("conflicts", run)
    if tell:
        one, other = map(StreamId, tell)
        steer(found_home.folder, TellConflict(streams=(one, other)), "told by you")
        say(f"{shown(tell[0])} and {shown(tell[1])} have a message about it")
    elif as_json:
        found = [conflict_status(state, point, c) for point, c in open_conflicts(state)]
        foreseen = foreseen_status(state)
        made = decisions_status(state)
        listed = {"conflicts": found, "foreseen": foreseen, "decisions": made}
        print_json({"schema": SCHEMA, "run": state.run, **listed})
    elif path is not None:
        _show(state, path)
    else:
        _list(state)


def _list(state: State) -> None:
    for point, conflict in open_conflicts(state):
        where = f"before {conflict.halts} could start" if conflict.halts else f"at {point}"
        click.echo(f"{shown(' and '.join(conflict.streams))} conflict {where}:")
        for path in conflict.paths:
            made = resolution_of(state, path)
            decision = f"decided: {made.choice}" if made else "to be decided"
            click.echo(f"  {shown(path.path)}  ({path.kind})  {decision}")
    if open_conflicts(state):
        runs, decide = RunsHere(), "anabranch resolve PATH --ours | --theirs | --both | --file FILE"
        say(f"show a path: {runs.named_in('anabranch conflicts --show PATH', state.run)}")
        say(f"decide:      {runs.named_in(decide, state.run)}")
    for seen in foreseen_status(state):
        paths = ", ".join(p["path"] for p in seen["paths"])
        known = " (both know)" if seen["told"] else ""
        click.echo(
            f"{shown(' and '.join(seen['streams']))} would conflict in {shown(paths)}{known}"
        )
    _list_decisions(state)
    if not open_conflicts(state):
        say(f"nothing in run {state.run} waits for a decision")


def _list_decisions(state: State) -> None:
    """Print what was decided, by whom and when, and why what cannot be decided again stays."""
    made = decisions_status(state)
    if not made:
        return
    rows = [
        [
            decision["path"],
            decision["choice"],
            f"the {decision['by']}",
            decision["at"] or "",
            " and ".join(decision["streams"]),
            decision["stays"] or "can be undone",
        ]
        for decision in made
    ]
    print_table(["DECIDED", "HOW", "BY", "AT", "BETWEEN", "UNDO"], rows)
    if any(decision["stays"] is None for decision in made):
        undo = RunsHere().named_in("anabranch resolve PATH --undo", state.run)
        say(f"decide again: {undo}")


def _show(state: State, name: str) -> None:
    found = [(c, p) for _, c in open_conflicts(state) for p in c.paths]
    foreseen = [(f, p) for f in in_order(state.foreseen) for p in f.paths if p.path == name]
    if foreseen and not any(p.path == name for _, p in found):
        seen, path = foreseen[0]
        repo = repository_of(state)
        _show_sides(path, seen.streams, texts_foreseen(repo, state, seen.streams, path))
        return
    for conflict, path in paths_named(found, [name]):
        texts = texts_of(repository_of(state), state.run, conflict, path)
        _show_sides(path, conflict.streams, texts)


def _show_sides(path: ConflictedPath, streams: Sequence[StreamId], texts: SideTexts) -> None:
    whose = {"ours": " and ".join(streams[:-1]) or "the base of the run", "theirs": streams[-1]}
    for side, text in (("ours", texts.ours), ("theirs", texts.theirs)):
        click.echo(f"--- {shown(path.path)} before both")
        click.echo(f"+++ {side}: {shown(whose[side])}")
        for line in diff_texts(texts.base, text):
            click.echo(f"{line.sign}{shown(line.text)}")
