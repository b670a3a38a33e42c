"""Deleting a workspace, with proof that every byte in it is kept elsewhere.

The proof has three parts. *Files*: each file, ignored or not, is hashed as it lies on the disk and
must be in a tree that a ref keeps, or come out of such a tree by an ordinary checkout. *History*:
each commit the workspace's own git directory mentions anywhere (HEAD, reflogs, stashes, unfinished
merges; for a clone, every commit in its store) must be reachable from the repository's refs.
*Index*: each staged blob must be known too. What fails becomes part of one rescue commit: its tree
is the workspace as it was, its parents are the commits that would have been lost. Then everything
is read back, and the files are hashed once more, before anything is deleted. What cannot be proved
(a repository inside the workspace, an unreadable file) keeps the workspace. A file that is for
certain as the setup of the workspace made it can be made again, and is left out of all this.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import tempfile
import time
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from msgspec.structs import replace

from anabranch.core.ids import RunId
from anabranch.engine.git import Git, GitError, encode
from anabranch.engine.workspaces.capturing import bring_history, given_to_git, workspace_view
from anabranch.engine.workspaces.checking import some
from anabranch.engine.workspaces.direct.as_captured import is_as_captured
from anabranch.engine.workspaces.identity import WorkspaceReplaced
from anabranch.engine.workspaces.including.frozen_files import included_in
from anabranch.engine.workspaces.including.keeping_out import add_all_but_included
from anabranch.engine.workspaces.including.setting_aside import set_changed_aside
from anabranch.engine.workspaces.layers.bases import index_below, paths_below
from anabranch.engine.workspaces.layers.mounting import Layers
from anabranch.engine.workspaces.layers.standing import (
    is_git_replaced,
    is_there,
    require_standing,
)
from anabranch.engine.workspaces.names import (
    partial_ref,
    rescue_ref,
    result_ref,
    stream_of,
)
from anabranch.engine.workspaces.objects import Drafts, ObjectReader, commit_content
from anabranch.engine.workspaces.pool.bounds import NO_MORE, Bounds
from anabranch.engine.workspaces.pool.recycling import recycle
from anabranch.engine.workspaces.refs import keep_ref, list_refs, read_ref
from anabranch.engine.workspaces.removing import forget_workspace, remove_files
from anabranch.engine.workspaces.repository import frozen_view, live_view, raw_view, run_folder
from anabranch.engine.workspaces.setup_made import still_as_made
from anabranch.engine.workspaces.snapshots import copy_index, copy_whole_index
from anabranch.engine.workspaces.stream_history import (
    bring_objects,
    objects_of,
)
from anabranch.engine.workspaces.submodules import is_only_fetched, submodules_in
from anabranch.engine.workspaces.values import (
    Kept,
    Parked,
    PreparedWorkspace,
    Reclaimed,
    Repository,
    Rescue,
)

Entries = dict[str, tuple[str, str]]
_GITLINK = "160000"
_KIND = re.compile(" (?:blob|commit) ")
_RESCUES = "refs/anabranch/rescue/"


def reclaim_workspace(
    repo: Repository,
    run: RunId,
    workspace: PreparedWorkspace,
    most_ignored_bytes: int | None = None,
    *,
    may_park: bool = True,
    recycled: Bounds = NO_MORE,
) -> Reclaimed | Parked | Kept:
    """Delete a workspace whose stream has ended, after parking what only it holds.

    Nothing may be running in it any more. Whatever stands in the way of a proof is the reason why
    the workspace is kept; no error is raised for it. With more than ``most_ignored_bytes`` of files
    that git ignores it is kept, too: to park them would fill the repository with what was built.
    Unless it ``may_park`` something, it is kept as well where anything would have to be.
    Where more checkouts are wanted than are there, one is made of it (``recycled``).
    """
    if workspace.kind == "shared":
        return Kept("it is your own folder")
    try:
        reason = _hindrance(repo, workspace) or _of_included(repo, workspace)
        if reason is not None:
            return Kept(reason)
        stands = is_there(workspace)
        with tempfile.TemporaryDirectory(dir=run_folder(repo, run), prefix=".reclaiming-") as made:
            proof = _Proof(repo, workspace, Path(made), may_park)
            if most_ignored_bytes is not None and proof.ignored_bytes() > most_ignored_bytes:
                return Kept("it holds many files that git ignores")
            parked = proof.park() if stands else proof.park_history()
            changed = proof.check(parked) if stands else None
        if changed is not None:
            return Kept(changed)
        aside = set_changed_aside(repo, workspace) if stands else None
        if stands and not _is_recycled(repo, workspace, recycled):
            remove_files(workspace)
        forget_workspace(repo, workspace)
    except GitError as error:
        return Kept(error.reason)
    except OSError as error:
        return Kept(f"{error.strerror}: {error.filename}")
    return replace(parked or Reclaimed(), aside=aside)


def reclaim_untouched(repo: Repository, workspace: PreparedWorkspace) -> bool:
    """Delete a workspace that holds nothing but what its last capture took; False if it holds more.

    A quicker proof than the whole one, for many small workspaces: no file differs from the index of
    the capture, none is beside it, and its repository has no object of its own. Raises GitError,
    OSError.
    """
    if not is_as_captured(repo, workspace) and not _holds_nothing_else(repo, workspace):
        return False
    set_changed_aside(repo, workspace)
    remove_files(workspace)
    forget_workspace(repo, workspace)
    return True


def _holds_nothing_else(repo: Repository, workspace: PreparedWorkspace) -> bool:
    """Say whether a workspace has nothing that its capture by git has not."""
    if objects_of(repo, workspace) is not None or _hindrance(repo, workspace) is not None:
        return False
    git, included = workspace_view(repo, workspace), included_in(repo, workspace.run)
    unknown = git.run("ls-files", "-m", "-d", "-o", "-z").out.split(b"\0")
    return not any(path and (included is None or path not in included.files) for path in unknown)


def _is_recycled(repo: Repository, workspace: PreparedWorkspace, bounds: Bounds) -> bool:
    """Make a checkout of a workspace that is proved superfluous, if there may be more of them."""
    return workspace.layers is None and recycle(repo, workspace.run, workspace.path, bounds)


def list_rescues(repo: Repository, run: RunId | None = None) -> tuple[Rescue, ...]:
    """Return the work kept from reclaimed workspaces, of one run or of all."""
    prefix = _RESCUES if run is None else f"{_RESCUES}{run}/"
    rescues = []
    for ref, commit in list_refs(live_view(repo), prefix).items():
        run_name, _, name = ref.removeprefix(_RESCUES).partition("/")
        stream, _, attempt = name.rpartition(".")
        if attempt.isdigit():
            rescues.append(Rescue(ref, commit, RunId(run_name), stream_of(stream), int(attempt)))
    return tuple(rescues)


def _hindrance(repo: Repository, workspace: PreparedWorkspace) -> str | None:
    """Return why nothing can be proved about this folder, if so."""
    root = workspace.path
    if not is_there(workspace):
        return None
    try:
        require_standing(workspace)
    except WorkspaceReplaced as error:
        return error.reason
    if is_git_replaced(workspace):
        return "its .git was replaced"
    spared = _only_fetched(repo, workspace)
    for inside, folders, names in _walk(root, spared):
        is_bare = "HEAD" in names and {"objects", "refs"} <= set(folders)
        if ".git" in folders or ".git" in names or is_bare:
            return f"it holds a repository of its own: {inside.relative_to(root).as_posix()}"
    return None


def _of_included(repo: Repository, workspace: PreparedWorkspace) -> str | None:
    """Return what git would have to keep, and must not: commits with files that were taken along.

    So it is with such a file in the index, unless the workspace has it just like that.
    """
    held = given_to_git(repo, workspace)
    if not held:
        return None
    return (
        f"its own repository holds what was only copied into it ({some(held)}), which git must "
        f"not keep: look at it, then remove {workspace.path}"
    )


def _only_fetched(repo: Repository, workspace: PreparedWorkspace) -> frozenset[Path]:
    """Return the folders of submodules in which nothing lies but what came from elsewhere."""
    found = set[Path]()
    if workspace.git_dir is None or not (workspace.git_dir / "modules").is_dir():
        return frozenset()
    for path in submodules_in(repo, workspace.run, workspace.start_tree):
        folder = workspace.path / path
        if os.path.lexists(folder / ".git"):
            with tempfile.TemporaryDirectory(
                dir=run_folder(repo, workspace.run), prefix=".reclaiming-"
            ) as made:
                if is_only_fetched(repo, workspace, path, Path(made)):
                    found.add(folder)
    return frozenset(found)


def _walk(root: Path, spared: Collection[Path] = ()) -> Iterator[tuple[Path, list[str], list[str]]]:
    """Yield every folder of a workspace but its git directory; an unreadable one is an error.

    Those ``spared`` are passed over with all that is in them.
    """
    for at, folders, names in os.walk(root, onerror=_raise):
        if spared:
            folders[:] = [name for name in folders if Path(at, name) not in spared]
        if at == str(root):
            folders[:] = [name for name in folders if name != ".git"]
            names = [name for name in names if name != ".git"]
        yield Path(at), folders, names


def _raise(error: OSError) -> None:
    raise error


@dataclass
class _Proof:
    """What is known about one workspace while it is being proved superfluous."""

    repo: Repository
    workspace: PreparedWorkspace
    scratch: Path
    may_park: bool = True

    def __post_init__(self) -> None:
        run = self.workspace.run
        self.frozen = frozen_view(self.repo, run)
        git = raw_view(self.repo, run)
        self.files = git.at(work_tree=self.workspace.path, index=self.scratch / "files")
        included = included_in(self.repo, run)
        self.included = included.files if included else {}
        self.made = still_as_made(self.repo, self.workspace)
        self.tree = ""
        self.only_here: Entries = {}
        self.passed_over: str | None = None

    def _begin_with_what_is_frozen(self, layers: Layers) -> None:
        """Take the files of a frozen checkout for what they are, where they are still shown.

        Nobody writes to them. What lies in the upper layer is read, whatever its times say.
        """
        try:
            copy_index(index_below(layers), self.scratch / "files")
        except FileNotFoundError:
            return
        above = b"".join(path + b"\0" for path in paths_below(os.fsencode(layers.upper)))
        self.files.run("update-index", "--force-remove", "-z", "--stdin", stdin=above)

    def ignored_bytes(self) -> int:
        """Return how large the files are that git ignores."""
        git = self.frozen.at(work_tree=self.workspace.path, index=self.scratch / "none")
        listed = git.run("ls-files", "-o", "-i", "--exclude-standard", "-z").fields
        own = [path for path in listed if not self._is_known_to_be_elsewhere(encode(path))]
        return sum((self.workspace.path / path).lstat().st_size for path in own)

    def _is_known_to_be_elsewhere(self, path: bytes) -> bool:
        """Say whether a file was taken along, or is one that the setup can make again."""
        return path in self.included or path in self.made

    def park(self) -> Parked | None:
        """Keep by one ref whatever is not kept yet."""
        if self.workspace.layers is not None:
            self._begin_with_what_is_frozen(self.workspace.layers)
        self.tree = self._write_tree()
        entries = _entries(self.files.run("ls-files", "-s", "-z").fields)
        self.passed_over = self._passed_over(entries)
        kept = self._kept_entries()
        unknown = {path: entry for path, entry in entries.items() if entry not in kept[path]}
        self.only_here = self._without_reproducible(unknown, kept)
        parents = self._history()
        staged = self._staged({blob for _, blob in entries.values()} | kept.blobs)
        if not (self.only_here or parents or staged):
            return None
        return self._commit([*parents, *staged])

    def park_history(self) -> Parked | None:
        """Keep what was committed or staged in a workspace whose folder is gone."""
        kept = self._kept_entries()
        unkept = [*self._history(), *self._staged(kept.blobs)]
        if not unkept:
            return None
        self.tree = self.frozen.run("rev-parse", f"{unkept[0]}^{{tree}}").text
        return self._commit(unkept)

    def check(self, parked: Parked | None) -> str | None:
        """Read back what was parked; say what is wrong, if anything."""
        if self.passed_over is not None:
            return f"git does not take {self.passed_over}"
        with ObjectReader(self.frozen) as reader:
            for path, (_, blob) in self.only_here.items():
                found = reader.read(blob)
                if found is None or self._digest(found[1]) != blob:
                    return f"{path} could not be read back from the repository"
        if parked is not None and read_ref(self.repo, parked.ref) != parked.commit:
            return f"{parked.ref} does not hold what was written to it"
        if self._write_tree() != self.tree:
            return "something still changes files in it"
        return None

    def _passed_over(self, entries: Entries) -> str | None:
        """Return a file or symbolic link on the disk that git did not take, if there is one."""
        root = self.workspace.path
        spared = _only_fetched(self.repo, self.workspace)
        for inside, folders, names in _walk(root, spared):
            for name in (*names, *folders):
                path = inside / name
                shown = path.relative_to(root).as_posix()
                if shown in entries or self._is_known_to_be_elsewhere(encode(shown)):
                    continue
                kind = path.lstat().st_mode
                if stat.S_ISREG(kind) or stat.S_ISLNK(kind):
                    return path.relative_to(root).as_posix()
        return None

    def _write_tree(self) -> str:
        self.made = still_as_made(self.repo, self.workspace)
        add_all_but_included(self.files, self.repo, self.workspace.run, made=self.made)
        return self.files.run("write-tree").text

    def _digest(self, content: bytes) -> str:
        header = f"blob {len(content)}\0".encode()
        return hashlib.new(self.repo.object_format, header + content).hexdigest()

    def _kept_entries(self) -> _KeptEntries:
        """Return the files of every tree that a ref keeps for this stream."""
        workspace = self.workspace
        refs = [
            result_ref(workspace.run, workspace.stream),
            partial_ref(workspace.run, workspace.stream, workspace.attempt),
            rescue_ref(workspace.run, workspace.stream, workspace.attempt),
        ]
        kept = _KeptEntries()
        for ref in refs:
            commit = read_ref(self.repo, ref)
            if commit is not None:
                kept.add(self.frozen, commit)
        kept.add(self.frozen, workspace.start_tree)
        return kept

    def _without_reproducible(self, unknown: Entries, kept: _KeptEntries) -> Entries:
        """Leave out files that an ordinary checkout of a kept tree writes byte for byte."""
        left = unknown
        for tree in kept.trees:
            known = {path for path in left if path in kept.paths_of[tree]}
            if known:
                left = self._not_checked_out_alike(left, known, tree)
        return left

    def _not_checked_out_alike(self, left: Entries, paths: set[str], tree: str) -> Entries:
        folder = Path(tempfile.mkdtemp(dir=self.scratch))
        index = folder.with_suffix(".index")
        git = self.frozen.at(work_tree=folder, index=index)
        git.run("read-tree", tree)
        stdin = b"".join(encode(path) + b"\0" for path in paths)
        git.run("checkout-index", "-f", "-z", "--stdin", stdin=stdin)
        written = self.files.at(work_tree=folder, index=folder.with_suffix(".written"))
        written.run("add", "-A", "-f", "--", ":/")
        alike = _entries(written.run("ls-files", "-s", "-z").fields)
        shutil.rmtree(folder)
        return {path: entry for path, entry in left.items() if alike.get(path) != entry}

    def _history(self) -> list[str]:
        """Return commits that only this workspace's git directory knew, brought over."""
        return bring_history(self.repo, self.workspace)

    def _staged(self, known: set[str]) -> list[str]:
        """Return a commit of what is only staged in the workspace's index, if anything."""
        git_dir = self.workspace.git_dir
        if git_dir is None or not os.path.lexists(git_dir / "index"):
            return []
        copy_whole_index(self.frozen, git_dir / "index", self.scratch / "staged")
        source = self.frozen.at(index=self.scratch / "staged")
        listed = source.run("ls-files", "-s", "-z").fields
        lines = [_stage_as_path(line) for line in listed]
        wanted = [line for line in lines if line.split(" ")[1] not in known]
        wanted = [line for line in wanted if not line.startswith(_GITLINK)]
        wanted = [line for line in wanted if not self._is_known_copy(line)]
        if not wanted:
            return []
        self._bring_blobs({line.split(" ")[1] for line in wanted})
        index = self.frozen.at(index=self.scratch / "staged-only")
        stdin = b"".join(encode(line) + b"\0" for line in wanted)
        index.run("update-index", "-z", "--index-info", stdin=stdin)
        tree = index.run("write-tree").text
        return [self._write_commit(tree, (self.workspace.start_commit,), "Only in the index")]

    def _is_known_copy(self, line: str) -> bool:
        """Say whether a staged file is one that was taken along, as it was or as it is now.

        Raises GitError if it is one in a third version: git must not keep it.
        """
        facts, _, staged = line.partition("\t")
        path = staged.partition("~stage")[0]
        if encode(path) not in self.included:
            return False
        known = included_in(self.repo, self.workspace.run)
        assert known is not None
        for place in (self.workspace.path / path, known.folder / path):
            if place.is_file() and not place.is_symlink():
                hashed = self.files.run("hash-object", "--no-filters", "--", str(place))
                if hashed.text == facts.split(" ")[1]:
                    return True
        raise GitError(f"its index holds a version of {path} that is nowhere else")

    def _bring_blobs(self, blobs: set[str]) -> None:
        bring_objects(self.frozen, objects_of(self.repo, self.workspace), sorted(blobs), ())

    def _commit(self, lost: list[str]) -> Parked:
        workspace = self.workspace
        if not self.may_park:
            raise GitError("it holds what nothing else keeps")
        before = read_ref(self.repo, self._ref())
        parents = list(
            dict.fromkeys([workspace.start_commit, *lost, *([before] if before else [])])
        )
        listed = "\n".join(sorted(self.only_here)[:200])
        message = f"Rescued from the workspace of {workspace.stream}\n\nOnly here:\n{listed}"
        commit = self._write_commit(self.tree, tuple(parents), message)
        keep_ref(self.repo, self._ref(), commit)
        return Parked(self._ref(), commit)

    def _write_commit(self, tree: str, parents: tuple[str, ...], message: str) -> str:
        drafts = Drafts(self.repo.object_format)
        content = commit_content(tree, parents, message, int(time.time()))
        commit = drafts.add("commit", content)
        drafts.store(self.frozen)
        return commit

    def _ref(self) -> str:
        workspace = self.workspace
        return rescue_ref(workspace.run, workspace.stream, workspace.attempt)


