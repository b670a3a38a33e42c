"""The file library's observer over one notification descriptor and one thread for everything."""

from __future__ import annotations

import logging
import os
import select
import time
from collections.abc import Callable
from functools import partial
from typing import cast

from watchdog.observers.api import BaseObserver, EventEmitter

from anabranch.engine.watching import inotify
from anabranch.engine.watching.emitter import PrunedEmitter
from anabranch.engine.watching.inotify import Inotify, Notice
from anabranch.engine.watching.watch_table import WatchTable

_log = logging.getLogger(__name__)

# After the first notice, wait this long for more: a storm is then handled in large pieces. The
# kernel's queue of 16,384 notices does not fill in that time.
SETTLE_SECONDS = 0.02


class PrunedObserver(BaseObserver):
    """Reads notices, lets emitters turn them into events and dispatches these, in one thread.

    Args:
        poll_seconds: how often workspaces without notifications are compared.
        notify: False to do without the kernel's notifications.
        after_batch: called in the observer's thread, with no lock held, after events were
            dispatched.
    """

    def __init__(
        self,
        *,
        poll_seconds: float = 5.0,
        notify: bool = True,
        after_batch: Callable[[], None] = lambda: None,
    ) -> None:
        self._inotify = _open_inotify() if notify else None
        self._table = None if self._inotify is None else WatchTable[PrunedEmitter](self._inotify)
        # The library calls this to make an emitter; a bound class serves as well as a class.
        maker = cast("type[EventEmitter]", partial(PrunedEmitter, table=self._table))
        super().__init__(maker, timeout=poll_seconds)
        self._after_batch = after_batch
        self._next_poll = time.monotonic() + poll_seconds
        self._wake_reader, self._wake_writer = os.pipe()
        self._is_released = False
        self.name = "anabranch-watching"

    def emitter_for(self, path: str) -> PrunedEmitter | None:
        """Return the emitter of a scheduled path."""
        for emitter in self.emitters.copy():
            if isinstance(emitter, PrunedEmitter) and emitter.watch.path == path:
                return emitter
        return None

    def run(self) -> None:
        """Serve until stopped; a failure in one round is logged and the next one goes on."""
        poller = select.poll()
        poller.register(self._wake_reader, select.POLLIN)
        if self._inotify is not None:
            poller.register(self._inotify.descriptor, select.POLLIN)
        while self.should_keep_running():
            ready = poller.poll(self._wait_milliseconds())
            if self.should_keep_running():
                self._serve(has_notices=bool(ready))

    def close(self) -> None:
        """End the thread and give everything back; closing again does nothing."""
        if self._is_released:
            return
        self._is_released = True
        self.stop()
        os.write(self._wake_writer, b"!")
        self.join()
        os.close(self._wake_reader)
        os.close(self._wake_writer)
        if self._inotify is not None:
            self._inotify.close()

    def _serve(self, *, has_notices: bool) -> None:
        try:
            if has_notices:
                self.stopped_event.wait(SETTLE_SECONDS)
                self._read_notices()
            if time.monotonic() >= self._next_poll:
                self._poll()
            self._dispatch()
        except Exception:
            _log.exception("watching files: one round failed")

    def _read_notices(self) -> None:
        if self._inotify is None or self._table is None:
            return
        for notice in self._inotify.read():
            self._route(notice, self._table)

    def _route(self, notice: Notice, table: WatchTable[PrunedEmitter]) -> None:
        if notice.mask & inotify.OVERFLOW:
            for emitter in table.all_owners():
                emitter.mark_for_rescan()
        elif notice.mask & inotify.IGNORED:
            table.ended(notice.watch)
        elif notice.name:
            for emitter, directory in table.owners(notice.watch):
                emitter.notice(notice.mask, directory, notice.name)

    def _poll(self) -> None:
        began = time.monotonic()
        for emitter in self.emitters.copy():
            if isinstance(emitter, PrunedEmitter):
                emitter.poll()
        # However large the workspaces, comparing them takes at most a tenth of the time.
        taken = time.monotonic() - began
        self._next_poll = began + max(self.timeout, 10 * taken)

    def _dispatch(self) -> None:
        while not self.event_queue.empty():
            self.dispatch_events(self.event_queue)
        self._after_batch()

    def _wait_milliseconds(self) -> float:
        return max(0.0, self._next_poll - time.monotonic()) * 1000


def _open_inotify() -> Inotify | None:
    try:
        return Inotify()
    except OSError as error:
        _log.info("no file notifications (%s): workspaces are compared instead", error)
        return None
