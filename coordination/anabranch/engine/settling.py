"""What front ends need to show a conflict and to settle it: the sides' texts, a decision's blob.

Works beside an engine that hosts the run and without one: only objects and refs of their own are
written here. The decision itself goes to the engine as a command.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import msgspec

from anabranch.core import events as ev
from anabranch.core.ids import RunId, StreamId
from anabranch.core.model.state import State, Stream
from anabranch.engine import workspaces as ws
from anabranch.engine.bounded_command import Ended, run_bounded
from anabranch.engine.git_variables import without_git_variables
from anabranch.engine.opening import open_project
from anabranch.engine.performers.resolver import (
    TIMEOUT_SECONDS,
    Room,
    inside,
    labels_of,
    read_plain_file,
)
from anabranch.errors import UsageError
from anabranch.paths import RunFolder

PlainChoice = Literal["ours", "theirs", "both"]


class SideTexts(msgspec.Struct, frozen=True):
    """A conflicted path as base, ours and theirs have it; None: no file, or nothing to be shown.

    ``marked`` has both sides in one text with conflict markers, None where none can show it.
    """

    base: bytes | None
    ours: bytes | None
    theirs: bytes | None
    marked: bytes | None


def repository_of(state: State) -> ws.Repository:
    """Return the project that a run works on. Raises UsageError if it is gone."""
    return open_project(Path(state.project))[0]


def texts_of(
    repo: ws.Repository, run: RunId, conflict: ev.Conflict, path: ev.ConflictedPath
) -> SideTexts:
    """Return what each side has. Raises GitError."""
    with ws.Sides(repo, run) as sides:
        marked = sides.merged(path, labels_of(conflict))
        base, ours, theirs = (sides.content(b) for b in (path.base, path.ours, path.theirs))
    return SideTexts(base, ours, theirs, marked)


def texts_foreseen(
    repo: ws.Repository, state: State, streams: Sequence[StreamId], path: ev.ConflictedPath
) -> SideTexts:
    """Return what two streams have in their workspaces now. Raises GitError."""
    with ws.Sides(repo, state.run) as sides:
        base = sides.content(path.base)
    ours, theirs = (_in_workspace(state.streams[s], path.path) for s in streams)
    return SideTexts(base, ours, theirs, None)


def _in_workspace(stream: Stream, path: str) -> bytes | None:
    if stream.workspace is None:
        return None
    try:
        return read_plain_file(inside(Path(stream.workspace.path), path))
    except (OSError, ValueError):
        return None


def settled_by_choice(
    repo: ws.Repository,
    run: RunId,
    conflict: ev.Conflict,
    path: ev.ConflictedPath,
    choice: PlainChoice,
) -> ev.Resolution:
    """Return the decision for one side, or for both one after the other. Raises UsageError."""
    if choice != "both":
        return ws.decide_side(path, choice)
    with ws.Sides(repo, run) as sides:
        union = sides.merged(path, labels_of(conflict), union=True)
        if union is None:
            raise UsageError(
                f"{path.path} cannot be both: this is {path.kind}, or not a text",
                "take ours or theirs, or give a file",
            )
        return ev.Resolution.of(path, "both", sides.keep(union), "")


def settled_by_text(
    repo: ws.Repository, run: RunId, path: ev.ConflictedPath, content: bytes
) -> ev.Resolution:
    """Return the decision for a text. Raises UsageError while conflict markers are left in it."""
    if ws.has_markers(content):
        raise UsageError(
            f"conflict markers are left in {path.path}",
            "take out every <<<<<<<, ======= and >>>>>>> line, then try again",
        )
    with ws.Sides(repo, run) as sides:
        return ev.Resolution.of(path, "file", sides.keep(content), "")


async def settled_by_command(
    repo: ws.Repository,
    home: RunFolder,
    conflict: ev.Conflict,
    command: str,
    env: dict[str, str],
) -> tuple[list[ev.Resolution], Ended]:
    """Run a command on a conflict as the plan's resolver would run, and return what it settled."""
    room = Room(repo, home.run, home.resolving / f".by-hand-{secrets.token_hex(4)}")
    try:
        room.set_up(conflict)
        log = home.resolver_log(None)
        variables = without_git_variables(env) | room.variables
        ended = await run_bounded(command, room.working_folder, variables, log, TIMEOUT_SECONDS)
        return (room.decisions(conflict) if ended.exit_code == 0 else []), ended
    finally:
        room.clear()


def paths_named(
    found: Sequence[tuple[ev.Conflict, ev.ConflictedPath]], names: Sequence[str]
) -> list[tuple[ev.Conflict, ev.ConflictedPath]]:
    """Return the conflicted paths that somebody named, in the order given. Raises UsageError."""
    chosen = []
    for name in names:
        here = [(c, p) for c, p in found if p.path == name]
        if not here:
            known = ", ".join(dict.fromkeys(p.path for _, p in found[:5])) or "nothing at all"
            raise UsageError(f"{name} waits for no decision", f"what does: {known}")
        late = here[0][0].late
        chosen += [(c, p) for c, p in here if c.late == late]
    return chosen
