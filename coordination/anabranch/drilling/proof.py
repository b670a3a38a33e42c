"""The proof that nothing is lost: what lay in a workspace before a fault, and where it is now.

The files are hashed here, with no help from what captures them; they are looked for in every commit
that is kept of their stream.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from anabranch.engine.git import Git, GitError

Contents = Mapping[str, str]
"""Blob ids by path, relative to the workspace."""


def changed_contents(workspace: Path) -> Contents:
    """Return what git would not find again by itself: changed and new files, less ignored ones."""
    git = Git(cwd=workspace)
    listed = ("ls-files", "-z", "-m", "-o", "--exclude-standard")
    try:
        names = git.run(*listed).fields
        algorithm = git.run("rev-parse", "--show-object-format").text
    except GitError:
        return {}
    found = {}
    for name in dict.fromkeys(names):
        place = workspace / name
        if place.is_file() and not place.is_symlink() and not name.startswith(".anabranch/"):
            found[name] = _blob_id(place.read_bytes(), algorithm)
    return found


def missing_from(repository: Git, contents: Contents, commits: Iterable[str]) -> list[str]:
    """Return the paths whose contents are in none of the commits."""
    left = dict(contents)
    for commit in commits:
        if not left:
            break
        for line in repository.run("ls-tree", "-r", "-z", commit).fields:
            described, _, name = line.partition("\t")
            if left.get(name) == described.split()[2]:
                del left[name]
    return sorted(left)


def kept_commits(repository: Git, run: str, stream: str) -> list[str]:
    """Return the commits that refs keep of a stream: results, partial work, checkpoints."""
    shape = "--format=%(objectname) %(refname)"
    listed = repository.run("for-each-ref", shape, "refs/anabranch")
    found = []
    for line in listed.lines:
        commit, _, ref = line.partition(" ")
        last = ref.rpartition("/")[2]
        if run in ref and (last == stream or last.rpartition(".")[0] == stream):
            found.append(commit)
    return found


def _blob_id(data: bytes, algorithm: str) -> str:
    return hashlib.new(algorithm or "sha1", b"blob %d\0" % len(data) + data).hexdigest()
