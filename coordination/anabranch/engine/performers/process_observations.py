"""What attempts' records say of their processes, as the observations that the engine decides on.

A process that *started* exists, and its holder lives. When it has *exited* its log is complete. It
is *lost* when it had begun, no longer runs, and how it ended cannot be known. Where starting it has
*failed*, nothing of the command ever ran; where that is *delayed*, nothing has run yet, because the
machine is short of something.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

from anabranch.core import inputs
from anabranch.core.ids import Attempt, Seq, StreamId
from anabranch.engine.clock import RunClock
from anabranch.engine.masking import masked_last_line
from anabranch.engine.performers import process_records as records
from anabranch.engine.performers.process_records import Reading, StartRecord
from anabranch.hostile_text import utf8_text
from anabranch.paths import RunFolder, attempt_of

LONGEST_SAID = 200

Ending = inputs.ProcessExited | inputs.ProcessLost | inputs.EffectFailed
Explained = TypeVar("Explained", inputs.ProcessLost, inputs.EffectFailed, inputs.EffectDelayed)


class Watched:
    """What is known of an attempt that is not settled yet."""

    def __init__(self) -> None:
        self.is_accepted = False  # the zygote has answered: from now on a free lock is the end
        self.start: StartRecord | None = None
        self.is_set_up = False  # its command has been let go, or there is nothing to set up
        self.holder: int | None = None  # its process descriptor
        self.stop_grace_seconds: float | None = None  # asked to stop before it began
        self.wanted: dict[str, object] | None = None  # what to ask the zygote for, if it is us
        self.left_out_bytes = 0
        self.is_waiting = False  # for the machine to have what a start needs


class Observations:
    """Makes observations of one run's attempts; ``name`` is that of an attempt's folder.

    Args:
        folder: the run's folder.
        clock: tells when in the run something happened.
        cause: returns the number of the event that a stream's newest news come of.
    """

    def __init__(
        self,
        folder: RunFolder,
        clock: RunClock,
        cause: Callable[[StreamId], Seq | None] = lambda _: None,
    ) -> None:
        self._folder, self._clock, self._cause = folder, clock, cause
        self._boot_id = records.boot_id()

    def beginning(
        self, name: str, watched: Watched, reading: Reading
    ) -> list[inputs.AttemptObservation]:
        """Return what is new of how an attempt begins: with its setup, if there is one."""
        start, found = reading.start, list[inputs.AttemptObservation]()
        if watched.start is None and start is not None:
            watched.start, watched.wanted = start, None
            if start.setup_pid is not None:
                found.append(self._setup_began(name, start))
        if watched.start is None or watched.is_set_up:
            return found
        if watched.start.setup_pid is None:
            watched.is_set_up = True
            return [self._started(name, watched.start, watched.start.monotonic)]
        if reading.setup is not None:
            watched.is_set_up = True
            found.append(self._setup_done(name, reading.setup))
            is_let_go = reading.exit is None or reading.exit.setup_failure is None
            if not reading.setup.failure and is_let_go:
                found.append(self._started(name, watched.start, reading.setup.monotonic))
        return found

    def _setup_began(self, name: str, start: StartRecord) -> inputs.SetupBegan:
        stream, attempt = identity_of(name)
        return inputs.SetupBegan(
            stream=stream,
            attempt=attempt,
            pid=start.pid,
            holder_pid=start.holder_pid,
            log=str(self._folder.setup_log(stream, attempt)),
            happened_at=self._moment(start.monotonic),
            cause=self._cause(stream),
        )

    def _setup_done(self, name: str, record: records.SetupRecord) -> inputs.SetupDone:
        stream, attempt = identity_of(name)
        return inputs.SetupDone(
            stream=stream,
            attempt=attempt,
            exit_code=record.code,
            signal=record.signal,
            seconds=record.seconds,
            failure=self._setup_failed(name, record.failure) if record.failure else "",
            happened_at=self._moment(record.monotonic),
            cause=self._cause(stream),
        )

    def _setup_failed(self, name: str, how: str) -> str:
        """Return how a setup failed, with the last thing that it said."""
        said = utf8_text(masked_last_line(self._folder.setup_log(*identity_of(name)))).strip()
        return f"setup failed: {how}{f': {said[:LONGEST_SAID]}' if said else ''}"

    def _started(self, name: str, start: StartRecord, monotonic: float) -> inputs.ProcessStarted:
        """Return that an attempt's command has been let go."""
        stream, attempt = identity_of(name)
        return inputs.ProcessStarted(
            stream=stream,
            attempt=attempt,
            pid=start.pid,
            holder_pid=start.holder_pid,
            log=str(self._folder.log(stream, attempt)),
            happened_at=self._moment(monotonic),
            cause=self._cause(stream),
        )

    def flooded(self, name: str, left_out_bytes: int) -> inputs.OutputLeftOut:
        """Return that an attempt writes more than its log keeps."""
        stream, attempt = identity_of(name)
        return inputs.OutputLeftOut(
            stream=stream,
            attempt=attempt,
            left_out_bytes=left_out_bytes,
            cause=self._cause(stream),
        )

    def because(self, kind: type[Explained], name: str, reason: str) -> Explained:
        """Return an observation that needs a reason only."""
        stream, attempt = identity_of(name)
        return kind(stream=stream, attempt=attempt, reason=reason, cause=self._cause(stream))

    def ending(self, name: str, watched: Watched, reading: Reading) -> Ending | None:
        """Return how an attempt ended, if it has; its holder lives as long as its lock is held."""
        record = reading.exit
        if record is not None and record.not_started is not None:
            return self.because(inputs.EffectFailed, name, record.not_started)
        if record is not None:
            return self._exited(name, record)
        if watched.start is not None and not reading.was_begun:
            reason = "the folder of its records was removed while it ran"
            return self.because(inputs.ProcessLost, name, reason)
        if reading.is_held or (reading.is_held is None and _may_live(watched.start)):
            return None
        if watched.start is not None and watched.start.boot_id != self._boot_id:
            reason = "the machine was restarted while it ran"
            return self.because(inputs.ProcessLost, name, reason)
        if reading.was_begun:
            return self.because(inputs.ProcessLost, name, "its holder was killed")
        if watched.is_accepted:
            reason = "its holder ended before it could begin; see zygote.log"
            return self.because(inputs.EffectFailed, name, reason)
        return None

    def _exited(self, name: str, record: records.ExitRecord) -> inputs.ProcessExited:
        stream, attempt = identity_of(name)
        how = record.setup_failure
        never_ran = self._setup_failed(name, how) if how is not None else None
        return inputs.ProcessExited(
            stream=stream,
            attempt=attempt,
            exit_code=record.code if never_ran is None else None,
            signal=record.signal if never_ran is None else None,
            error=record.exec_error if never_ran is None else never_ran,
            happened_at=self._moment(record.monotonic),
            survivors_ended=record.tree_survivors,
            lost_bytes=record.lost_bytes,
            cpu_seconds=record.cpu_seconds,
            peak_memory_mb=record.peak_memory_mb,
            memory_kills=record.memory_kills,
            cause=self._cause(stream),
        )

    def _moment(self, recorded: float) -> float:
        """Return when something happened, which was not in the future, whatever a record says."""
        return min(max(0.0, self._clock.of_monotonic(recorded)), self._clock.now())


def identity_of(name: str) -> tuple[StreamId, Attempt]:
    """Return whose folder a name belongs to; it must be an attempt's name."""
    identity = attempt_of(name)
    assert identity is not None, name
    return identity


def _may_live(start: StartRecord | None) -> bool:
    """Return whether a holder whose lock says nothing may live."""
    return start is None or records.lives(start.holder_pid, start.holder_starttime) is not False


def still_running(found: Iterable[inputs.Input]) -> int:
    """Return how many of the attempts that were found have begun and not ended."""
    begins = (inputs.SetupBegan, inputs.ProcessStarted)
    began = {(f.stream, f.attempt) for f in found if isinstance(f, begins)}
    ends = (inputs.ProcessExited, inputs.ProcessLost)
    return len(began - {(f.stream, f.attempt) for f in found if isinstance(f, ends)})
