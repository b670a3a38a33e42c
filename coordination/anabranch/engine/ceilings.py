"""How streams are kept below their ceilings on this machine, and what is written for a holder.

Where a control group (cgroup v2) with the controllers of memory and processors is ours to divide,
each attempt with ceilings has a group of its own below it: the kernel holds the whole tree to them.
Nearly everywhere else such groups are made by the system alone. Then each process is limited
(``RLIMIT_DATA``, at twice the ceiling, as what is reserved and never used counts), whole processors
are chosen, and the engine watches what the tree has together.
"""

from __future__ import annotations

import contextlib
import math
import os
import time
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from anabranch.core.ids import Attempt, RunId, StreamId
from anabranch.core.model.at_work import active_streams
from anabranch.core.model.resources import CPU, MEMORY
from anabranch.core.model.state import State
from anabranch.paths import RunFolder
from anabranch.plain_files import SMALL_FILE_BYTES, read_plain

ROOT = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")
NEEDED = frozenset({"memory", "cpu"})
PREFIX = "anabranch"
DELEGATED = (
    "start it in a scope of your own, as systemd delegates it: systemd-run --user --scope "
    "-p Delegate=yes -p CPUWeight=100 -p MemoryAccounting=yes anabranch"
)
REMOVE_PATIENCE_SECONDS = (0.0, 0.05, 0.2)


class Way(msgspec.Struct, frozen=True):
    """How ceilings are held: below the control group ``folder``; without one ``why_not`` says why.

    Empty ``mend``: nothing on this machine would make it better.
    """

    folder: str = ""
    why_not: str = ""
    mend: str = ""

    @property
    def words(self) -> str:
        if self.folder:
            return f"each stream's in a control group of its own, below {self.folder}"
        return f"by limits of processes, and by looking at what they have: {self.why_not}"


@cache
def way() -> Way:
    """Return how ceilings are held on this machine; it is found out once."""
    return probe()


def probe(root: Path = ROOT, own: Path = OWN) -> Way:
    """Find the nearest group above this process that hands both controllers on and is ours.

    Args:
        root: where control groups are mounted.
        own: the file that tells the groups of this process.
    """
    root = root if (root / "cgroup.controllers").exists() else root / "unified"
    there = _words_of(root / "cgroup.controllers")
    if not there >= NEEDED:
        missing = " or ".join(sorted(NEEDED - there))
        why = f"cgroup v2 has no controller of {missing} here"
        return Way(why_not=why, mend="boot with systemd.unified_cgroup_hierarchy=1")
    try:
        text = read_plain(own, SMALL_FILE_BYTES).decode()
        place = next(line[3:] for line in text.splitlines() if line.startswith("0::"))
    except (OSError, StopIteration, UnicodeDecodeError):
        return Way(why_not="this process is in no group of cgroup v2")
    for group in _upwards(root, place):
        if _words_of(group / "cgroup.subtree_control") >= NEEDED and _is_ours(group):
            return Way(str(group))
    return Way(why_not="cgroup v2 is not delegated to this user", mend=DELEGATED)


def _upwards(root: Path, place: str) -> Iterator[Path]:
    inner = root / place.strip("/")
    yield inner
    if inner != root:
        yield from (p for p in inner.parents if p == root or root in p.parents)


def _is_ours(group: Path) -> bool:
    return os.access(group, os.W_OK) and os.access(group / "cgroup.procs", os.W_OK)


def _words_of(file: Path) -> set[str]:
    try:
        return set(read_plain(file, SMALL_FILE_BYTES).decode().split())
    except (OSError, UnicodeDecodeError):
        return set()


# --- what a holder is told -----------------------------------------------------------------------


def ceilings_of(state: State, stream: StreamId, name: str, how: Way) -> dict[str, Any]:
    """Return what a holder is told about an attempt's ceilings; nothing if it has none.

    Args:
        name: how the attempt is called in the run's folders.
    """
    plan = state.stream_plan(stream)
    if not plan.limits:
        return {}
    cores = plan.limits.get(CPU, 0.0)
    return {
        "group": group_of(how, state.run, name),
        "memory_mb": plan.limits.get(MEMORY, 0.0),
        "cpu_cores": cores,
        "processors": processors_for(cores, _taken(state, stream), os.sched_getaffinity(0)),
        "kills_all": plan.fan is None,  # of many handlers the kernel ends one
    }


def group_of(how: Way, run: RunId, name: str) -> str:
    """Return the folder of an attempt's group, empty where there are none."""
    return f"{how.folder}/{PREFIX}-{run}-{name}" if how.folder else ""


def _taken(state: State, stream: StreamId) -> int:
    """Return how many processors the others that are limited to some were given."""
    others = (state.stream_plan(s.id).limits for s in active_streams(state) if s.id != stream)
    return sum(math.ceil(limits.get(CPU, 0.0)) for limits in others)


def processors_for(cores: float, taken: int, usable: Iterable[int]) -> list[int]:
    """Return which whole processors a stream runs on: those after what others were given."""
    known = sorted(usable)
    wanted = math.ceil(cores)
    if not 0 < wanted < len(known):
        return []
    return [known[(taken + n) % len(known)] for n in range(wanted)]


# --- what is left of those that were killed ------------------------------------------------------


def is_kept(folder: RunFolder, stream: StreamId, attempt: Attempt) -> bool:
    """Return whether the kernel holds an attempt to its ceilings."""
    return is_in_group(way(), folder.run, folder.attempt_name(stream, attempt))


def is_in_group(how: Way, run: RunId, name: str) -> bool:
    """Return whether an attempt has a group of its own."""
    return bool(how.folder) and os.path.isdir(group_of(how, run, name))


def remove_group(run: RunId, name: str, how: Way | None = None) -> None:
    """End what is left in the group of an attempt whose holder was killed, and take it away."""
    how = how or way()
    if is_in_group(how, run, name):
        _take_away(Path(group_of(how, run, name)))


def sweep(state: State, how: Way | None = None) -> None:
    """Take away the empty groups of a run, which holders that were killed have left."""
    if not any(plan.limits for plan in state.plan.streams):
        return
    how = how or way()
    if how.folder:
        for left in Path(how.folder).glob(f"{PREFIX}-{state.run}-*"):
            with contextlib.suppress(OSError):  # somebody lives in it
                left.rmdir()


def _take_away(group: Path) -> None:
    with contextlib.suppress(OSError):
        (group / "cgroup.kill").write_text("1")
    for seconds in REMOVE_PATIENCE_SECONDS:
        time.sleep(seconds)
        try:
            group.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            continue
        return
