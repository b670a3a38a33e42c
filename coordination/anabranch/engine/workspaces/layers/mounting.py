"""Showing the layers of a workspace as one folder, and whether this machine lets us.

The layers themselves are ordinary folders and outlive the mount: after a reboot it is made again,
and everything is as it was. One upper layer is never shown twice at once, and a lower one never
changes; what overlayfs does otherwise is not defined (kernel documentation, overlayfs.rst). Another
container may have mounts that nobody here sees, so it is the kernel that is asked to refuse a
second one: with ``index=on`` it does.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import tempfile
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

import msgspec

from anabranch.engine.workspaces.layers import kernel
from anabranch.plain_files import LARGE_FILE_BYTES, SMALL_FILE_BYTES, read_plain

PATIENCE_SECONDS = 1.0
_POLL_SECONDS = 0.01
_LONGEST_OPTIONS = 3980
_SEPARATORS = frozenset(",:\\\n")
_RENAMES = "metacopy=off,redirect_dir=on"
"""Without it a folder of a lower layer cannot be renamed; only the privileged may ask for it."""

_IN_A_NAMESPACE = "userxattr"
_ALONE = "index=on"
_ELSEWHERE = (
    "they are shown in another container or mount namespace, by what runs there or has not ended"
)
_ALL_USERS = ["0", "0", "4294967295"]


class Layers(msgspec.Struct, frozen=True):
    """What a workspace is made of: ``lower`` is never written to, ``upper`` holds the changes.

    ``scratch`` is the kernel's own, on the disk of ``upper``. Lower layers: the topmost first.
    """

    lower: tuple[Path, ...]
    upper: Path
    scratch: Path


class NoLayers(Exception):
    """Layers cannot be shown here; the text says why."""


class ShownElsewhere(NoLayers):
    """The upper layer is shown somewhere that is not seen from here."""


def show(layers: Layers, folder: Path) -> None:
    """Show layers at an empty folder, unless they are shown there.

    Raises OSError, NoLayers, ShownElsewhere.
    """
    if is_shown(layers, folder):
        return
    layers.scratch.mkdir(parents=True, exist_ok=True)
    options = _options(layers)
    try:
        kernel.mount_overlay(str(folder), f"{options},{_ALONE}")
    except OSError as error:
        if error.errno == errno.EBUSY:
            raise ShownElsewhere(_ELSEWHERE) from error
        if error.errno != errno.ESTALE:
            raise
        # They were copied to another disk. Nobody shows them: that is what it looks at first.
        kernel.mount_overlay(str(folder), options)


def hide(folder: Path) -> None:
    """Show nothing at a folder any more; the layers stay.

    Who only looks into it is gone in a moment. Raises OSError if it is in use for longer.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while os.path.ismount(folder):
        try:
            kernel.unmount(str(folder))
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() >= deadline:
                raise
            time.sleep(_POLL_SECONDS)


def hide_all_below(folder: Path) -> None:
    """Hide whatever is shown below a folder that is to be removed with all that is in it.

    Raises OSError while somebody uses it.
    """
    for place in mounted_below(folder):
        hide(place)


def mounted_below(folder: Path) -> list[Path]:
    """Return where something is mounted below a folder, the latest first."""
    below = os.fsencode(folder).replace(b" ", rb"\040") + b"/"
    listed = read_plain("/proc/self/mountinfo", LARGE_FILE_BYTES).splitlines()
    places = [line.split(b" ")[4] for line in reversed(listed)]
    return [_place(place) for place in places if place.startswith(below)]


def _place(written: bytes) -> Path:
    """Return a path that mountinfo tells, in which what parts its columns is written in octal."""
    octal = re.compile(rb"\\([0-7]{3})")
    return Path(os.fsdecode(octal.sub(lambda found: bytes([int(found[1], 8)]), written)))


def is_shown(layers: Layers, folder: Path) -> bool:
    """Say whether just these layers are shown at a folder. The top of both is one inode."""
    try:
        return os.path.ismount(folder) and folder.stat().st_ino == layers.upper.stat().st_ino
    except FileNotFoundError:
        return False


def in_a_namespace() -> bool:
    """Say whether this process is in a user namespace of its own."""
    return read_plain("/proc/self/uid_map", SMALL_FILE_BYTES).decode().split() != _ALL_USERS


def _options(layers: Layers) -> str:
    places = (*layers.lower, layers.upper, layers.scratch)
    if any(_SEPARATORS.intersection(str(place)) for place in places):
        raise NoLayers("a comma, a colon or a backslash in a path has a meaning of its own to it")
    lower = ":".join(map(str, layers.lower))
    where = f"lowerdir={lower},upperdir={layers.upper},workdir={layers.scratch}"
    options = f"{where},{_IN_A_NAMESPACE if in_a_namespace() else _RENAMES}"
    if len(options) > _LONGEST_OPTIONS:
        raise NoLayers("the paths of the layers are too long for one call")
    return options


@lru_cache(maxsize=64)
def why_not_layers(place: Path) -> str:
    """Return why layers cannot be shown below a folder that is there; empty if they can.

    It is tried once a process: a file is changed, one removed and a folder renamed in a mount.
    """
    try:
        made = Path(tempfile.mkdtemp(prefix=".layers-", dir=place))
    except OSError as error:
        return f"{error.strerror}: {place}"
    try:
        return _tried(made)
    except (OSError, NoLayers) as error:
        return _in_words(error)
    finally:
        with suppress(OSError):
            hide(made / "shown")
        shutil.rmtree(made, ignore_errors=True)


def _tried(made: Path) -> str:
    layers = Layers((made / "lower",), made / "upper", made / "scratch")
    shown = made / "shown"
    for folder in (*layers.lower, layers.upper, shown, made / "lower" / "folder"):
        folder.mkdir()
    for name in ("kept", "gone"):
        (made / "lower" / name).write_text(name)
    show(layers, shown)
    (shown / "kept").write_text("changed")
    (shown / "gone").unlink()
    if not in_a_namespace():
        (shown / "folder").rename(shown / "renamed")
    is_right = (made / "lower" / "kept").stat().st_size == len("kept") and not (
        shown / "gone"
    ).exists()
    hide(shown)
    return "" if is_right else "layers are not kept apart on this file system"


def _in_words(error: OSError | NoLayers) -> str:
    if isinstance(error, OSError) and error.errno in (errno.EPERM, errno.EACCES):
        return "the kernel lets only the privileged mount here"
    if isinstance(error, OSError) and error.errno == errno.ENODEV:
        return "this kernel has no overlayfs"
    if isinstance(error, OSError) and error.errno == errno.EINVAL:
        return "this file system cannot be a layer (the kernel's log says why)"
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
