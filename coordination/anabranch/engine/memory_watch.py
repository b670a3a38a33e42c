"""What streams have of memory, as news: where one is above its ceiling, or the machine is short.

Once is not enough: what counts is the less of two looks in a row. What the sum over a tree says is
too much where processes share memory, so whoever seems to be above its ceiling is looked at more
closely. Where the kernel itself holds a stream to its ceiling, nobody else does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from anabranch.core import inputs
from anabranch.core.deciding.resources import least_free_mb
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.resources import MEMORY
from anabranch.core.model.state import State
from anabranch.engine.machine_memory import MachineMemory
from anabranch.engine.process_table import processes_below
from anabranch.engine.vitals import Vitals
from anabranch.plain_files import SMALL_FILE_BYTES, read_plain

_MIB = 1 << 20
_KIB_PER_MIB = 1024


def proportional_mb(holder_pid: int) -> float | None:
    """Return what the processes below a holder have, a shared page counted once among its users.

    None if the machine cannot tell.
    """
    stream = StreamId("")
    try:
        pids = processes_below({stream: holder_pid}).get(stream, [])
        return sum(_proportional_mb(pid) for pid in pids) if pids else None
    except OSError:
        return None


def _proportional_mb(pid: int) -> float:
    """Read the ``Pss`` of one process; raises OSError, but not for one that has ended."""
    try:
        lines = read_plain(f"/proc/{pid}/smaps_rollup", SMALL_FILE_BYTES).splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return sum(int(line.split()[1]) for line in lines if line.startswith(b"Pss:")) / _KIB_PER_MIB


class MemoryWatch:
    """Turns what is measured into news, once a tick.

    Args:
        is_kept: says whether the kernel holds an attempt to its ceiling.
    """

    def __init__(
        self,
        is_kept: Callable[[StreamId, Attempt], bool],
        closely: Callable[[int], float | None] = proportional_mb,
    ) -> None:
        self._is_kept, self._closely = is_kept, closely
        self._before: dict[tuple[StreamId, Attempt], float] = {}
        self._was_short = False

    def look(
        self, state: State, vitals: Mapping[StreamId, Vitals], memory: MachineMemory
    ) -> Iterator[inputs.Input]:
        """Yield what the engine has to know."""
        if state.has_ended:
            return
        now = {(v.stream, v.attempt): v.memory_bytes / _MIB for v in vitals.values()}
        least = {key: min(mb, self._before.get(key, 0.0)) for key, mb in now.items()}
        self._before = now
        was_short, self._was_short = self._was_short, _is_short(memory)
        is_short = was_short and self._was_short
        above = [key for key, mb in least.items() if _is_above(state, key, mb)]
        for key in above:
            least[key] = self._looked_at(state, key, least[key])
        if is_short or any(_is_above(state, key, least[key]) for key in above):
            uses = tuple(inputs.MemoryUse(*key, round(mb, 1)) for key, mb in least.items())
            yield inputs.MemorySeen(uses=uses, is_short=is_short)

    def _looked_at(self, state: State, key: tuple[StreamId, Attempt], mb: float) -> float:
        """Return what one has that seems to be above its ceiling."""
        if self._is_kept(*key):
            return min(mb, _limit(state, key[0]) or mb)
        holder = state.streams[key[0]].holder_pid
        found = self._closely(holder) if holder is not None else None
        return mb if found is None else min(mb, found)


def _is_short(memory: MachineMemory) -> bool:
    return memory.available_mb < least_free_mb(memory.total_mb)


def _limit(state: State, stream: StreamId) -> float | None:
    return state.stream_plan(stream).limits.get(MEMORY) if stream in state.streams else None


def _is_above(state: State, key: tuple[StreamId, Attempt], mb: float) -> bool:
    limit = _limit(state, key[0])
    return limit is not None and mb > limit
