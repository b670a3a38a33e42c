"""Keeping a command below its ceilings: by a control group of its own, or by limits of processes.

The engine says which way there is. A group (cgroup v2) holds for the whole tree: the kernel gives
it no more memory, and so much of the processors' time. Without one a process is limited, and those
that it starts each for itself; that all of them together stay below is what the engine watches.
"""

import os

from . import kernel

GROUP_MODE = 0o755
PERIOD_MICROSECONDS = 100_000
LEAST_QUOTA_MICROSECONDS = 1_000
OWN_PID = b"0"
"""Whoever writes it into ``cgroup.procs`` moves itself."""
MIB = 1 << 20

COUNTS = "/proc/vmstat"


class Ceilings:
    """What an attempt may have: ``group`` is the folder of the group to make, empty for none.

    ``processors`` are the numbers of those it may run on. ``kills_all``: out of memory, all of its
    processes end, rather than the largest.
    """

    def __init__(
        self,
        group: str = "",
        memory_mb: float = 0.0,
        cpu_cores: float = 0.0,
        processors: "list[int] | None" = None,
        kills_all: bool = True,
    ) -> None:
        self.group = group
        self.memory_bytes = int(memory_mb * MIB)
        self.cpu_cores = cpu_cores
        self.processors = processors or []
        self.kills_all = kills_all
        self.kills_before: int | None = None


def prepare(ceilings: Ceilings) -> None:
    """Make the group, if there is to be one; where it cannot be had, processes are limited."""
    ceilings.kills_before = _count(COUNTS)
    if not ceilings.group:
        return
    try:
        os.mkdir(ceilings.group, GROUP_MODE)
    except FileExistsError:
        pass  # of a holder that was killed before it began
    except OSError:
        ceilings.group = ""
        return
    try:
        _describe(ceilings)
    except OSError:
        remove(ceilings)
        ceilings.group = ""


def _describe(ceilings: Ceilings) -> None:
    """Say what the group may have; raises OSError."""
    if ceilings.memory_bytes:
        _write(ceilings, "memory.max", b"%d" % ceilings.memory_bytes)
        _write(ceilings, "memory.oom.group", b"%d" % ceilings.kills_all)
        try:
            _write(ceilings, "memory.swap.max", b"0")
        except OSError:
            pass  # a machine without swap has no such file
    if ceilings.cpu_cores:
        quota = max(LEAST_QUOTA_MICROSECONDS, int(ceilings.cpu_cores * PERIOD_MICROSECONDS))
        _write(ceilings, "cpu.max", b"%d %d" % (quota, PERIOD_MICROSECONDS))


def _write(ceilings: Ceilings, name: str, content: bytes) -> None:
    file = os.open(f"{ceilings.group}/{name}", os.O_WRONLY)
    try:
        os.write(file, content)
    finally:
        os.close(file)


def take_on(ceilings: Ceilings) -> None:
    """Put this process, and what it becomes, below its ceilings."""
    if ceilings.group:
        try:
            _write(ceilings, "cgroup.procs", OWN_PID)
            return
        except OSError:
            pass
    if ceilings.memory_bytes:
        import resource  # here, in the child: few streams have ceilings

        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        most = 2 * ceilings.memory_bytes  # what is reserved and never used counts as well
        if hard == resource.RLIM_INFINITY or most < hard:
            resource.setrlimit(resource.RLIMIT_DATA, (most, most))
    if ceilings.processors:
        try:
            os.sched_setaffinity(0, ceilings.processors)
        except OSError:
            pass  # another machine by now, as it were: the processors are not there any more


def memory_kills(ceilings: Ceilings) -> int:
    """Return how many processes the kernel has killed for want of memory since it was prepared.

    In a group they are its own; else anybody's, so somebody has to ask who was killed.
    """
    if ceilings.group:
        return _count(f"{ceilings.group}/memory.events") or 0
    now, before = _count(COUNTS), ceilings.kills_before
    return now - before if now is not None and before is not None else 0


def peak_memory_mb(ceilings: Ceilings) -> float:
    """Return the most that the group has had at a time; 0 where there is none to tell."""
    try:
        return int(kernel.read(f"{ceilings.group}/memory.peak")) / MIB if ceilings.group else 0.0
    except (OSError, ValueError):
        return 0.0


def remove(ceilings: Ceilings) -> None:
    """Take the group away; what cannot be now is taken away by the engine."""
    try:
        os.rmdir(ceilings.group)
    except OSError:
        pass


def _count(path: str) -> "int | None":
    """Return the number beside ``oom_kill`` in a file of counts, None if it keeps none."""
    try:
        for line in kernel.read(path).split(b"\n"):
            if line.startswith(b"oom_kill "):
                return int(line.split()[1])
    except (OSError, ValueError):
        pass
    return None
