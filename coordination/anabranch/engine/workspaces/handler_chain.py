"""What the handlers of an attempt have done, merged: a chain of commits that a ref keeps.

A handler with a workspace of its own starts from the newest end of the chain. Its work is merged
onto that end like a stream's result, and the ref moves: then it counts, and not before. The chain
tells whose work is in it, so nothing is done twice by whoever comes after a crash.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import msgspec

from anabranch.core.events import ConflictedPath
from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.core.wording import listing
from anabranch.engine.workspaces.merging import merge_trees
from anabranch.engine.workspaces.names import base_ref, handler_of, handlers_ref
from anabranch.engine.workspaces.objects import Drafts, commit_content
from anabranch.engine.workspaces.refs import keep_ref, move_ref, read_ref
from anabranch.engine.workspaces.repository import frozen_view, live_view
from anabranch.engine.workspaces.values import MergeOutcome, Repository, StreamResult
from anabranch.engine.workspaces.verifying import look_at_merge

_MERGED = "Merged the work of"
_MOST_PATHS_NAMED = 3


class Chain(msgspec.Struct, frozen=True):
    """Where handlers' work stands, merged.

    ``commits`` are those of the chain, newest first; the last one is what the handlers start from,
    with the tree ``start_tree``. ``places`` are the handlers whose work is in it.
    """

    commit: str
    tree: str
    start_tree: str
    commits: tuple[str, ...]
    places: frozenset[int] = frozenset()

    @property
    def is_empty(self) -> bool:
        """Whether no handler has changed anything yet."""
        return len(self.commits) == 1


def begin_chain(
    repo: Repository, run: RunId, stream: StreamId, attempt: Attempt, tree: str, parent: str
) -> Chain:
    """Begin the chain of an attempt with what the stream's workspace holds. Raises GitError."""
    drafts = Drafts(repo.object_format)
    content = commit_content(tree, (parent,), _beginning(stream), int(time.time()))
    commit = drafts.add("commit", content)
    drafts.store(frozen_view(repo, run))
    keep_ref(repo, handlers_ref(run, stream, attempt), commit)
    return Chain(commit, tree, tree, (commit,))


def read_chain(repo: Repository, run: RunId, stream: StreamId, attempt: Attempt) -> Chain | None:
    """Return the chain of an attempt, None if it never began. Raises GitError."""
    tip = read_ref(repo, handlers_ref(run, stream, attempt))
    if tip is None:
        return None
    shape = ("--no-commit-header", "--format=%H %T %s")
    base = f"^{base_ref(run)}" if read_ref(repo, base_ref(run)) else ""
    asked = ("rev-list", "--first-parent", *shape, tip, *((base,) if base else ()))
    rows = [line.split(" ", 2) for line in live_view(repo).run(*asked).lines]
    commits: list[str] = []
    places: set[int] = set()
    for commit, tree, subject in rows:
        commits.append(commit)
        if subject == _beginning(stream):
            return Chain(tip, rows[0][1], tree, tuple(commits), frozenset(places))
        found = handler_of(StreamId(subject.rpartition(": ")[2]))
        if found is not None:
            places.add(found[1])
    return None


def merge_into_chain(
    repo: Repository,
    run: RunId,
    stream: StreamId,
    attempt: Attempt,
    chain: Chain,
    results: Sequence[StreamResult],
) -> tuple[Chain, dict[StreamId, str]]:
    """Merge handlers' results, in the order given, and have the ref keep them.

    Returns the chain as it is then, and why each result that is not in it cannot be merged. What
    changed nothing is merged already. Raises GitError, with the chain as it was.
    """
    outcome = merge_trees(repo, run, chain, results, message=_MERGED, stop_early=False)
    refused = {conflict.late: _in_words(conflict.paths) for conflict in outcome.conflicts}
    merged = [pair for pair in results if pair[0] not in refused]
    lost = look_at_merge(repo, run, chain, merged, outcome, ()).lost if merged else ()
    if lost and len(results) > 1:
        return _one_by_one(repo, run, stream, attempt, chain, results)
    if lost:
        return chain, {results[0][0]: f"the merge would lack {listing(lost, _MOST_PATHS_NAMED)}"}
    if outcome.commit != chain.commit:
        move_ref(repo, handlers_ref(run, stream, attempt), outcome.commit, chain.commit)
    return _grown(chain, outcome, [name for name, _ in merged]), refused


def _one_by_one(
    repo: Repository,
    run: RunId,
    stream: StreamId,
    attempt: Attempt,
    chain: Chain,
    results: Sequence[StreamResult],
) -> tuple[Chain, dict[StreamId, str]]:
    refused: dict[StreamId, str] = {}
    for result in results:
        chain, why = merge_into_chain(repo, run, stream, attempt, chain, [result])
        refused |= why
    return chain, refused


def _grown(chain: Chain, outcome: MergeOutcome, names: Sequence[StreamId]) -> Chain:
    places = {found[1] for name in names if (found := handler_of(name)) is not None}
    commits = chain.commits
    if outcome.commit != chain.commit:
        commits = (outcome.commit, *commits)
    return Chain(
        outcome.commit, outcome.tree, chain.start_tree, commits, chain.places | frozenset(places)
    )


def _beginning(stream: StreamId) -> str:
    return f"What the handlers of {stream} start from"


def _in_words(paths: Sequence[ConflictedPath]) -> str:
    names = listing((path.path for path in paths), _MOST_PATHS_NAMED)
    return f"it does not merge with what other handlers have done: {names}"
