"""Does the damage: waits for each fault's moment in a hosted run, and strikes real processes."""

from __future__ import annotations

import time
from pathlib import Path

import psutil

from anabranch.core import events as ev
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.lifecycle import Phase
from anabranch.core.model.state import State, Stream
from anabranch.drilling.faults import STRIKES_PROCESSES, Fault, FaultKind, Injection
from anabranch.drilling.proof import changed_contents
from anabranch.drilling.rehearsal import MARKER_FILE, attempts_struck
from anabranch.drilling.scratch import Scratch
from anabranch.engine.host import RunHost

SOONEST_SECONDS = 0.5
LATEST_SECONDS = 2.0
FULL_SECONDS = 3.0
UNNOTICED_SECONDS = 60.0
MOST_ROUNDS = 20


class Injector:
    """Injects the faults of one drill: strikes in :meth:`look`, to be called a few times a second.

    Faults that the plan itself brings about are read from the events, which come to :meth:`hear`:
    a look may come too late for them.
    """

    def __init__(self, host: RunHost, scratch: Scratch, faults: tuple[Fault, ...]) -> None:
        self._host = host
        self._scratch = scratch
        self.injections = [Injection(fault) for fault in faults]

    def hear(self, record: ev.Recorded) -> None:
        """Take one event of the run into account."""
        for injection in self.injections:
            fault, event = injection.fault, record.event
            if fault.kind is FaultKind.FULL_DISK and isinstance(event, ev.StreamDelayed):
                self._notice(injection, f"{event.stream} waits: {event.reason}")
            elif injection.at is not None:
                continue
            elif fault.kind is FaultKind.SLOW_START and isinstance(event, ev.StreamStarted):
                if event.stream in fault.streams:
                    _begin(injection, event.stream, event.attempt, record.at)
            elif fault.kind is FaultKind.CONFLICT and isinstance(event, ev.ResultCaptured):
                injection.arrived |= {event.stream} & set(fault.streams)
                if injection.arrived == set(fault.streams):
                    _begin(injection, event.stream, event.attempt, record.at)

    def look(self) -> None:
        """Strike what is due now."""
        state = self._host.state
        for number, injection in enumerate(self.injections):
            kind = injection.fault.kind
            if injection.at is None:
                if kind in STRIKES_PROCESSES:
                    self._strike(state, injection)
                elif kind is FaultKind.FULL_DISK:
                    self._fill_disk(state, injection)
                elif kind is FaultKind.CLOCK_JUMP:
                    self._jump(state, injection)
                if injection.at is not None:
                    self._scratch.release(number)
            elif kind is FaultKind.FULL_DISK and injection.ended_at is None:
                self._wait_for_room(injection)

    def close(self) -> None:
        """Take back what outlasts a drill: the ballast on the disk."""
        if self._scratch.is_small_disk:
            self._scratch.make_room()

    # --- each fault ------------------------------------------------------------------------------

    def _strike(self, state: State, injection: Injection) -> None:
        """Freeze a stream, write down what it has, and kill it, or let it stand frozen."""
        (name,) = injection.fault.streams
        stream = state.streams[name]
        struck = [i for i in self.injections if attempts_struck([i.fault], name)]
        if stream.attempt != struck.index(injection) + 1 or not self._is_at_work(stream):
            return
        assert stream.holder_pid is not None
        frozen = freeze_tree(stream.holder_pid)
        if not frozen:
            return
        _begin(injection, stream.id, stream.attempt, self._host.now())
        if stream.workspace is not None:
            _mark(Path(stream.workspace.path), name, stream.attempt)
            injection.contents = changed_contents(Path(stream.workspace.path))
        injection.at = self._host.now()
        if injection.fault.kind is FaultKind.KILL:
            for process in frozen:
                _tell(process, "kill")

    def _fill_disk(self, state: State, injection: Injection) -> None:
        (name,) = injection.fault.streams
        stream = state.streams[name]
        if not self._is_at_work(stream):
            return
        _begin(injection, stream.id, stream.attempt, self._host.now())
        if stream.workspace is not None:
            _mark(Path(stream.workspace.path), name, stream.attempt)
            marker = MARKER_FILE.format(stream=name, attempt=stream.attempt)
            found = changed_contents(Path(stream.workspace.path))
            injection.contents = {marker: found[marker]} if marker in found else {}
        self._scratch.fill()

    def _wait_for_room(self, injection: Injection) -> None:
        """Keep the disk full until the engine has said so, and for a while from then on."""
        assert injection.at is not None
        if self._host.trouble:
            self._notice(injection, self._host.trouble)
        noticed, now = injection.noticed_at, self._host.now()
        if now - (injection.at if noticed is None else noticed) > (
            UNNOTICED_SECONDS if noticed is None else FULL_SECONDS
        ):
            self._scratch.make_room()
            injection.ended_at = now

    def _notice(self, injection: Injection, words: str) -> None:
        if injection.at is not None and injection.noticed_at is None:
            injection.trouble, injection.noticed_at = words, self._host.now()

    def _jump(self, state: State, injection: Injection) -> None:
        busy = [s for s in state.streams.values() if self._is_at_work(s)]
        if busy:
            injection.at = self._host.now()
            self._host.looking.clock.put_forward(injection.fault.seconds)

    # --- moments ---------------------------------------------------------------------------------

    def _is_at_work(self, stream: Stream) -> bool:
        """Say whether it runs and has something to lose, or ran long enough to be struck anyway."""
        if stream.phase is not Phase.RUNNING or stream.started_at is None:
            return False
        ran = self._host.now() - stream.started_at
        seen = self._host.vitals().get(stream.id)
        has_changed = bool(seen and seen.attempt == stream.attempt and seen.files_changed)
        return ran >= LATEST_SECONDS or (has_changed and ran >= SOONEST_SECONDS)


def _begin(injection: Injection, stream: StreamId, attempt: Attempt, at: float) -> None:
    injection.stream, injection.attempt, injection.at = stream, attempt, at


def freeze_tree(holder_pid: int) -> list[psutil.Process]:
    """Stop every process below a holder, children that appear meanwhile too; return them.

    They are known by id and start time, so that no later process with the same id is meant.
    """
    frozen: dict[int, psutil.Process] = {}
    try:
        holder = psutil.Process(holder_pid)
        for _ in range(MOST_ROUNDS):
            fresh = [p for p in holder.children(recursive=True) if p.pid not in frozen]
            if not fresh:
                break
            for process in fresh:
                _tell(process, "suspend")
                frozen[process.pid] = process
            time.sleep(0.01)
    except psutil.NoSuchProcess:
        return []
    return list(frozen.values())


def _tell(process: psutil.Process, what: str) -> None:
    try:
        getattr(process, what)()
    except psutil.NoSuchProcess:
        return


def _mark(workspace: Path, stream: StreamId, attempt: Attempt) -> None:
    """Leave a file that only this attempt has, so that even an idle one has something to lose."""
    name = MARKER_FILE.format(stream=stream, attempt=attempt)
    try:
        with open(workspace / name, "x", encoding="utf-8") as file:
            file.write(f"written by the drill into attempt {attempt} of {stream}\n")
    except OSError:
        return
