"""Holding the stream that fills the disk, before nobody can write any more.

A disk without room harms everybody on it: the engine keeps its journal there, others their work.
It can run out of bytes, and of files that can still be made. So when little of either is left, the
stream that takes most is stopped where it stands, and goes on once there is room again. Its holder
does it, for a few seconds at a time that the engine renews: if the engine dies, nobody stays
stopped.

Who writes shows in how much its workspace grows, and in what the kernel counts for its processes
(bytes, and nothing of disks in memory). Nobody is held for what others took. The less room there
is, the more often it is looked at; a stream that fills a disk within a few hundredths of a second
is too fast for that, and everybody waits for room as before.
"""

from __future__ import annotations

import asyncio
import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path

import msgspec

from anabranch.core import inputs
from anabranch.core.ids import StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream
from anabranch.engine.interference import Interference
from anabranch.engine.performers.process_records import send_control
from anabranch.engine.process_table import processes_below
from anabranch.paths import RunFolder
from anabranch.plain_files import SMALL_FILE_BYTES, read_plain

LONGEST_LOOK_SECONDS = 1.0
SHORTEST_LOOK_SECONDS = 0.02
SHORTEST_BRAKE_SECONDS = 0.1
HOLD_SECONDS = 5.0
SHARE_AT_MOST = 20
"""Of a small disk, no more than a twentieth is kept free."""
ROOM_TO_GO_ON = 2
"""So many times what is kept must be free before whoever was held goes on."""
WATCH_FROM = 4
"""From so many times what is kept on, writers are watched,"""
LOOKS_WATCHED = 40
"""and from so many looks before it is used up at the present pace."""
LOOKS_AHEAD = 3
"""Whoever would fill the disk within so many looks is stopped for one, to be seen in time."""
LATEST_LOOKS = 8
"""Who takes much shows in these; looks are near each other when there is little room,"""
LOOKS_REMEMBERED = 256
"""so whoever takes it slowly shows in more of them."""
LEAST_SHARE = 0.25
MOST_ENTRIES = 20_000
MOST_COUNTED = 200_000

_MIB = 1 << 20


class Kind(msgspec.Struct, frozen=True):
    """What a disk can run out of."""

    kept_at_most: int
    least_written: int
    """Who has taken less of late does not fill it."""
    fastest: int
    """What is taken in a second; looks are so near that nobody takes all the room in between."""
    one: int
    """The unit in which it is counted,"""
    name: str
    """its name,"""
    is_had: str
    """and the words that say that there is some."""


BYTES = Kind(64 * _MIB, 64 * 1024, 8 * 1024 * _MIB, _MIB, "MB", "are free")
FILES = Kind(5_000, 16, 500_000, 1, "files", "can be made")


