"""The program that runs a setup and keeps what it made, or puts back what an earlier one made.

Where a plan names the files that decide what its setup makes (``setup_inputs``), a holder runs this
in the setup's place. If the same command has been run with the same contents of these files, its
result is copied into the workspace, by reflink where the disk can, and is the stream's own there.
Several workspaces of one project that want the same at a time wait for the first.

Kept is what the setup has added, if git ignores all of it. Text that names the workspace it was
made in names the new one when it is put back; where something else names it, nothing is kept. That
nothing is kept is said in the setup's log, and fails nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import msgspec

from anabranch.core.wording import counted
from anabranch.engine.caches import LOCK
from anabranch.engine.disk_use import bytes_in
from anabranch.engine.git import Git, GitError, repository_lock
from anabranch.files import replace_whole, take_lock
from anabranch.hostile_text import utf8_text
from anabranch.plain_files import LARGE_FILE_BYTES, SMALL_FILE_BYTES, open_plain, read_plain
from anabranch.undecodable import UNDECODABLE

FORMAT = 1
LONGEST_WAIT_SECONDS = 7 * 86_400.0
LOOK_AGAIN_SECONDS = 0.05
IN_VAIN_SECONDS = 600.0
"""For so long others do not wait for a result that could not be kept."""
PIECE_BYTES = 1 << 20
FOLDER = "setups"
FAILED = "it has failed"
OUR_OWN = b".anabranch/"


class NotKept(Exception):
    """What a setup has made cannot be used again; the message says why."""


class Wanted(msgspec.Struct, frozen=True):
    """A setup: its command, where, what decides its result, and where results are kept.

    ``folder`` is that of the project in the ``workspace``, below which ``inputs`` lie; ``about`` is
    a digest of what else it depends on.
    """

    argv: tuple[str, ...]
    workspace: str
    folder: str
    inputs: tuple[str, ...]
    store: str
    about: str = ""

    def key(self) -> str:
        """Return what its result is known by. Raises OSError."""
        contents = {name: _digest(Path(self.folder, name)) for name in sorted(self.inputs)}
        within = os.path.relpath(os.getcwd(), self.workspace)
        known = [FORMAT, self.argv, within, contents, os.uname().machine, self.about]
        return hashlib.sha256(json.dumps(known).encode()).hexdigest()[:40]


class Kept(msgspec.Struct, frozen=True):
    """What is said of a kept result: where it was made, and which text and links name that."""

    workspace: str
    entries: tuple[str, ...]
    texts: tuple[str, ...]
    links: tuple[str, ...]
    seconds: float


def main(given: str) -> int:
    """Set the workspace up, by an earlier result or anew; return the exit code of that."""
    wanted = msgspec.json.decode(given, type=Wanted)
    try:
        entry = Path(wanted.store, FOLDER, wanted.key())
        entry.parent.mkdir(parents=True, exist_ok=True)
        return _set_up(wanted, entry)
    except OSError as error:
        _say(f"an earlier result cannot be looked for: {error}")
        return _run(wanted.argv)


def _set_up(wanted: Wanted, entry: Path) -> int:
    """Have one at a time run the setup, while nobody knows that it is in vain for others.

    Any number put a result back at a time. Raises OSError if nothing has been run.
    """
    while True:
        with _locked(entry, LONGEST_WAIT_SECONDS, shared=True):
            if entry.is_dir() and _is_put_back(entry, Path(wanted.workspace)):
                return 0
        in_vain = _in_vain(entry)
        if in_vain == FAILED:
            return _run_and_keep(wanted, entry)  # beside others, who may fail again
        if in_vain:
            _say(f"its result is not kept for others: {in_vain}")
            return _run(wanted.argv)
        with _locked(entry, LOOK_AGAIN_SECONDS) as is_mine:
            if is_mine and not entry.is_dir():
                return _run_and_keep(wanted, entry)


@contextlib.contextmanager
def _locked(entry: Path, patience_seconds: float, *, shared: bool = False) -> Iterator[bool]:
    """Hold the lock of one result, and say whether it was to be had. Raises OSError."""
    lock = open_plain(entry.with_name(f".{entry.name}.lock"), flags=os.O_RDWR | os.O_CREAT)
    waits = _tell_of_wait if shared else None
    try:
        yield take_lock(lock, patience_seconds, shared=shared, waits=waits)
    finally:
        os.close(lock)


def _in_vain(entry: Path) -> str:
    """Return why what this setup makes was not kept of late; empty if nobody knows."""
    try:
        note = entry.with_name(f".{entry.name}.in-vain")
        is_young = time.time() - note.stat().st_mtime < IN_VAIN_SECONDS
        return read_plain(note, SMALL_FILE_BYTES).decode() if is_young else ""
    except (OSError, *UNDECODABLE):
        return ""


def _note_in_vain(entry: Path, reason: str) -> None:
    with contextlib.suppress(OSError):
        note = utf8_text(reason).encode()[:1000]
        replace_whole(entry.with_name(f".{entry.name}.in-vain"), note)


def _tell_of_wait() -> None:
    _say("waits for the same setup in another workspace")


def _say(text: str) -> None:
    print(f"anabranch: {utf8_text(text)}", flush=True)


def _run(argv: tuple[str, ...]) -> int:
    """Run the setup; where a signal ends it, end in the same way."""
    sys.stdout.flush()
    try:
        code = subprocess.run(argv, check=False).returncode
    except OSError as error:
        _say(f"cannot run {argv[0]}: {error.strerror}")
        return 127 if isinstance(error, FileNotFoundError) else 126
    if code < 0:
        with contextlib.suppress(OSError, ValueError):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    return code if code >= 0 else 128 - code


# --- keeping -------------------------------------------------------------------------------------


def _run_and_keep(wanted: Wanted, entry: Path) -> int:
    workspace, began = Path(wanted.workspace), time.monotonic()
    before = _looked_at(workspace)
    code = _run(wanted.argv)
    if code != 0:
        _note_in_vain(entry, FAILED)
        return code
    try:
        if isinstance(before, str):
            raise NotKept(before)
        after = _looked_at(workspace)
        if isinstance(after, str):
            raise NotKept(after)
        _keep(workspace, _added(before, after), entry, time.monotonic() - began)
    except (NotKept, GitError, OSError, subprocess.SubprocessError) as error:
        _note_in_vain(entry, str(error))
        _say(f"its result is not kept for others: {error}")
    return 0


class _Look(msgspec.Struct, frozen=True):
    """A workspace at one moment: what git sees of it, and what it ignores, each as it is."""

    seen: bytes
    ignored: dict[bytes, str]


def _looked_at(workspace: Path) -> _Look | str:
    """Return how a workspace is; in words why nobody can tell."""
    git = Git(cwd=workspace)
    quiet = (("core.fsmonitor", "false"),)
    ask = ("ls-files", "-z", "--others", "--ignored", "--exclude-standard", "--directory")
    try:
        seen = git.run("status", "--porcelain", "-z", "--untracked-files=all", config=quiet).out
        names = git.run(*ask, config=quiet).out.split(b"\0")
        ignored = {n: _as_it_is(workspace, n) for n in names if n and not n.startswith(OUR_OWN)}
    except (GitError, OSError) as error:
        return str(error)
    return _Look(seen, ignored)


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


def _added(before: _Look, after: _Look) -> list[bytes]:
    """Return what a setup has added that git ignores. Raises NotKept if that is not all."""
    if before.seen != after.seen:
        entries = set(after.seen.split(b"\0")) ^ set(before.seen.split(b"\0"))
        changed = utf8_text(os.fsdecode(b", ".join(sorted(e[3:] for e in entries if e)[:3])))
        raise NotKept(f"it changed {changed}, which git does not ignore")
    for name, digest in before.ignored.items():
        if after.ignored.get(name) != digest:
            raise NotKept(f"it changed {utf8_text(os.fsdecode(name))}, which was there before")
    return [name for name in after.ignored if name not in before.ignored]


def _keep(workspace: Path, names: list[bytes], entry: Path, seconds: float) -> None:
    """Copy what was added beside other results, whole or not at all. Raises NotKept, OSError."""
    if not names:
        raise NotKept("it added nothing that git ignores")
    draft = entry.with_name(f".{entry.name}.{os.getpid()}")
    shutil.rmtree(draft, ignore_errors=True)
    try:
        tree = draft / "tree"
        tree.mkdir(parents=True)
        _copy(workspace, tree, names)
        texts, links = _naming(tree, _written(workspace))
        kept = Kept(
            str(workspace),
            tuple(os.fsdecode(name).rstrip("/") for name in names),
            tuple(texts),
            tuple(links),
            seconds,
        )
        replace_whole(draft / "kept", json.dumps(msgspec.to_builtins(kept)).encode())
        with _alone_with_all(entry):
            draft.rename(entry)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    size = bytes_in(entry) / 1e6
    _say(f"its result is kept for others: {counted(len(names), 'entry', 'entries')}, {size:.1f} MB")


def _alone_with_all(entry: Path) -> AbstractContextManager[None]:
    """Hold the lock of all results: whoever adds or removes one does (see ``caches``)."""
    return repository_lock(entry.parent / LOCK)


def _forget(entry: Path) -> None:
    with contextlib.suppress(OSError, GitError), _alone_with_all(entry):
        doomed = entry.with_name(f".removed-{entry.name}.{os.getpid()}")
        entry.rename(doomed)
        shutil.rmtree(doomed, ignore_errors=True)


def _copy(source: Path, target: Path, names: list[bytes] | list[str]) -> None:
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


def _written(workspace: Path) -> tuple[bytes, ...]:
    """Return the ways in which a workspace is named."""
    return tuple(dict.fromkeys((os.fsencode(workspace), os.fsencode(os.path.realpath(workspace)))))


def _pattern(ways: tuple[bytes, ...]) -> re.Pattern[bytes]:
    """Return what finds a workspace, and none whose name only begins like its."""
    return re.compile(b"(?:" + b"|".join(map(re.escape, ways)) + rb")(?![A-Za-z0-9._-])")


def _naming(tree: Path, ways: tuple[bytes, ...]) -> tuple[list[str], list[str]]:
    """Return the text files and the links that name a workspace. Raises NotKept, OSError.

    Compiled Python that does is left out: it is made again when it is needed.
    """
    found, texts, links = _pattern(ways), list[str](), list[str]()
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


# --- putting back --------------------------------------------------------------------------------


def _is_put_back(entry: Path, workspace: Path) -> bool:
    """Put a kept result into a workspace; false, with nothing of it there, if that fails."""
    began, put = time.monotonic(), list[str]()
    try:
        kept = _read(entry)
        os.utime(entry)
        for name in kept.entries:
            if os.path.lexists(workspace / name):
                raise NotKept(f"{name} is there already")
            put.append(name)
            _copy(entry / "tree", workspace, [name])
        _rename(kept, workspace)
    except (NotKept, OSError, subprocess.SubprocessError, *UNDECODABLE) as error:
        for name in put:
            _remove(workspace / name)
        _say(f"an earlier result cannot be used: {error}")
        _forget(entry)
        return False
    saved, took = kept.seconds, time.monotonic() - began
    _say(f"the result of an earlier setup is used again: {took:.1f} s instead of {saved:.1f} s")
    return True


def _read(entry: Path) -> Kept:
    found: Any = json.loads(read_plain(entry / "kept", LARGE_FILE_BYTES))
    return msgspec.convert(found, Kept)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _rename(kept: Kept, workspace: Path) -> None:
    """Have what named the workspace in which it was made name this one; its times stay."""
    pattern = _pattern(_written(Path(kept.workspace)))
    new = os.fsencode(workspace)
    for name in kept.texts:
        path = workspace / name
        file = open_plain(path, flags=os.O_RDWR)
        try:
            at = os.fstat(file)
            content = pattern.sub(lambda _: new, read_plain(path, LARGE_FILE_BYTES))
            os.ftruncate(file, 0)
            while content:
                content = content[os.write(file, content) :]
            os.utime(file, ns=(at.st_atime_ns, at.st_mtime_ns))
        finally:
            os.close(file)
    for name in kept.links:
        path = workspace / name
        target = pattern.sub(lambda _: new, os.fsencode(os.readlink(path)))
        path.unlink()
        os.symlink(target, os.fsencode(path))


def _digest(path: Path) -> str | None:
    """Return what a file holds, in short; None if it is not there. Raises OSError."""
    try:
        file = open_plain(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    try:
        found = hashlib.sha256()
        while piece := os.read(file, PIECE_BYTES):
            found.update(piece)
        return found.hexdigest()
    finally:
        os.close(file)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
