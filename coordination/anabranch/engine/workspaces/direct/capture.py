"""A stream's work as a commit, made without git where it is plain: the quick way of a capture.

What comes of it is what :mod:`anabranch.engine.workspaces.capturing` makes of the same folder, to
the byte of every tree. Where that is not certain (the stream used git; attributes, filters or
nested repositories are about; much or odd things have changed; the disk is nearly full), nothing
is done and None is returned.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterable, Mapping
from pathlib import Path

from anabranch.core.deciding.locks.violations import removes_nearly_all
from anabranch.core.ids import RunId
from anabranch.engine.git import decode
from anabranch.engine.workspaces.checking import (
    any_ignored,
    ignored_in_words,
    ignored_paths,
    prefixes,
)
from anabranch.engine.workspaces.deciding import has_markers
from anabranch.engine.workspaces.direct.folder_changes import (
    NOTHING_INCLUDED,
    FolderChanges,
    NotDirect,
    folder_changes,
)
from anabranch.engine.workspaces.direct.index_file import IndexEntry, index_of
from anabranch.engine.workspaces.direct.known_index import KnownIndex, known_index
from anabranch.engine.workspaces.direct.trees import draft_trees
from anabranch.engine.workspaces.including.frozen_files import included_in
from anabranch.engine.workspaces.including.keeping_out import but_included
from anabranch.engine.workspaces.layers.standing import require_standing
from anabranch.engine.workspaces.layers.upper_changes import upper_changes
from anabranch.engine.workspaces.objects import Drafts, commit_content
from anabranch.engine.workspaces.own_state import own_paths
from anabranch.engine.workspaces.quarantine import PLENTY_BYTES
from anabranch.engine.workspaces.records import index_path
from anabranch.engine.workspaces.refs import make_loose_ref
from anabranch.engine.workspaces.repository import followed_by, frozen_view, run_folder
from anabranch.engine.workspaces.setup_made import but_made, shown_of_setup
from anabranch.engine.workspaces.snapshots import is_as_taken_over
from anabranch.engine.workspaces.stream_repository import is_as_made
from anabranch.engine.workspaces.values import (
    Captured,
    FilesRemoved,
    PreparedWorkspace,
    Repository,
)
from anabranch.files import replace_whole
from anabranch.plain_files import LARGE_FILE_BYTES, NotPlain, read_plain

_UNUSUAL = frozenset((
    "core.attributesfile",
    "core.precomposeunicode",
    "core.sharedrepository",
    "extensions.refstorage",
))  # fmt: skip
_OF_THE_MACHINE = "/etc/gitattributes"
_OFF = ("false", "no", "off", "0")


def capture_directly(
    repo: Repository, workspace: PreparedWorkspace, message: str, ref: str
) -> Captured | None:
    """Capture all work in a workspace and keep it by ``ref``, a new one, if it is plain.

    None: it is left to git, and nothing was done. Raises WorkspaceReplaced.
    """
    if workspace.kind != "isolated" or workspace.git_dir is None or workspace.is_restored:
        return None
    require_standing(workspace)
    try:
        known = _known_index(repo, workspace)
        changes = changes_in(repo, workspace, known.entries, known.written_ns)
        ignored = _ignored(repo, workspace, known, changes)
        changes = changes.without(lambda path: any(_is_in(decode(path), one) for one in ignored))
        _require_nothing_to_say(known, changes)
        require_standing(workspace)
        own = but_included(ignored, repo, workspace.run)
        return _kept(repo, workspace, known, changes, own, message, ref)
    except (NotDirect, NotPlain, FileExistsError, PermissionError, FileNotFoundError):
        return None


def captured_index(repo: Repository, workspace: PreparedWorkspace) -> Path:
    """Return where the index of a workspace lies as it was captured directly, if it was.

    There is none of a folder in which something is that no result holds: nobody takes it over.
    """
    index = index_path(repo, workspace.run, workspace.stream, workspace.attempt)
    return index.with_name(index.name + ".captured")


def _known_index(repo: Repository, workspace: PreparedWorkspace) -> KnownIndex:
    """Return the index of a workspace whose repository is as it was made."""
    assert workspace.git_dir is not None
    _require_plain_settings(repo, workspace.run)
    if not is_as_made(repo, workspace.run, workspace.git_dir, workspace.start_commit):
        raise NotDirect("it has used git")
    index = index_path(repo, workspace.run, workspace.stream, workspace.attempt)
    if not is_as_taken_over(workspace.git_dir / "index", index):
        raise NotDirect("its index has changed")
    known = known_index(index, repo.object_format)
    if known is None:
        raise NotDirect("its index is of another kind")
    if known.has_attributes:
        raise NotDirect("files have attributes")
    return known


def changes_in(
    repo: Repository,
    workspace: PreparedWorkspace,
    before: Mapping[bytes, IndexEntry],
    written_ns: int,
) -> FolderChanges:
    """Return what has changed in a workspace since its index was written: see folder_changes."""
    folder, layers, about = str(workspace.path), workspace.layers, repo.object_format
    frozen = included_in(repo, workspace.run)
    included = frozen.files if frozen else NOTHING_INCLUDED
    if layers is None:
        return folder_changes(folder, before, written_ns, about, included)
    return upper_changes(folder, str(layers.upper), before, written_ns, about, included)


def _require_plain_settings(repo: Repository, run: RunId) -> None:
    """Raise NotDirect if settings of the run have git treat files in a way of its own."""
    if own_paths(repo):
        raise NotDirect("the engine's own files lie in the project")
    followed = followed_by(repo, run)
    has_own = any(os.path.lexists(path) for path in (_of_the_user("attributes"), _OF_THE_MACHINE))
    if has_own or any(line.strip() for line in followed.attributes.splitlines()):
        raise NotDirect("files have attributes")
    for _, key, value in followed.settings:
        converts = key == "core.autocrlf" and (value or "true").lower() not in _OFF
        if converts or key in _UNUSUAL:
            raise NotDirect(f"{key} is set")
    if shutil.disk_usage(repo.git_dir).free < PLENTY_BYTES:
        raise NotDirect("there is little room on the disk")


def _of_the_user(name: str) -> str:
    """Return where git looks for a file of the user's, whatever the settings say."""
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(Path.home(), ".config")
    return os.path.join(config, "git", name)