class Disk(msgspec.Struct, frozen=True):
    """How much room of one kind there is on a disk."""

    left: int
    size: int
    kind: Kind = BYTES

    @property
    def kept(self) -> int:
        """How much is kept free of those who fill it."""
        return min(self.kind.kept_at_most, self.size // SHARE_AT_MOST)

    def in_words(self, amount: int) -> str:
        """Return an amount of room in words."""
        return f"{amount // self.kind.one} {self.kind.name}"


class Look(msgspec.Struct, frozen=True):
    """What one look has seen: the room that was left, and what each stream has written in all."""

    left: int
    written: Mapping[StreamId, int]


Key = tuple[int, Kind]
"""A device, and of what it can run out."""


def is_short(disk: Disk, taken: int) -> bool:
    """Return whether somebody has to be stopped: too little is left, or will be in a moment.

    Args:
        taken: how many bytes were taken since the look before.
    """
    return disk.left < disk.kept or (taken > 0 and disk.left < disk.kept + LOOKS_AHEAD * taken)


def who_fills(looks: Sequence[Look], kind: Kind = BYTES) -> tuple[StreamId, int] | None:
    """Return the stream that takes the room, and what it has written of late; None if none does.

    It has written a good part of what is gone, and still writes.
    """
    if len(looks) < 2:
        return None
    first, before, now = looks[0], looks[-2], looks[-1]
    still_writing = [s for s, n in now.written.items() if n > before.written.get(s, n)]
    grown = {s: now.written[s] - first.written.get(s, now.written[s]) for s in still_writing}
    most = max(grown, key=lambda s: grown[s], default=None)
    if most is None:
        return None
    least = max(kind.least_written, LEAST_SHARE * (first.left - now.left))
    return (most, grown[most]) if grown[most] >= least and now.left < first.left else None


def found_in(looks: Sequence[Look], kind: Kind = BYTES) -> tuple[StreamId, int] | None:
    """Return who fills a disk at present, or else who has been filling it slowly."""
    return who_fills(looks[-LATEST_LOOKS:], kind) or who_fills(looks, kind)


class DiskHold:
    """Watches the disks of a run while it goes on. Lives in the engine's event loop.

    Args:
        folder: the run's folder.
        places: folders on the disks that are watched.
        state: returns the run's state.
        post: takes what the engine has to know.
        interference: hears whom the engine has touched.
    """

    def __init__(
        self,
        folder: RunFolder,
        places: Sequence[Path],
        state: Callable[[], State],
        post: Callable[[inputs.Input], None],
        interference: Interference,
    ) -> None:
        self._folder = folder
        self._places = places
        self._state = state
        self._post = post
        self._interference = interference
        self._left: dict[Key, int] = {}
        self._looks: dict[Key, deque[Look]] = {}
        self._writing = Writing()

    async def watch(self) -> None:
        """Look again and again, until cancelled."""
        while True:
            await asyncio.sleep(self._pause_seconds())
            state = self._state()
            running = [s for s in state.streams.values() if s.phase is Phase.RUNNING]
            # What cannot be looked at for now is looked at another time.
            with suppress(OSError, RuntimeError):
                await self._look(running, dict(_disks(self._places)) if running else {})

    def _pause_seconds(self) -> float:
        soonest = min((n / kind.fastest for (_, kind), n in self._left.items()), default=1.0)
        return min(LONGEST_LOOK_SECONDS, max(SHORTEST_LOOK_SECONDS, soonest))

    async def _look(self, running: Sequence[Stream], disks: Mapping[Key, Disk]) -> None:
        taken = {d: self._left.get(d, disk.left) - disk.left for d, disk in disks.items()}
        self._left = {d: disk.left for d, disk in disks.items()}
        self._renew([s for s in running if s.held], disks)
        watched = {key for key, disk in disks.items() if _is_worth_watching(disk, taken[key])}
        if not watched:
            self._looks.clear()
            self._writing = Writing()
            return
        counts_files = any(kind is FILES for _, kind in watched)
        written, made = await asyncio.to_thread(self._writing.look, running, counts_files)
        for key, disk in disks.items():
            looks = self._looks.setdefault(key, deque(maxlen=LOOKS_REMEMBERED))
            looks.append(Look(disk.left, made if disk.kind is FILES else written))
            found = found_in(list(looks), disk.kind) if is_short(disk, taken[key]) else None
            if found is not None:
                self._stop(next(s for s in running if s.id == found[0]), found[1], disk)

    def _stop(self, stream: Stream, written: int, disk: Disk) -> None:
        """Hold a stream until there is room, or for one look while there still is some."""
        if disk.left >= disk.kept:
            brake = max(SHORTEST_BRAKE_SECONDS, 2 * self._pause_seconds())
            self._order(stream, {"op": "pause", "seconds": brake})
        elif self._order(stream, {"op": "pause", "seconds": HOLD_SECONDS}) and not stream.held:
            took, has = disk.in_words(max(disk.kind.one, written)), disk.kind.is_had
            reason = (
                f"only {disk.in_words(disk.left)} {has} on the disk, and it took {took} just now; "
                f"it goes on by itself once {disk.in_words(ROOM_TO_GO_ON * disk.kept)} {has}"
            )
            self._post(
                inputs.StreamHeld(
                    stream=stream.id, attempt=stream.attempt, reason=reason, cause=stream.cause
                )
            )

    def _renew(self, held: Sequence[Stream], disks: Mapping[Key, Disk]) -> None:
        """Keep those who are held where they are, or let them go on if there is room again."""
        has_room = all(disk.left >= ROOM_TO_GO_ON * disk.kept for disk in disks.values())
        for stream in held:
            if not has_room:
                self._order(stream, {"op": "pause", "seconds": HOLD_SECONDS})
                continue
            self._order(stream, {"op": "go_on"})
            self._interference.touched(stream.id)
            self._post(
                inputs.StreamLetGo(stream=stream.id, attempt=stream.attempt, cause=stream.cause)
            )

    def _order(self, stream: Stream, order: dict[str, float | str]) -> bool:
        """Send an order to a stream's holder, and return whether it could be sent."""
        try:
            name = self._folder.attempt_name(stream.id, stream.attempt)
            send_control(self._folder.attempts / name, order)
        except OSError:
            return False
        return True


class Writing:
    """What streams have written since the first look; it never shrinks."""

    def __init__(self) -> None:
        self._sums: dict[StreamId, int] = {}
        self._grown: dict[StreamId, int] = {}
        self._by_process: dict[int, int] = {}
        self._counts: dict[StreamId, int] = {}
        self._made: dict[StreamId, int] = {}

    def look(
        self, streams: Sequence[Stream], counts_files: bool
    ) -> tuple[dict[StreamId, int], dict[StreamId, int]]:
        """Return how many bytes each stream has written, and how many files it has made.

        Files are counted on demand. Blocks: for worker threads.
        """
        if counts_files:
            self._count(streams)
        holders = {s.id: s.holder_pid for s in streams if s.holder_pid is not None}
        below = processes_below(holders)
        counted = {pid: written_by(pid) for pids in below.values() for pid in pids}
        for stream in streams:
            by_kernel = sum(
                max(0, counted[pid] - self._by_process.get(pid, counted[pid]))
                for pid in below.get(stream.id, ())
            )
            size = size_of(Path(stream.workspace.path)) if stream.workspace else 0
            grown = max(0, size - self._sums.get(stream.id, size))
            self._sums[stream.id] = size
            self._grown[stream.id] = self._grown.get(stream.id, 0) + max(by_kernel, grown)
        self._by_process = counted
        return dict(self._grown), dict(self._made)

    def _count(self, streams: Sequence[Stream]) -> None:
        for stream in streams:
            count = count_of(Path(stream.workspace.path)) if stream.workspace else 0
            more = max(0, count - self._counts.get(stream.id, count))
            self._counts[stream.id] = count
            self._made[stream.id] = self._made.get(stream.id, 0) + more


def written_by(pid: int) -> int:
    """Return how many bytes a process has sent to disks, 0 where the kernel does not say."""
    with suppress(OSError, ValueError):
        for line in read_plain(Path(f"/proc/{pid}/io"), SMALL_FILE_BYTES).splitlines():
            name, _, number = line.partition(b":")
            if name == b"write_bytes":
                return int(number)
    return 0


def size_of(folder: Path) -> int:
    """Return how many bytes the files under a folder take on its disk.

    Of a large one only so many entries are looked at, the same ones each time.
    """
    size = 0
    for entry in islice(_entries_under(os.fspath(folder)), MOST_ENTRIES):
        with suppress(OSError):
            size += entry.stat(follow_symlinks=False).st_blocks * 512
    return size


def count_of(folder: Path) -> int:
    """Return how many files and folders lie under a folder, up to a bound."""
    return sum(1 for _ in islice(_entries_under(os.fspath(folder)), MOST_COUNTED))


def _entries_under(folder: str) -> Iterator[os.DirEntry[str]]:
    waiting = [folder]
    while waiting:
        with suppress(OSError), os.scandir(waiting.pop()) as entries:
            for entry in entries:
                yield entry
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(entry.path)


def _is_worth_watching(disk: Disk, taken: int) -> bool:
    return disk.left < max(WATCH_FROM * disk.kept, disk.kept + LOOKS_WATCHED * taken)


def _disks(places: Sequence[Path]) -> Iterator[tuple[Key, Disk]]:
    for place in places:
        with suppress(OSError):
            found = os.statvfs(place)
            device = os.stat(place).st_dev
            disk = Disk(found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize)
            yield (device, BYTES), disk
            if found.f_files:  # some file systems make as many as their bytes are enough for
                yield (device, FILES), Disk(found.f_favail, found.f_files, FILES)
