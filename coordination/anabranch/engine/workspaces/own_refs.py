"""Branches, tags, notes and stashes that a stream made in its own repository: kept, and told.

Nothing of them appears among the user's: each is kept below a prefix of the attempt's own, from
where a person can take it. What the stream fetched from a remote is not its work and is left.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from anabranch.engine.git import Git, GitError, encode
from anabranch.engine.workspaces.capturing import holds
from anabranch.engine.workspaces.checking import Finding, some
from anabranch.engine.workspaces.names import made_prefix
from anabranch.engine.workspaces.objects import existing
from anabranch.engine.workspaces.refs import list_refs
from anabranch.engine.workspaces.repository import frozen_view, live_view
from anabranch.engine.workspaces.stream_history import (
    bring_objects,
    is_linked,
    objects_of,
    refs_of,
    stashes_of,
)
from anabranch.engine.workspaces.stream_repository import refs_at_start
from anabranch.engine.workspaces.values import PreparedWorkspace, Repository

MOST_KEPT = 200
_NOT_ITS_WORK = ("refs/remotes/", "refs/bisect/", "refs/rewritten/", "refs/worktree/", "refs/stash")
_INVALID = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(/|$)|\.$|/$")
_KINDS = (("heads/", "branch"), ("tags/", "tag"), ("notes/", "notes"))


def keep_own_refs(
    repo: Repository, workspace: PreparedWorkspace, *, is_first: bool = False
) -> tuple[Finding, ...]:
    """Keep what a stream's refs lead to; return it in words for the user.

    The ``is_first`` time there are none of an earlier time that it has taken away since.
    What cannot be kept is told too, and stays where it is until the workspace is reclaimed.
    """
    if workspace.kind == "shared" or workspace.git_dir is None or is_linked(repo, workspace):
        return ()
    prefix = made_prefix(workspace.run, workspace.stream, workspace.attempt)
    try:
        made = _made(repo, workspace)
        if is_first and not made:
            return ()
        held = _keep(repo, workspace, prefix, made)
    except GitError as error:
        return (f"its own branches, tags and stashes cannot be kept now: {error.reason}",)
    if held:
        return (
            *_made_in_words(made, prefix),
            f"not kept, for what was only copied into its workspace is in it: {_in_words(held)}",
        )
    return _made_in_words(made, prefix)


def _made_in_words(made: dict[str, str], prefix: str) -> tuple[Finding, ...]:
    if not made:
        return ()
    return (f"in its own repository it made {_in_words(made)}; kept below {prefix[:-1]}",)


def _made(repo: Repository, workspace: PreparedWorkspace) -> dict[str, str]:
    """Return what the stream's refs name and did not when it started, by name below ``refs/``."""
    git_dir = workspace.git_dir
    assert git_dir is not None
    start = refs_at_start(repo, workspace.run) if workspace.kind != "clone" else {}
    made = {
        ref.removeprefix("refs/"): name
        for ref, name in sorted(refs_of(git_dir).items())
        if start.get(ref) != name and not ref.startswith(_NOT_ITS_WORK) and not _INVALID.search(ref)
    }
    stashes = {f"stash/{n}": name for n, name in enumerate(reversed(stashes_of(git_dir)))}
    return dict(list((stashes | made).items())[:MOST_KEPT])


def _keep(
    repo: Repository, workspace: PreparedWorkspace, prefix: str, made: dict[str, str]
) -> dict[str, str]:
    """Keep what refs lead to, and take out of ``made`` what is not; return what must not be."""
    known = list_refs(live_view(repo), prefix)
    if not made and not known:
        return {}
    frozen = frozen_view(repo, workspace.run)
    store = objects_of(repo, workspace)
    source = frozen if store is None else frozen.at(alternates=(store,))
    there = existing(source, dict.fromkeys(made.values()))
    for ref in [ref for ref, name in made.items() if name not in there]:
        del made[ref]
    held = {
        ref: name
        for ref, name in made.items()
        if _holds(source, repo, workspace, there[name], name)
    }
    for ref in held:
        del made[ref]
    start = existing(frozen, {workspace.start_commit, *_before(repo, workspace, made)})
    if made:
        bring_objects(frozen, store, tuple(dict.fromkeys(made.values())), tuple(start))
    wanted = {prefix + ref: name for ref, name in made.items()}
    _write(repo, [f"delete {ref}" for ref in known if ref not in wanted])
    _write(repo, [f"update {ref} {name}" for ref, name in wanted.items()])
    return held


def _holds(
    source: Git, repo: Repository, workspace: PreparedWorkspace, kind: str, name: str
) -> bool:
    """Say whether a branch, tag or stash holds what git must not keep."""
    return kind in ("commit", "tag") and holds(source, repo, workspace, name)


def _before(repo: Repository, workspace: PreparedWorkspace, made: Mapping[str, str]) -> list[str]:
    start = refs_at_start(repo, workspace.run)
    return [start[f"refs/{ref}"] for ref in made if f"refs/{ref}" in start]


def _write(repo: Repository, lines: list[str]) -> None:
    if lines:
        live_view(repo).run("update-ref", "--stdin", stdin=encode("\n".join(lines) + "\n"))


def _in_words(made: Mapping[str, str]) -> str:
    stashes = sum(ref.startswith("stash/") for ref in made)
    kept = [f"{stashes} stashes" if stashes > 1 else "a stash"] if stashes else []
    for ref in made:
        kind = next(((start, word) for start, word in _KINDS if ref.startswith(start)), None)
        if kind is not None:
            kept.append(f"{kind[1]} {ref.removeprefix(kind[0])}")
        elif not ref.startswith("stash/"):
            kept.append(f"refs/{ref}")
    return some(kept)
