"""The workspace of one handler: made from where the chain stands, captured, and given back.

A handler with a workspace of its own is to all of this a stream called ``docs@3``; where a stream
has attempts, it has tries, counted over all attempts of its stream. Its work is kept by the ref for
partial work until it is merged; if it is never merged, it stays there.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.core.plans.plan import WorkspaceKind, WorkspaceMethod
from anabranch.core.written_names import name_of, workspace_name
from anabranch.engine.workspaces.capturing import (
    capture_history,
    capture_result,
    capture_what_can_be,
)
from anabranch.engine.workspaces.direct.capture import capture_directly
from anabranch.engine.workspaces.filling import Way
from anabranch.engine.workspaces.handler_chain import Chain
from anabranch.engine.workspaces.identity import WorkspaceReplaced
from anabranch.engine.workspaces.layers.bases import FrozenBase
from anabranch.engine.workspaces.layers.mounting import hide
from anabranch.engine.workspaces.names import (
    handler_name,
    handler_of,
    made_prefix,
    partial_ref,
)
from anabranch.engine.workspaces.own_refs import keep_own_refs
from anabranch.engine.workspaces.preparing import make_workspace
from anabranch.engine.workspaces.reclaiming import reclaim_untouched, reclaim_workspace
from anabranch.engine.workspaces.records import all_records, layers_folder, record_path
from anabranch.engine.workspaces.refs import drop_ref, list_refs, read_ref
from anabranch.engine.workspaces.repository import live_view
from anabranch.engine.workspaces.values import (
    Captured,
    PreparedWorkspace,
    Repository,
    Standing,
)
from anabranch.paths import capitals_count

MOST_IGNORED_BYTES = 32 * 1024 * 1024


class Assignment(msgspec.Struct, frozen=True):
    """Whose handlers these are, and where their workspaces lie: ``folder``.

    ``method`` says how they are made, ``frozen_tree`` what they are made above (nothing: what they
    start from), ``paths`` which part of the project they hold; none stand for all of it.
    """

    repo: Repository
    run: RunId
    stream: StreamId
    attempt: Attempt
    kind: WorkspaceKind
    folder: Path
    prefix: str = ""
    working_dir: str = "."
    method: WorkspaceMethod = "worktree"
    frozen_tree: str = ""
    paths: tuple[str, ...] = ()

    def encoded(self) -> bytes:
        """Return this as JSON."""
        return msgspec.json.encode(self, enc_hook=str)


def assignment_of(data: bytes) -> Assignment:
    """Return what was encoded. Raises msgspec.DecodeError."""
    return msgspec.json.decode(data, type=Assignment, dec_hook=lambda kind, value: kind(value))


class PutAway(msgspec.Struct, frozen=True):
    """What became of a workspace whose work is not merged: ``ref`` keeps it, if there was any."""

    ref: str | None
    stays: bool = False


def make_handler_workspace(
    repo: Repository,
    run: RunId,
    handler: StreamId,
    number: int,
    kind: WorkspaceKind,
    folder: Path,
    start: Standing,
    ground: FrozenBase | None = None,
    method: WorkspaceMethod = "worktree",
    paths: Sequence[str] = (),
) -> PreparedWorkspace:
    """Make a workspace for a handler's try of this number, above a ``ground`` if there is one.

    Raises GitError, OSError.
    """
    return make_workspace(
        repo,
        run,
        handler,
        number,
        kind,
        folder,
        start,
        way=Way(method, ground, paths),
    )


def capture_handler(repo: Repository, workspace: PreparedWorkspace) -> Captured:
    """Capture what a handler that succeeded has done; a ref keeps it. Raises GitError, OSError."""
    run, handler, number = workspace.run, workspace.stream, workspace.attempt
    ref, message = partial_ref(run, handler, number), f"{handler}: the work of a handler"
    direct = capture_directly(repo, workspace, message, ref)
    if direct is not None:
        return direct
    result = capture_result(repo, run, handler, number, workspace, message, ref)
    keep_own_refs(repo, workspace, is_first=True)
    return result


def give_back_merged(repo: Repository, workspace: PreparedWorkspace) -> bool:
    """Remove the workspace of a handler whose work is merged; False if it has to stay.

    What git ignores goes the way it goes with a stream: it is parked, and where there is much of it
    the workspace stays; so it does while somebody stands in its layers.
    """
    run, handler, number = workspace.run, workspace.stream, workspace.attempt
    _remove(repo, workspace)
    ref = partial_ref(run, handler, number)
    if read_ref(repo, ref) is not None:
        drop_ref(repo, ref)
    return not workspace.path.exists()


def _remove(repo: Repository, workspace: PreparedWorkspace) -> None:
    """Remove a workspace whose work is kept, where it is proved to hold nothing else."""
    try:
        if not reclaim_untouched(repo, workspace):
            reclaim_workspace(repo, workspace.run, workspace, MOST_IGNORED_BYTES)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise


def put_away(repo: Repository, workspace: PreparedWorkspace) -> PutAway:
    """Keep what a handler has done that is not merged, and remove its workspace.

    Raises GitError, OSError when it cannot be kept; the workspace stays as it is then.
    """
    run, handler, number = workspace.run, workspace.stream, workspace.attempt
    ref = partial_ref(run, handler, number)
    message = f"{handler}: what try {number} had done"
    left: tuple[str, ...] = ()
    try:
        kept, left = capture_what_can_be(repo, run, workspace, message, ref)
    except WorkspaceReplaced:
        history = capture_history(repo, run, workspace, message, ref)
        return PutAway(ref if history else None, stays=True)
    own = keep_own_refs(repo, workspace)
    has_nothing = kept.commit == workspace.start_commit
    if has_nothing:
        drop_ref(repo, ref)
    if left:
        return PutAway(None if has_nothing else ref, stays=True)
    _remove(repo, workspace)
    where = made_prefix(run, handler, number)[:-1] if own else None
    return PutAway(where if has_nothing else ref, stays=workspace.path.exists())


def handler_workspaces(
    repo: Repository, run: RunId, stream: StreamId
) -> Iterator[PreparedWorkspace]:
    """Yield the workspaces of a stream's handlers that have not been given back."""
    for workspace in all_records(repo, run):
        found = handler_of(workspace.stream)
        if found is not None and found[0] == stream:
            yield workspace


