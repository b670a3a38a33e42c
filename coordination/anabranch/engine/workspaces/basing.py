"""What a run starts from."""

from __future__ import annotations

import time

from anabranch.core.ids import RunId
from anabranch.core.model.state import Base
from anabranch.engine.git import Git, GitError
from anabranch.engine.workspaces.checking import some
from anabranch.engine.workspaces.fetching import fetch_missing
from anabranch.engine.workspaces.names import base_ref
from anabranch.engine.workspaces.objects import Drafts, commit_content
from anabranch.engine.workspaces.own_state import own_paths
from anabranch.engine.workspaces.quarantine import quarantined
from anabranch.engine.workspaces.refs import keep_ref, where_head_stands
from anabranch.engine.workspaces.repository import (
    checkout_view,
    empty_tree,
    followed_by,
    freeze_configuration,
    frozen_view,
    run_folder,
    settings_at_start,
)
from anabranch.engine.workspaces.snapshots import (
    Snapshot,
    nested_with_commit,
    renew_index,
    take_snapshot,
)
from anabranch.engine.workspaces.stream_repository import mould_of
from anabranch.engine.workspaces.values import Repository

_ALL_FILES = ("--no-renames", "--untracked-files=normal", "--ignore-submodules=dirty")


def capture_base(repo: Repository, run: RunId, include_uncommitted: bool) -> Base:
    """Record where the run starts and keep it alive by a ref; the checkout is not touched.

    The base is HEAD or, with ``include_uncommitted`` and always for a plain folder, the files as
    they are. The repository's configuration is written down at the same moment. Raises GitError
    when the checkout has unresolved conflicts that would become part of the base.
    """
    freeze_configuration(repo, run)
    mould_of(repo, run, "isolated")
    git = frozen_view(repo, run)
    if repo.kind == "plain":
        tree = snapshot_checkout(repo, run, None).tree
        commit = _commit(git, repo, tree, (), "The folder as it was when the run began")
        keep_ref(repo, base_ref(run), commit)
        return Base(commit, tree)
    head, branch = where_head_stands(Git(git_dir=repo.checkout_dir, cwd=repo.root))
    commit, tree = _committed(git, repo, head)
    if include_uncommitted:
        snapshot = snapshot_checkout(repo, run, tree)
        if snapshot.tree != tree:
            parents = () if head is None else (head,)
            tree = snapshot.tree
            commit = _commit(git, repo, tree, parents, "Uncommitted work when the run began")
    keep_ref(repo, base_ref(run), commit)
    fetch_missing(repo, run, tree)
    return Base(commit, tree, branch, head)


def uncommitted_files(repo: Repository, run: RunId, head: str | None) -> int:
    """Return how many files of the user's checkout have changes that its HEAD does not hold.

    Looked at as the run looks at files: no program starts that it does not follow.
    """
    if repo.kind == "plain":
        return 0
    index = run_folder(repo, run) / "index" / "checkout"
    git = checkout_view(repo, run, settings_at_start(repo, run)).at(index=index)
    try:
        tree = empty_tree(repo) if head is None else f"{head}^{{tree}}"
        index_file = repo.checkout_dir / "index"
        if renew_index(git, index_file, tree, keep_hidden=True) is not None:
            return 0
        withheld = [f":(exclude,top,literal){path}" for path in own_paths(repo)]
        where = ("-z", "--", ":/", *withheld)
        staged = git.run("diff-index", "--cached", "--name-only", "--no-renames", tree, *where)
        # Without a HEAD all that is in the index is new: the second letter tells of the files.
        status = git.run("status", "--porcelain", *_ALL_FILES, *where).fields
        differing = {*staged.fields, *(entry[3:] for entry in status if entry[1] != " ")}
    except GitError:
        return 0
    return len(differing)


def not_followed(repo: Repository, run: RunId) -> tuple[str, ...]:
    """Return what changed in the project's settings and is not followed, in words for the user."""
    followed, lines = followed_by(repo, run), []
    if followed.left_out:
        lines.append(
            f"git settings that changed since they were accepted are not followed: "
            f"{some(followed.left_out)} (look at them; to accept them: anabranch run --trust)"
        )
    if followed.changed_files:
        lines.append(
            "these changed in .git since its settings were accepted: "
            f"{some(followed.changed_files)} (your own git goes by them, this run does not)"
        )
    return tuple(lines)


def snapshot_checkout(repo: Repository, run: RunId, head_tree: str | None) -> Snapshot:
    """Return the user's files as they are, seen through a private index."""
    index = run_folder(repo, run) / "index" / "checkout"
    git = checkout_view(repo, run).at(index=index)
    if repo.kind == "git":
        tree = head_tree or empty_tree(repo)
        fault = renew_index(git, repo.checkout_dir / "index", tree, keep_hidden=True)
        if fault is not None:
            raise GitError(
                f"git's index of your checkout cannot be used: {fault}",
                hint="run git status there and mend what it says",
            )
        if git.run("ls-files", "-u", "-z").out:
            raise GitError(
                "your checkout has unresolved conflicts",
                hint="resolve them, or run without include_uncommitted",
            )
    known = set(nested_with_commit(git))
    with quarantined(git) as apart:
        snapshot = take_snapshot(apart, own_paths(repo))
        found = nested_with_commit(git)
    nested = [*snapshot.left_out, *(path for path in found if path not in known)]
    if nested:
        raise GitError(
            f"it holds repositories of their own: {some(nested)}",
            hint="their files would be in no workspace: run inside one of them, or list them in a "
            ".gitignore to leave them out",
        )
    return snapshot


def _committed(git: Git, repo: Repository, head: str | None) -> tuple[str, str]:
    if head is not None:
        return head, git.run("rev-parse", f"{head}^{{tree}}").text
    tree = empty_tree(repo)
    git.run("hash-object", "-t", "tree", "-w", "--stdin")
    return _commit(git, repo, tree, (), "Nothing was committed yet"), tree


def _commit(git: Git, repo: Repository, tree: str, parents: tuple[str, ...], message: str) -> str:
    drafts = Drafts(repo.object_format)
    content = commit_content(tree, parents, message, int(time.time()))
    commit = drafts.add("commit", content)
    drafts.store(git)
    return commit
