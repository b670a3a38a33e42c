"""Counts, for every stream, the files that changed in its workspace."""

from __future__ import annotations

import itertools
import logging
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from watchdog.events import (
    DirDeletedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileSystemEvent,
    FileSystemEventHandler,
)
from watchdog.observers.api import ObservedWatch

from anabranch.core.ids import StreamId
from anabranch.engine.watching.emitter import Mode
from anabranch.engine.watching.observing import PrunedObserver

_log = logging.getLogger(__name__)

# A stream that writes more files than this is counted as having changed this many.
PATHS_LIMIT = 100_000
# Of a storm of writes between two looks, this many are told.
WRITTEN_LIMIT = 10_000
# Notices of what the engine itself wrote come within this time.
EXPECTED_SECONDS = 3.0
# Stamps of workspaces in which no change was noticed, told apart from each other.
NOT_WATCHED, NOTHING_SEEN = -2.0, -1.0


class Tally(FileSystemEventHandler):
    """The distinct paths that changed in one workspace since watching began.

    A file that came and went again, such as the temporary one of an atomic write, does not count.
    """

    def __init__(
        self,
        root: str,
        already_changed: frozenset[str],
        now: Callable[[], float],
        on_touch: Callable[[], None],
    ) -> None:
        self.changed: set[str] = set(already_changed)
        self.last_change_at: float | None = None
        self.written: deque[str] = deque(maxlen=WRITTEN_LIMIT)
        self._created: set[str] = set()
        self._expected: dict[str, float] = {}
        self._prefix = root + "/"
        self._now = now
        self._on_touch = on_touch

    def dispatch(self, event: FileSystemEvent) -> None:
        """Take one event of the workspace."""
        path = os.fsdecode(event.src_path).removeprefix(self._prefix)
        if self._expected and self._now() < self._expected.get(path, 0.0):
            return
        if isinstance(event, DirDeletedEvent):
            self._forget_created_below(path + "/")
        elif isinstance(event, FileDeletedEvent) and path in self._created:
            self._forget({path})
        else:
            self._add(path, is_new=isinstance(event, FileCreatedEvent))
        if not event.is_directory:
            self.written.append(path)
        self.last_change_at = self._now()
        self._on_touch()

    def expect(self, paths: Iterable[str], until: float) -> None:
        """Take changes of these files for the engine's own for a while (monotonic seconds)."""
        now = self._now()
        left = {path: at for path, at in self._expected.items() if at > now}
        self._expected = left | dict.fromkeys(paths, until)

    def _add(self, path: str, *, is_new: bool) -> None:
        if path in self.changed or len(self.changed) >= PATHS_LIMIT:
            return
        self.changed.add(path)
        if is_new:
            self._created.add(path)

    def _forget_created_below(self, directory: str) -> None:
        self._forget({path for path in self._created if path.startswith(directory)})

    def _forget(self, paths: set[str]) -> None:
        self._created -= paths
        self.changed -= paths


