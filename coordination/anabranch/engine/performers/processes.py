"""The processes of streams: starting, watching, stopping and adopting them.

Theory of operation. Every attempt of a stream has a folder, ``RUN/attempts/STREAM.ATTEMPT``, and a
holder (see :mod:`anabranch.holder`) that keeps the command alive without us. What happened is read
from that folder, always by the same function, whatever made us look:

- a datagram on ``RUN/notify.sock``: the holder says that it wrote a record (best effort);
- the holder's process descriptor: it ended;
- a look at the folders once a second: what the other two missed. Folders whose holder's end would
  be told have their turn within twenty seconds; all others are looked at each time.

So no message can be lost for good, a repeated one does nothing, and a new instance on the same
folder knows what the old one knew. A free lock on a folder that has ``start`` and no ``exit`` means
that the holder was killed: the attempt is *lost*, what it left behind is ended, and only then is it
reported, so that whoever retries it retries alone.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import signal as signals
import socket
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Literal

import msgspec

from anabranch.core import inputs
from anabranch.core.ids import Attempt, StreamId
from anabranch.engine.ceilings import remove_group
from anabranch.engine.interference import Interference
from anabranch.engine.performers import process_records as records
from anabranch.engine.performers.process_observations import Observations, Watched
from anabranch.engine.performers.process_orphans import end_orphans
from anabranch.engine.performers.process_records import Message, StartRecord
from anabranch.engine.performers.process_zygote import Outcome, Zygote
from anabranch.files import replacing
from anabranch.paths import RunFolder, attempt_of
from anabranch.shortage import is_short, shortage_in

SURVEY_SECONDS = 1.0
SHORTAGE_RETRY_SECONDS = 2.0
SURVEYS_PER_ROUND = 10
FOLDERS_PER_SURVEY = 4
MANY = 50
CONTROL_PATIENCE_SECONDS = 1.0
CONTROL_RETRY_SECONDS = 0.01
DATAGRAMS_PER_TURN = 256


ENDINGS = (inputs.ProcessExited, inputs.ProcessLost, inputs.EffectFailed)

Form = Literal["", "fifo", "descriptors"]
"""How a command finds a jobserver: by the name of a fifo, or by the numbers of descriptors."""


class SetupSpec(msgspec.Struct, frozen=True):
    """What makes an attempt's workspace ready before its command runs, in the same environment."""

    argv: tuple[str, ...]
    cwd: str
    timeout_seconds: float


class ProcessSpec(msgspec.Struct, frozen=True):
    """What to run for one attempt; ``env`` is the whole environment, ``cwd`` is absolute.

    ``jobserver`` is the form in which it finds one of its own, empty if it does not; ``ceilings``
    is what its holder is told of them (:mod:`anabranch.engine.ceilings`).
    """

    stream: StreamId
    attempt: Attempt
    argv: tuple[str, ...]
    cwd: str
    env: dict[str, str]
    tty: bool = False
    rows: int = 24
    columns: int = 80
    jobserver: Form = ""
    ceilings: dict[str, Any] = {}
    setup: SetupSpec | None = None


