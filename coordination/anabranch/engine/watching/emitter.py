"""Watches one workspace, by the kernel's notifications or by comparing stamps.

A new folder is watched first and listed afterwards, so a file that appears in between is seen
twice rather than never. A folder that moves away loses its watches at once, for its paths would be
wrong from then on; where it arrives it is a new folder. When notifications were lost, everything
whose inode changed since the watch began is reported again at the next poll, so that a storm
cannot make every workspace be searched without end; when watches run out, the workspace is
compared by stamps from then on and its watches go back to the others. The same happens to a
workspace that keeps the watching thread too busy: comparing has a bounded price, events have none.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Literal

from watchdog.events import (
    DirDeletedEvent,
    FileCreatedEvent,
    FileDeletedEvent,
    FileModifiedEvent,
    FileSystemEvent,
)
from watchdog.observers.api import EventEmitter, EventQueue, ObservedWatch

from anabranch.engine.watching import inotify
from anabranch.engine.watching.inotify import OutOfWatches
from anabranch.engine.watching.polling import (
    Snapshot,
    differences,
    is_silent_file_system,
    stamp_of,
    take_snapshot,
)
from anabranch.engine.watching.pruning import is_pruned, is_real_directory, list_directory
from anabranch.engine.watching.watch_table import WatchTable

Mode = Literal["inotify", "poll"]

# Notices and folders entered between two polls; a checkout of 5,000 files makes 15,000 notices.
WORK_LIMIT = 100_000


class PrunedEmitter(EventEmitter):
    """Reports the changes in one workspace into the observer's queue.

    It is a thread by inheritance only and never runs as one: the observer's single thread hands
    it what was noticed.
    """

    def __init__(
        self,
        event_queue: EventQueue,
        watch: ObservedWatch,
        *,
        timeout: float,
        event_filter: list[type[FileSystemEvent]] | None = None,
        table: WatchTable[PrunedEmitter] | None,
    ) -> None:
        super().__init__(event_queue, watch, timeout=timeout, event_filter=event_filter)
        self._table = table
        self._root = str(watch.path)
        # Inode times run a few milliseconds behind this clock: a workspace filled just before is
        # never taken for changed, at the price of the first milliseconds after.
        self._began_ns = time.time_ns()
        self._snapshot: Snapshot = {}
        self._work = 0
        self._has_lost_notices = False
        self.mode: Mode = "inotify"

    def start(self) -> None:
        """Begin to watch, in the calling thread."""
        if self._table is None or is_silent_file_system(self._root):
            self.mode = "poll"
            self._snapshot = take_snapshot(self._root)
        else:
            self._table.admit(self)
            self._guard_limits(lambda: self._enter(self._root))

    def on_thread_stop(self) -> None:
        """Give the watches back."""
        if self._table is not None:
            self._table.drop(self)

    def notice(self, mask: int, directory: str, name: str) -> None:
        """Take one notice of the kernel about ``name`` in the watched ``directory``."""
        if self.mode == "poll" or is_pruned(directory, name):
            return
        path = f"{directory}/{name}"
        self._guard_limits(self._count_work)
        if mask & inotify.IS_DIRECTORY:
            self._notice_directory(mask, path)
        elif mask & inotify.CREATE:
            self.queue_event(FileCreatedEvent(path))
        elif mask & (inotify.DELETE | inotify.MOVED_FROM):
            self.queue_event(FileDeletedEvent(path))
        else:
            self.queue_event(FileModifiedEvent(path))

    def mark_for_rescan(self) -> None:
        """Take note that notices were lost."""
        self._has_lost_notices = True

    def poll(self) -> None:
        """Find out what the kernel did not tell, if there may be such.

        A workspace that is gone reports nothing: its removal is not the work of the stream.
        """
        self._work = 0
        if self.mode == "poll":
            self._compare()
        elif self._has_lost_notices:
            self._has_lost_notices = False
            self._guard_limits(lambda: self._enter(self._root, self._report_if_recent))

    def _compare(self) -> None:
        if not os.path.isdir(self._root):
            return
        snapshot = take_snapshot(self._root)
        for event in differences(self._snapshot, snapshot):
            self.queue_event(event)
        self._snapshot = snapshot

    def _notice_directory(self, mask: int, path: str) -> None:
        if mask & (inotify.CREATE | inotify.MOVED_TO):
            self._guard_limits(lambda: self._enter(path, self._report_new))
        elif mask & inotify.MOVED_FROM and self._table is not None:
            self._table.drop_below(self, path)
            self.queue_event(DirDeletedEvent(path))

    def _enter(
        self, directory: str, report: Callable[[os.DirEntry[str]], None] | None = None
    ) -> None:
        """Watch a folder and all below it, handing the files found to ``report``."""
        assert self._table is not None
        pending = [directory]
        while pending:
            here = pending.pop()
            self._count_work()
            if not self._table.add(self, here):
                continue
            for entry in list_directory(here):
                if is_real_directory(entry):
                    pending.append(entry.path)
                elif report is not None:
                    self._count_work()
                    report(entry)

    def _report_new(self, entry: os.DirEntry[str]) -> None:
        self.queue_event(FileCreatedEvent(entry.path))

    def _report_if_recent(self, entry: os.DirEntry[str]) -> None:
        stamp = stamp_of(entry)
        if stamp is not None and stamp.changed_ns > self._began_ns:
            self.queue_event(FileModifiedEvent(entry.path))

    def _count_work(self) -> None:
        self._work += 1
        if self._work > WORK_LIMIT:
            raise OutOfWatches

    def _guard_limits(self, step: Callable[[], None]) -> None:
        try:
            step()
        except OutOfWatches:
            self._fall_back()

    def _fall_back(self) -> None:
        self.on_thread_stop()
        self.mode = "poll"
        self._snapshot = take_snapshot(self._root)
        for path, stamp in self._snapshot.items():
            if stamp.changed_ns > self._began_ns:
                self.queue_event(FileModifiedEvent(path))
