"""What is left of the machine's scarce things beside memory, so that work is held back in time.

Each running stream takes descriptors of this process and processes of this user, and writes. When
one of them is nearly used up, starting another stream would only make all of them fail.
"""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from anabranch.plain_files import SMALL_FILE_BYTES, read_plain

KEPT_DESCRIPTORS = 64
KEPT_PROCESSES = 64
KEPT_BYTES = 16 * 1024 * 1024
KEPT_INODES = 1024
SHARE_AT_MOST = 4
"""Of a small limit, no more than a fourth is kept free."""
DISK_SHARE_AT_MOST = 50

_CONTROL_GROUP = Path("/sys/fs/cgroup")


def shortage_ahead(places: Sequence[Path]) -> str:
    """Return what is nearly used up, in words for people; empty if there is enough of all.

    Args:
        places: folders that streams and the engine write to.
    """
    return next(_nearly_used_up(places), "")


def descriptors_left() -> int | None:
    """Return how many files this process may still open; None if that cannot be known."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        return max(0, limit - len(os.listdir("/proc/self/fd")))
    except FileNotFoundError:
        return None
    except OSError:
        return 0


def kept_descriptors() -> int:
    """Return how many descriptors are kept free of streams, for the engine's own work."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return min(KEPT_DESCRIPTORS, limit // SHARE_AT_MOST)


def _nearly_used_up(places: Sequence[Path]) -> Iterator[str]:
    left = descriptors_left()
    if left is not None and left < kept_descriptors():
        yield f"only {left} file descriptors are left; nothing starts below {kept_descriptors()}"
    for used, limit in _process_limits():
        kept = min(KEPT_PROCESSES, limit // SHARE_AT_MOST)
        if limit - used < kept:
            yield f"only {max(0, limit - used)} processes are left; nothing starts below {kept}"
    for place in places:
        with suppress(OSError):
            yield from _on_disk(place)


def _process_limits() -> Iterator[tuple[int, int]]:
    """Yield how many processes and threads there are, and how many there may be."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NPROC)
    with suppress(OSError, ValueError, IndexError):
        on_machine = int(_word("/proc/loadavg", 3).rpartition("/")[2])
        if os.getuid() != 0 and 0 <= limit <= on_machine + KEPT_PROCESSES:
            yield _threads_of_ours(), limit
        yield on_machine, int(_word("/proc/sys/kernel/threads-max", 0))
    with suppress(OSError, ValueError, IndexError):
        most = _word(_CONTROL_GROUP / "pids.max", 0)
        if most != "max":
            yield int(_word(_CONTROL_GROUP / "pids.current", 0)), int(most)


def _word(path: Path | str, position: int) -> str:
    return read_plain(path, SMALL_FILE_BYTES).decode().split()[position]


def _threads_of_ours() -> int:
    """Count this user's threads, as the kernel does; costly, so only done near the limit."""
    count = 0
    for entry in os.listdir("/proc"):
        with suppress(OSError):
            if entry.isdecimal() and os.stat(f"/proc/{entry}").st_uid == os.getuid():
                count += os.stat(f"/proc/{entry}/task").st_nlink - 2
    return count


def _on_disk(place: Path) -> Iterator[str]:
    found = os.statvfs(place)
    left = found.f_bavail * found.f_frsize
    kept = min(KEPT_BYTES, found.f_blocks * found.f_frsize // DISK_SHARE_AT_MOST)
    if left < kept:
        yield f"only {left >> 20} MB of disk are free; nothing starts below {kept >> 20}"
    inodes = min(KEPT_INODES, found.f_files // DISK_SHARE_AT_MOST)
    if found.f_favail < inodes:
        yield f"only {found.f_favail} new files fit on the disk; nothing starts below {inodes}"


def raise_descriptor_limit() -> None:
    """Raise the limit on descriptors: each stream needs some, and many systems start with 1024."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
