"""What is done while the machine is short of something: it is said, and waited for.

None of it says anything about an item. A disk without room gets some, a process that cannot be
started now can be when others have ended; with fewer descriptors fewer handlers run at a time.
"""

from __future__ import annotations

import errno
import time
from collections.abc import Callable

from .slot import Slot

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO})
TOO_MANY = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE})
RETRY_SECONDS = 1.0
SAY_AGAIN_SECONDS = 10.0
SPARE_DESCRIPTORS = 16
"""So many are left for everything but the slots."""


class Shortage:
    """Waits, and says why.

    Args:
        say: writes a line into the stream's log.
        must_stop: whether there is nothing to be waited for any more.
    """

    def __init__(self, say: Callable[[str], None], must_stop: Callable[[], bool]) -> None:
        self._say, self._must_stop = say, must_stop
        self._said_at: float | None = None

    def tell(self, what: str) -> None:
        """Say what is waited for, but not all the time."""
        now = time.monotonic()
        if self._said_at is None or now - self._said_at >= SAY_AGAIN_SECONDS:
            self._said_at = now
            self._say(f"waits: {what}")

    def wait_for_room(self, error: OSError) -> None:
        """Wait a moment, if that may help; raises the error otherwise."""
        if error.errno not in NO_ROOM or self._must_stop():
            raise error
        self.tell(f"what handlers have done cannot be written: {error.strerror}")
        time.sleep(RETRY_SECONDS)

    def patiently(self, work: Callable[[], None]) -> None:
        """Do something that can be done again, as often as there is no room for it."""
        while True:
            try:
                work()
                return
            except OSError as error:
                self.wait_for_room(error)


def slots(folder: str, width: int, say: Callable[[str], None]) -> list[Slot]:
    """Return empty slots, or as many as there can be. Raises OSError if there can be none."""
    found: list[Slot] = []
    try:
        for number in range(width):
            found.append(Slot(folder, number))
            found[-1].clear()
    except OSError as error:
        if error.errno not in TOO_MANY or len(found) <= SPARE_DESCRIPTORS:
            raise
        for slot in found[-SPARE_DESCRIPTORS:]:
            slot.close()
        del found[-SPARE_DESCRIPTORS:]
        say(f"only {len(found)} handlers run at a time: {error.strerror}")
    return found[::-1]
