"""What git takes without a word, but people would want to know about a stream's work."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence

from anabranch.core.deciding.locks.violations import removes_nearly_all
from anabranch.core.wording import listing
from anabranch.engine.git import Git
from anabranch.engine.workspaces.deciding import has_markers
from anabranch.engine.workspaces.objects import Change, ObjectReader
from anabranch.engine.workspaces.snapshots import Snapshot, nested_with_commit
from anabranch.engine.workspaces.submodules import is_as_committed
from anabranch.engine.workspaces.values import FilesRemoved

Finding = str
_LARGEST_TEXT_BYTES = 4 << 20
_LISTED = 3
GITLINK = "160000"


def check_changes(
    git: Git, snapshot: Snapshot, changed: Sequence[Change], ignored: Sequence[str]
) -> Iterator[Finding]:
    """Yield, in words for the user, what in a captured tree deserves a look."""
    if snapshot.left_out:
        yield f"nested repositories without commits are not captured: {some(snapshot.left_out)}"
    links = [change.path for change in changed if change.after_mode == GITLINK]
    touched, written = _inside_links(git)
    if written:
        yield f"what was written into the folders of submodules is not captured: {some(written)}"
    if links:
        yield (
            f"only the commit of nested repositories is captured: {some(links)} (what leads to it "
            "stays in the workspace: push it from there)"
        )
    if touched:
        yield (
            f"what is not committed in nested repositories is not captured: {some(touched)} (it "
            "stays in the workspace)"
        )
    marked = list(with_markers(git, changed))
    if marked:
        yield f"conflict markers are left in {some(marked)}"
    added = [change.path for change in changed if change.before is None]
    twins = case_twins(git, added)
    if twins:
        yield f"names that differ only in case: {some(twins)}"
    yield from ignored_in_words(ignored)


def ignored_in_words(ignored: Sequence[str]) -> tuple[Finding, ...]:
    """Return what to say of what git leaves out, if there is any."""
    if not ignored:
        return ()
    many = f"{len(ignored)} ignored files or folders are"
    these = "1 ignored file or folder is" if len(ignored) == 1 else many
    return (f"{these} not captured: {some(ignored)}",)


def _inside_links(git: Git) -> tuple[list[str], list[str]]:
    """Return nested repositories that are not as they were committed, as far as can be told, and
    folders of such that hold files of nobody's.

    They are not asked themselves: their own settings say how, and those may name any program.
    """
    root = git.work_tree
    assert root is not None
    there = [path for path in nested_with_commit(git) if os.path.isdir(root / path)]
    filled = [path for path in there if os.path.lexists(root / path / ".git")]
    assert git.index is not None
    scratch = git.index.with_name(f"{git.index.name}.nested")
    touched = [path for path in filled if not is_as_committed(git, root / path, scratch)]
    return touched, [path for path in there if path not in filled and os.listdir(root / path)]


def ignored_paths(git: Git) -> tuple[str, ...]:
    """Return what git leaves out of a folder, whole folders by a slash at the end."""
    listed = git.run("ls-files", "-o", "-i", "--exclude-standard", "--directory", "-z").fields
    folders = tuple(path for path in listed if path.endswith("/"))
    return tuple(path for path in listed if path in folders or not path.startswith(folders))


def any_ignored(git: Git, paths: Sequence[bytes]) -> bool:
    """Say whether git ignores one of these paths of a folder, none of which it knows."""
    asked = b"".join(path + b"\0" for path in paths)
    return git.run("check-ignore", "-q", "-z", "--stdin", stdin=asked, accept=(0, 1)).exit_code == 0


def files_removed(git: Git, before: str, after: str, changed: Sequence[Change]) -> FilesRemoved:
    """Return how many files of a tree are gone from a later one, and were not renamed.

    Renames cost a comparison of contents, so they are only looked for where it matters.
    """
    gone = sum(change.after is None for change in changed)
    if not gone:
        return FilesRemoved()
    total = len(git.run("ls-tree", "-r", "-z", "--name-only", before).fields)
    left = total - gone + sum(change.before is None for change in changed)
    if removes_nearly_all(gone, total, left):
        renames = ("-M", "--diff-filter=D", "--name-only")
        gone = len(git.run("diff-tree", "-r", "-z", *renames, before, after).fields)
    return FilesRemoved(gone, total, left)


def case_twins(git: Git, added: Sequence[str]) -> list[str]:
    """Return added paths that another path of the index equals but for the case of letters."""
    if not added:
        return []
    spellings: dict[str, set[str]] = {}
    for path in git.run("ls-files", "-z").fields:
        for prefix in prefixes(path):
            spellings.setdefault(prefix.casefold(), set()).add(prefix)
    return [
        path
        for path in added
        if any(len(spellings.get(prefix.casefold(), ())) > 1 for prefix in prefixes(path))
    ]


def prefixes(path: str) -> Iterator[str]:
    """Yield every folder above a path, and the path."""
    at = path.find("/")
    while at != -1:
        yield path[:at]
        at = path.find("/", at + 1)
    yield path


def with_markers(git: Git, changed: Sequence[Change]) -> Iterator[str]:
    """Yield the changed files that hold conflict markers which they did not hold before."""
    files = [change for change in changed if change.after and change.after_mode.startswith("100")]
    if not files:
        return
    with ObjectReader(git) as reader:
        for change in files:
            if _has_markers(reader, change.after) and not _has_markers(reader, change.before):
                yield change.path


def _has_markers(reader: ObjectReader, blob: str | None) -> bool:
    if blob is None or (reader.size(blob) or 0) > _LARGEST_TEXT_BYTES:
        return False
    found = reader.read(blob)
    if found is None:
        return False
    return has_markers(found[1])


def some(paths: Iterable[str]) -> str:
    """Return the first few paths, and how many more there are."""
    return listing(paths, _LISTED)
