"""What goes into and comes out of the workspace operations: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.core.plans.plan import WorkspaceKind
from anabranch.engine.workspaces.carrying import Carried
from anabranch.engine.workspaces.identity import FolderIdentity

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


class Base(msgspec.Struct, frozen=True):
    """What a run starts from.

    ``branch`` is the user's full branch name, None when detached or a plain folder; ``head`` the
    user's HEAD commit, None when there is none. ``commit`` differs from ``head`` when uncommitted
    work belongs to the base.
    """

    commit: str
    tree: str
    branch: str | None = None
    head: str | None = None


class Workspace(msgspec.Struct, frozen=True):
    """A stream's folder, and the commit and tree the engine put there.

    One that ``is_restored`` also holds what an earlier attempt had changed by a checkpoint;
    ``identity`` tells the folder from one that was put in its place.
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


class FilesRemoved(msgspec.Struct, frozen=True):
    """How many of the ``before`` files of a start a result has no longer; ``left`` it has now."""

    removed: int = 0
    before: int = 0
    left: int = 0


class Result(msgspec.Struct, frozen=True):
    """A stream's work as a commit, with the tree it started from as its own merge base."""

    stream: StreamId
    commit: str
    tree: str
    start_commit: str
    start_tree: str
    files_changed: int = 0
    warnings: tuple[str, ...] = ()
    removal: FilesRemoved = FilesRemoved()
    ignored: tuple[str, ...] = ()


class ConflictedPath(msgspec.Struct, frozen=True):
    """One path two sides cannot agree on; blob ids are None where a side has no file.

    ``at`` is where the path stands in the conflict's tree: with the name of a side added, where a
    file and something else are in each other's way.
    """

    path: str
    kind: str
    base: str | None = None
    ours: str | None = None
    theirs: str | None = None
    ours_mode: str = ""
    theirs_mode: str = ""
    at: str = ""


class Decision(msgspec.Struct, frozen=True):
    """What a conflicted path shall be: a blob with a mode, or (None) nothing."""

    blob: str | None
    mode: str = ""


DecisionKey = tuple[str, str, str, str]
Decisions = Mapping[DecisionKey, Decision]
"""What was decided, by path (as it is told), the blob of the base, and those of both sides."""


class Conflict(msgspec.Struct, frozen=True):
    """``stream`` could not be merged over the work of the streams in ``against``.

    ``against`` is empty when the base itself, and no stream, holds the other side. ``tree`` is the
    merge as far as it goes, with conflict markers in it, over the merge at ``onto``.
    """

    stream: StreamId
    against: tuple[StreamId, ...]
    paths: tuple[ConflictedPath, ...]
    tree: str = ""
    onto: str = ""


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


class Refusal(msgspec.Struct, frozen=True, tag=True):
    """Why something was not done, and the user's next step."""

    reason: str
    hint: str
    paths: tuple[str, ...] = ()


class Approved(msgspec.Struct, frozen=True, tag=True):
    """The user's branch (or plain folder) now has the result."""

    branch: str | None
    commit: str
    files_changed: int


class Reclaimed(msgspec.Struct, frozen=True, tag=True):
    """The workspace is gone; everything in it was already kept elsewhere."""


class Parked(msgspec.Struct, frozen=True, tag=True):
    """The workspace is gone; what only it held is kept by ``ref``."""

    ref: str
    commit: str


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
