"""How long a git call may take: as long as it gets on, up to a bound, and not long without that.

A large repository on a slow disk takes its time, and no fixed limit fits both it and a filter that
hangs. So what counts is work: while the processes of a call use the processor or read and write,
they are waited for; when they have done neither for the limit, they hang.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from anabranch.plain_files import SMALL_FILE_BYTES, read_plain

SETTING = "ANABRANCH_GIT_TIMEOUT"
USUAL_SECONDS = 120.0
MOST_TIMES = 30
"""A call that gets on all the time may take this many times its limit: an hour, usually."""

_LONGEST_LOOK_SECONDS = 10.0


def limit_seconds() -> float:
    """Return how long a git call may do nothing, by the environment. Raises ValueError."""
    text = os.environ.get(SETTING, "").strip()
    if not text:
        return USUAL_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1.0 <= seconds <= 86_400.0:
        raise ValueError(f"{SETTING} is {text!r}; give it a number of seconds, such as 600")
    return seconds


class Patience:
    """Watches the processes of one session, which a call of ours began as process ``leader``."""

    def __init__(self, leader: int, limit: float) -> None:
        self._leader, self._limit = leader, limit
        self._began = self._moved_at = time.monotonic()
        self._done = -1

    @property
    def look_seconds(self) -> float:
        """How long to wait for the call before it is looked at again."""
        return min(_LONGEST_LOOK_SECONDS, self._limit / 4)

    def is_over(self) -> bool:
        """Return whether the call has taken too long, or has done nothing for too long."""
        now, done = time.monotonic(), sum(_work(self._leader))
        if done != self._done:
            self._done, self._moved_at = done, now
        has_stood_still = now - self._moved_at >= self._limit
        return has_stood_still or now - self._began >= self._limit * MOST_TIMES


def _work(session: int) -> Iterator[int]:
    """Yield what each process of a session has used and moved so far: clock ticks, bytes."""
    for name in os.listdir("/proc"):
        if not name.isdigit():
            continue
        fields = _read(f"/proc/{name}/stat").rpartition(b")")[2].split()
        if len(fields) > 14 and int(fields[3]) == session:
            yield sum(int(ticks) for ticks in fields[11:15])
            counts = _read(f"/proc/{name}/io").split()[1::2]
            yield sum(int(count) for count in counts if count.isdigit())


def _read(path: str) -> bytes:
    try:
        return read_plain(path, SMALL_FILE_BYTES)
    except OSError:
        return b""
