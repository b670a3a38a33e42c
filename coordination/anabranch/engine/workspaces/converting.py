"""What git itself changes in a file that nobody has touched: that is nobody's work.

A blob with CRLF under a ``text`` attribute comes out of a checkout as it is, and goes back with LF:
whoever looks at the file first seems to have changed all of it. So a changed file is compared with
what a capture would make of the untouched start, and where both are the same, the start stands.
Files with a filter are left alone: filters are programs, and what they give back is their affair.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from anabranch.engine.git import Git, encode
from anabranch.engine.workspaces.objects import Change

MOST_COMPARED = 5_000
MOST_LOOKED_AT = 20_000
_CONVERTING = ("text", "eol", "crlf", "ident", "working-tree-encoding")
_ATTRIBUTES = ".gitattributes"


def untouched(git: Git, start: str, changed: Sequence[Change]) -> tuple[Change, ...]:
    """Return those changes that a capture makes of the untouched start, too. Raises GitError."""
    edits = {c.path: c for c in changed if _is_edit(c)}
    same = _same_as_converted(git, start, {path: c.after or "" for path, c in edits.items()})
    return tuple(edits[path] for path in same)


def untouched_paths(git: Git, start: str, paths: Sequence[str]) -> set[str]:
    """Return those files in ``git``'s work tree that nobody has touched. Raises GitError."""
    wanted = _converted(git, paths)
    assert git.work_tree is not None
    there = [p for p in wanted if (git.work_tree / p).is_file()]
    return set(_same_as_converted(git, start, dict(zip(there, _hashes(git, there), strict=True))))


def converted_by_git(git: Git, tree: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return files whose line ends git changes as soon as it looks at them. Raises GitError.

    ``names`` are all files of the tree. In a large tree without attributes, or of very many files,
    none are looked for.
    """
    is_small = len(names) <= MOST_LOOKED_AT
    if not is_small or not any(name.rpartition("/")[2] == _ATTRIBUTES for name in names):
        return ()
    with _scratch(git) as apart:
        apart.run("read-tree", tree)
        _check_out(apart, [name for name in names if name.rpartition("/")[2] == _ATTRIBUTES])
        listed = apart.run("ls-files", "--eol", "-z").fields
    return tuple(path for facts, _, path in (line.partition("\t") for line in listed)
                 if _is_converted(facts.split()))  # fmt: skip


def _is_converted(facts: Sequence[str]) -> bool:
    """Say whether ``ls-files --eol`` tells of CRLF in the index that a text attribute takes out."""
    inside, attribute = facts[0], next((f for f in facts if f.startswith("attr/")), "")
    return inside in ("i/crlf", "i/mixed") and attribute == "attr/text"


def _is_edit(change: Change) -> bool:
    modes = (change.before_mode, change.after_mode)
    return bool(change.before and change.after) and all(m.startswith("100") for m in modes)


def _same_as_converted(git: Git, start: str, found: Mapping[str, str]) -> list[str]:
    paths = _converted(git, list(found))
    if not paths:
        return []
    with _scratch(git) as apart:
        apart.run("read-tree", start)
        names = apart.run("ls-files", "-z").fields
        _check_out(apart, [n for n in names if n.rpartition("/")[2] == _ATTRIBUTES])
        known = set(names)
        paths = [path for path in paths if path in known]
        _check_out(apart, paths)
        converted = _hashes(apart, paths)
    return [path for path, blob in zip(paths, converted, strict=True) if found[path] == blob]


def _converted(git: Git, paths: Sequence[str]) -> list[str]:
    """Return the files that git converts on their way in, as far as attributes and settings say."""
    some = [path for path in paths if "\n" not in path and '"' not in path][:MOST_COMPARED]
    if not some:
        return []
    names = (*_CONVERTING, "filter")
    asked = git.run("check-attr", "-z", "--stdin", *names, stdin=_listed(some)).fields
    facts = list(zip(asked[::3], asked[1::3], asked[2::3], strict=True))
    on = {(path, name) for path, name, value in facts if value not in ("unspecified", "unset")}
    always = git.run("config", "--get", "core.autocrlf", accept=(0, 1)).text.lower()
    is_always = always not in ("", "false", "no", "off", "0")
    return [
        path
        for path in some
        if (path, "filter") not in on
        and (is_always or any((path, name) in on for name in _CONVERTING))
    ]


def _hashes(git: Git, paths: Sequence[str]) -> list[str]:
    """Return the blobs that files would become, without writing them."""
    if not paths:
        return []
    stdin = "".join(f"{path}\n" for path in paths)
    return git.run("hash-object", "--stdin-paths", stdin=encode(stdin)).text.splitlines()


def _check_out(git: Git, paths: Sequence[str]) -> None:
    if paths:
        git.run("checkout-index", "-f", "-z", "--stdin", stdin=_listed(paths))


def _listed(paths: Sequence[str]) -> bytes:
    return b"".join(encode(path) + b"\0" for path in paths)


@contextmanager
def _scratch(git: Git) -> Iterator[Git]:
    """Give the same view over an empty folder, with an index of its own."""
    assert git.git_dir is not None
    made = Path(tempfile.mkdtemp(prefix=".converting-", dir=git.git_dir.parent))
    try:
        (made / "files").mkdir()
        yield git.at(work_tree=made / "files", index=made / "index")
    finally:
        shutil.rmtree(made, ignore_errors=True)
