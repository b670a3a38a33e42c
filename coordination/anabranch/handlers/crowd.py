"""The program that runs the handlers of a stream, so many at a time, and keeps account of them.

It stands in the place of the stream's command, below its holder. The engine writes down what to do
(:class:`Job`) and starts it; nothing else is said to it. A handler is started by ``posix_spawn`` in
a process group of its own, its output goes by descriptor into a file of its slot, and from there
into the pack when it has ended. What was begun and ended in one round is one write; it is made
durable twenty times a second by a thread of its own, and before it says that all is done.
"""

from __future__ import annotations

import contextlib
import heapq
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple

if not __package__:  # run as a program: relative imports begin at the folder above this one
    sys.path.append(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    __package__ = "handlers"

from . import book
from .keeping import Ledger, Packs, Slot
from .placeholders import BadCommand, Command, text_of
from .queues import Graph, Queue, Work
from .sources import BadSource

PROGRESS_SECONDS = 1.0
GRACE_SECONDS = 2.0
MOST_FAILURES_NAMED = 10
IN_DOUBT = "killed with the program that ran it: how far it came is in doubt"
FEWEST_FOR_A_SHARE = 20
"""Of how many a share of failures is taken at least, while nobody knows how many there are."""


class Job(NamedTuple):
    """What to do: the items, the command, how many at a time, and when to give up."""

    source: dict[str, Any]
    command: Command | None
    folder: str
    attempt: int
    width: int
    timeout_seconds: float | None = None
    most_failures: int | None = None
    most_failed_share: float | None = None
    success_exit_codes: tuple[int, ...] = (0,)
    trusts_book: bool = False
    """Whether the workspace has what earlier attempts did, so that it need not be done again."""


class Running(NamedTuple):
    """A handler that runs, in one of the slots."""

    work: Work
    slot: int
    began: float


class Crowd:
    """Handlers at work."""

    def __init__(self, job: Job, state: str) -> None:
        """Prepare; raises BadSource, BadCommand or OSError, with nothing started.

        Args:
            job: what to do.
            state: the folder for what is kept of the stream's handlers, over all its attempts.
        """
        self._job, self._state = job, state
        done = book.done_keys(f"{state}/book") if job.trusts_book else {}
        self._ledger, self._packs = Ledger(f"{state}/book"), Packs(state)
        self._wake, self._waker = _wake_pipe()
        kind = Graph if "graph" in job.source else Queue
        self._queue: Graph | Queue = kind(
            job.source, job.command, job.folder, done, self._note_skipped, self._wake_up
        )
        self._free = [Slot(state, number) for number in range(job.width - 1, -1, -1)]
        self._running: dict[int, Running] = {}
        self._deadlines: list[tuple[float, int, int]] = []
        self._killed: dict[int, str] = {}
        self._slots: dict[int, Slot] = {slot.number: slot for slot in self._free}
        self._settle_doubts()
        self._env = dict(os.environ)
        self._succeeded = self._failed = 0
        self._failures: list[str] = []
        self._why_no_more = ""
        self._started = self._said_at = time.monotonic()
        self._said_ended = 0
        self._must_stop = False
        _catch_signals(self._waker, self._take_stop)

    def _settle_doubts(self) -> None:
        """Write down of each handler that was begun and has no end what it had written by then."""
        for doubt in book.in_doubt(f"{self._state}/book").values():
            slot = Slot(self._state, doubt.slot)
            offset, length = self._packs.take_output(slot)
            slot.close()
            ended = book.Ended(
                doubt.place,
                doubt.key,
                doubt.attempt,
                0.0,
                None,
                None,
                IN_DOUBT,
                offset,
                length,
                None,
            )
            self._ledger.note(book.ended_line(ended))
        self._ledger.write()
        for slot in self._slots.values():
            slot.clear()

    def _wake_up(self) -> None:
        with contextlib.suppress(BlockingIOError):  # it is full: somebody is woken already
            os.write(self._waker, b"!")

    def _note_skipped(self, work: Work) -> None:
        self._ledger.note(book.skipped_line(work.place, work.key, self._job.attempt))

    def run(self) -> int:
        """Run all handlers, and return the exit code of the whole."""
        while True:
            if self._must_stop:
                self._stop()
            self._start_some()
            self._ledger.write()
            if not self._running and (self._why_no_more or not self._queue.may_have_more):
                break
            self._wait()
            self._reap()
            self._end_overdue()
            self._tell_progress()
        self._ledger.close()
        self._write_results()
        return self._conclude()

    def _start_some(self) -> None:
        while self._free and not self._why_no_more:
            try:
                work = self._queue.next()
            except BadCommand as error:
                self._why_no_more = f"{error}: {error.hint}" if error.hint else str(error)
                return
            if work is None:
                return
            self._start(work)

    def _start(self, work: Work) -> None:
        slot = self._free.pop()
        began = time.monotonic()
        text = text_of(work.value)
        self._ledger.note(
            book.begun_line(work.place, work.key, self._job.attempt, time.time(), slot.number, text)
        )
        self._ledger.write()  # before it runs: what was begun is known to have been
        env = self._env
        env["ANABRANCH_ITEM"] = text.replace("\0", "")
        env["ANABRANCH_INDEX"] = str(work.place)
        env["ANABRANCH_RESULT"] = slot.result
        try:
            pid = os.posix_spawnp(
                work.argv[0],
                work.argv,
                env,
                file_actions=[
                    (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                    (os.POSIX_SPAWN_DUP2, slot.output, 1),
                    (os.POSIX_SPAWN_DUP2, slot.output, 2),
                ],
                setpgroup=0,
                setsigmask=(),
                setsigdef=_OWN_SIGNALS,
            )
        except (OSError, ValueError) as error:
            self._free.append(slot)
            reason = f"it cannot be started: {error}"
            self._note_end(work, slot, began, code=127, signal_number=None, why=reason)
            return
        self._running[pid] = Running(work, slot.number, began)
        if self._job.timeout_seconds is not None:
            heapq.heappush(self._deadlines, (began + self._job.timeout_seconds, pid, work.place))

    # --- ends -----------------------------------------------------------------------------------

    def _wait(self) -> None:
        """Wait until something has ended, a handler is overdue, or progress is to be told."""
        until = self._said_at + PROGRESS_SECONDS
        if self._deadlines:
            until = min(until, self._deadlines[0][0])
        patience = max(0.0, until - time.monotonic())
        if select.select([self._wake], [], [], patience)[0]:
            os.read(self._wake, 4096)

    def _reap(self) -> None:
        for pid in list(self._running):  # by name: the command of a source is waited for elsewhere
            found = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if found is None:
                continue
            with contextlib.suppress(OSError):  # what it left behind would write into others' slots
                os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            running = self._running.pop(pid)
            has_exited = found.si_code == os.CLD_EXITED
            self._take_end(pid, running, found.si_status, has_exited=has_exited)

    def _take_end(self, pid: int, running: Running, status: int, *, has_exited: bool) -> None:
        slot = self._slots[running.slot]
        self._note_end(
            running.work,
            slot,
            running.began,
            code=status if has_exited else None,
            signal_number=None if has_exited else status,
            why=self._killed.pop(pid, ""),
        )
        self._free.append(slot)

    def _note_end(
        self,
        work: Work,
        slot: Slot,
        began: float,
        *,
        code: int | None,
        signal_number: int | None,
        why: str,
    ) -> None:
        offset, length = self._packs.take_output(slot)
        found = self._packs.take_result(slot)
        result = None if isinstance(found, str) else found
        if isinstance(found, str):
            why = why or found
        if code in self._job.success_exit_codes:
            code = 0
        ended = book.Ended(
            work.place,
            work.key,
            self._job.attempt,
            round(time.monotonic() - began, 4),
            code,
            signal_number,
            why,
            offset,
            length,
            result,
        )
        self._ledger.note(book.ended_line(ended))
        self._queue.ended(work, ended.has_succeeded)
        if ended.has_succeeded:
            self._succeeded += 1
        else:
            self._count_failure(work, ended)

    def _count_failure(self, work: Work, ended: book.Ended) -> None:
        self._failed += 1
        if len(self._failures) < MOST_FAILURES_NAMED:
            self._failures.append(f"{_short(text_of(work.value))}: {in_words(ended)}")
        most = self._job.most_failures
        if self._job.most_failed_share is not None:
            total = self._queue.total or max(self._queue.seen, FEWEST_FOR_A_SHARE)
            most = int(self._job.most_failed_share * total)
        if most is not None and self._failed > most and not self._why_no_more:
            self._why_no_more = f"more than {most} handlers have failed"

    # --- ending them ----------------------------------------------------------------------------

    def _end_overdue(self) -> None:
        now = time.monotonic()
        while self._deadlines and self._deadlines[0][0] <= now:
            _, pid, index = heapq.heappop(self._deadlines)
            running = self._running.get(pid)
            if running is None or running.work.place != index:
                continue
            if pid in self._killed:
                _signal_group(pid, signal.SIGKILL)
                continue
            self._killed[pid] = f"it took longer than {self._job.timeout_seconds:g} s"
            _signal_group(pid, signal.SIGTERM)
            heapq.heappush(self._deadlines, (now + GRACE_SECONDS, pid, index))

    def _take_stop(self) -> None:
        """Note that it is to stop: a signal may come between a start and what is noted of it."""
        self._must_stop = True

    def _stop(self) -> None:
        """Start nothing more, and ask all that run to end; the holder kills who does not."""
        self._must_stop = False
        self._why_no_more = "it was asked to stop"
        for pid in list(self._running):
            self._killed.setdefault(pid, "it was asked to stop")
            _signal_group(pid, signal.SIGTERM)

    # --- telling --------------------------------------------------------------------------------

    def _tell_progress(self) -> None:
        """Say how far it is, once a second while anything ends: what stands still is silent."""
        now = time.monotonic()
        if now - self._said_at < PROGRESS_SECONDS:
            return
        self._said_at = now
        ended = self._succeeded + self._failed
        if ended != self._said_ended:
            self._said_ended = ended
            _say(self._progress(ended / max(now - self._started, 0.001)))
        self._write_counts()

    def _progress(self, rate: float) -> str:
        done, total = self._succeeded + self._queue.skipped, self._queue.total
        failed = f", {self._failed} failed" if self._failed else ""
        if total is None:
            return f"{done} done{failed}, {rate:.1f} a second"
        left = (total - done - self._failed) / max(rate, 0.001)
        return f"{done} of {total} done{failed}, {rate:.1f} a second, about {left:.0f} s left"

    def _write_counts(self) -> None:
        queue, ended = self._queue, self._succeeded + self._failed
        counts = {
            "total": queue.seen if queue.total is None else queue.total,
            "is_total_known": queue.total is not None or not queue.may_have_more,
            "succeeded": self._succeeded + queue.skipped,
            "failed": self._failed,
            "running": len(self._running),
            "rate": round(ended / max(time.monotonic() - self._started, 0.001), 3),
        }
        beside = f"{self._state}/counts.new"
        with open(beside, "w", encoding="utf-8") as file:
            json.dump(counts, file)
        os.replace(beside, f"{self._state}/counts")

    def _write_results(self) -> None:
        """Write the results in the order of the items, a JSON line each."""
        done = book.of_attempt(f"{self._state}/book", self._job.attempt)
        beside = f"{self._state}/results.new"
        with open(beside, "wb") as out, open(f"{self._state}/results.pack", "rb") as pack:
            for place, ended in sorted(done.items()):
                if ended.result is not None:
                    offset, length = ended.result
                    pack.seek(offset)
                    out.write(b'{"index":%d,"result":%s}\n' % (place, pack.read(length)))
        os.replace(beside, f"{self._state}/results.jsonl")

    def _conclude(self) -> int:
        self._write_counts()
        done = self._succeeded + self._queue.skipped
        before = f" ({self._queue.skipped} of them before)" if self._queue.skipped else ""
        _say(f"{done} of {self._queue.seen} handlers succeeded{before}, {self._failed} failed")
        for failure in self._failures:
            _say(f"failed: {failure}")
        for problem in (self._why_no_more, self._queue.problem):
            if problem:
                _say(f"stopped: {problem}")
        unreached = self._queue.unreached if isinstance(self._queue, Graph) else 0
        if unreached:
            _say(f"{unreached} tasks were not started: what goes before them has failed")
        is_well = not (self._failed or self._why_no_more or self._queue.problem or unreached)
        return 0 if is_well else 1


_OWN_SIGNALS = (signal.SIGCHLD, signal.SIGTERM, signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT)


def in_words(ended: book.Ended) -> str:
    """Return how a handler has ended, for people."""
    if ended.why:
        return ended.why
    return f"exit {ended.code}" if ended.signal is None else f"signal {ended.signal}"


def _wake_pipe() -> tuple[int, int]:
    """Return what becomes readable when there is something to do, and what makes it so."""
    return os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)


def _catch_signals(waker: int, stop: Callable[[], None]) -> None:
    """Be woken by ends of children, and stop when asked."""
    signal.set_wakeup_fd(waker, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.signal(signal.SIGTERM, lambda *_: stop())


def _signal_group(pid: int, number: int) -> None:
    with contextlib.suppress(OSError):
        os.killpg(pid, number)


def _say(text: str) -> None:
    """Say something in the stream's log; an item may hold bytes that are not text."""
    os.write(1, f"{text}\n".encode("utf-8", "backslashreplace"))


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79] + "…"


def main(path: str) -> int:
    """Do the job that a file describes; the folder it lies in keeps what there is to be kept."""
    with open(path, encoding="utf-8") as file:
        job = Job(**json.load(file))
    try:
        return Crowd(job, os.path.dirname(path)).run()
    except (BadSource, BadCommand, OSError) as error:
        _say(f"stopped: {error}")
        return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
