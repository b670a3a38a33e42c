"""What one attempt was lent, and what can be told of how it uses it."""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from pathlib import Path

from anabranch.engine.token_fifo import TokenFifo
from anabranch.engine.vitals import Vitals

UNTOUCHED_LOOKS = 4
ASKED_AGAIN_SECONDS = 5.0
AWAKE_SECONDS = 5.0
AWAKE_CPU_PERCENT = 10.0
LOST_AFTER_SECONDS = 4.0
MOST_LOST_PER_SLOT = 4
"""Who loses tokens again and again empties its fifo: after so many it gets no more."""


class Loan:
    """The tokens of one attempt. Whatever its fifo has become, nothing here waits for it."""

    def __init__(self, path: Path, holder_pid: int | None, count: int, now: float) -> None:
        """Begin to look after them.

        Args:
            path: where its fifo lies; what has none borrows nothing.
            holder_pid: the process that keeps the attempt.
            count: how many tokens it has been lent already.
            now: the monotonic time, in seconds.
        """
        self._path = path
        self.holder_pid = holder_pid
        self.count = count
        self.unused = 0
        self.lost = 0
        self.can_borrow = True
        self.fifo: TokenFifo | None = None
        self._seen: deque[int] = deque(maxlen=UNTOUCHED_LOOKS)
        self._asked_again_at = now
        self._awake_until = now + AWAKE_SECONDS
        self._missing_since: float | None = None
        self._missing = 0
        self._open()

    @property
    def in_use(self) -> int:
        """How many of its tokens are not in the fifo."""
        return self.count - self.unused

    @property
    def untouched(self) -> int:
        """How many of its tokens have lain in the fifo for a while."""
        return min(self._seen) if len(self._seen) == UNTOUCHED_LOOKS else 0

    def _open(self) -> None:
        try:
            self.fifo = self.fifo or TokenFifo(self._path)
        except OSError:
            self.can_borrow, self.count = False, 0

    def look(self) -> None:
        """Note what lies in the fifo; what was never lent is taken out."""
        there = self.fifo.tokens() if self.fifo is not None else 0
        if self.fifo is not None and there > self.count:
            self.fifo.take(there - self.count)
        self.unused = min(there, self.count)
        self._seen.append(self.unused)

    def is_awake(self, vitals: Vitals | None, now: float) -> bool:
        """Say whether it does anything, by its use of the processors over the last seconds."""
        percent = vitals.cpu_percent if vitals is not None else None
        if percent is not None and percent >= AWAKE_CPU_PERCENT:
            if now >= self._awake_until:  # what it did with tokens before says nothing now
                self._asked_again_at = now
            self._awake_until = now + AWAKE_SECONDS
        return now < self._awake_until

    def wants_more(self, now: float) -> bool:
        """Say whether it may have a use for one more: it has left none lying about lately."""
        return self.can_borrow and not self.unused and now >= self._asked_again_at

    def limit(self, slots: int, sharing: int) -> int | None:
        """Return the most that it is lent; None as long as it has lost nothing.

        Then it is an even share of the slots, and in the end nothing.
        """
        if not self.lost:
            return None
        return slots // sharing if self.lost < slots * MOST_LOST_PER_SLOT else 0

    def give(self, count: int) -> None:
        """Lend it more. A fifo that is full gets none."""
        if self.fifo is not None:
            given = self.fifo.put(count)
            self.count += given
            self.unused += given
            self._seen.clear()

    def take(self, count: int, now: float) -> int:
        """Take some back that lie unused; return how many there were."""
        taken = self.fifo.take(min(count, self.count)) if self.fifo is not None else 0
        self.count -= taken
        self.unused = max(0, self.unused - taken)
        self._seen.clear()
        self._asked_again_at = now + ASKED_AGAIN_SECONDS
        return taken

    def take_back(self, count: int) -> int:
        """Take some as they come back from use; return how many there were."""
        taken = self.fifo.take(min(count, self.count)) if self.fifo is not None else 0
        self.count -= taken
        return taken

    def note_missing(self, missing: int, now: float) -> int:
        """Hear how many tokens nobody seems to have; return how many are written off for that."""
        if missing <= 0:
            self._missing_since = None
            return 0
        if self._missing_since is None:
            self._missing_since, self._missing = now, missing
        self._missing = min(self._missing, missing)
        if now - self._missing_since < LOST_AFTER_SECONDS:
            return 0
        self._missing_since = None
        self.count -= self._missing
        self.lost += self._missing
        return self._missing

    def close(self) -> None:
        """Let its fifo go."""
        if self.fifo is not None:
            self.fifo.close()
            self.fifo = None

    def end(self) -> None:
        """Let its fifo go and take it away, if its holder was kept from doing that."""
        self.close()
        with suppress(OSError):
            self._path.unlink()
