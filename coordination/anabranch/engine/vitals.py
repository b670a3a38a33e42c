"""The live facts about running streams: refreshed every second, shown, and never journalled.

A thread of its own looks once per tick at every log's size, at the process table (one pass for
all streams) and at what the file watcher has counted, and replaces the whole table of vitals at
once, so readers need no lock. It keeps two clocks apart: *progress* is output or changed files;
*busy* is work of the processor or the disk, which excuses silence and proves nothing more. What
has never been heard is None, never a large age.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType

import msgspec

from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.at_work import active_streams
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State
from anabranch.core.wording import counted, length
from anabranch.engine.interference import LONGEST_ECHO, Interference
from anabranch.engine.masking import masked_last_line
from anabranch.engine.process_table import TreeUsage, sample_trees
from anabranch.engine.watching import WorkspaceWatcher
from anabranch.paths import RunFolder
from anabranch.plain_files import open_plain

_log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
SHORTEST_TICK_SECONDS = 0.1
# A tick costs more the more processes there are. It may have so much of one processor's time while
# streams work, and so much while all of them wait, which is enough to keep its figures fresh.
SHARE_WHILE_BUSY = 0.05
SHARE_WHILE_IDLE = 0.003
LONGEST_TICK_SECONDS = 5.0
BUSY_CPU_PERCENT = 2.0
# The kernel counts processor time in hundredths of a second: less than this tells nothing.
SHORTEST_CPU_WINDOW_SECONDS = 0.25


class Watched(msgspec.Struct, frozen=True):
    """One running attempt of a stream and where its traces are found."""

    stream: StreamId
    attempt: Attempt
    workspace: Path | None
    log: Path
    holder_pid: int | None


@dataclass(frozen=True, slots=True)
class Vitals:
    """What is known about one stream right now.

    Times (``…_at``) are of the monotonic clock, None for never. ``cpu_percent`` is of one
    processor, so it may pass 100; it is None until there are two readings. ``alive`` says
    whether the holder's process is there, None if its id is not known. ``progress_age_seconds``
    is the time since output or a changed file, None if there was neither. ``files_changed`` is
    what a capture would find, unless ``files_are_estimated``; ``disk_bytes`` what its workspace
    takes that is its own, None until it was counted. ``evidence`` says in
    words what speaks for and against the stream getting on, for example "output 3 s ago,
    4 processes, 41 % CPU".
    """

    stream: StreamId
    attempt: Attempt
    cpu_percent: float | None = None
    memory_bytes: int = 0
    processes: int = 0
    files_changed: int = 0
    files_are_estimated: bool = False
    disk_bytes: int | None = None
    last_line: str = ""
    last_output_at: float | None = None
    last_change_at: float | None = None
    last_busy_at: float | None = None
    # It grows all the time by itself, which is not news.
    progress_age_seconds: float | None = field(default=None, compare=False)
    busy: bool = False
    alive: bool | None = None
    evidence: str = ""


@dataclass(slots=True)
class _CpuMeter:
    """Turns a growing sum of processor seconds into a percentage."""

    holder_started_ticks: int
    seconds: float
    at: float
    percent: float | None = None

    def read(self, seconds: float, now: float) -> float | None:
        """Return the percentage since the last reading, the last one again if that is too near.

        A child whose parent does not wait for it takes its time along when it ends: then the sum
        shrinks, and the answer is 0.
        """
        elapsed = now - self.at
        if elapsed >= SHORTEST_CPU_WINDOW_SECONDS:
            self.percent = round(max(0.0, seconds - self.seconds) / elapsed * 100, 1)
            self.seconds, self.at = seconds, now
        return self.percent


@dataclass(slots=True)
class _Track:
    """What the sampler remembers of one attempt between ticks."""

    watched: Watched
    log_stamp: tuple[int, int] = (0, 0)
    last_line: str = ""
    last_output_at: float | None = None
    files_changed: int = 0
    files_are_estimated: bool = False
    disk_bytes: int | None = None
    last_change_at: float | None = None
    ignored_change_at: float | None = None
    last_busy_at: float | None = None
    cpu: _CpuMeter | None = None

    def look_at_log(
        self, now: float, wall: Callable[[], float], interference: Interference
    ) -> None:
        """Notice output; what was there before the first look is as old as its time stamp.

        The echo of what was typed into its terminal does not count.
        """
        try:
            found = os.stat(self.watched.log, follow_symlinks=False)
        except OSError:
            return
        stamp = (found.st_size, found.st_mtime_ns)
        if stamp == self.log_stamp or found.st_size == 0:
            return
        is_first_look, known = self.log_stamp == (0, 0), self.log_stamp[0]
        silent_seconds = wall() - found.st_mtime if is_first_look else 0.0
        self.log_stamp = stamp
        self.last_line = masked_last_line(self.watched.log)
        if self._is_echo(known, found.st_size, interference):
            return
        self.last_output_at = now - max(0.0, silent_seconds)

    def _is_echo(self, known: int, size: int, interference: Interference) -> bool:
        stream, attempt = self.watched.stream, self.watched.attempt
        if not interference.expects_echo(stream, attempt) or not known <= size:
            return False
        output = _read_between(self.watched.log, known, size)
        return interference.is_echo(stream, attempt, output)

    def has_moved_since(self, then: float) -> bool:
        """Return whether it has written, changed files or worked of late."""
        moments = (self.last_output_at, self.last_change_at, self.last_busy_at)
        return any(at is not None and at > then for at in moments)

    def look_at_tree(self, usage: TreeUsage | None, now: float) -> TreeUsage | None:
        """Return the usage if it is of the holder known so far, and measure it."""
        if usage is None:
            return None
        if self.cpu is None:
            self.cpu = _CpuMeter(usage.holder_started_ticks, usage.cpu_seconds, now)
        if self.cpu.holder_started_ticks != usage.holder_started_ticks:
            return None
        self.cpu.read(usage.cpu_seconds, now)
        if self.is_busy(usage):
            self.last_busy_at = now
        return usage

    def is_busy(self, usage: TreeUsage) -> bool:
        """Say whether the tree has been working of late."""
        percent = None if self.cpu is None else self.cpu.percent
        return (percent or 0.0) >= BUSY_CPU_PERCENT or usage.disk_waits > 0

    def vitals(self, usage: TreeUsage | None, now: float) -> Vitals:
        """Put together what is known now; ``usage`` is None when the holder is not there."""
        heard = [at for at in (self.last_output_at, self.last_change_at) if at is not None]
        alive = None if self.watched.holder_pid is None else usage is not None
        percent = None if usage is None or self.cpu is None else self.cpu.percent
        processes = 0 if usage is None else usage.processes
        return Vitals(
            stream=self.watched.stream,
            attempt=self.watched.attempt,
            cpu_percent=percent,
            memory_bytes=0 if usage is None else usage.memory_bytes,
            processes=processes,
            files_changed=self.files_changed,
            files_are_estimated=self.files_are_estimated,
            disk_bytes=self.disk_bytes,
            last_line=self.last_line,
            last_output_at=self.last_output_at,
            last_change_at=self.last_change_at,
            last_busy_at=self.last_busy_at,
            progress_age_seconds=max(0.0, now - max(heard)) if heard else None,
            busy=usage is not None and self.is_busy(usage),
            alive=alive,
            evidence=", ".join(
                (
                    *_progress_clauses(self.last_output_at, self.last_change_at, now),
                    *_tree_clauses(alive, processes, percent),
                )
            ),
        )


class VitalsSampler:
    """Keeps the vitals of all running streams up to date.

    Args:
        streams: returns the streams that run now; called in the sampler's thread.
        watcher: counts changed files; workspaces are put under watch and taken off it as their
            streams come and go. None to do without.
        now: the monotonic clock.
        wall: the clock of the files' time stamps, for logs that were written before we looked.
        ticked: called with the new vitals after each tick, in the sampler's thread.
        count: says how many files an attempt has changed, and whether that is an estimate; the
            watcher's own count by default, which always is one.
        disk: says how many bytes of the disk an attempt's workspace takes, if that is known.
        interference: knows what the engine itself did to streams, which is not a sign of theirs.
        is_awaited: says whether somebody waits for a sign of a stream, so that it is soon seen.
    """

    def __init__(
        self,
        streams: Callable[[], Iterable[Watched]],
        watcher: WorkspaceWatcher | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
        wall: Callable[[], float] = time.time,
        ticked: Callable[[Mapping[StreamId, Vitals]], None] | None = None,
        count: Callable[[StreamId, Attempt], tuple[int, bool]] | None = None,
        disk: Callable[[StreamId, Attempt], int | None] = lambda *_: None,
        interference: Interference | None = None,
        is_awaited: Callable[[], bool] = lambda: False,
    ) -> None:
        self._ticked = ticked
        self._count = count or self._as_watched
        self._disk = disk
        self._interference = interference or Interference()
        self._is_awaited = is_awaited
        self._streams = streams
        self._watcher = watcher
        self._now = now
        self._wall = wall
        self._tracks: dict[StreamId, _Track] = {}
        self._vitals: Mapping[StreamId, Vitals] = MappingProxyType({})
        self._dirty: set[StreamId] = set()
        self._dirty_lock = threading.Lock()
        self._stopping = threading.Event()
        self._nudged = threading.Event()
        self._thread: threading.Thread | None = None
        self.tick_seconds = 0.0
        """How long the last tick took."""

    @property
    def vitals(self) -> Mapping[StreamId, Vitals]:
        """The latest vitals by stream; ended streams keep their last ones. A snapshot."""
        return self._vitals

    def take_dirty(self) -> set[StreamId]:
        """Return the streams whose vitals changed since the last call, and begin anew."""
        with self._dirty_lock:
            dirty, self._dirty = self._dirty, set()
        return dirty

    def start(self) -> None:
        """Begin to sample in a thread of its own."""
        thread = threading.Thread(target=self._run, name="anabranch-vitals", daemon=True)
        thread.start()
        self._thread = thread  # only one that has begun can be waited for

    def stop(self) -> None:
        """End the thread; the last vitals stay readable."""
        self._stopping.set()
        self._nudged.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def nudge(self) -> None:
        """Let the next tick be soon: a stream has just begun, and wants to be watched."""
        self._nudged.set()

    def sample(self) -> None:
        """Do one tick now, in the calling thread; not to be called while the thread runs."""
        began = time.perf_counter()
        now = self._now()
        running = {watched.stream: watched for watched in self._streams()}
        usages = sample_trees(
            {
                stream: watched.holder_pid
                for stream, watched in running.items()
                if watched.holder_pid
            }
        )
        after = dict(self._vitals)
        for stream, watched in running.items():
            after[stream] = self._refresh(self._track(watched), usages.get(stream), now)
        for stream in self._tracks.keys() - running.keys():
            after[stream] = self._settle(stream, now)
        self._publish(after)
        if self._ticked is not None:
            self._ticked(self._vitals)
        self.tick_seconds = time.perf_counter() - began

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                self.sample()
            except Exception:
                _log.exception("sampling vitals: one tick failed")
            self._stopping.wait(SHORTEST_TICK_SECONDS)
            self._nudged.wait(self._pause_seconds() - SHORTEST_TICK_SECONDS)
            self._nudged.clear()

    def _pause_seconds(self) -> float:
        """Return how long to rest after the last tick, by what it cost and what it showed."""
        quiet_since = self._now() - LONGEST_TICK_SECONDS
        is_idle = not any(track.has_moved_since(quiet_since) for track in self._tracks.values())
        is_lazy = is_idle and not self._is_awaited()
        share = SHARE_WHILE_IDLE if is_lazy else SHARE_WHILE_BUSY
        return min(LONGEST_TICK_SECONDS, max(TICK_SECONDS, self.tick_seconds / share))

    def _publish(self, after: dict[StreamId, Vitals]) -> None:
        before = self._vitals
        changed = {stream for stream, vitals in after.items() if before.get(stream) != vitals}
        self._vitals = MappingProxyType(after)
        with self._dirty_lock:
            self._dirty |= changed

    def _track(self, watched: Watched) -> _Track:
        """Return what is remembered of this attempt, beginning anew when it is a new one."""
        track = self._tracks.get(watched.stream)
        if track is not None and track.watched.workspace != watched.workspace:
            self._unwatch(watched.stream)
        if track is None or track.watched.attempt != watched.attempt:
            track = self._tracks[watched.stream] = _Track(watched)
        track.watched = watched
        return track

    def _refresh(self, track: _Track, usage: TreeUsage | None, now: float) -> Vitals:
        track.look_at_log(now, self._wall, self._interference)
        self._look_at_changes(track)
        return track.vitals(track.look_at_tree(usage, now), now)

    def _settle(self, stream: StreamId, now: float) -> Vitals:
        """Take the last look at a stream that no longer runs."""
        track = self._tracks.pop(stream)
        track.look_at_log(now, self._wall, self._interference)
        self._look_at_changes(track)
        self._unwatch(stream)
        return replace(track.vitals(None, now), alive=False, evidence="not running")

    def _look_at_changes(self, track: _Track) -> None:
        watcher, workspace = self._watcher, track.watched.workspace
        track.disk_bytes = self._disk(track.watched.stream, track.watched.attempt)
        if watcher is None or workspace is None:
            return
        stream = track.watched.stream
        if not watcher.is_watching(stream):
            self._watch(watcher, stream, workspace)
        track.files_changed, track.files_are_estimated = self._count(stream, track.watched.attempt)
        seen = watcher.last_change_at(stream)
        if self._interference.writes_in(stream, watcher.delay_seconds(stream)):
            track.ignored_change_at = seen
        elif seen != track.ignored_change_at:
            track.last_change_at = seen

    def _as_watched(self, stream: StreamId, attempt: Attempt) -> tuple[int, bool]:
        return self._watcher.changed_files(stream) if self._watcher else 0, True

    def _watch(self, watcher: WorkspaceWatcher, stream: StreamId, workspace: Path) -> None:
        try:
            watcher.watch(stream, workspace)
        except OSError as error:
            _log.debug("the workspace of %s cannot be watched yet: %s", stream, error)

    def _unwatch(self, stream: StreamId) -> None:
        if self._watcher is not None:
            self._watcher.unwatch(stream)


def watched_streams(state: State, folder: RunFolder) -> list[Watched]:
    """Return what there is to look at of each stream whose process runs."""
    return [
        Watched(
            s.id,
            s.attempt,
            Path(s.workspace.path)
            if s.workspace and state.stream_plan(s.id).workspace != "shared"
            else None,
            folder.setup_log(s.id, s.attempt)
            if s.phase is Phase.SETTING_UP
            else folder.log(s.id, s.attempt),
            s.holder_pid,
        )
        for s in active_streams(state)
        if s.pid is not None
    ]


def _read_between(log: Path, known: int, size: int) -> bytes:
    """Return what was added to a log, up to a bound above which it cannot be an echo."""
    try:
        descriptor = open_plain(log)
    except OSError:
        return b""
    try:
        return os.pread(descriptor, min(size - known, LONGEST_ECHO + 1), known)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def _progress_clauses(
    last_output_at: float | None, last_change_at: float | None, now: float
) -> Iterator[str]:
    if last_output_at is None:
        yield "no output yet"
    else:
        yield f"output {_age(now - last_output_at)} ago"
    if last_change_at is not None:
        yield f"files changed {_age(now - last_change_at)} ago"


def _tree_clauses(alive: bool | None, processes: int, percent: float | None) -> Iterator[str]:
    if alive is False:
        yield "its holder is gone"
    if not alive:
        return
    yield counted(processes, "process")
    if percent is not None:
        yield f"{percent:.0f} % CPU"


def _age(seconds: float) -> str:
    """Tell an age more and more coarsely, so that the sentence of a quiet stream seldom changes."""
    return length(seconds if seconds < 10 else seconds // 10 * 10)
