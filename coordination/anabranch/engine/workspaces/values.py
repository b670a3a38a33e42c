"""What goes into and comes out of the workspace operations: frozen values."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from anabranch.core.events import Conflict, ConflictedPath, Resolution
from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.core.model.outcome import Refusal
from anabranch.core.model.state import Result
from anabranch.core.plans.plan import WorkspaceKind
from anabranch.engine.workspaces.carrying import Carried
from anabranch.engine.workspaces.identity import FolderIdentity
from anabranch.engine.workspaces.layers.mounting import Layers

RepositoryKind = Literal["git", "plain"]


class Repository(msgspec.Struct, frozen=True):
    """The user's project as git sees it.

    ``root`` is the user's folder (a repository's toplevel), ``git_dir`` where objects and refs
    live (the common directory, or the internal store of a plain folder), ``checkout_dir`` the git
    directory of the user's own checkout, ``prefix`` the plan's sub-folder inside ``root``,
    ``store`` a folder of the engine's own for frozen configurations, indexes and records.
    """

    kind: RepositoryKind
    root: Path
    git_dir: Path
    checkout_dir: Path
    prefix: str
    store: Path
    lock_path: Path
    object_format: str = "sha1"


class Standing(Protocol):
    """Anything that stands at a commit and its tree."""

    @property
    def commit(self) -> str: ...
    @property
    def tree(self) -> str: ...


class PreparedWorkspace(msgspec.Struct, frozen=True):
    """A stream's folder, and the commit and tree the engine put there: its note on disk.

    The state knows where a workspace is and what it started from; the engine alone has to know how
    it was made, whose it is, and whether it is still the same folder.

    One that ``is_restored`` also holds what an earlier attempt had changed by a checkpoint;
    ``identity`` tells the folder from one that was put in its place. One made of ``layers`` stands
    only while they are shown in its folder. By which ``method`` it was made is told to people.
    """

    run: RunId
    stream: StreamId
    attempt: Attempt
    kind: WorkspaceKind
    path: Path
    start_commit: str
    start_tree: str
    git_dir: Path | None = None
    warnings: tuple[str, ...] = ()
    is_restored: bool = False
    identity: FolderIdentity | None = None
    layers: Layers | None = None
    method: str = ""


class FilesRemoved(msgspec.Struct, frozen=True):
    """How many of the ``before`` files of a start a result has no longer; ``left`` it has now."""

    removed: int = 0
    before: int = 0
    left: int = 0


StreamResult = tuple[StreamId, Result]
"""What a stream has brought, as merges take it: the core's pairs."""


class Captured(Result, frozen=True, kw_only=True):
    """A result as it is captured: whose it is, and what there is to say of it once."""

    stream: StreamId
    warnings: tuple[str, ...] = ()
    removal: FilesRemoved = FilesRemoved()
    ignored: tuple[str, ...] = ()


class UnmergedPath(msgspec.Struct, frozen=True):
    """A path that git could not merge, and how trees name it.

    They may have bytes in it that no journal takes (``name``), and the name of a side added, where
    a file and something else are in each other's way (``at``, in the tree with the markers).
    """

    path: ConflictedPath
    name: str
    at: str


class Unmerged(msgspec.Struct, frozen=True):
    """A merge as far as it goes: its tree has conflict markers."""

    tree: str
    paths: tuple[UnmergedPath, ...]


Decisions = Mapping[str, Resolution]
"""What was decided about conflicts, as the run's state keeps it."""


def conflict_between(
    others: Iterable[StreamId],
    late: StreamId,
    paths: tuple[ConflictedPath, ...],
    tree: str = "",
) -> Conflict:
    """Return a conflict of a stream's work with that of others, each of them once.

    An earlier version of a stream's own work can stand in a checkpoint that it is merged onto.
    """
    streams = dict.fromkeys(s for s in others if s != late)
    return Conflict(streams=(*streams, late), paths=paths, tree=tree)


class MergeOutcome(msgspec.Struct, frozen=True):
    """How far a merge came: its commit and tree, who is in it, and what could not be merged.

    ``carried`` says where what a result has brought to a path stands now, when git took it along
    with a rename (None: it was changed once more since); ``lost`` names what git called merged and
    is not there.
    """

    commit: str
    tree: str
    merged: tuple[StreamId, ...]
    conflicts: tuple[Conflict, ...] = ()
    carried: Mapping[str, Carried | None] = {}
    lost: tuple[str, ...] = ()


class FilesInTheWay(Refusal, frozen=True):
    """A refusal because of files of the user's, the first of which are named."""

    paths: tuple[str, ...]


class NoBranch(Refusal, frozen=True):
    """A refusal because HEAD is detached; the result keeps a branch of its own."""


class Approved(msgspec.Struct, frozen=True, tag=True):
    """The user's branch (or plain folder) now has the result."""

    branch: str | None
    commit: str
    files_changed: int


class Reclaimed(msgspec.Struct, frozen=True, tag=True):
    """The workspace is gone; everything in it was already kept elsewhere.

    Copies of the user's ignored files that had changed in it are in the folder ``aside`` now.
    """

    aside: Path | None = None


class Parked(msgspec.Struct, frozen=True, tag=True):
    """The workspace is gone; what only it held is kept by ``ref``, and ``aside`` as above."""

    ref: str
    commit: str
    aside: Path | None = None


class Kept(msgspec.Struct, frozen=True, tag=True):
    """The workspace still stands, because deleting it could lose something."""

    reason: str


class Rescue(msgspec.Struct, frozen=True):
    """Work kept from a reclaimed workspace."""

    ref: str
    commit: str
    run: RunId
    stream: StreamId
    attempt: Attempt
