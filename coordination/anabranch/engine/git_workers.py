"""The threads in which a run has git work done, and how they are left.

A call that gets on may take an hour: a stream has left a file of a terabyte behind. Whoever leaves
the run does not wait for that. What is owed is done anew when the run is taken up, as after a kill.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor

from anabranch.engine.git_calls import end_calls_of

GRACE_SECONDS = 5.0
_LOOK_SECONDS = 0.5


class GitWorkers(ThreadPoolExecutor):
    """A pool of ``count`` threads whose calls of git can be ended, and nobody else's."""

    def __init__(self, count: int) -> None:
        self._idents: set[int] = set()
        super().__init__(count, "anabranch-git", lambda: self._idents.add(threading.get_ident()))

    async def leave(self, grace_seconds: float = GRACE_SECONDS) -> None:
        """Begin nothing more and wait for what is under way; end its calls of git after a grace.

        One that is ended may be followed by another of the same work, so this is done until all of
        the threads have ended.
        """
        self.shutdown(wait=False, cancel_futures=True)
        ended = asyncio.get_running_loop().create_task(asyncio.to_thread(self.shutdown))
        wait_seconds = grace_seconds
        while not (await asyncio.wait({ended}, timeout=wait_seconds))[0]:
            end_calls_of(self._idents)
            wait_seconds = _LOOK_SECONDS
        ended.result()
