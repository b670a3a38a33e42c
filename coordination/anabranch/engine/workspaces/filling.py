"""How files come into a workspace's folder before git writes what is missing.

Each way is asked twice: to put files in the place of the folder, and, once the stream's repository
is there, to bring the index that git keeps for them.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from anabranch.core.ids import RunId
from anabranch.core.plans.plan import WorkspaceMethod
from anabranch.engine.git import Git
from anabranch.engine.workspaces.layers.bases import FrozenBase
from anabranch.engine.workspaces.layers.laying import lay
from anabranch.engine.workspaces.layers.mounting import Layers
from anabranch.engine.workspaces.layers.setup_below import Setup
from anabranch.engine.workspaces.pool.checkouts import Taken, take_checkout
from anabranch.engine.workspaces.reflink import clone_base
from anabranch.engine.workspaces.snapshots import copy_index
from anabranch.engine.workspaces.values import Repository


class Way(msgspec.Struct, frozen=True):
    """By which ``method`` files come into a workspace.

    Layers and clones begin with a ``frozen`` checkout. With ``paths`` the folder holds those alone;
    what an earlier ``setup`` made is shown below layers.
    """

    method: WorkspaceMethod = "worktree"
    frozen: FrozenBase | None = None
    paths: Sequence[str] = ()
    setup: Setup | None = None


BY_GIT = Way()


class Filling(Protocol):
    """Files that are in place: those of ``tree``, None if there are none yet.

    ``has_users_times`` says whether they have the times of the user's own files.
    """

    @property
    def tree(self) -> str | None: ...
    @property
    def layers(self) -> Layers | None: ...
    @property
    def has_users_times(self) -> bool: ...
    @property
    def method(self) -> WorkspaceMethod: ...

    def bring_index(self, git: Git, folder: Path) -> None:
        """Bring ``git``'s index for the files of the folder. Raises OSError, GitError."""


class Layered(msgspec.Struct, frozen=True):
    """A frozen checkout shown below what the stream changes."""

    frozen: FrozenBase
    layers: Layers
    has_users_times: bool = True
    method: WorkspaceMethod = "overlay"

    @property
    def tree(self) -> str:
        return self.frozen.tree

    def bring_index(self, git: Git, folder: Path) -> None:
        assert git.index is not None
        copy_index(self.frozen.index, git.index)


class Cloned(msgspec.Struct, frozen=True):
    """Files that share their blocks with those of a frozen checkout."""

    frozen: FrozenBase
    object_format: str
    layers: Layers | None = None
    has_users_times: bool = True
    method: WorkspaceMethod = "reflink"

    @property
    def tree(self) -> str:
        return self.frozen.tree

    def bring_index(self, git: Git, folder: Path) -> None:
        clone_base(self.frozen, folder, git, self.object_format)


class Pooled(msgspec.Struct, frozen=True):
    """A checkout that was made ahead."""

    taken: Taken
    layers: Layers | None = None
    has_users_times: bool = False
    method: WorkspaceMethod = "pool"

    @property
    def tree(self) -> str:
        return self.taken.tree

    def bring_index(self, git: Git, folder: Path) -> None:
        assert git.index is not None
        self.taken.bring_index(git.index)


class Empty(msgspec.Struct, frozen=True):
    """Nothing yet: git writes each file."""

    tree: str | None = None
    layers: Layers | None = None
    has_users_times: bool = False
    method: WorkspaceMethod = "worktree"

    def bring_index(self, git: Git, folder: Path) -> None:
        """There is none to bring."""


def begin_filling(
    repo: Repository,
    run: RunId,
    way: Way,
    wanted_tree: str,
    folder: Path,
    own: Path,
    below: tuple[Path, ...],
) -> Filling:
    """Put files in the place of a workspace's folder, as many as come at once.

    Args:
        repo: the repository.
        run: the run.
        way: how they come.
        wanted_tree: the tree whose files git has to write otherwise.
        folder: the workspace's folder; nothing is there.
        own: where what is the workspace's own lies, if it is made of layers.
        below: further layers, of what git ignores.

    Raises OSError, GitError.
    """
    if way.frozen is not None and way.method == "overlay":
        return Layered(way.frozen, lay(way.frozen, folder, own, below))
    if way.frozen is not None:
        return Cloned(way.frozen, repo.object_format)
    if way.method == "pool" and not way.paths:
        taken = take_checkout(repo, run, wanted_tree, folder)
        return Empty() if taken is None else Pooled(taken)
    return Empty()
