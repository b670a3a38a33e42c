"""The scratch copy that a drill runs on: the project, and a state folder of its own.

The copy shares no repository with the project: commits are cloned, and what is not committed is
copied over. With a full disk among the faults it lies on a small file system in memory, which only
this process and its children see (:manpage:`mount_namespaces(7)`).
"""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import psutil

from anabranch.engine.git import Git
from anabranch.engine.runs import project_root
from anabranch.engine.workspaces.layers.mounting import hide_all_below
from anabranch.errors import UsageError, WorldError
from anabranch.plain_files import copy_plain

SPARE_BYTES = 64 << 20
_CLONE_NEWNS, _CLONE_NEWUSER = 0x00020000, 0x10000000
_MS_REC, _MS_PRIVATE = 0x4000, 0x40000
_BLOCKS = (1 << 20, 4096, 1)


class Scratch:
    """A drill's own folder: ``project`` and ``state`` lie below it."""

    def __init__(self, path: Path, *, is_small_disk: bool = False) -> None:
        self.path = path
        self.is_small_disk = is_small_disk
        self._ballast = path / "ballast"

    @property
    def project(self) -> Path:
        return self.path / "project"

    @property
    def state(self) -> Path:
        return self.path / "state"

    @property
    def holds(self) -> Path:
        """Where each fault that streams must wait for has a file until it has struck."""
        return self.path / "holds"

    def hold(self, number: int) -> None:
        """Let the streams of a fault wait for it."""
        self.holds.mkdir(exist_ok=True)
        (self.holds / str(number)).touch()

    def release(self, number: int) -> None:
        """Let them go on; this needs no room on the disk."""
        (self.holds / str(number)).unlink(missing_ok=True)

    def fill(self) -> None:
        """Take all the room there is on the small disk, to the last byte."""
        with open(self._ballast, "ab", buffering=0) as file:
            for size in _BLOCKS:
                _write_until_full(file.fileno(), bytes(size))

    def make_room(self) -> None:
        """Give all of it back."""
        self._ballast.unlink(missing_ok=True)

    def remove(self) -> None:
        """Take everything away."""
        hide_all_below(self.path)
        if self.is_small_disk:
            ctypes.CDLL(None).umount2(os.fsencode(self.path), 2)
        shutil.rmtree(self.path, ignore_errors=True)


def make_scratch(
    folder: Path, *, needs_small_disk: bool, besides: Iterable[str] = ()
) -> tuple[Scratch, Path]:
    """Copy the project that a folder lies in; return the copy, and the same folder inside it.

    ``besides`` are files of the folder to be copied though git may ignore them. Must be called
    before this process has threads if a small disk is needed. Raises UsageError where the machine
    gives none, WorldError where copying fails.
    """
    top = project_root(folder)
    place = Path(tempfile.mkdtemp(prefix="anabranch-drill-"))
    scratch = Scratch(place, is_small_disk=needs_small_disk)
    try:
        if needs_small_disk:
            _mount_small_disk(place, _small_disk_bytes(top))
        _copy(top, scratch.project)
        inside = scratch.project / Path(os.path.realpath(folder)).relative_to(top)
        for name in besides:
            if not (inside / name).exists():
                (inside / name).parent.mkdir(parents=True, exist_ok=True)
                copy_plain(Path(os.path.realpath(folder / name)), inside / name)
    except OSError as error:
        scratch.remove()
        raise WorldError(f"the project cannot be copied: {error.strerror or error}") from error
    except BaseException:
        scratch.remove()
        raise
    return scratch, inside


def _copy(top: Path, target: Path) -> None:
    if not (top / ".git").exists():
        shutil.copytree(top, target, symlinks=True)
        return
    Git().run("clone", "--quiet", "--no-hardlinks", "--", str(top), str(target))
    git = Git(cwd=top)
    changed = git.run("ls-files", "-z", "-m", "-o", "--exclude-standard", "--full-name").fields
    for name in dict.fromkeys(changed):
        source, copy = top / name, target / name
        copy.unlink(missing_ok=True)
        if source.is_symlink() or source.is_file():
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copy, follow_symlinks=False)


def _small_disk_bytes(top: Path) -> int:
    wanted = 3 * _bytes_below(top) + SPARE_BYTES
    free = psutil.virtual_memory().available
    if wanted > free // 2:
        raise UsageError(
            f"--full-disk: the small disk would take {wanted >> 20} MB of memory,"
            f" and {free >> 20} MB are free",
            "leave --full-disk out, or drill on a smaller project",
        )
    return wanted


def _bytes_below(top: Path) -> int:
    return sum(
        entry.lstat().st_size
        for folder, _, names in os.walk(top)
        for entry in (Path(folder) / name for name in names)
        if not entry.is_symlink()
    )


def _mount_small_disk(place: Path, size_bytes: int) -> None:
    """Mount a file system of that size for this process and its children alone.

    Raises UsageError where the machine does not allow it.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    try:
        _enter_own_namespace(libc)
        libc.mount(b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
        options = f"size={size_bytes},mode=0700".encode()
        _must(libc.mount(b"none", os.fsencode(place), b"tmpfs", 0, options))
    except OSError as error:
        raise UsageError(
            f"--full-disk: this machine gives no small disk: {error.strerror}",
            "it takes the right to mount in a namespace of one's own, or root; leave it out",
        ) from None


def _enter_own_namespace(libc: ctypes.CDLL) -> None:
    """See mounts of one's own from now on, as the same user; raises OSError."""
    user, group = os.geteuid(), os.getegid()
    if libc.unshare(_CLONE_NEWNS) == 0:
        return
    _must(libc.unshare(_CLONE_NEWNS | _CLONE_NEWUSER))
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")


def _must(answer: int) -> None:
    if answer != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _write_until_full(file: int, block: bytes) -> None:
    try:
        while os.write(file, block):
            continue
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
