"""Looking at a merge once git says that it is clean, and before anybody else is told so.

Two things are looked at. Nothing may be *lost*: whatever a merged result changed is in the merged
tree, unless another result changed it too. And some things git takes without a word: names that
differ only in case (two files on one system, one on another), nested repositories of which only a
commit's name is there, conflict markers, and changes to what others run or obey.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence

import msgspec

from anabranch.core.ids import RunId, StreamId
from anabranch.engine.git import Git
from anabranch.engine.workspaces.checking import GITLINK, prefixes, some, with_markers
from anabranch.engine.workspaces.objects import Change, existing, many_changes
from anabranch.engine.workspaces.repository import frozen_view
from anabranch.engine.workspaces.values import MergeOutcome, Repository, Result, Standing
from anabranch.hostile_text import tellable

SENSITIVE = (
    *("AGENTS.md", "CLAUDE.md", "anabranch.toml", ".mcp.json", ".gitattributes", ".gitmodules"),
    *(".envrc", "Makefile", "package.json", "setup.py", ".pre-commit-config.yaml"),
    *(".github/", ".gitlab-ci.yml", ".circleci/", ".claude/", ".cursor/", ".vscode/", ".husky/"),
)
"""What others run or obey: files by name, folders by a slash at the end."""

Entry = tuple[str, str]


class Findings(msgspec.Struct, frozen=True):
    """What a look at a merge has found; anything ``lost`` means that it must not count."""

    lost: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def look_at_merge(
    repo: Repository,
    run: RunId,
    start: Standing,
    results: Sequence[Result],
    outcome: MergeOutcome,
    decided: Collection[str],
) -> Findings:
    """Look at what came of merging ``results`` over ``start``.

    ``decided`` are the paths, as they are told, that somebody has decided about.
    """
    git = frozen_view(repo, run)
    brought = [(result.start_tree, result.tree) for result in results]
    behind = [(result.start_tree, start.tree) for result in results]
    merged, *each = many_changes(git, [(start.tree, outcome.tree), *brought, *behind])
    streams = [result.stream for result in results]
    changed = dict(zip(streams, each[: len(results)], strict=True))
    beneath = dict(zip(streams, each[len(results) :], strict=True))
    files = _files(git, outcome.tree)
    return Findings(
        tuple(_lost(changed, beneath, files, decided)),
        tuple(_warnings(git, files, merged, changed)),
    )


def _files(git: Git, tree: str) -> dict[str, Entry]:
    """Every path of a tree with its mode and blob."""
    found: dict[str, Entry] = {}
    for line in git.run("ls-tree", "-r", "-z", "--full-tree", tree).fields:
        facts, _, path = line.partition("\t")
        mode, _, blob = facts.split(" ")
        found[path] = (mode, blob)
    return found


def _lost(
    changed: dict[StreamId, tuple[Change, ...]],
    beneath: dict[StreamId, tuple[Change, ...]],
    files: dict[str, Entry],
    decided: Collection[str],
) -> Iterator[str]:
    """Yield what is not in the merged tree though a result brought it.

    A path that one result alone has changed is there as that one has it. Renames are the exception:
    git carries the change of a file along to its new name, and a new file into a renamed folder.
    What the merge started from counts as one more side: ``beneath`` tells for each stream what it
    holds that the stream has not started from.
    """
    by_path: defaultdict[str, list[tuple[StreamId, Change]]] = defaultdict(list)
    for stream, changes in changed.items():
        for change in changes:
            by_path[change.path].append((stream, change))
    older = {s: {change.path: change for change in changes} for s, changes in beneath.items()}
    for path, touched in by_path.items():
        if tellable(path) in decided:
            continue
        here = files.get(path)
        ends = [change for _, change in touched]
        ends += [older[s][path] for s, _ in touched if path in older[s]]
        if len(ends) > 1:
            is_there = here is not None or any(change.after is None for change in ends)
        else:
            is_there = _is_there(*touched[0], here, changed, beneath, by_path)
        if not is_there:
            yield f"{path} of {touched[0][0]}"


def _is_there(
    stream: StreamId,
    change: Change,
    here: Entry | None,
    changed: dict[StreamId, tuple[Change, ...]],
    beneath: dict[StreamId, tuple[Change, ...]],
    by_path: dict[str, list[tuple[StreamId, Change]]],
) -> bool:
    """Whether the only change of a path is in the merged tree."""
    if change.after is None or here == (change.after_mode, change.after):
        return (change.after is None) == (here is None)
    if change.before is not None:
        return False
    others = [c for s, changes in changed.items() if s != stream for c in changes]
    deleted = [c.path for c in (*others, *beneath[stream]) if c.after is None]
    if here is None:
        moved = {path.rpartition("/")[0] for path in deleted} - {""}
        return any(prefix in moved for prefix in prefixes(change.path))
    # git may have found a rename between what one has deleted and what another has added.
    older = {c.path for c in beneath[stream] if c.after is None}
    return any(
        path in older or (len(touched) > 1 and any(c.after is None for _, c in touched))
        for path, touched in by_path.items()
    )


def _warnings(
    git: Git,
    files: dict[str, Entry],
    merged: Sequence[Change],
    changed: dict[StreamId, tuple[Change, ...]],
) -> Iterator[str]:
    added = [change.path for change in merged if change.before is None]
    twins = _case_twins(files, added)
    if twins:
        yield f"names that differ only in case were merged: {some(twins)}"
    links = [c.path for c in merged if c.after_mode == GITLINK]
    if links:
        there = existing(git, [c.after for c in merged if c.after and c.after_mode == GITLINK])
        nowhere = [c.path for c in merged if c.after_mode == GITLINK and c.after not in there]
        told = f"; their commits are not in this repository: {some(nowhere)}" if nowhere else ""
        yield f"of nested repositories only a commit's name was merged: {some(links)}{told}"
    marked = list(with_markers(git, merged))
    if marked:
        yield f"conflict markers were merged in {some(marked)}"
    for stream, changes in changed.items():
        sensitive = [c.path for c in changes if is_sensitive(c.path)]
        if sensitive:
            yield f"{stream} changed what others run or obey: {some(sensitive)}"


def is_sensitive(path: str) -> bool:
    """Whether a path is one that programs or agents run or obey."""
    name = path.rpartition("/")[2]
    folders = f"/{path}"
    return any(f"/{s}" in folders if s.endswith("/") else s == name for s in SENSITIVE)


def _case_twins(files: Collection[str], added: Sequence[str]) -> list[str]:
    if not added:
        return []
    spellings: defaultdict[str, set[str]] = defaultdict(set)
    for path in files:
        for prefix in prefixes(path):
            spellings[prefix.casefold()].add(prefix)
    return [path for path in added if any(len(spellings[p.casefold()]) > 1 for p in prefixes(path))]
