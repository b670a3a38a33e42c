"""What a stream has changed, read in a thread for as long as somebody looks at it."""

from __future__ import annotations

import time
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

from anabranch.core.ids import StreamId
from anabranch.core.model.state import State
from anabranch.errors import AnabranchError

if TYPE_CHECKING:
    from anabranch.engine.differences import Against, DifferenceReader, StreamDifference


class Read(NamedTuple):
    """What was found, or the problem; and how long that took."""

    found: StreamDifference | None
    problem: str
    seconds: float


class DiffReading:
    """Keeps what reading needs between two looks. Each look is made in a thread, one at a time."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._reader: DifferenceReader | None = None
        self._is_over = False

    def read(self, state: State, stream: StreamId, against: Against) -> Read:
        """Look once."""
        from anabranch.engine.differences import DifferenceReader  # not for the first picture

        began = time.monotonic()
        with self._lock:
            if self._is_over:
                return Read(None, "", 0.0)
            try:
                self._reader = self._reader or DifferenceReader(state)
                found = self._reader.read(state, stream, against=against)
            except AnabranchError as error:
                problem = f"{error.message}; {error.hint}" if error.hint else error.message
                return Read(None, problem, time.monotonic() - began)
        return Read(found, "", time.monotonic() - began)

    def close(self) -> None:
        """Take away what reading has kept, once a look that is being made is over."""
        with self._lock:
            self._is_over = True
            if self._reader is not None:
                self._reader.close()
                self._reader = None