class Processes:
    """The processes of one run's streams. Use it in one event loop; one instance a run folder."""

    def __init__(
        self,
        folder: RunFolder,
        post: Callable[[inputs.AttemptObservation], None],
        observations: Observations,
        interference: Interference | None = None,
    ) -> None:
        """Prepare; nothing is read or started yet.

        Args:
            folder: the run's folder.
            post: called in the loop with each observation, once: that a process started before
                that it exited or is lost; perhaps more often that it is delayed, before either.
            observations: makes them.
            interference: is told of everything that is done to a stream's processes.
        """
        self._folder = RunFolder(folder.path.absolute())
        self._attempts = self._folder.attempts
        self._post, self._observations = post, observations
        self._interference = interference or Interference()
        self._watched: dict[str, Watched] = {}
        self._settled: set[str] = set()
        self._turn = 0
        self._zygote = Zygote(self._folder, self._answered)
        self._notices: socket.socket | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def open(self) -> None:
        """Listen to holders and begin to survey; raises OSError if the folder cannot be used."""
        for folder in (self._attempts, self._folder.logs):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._loop = asyncio.get_running_loop()
        self._notices = _bind_notices(self._folder)
        self._loop.add_reader(self._notices, self._read_notices)
        for name, watched in self._watched.items():
            self._watch_holder(name, watched)
        self._begin(self._survey_forever())
        self._zygote.warm_up()

    async def close(self) -> None:
        """Stop watching; streams and their holders run on."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._loop is not None and self._notices is not None:
            self._loop.remove_reader(self._notices)
            self._notices.close()
            self._notices = None
        for watched in self._watched.values():
            self._unwatch_holder(watched)
        await self._zygote.close()

    async def start(self, spec: ProcessSpec) -> None:
        """Start an attempt once, however often it is asked; what comes of it is posted.

        Who asks for one that is over does not know it (its journal was damaged, say), and is told.
        """
        name = self._folder.attempt_name(spec.stream, spec.attempt)
        if name in self._settled:
            self._settled.discard(name)
            self._look_at(name)
        if name in self._settled or name in self._watched:
            return
        watched = self._watched[name] = Watched()
        watched.wanted = msgspec.to_builtins(spec)
        del watched.wanted["stream"], watched.wanted["attempt"]
        await self._zygote.ask(name, watched.wanted)

    async def stop(self, stream: StreamId, attempt: Attempt, grace_seconds: float) -> None:
        """End an attempt's whole tree: SIGTERM, and after the grace SIGKILL.

        An attempt that has not begun never will: to start it has failed.
        """
        name = self._folder.attempt_name(stream, attempt)
        self._look_at(name)
        watched = self._watched.get(name)
        if watched is None:
            self._refuse(name)
        elif watched.start is None:
            watched.stop_grace_seconds = grace_seconds
        else:
            await self._send_stop(name, watched.start, grace_seconds)

    async def signal(self, stream: StreamId, attempt: Attempt, number: int) -> None:
        """Send a signal to every process of an attempt."""
        self._interference.touched(stream)
        await self._send(stream, attempt, {"op": "signal", "signal": number})

    async def write_input(self, stream: StreamId, attempt: Attempt, data: bytes) -> None:
        """Type into an attempt's terminal; without one, input goes nowhere."""
        self._interference.typed(stream, attempt, data)
        for message in records.input_messages(data):
            await self._send(stream, attempt, message)

    async def type_line(self, stream: StreamId, attempt: Attempt, number: int, text: bytes) -> None:
        """Have a line typed into an attempt's terminal, once; its holder writes what it did."""
        self._interference.typed(stream, attempt, text + b"\n")
        data = base64.b64encode(text).decode()
        await self._send(stream, attempt, {"op": "line", "number": number, "data": data})

    async def press_enter(self, stream: StreamId, attempt: Attempt, number: int) -> None:
        """Have Enter pressed after the text with that number, if it is as it was left."""
        await self._send(stream, attempt, {"op": "enter", "number": number})

    def survey(self) -> list[inputs.AttemptObservation]:
        """Read all attempts' folders and return what is new in them; blocks for about that long.

        What runs has started, and is then watched; what has begun and ended meanwhile has started,
        too. Nothing that is returned is posted.
        """
        found: list[inputs.AttemptObservation] = []
        lost: list[StartRecord] = []
        for name in self._names():
            news = self._examine(name)
            found += news
            watched = self._watched.get(name)
            if watched and watched.start and news and isinstance(news[-1], inputs.ProcessLost):
                lost.append(watched.start)
            self._forget_if_ended(name, news)
        _end_orphans_now(lost)
        return found

    def _names(self) -> list[str]:
        """Return the attempts that are not settled: those with a folder and those known."""
        try:
            folders = os.listdir(self._attempts)
        except OSError:  # there are none, or it cannot be known: what is watched is looked at
            folders = []
        found = {name for name in folders if attempt_of(name)}
        return sorted((found | self._watched.keys()) - self._settled)

    # -- what happened ----------------------------------------------------------------------------

    def _examine(self, name: str) -> list[inputs.AttemptObservation]:
        """Read one attempt's folder and return what is new in it, changing what is watched."""
        if name in self._settled:
            return []
        reading = records.read_attempt(self._attempts / name)
        if reading is None:
            return []  # not known just now: the next survey looks again
        watched = self._watched.get(name)
        if watched is None:
            if not (reading.was_begun or reading.exit):
                return []  # asked for by an engine that is gone, perhaps; no news until it begins
            watched = self._watched[name] = Watched()
        news: list[inputs.AttemptObservation] = []
        was_begun = watched.start is not None
        news += self._observations.beginning(name, watched, reading)
        if watched.start is not None and not was_begun:
            self._watch_holder(name, watched)
        if reading.flood and reading.flood.left_out_bytes > watched.left_out_bytes:
            watched.left_out_bytes = reading.flood.left_out_bytes
            news.append(self._observations.flooded(name, watched.left_out_bytes))
        ended = self._observations.ending(name, watched, reading)
        if isinstance(ended, inputs.EffectFailed) and self._waits_for_the_machine(
            name, watched, ended.reason
        ):
            return []
        return [*news, ended] if ended else news

    def _look_at(self, name: str) -> None:
        """Examine an attempt and post what is new."""
        news = self._examine(name)
        watched = self._watched.get(name)
        self._forget_if_ended(name, news)
        for each in news:
            if isinstance(each, inputs.ProcessLost) and watched and watched.start:
                self._begin(self._post_loss(each, watched.start))
            else:
                self._post(each)
        if name in self._watched:
            self._send_late_stop(name, self._watched[name])

    def _send_late_stop(self, name: str, watched: Watched) -> None:
        """Send the stop that was asked for before the attempt began, now that it has."""
        if watched.start is not None and watched.stop_grace_seconds is not None:
            self._begin(self._send_stop(name, watched.start, watched.stop_grace_seconds))
            watched.stop_grace_seconds = None

    async def _post_loss(self, loss: inputs.ProcessLost, start: StartRecord) -> None:
        """Post that an attempt is lost, once it is known that nothing of it lives."""
        while True:
            try:
                await asyncio.to_thread(end_orphans, [start])
                name = self._folder.attempt_name(loss.stream, loss.attempt)
                await asyncio.to_thread(remove_group, self._folder.run, name)
            except (OSError, RuntimeError):  # descriptors or threads are short
                await asyncio.sleep(SURVEY_SECONDS)
            else:
                self._post(loss)
                return

    def _forget_if_ended(self, name: str, news: Sequence[inputs.AttemptObservation]) -> None:
        if news and isinstance(news[-1], ENDINGS):
            self._settled.add(name)
            watched = self._watched.pop(name, None)
            if watched is not None:
                self._unwatch_holder(watched)

    def _answered(self, name: str, outcome: Outcome, reason: str) -> None:
        """Take the zygote's answer to a request; a holder just forked sends word by itself."""
        watched = self._watched.get(name)
        if watched is None:
            return
        if outcome is Outcome.REFUSED:
            if not self._waits_for_the_machine(name, watched, reason):
                self._give_up(name, reason)
            return
        watched.is_accepted = True
        if outcome is Outcome.SETTLED:
            self._look_at(name)

    def _waits_for_the_machine(self, name: str, watched: Watched, reason: str) -> bool:
        """Begin to wait, if an attempt that was asked for could not begin for a shortage."""
        short = shortage_in(reason)
        if short is None or watched.stop_grace_seconds is not None:
            return False
        if watched.wanted is None:  # by an engine that is gone; it is owed, and will be asked for
            with contextlib.suppress(OSError):
                records.take_back(self._attempts / name)
            del self._watched[name]
            return True
        if not watched.is_waiting:
            watched.is_waiting = True
            watched.is_accepted = False
            self._post(self._observations.because(inputs.EffectDelayed, name, short))
            self._begin(self._ask_again(name, watched))
        return True

    async def _ask_again(self, name: str, watched: Watched) -> None:
        """Ask once more for an attempt that could not begin, when the machine may have enough."""
        folder = self._attempts / name
        while self._watched.get(name) is watched and watched.wanted is not None:
            await asyncio.sleep(SHORTAGE_RETRY_SECONDS)
            try:
                if watched.stop_grace_seconds is not None:
                    self._refuse(name)
                    return
                if folder.exists():
                    records.take_back(folder)
            except OSError as error:
                if not is_short(error.errno):
                    self._give_up(name, str(error))
                    return
            else:
                watched.is_waiting = False
                await self._zygote.ask(name, watched.wanted)
                return

    def _give_up(self, name: str, reason: str) -> None:
        failed = self._observations.because(inputs.EffectFailed, name, reason)
        self._forget_if_ended(name, [failed])
        self._post(failed)

    def _refuse(self, name: str) -> None:
        """Settle that an attempt nobody asked for will never start."""
        if name in self._settled:
            return
        reason = "stopped before it began"
        records.refuse_start(self._attempts / name, reason, time.time(), time.monotonic())
        self._look_at(name)

    # -- watching ---------------------------------------------------------------------------------

    def _read_notices(self) -> None:
        """Look at every attempt whose holder sent word."""
        assert self._notices is not None
        names: dict[str, None] = {}
        for _ in range(DATAGRAMS_PER_TURN):
            try:
                names[self._notices.recv(4096).decode(errors="replace")] = None
            except BlockingIOError:
                break
        for name in names:
            if attempt_of(name) and "/" not in name:
                self._look_at(name)

    def _watch_holder(self, name: str, watched: Watched) -> None:
        """Look again when the holder ends; without descriptors to spare, the survey does."""
        if self._loop is None or watched.start is None or watched.holder is not None:
            return
        start = watched.start
        with contextlib.suppress(OSError):
            watched.holder = records.open_process(start.holder_pid, start.holder_starttime)
        if watched.holder is not None:
            self._loop.add_reader(watched.holder, self._holder_ended, name, watched)

    def _holder_ended(self, name: str, watched: Watched) -> None:
        self._unwatch_holder(watched)
        self._look_at(name)

    def _unwatch_holder(self, watched: Watched) -> None:
        if watched.holder is not None and self._loop is not None:
            self._loop.remove_reader(watched.holder)
            os.close(watched.holder)
            watched.holder = None

    async def _survey_forever(self) -> None:
        while True:
            await asyncio.sleep(SURVEY_SECONDS if len(self._watched) < MANY else 2 * SURVEY_SECONDS)
            running = {name for name, watched in self._watched.items() if watched.start}
            try:
                changed = await asyncio.to_thread(self._changed, self._due(), running)
            except RuntimeError:  # no thread is to be had just now
                continue
            for name in changed:
                self._look_at(name)  # again and here: it may have moved on since

    def _due(self) -> list[str]:
        """Return the attempts to look at now, so that waiting streams cost next to nothing."""
        names = self._names()
        watched = [n for n in names if n in self._watched and self._watched[n].holder is not None]
        count = max(FOLDERS_PER_SURVEY, -(-len(watched) // SURVEYS_PER_ROUND))
        turns = watched[self._turn : self._turn + count]
        self._turn = self._turn + count if self._turn + count < len(watched) else 0
        return [name for name in names if name in turns or name not in watched]

    def _changed(self, names: list[str], running: set[str]) -> list[str]:
        """Return the attempts that seem to have news; runs beside the loop."""
        changed = []
        for name in names:
            reading = records.read_attempt(self._attempts / name)
            if reading is None:
                continue
            is_as_known = reading.is_held and not reading.exit and reading.was_begun
            if not (is_as_known and name in running):
                changed.append(name)
        return changed

    # -- orders -----------------------------------------------------------------------------------

    async def _send_stop(self, name: str, start: StartRecord, grace_seconds: float) -> None:
        """Order a holder to stop its tree; one that was paused is woken to hear it."""
        while name not in self._settled:
            try:
                records.signal_process(start.holder_pid, start.holder_starttime, signals.SIGCONT)
                if not await self._order(name, {"op": "stop", "grace_seconds": grace_seconds}):
                    # To SIGTERM it answers with a grace of its own, whatever its socket is like.
                    by_number = (start.holder_pid, start.holder_starttime)
                    records.signal_process(*by_number, signals.SIGTERM)
                    self._look_at(name)
                return
            except OSError:  # the machine is short of something that the order needs
                await asyncio.sleep(SURVEY_SECONDS)

    async def _send(self, stream: StreamId, attempt: Attempt, message: Message) -> None:
        name = self._folder.attempt_name(stream, attempt)
        if name not in self._settled and not await self._order(name, message):
            self._look_at(name)

    async def _order(self, name: str, message: Message) -> bool:
        """Send one order, waiting a little for a busy holder; false if it was not taken."""
        deadline = time.monotonic() + CONTROL_PATIENCE_SECONDS
        while time.monotonic() < deadline:
            try:
                records.send_control(self._attempts / name, message)
            except OSError as error:
                if not is_short(error.errno):
                    return False
                await asyncio.sleep(CONTROL_RETRY_SECONDS)
            else:
                return True
        return False

    def _begin(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _end_orphans_now(lost: list[StartRecord]) -> None:
    """End what lost attempts left behind, before anybody else begins. Raises OSError."""
    for patience in (0.1, 0.5, 1.0):
        try:
            return end_orphans(lost)
        except OSError as error:
            if not is_short(error.errno):
                raise
            time.sleep(patience)
    return end_orphans(lost)


def _bind_notices(run: RunFolder) -> socket.socket:
    """Bind the socket that holders write to, in place of a predecessor's; raises OSError."""
    notices = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    descriptor = os.open(run.path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with replacing(run.notices.name, at=descriptor) as fresh:
            # Through the descriptor: a socket's address holds no more than 108 bytes.
            notices.bind(b"/proc/self/fd/%d/%s" % (descriptor, fresh))
    except OSError:
        notices.close()
        raise
    finally:
        os.close(descriptor)
    return notices
