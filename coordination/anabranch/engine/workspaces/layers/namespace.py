"""A namespace in which a user who is not privileged may show layers.

There is one a user: the engine, and all that it starts, enter it before anything is shown, and see
the workspaces where they are. It lives as long as any process in it, and a *keeper* that does
nothing else than live there; so a console that is killed takes no mount with it, and the next one
finds all of them. Others look into it through ``/proc/PID/root``, or by ``anabranch enter``.

The user's numbers mean the same inside. What is not there are the rights of other users: programs
that run as somebody else (``sudo``) do not work. Source: user_namespaces(7), mount_namespaces(7).
"""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from anabranch.engine.clock import boot_id
from anabranch.engine.workspaces.layers import kernel
from anabranch.engine.workspaces.layers.mounting import mounted_below
from anabranch.files import replace_whole, take_lock
from anabranch.plain_files import SMALL_FILE_BYTES, NotPlain, read_if_there
from anabranch.undecodable import UNDECODABLE

KEEPER = ("sleep", "infinity")
_PATIENCE_SECONDS = 5.0
_SEVERAL_THREADS = "a process of several threads cannot enter a namespace"


class _Note(msgspec.Struct, frozen=True):
    """Which namespace is the user's, in this boot of the machine: its number, and its keeper."""

    boot: str
    mounts: int
    keeper: int


class NoNamespace(Exception):
    """No namespace can be had; the text says why."""


def enter_namespace(home: Path) -> None:
    """Enter the user's namespace, made if there is none, unless this process is in it.

    ``home`` is the user's state folder, where its note lies. Raises NoNamespace.
    """
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        with _locked(home):
            _enter(home / "namespace.json")
    except OSError as error:
        raise NoNamespace(_in_words(error)) from error


def make_namespace() -> None:
    """Have this process be alone in a namespace. Raises NoNamespace."""
    try:
        _make()
    except OSError as error:
        raise NoNamespace(_in_words(error)) from error


def is_inside(home: Path) -> bool:
    """Say whether this process is in the user's namespace."""
    note = _read(home / "namespace.json")
    return note is not None and note.mounts == _mounts_of("self")


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    file = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        take_lock(file, _PATIENCE_SECONDS)  # a second namespace would do no harm but for its layers
        yield
    finally:
        os.close(file)


def _enter(place: Path) -> None:
    note = _read(place)
    if note is not None and note.mounts == _mounts_of("self"):
        return
    inhabitant = None if note is None else next(_inhabitants(note), None)
    if inhabitant is None:
        _make()
    else:
        _join(inhabitant)
    keeper = note.keeper if note is not None and inhabitant == note.keeper else _begin_keeper()
    now = _Note(boot_id(), _mounts_of("self"), keeper)
    replace_whole(place, msgspec.json.encode(now))


def _read(place: Path) -> _Note | None:
    """Return which namespace is the user's; None if there is none in this boot."""
    try:
        content = read_if_there(place, SMALL_FILE_BYTES)
        note = msgspec.json.decode(content or b"", type=_Note)
    except (NotPlain, *UNDECODABLE):
        return None
    return note if note.boot == boot_id() else None


def _inhabitants(note: _Note) -> Iterator[int]:
    """Yield processes that live in a namespace: its keeper, or else whoever is left."""
    others = (int(name) for name in os.listdir("/proc") if name.isdecimal())
    for pid in (note.keeper, *others):
        if _mounts_of(str(pid)) == note.mounts:
            yield pid


def _mounts_of(process: str) -> int:
    """Return the number of the mount namespace of a process; 0 if it cannot be seen."""
    try:
        return os.stat(f"/proc/{process}/ns/mnt").st_ino
    except OSError:
        return 0


def _make() -> None:
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(kernel.NEW_USER | kernel.NEW_MOUNT)
    for name, content in (
        ("setgroups", "deny"),
        ("uid_map", f"{user} {user} 1"),
        ("gid_map", f"{group} {group} 1"),
    ):
        place = os.open(f"/proc/self/{name}", os.O_WRONLY | os.O_CLOEXEC)
        try:
            os.write(place, content.encode())
        finally:
            os.close(place)


def _join(pid: int) -> None:
    kinds = {"user": kernel.NEW_USER, "mnt": kernel.NEW_MOUNT}
    places = {name: os.open(f"/proc/{pid}/ns/{name}", os.O_RDONLY | os.O_CLOEXEC) for name in kinds}
    folder = os.getcwd()
    try:
        for name, kind in kinds.items():
            kernel.enter(places[name], kind)
    finally:
        for place in places.values():
            os.close(place)
    os.chdir(folder)


def _begin_keeper() -> int:
    """Start a process that lives in this namespace and does nothing. It is nobody's child."""
    begun = subprocess.Popen(
        ["/bin/sh", "-c", 'exec "$@" >/dev/null 2>&1 & echo $!', "sh", *KEEPER],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        cwd="/",
        start_new_session=True,
    )
    with begun:
        assert begun.stdout is not None
        return int(begun.stdout.read())


def leave_if_unused(home: Path) -> None:
    """End the keeper if no workspace is shown in the namespace; who else is in it stays there."""
    if not is_inside(home) or mounted_below(home):
        return
    with suppress(OSError), _locked(home):
        note = _read(home / "namespace.json")
        if note is not None:
            _end_keeper(note)


def _end_keeper(note: _Note) -> None:
    process = os.pidfd_open(note.keeper)
    try:
        if _mounts_of(str(note.keeper)) == note.mounts:  # no other process has its number by now
            signal.pidfd_send_signal(process, signal.SIGTERM)
    finally:
        os.close(process)


def _in_words(error: OSError) -> str:
    if error.errno == errno.EINVAL:
        return _SEVERAL_THREADS
    if error.errno in (errno.EPERM, errno.EACCES):
        return (
            "this machine lets only the privileged make user namespaces "
            "(kernel.apparmor_restrict_unprivileged_userns, kernel.unprivileged_userns_clone)"
        )
    if error.errno == errno.ENOSPC:
        return "no more user namespaces may be made (user.max_user_namespaces)"
    return error.strerror or str(error)
