"""The program that runs the handlers of a stream, so many at a time, and keeps account of them.

It stands in the place of the stream's command, below its holder. The engine writes down what to do
(:mod:`.job`) and starts it; what a person wants of single handlers comes by a file, see
:mod:`.asked`. A handler is started by ``posix_spawn`` in a process group of its own, its output
goes by descriptor into a file of its slot, and from there into the pack when it has ended. What
ended and what begins in one round is one write, before any of it runs; it is made durable twenty
times a second by a thread of its own, and before it says that all is done.
"""

from __future__ import annotations

import contextlib
import gc
import heapq
import json
import os
import signal
import time
from collections.abc import Iterator
from functools import partial
from typing import Any, NamedTuple

from . import book
from .again import ALONE, Again, Cause
from .asked import Asked
from .chosen import Chosen
from .doubts import settle_doubts
from .job import Job, rate_of, workspaces_of
from .keeping import Ledger, Packs, read_result
from .limits import FailureLimit
from .memory import MemoryKills
from .placeholders import BadCommand, text_of
from .plain import plain
from .queues import Graph, Work, queue_of
from .shortage import TOO_MANY, Shortage, slots
from .silence import EXCUSED, Silence
from .slot import Slot
from .sources import BadSource
from .starting import Place, Starter, why_not_started
from .tally import Tally, exit_in_words, in_words, short
from .waking import catch_signals, readable, wake_pipe

TICK_SECONDS = 0.5
PROGRESS_SECONDS = 1.0
GRACE_SECONDS = 2.0
MOST_FAILED_KEPT = 10_000
"""So many that have failed a person may have tried again while the others run."""


class Running(NamedTuple):
    """A handler that runs, in one of the slots."""

    work: Work
    slot: Slot
    began: float
    place: Place | None = None


class End(NamedTuple):
    """How a process ended, and when: by ``code`` or ``signal``, and ``why`` if it was ended."""

    code: int | None
    signal: int | None
    why: str = ""
    cause: Cause = Cause.ITSELF
    at: float = 0.0