class _KeptEntries:
    """Files that refs keep: by path, and as a set of blob ids."""

    def __init__(self) -> None:
        self.trees: list[str] = []
        self.paths_of: dict[str, Entries] = {}
        self.blobs: set[str] = set()

    def add(self, git: Git, tree: str) -> None:
        listed = git.run("ls-tree", "-r", "-z", "--full-tree", tree).fields
        entries = _entries(_KIND.sub(" ", line, 1) for line in listed)
        self.trees.append(tree)
        self.paths_of[tree] = entries
        self.blobs |= {blob for _, blob in entries.values()}

    def __getitem__(self, path: str) -> set[tuple[str, str]]:
        return {entries[path] for entries in self.paths_of.values() if path in entries}


def _entries(lines: Iterator[str] | tuple[str, ...]) -> Entries:
    """Return ``mode blob [stage]<tab>path`` lines as path → (mode, blob)."""
    entries: Entries = {}
    for line in lines:
        facts, _, path = line.partition("\t")
        mode, blob, *_ = facts.split(" ")
        entries[path] = (mode, blob)
    return entries


def _stage_as_path(line: str) -> str:
    """Return an index line with its stage in the path, so that one index can hold them all."""
    facts, _, path = line.partition("\t")
    mode, blob, stage = facts.split(" ")
    return f"{mode} {blob} 0\t{path}" + ("" if stage == "0" else f"~stage{stage}")
