"""The refs that keep a run's work, and which of that work is kept nowhere else.

Proof is what a person's own branches, tags and remote-tracking refs lead to: the commit itself, a
commit with the same files, or every file that the work has changed. Branches that runs made are
not the person's, nor is a HEAD or a stash, which move on by themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

import msgspec

from anabranch.core.ids import RunId
from anabranch.engine.git import Git, encode
from anabranch.engine.workspaces.names import base_ref, result_branch
from anabranch.engine.workspaces.objects import existing
from anabranch.engine.workspaces.refs import list_refs
from anabranch.engine.workspaces.repository import live_view
from anabranch.engine.workspaces.values import Repository

PLAN = "anabranch.toml"
_OURS = "refs/anabranch/"
_RUN = r"\d{8}-\d{6}-[a-z0-9]{3,}"
_OF_A_RUN = re.compile(rf"refs/heads/anabranch/{_RUN}\Z")
_RESULTS_OF_A_RUN = re.compile(rf"refs/anabranch/{_RUN}/")
_THEIRS = ("refs/heads/", "refs/tags/", "refs/remotes/")
_WORK = {
    "base": "what the run started from",
    "partial": "partial work",
    "rescue": "rescued from a workspace",
    "forgotten": "rescued from a worktree",
    "made": "a stream's own branch, tag or stash",
    "handlers": "what handlers had done",
    "decision": "a text that settled a conflict",
    "candidate": "a merged result",
    "point": "a merged result",
}
_WITH_FILES = ("--objects", "--missing=allow-any")
_PLAN_CHANGED = f"merged work that changed {PLAN}; without it nobody is asked about its commands"


class Unproven(msgspec.Struct, frozen=True):
    """Something that would be lost: the ref that keeps it, what it points at, and what it is."""

    ref: str
    object: str
    what: str


def refs_of_run(repo: Repository, run: RunId) -> dict[str, str]:
    """Return every ref of a run, its branch included, and what it points at. Raises GitError."""
    git, branch = live_view(repo), result_branch(run)
    own = {r: o for r, o in list_refs(git, _OURS).items() if _is_of(r, run)}
    return own | {r: o for r, o in list_refs(git, branch).items() if r == branch}


def _is_of(ref: str, run: RunId) -> bool:
    """Say whether a ref is a run's: RUN/STREAM or KIND/RUN; a stream may be called as a run is."""
    parts = ref.split("/")
    of_a_kind = parts[3] == run and not _RESULTS_OF_A_RUN.match(ref) if len(parts) > 3 else False
    return parts[2] == run or of_a_kind


def unproven(repo: Repository, run: RunId, refs: Mapping[str, str]) -> list[Unproven]:
    """Return what of a run's work nothing of the person's leads to. Raises GitError."""
    git = live_view(repo)
    theirs = _what_is_theirs(git) if repo.kind == "git" else []
    found: dict[str, Unproven] = {}
    for ref, name in refs.items():
        kind = _kind(ref, run)
        if kind is not None and name not in found:
            found[name] = Unproven(ref, name, kind)
    base = refs.get(base_ref(run))
    kept = _reachable(git, theirs, base)
    lost = [one for one in found.values() if not _is_kept(git, one.object, base, kept)]
    return [*lost, *_plans_changed(git, refs, base)]


def _kind(ref: str, run: RunId) -> str | None:
    """Return what a ref keeps; None for what is derived: starts, tips, checkpoints, what came."""
    parts = ref.split("/")
    if ref == result_branch(run):
        return "the run's result"
    if parts[2] == run:
        return "a stream's result"
    return _WORK.get(parts[2])


def _what_is_theirs(git: Git) -> list[str]:
    return sorted(
        {
            name
            for ref, name in list_refs(git).items()
            if ref.startswith(_THEIRS) and not _OF_A_RUN.fullmatch(ref)
        }
    )


def _reachable(git: Git, theirs: list[str], base: str | None) -> set[str]:
    """Return all objects that refs of the person's lead to, but for what only the base has."""
    if not theirs:
        return set()
    commits = _objects(git, theirs, [])
    if base is None or base not in commits:
        return _objects(git, theirs, [], *_WITH_FILES)
    of_base = git.run("ls-tree", "-r", "-t", "--format=%(objectname)", base).lines
    tree = git.run("rev-parse", f"{base}^{{tree}}").text
    return commits | _objects(git, theirs, [base], *_WITH_FILES) | {tree, *of_base}


def _objects(git: Git, theirs: list[str], without: list[str], *options: str) -> set[str]:
    asked = encode("\n".join([*theirs, *(f"^{name}" for name in without)]) + "\n")
    answer = git.run("rev-list", *options, "--stdin", stdin=asked)
    return {line.split(" ", 1)[0] for line in answer.lines}


def _is_kept(git: Git, name: str, base: str | None, kept: set[str]) -> bool:
    if name in kept:
        return True
    if existing(git, [name]).get(name) != "commit":
        return False
    tree = git.run("rev-parse", f"{name}^{{tree}}").text
    if tree in kept:
        return True
    if not kept or base is None or _parents_beside(git, name, base, kept):
        return False
    changed = [*_changed(git, base, name)]
    return bool(changed) and all(blob in kept for blob in changed)


def _parents_beside(git: Git, name: str, base: str, kept: set[str]) -> bool:
    """Say whether a commit has history with files that it no longer has itself."""
    beside = _objects(git, [name], [base], *_WITH_FILES)
    own = git.run("ls-tree", "-r", "-t", "--format=%(objectname)", name).lines
    commits = _objects(git, [name], [base])
    trees = {git.run("rev-parse", f"{commit}^{{tree}}").text for commit in commits}
    files = existing(git, beside - commits - trees - kept - set(own))
    return "blob" in files.values()


def _changed(git: Git, base: str, name: str) -> Iterator[str]:
    """Yield the objects of files that differ between a base and a commit, as that has them."""
    listed = git.run("diff-tree", "-r", "-z", "--no-renames", base, name).fields
    for facts in listed[::2]:
        blob = facts.split(" ")[3]
        if blob.strip("0"):
            yield blob


def _plans_changed(git: Git, refs: Mapping[str, str], base: str | None) -> Iterator[Unproven]:
    """Yield merged work by which a plan's commands are known as not the person's own."""
    candidates = {r: o for r, o in refs.items() if r.startswith(f"{_OURS}candidate/")}
    if base is None:
        return
    for ref, name in candidates.items():
        asked = ("diff-tree", "-r", "--name-only", base, name, "--", f":(glob)**/{PLAN}")
        if git.run(*asked).out:
            yield Unproven(ref, name, _PLAN_CHANGED)


def where_checked_out(repo: Repository, run: RunId) -> str | None:
    """Return the folder in which a run's branch is checked out, if one is. Raises GitError."""
    if repo.kind != "git":
        return None
    folder = ""
    for field in live_view(repo).run("worktree", "list", "--porcelain", "-z").fields:
        kind, _, value = field.partition(" ")
        folder = value if kind == "worktree" else folder
        if kind == "branch" and value == result_branch(run):
            return folder
    return None


def drop_refs(repo: Repository, refs: Mapping[str, str]) -> None:
    """Remove refs in one step, each only if it points still at what is said. Raises GitError."""
    lines = [f"delete {ref} {name}\n" for ref, name in refs.items()]
    if lines:
        live_view(repo).run("update-ref", "--stdin", stdin=encode("".join(lines)))