class Crowd:
    """Handlers at work."""

    def __init__(self, job: Job, state: str) -> None:
        """Prepare; raises BadSource, BadCommand or OSError, with nothing started.

        Args:
            job: what to do.
            state: the folder for what is kept of the stream's handlers, over all its attempts.
        """
        self._job, self._state = job, state
        self._must_stop = self._is_stopping = False
        self._shortage = Shortage(_say, lambda: self._must_stop or self._is_stopping)
        wait = self._shortage.wait_for_room
        self._ledger, self._packs = Ledger(f"{state}/book", wait), Packs(state, wait)
        self._wake, self._waker = wake_pipe()
        self._workspaces = workspaces_of(job)
        settle_doubts(state, self._packs, self._ledger, self._workspaces, _say)
        self._free = slots(state, job.width, _say)
        self._width = len(self._free)
        if not job.trusts_book and os.path.getsize(f"{state}/book"):
            self._ledger.note(book.anew_line(job.attempt))
            self._ledger.write()
        done = book.done_keys(f"{state}/book")
        self._rate = rate_of(job, f"{state}/book")
        self._chosen = Chosen(job, f"{state}/book", self._ledger.note)
        self._queue = queue_of(job, done, self._note_skipped, self._chosen, self._wake_up)
        self._starter, self._again = Starter(), Again(job.hang_tries)
        self._running: dict[int, Running] = {}
        self._ending: dict[int, tuple[str, Cause]] = {}
        self._deadlines: list[tuple[float, int, int]] = []
        self._delayed: list[Running] = []
        self._failed_works: dict[int, Work] = {}
        self._limit = FailureLimit(job.most_failures, job.most_failed_share)
        self._runs_alone = False
        self._reaps_any = "lines_of" not in job.source  # else the command there is a child as well
        self._memory_kills = MemoryKills()
        self._silence = Silence(job.silent_seconds) if job.silent_seconds else None
        self._asked = Asked(state, job.attempt, (cause for _, cause in job.only or ()))
        for _, cause in job.only or ():
            self._ledger.note(book.heard_line(job.attempt, cause))
        self._why_no_more = ""
        now = time.monotonic()
        self._tally = Tally(self._queue, self._chosen, now)
        self._tick_at, self._say_at, self._look_at = now + TICK_SECONDS, now + PROGRESS_SECONDS, now
        catch_signals(self._waker, self._take_stop)

    def _wake_up(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it is full: somebody is woken already
            os.write(self._waker, b"!")

    def _note_skipped(self, work: Work) -> None:
        self._ledger.note(book.skipped_line(work.place, work.key, self._job.attempt))

    def run(self) -> int:
        """Run all handlers, and return the exit code of the whole."""
        gc.freeze()  # what there is by now stays: nobody need look through it again and again
        gc.enable()
        while True:
            if self._must_stop:
                self._stop()
            self._start_some()
            is_idle = len(self._free) == self._width
            if is_idle and (self._why_no_more or not self._has_more()):
                if not self._hear():
                    break
                continue
            self._end_overdue()
            self._end_silent()
            self._tick()
            self._wait()
            self._reap()  # and start what comes next, before anything else
        for line in self._workspaces.close() if self._workspaces is not None else ():
            _say(line)
        if why := self._why_stopped():
            self._ledger.note(book.stopped_line(self._job.attempt, why))
            self._ledger.write()
        self._ledger.close()
        self._shortage.patiently(partial(self._packs.write_results, self._job.attempt))
        return self._conclude()

    # --- starts ---------------------------------------------------------------------------------

    def _start_some(self) -> None:
        """Start what there is room for; all that begins is in the book before any of it runs."""
        delayed, self._delayed = self._delayed, []
        for running in delayed:
            self._spawn(running._replace(began=time.monotonic()))
        while begun := self._begin_some():
            self._ledger.write()
            for work, slot in begun:
                self._start(work, slot)
        self._ledger.write()

    def _begin_some(self) -> list[tuple[Work, Slot]]:
        begun = []
        while self._free and not (self._runs_alone or self._why_no_more or self._delayed):
            work = self._next() if self._rate.allows(time.monotonic()) else None
            if work is None:
                break
            self._rate.begins()
            slot = self._free.pop()
            slot.begin(work.place)
            begun.append((work, slot))
            which = (work.place, work.key, self._job.attempt)
            self._ledger.note(book.begun_line(*which, time.time(), slot.number, work.text))
        return begun

    def _has_more(self) -> bool:
        """Return whether something may be started later, if nothing of it is now."""
        return self._queue.may_have_more or self._queue.has_ready or bool(self._again.left())

    def _next(self) -> Work | None:
        """Return what is to be started next, None if there is nothing now."""
        try:
            work = self._again.next_soon() or self._queue.next()
        except BadCommand as error:
            self._why_no_more = f"{error}: {error.hint}" if error.hint else str(error)
            return None
        is_idle = len(self._free) == self._width
        if work is None and is_idle and not self._queue.may_have_more:
            work = self._again.next_alone()
            self._runs_alone = work is not None
        return work

    def _start(self, work: Work, slot: Slot) -> None:
        if self._workspaces is None:
            self._spawn(Running(work, slot, time.monotonic()))
        else:
            self._workspaces.make(work.place, partial(self._start_apart, work, slot))

    def _start_apart(self, work: Work, slot: Slot, made: dict[str, Any]) -> None:
        """Start a handler in the workspace that was made for it."""
        now = time.monotonic()
        if "fault" in made:
            why = f"it has no workspace: {made['fault']}"
            self._rate.given_up()
            self._take_end(Running(work, slot, now), End(None, None, why, at=now))
            return
        running = Running(work, slot, now, Place(made["number"], made["path"], made["cwd"]))
        if self._is_stopping:
            self._hand_in(running, End(None, None, "it was asked to stop", at=now))
        else:
            self._spawn(running)

    def _spawn(self, running: Running) -> None:
        work, slot, began, place = running
        try:
            pid = self._starter.start(work.argv, slot, work.place, text_of(work.value), place)
        except (OSError, ValueError) as error:
            if getattr(error, "errno", None) in TOO_MANY and not self._is_stopping:
                self._shortage.tell(f"no handler can be started: {error}")
                self._delayed.append(running)
                return
            why = why_not_started(error, work.argv[0])
            self._rate.given_up()
            self._hand_in(running, End(127, None, f"it cannot be started: {why}", at=began))
            return
        self._running[pid] = running
        self._rate.started(time.monotonic())
        if self._job.timeout_seconds is not None:
            heapq.heappush(self._deadlines, (began + self._job.timeout_seconds, pid, work.place))

    # --- ends -----------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Wait until something has ended, a handler is overdue, or it is time to look around."""
        until = self._tick_at
        if self._deadlines:
            until = min(until, self._deadlines[0][0])
        if self._silence is not None:
            until = min(until, self._look_at)
        now = time.monotonic()
        patience = max(0.0, min(until - now, self._rate.wait_seconds(now)))
        works = self._workspaces
        answers = works.answers if works is not None else []
        ready = readable([self._wake, *answers], patience)
        if self._wake in ready:
            os.read(self._wake, 4096)
        if works is not None and any(answer in ready for answer in answers):
            works.hear()

    def _reap(self) -> None:
        for pid, found in self._ended():
            with contextlib.suppress(OSError):  # what it left behind would write into others' slots
                os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            has_exited = found.si_code == os.CLD_EXITED
            code, number = (found.si_status, None) if has_exited else (None, found.si_status)
            end = self._judged(pid, code, number, time.monotonic())
            self._hand_in(self._running.pop(pid), end)

    def _ended(self) -> Iterator[tuple[int, Any]]:
        """Yield each handler whose process has ended, before its number can be another's."""
        how = os.WEXITED | os.WNOHANG | os.WNOWAIT
        while self._reaps_any and self._running:
            found = os.waitid(os.P_ALL, 0, how)
            if found is None:
                return
            if found.si_pid not in self._running:
                self._reaps_any = False  # somebody else waits for that one
                break
            yield found.si_pid, found
        for pid in list(self._running):
            found = os.waitid(os.P_PID, pid, how)
            if found is not None:
                yield pid, found

    def _judged(self, pid: int, code: int | None, number: int | None, at: float) -> End:
        """Return how a process ended, with what is known of why."""
        why, cause = self._ending.pop(pid, ("", Cause.ITSELF))
        if number == signal.SIGKILL and not why:
            why, cause = self._memory_kills.words(), Cause.MEMORY
        return End(code, number, why, cause, at)

    def _hand_in(self, running: Running, end: End) -> None:
        """Have the work of a handler merged or kept, if it has a workspace of its own.

        Its output and its result stay where they are until then: whoever finds its work merged
        after a crash finds them, too.
        """
        if self._workspaces is None or running.place is None:
            self._take_end(running, end)
            return
        fault = read_result(running.slot)
        if isinstance(fault, str):
            end = end._replace(why=end.why or fault)
        is_well = end.code in self._job.success_exit_codes and not end.why
        hand_in = self._workspaces.take if is_well else self._workspaces.drop
        then = partial(self._handed_in, running, end)
        hand_in(running.work.place, running.place.number, then)

    def _handed_in(self, running: Running, end: End, answer: dict[str, Any]) -> None:
        """Account for a handler whose work is merged now, or kept."""
        why, kept = end.why or answer.get("fault", ""), answer.get("kept", "")
        if kept:
            why = f"{why or exit_in_words(end)}; its work is kept by {kept}"
        cause = Cause.CONFLICT if answer.get("is_conflict") else end.cause
        if cause is Cause.CONFLICT:
            _say(f"{short(running.work)}: {why}")
        self._take_end(running, end._replace(why=why, cause=cause))

    def _take_end(self, running: Running, end: End) -> None:
        """Account for a handler that has ended; it may have another chance."""
        work, slot = running.work, running.slot
        output = self._packs.take_output(slot)
        found = self._packs.take_result(slot)
        slot.clear()
        self._free.append(slot)
        self._runs_alone = False
        why = end.why or (found if isinstance(found, str) else "")
        is_tried_again = not self._why_no_more and self._again.takes(work, end.cause)
        if is_tried_again:
            why += "; it is tried again" + (", alone" if end.cause in ALONE else "")
        ended = book.Ended(
            *(work.place, work.key, self._job.attempt),
            round(end.at - running.began, 4),
            0 if end.code in self._job.success_exit_codes else end.code,
            end.signal,
            why,
            *output,
            found if isinstance(found, tuple) else None,
        )
        self._ledger.note(book.ended_line(ended))
        if not is_tried_again:
            self._settle(work, ended)

    def _settle(self, work: Work, ended: book.Ended) -> None:
        self._queue.ended(work, ended.has_succeeded)
        if ended.has_succeeded:
            self._tally.succeeded()
            return
        self._tally.failed_for(work, in_words(ended))
        if len(self._failed_works) < MOST_FAILED_KEPT:
            self._failed_works[work.place] = work
        most = self._limit.most(self._queue.total, self._queue.seen)
        if most is not None and self._tally.failed > most and not self._why_no_more:
            self._why_no_more = f"more than {most} handlers have failed"

    # --- ending them ----------------------------------------------------------------------------

    def _end(self, pid: int, why: str, cause: Cause) -> None:
        """Ask a handler and all it has started to end; after a grace it is made to."""
        self._ending.setdefault(pid, (why, cause))
        _signal_group(pid, signal.SIGTERM)
        at = time.monotonic() + GRACE_SECONDS
        heapq.heappush(self._deadlines, (at, pid, self._running[pid].work.place))

    def _end_overdue(self) -> None:
        now = time.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, pid, place = heapq.heappop(self._deadlines)
            running = self._running.get(pid)
            if running is None or running.work.place != place:
                continue
            if pid in self._ending:
                _signal_group(pid, signal.SIGKILL)
            else:
                self._end(pid, f"it took longer than {self._job.timeout_seconds:g} s", Cause.HUNG)

    def _end_silent(self) -> None:
        """End the handlers that have done nothing for too long."""
        now = time.monotonic()
        if self._silence is None or now < self._look_at:
            return
        self._look_at = now + self._silence.look_seconds
        if os.path.exists(f"{self._state}/{EXCUSED}"):
            self._silence.forget()
        written = {pid: running.slot.written_bytes for pid, running in self._running.items()}
        for pid in self._silence.look(written, now):
            if pid not in self._ending:
                why = f"it did nothing for {self._silence.limit_seconds:g} s"
                _say(f"{short(self._running[pid].work)}: {why}, and is ended")
                self._end(pid, why, Cause.HUNG)

    def _take_stop(self) -> None:
        """Note that it is to stop: a signal may come between a start and what is noted of it."""
        self._must_stop = True

    def _stop(self) -> None:
        """Start nothing more, and ask all that run to end; the holder kills who does not."""
        self._must_stop, self._is_stopping = False, True
        self._why_no_more = "it was asked to stop"
        delayed, self._delayed = self._delayed, []
        for running in delayed:
            self._hand_in(running, End(None, None, "it was asked to stop", at=running.began))
        for pid in self._running:
            self._ending.setdefault(pid, ("it was asked to stop", Cause.ITSELF))
            _signal_group(pid, signal.SIGTERM)

    # --- what a person asks for -----------------------------------------------------------------

    def _hear(self) -> bool:
        """Have those tried again of which a person wants it; what has succeeded is left alone.

        Returns whether one that had ended is. What comes when nothing more is started is not heard:
        it is for the next attempt.
        """
        is_more_to_do = False
        for place, cause in self._asked.news():
            if self._why_no_more:
                continue
            self._ledger.note(book.heard_line(self._job.attempt, cause))
            pids = [pid for pid, r in self._running.items() if r.work.place == place]
            for pid in pids:
                _say(f"{short(self._running[pid].work)}: ended and tried again, as you asked")
                self._end(pid, "you had it ended", Cause.ASKED)
            work = self._chosen.add(place) or self._failed_works.pop(place, None)
            if work is not None:
                _say(f"{short(work)}: tried again, as you asked")
                self._tally.reopened(work)
                self._queue.reopened(work)
                self._again.takes(work, Cause.ASKED)
                is_more_to_do = True
        return is_more_to_do

    def _cut_floods(self) -> None:
        for running in self._running.values():
            with contextlib.suppress(OSError):  # it is cut the next time
                running.slot.cut_flood()

    # --- telling --------------------------------------------------------------------------------

    def _tick(self) -> None:
        """Look at what is asked for, and once a second say how far it is: idle, it is silent."""
        now = time.monotonic()
        if now < self._tick_at:
            return
        self._tick_at = now + TICK_SECONDS
        self._hear()
        self._cut_floods()
        with contextlib.suppress(OSError):  # it is written the next time
            self._tally.write(self._state, self._width - len(self._free), now)
        if now >= self._say_at:
            self._say_at = now + PROGRESS_SECONDS
            if said := self._tally.progress(now):
                _say(said)

    def _conclude(self) -> int:
        for work in self._again.left():
            self._tally.failed_for(work, "it was to be tried again")
        with contextlib.suppress(OSError):
            self._tally.write(self._state, 0, time.monotonic())
        for line in self._tally.conclusion():
            _say(line)
        if why := self._why_stopped():
            _say(f"stopped: {why}")
        return 1 if self._tally.failed or self._chosen.left or why else 0

    def _why_stopped(self) -> str:
        """Return why not all that there is was run, empty if it was."""
        unreached = self._queue.unreached if isinstance(self._queue, Graph) else 0
        tasks = "1 task was" if unreached == 1 else f"{unreached} tasks were"
        waiting = f"{tasks} not started, as what goes before has failed" if unreached else ""
        whole = [self._chosen.in_words(self._tally.failed), waiting]
        return self._why_no_more or self._queue.problem or "; ".join(filter(None, whole))


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(pid, number)


def _say(text: str) -> None:
    """Say something in the stream's log; an item may hold bytes that are not text."""
    os.write(1, f"{text}\n".encode("utf-8", "backslashreplace"))


def main(path: str) -> int:
    """Do the job that a file describes; the folder it lies in keeps what there is to be kept."""
    with open(path, encoding="utf-8") as file:
        job = Job(**json.load(file))
    try:
        return Crowd(job, os.path.dirname(path)).run()
    except (BadSource, BadCommand, OSError) as error:
        _say(f"stopped: {error}")
        folder_book = f"{os.path.dirname(path)}/book"
        with contextlib.suppress(OSError), open(folder_book, "a", opener=plain) as ledger:
            ledger.write(book.stopped_line(job.attempt, str(error)))
        return 1
