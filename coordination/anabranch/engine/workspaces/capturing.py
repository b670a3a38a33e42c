"""A stream's work as a commit: its own commits and whatever it has not committed.

Nothing of the stream is touched, and it may be running: the files are read through a private index,
the commit is made beside the stream's own history. The stream's HEAD becomes the parent when it
grew out of the start; work on a rewritten or unrelated history is put onto the start as one step.
The stream's folder is not believed about where its repository lies; the engine remembers that.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec.structs import replace

from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.engine.git import Git, GitError
from anabranch.engine.workspaces.checking import (
    Finding,
    check_changes,
    files_removed,
    ignored_paths,
)
from anabranch.engine.workspaces.converting import untouched
from anabranch.engine.workspaces.identity import WorkspaceReplaced
from anabranch.engine.workspaces.including.frozen_files import included_in
from anabranch.engine.workspaces.including.keeping_out import (
    but_included,
    committed_in,
    committed_in_words,
    keep_out,
    left_out_in_words,
)
from anabranch.engine.workspaces.layers.standing import require_standing
from anabranch.engine.workspaces.lost import (
    git_directory_names,
    lost_commits,
    lost_tags,
    stored_names,
)
from anabranch.engine.workspaces.names import rescue_ref
from anabranch.engine.workspaces.objects import (
    Change,
    Drafts,
    ObjectReader,
    changes,
    commit_content,
    existing,
)
from anabranch.engine.workspaces.own_state import own_paths
from anabranch.engine.workspaces.quarantine import quarantined, require_room
from anabranch.engine.workspaces.records import index_path
from anabranch.engine.workspaces.refs import keep_ref, list_refs, read_ref
from anabranch.engine.workspaces.repository import frozen_view, live_view
from anabranch.engine.workspaces.setup_made import but_made
from anabranch.engine.workspaces.snapshots import (
    Snapshot,
    path_at_fault,
    renew_index,
    take_snapshot,
)
from anabranch.engine.workspaces.stream_history import bring_objects, head_of, objects_of
from anabranch.engine.workspaces.stream_repository import refs_at_start
from anabranch.engine.workspaces.union import Leaf, apply_leaves
from anabranch.engine.workspaces.values import Captured, PreparedWorkspace, Repository

MOST_IGNORED = 50
MOST_LEFT_OUT = 64
_WITHOUT_INDEX = "what it added by force or took out of git is as it was before"


def capture_result(
    repo: Repository,
    run: RunId,
    stream: StreamId,
    attempt: Attempt,
    workspace: PreparedWorkspace,
    message: str,
    ref: str,
    without: Sequence[str] = (),
) -> Captured:
    """Capture all work in a workspace and keep it by ``ref`` at once.

    The result's warnings name what git takes without a word but people would want to know. Files
    and folders named in ``without`` stay as they were at the start. Raises GitError when a file
    cannot be captured; the workspace stays as it is.
    """
    if workspace.kind == "shared":
        warning = "this stream works in your own folder: its changes are already there"
        commit, tree = workspace.start_commit, workspace.start_tree
        return Captured(commit, tree, commit, tree, stream=stream, warnings=(warning,))
    require_standing(workspace)
    store = objects_of(repo, workspace)
    try:
        return _captured(repo, workspace, store, message, ref, without)
    except WorkspaceReplaced:
        raise
    except GitError as error:
        if store is None:
            raise
        warning = f"what it told git cannot be read ({error.reason}): its files are one commit"
        result = _captured(repo, workspace, None, message, ref, without, only_files=True)
        return msgspec.structs.replace(result, warnings=(warning, *result.warnings))


def _captured(
    repo: Repository,
    workspace: PreparedWorkspace,
    store: Path | None,
    message: str,
    ref: str,
    without: Sequence[str] = (),
    *,
    only_files: bool = False,
) -> Captured:
    """Capture with the objects that the stream's own repository lends.

    With ``only_files`` nothing of that repository is believed, neither its index nor its HEAD.
    """
    git, fault = _view_with(repo, workspace, store), None
    source = trusted_git_dir(workspace) / "index"
    if only_files:
        git = _with_fresh_index(git, workspace.start_tree)
    else:
        fault = renew_index(git, source, workspace.start_tree)
    kept_out = keep_out(git, repo, workspace.run)
    withheld = (*own_paths(repo), *without, *kept_out.withheld)
    require_room(git, _to_be_written(git, workspace))
    with quarantined(git) as apart:
        snapshot = take_snapshot(apart, withheld)
        require_standing(workspace)  # it may have been swapped meanwhile
        changed = changes(apart, workspace.start_tree, snapshot.tree)
        at_start: tuple[str, tuple[Finding, ...]] = (workspace.start_commit, ())
        head, finding = at_start if only_files else _parent(apart, repo, workspace)
        snapshot, changed = _own_work(apart, repo, workspace, head, snapshot, changed)
        if _tree_of(apart, workspace, head) == snapshot.tree:
            commit = head
        else:
            kept = _already_kept(apart, repo, ref, snapshot.tree, head)
            commit = kept or _commit(apart, repo, head, snapshot.tree, message)
        frozen = frozen_view(repo, workspace.run)
        assert frozen.objects is not None
        own = replace(frozen, objects=apart.objects, alternates=(frozen.objects,))
        bring_objects(own, store, (commit,), (workspace.start_commit,))
    keep_ref(repo, ref, commit)
    if kept_out.paths:
        finding = (*finding, left_out_in_words(kept_out.paths))
    if fault is not None:
        finding = (*finding, f"its index is not used ({fault}): {_WITHOUT_INDEX}")
    ignored = but_included(ignored_paths(git), repo, workspace.run)
    to_be_said = but_made(ignored, repo, workspace)
    findings = [*finding, *check_changes(git, snapshot, changed, to_be_said)]
    return Captured(
        commit,
        snapshot.tree,
        workspace.start_commit,
        workspace.start_tree,
        len(changed),
        ref,
        stream=workspace.stream,
        warnings=tuple(findings),
        removal=files_removed(git, workspace.start_tree, snapshot.tree, changed),
        ignored=ignored[:MOST_IGNORED],
    )


def _own_work(
    git: Git,
    repo: Repository,
    workspace: PreparedWorkspace,
    head: str,
    snapshot: Snapshot,
    changed: Sequence[Change],
) -> tuple[Snapshot, tuple[Change, ...]]:
    """Take out what git alone has changed, unless the stream has committed it."""
    alone = untouched(git, workspace.start_tree, changed)
    if alone and head != workspace.start_commit:
        tree = git.run("rev-parse", f"{head}^{{tree}}").text
        committed = {change.path for change in changes(git, workspace.start_tree, tree)}
        alone = tuple(change for change in alone if change.path not in committed)
    if not alone:
        return snapshot, tuple(changed)
    drafts = Drafts(repo.object_format)
    with ObjectReader(git) as reader:
        leaves = [Leaf(change.path, change.after_mode, change.before) for change in alone]
        tree = apply_leaves(reader, drafts, snapshot.tree, leaves)
    drafts.store(git)
    return msgspec.structs.replace(snapshot, tree=tree), changes(git, workspace.start_tree, tree)


def _to_be_written(git: Git, workspace: PreparedWorkspace) -> Iterator[Path]:
    """Yield the files that git has to write objects of, about: those newer than its index."""
    changed = git.run("ls-files", "-m", "-o", "--exclude-standard", "-z").fields
    yield from (workspace.path / path for path in changed)


def capture_what_can_be(
    repo: Repository, run: RunId, workspace: PreparedWorkspace, message: str, ref: str
) -> tuple[Captured, tuple[str, ...]]:
    """Capture a workspace without the files that cannot be captured; return those, too.

    Raises GitError when it cannot be told which those are.
    """
    without: list[str] = []
    while True:
        try:
            result = capture_result(
                repo, run, workspace.stream, workspace.attempt, workspace, message, ref, without
            )
        except WorkspaceReplaced:
            raise
        except GitError as error:
            path = path_at_fault(error)
            if path is None or path in without or len(without) >= MOST_LEFT_OUT:
                raise
            without.append(path)
        else:
            return result, tuple(without)


def capture_history(
    repo: Repository, run: RunId, workspace: PreparedWorkspace, message: str, ref: str
) -> Captured | None:
    """Keep by ``ref`` what a stream had committed, when its folder is out of reach.

    Looks where HEAD, branches and reflogs of its git directory lead. None: it had committed
    nothing, or its git directory has gone with the folder. Raises GitError.
    """
    git_dir = workspace.git_dir
    if git_dir is None or git_dir.is_symlink() or not git_dir.is_dir():
        return None
    lost = bring_history(repo, workspace)
    if not lost:
        return None
    git = frozen_view(repo, run)
    tree = git.run("rev-parse", f"{lost[0]}^{{tree}}").text
    parents = tuple(dict.fromkeys((workspace.start_commit, *lost)))
    drafts = Drafts(repo.object_format)
    commit = drafts.add("commit", commit_content(tree, parents, message, int(time.time())))
    drafts.store(git)
    keep_ref(repo, ref, commit)
    start_commit, start_tree = workspace.start_commit, workspace.start_tree
    count = len(changes(git, start_tree, tree))
    stream = workspace.stream
    return Captured(commit, tree, start_commit, start_tree, count, ref, stream=stream)


def bring_history(repo: Repository, workspace: PreparedWorkspace) -> list[str]:
    """Return the tips of all commits that only a workspace's git directory knows, brought over.

    Annotated tags of a clone are kept by refs of their own at once. Raises GitError.
    """
    git_dir = workspace.git_dir
    if git_dir is None or not git_dir.is_dir():
        return []
    frozen = frozen_view(repo, workspace.run)
    refs = list_refs(live_view(repo))
    store = objects_of(repo, workspace)
    names, source = git_directory_names(git_dir), frozen
    if store is not None:
        names |= stored_names(replace(frozen, objects=store))
        source = frozen.at(alternates=(store,))
    known = {*refs.values(), *refs_at_start(repo, workspace.run).values()}
    kept = existing(frozen, sorted(known))
    lost = [c for c in lost_commits(source, names, kept) if not holds(source, repo, workspace, c)]
    tags = lost_tags(source, names, kept) if store is not None else []
    if lost or tags:
        bring_objects(frozen, store, (*lost, *tags), tuple(kept))
    for number, tag in enumerate(tags):
        rescue = rescue_ref(workspace.run, workspace.stream, workspace.attempt)
        keep_ref(repo, f"{rescue}.tag-{number}", tag)
    return lost


def holds(git: Git, repo: Repository, workspace: PreparedWorkspace, commit: str) -> bool:
    """Say whether a commit, or one that led to it, holds what was only copied into a workspace."""
    start = workspace.start_commit
    return bool(committed_in(git, repo, workspace.run, (commit, f"^{start}")))


def given_to_git(repo: Repository, workspace: PreparedWorkspace) -> tuple[str, ...]:
    """Return which files a workspace's own repository holds that were only copied into it.

    Raises GitError.
    """
    git_dir, run = workspace.git_dir, workspace.run
    included = included_in(repo, run)
    if included is None or git_dir is None or not git_dir.is_dir():
        return ()
    store = objects_of(repo, workspace)
    source = frozen_view(repo, run).at(alternates=(store,) if store else ())
    names = git_directory_names(git_dir) | (stored_names(source) if store else set())
    start = f"^{workspace.start_commit}"
    commits = [n for n, kind in existing(source, sorted(names)).items() if kind == "commit"]
    return committed_in(source, repo, run, (*commits, start)) if commits else ()


def workspace_view(repo: Repository, workspace: PreparedWorkspace) -> Git:
    """Return the frozen view over a workspace's files, with the engine's private index for it.

    Raises WorkspaceReplaced when it is not the folder that was prepared.
    """
    require_standing(workspace)
    return _view_with(repo, workspace, objects_of(repo, workspace))


def _view_with(repo: Repository, workspace: PreparedWorkspace, store: Path | None) -> Git:
    index = index_path(repo, workspace.run, workspace.stream, workspace.attempt)
    git = frozen_view(repo, workspace.run).at(work_tree=workspace.path, index=index)
    return git if store is None else git.at(alternates=(store,))


def _with_fresh_index(git: Git, tree: str) -> Git:
    assert git.index is not None
    fresh = git.at(index=git.index.with_name(git.index.name + ".files"))
    fresh.run("read-tree", "--reset", tree)
    return fresh


def trusted_git_dir(workspace: PreparedWorkspace) -> Path:
    """Return the git directory made for a workspace. Raises GitError if it was replaced."""
    git_dir = workspace.git_dir
    if git_dir is None or git_dir.is_symlink() or not git_dir.is_dir():
        raise GitError(
            f"the git directory of {workspace.path} is gone or was replaced",
            hint="the files are still in the folder; copy what you need from there",
        )
    return git_dir


def _parent(
    git: Git, repo: Repository, workspace: PreparedWorkspace
) -> tuple[str, tuple[Finding, ...]]:
    start = workspace.start_commit
    head = head_of(repo, workspace)
    if head is None or head == start or head not in existing(git, (head,)):
        return start, ()
    grown = git.run("merge-base", "--is-ancestor", start, head, accept=(0, 1, 128))
    if grown.exit_code == 0:
        held = committed_in(git, repo, workspace.run, (head, f"^{start}"))
        return (start, (committed_in_words(held),)) if held else (head, ())
    return start, ("its history was rewritten; the work was put onto its start as one commit",)


def _already_kept(git: Git, repo: Repository, ref: str, tree: str, parent: str) -> str | None:
    """Return the commit an earlier capture made of the same work, so that it keeps its name."""
    kept = read_ref(repo, ref)
    if kept is None:
        return None
    found = git.run("rev-parse", f"{kept}^{{tree}}", f"{kept}^1", accept=(0, 128))
    same = found.exit_code == 0 and found.text.split("\n") == [tree, parent]
    return kept if same else None


def _tree_of(git: Git, workspace: PreparedWorkspace, commit: str) -> str:
    if commit == workspace.start_commit:
        return workspace.start_tree
    return git.run("rev-parse", f"{commit}^{{tree}}").text


def _commit(git: Git, repo: Repository, parent: str, tree: str, message: str) -> str:
    drafts = Drafts(repo.object_format)
    content = commit_content(tree, (parent,), message, int(time.time()))
    commit = drafts.add("commit", content)
    drafts.store(git)
    return commit