def remove_half_made(repo: Repository, run: RunId, stream: StreamId, folder: Path) -> None:
    """Remove what a killed program was making or removing: no handler was ever let into it.

    A handler is started when the note about its workspace is written, and the note goes last.
    """
    noted = {workspace.path for workspace in handler_workspaces(repo, run, stream)}
    for path in list(folder.iterdir()) if folder.is_dir() else ():
        if path not in noted and not _has_note(repo, run, stream, path):
            with suppress(OSError):  # somebody stands in it: it stays until they are gone
                hide(path)
                shutil.rmtree(path, ignore_errors=True)
    for own, place, number in list(_own_layers(repo, run, stream)):
        noted_at = record_path(repo, run, handler_name(stream, place), number)
        name = workspace_name(str(place), number, capitals_count(folder))
        if not (os.path.lexists(noted_at) or os.path.lexists(folder / name)):
            shutil.rmtree(own, ignore_errors=True)


def _own_layers(repo: Repository, run: RunId, stream: StreamId) -> Iterator[tuple[Path, int, int]]:
    """Yield what is of layers of handlers' workspaces, each with its place and the try's number."""
    for own in layers_folder(repo, run).glob("*"):
        said = own.name.removeprefix(".").removesuffix(".reclaimed")
        name, _, number = said.rpartition(".")
        found = handler_of(StreamId(name_of(name)))
        if found is not None and found[0] == stream and number.isdecimal():
            yield own, found[1], int(number)


def _has_note(repo: Repository, run: RunId, stream: StreamId, folder: Path) -> bool:
    """Say whether there is a note about a workspace, though it may be that nobody can read it."""
    place, _, number = folder.name.partition("@")
    if not place.isdecimal() or not (number or "1").isdecimal():
        return False
    handler = handler_name(stream, int(place))
    return os.path.lexists(record_path(repo, run, handler, int(number or 1)))


def drop_merged_refs(repo: Repository, run: RunId, stream: StreamId, chain: Chain) -> None:
    """Drop refs that keep nothing but what is merged, which a killed program has left."""
    live = live_view(repo)
    for ref, (place, _) in _tries_in_refs(repo, run, stream, "partial"):
        is_in = ("merge-base", "--is-ancestor", ref, chain.commit)
        if place in chain.places and live.run(*is_in, accept=(0, 1)).exit_code == 0:
            drop_ref(repo, ref)


def last_tries(repo: Repository, run: RunId, stream: StreamId) -> dict[int, int]:
    """Return the highest number of a try of each handler of which anything is left, by place."""
    tries: dict[int, int] = {}
    for workspace in handler_workspaces(repo, run, stream):
        found = handler_of(workspace.stream)
        if found is not None:
            tries[found[1]] = max(workspace.attempt, tries.get(found[1], 0))
    for kind in ("partial", "rescue", "made"):
        for _, (place, number) in _tries_in_refs(repo, run, stream, kind):
            tries[place] = max(number, tries.get(place, 0))
    return tries


def _tries_in_refs(
    repo: Repository, run: RunId, stream: StreamId, kind: str
) -> Iterator[tuple[str, tuple[int, int]]]:
    """Yield the refs of a kind that keep something of a stream's handlers, each with whose try."""
    prefix = f"refs/anabranch/{kind}/{run}/"
    for ref in list_refs(live_view(repo), prefix):
        name, _, number = ref.removeprefix(prefix).partition("/")[0].rpartition(".")
        found = handler_of(StreamId(name_of(name)))
        if found is not None and found[0] == stream and number.isdecimal():
            yield ref, (found[1], int(number))
