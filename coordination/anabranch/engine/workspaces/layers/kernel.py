"""The calls to the kernel that layers need, as their man pages in section 2 describe them."""

from __future__ import annotations

import ctypes
import os
from functools import cache

_NO_DEVICES, _NO_SETUID = 4, 2


@cache
def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def mount_overlay(target: str, options: str) -> None:
    """Show layers as one folder at ``target``. Raises OSError."""
    kind, flags = b"overlay", ctypes.c_ulong(_NO_DEVICES | _NO_SETUID)
    _check(_libc().mount(kind, os.fsencode(target), kind, flags, os.fsencode(options)), target)


def unmount(target: str) -> None:
    """Take a mount away. Raises OSError, EBUSY while anybody uses it."""
    _check(_libc().umount2(os.fsencode(target), 0), target)


def _check(answer: int, target: str) -> None:
    if answer:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), target)


NEW_USER, NEW_MOUNT = 0x10000000, 0x00020000
"""Kinds of namespaces, as unshare(2) and setns(2) know them."""


def unshare(kinds: int) -> None:
    """Leave namespaces for new ones. Raises OSError, EINVAL in a process of several threads."""
    _check(_libc().unshare(ctypes.c_int(kinds)), "unshare")


def enter(descriptor: int, kind: int) -> None:
    """Enter the namespace that a descriptor stands for. Raises OSError."""
    _check(_libc().setns(ctypes.c_int(descriptor), ctypes.c_int(kind)), "setns")
