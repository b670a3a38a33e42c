"""Who lives, by number and start time, however numbers are used again."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from anabranch.engine.performers.process_records import lives, open_process, signal_process


@pytest.fixture
def thread() -> Iterator[int]:
    """Give the number of a thread that is no process."""
    may_end = threading.Event()
    running = threading.Thread(target=may_end.wait)
    running.start()
    assert running.native_id is not None
    assert running.native_id != os.getpid()
    yield running.native_id
    may_end.set()
    running.join()


def test_a_number_that_a_thread_has_by_now_is_no_process(thread: int) -> None:
    """The process that had it is gone, and whoever looks for it is told so."""
    assert lives(thread, 1) is False
    assert open_process(thread, 1) is None
    signal_process(thread, 1, signal.SIGKILL)
