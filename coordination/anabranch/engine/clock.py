"""The run clock: seconds since the run began, monotonic, and going on over restarts.

Within one boot of the machine it is the monotonic clock with another zero. After a reboot, when
that clock has started anew, it goes on from the last event, plus what the wall clock says has
passed since (never less than nothing, should the wall clock have been set back).
"""

from __future__ import annotations

import time

from anabranch.core.model.state import State
from anabranch.engine.journal import Journal
from anabranch.plain_files import SMALL_FILE_BYTES, read_plain


def boot_id() -> str:
    """Return the kernel's name for this boot of the machine."""
    try:
        return read_plain("/proc/sys/kernel/random/boot_id", SMALL_FILE_BYTES).decode().strip()
    except OSError:
        return "unknown"


class WatchClock:
    """The clocks by which running streams are watched, in seconds; a drill puts them forward."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def put_forward(self, seconds: float) -> None:
        """Jump, as clocks do when a machine wakes up."""
        self._ahead += seconds

    def monotonic(self) -> float:
        return time.monotonic() + self._ahead

    def wall(self) -> float:
        return time.time() + self._ahead


class RunClock:
    """Tells run time; ``zero`` is the monotonic time at which the run began."""

    def __init__(self, zero: float) -> None:
        self._zero = zero

    @classmethod
    def begin(cls) -> RunClock:
        """Return the clock of a run that begins now."""
        return cls(time.monotonic())

    @classmethod
    def of_journal(cls, journal: Journal, state: State) -> RunClock:
        """Return the clock of a run whose journal exists."""
        zero = journal.meta("clock_zero")
        if zero is not None and journal.meta("boot_id") == boot_id():
            return cls(float(zero))
        passed = max(0.0, time.time() - (state.started_wall + state.at))
        return cls(time.monotonic() - state.at - passed)

    def facts(self) -> dict[str, str]:
        """Return what a journal has to keep about this clock."""
        return {"clock_zero": repr(self._zero), "boot_id": boot_id()}

    def now(self) -> float:
        """Return seconds since the run began."""
        return time.monotonic() - self._zero

    def of_monotonic(self, moment: float) -> float:
        """Return a moment of the machine's monotonic clock as run time."""
        return moment - self._zero
