"""Whether the system has killed a process for want of memory."""

from __future__ import annotations

COUNTS = "/proc/vmstat"
KILLED = b"oom_kill "


class MemoryKills:
    """Watches the kernel's count of processes that it killed for want of memory."""

    def __init__(self) -> None:
        self._count = kills()

    def words(self) -> str:
        """Return what is to be said of a process that was killed, and by none of us."""
        before, self._count = self._count, kills()
        if before is not None and self._count is not None and self._count > before:
            return "killed for want of memory, by the kernel"
        return "killed, and not by us: perhaps for want of memory"


def kills() -> int | None:
    """Return how many processes the kernel has killed so; None if it keeps no count."""
    try:
        with open(COUNTS, "rb") as file:
            for line in file:
                if line.startswith(KILLED):
                    return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return None
