"""What handlers' workspaces are made above: a frozen checkout, and in a layer what is merged since.

Each begins with all that handlers before it have done. Written into each anew that would be more
and more; so once that has come to much it is written into a layer of its own, a *step*, on which
the workspaces stand that are made from then on. A step goes when nothing stands on it any more.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from anabranch.core.ids import RunId
from anabranch.core.plans.plan import WorkspaceMethod
from anabranch.engine.workspaces.cone import view_of
from anabranch.engine.workspaces.including.frozen_files import included_in
from anabranch.engine.workspaces.layers.bases import (
    A_WHILE_NS,
    SHARES_BASE,
    FrozenBase,
    frozen_base,
    paths_below,
)
from anabranch.engine.workspaces.layers.mounting import Layers, hide, hide_all_below, show
from anabranch.engine.workspaces.objects import changes
from anabranch.engine.workspaces.records import all_records
from anabranch.engine.workspaces.repository import frozen_view
from anabranch.engine.workspaces.snapshots import copy_index
from anabranch.engine.workspaces.values import Repository, Standing

LEAST_WRITTEN = 200
"""So many files are written into workspaces, all in all, before the next ones get a step."""


def steps_folder(folder: Path) -> Path:
    """Return where the steps of the workspaces lie that have their place in a folder."""
    return folder.with_name("steps")


class Ground:
    """The ground of one attempt's handlers; its steps lie below ``folder``."""

    def __init__(
        self,
        repo: Repository,
        run: RunId,
        folder: Path,
        method: WorkspaceMethod,
        frozen_tree: str,
        paths: Sequence[str] = (),
    ) -> None:
        self._repo, self._run, self._folder = repo, run, folder
        self._method, self._tree, self._paths = method, frozen_tree, paths
        self._lock = threading.Lock()
        self._step: FrozenBase | None = None
        self._stand: Counter[Path] = Counter()
        self._differing: int | None = None
        self._written, self._enough = 0, 0

    def note_merged(self, files: int) -> None:
        """Note how many files handlers have changed that are merged now."""
        with self._lock:
            if self._differing is not None:
                self._differing += files

    @contextmanager
    def under(self, start: Standing) -> Iterator[FrozenBase | None]:
        """Give what a workspace is made above that begins at ``start``; None: above nothing.

        It stays until the workspace is made. Raises GitError, OSError, NoLayers.
        """
        if self._method not in SHARES_BASE:
            yield None
            return
        with self._lock:
            ground = self._ground(start)
            self._stand.update([ground.files] if ground else [])
        try:
            yield ground
        finally:
            with self._lock:
                self._stand.subtract([ground.files] if ground else [])

    def _ground(self, start: Standing) -> FrozenBase | None:
        base = frozen_base(self._repo, self._run, self._tree, self._paths)
        if self._method != "overlay" or base is None:
            return base
        newest = self._step or base
        if self._differing is None:
            git = frozen_view(self._repo, self._run)
            self._differing = len(changes(git, newest.tree, start.tree))
        self._written += self._differing
        if self._written > max(self._enough, LEAST_WRITTEN):
            newest = self._step = self._laid(base, start.tree)
            self._differing = self._written = 0
            self._enough = _files_in(newest.files)
            remove_steps(self._repo, self._run, self._folder, {*+self._stand, newest.files})
        return newest

    def _laid(self, base: FrozenBase, tree: str) -> FrozenBase:
        """Write what a tree has otherwise than a frozen checkout into a new layer above that."""
        self._folder.mkdir(parents=True, exist_ok=True)
        place = Path(tempfile.mkdtemp(dir=self._folder))
        shown = place / "shown"
        for folder in (shown, place / "files"):
            folder.mkdir()
        included = included_in(self._repo, self._run)
        below = (base.files, *((included.folder,) if included else ()))
        show(Layers(below, place / "files", place / "scratch"), shown)
        try:
            git = view_of(self._repo, self._run, self._paths)
            git = git.at(work_tree=shown, index=place / "index")
            copy_index(base.index, place / "index")
            git.run("read-tree", "-m", "-u", tree)
            _let_age(place / "files", shown)
            git.run("update-index", "-q", "--refresh", accept=(0, 1))
        finally:
            hide(shown)
        shutil.rmtree(place / "scratch")
        return FrozenBase(tree, place / "files", place / "index", (base.files,))


def remove_steps(
    repo: Repository, run: RunId, folder: Path, needed: Collection[Path] = frozenset()
) -> None:
    """Remove the steps below a folder on which no workspace stands, but those ``needed``.

    What a killed program was laying is taken away with them. Raises OSError.
    """
    if not folder.is_dir():
        return
    noted = (workspace.layers for workspace in all_records(repo, run))
    below = {place for layers in noted if layers is not None for place in layers.lower}
    for step in folder.iterdir():
        if step / "files" not in below and step / "files" not in needed:
            hide_all_below(step)
            shutil.rmtree(step)


def _let_age(files: Path, shown: Path) -> None:
    """Have the files of a step be older than the index that git writes for them next."""
    a_while_ago = time.time_ns() - A_WHILE_NS
    for path in paths_below(os.fsencode(files)):
        place = os.path.join(os.fsencode(shown), path)
        if os.path.lexists(place):  # else it is removed there
            os.utime(place, ns=(a_while_ago, a_while_ago), follow_symlinks=False)


def _files_in(folder: Path) -> int:
    return sum(1 for _ in paths_below(os.fsencode(folder)))
