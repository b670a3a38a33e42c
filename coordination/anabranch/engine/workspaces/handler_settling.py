"""Bringing the workspaces of a stream's handlers to rest, whatever a crash has left of them."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.engine.git import GitError
from anabranch.engine.workspaces.handler_chain import Chain, read_chain
from anabranch.engine.workspaces.handler_delivery import deliver
from anabranch.engine.workspaces.handler_folders import (
    drop_merged_refs,
    give_back_merged,
    handler_workspaces,
    put_away,
    remove_half_made,
)
from anabranch.engine.workspaces.handler_ground import remove_steps, steps_folder
from anabranch.engine.workspaces.names import handler_of
from anabranch.engine.workspaces.records import note_of
from anabranch.engine.workspaces.repository import run_folder
from anabranch.engine.workspaces.values import PreparedWorkspace, Repository
from anabranch.files import take_lock
from anabranch.plain_files import open_plain

Try = tuple[int, int]
"""A handler, by its place, and the number of a try of it."""


class StillAtWork(GitError):
    """Another process has the workspaces of a stream's handlers."""


@contextmanager
def alone_with_handlers(
    repo: Repository, run: RunId, stream: StreamId, attempt: Attempt, patience_seconds: float
) -> Iterator[None]:
    """Hold the lock of the workspaces of an attempt's handlers. Raises StillAtWork, OSError."""
    path = note_of(run_folder(repo, run) / "handlers", stream, attempt).with_suffix(".lock")
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = open_plain(path, flags=os.O_RDWR | os.O_CREAT)
    try:
        if not take_lock(descriptor, patience_seconds):
            raise StillAtWork("the program that keeps its handlers' workspaces is still at work")
        yield
    finally:
        os.close(descriptor)


def settle_handlers(
    repo: Repository, workspace: PreparedWorkspace, folder: Path, patience_seconds: float
) -> tuple[str, ...]:
    """Have the workspace of a stream whose handlers are over hold all that is merged of them.

    What handlers have left below ``folder`` that is not merged is kept. Returns that in words for
    the user. Raises GitError, OSError; done again, it goes on from there.
    """
    run, stream, attempt = workspace.run, workspace.stream, workspace.attempt
    with alone_with_handlers(repo, run, stream, attempt, patience_seconds):
        chain = read_chain(repo, run, stream, attempt)
        found = clear_leftovers(repo, run, stream, folder, chain)
        kept = deliver(repo, workspace, chain, None) if chain is not None else None
    in_the_way = [f"what stood in the way of its handlers' work is kept by {kept}"] if kept else []
    return (*found, *in_the_way)


def clear_leftovers(
    repo: Repository,
    run: RunId,
    stream: StreamId,
    folder: Path,
    chain: Chain | None,
    but: Collection[Try] = (),
) -> list[str]:
    """Keep what is in handlers' workspaces that nobody works in, and remove them.

    ``but`` are those in which handlers run. Returns what was kept, in words for the user.
    """
    kept = []
    for left in list(handler_workspaces(repo, run, stream)):
        found = handler_of(left.stream)
        assert found is not None
        place = found[1]
        if (place, left.attempt) in but:
            continue
        try:
            if chain is not None and place in chain.places:
                give_back_merged(repo, left)
            elif ref := put_away(repo, left).ref:
                kept.append(f"what handler {place} had done is kept by {ref}")
        except GitError as error:
            kept.append(f"what handler {place} had done is in {left.path}: {error.reason}")
    remove_half_made(repo, run, stream, folder)
    with suppress(OSError):  # what somebody still looks at goes with the run
        remove_steps(repo, run, steps_folder(folder))
    if chain is not None:
        drop_merged_refs(repo, run, stream, chain)
    return kept