class WorkspaceWatcher:
    """Watches the workspaces of a run. Safe to use from any thread.

    Args:
        on_change: called with a stream whose files changed, in the watcher's own thread, with no
            lock held and at most once per round of notices.
        now: the monotonic clock.
        poll_seconds: how often workspaces without notifications are compared.
        notify: False to compare every workspace, whatever the kernel offers.
    """

    def __init__(
        self,
        on_change: Callable[[StreamId], None] | None = None,
        *,
        now: Callable[[], float] = time.monotonic,
        poll_seconds: float = 5.0,
        notify: bool = True,
    ) -> None:
        self._on_change = on_change
        self._now = now
        self._poll_seconds = poll_seconds
        self._lock = threading.Lock()
        self._changing = threading.RLock()
        self._tallies: dict[StreamId, tuple[Tally, ObservedWatch]] = {}
        self._touched: set[StreamId] = set()
        self._observer = PrunedObserver(
            poll_seconds=poll_seconds, notify=notify, after_batch=self._announce
        )
        self._observer.start()

    def watch(
        self, stream: StreamId, path: Path, *, already_changed: frozenset[str] = frozenset()
    ) -> None:
        """Count the changes of ``stream`` in the folder ``path`` from now on.

        Several streams may share a folder. Watching a stream again begins its count again.

        Args:
            already_changed: paths, relative to the folder, that are known to have changed before.

        Raises:
            NotADirectoryError: there is no such folder.
        """
        root = os.path.realpath(path)
        if not os.path.isdir(root):
            raise NotADirectoryError(f"{path} is not a folder")
        tally = Tally(root, already_changed, self._now, lambda: self._touched.add(stream))
        with self._changing:
            self.unwatch(stream)
            watch = self._observer.schedule(tally, root, recursive=True)
            with self._lock:
                self._tallies[stream] = (tally, watch)

    def unwatch(self, stream: StreamId) -> None:
        """Stop counting for ``stream`` and forget what was counted; unknown streams are ignored."""
        with self._changing:
            with self._lock:
                tally, watch = self._tallies.pop(stream, (None, None))
                is_shared = any(other == watch for _, other in self._tallies.values())
            if tally is None or watch is None:
                return
            if is_shared:
                self._observer.remove_handler_for_watch(tally, watch)
            else:
                self._observer.unschedule(watch)

    def is_watching(self, stream: StreamId) -> bool:
        """Say whether the changes of ``stream`` are being counted."""
        return self._tally(stream) is not None

    def changed_files(self, stream: StreamId) -> int:
        """Return how many distinct files changed since watching began."""
        tally = self._tally(stream)
        return 0 if tally is None else len(tally.changed)

    def changed_paths(self, stream: StreamId, limit: int) -> list[str]:
        """Return up to ``limit`` of the changed paths, sorted, relative to the workspace."""
        tally = self._tally(stream)
        if tally is None:
            return []
        return list(itertools.islice(sorted(tally.changed.copy()), limit))

    def take_written(self, stream: StreamId) -> tuple[str, ...]:
        """Return the files written or removed since the last call, each once, in their order."""
        tally = self._tally(stream)
        if tally is None:
            return ()
        written = tally.written
        return tuple(dict.fromkeys(written.popleft() for _ in range(len(written))))

    @contextmanager
    def expecting(self, stream: StreamId, paths: Sequence[str]) -> Iterator[None]:
        """Do not count what the engine itself writes in a stream's workspace meanwhile."""
        tally = self._tally(stream)
        if tally is not None:
            tally.expect(paths, float("inf"))
        try:
            yield
        finally:
            if tally is not None:
                until = self._now() + EXPECTED_SECONDS + self.delay_seconds(stream)
                tally.expect(paths, until)

    def delay_seconds(self, stream: StreamId) -> float:
        """Return how late changes may be noticed: at once, or by the next comparison."""
        return self._poll_seconds if self.mode(stream) == "poll" else 0.0

    def last_change_at(self, stream: StreamId) -> float | None:
        """Return when a file last changed, by the monotonic clock; None if none ever did."""
        tally = self._tally(stream)
        return None if tally is None else tally.last_change_at

    def change_stamp(self, stream: StreamId) -> float:
        """Return what differs whenever the files may be others than they were when it was the same.

        What changed before watching began is not known, so that moment makes a difference too.
        """
        tally = self._tally(stream)
        if tally is None:
            return NOT_WATCHED
        return NOTHING_SEEN if tally.last_change_at is None else tally.last_change_at

    def mode(self, stream: StreamId) -> Mode:
        """Say whether the kernel tells of changes or the files are compared."""
        with self._lock:
            found = self._tallies.get(stream)
        emitter = None if found is None else self._observer.emitter_for(str(found[1].path))
        return "poll" if emitter is None else emitter.mode

    def close(self) -> None:
        """Stop watching everything and end the thread; the counts are forgotten."""
        with self._changing, self._lock:
            self._tallies.clear()
        self._observer.close()

    def _tally(self, stream: StreamId) -> Tally | None:
        with self._lock:
            found = self._tallies.get(stream)
        return None if found is None else found[0]

    def _announce(self) -> None:
        touched, self._touched = self._touched, set()
        if self._on_change is None:
            return
        for stream in touched:
            try:
                self._on_change(stream)
            except Exception:
                _log.exception("watching files: a listener failed")
