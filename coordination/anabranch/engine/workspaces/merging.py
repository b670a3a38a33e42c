"""Merging streams' results, in no checkout at all.

Every result brings its own merge base: the tree the engine put into its workspace. Ordinary history
would not do, because successive snapshots of uncommitted work have no history in common, and a
stream would conflict with its own earlier self. So each merge is made between two synthetic commits
over that tree, and only what comes out is committed with the real parents. The synthetic commits
lie in the engine's own object store and never reach the repository.

Most results touch paths that nobody else touched; `union` merges those without starting git.
The commits' times are taken from what they merge, so the same merge made twice, say after a crash,
is the same commit.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from msgspec.structs import replace

from anabranch.core.events import Conflict, ConflictedPath
from anabranch.core.ids import RunId, StreamId
from anabranch.core.model.state import Result
from anabranch.engine.git import Git
from anabranch.engine.workspaces.carrying import Account, Carried
from anabranch.engine.workspaces.deciding import NOTHING_DECIDED, decided_leaves
from anabranch.engine.workspaces.objects import (
    Change,
    Drafts,
    ObjectReader,
    changes,
    commit_content,
    commit_time,
    many_changes,
)
from anabranch.engine.workspaces.repository import frozen_view, run_folder
from anabranch.engine.workspaces.union import Extent, apply_leaves, leaves_of
from anabranch.engine.workspaces.values import (
    Decisions,
    MergeOutcome,
    Repository,
    Standing,
    StreamResult,
    Unmerged,
    UnmergedPath,
    conflict_between,
)
from anabranch.hostile_text import utf8_text

_ATTRIBUTES_ENDS = ("\t.gitattributes", "/.gitattributes")


def merge_trees(
    repo: Repository,
    run: RunId,
    start: Standing,
    results: Sequence[StreamResult],
    *,
    message: str,
    stop_early: bool,
    decisions: Decisions = NOTHING_DECIDED,
    below: Callable[[StreamId], Collection[StreamId]] = lambda _: (),
    view: Git | None = None,
) -> MergeOutcome:
    """Merge results over ``start`` in the order given; the caller keeps the commit alive.

    A conflicting result is left out and with it those ``below`` it, or ends the merge with
    ``stop_early``; one whose paths were all decided about is merged with the decisions. ``message``
    opens each merge commit's subject; objects are read and written through ``view`` (None: the
    frozen view).
    """
    with _Merge(repo, run, start, message, decisions, view or frozen_view(repo, run)) as merge:
        conflicts: list[Conflict] = []
        pairs = [(result.start_tree, result.tree) for _, result in results]
        left_out: set[StreamId] = set()
        merge.foresee([result for _, result in results])
        for (stream, result), changed in zip(results, many_changes(merge.git, pairs), strict=True):
            if stream in left_out:
                continue
            conflict = merge.take(stream, result, changed)
            if conflict is not None:
                conflicts.append(conflict)
                left_out.update(below(stream))
                if stop_early:
                    break
        return merge.finish(conflicts)


def changed_paths(repo: Repository, run: RunId, result: Result) -> tuple[str, ...]:
    """Return the paths that a result changed, against the tree it started from."""
    listed = changes(frozen_view(repo, run), result.start_tree, result.tree)
    return tuple(change.path for change in listed)


def paths_between(repo: Repository, run: RunId, before: str, after: str) -> tuple[str, ...]:
    """Return the paths in which two trees differ."""
    return tuple(change.path for change in changes(frozen_view(repo, run), before, after))


def who_touched(
    repo: Repository,
    run: RunId,
    results: Sequence[StreamResult],
    paths: Collection[ConflictedPath],
) -> tuple[StreamId, ...]:
    """Return the streams whose results changed one of these paths, or else something near them.

    In the order given.
    """
    touched: dict[str, list[StreamId]] = {}
    pairs = [(result.start_tree, result.tree) for _, result in results]
    listed = many_changes(frozen_view(repo, run), pairs)
    for (stream, _), changed in zip(results, listed, strict=True):
        for change in changed:
            touched.setdefault(utf8_text(change.path), []).append(stream)
    blamed = _to_blame(touched, {path.path for path in paths})
    return tuple(stream for stream, _ in results if stream in blamed)


def by_path(changed: Iterable[Change]) -> dict[str, Change]:
    """Return changes by their paths."""
    return {change.path: change for change in changed}


def _folder(path: str) -> str:
    return path.rpartition("/")[0] or path


def _to_blame(touched: Mapping[str, Sequence[StreamId]], paths: Collection[str]) -> set[StreamId]:
    """Return who touched one of the paths, or else files in or above their folders.

    A renamed folder conflicts where nobody has written: in what another one has put into it.
    """
    blamed = {stream for path in paths for stream in touched.get(path, ())}
    if blamed:
        return blamed
    near = {*paths, *map(_folder, paths)}
    return {
        stream
        for path, streams in touched.items()
        if path in near or _folder(path) in near
        for stream in streams
    }


@dataclass
class _Merge:
    """A merge under way: where it stands, and who touched what so far."""

    repo: Repository
    run: RunId
    start: Standing
    message: str
    decisions: Decisions
    view: Git
    commit: str = ""
    tree: str = ""
    merged: list[StreamId] = field(default_factory=list)
    touched: dict[str, list[StreamId]] = field(default_factory=dict)
    carried: dict[str, Carried | None] = field(default_factory=dict)
    lost: list[str] = field(default_factory=list)
    times: dict[str, int] = field(default_factory=dict)

    def __enter__(self) -> _Merge:
        folder = run_folder(self.repo, self.run)
        self.git = self.view.at(work_tree=folder / "empty")
        self.commit, self.tree = self.start.commit, self.start.tree
        self.drafts = Drafts(self.repo.object_format)
        self.reader = ObjectReader(self.git)
        self.extent = Extent()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.reader.__exit__(kind, error, traceback)

    def foresee(self, results: Sequence[Result]) -> None:
        """Ask at once when all results were made: one by one, git is waited for as often."""
        names = [result.commit for result in results if result.commit != result.start_commit]
        for name, found in zip(names, self.reader.read_all(names), strict=True):
            self.times[name] = commit_time(found[1] if found else b"")

    def take(
        self, stream: StreamId, result: Result, changed: tuple[Change, ...]
    ) -> Conflict | None:
        """Merge one result in, or say why it cannot be."""
        carried: Mapping[str, Carried] = {}
        if self.tree == result.start_tree:
            tree = result.tree
            self.extent.add(changed)
        elif result.tree in (result.start_tree, self.tree):
            tree = self.tree
        elif self._extent_since(result.start_tree).unites_with(changed):
            tree = apply_leaves(self.reader, self.drafts, self.tree, leaves_of(changed))
            self.extent.add(changed)
        else:
            merged = self._merge_by_git(result)
            was_clean = isinstance(merged, str)
            if isinstance(merged, Unmerged):
                settled = self._settled_by_hand(result) or self._decided(merged)
                if settled is None:
                    paths = tuple(unmerged.path for unmerged in merged.paths)
                    return conflict_between(self._blamed(merged), stream, paths, merged.tree)
                merged = settled
            carried = self._account_for(stream, result, changed, merged, was_clean)
            self.extent = Extent(changes(self.git, self.start.tree, merged))
            tree = merged
        self._carry(changed, carried)
        self.settle(stream, result, changed, tree)
        return None

    def settle(
        self, stream: StreamId, result: Result, changed: Sequence[Change], tree: str
    ) -> None:
        """Commit ``tree`` as the merge with a stream's result."""
        for change in changed:
            self.touched.setdefault(change.path, []).append(stream)
        self.merged.append(stream)
        self.tree = tree
        if result.commit not in (result.start_commit, self.commit):
            parents = (self.commit, result.commit)
            moment = max(self._time(parent) for parent in parents)
            subject = f"{self.message}: {stream}"
            content = commit_content(tree, parents, subject, moment)
            self.commit = self.drafts.add("commit", content)

    def finish(self, conflicts: Sequence[Conflict]) -> MergeOutcome:
        """Write everything drafted."""
        self.drafts.store(self.git)
        return MergeOutcome(
            self.commit,
            self.tree,
            tuple(self.merged),
            tuple(conflicts),
            self.carried,
            tuple(self.lost),
        )

    def _extent_since(self, tree: str) -> Extent:
        if tree == self.start.tree:
            return self.extent
        self.drafts.store(self.git)
        return Extent(changes(self.git, tree, self.tree))

    def _time(self, commit: str) -> int:
        if commit in self.times:
            return self.times[commit]
        content = self.drafts.get(commit)
        if content is None:
            found = self.reader.read(commit)
            content = found[1] if found else b""
        return commit_time(content)

    def _settled_by_hand(self, result: Result) -> str | None:
        """Return the tree, if a person has merged the other side into the stream's own history.

        Then that history has a nearer merge base than the tree the stream started from.
        """
        sides = (self.commit, result.commit)
        nearest = self.git.run("merge-base", *sides, accept=(0, 1)).text
        if not nearest or self._is_below(nearest, result.start_commit):
            return None
        answer = self.git.run("merge-tree", "--write-tree", "-z", *sides, accept=(0, 1))
        return answer.fields[0] if answer.exit_code == 0 else None

    def _decided(self, merge: Unmerged) -> str | None:
        """Return the tree, if there is a decision about every path that was not merged."""
        leaves = decided_leaves(merge, self.decisions)
        if leaves is None:
            return None
        tree = apply_leaves(self.reader, self.drafts, merge.tree, leaves)
        self.drafts.store(self.git)  # git is asked next what has changed
        return tree

    def _is_below(self, one: str, other: str) -> bool:
        test = self.git.run("merge-base", "--is-ancestor", one, other, accept=(0, 1))
        return test.exit_code == 0

    def _merge_by_git(self, result: Result) -> str | Unmerged:
        self.drafts.store(self.git)
        own_objects = frozen_view(self.repo, self.run).git_dir
        assert own_objects is not None
        synthetic = Drafts(self.repo.object_format)
        base = synthetic.add("commit", commit_content(result.start_tree, (), "base", 0))
        ours = synthetic.add("commit", commit_content(self.tree, (base,), "ours", 0))
        theirs = synthetic.add("commit", commit_content(result.tree, (base,), "theirs", 0))
        synthetic.store(replace(self.git, objects=own_objects / "objects"))
        git = self.git.at(
            work_tree=self._attributes_folder(), alternates=(own_objects / "objects",)
        )
        answer = git.run("merge-tree", "--write-tree", "-z", ours, theirs, accept=(0, 1))
        fields = answer.fields
        if answer.exit_code == 0:
            return fields[0]
        return Unmerged(fields[0], tuple(_unmerged_paths(fields, (ours, theirs))))

    def _account_for(
        self,
        stream: StreamId,
        result: Result,
        changed: Sequence[Change],
        merged: str,
        was_clean: bool,
    ) -> Mapping[str, Carried]:
        """Note what git lost though the merge was clean; return what it carried along with renames.

        Where a person has settled a conflict, it is theirs to say what stays.
        """
        pairs = ((result.start_tree, self.tree), (result.start_tree, merged))
        ours, outcome = (by_path(listed) for listed in many_changes(self.git, pairs))
        theirs = by_path(changed)
        account = Account(theirs, ours, outcome, self._content, self._has_driver).settle()
        for path in account.lost if was_clean else ():
            whose = [] if path in theirs else self.touched.get(path, [])
            self.lost.append(f"{path} of {next(iter(whose), stream)}")
        return account.carried

    def _carry(self, changed: Sequence[Change], carried: Mapping[str, Carried]) -> None:
        """Note where what was merged before stands after one more merge (None: it was changed)."""
        touched = {change.path for change in changed}
        for path, at in self.carried.items():
            if at is not None and at.path in carried:
                self.carried[path] = carried[at.path]
            elif at is not None and at.path in touched:
                self.carried[path] = None
        self.carried |= carried

    def _content(self, blob: str | None) -> bytes:
        found = self.reader.read(blob) if blob else None
        return found[1] if found else b""

    def _has_driver(self, path: str) -> bool:
        git = self.git.at(work_tree=self._attributes_folder())
        found = git.run("check-attr", "-z", "merge", "--", path).fields
        return found[-1] not in ("unspecified", "set", "unset", "text", "binary", "union")

    def _blamed(self, merge: Unmerged) -> tuple[StreamId, ...]:
        """Return who, of those merged, touched the unmerged paths, or else files near them."""
        blamed = _to_blame(self.touched, {path.name for path in merge.paths})
        return tuple(stream for stream in self.merged if stream in blamed)

    def _attributes_folder(self) -> Path:
        """Return a work tree with nothing but the .gitattributes of the tree merged so far.

        A merge reads attributes (merge drivers, binary or not) from files only.
        """
        listed = self.git.run("ls-tree", "-r", "-z", "--full-tree", self.tree).fields
        wanted = sorted(line for line in listed if line.endswith(_ATTRIBUTES_ENDS))
        name = hashlib.sha256("\0".join(wanted).encode("utf-8", "surrogateescape")).hexdigest()
        folder = run_folder(self.repo, self.run) / "attributes" / name
        if not wanted:
            return self.git.work_tree or folder
        if not folder.is_dir():
            self._write_attributes(folder, wanted)
        return folder

    def _write_attributes(self, folder: Path, listed: Sequence[str]) -> None:
        folder.parent.mkdir(exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder.parent))
        for line in listed:
            facts, _, path = line.partition("\t")
            mode, _, blob = facts.split(" ")
            found = self.reader.read(blob) if mode.startswith("100") else None
            if found is not None:
                (made / path).parent.mkdir(parents=True, exist_ok=True)
                (made / path).write_bytes(found[1])
        with suppress(FileExistsError, OSError):
            made.rename(folder)


