"""Errors by blame: yours, the world's, or ours. Each one has a reason and a next step."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from anabranch import exit_codes
from anabranch.shortage import is_short


class AnabranchError(Exception):
    """Anything that ends a command. ``exit_code`` is what the command exits with."""

    exit_code = exit_codes.FAULT
    code = "engine_fault"

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(AnabranchError):
    """What was asked for makes no sense; asking differently helps."""

    exit_code = exit_codes.USAGE
    code = "usage"


class WorldError(AnabranchError):
    """The machine refused: a disk, a permission, a missing program."""

    exit_code = exit_codes.FAULT
    code = "machine"


class LossRefused(AnabranchError):
    """Going on would have lost somebody's work."""

    exit_code = exit_codes.WOULD_LOSE_WORK
    code = "would_lose_work"


class NotSettled(AnabranchError):
    """A conflict waits for its operator as before."""

    exit_code = exit_codes.NEEDS_OPERATOR
    code = "not_settled"


class PluginRefused(AnabranchError):
    """A plugin is not what a plugin has to be; what was installed before still is."""

    exit_code = exit_codes.FAILED
    code = "plugin_refused"


class MachineShort(WorldError):
    """The machine is short of something; the operation can be tried again: it passes."""

    code = "machine_short"


class DiskFull(MachineShort):
    """There is no room; the operation can be tried again once there is."""

    code = "disk_full"


@contextmanager
def machine_errors() -> Iterator[None]:
    """Turn what the machine refuses into an error with the next step."""
    try:
        yield
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise DiskFull(f"the disk is full{where}", "make room, then try again") from error
        if is_short(error.errno):
            is_read_only = error.errno == errno.EROFS
            hint = "anabranch doctor looks closer" if is_read_only else "it passes; try again"
            raise MachineShort(f"{error.strerror}{where}", hint) from error
        raise WorldError(f"{error.strerror}{where}", "anabranch doctor looks closer") from error
