"""``anabranch resolve``: decide what becomes of conflicted files, and go on."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import click

from anabranch.core import events as ev
from anabranch.core.ids import StreamId
from anabranch.core.inputs import HandBack, ReopenConflict, ResolveConflict
from anabranch.core.model.state import RunPhase, State
from anabranch.core.views.conflicts import decisions_of, open_conflicts, resolution_of
from anabranch.engine.settling import (
    PlainChoice,
    paths_named,
    repository_of,
    settled_by_choice,
    settled_by_command,
    settled_by_text,
)
from anabranch.errors import NotSettled, UsageError
from anabranch.hostile_text import utf8_text
from anabranch.paths import RunFolder
from anabranch_console.cli.output import say, shown
from anabranch_console.cli.steering import state_of, steer
from anabranch_console.cli.which_run import run_meant

MOST_AT_ONCE = 100

Found = list[tuple[ev.Conflict, ev.ConflictedPath]]


@click.command
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--ours", "choice", flag_value="ours", help="Take what was merged before.")
@click.option("--theirs", "choice", flag_value="theirs", help="Take what the late stream brought.")
@click.option(
    "--both", "choice", flag_value="both", help="Take the lines of both, one after the other."
)
@click.option("--file", "file", metavar="FILE", help="Take FILE's text; markers are refused.")
@click.option("--command", "resolver", metavar="CMD", help="Have CMD settle it (see the manual).")
@click.option(
    "--back-to", metavar="STREAM", help="Have STREAM do its work again on top of the other."
)
@click.option(
    "--undo", "takes_back", is_flag=True, help="Take back what was decided about the PATHs."
)
@click.option("--note", default="", metavar="TEXT", help="With --back-to: what to tell the stream.")
@click.option("--all", "wants_all", is_flag=True, help="Every path that waits for a decision.")
@click.option("--point", metavar="POINT", help="Only what is in conflict at POINT.")
@click.option("--run", help="The run; by default the one that is in conflict.")
def command(
    paths: tuple[str, ...],
    choice: PlainChoice | None,
    file: str | None,
    resolver: str | None,
    back_to: str | None,
    takes_back: bool,
    note: str,
    wants_all: bool,
    point: str | None,
    run: str | None,
) -> None:
    """Decide what becomes of PATHs in conflict. When all of a conflict is decided, the run goes on.

    A decision is remembered for the run: where the same three versions meet again, it holds. Until
    a stream has started from it, or the result is approved, --undo takes it back.
    """
    home = run_meant("resolve --undo", run) if takes_back else run_meant("resolve", run)
    state = state_of(home)
    ways = [w for w in (choice, file, resolver, back_to, takes_back or None) if w is not None]
    if len(ways) != 1:
        ways_there_are = "--ours, --theirs, --both, --file, --command, --back-to, --undo"
        raise click.UsageError(f"say one of {ways_there_are}")
    if takes_back:
        _take_back(home, state, paths, wants_all, point)
        return
    if back_to is not None:
        reason = "handed back by you"
        handing = HandBack(stream=StreamId(back_to), note=note, reason=reason)
        state = steer(home, handing, reason)
        say(f"{shown(back_to)} does its work again; run {home.run} is {shown(state.phase)}")
        return
    found = _chosen(state, paths, wants_all or resolver is not None, point)
    if file is not None and len({p.path for _, p in found}) != 1:
        raise click.UsageError("--file decides one path")
    if resolver is not None:
        resolutions = _by_command(state, home, found, resolver)
    else:
        resolutions = _by_choice(state, found, choice, file)
    for start in range(0, len(resolutions), MOST_AT_ONCE):
        batch = tuple(resolutions[start : start + MOST_AT_ONCE])
        reason = "decided by you"
        state = steer(home, ResolveConflict(resolutions=batch, reason=reason), reason)
    _tell(home, state)


def _take_back(
    home: RunFolder, state: State, paths: Sequence[str], takes_all: bool, point: str | None
) -> None:
    """Have paths decided again. Raises UsageError if nothing was decided about one."""
    if not paths and not takes_all:
        raise click.UsageError("name the PATHs, or say --all")
    made = [d.resolution for d in decisions_of(state) if point in (None, d.point)]
    names = [utf8_text(path) for path in paths]
    known = {resolution.path for resolution in made}
    for name in names:
        if name not in known:
            there_are = ", ".join(sorted(known)[:5]) or "nothing at all"
            raise UsageError(f"nothing was decided about {name}", f"what was: {there_are}")
    chosen = tuple(r for r in made if takes_all or r.path in names)
    if not chosen:
        raise UsageError("nothing was decided", "anabranch conflicts lists what waits")
    reason = "taken back by you"
    state = steer(home, ReopenConflict(resolutions=chosen, reason=reason), reason)
    say(f"taken back; run {home.run} is {shown(state.phase)}")


def _chosen(state: State, paths: Sequence[str], takes_all: bool, point: str | None) -> Found:
    waiting = [
        (conflict, path)
        for at, conflict in open_conflicts(state)
        if point in (None, at)
        for path in conflict.paths
    ]
    if paths:
        return paths_named(waiting, [utf8_text(path) for path in paths])
    if not takes_all:
        raise click.UsageError("name the PATHs, or say --all")
    if not waiting:
        raise UsageError(
            "nothing waits for a decision", "anabranch status shows how the run stands"
        )
    return [(c, p) for c, p in waiting if resolution_of(state, p) is None]


def _by_choice(
    state: State, found: Found, choice: PlainChoice | None, file: str | None
) -> list[ev.Resolution]:
    repo, run = repository_of(state), state.run
    if choice is not None:
        return [settled_by_choice(repo, run, c, p, choice) for c, p in found]
    assert file is not None
    try:
        content = Path(file).read_bytes()
    except OSError as error:
        raise UsageError(f"cannot read {file}: {error.strerror}") from None
    return [settled_by_text(repo, run, p, content) for _, p in found]


def _by_command(state: State, home: RunFolder, found: Found, resolver: str) -> list[ev.Resolution]:
    repo, wanted = repository_of(state), {id(p) for _, p in found}
    env = dict(os.environ, ANABRANCH_RUN=state.run)
    made: list[ev.Resolution] = []
    for conflict in dict.fromkeys(c for c, _ in found):
        by_path = {(p.path, p.base, p.ours, p.theirs) for p in conflict.paths if id(p) in wanted}
        settled, ended = asyncio.run(settled_by_command(repo, home, conflict, resolver, env))
        if ended.exit_code != 0:
            log = home.resolver_log(None)
            raise NotSettled(f"the command has settled nothing: {ended.reason}", f"see {log}")
        made += [r for r in settled if (r.path, r.base, r.ours, r.theirs) in by_path]
    if not made:
        raise NotSettled("the command left conflict markers in every file", "nothing was decided")
    return made


def _tell(home: RunFolder, state: State) -> None:
    left = len(open_conflicts(state))
    if left and state.phase is RunPhase.NEEDS_OPERATOR:
        say(f"decided; {left} more to settle: anabranch conflicts {home.run}")
        return
    say(f"decided; run {home.run} is {shown(state.phase)}")