def _unmerged_paths(fields: Sequence[str], sides: tuple[str, str]) -> Iterator[UnmergedPath]:
    """Read what ``merge-tree -z`` says: the tree, files with stages, then messages."""
    end = fields.index("", 1) if "" in fields[1:] else len(fields)
    stages: dict[str, dict[str, tuple[str, str]]] = {}
    for entry in fields[1:end]:
        facts, _, path = entry.partition("\t")
        mode, blob, stage = facts.split(" ")
        stages.setdefault(path, {})[stage] = (mode, blob)
    kinds = _kinds(fields[end + 1 :])
    for path in stages or kinds:  # a path without stages is told only where none has any
        here = stages.get(path, {})
        (_, base), (ours_mode, ours), (theirs_mode, theirs) = (
            here.get(stage, ("", None)) for stage in "123"
        )
        name = _without_side(path, sides)
        is_added = base is None and ours and theirs
        conflicted = ConflictedPath(
            path=utf8_text(name),
            kind="add/add" if is_added else kinds.get(path, "contents"),
            base=base,
            ours=ours,
            theirs=theirs,
            ours_mode=ours_mode,
            theirs_mode=theirs_mode,
        )
        yield UnmergedPath(conflicted, name, path)


def _kinds(messages: Sequence[str]) -> dict[str, str]:
    kinds: dict[str, str] = {}
    rest = iter(messages)
    for count in rest:
        paths = [next(rest) for _ in range(int(count))]
        kind = next(rest)
        next(rest)
        if kind.startswith("CONFLICT"):
            name = kind.removeprefix("CONFLICT (").removesuffix(")")
            kinds.update((path, name) for path in paths if path not in kinds)
    return kinds


def _without_side(path: str, sides: tuple[str, str]) -> str:
    for side in sides:
        path = path.removesuffix(f"~{side}")
    return path
