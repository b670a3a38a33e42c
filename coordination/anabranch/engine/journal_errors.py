"""Turning SQLite's errors into ours: what is so, what is only so just now, and the next step."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType

import apsw

from anabranch.errors import DiskFull, MachineShort, WorldError, machine_errors
from anabranch.plain_files import NotPlain, open_plain
from anabranch.shortage import is_full, shortage_of

_PASSING = (
    apsw.BusyError,
    apsw.LockedError,
    apsw.ProtocolError,
    apsw.NoMemError,
    apsw.InterruptError,
)


REPAIR = "anabranch doctor --repair saves what is whole"


class JournalDamaged(WorldError):
    """The journal cannot be read."""

    code = "journal_damaged"


class journal_errors:
    """Raise JournalDamaged, DiskFull, MachineShort or WorldError for what SQLite or a disk says.

    A class, because every commit goes through it and nearly none has an error to look at.

    Args:
        path: where the journal is.
        names_path: whether the reason says where.
    """

    def __init__(self, path: Path, *, names_path: bool = False) -> None:
        self._path, self._names_path = path, names_path

    def __enter__(self) -> None:
        return

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None:
            with _translated(self._path, self._names_path):
                raise error


@contextmanager
def _translated(path: Path, names_path: bool) -> Iterator[None]:
    where = f" {path}" if names_path else ""
    try:
        with machine_errors():
            yield
    except (apsw.FullError, apsw.IOError) as error:
        raise _full_or_silent(path, where, error) from error
    except (apsw.CorruptError, apsw.NotADBError, apsw.SQLError, UnicodeDecodeError) as error:
        before = error.__context__
        if isinstance(before, (apsw.FullError, apsw.IOError)):
            # SQLite has rolled back by itself, and there was nothing left for us to roll back.
            raise _full_or_silent(path, where, before) from before
        # A damaged schema has other tables and columns; damaged text is not UTF-8.
        raise JournalDamaged(f"the journal{where} is damaged: {error}", REPAIR) from error
    except _PASSING as error:
        raise MachineShort(
            f"the journal{where} cannot be used just now: {error}", "it passes; try again"
        ) from error
    except apsw.CantOpenError as error:
        raise _why_not_open(path, where, error) from error
    except apsw.ConstraintError as error:
        raise WorldError(
            f"another process has written to the journal{where}: it hosts the run now",
            "anabranch console shows it",
        ) from error
    except apsw.Error as error:
        raise WorldError(f"the journal{where} cannot be used: {error}") from error


def require_plain(path: Path) -> None:
    """Raise WorldError if something else stands where a journal should; a missing one may pass."""
    with suppress(OSError):
        if not stat.S_ISREG(path.lstat().st_mode):
            raise WorldError(f"the journal {path} is not a plain file", "look at its folder")


def _full_or_silent(path: Path, where: str, error: apsw.Error) -> MachineShort:
    """Tell a full disk, for which SQLite has several words, from one that does not answer."""
    if isinstance(error, apsw.FullError) or is_full(path.parent):
        reason = f"the disk is full: the journal{where} cannot be written"
        return DiskFull(reason, "make room; the run goes on by itself")
    reason = f"the disk does not take the journal{where}: {error}"
    return MachineShort(reason, "look at the disk; the run goes on by itself")


def _why_not_open(path: Path, where: str, error: apsw.Error) -> WorldError:
    """Find out why a journal could not be opened; SQLite does not say."""
    try:
        os.close(open_plain(path))
    except NotPlain:
        return WorldError(f"the journal{where} is not a plain file", "look at its folder")
    except (FileNotFoundError, NotADirectoryError):
        return WorldError(f"there is no journal{where}", "anabranch runs lists the runs")
    except OSError as other:
        short = shortage_of(other)
        if short:
            return MachineShort(f"the journal{where} cannot be opened: {short}", "try again")
        reason = f"the journal{where} cannot be opened: {other.strerror}"
        return WorldError(reason, "look at the permissions of its folder")
    if is_full(path.parent):  # SQLite needs a small file beside a journal, even to read it
        return DiskFull(f"the disk is full: the journal{where} cannot be opened", "make room")
    return WorldError(f"the journal{where} cannot be opened: {error}", "look at its folder")
