"""Keeping what a setup has made, for other workspaces.

Kept is what the setup has added, if git ignores all of it and it changed nothing else. Text that
names the workspace it was made in will name the new one; where something else names it, nothing is
kept. That nothing is kept is said in the setup's log, and fails nothing.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from anabranch.core.wording import counted
from anabranch.engine.disk_use import bytes_in
from anabranch.engine.git import Git, GitError
from anabranch.engine.kept_setups.made import STAMPS, files_at, stamps_at
from anabranch.engine.kept_setups.results import KEPT, TREE, Kept, NotKept, alone_with_all
from anabranch.files import replace_whole
from anabranch.hostile_text import utf8_text
from anabranch.plain_files import LARGE_FILE_BYTES, read_plain

OUR_OWN = b".anabranch/"
_QUIET = (("core.fsmonitor", "false"),)


class Look(msgspec.Struct, frozen=True):
    """A workspace at one moment: what git sees of it, and what it ignores, each as it is."""

    seen: bytes
    ignored: dict[bytes, str]


def looked_at(workspace: Path) -> Look | str:
    """Return how a workspace is; in words why nobody can tell."""
    git = Git(cwd=workspace)
    try:
        status = ("status", "--porcelain", "-z", "--untracked-files=all")
        seen = git.run(*status, config=_QUIET).out
        ignored = {name: _as_it_is(workspace, name) for name in ignored_in(workspace)}
    except (GitError, OSError) as error:
        return str(error)
    return Look(seen, ignored)


def ignored_in(workspace: Path) -> list[bytes]:
    """Return what git ignores in a workspace, whole folders by a slash at the end.

    Raises GitError.
    """
    ask = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")
    names = Git(cwd=workspace).run(*ask, config=_QUIET).out.split(b"\0")
    return [name for name in names if name and not name.startswith(OUR_OWN)]


def _as_it_is(workspace: Path, name: bytes) -> str:
    """Return a digest of the times and sizes of a file, or of all below a folder."""
    found = hashlib.sha256()
    top = os.path.join(os.fsencode(workspace), name.rstrip(b"/"))
    for path in (top, *_below(top)):
        at = os.lstat(path)
        found.update(b"%s\0%d\0%d\0%d\n" % (path, at.st_size, at.st_mtime_ns, at.st_mode))
    return found.hexdigest()


def _below(top: bytes) -> Iterator[bytes]:
    for folder, folders, files in os.walk(top):
        folders.sort()
        yield from (os.path.join(folder, name) for name in sorted((*folders, *files)))


def added(before: Look | str, after: Look | str) -> list[bytes]:
    """Return what a setup has added that git ignores. Raises NotKept if that is not all."""
    for look in (before, after):
        if isinstance(look, str):
            raise NotKept(look)
    assert isinstance(before, Look)
    assert isinstance(after, Look)
    if before.seen != after.seen:
        entries = set(after.seen.split(b"\0")) ^ set(before.seen.split(b"\0"))
        changed = utf8_text(os.fsdecode(b", ".join(sorted(e[3:] for e in entries if e)[:3])))
        raise NotKept(f"it changed {changed}, which git does not ignore")
    for name, digest in before.ignored.items():
        if after.ignored.get(name) != digest:
            raise NotKept(f"it changed {utf8_text(os.fsdecode(name))}, which was there before")
    return [name for name in after.ignored if name not in before.ignored]


def keep(workspace: Path, names: Sequence[bytes], place: Path, seconds: float) -> str:
    """Copy what was added beside other results, whole or not at all; return in words what.

    Raises NotKept, OSError, GitError.
    """
    if not names:
        raise NotKept("it added nothing that git ignores")
    draft = place.with_name(f".{place.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        tree = draft / TREE
        tree.mkdir(parents=True)
        copy(workspace, tree, names)
        texts, links = _naming(tree, ways_of_naming(workspace))
        inside = os.listdir(os.fsencode(tree))
        kept = Kept(
            str(workspace),
            tuple(os.fsdecode(name).rstrip("/") for name in names),
            tuple(texts),
            tuple(links),
            seconds,
            any(at.st_nlink > 1 for _, at in files_at(tree, inside)),
        )
        replace_whole(draft / STAMPS, msgspec.msgpack.encode(stamps_at(tree, inside)))
        replace_whole(draft / KEPT, json.dumps(msgspec.to_builtins(kept)).encode())
        with alone_with_all(place):
            draft.rename(place)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    size = bytes_in(place) / 1e6
    return f"{counted(len(names), 'entry', 'entries')}, {size:.1f} MB"


def copy(source: Path, target: Path, names: Sequence[bytes] | Sequence[str]) -> None:
    """Copy entries as they are, sharing blocks where the disk can. Raises NotKept, OSError."""
    for name in names:
        path = os.fsdecode(name).rstrip("/")
        (target / path).parent.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(
            ["cp", "-a", "--reflink=auto", "-T", "--", source / path, target / path],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
        if done.returncode != 0:
            raise NotKept(done.stderr.decode(errors="replace").strip()[:200])


def ways_of_naming(workspace: Path) -> re.Pattern[bytes]:
    """Return what finds the ways in which a workspace is named.

    It finds none whose name only begins like its.
    """
    ways = dict.fromkeys((os.fsencode(workspace), os.fsencode(os.path.realpath(workspace))))
    return re.compile(b"(?:" + b"|".join(map(re.escape, ways)) + rb")(?![A-Za-z0-9._-])")


def _naming(tree: Path, found: re.Pattern[bytes]) -> tuple[list[str], list[str]]:
    """Return the text files and the links that name a workspace. Raises NotKept, OSError.

    Compiled Python that does is left out: it is made again when it is needed.
    """
    texts, links = list[str](), list[str]()
    for path in map(os.fsdecode, _below(os.fsencode(tree))):
        name = os.path.relpath(path, tree)
        if os.path.islink(path):
            links += [name] if found.search(os.fsencode(os.readlink(path))) else []
        elif os.path.isfile(path):
            content = read_plain(path, LARGE_FILE_BYTES)
            if found.search(content) is None:
                continue
            if path.endswith(".pyc"):
                os.unlink(path)
            elif b"\0" in content:
                raise NotKept(f"{utf8_text(name)} names the workspace, and is not text")
            else:
                texts.append(name)
    return texts, links