def _ignored(
    repo: Repository, workspace: PreparedWorkspace, known: KnownIndex, changes: FolderChanges
) -> tuple[str, ...]:
    """Return what git ignores in a folder, as it lists that, if any new file is of it."""
    if not changes.added or not _has_ignore_rules(repo, workspace.run, known):
        return ()
    index = index_path(repo, workspace.run, workspace.stream, workspace.attempt)
    git = frozen_view(repo, workspace.run).at(work_tree=workspace.path, index=index)
    if not any_ignored(git, changes.added):
        return ()
    return ignored_paths(git)


def _is_in(path: str, listed: str) -> bool:
    return path.startswith(listed) if listed.endswith("/") else path == listed


def _has_ignore_rules(repo: Repository, run: RunId, known: KnownIndex) -> bool:
    """Say whether git may ignore something; in case of doubt it is asked."""
    if known.has_ignore_rules:
        return True
    if any(key == "core.excludesfile" for _, key, _ in followed_by(repo, run).settings):
        return True
    if os.path.lexists(_of_the_user("ignore")):
        return True
    try:
        rules = read_plain(run_folder(repo, run) / "frozen" / "info" / "exclude", LARGE_FILE_BYTES)
    except FileNotFoundError:
        return False
    return any(line.strip() and not line.startswith(b"#") for line in rules.splitlines())


def _require_nothing_to_say(known: KnownIndex, changes: FolderChanges) -> None:
    """Raise NotDirect if a capture has something to tell about the changes: git finds the words."""
    if any(has_markers(file.content) for file in changes.now.values()):
        raise NotDirect("conflict markers are left")
    gone, total = len(changes.gone), len(changes.before)
    if removes_nearly_all(gone, total, total - gone + len(changes.added)):
        raise NotDirect("nearly all is gone")
    if _has_case_twins(known, changes):
        raise NotDirect("names differ only in case")


def _has_case_twins(known: KnownIndex, changes: FolderChanges) -> bool:
    """Say whether a new path, or a folder of it, equals another but for the case of letters."""
    added = {prefix for path in changes.added for prefix in prefixes(decode(path))}
    if not added:
        return False
    now = decode(b"\n" + b"\n".join(changes.now) + b"\n")
    spelled, folded = (known.spelled, now), (known.folded, now.casefold())
    return any(_count(folded, prefix.casefold()) > _count(spelled, prefix) for prefix in added)


def _count(lists: Iterable[str], prefix: str) -> int:
    """Return how many paths in some lists are this one, or lie below it."""
    return sum(one.count(f"\n{prefix}\n") + one.count(f"\n{prefix}/") for one in lists)


def _kept(
    repo: Repository,
    workspace: PreparedWorkspace,
    known: KnownIndex,
    changes: FolderChanges,
    ignored: tuple[str, ...],
    message: str,
    ref: str,
) -> Captured:
    """Write the objects and the ref. What is ``ignored`` lies in the workspace for itself."""
    entries, changed = changes.entries(), [*changes.now, *changes.gone]
    tree, commit = workspace.start_tree, workspace.start_commit
    if changed:
        drafts = Drafts(repo.object_format)
        for file in changes.now.values():
            drafts.add("blob", file.content)
        now = {path: file.entry for path, file in changes.now.items()}
        tree = draft_trees(known.folders, now, changes.gone, drafts)
        content = commit_content(tree, (workspace.start_commit,), message, int(time.time()))
        commit = drafts.add("commit", content)
        drafts.store_loose(repo.git_dir / "objects")
    make_loose_ref(repo, ref, commit)
    index = captured_index(repo, workspace)
    if changes.odd:
        index.unlink(missing_ok=True)
    else:
        replace_whole(index, index_of(entries, repo.object_format))
    total, gone = len(changes.before), len(changes.gone)
    left = total - gone + len(changes.added)
    return Captured(
        commit,
        tree,
        workspace.start_commit,
        workspace.start_tree,
        len(changed),
        ref,
        stream=workspace.stream,
        warnings=ignored_in_words(but_made(ignored, repo, workspace)),
        removal=FilesRemoved(gone, total, left) if gone else FilesRemoved(),
        ignored=tuple(dict.fromkeys((*ignored, *shown_of_setup(repo, workspace)))),
    )
