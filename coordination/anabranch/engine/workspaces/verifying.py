"""Looking at a merge once git says that it is clean, and before anybody else is told so.

Two things are looked at. Nothing may be *lost*: whatever a merged result changed is in the merged
tree, unless another result changed it too. And some things git takes without a word: names that
differ only in case (two files on one system, one on another), nested repositories of which only a
commit's name is there, conflict markers, and changes to what others run or obey.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from anabranch.core.ids import RunId, StreamId
from anabranch.core.sensitive import is_worth_a_word
from anabranch.engine.git import Git
from anabranch.engine.workspaces.carrying import Carried
from anabranch.engine.workspaces.checking import GITLINK, prefixes, some, with_markers
from anabranch.engine.workspaces.objects import Change, existing, many_changes
from anabranch.engine.workspaces.repository import frozen_view
from anabranch.engine.workspaces.values import MergeOutcome, Repository, Standing, StreamResult
from anabranch.hostile_text import utf8_text

Entry = tuple[str, str]


class Findings(msgspec.Struct, frozen=True):
    """What a look at a merge has found; anything ``lost`` means that it must not count."""

    lost: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def look_at_merge(
    repo: Repository,
    run: RunId,
    start: Standing,
    results: Sequence[StreamResult],
    outcome: MergeOutcome,
    decided: Collection[str],
    beneath: Sequence[StreamResult] = (),
) -> Findings:
    """Look at what came of merging ``results`` over ``start``.

    ``decided`` are the paths, as they are told, that somebody has decided about. ``beneath`` are
    the results that the start holds already: what they have brought is told as well.
    """
    git = frozen_view(repo, run)
    since = beneath[0][1].start_tree if beneath else start.tree
    brought = [(result.start_tree, result.tree) for _, result in results]
    behind = [(result.start_tree, start.tree) for _, result in results]
    before = [(result.start_tree, result.tree) for _, result in beneath]
    merged, *each = many_changes(git, [(since, outcome.tree), *brought, *behind, *before])
    streams = [stream for stream, _ in results]
    count = len(results)
    changed = dict(zip(streams, each[:count], strict=True))
    older = dict(zip(streams, each[count : 2 * count], strict=True))
    held = dict(zip((stream for stream, _ in beneath), each[2 * count :], strict=True))
    files = _files(git, outcome.tree) if merged or any(each) else {}
    lost = _lost(changed, older, files, outcome.carried, decided)
    return Findings(
        tuple(dict.fromkeys((*outcome.lost, *lost))),
        tuple(_warnings(git, files, merged, {**held, **changed})),
    )


def _files(git: Git, tree: str) -> dict[str, Entry]:
    """Return every path of a tree with its mode and blob."""
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
    carried: Mapping[str, Carried | None],
    decided: Collection[str],
) -> Iterator[str]:
    """Yield what is not in the merged tree though a result brought it.

    A path that one result alone has changed is there as that one has it, or where a rename carried
    it. What the merge started from counts as one more side: ``beneath`` tells for each stream what
    it holds that the stream has not started from. Where somebody has decided for a file, what
    another side has in a folder of that name is decided about, too.
    """
    by_path: defaultdict[str, list[tuple[StreamId, Change]]] = defaultdict(list)
    for stream, changes in changed.items():
        for change in changes:
            by_path[change.path].append((stream, change))
    older = {s: {change.path: change for change in changes} for s, changes in beneath.items()}
    for path, touched in by_path.items():
        if _is_decided(path, files, decided):
            continue
        ends = [change for _, change in touched]
        ends += [older[s][path] for s, _ in touched if path in older[s]]
        if path in carried:
            is_there = _stands(carried[path], files)
        elif len(ends) > 1:
            is_there = path in files or any(change.after is None for change in ends)
        else:
            after = ends[0]
            is_there = files.get(path) == ((after.after_mode, after.after) if after.after else None)
        if not is_there:
            yield f"{path} of {touched[0][0]}"


def _is_decided(path: str, files: Collection[str], decided: Collection[str]) -> bool:
    above = (folder for folder in prefixes(path) if folder != path and folder in files)
    return any(utf8_text(each) in decided for each in (path, *above))


def _stands(carried: Carried | None, files: Mapping[str, Entry]) -> bool:
    """Say whether what went along with a rename is where it was carried, unless changed since."""
    return carried is None or files.get(carried.path) == (carried.mode, carried.blob)


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
        missing = f"; their commits are not in this repository: {some(nowhere)}" if nowhere else ""
        yield f"of nested repositories only a commit's name was merged: {some(links)}{missing}"
    marked = list(with_markers(git, merged))
    if marked:
        yield f"conflict markers were merged in {some(marked)}"
    for stream, changes in changed.items():
        sensitive = [c.path for c in changes if is_worth_a_word(c.path)]
        if sensitive:
            yield f"{stream} changed what others run or obey: {some(sensitive)}"


def _case_twins(files: Collection[str], added: Sequence[str]) -> list[str]:
    if not added:
        return []
    spellings: defaultdict[str, set[str]] = defaultdict(set)
    for path in files:
        for prefix in prefixes(path):
            spellings[prefix.casefold()].add(prefix)
    return [path for path in added if any(len(spellings[p.casefold()]) > 1 for p in prefixes(path))]
