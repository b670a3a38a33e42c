"""Types a line that somebody sent into a stream's terminal, and finds out what became of it.

Nothing is assumed. The holder types it, once, unless something is in the way; *delivered* is what
the program has read to the last byte, as the kernel counts it. What was not read within five
seconds is *stalled*, and may be read later. An engine that takes over asks the holder what it did.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import Annotated

import msgspec

from anabranch.core import effects as fx
from anabranch.core import inputs
from anabranch.core.events import Verdict
from anabranch.core.ids import Attempt, StreamId
from anabranch.core.model.state import State
from anabranch.core.model.terminal import Input
from anabranch.engine.attaching import terminal_record
from anabranch.engine.performers.process_records import Reading, read_attempt
from anabranch.engine.performers.processes import Processes
from anabranch.engine.process_table import is_still
from anabranch.engine.terminal_end import opened_end, unread
from anabranch.holder.sent_line import REFUSED, TEXT
from anabranch.paths import RunFolder
from anabranch.plain_files import SMALL_FILE_BYTES, read_if_there
from anabranch.undecodable import UNDECODABLE

STALLED_SECONDS = 5.0
HOLDER_SECONDS = 2.0
LOOK_SECONDS = 0.03
MOST_LOOK_SECONDS = 0.25


class LineRecord(msgspec.Struct, frozen=True):
    """What a holder did with the newest line (:mod:`anabranch.holder.sent_line`)."""

    number: int
    stage: Annotated[int, msgspec.Meta(ge=0, le=2)]
    why: str = ""
    unread: int = -1


class Outcome(msgspec.Struct, frozen=True):
    """A verdict, what speaks for it, and what to do now."""

    verdict: Verdict
    evidence: str
    hint: str = ""


class Sending:
    """Sends one line.

    Args:
        processes: those of the run.
        folder: the run's.
        effect: which line of whom.
        line: the same, as the state has it.
        patience_seconds: how long reading it may take before it has stalled.
    """

    def __init__(
        self,
        processes: Processes,
        folder: RunFolder,
        effect: fx.TypeInput,
        line: Input,
        patience_seconds: float = STALLED_SECONDS,
    ) -> None:
        self._patience_seconds = patience_seconds
        self._processes, self._effect, self._line = processes, effect, line
        self._run = folder
        self._attempt = folder.attempts / folder.attempt_name(effect.stream, effect.attempt)

    async def outcome(self) -> Outcome:
        """Type it, unless that was done before, and return what became of it."""
        said = self._said()
        if said is None:
            obstacle = self._obstacle()
            if obstacle is not None:
                return obstacle
            text = self._line.text.encode("utf-8", "replace")
            await self._processes.type_line(*self._whom, self._line.number, text)
            said = await self._heard()
        if said is None:
            ended = self._reading()
            if ended is not None and ended.exit:
                return Outcome("refused", "its process ended first")
            why = "its holder does not say whether it has typed it"
            return Outcome("unknown", why, f"anabranch attach {self._effect.stream} shows it")
        return self._refused(said) if said.stage == REFUSED else await self._watched()

    @property
    def _whom(self) -> tuple[StreamId, Attempt]:
        return self._effect.stream, self._effect.attempt

    # --- before --------------------------------------------------------------------------------

    def _obstacle(self) -> Outcome | None:
        """Return why nothing can be typed, as far as the machine tells."""
        reading, stream = self._reading(), self._effect.stream
        if reading is None or reading.exit or reading.start is None or reading.is_held is False:
            return Outcome("refused", "its process has ended", f"anabranch logs {stream}")
        terminal = terminal_record(self._run, *self._whom)
        if terminal is None or terminal.end is None:
            why = "it was started by a version that cannot say what it types"
            return Outcome("refused", why, f"anabranch attach {stream}")
        try:
            is_stopped = is_still(reading.start.holder_pid)
        except OSError:
            is_stopped = False
        if is_stopped:
            return Outcome("refused", "its processes are stopped", "have them go on (SIGCONT)")
        return None

    def _refused(self, said: LineRecord) -> Outcome:
        stream = self._effect.stream
        if said.why == "half typed":
            terminal = terminal_record(self._run, *self._whom)
            if terminal is not None and terminal.alternate:
                why = "a full-screen program has the screen, and a person has typed into it"
                hint = f"use its own keys: anabranch attach {stream} (a in the console)"
                return Outcome("refused", why, hint)
            way = "send it off, or take it back (ctrl+u)"
            hint = f"{way}: anabranch attach {stream} (a in the console)"
            return Outcome("refused", "a half-typed line stands there", hint)
        why = "what was typed before has not been read yet"
        return Outcome("refused", why, "it does not read its terminal now; try again later")

    # --- after ---------------------------------------------------------------------------------

    async def _watched(self) -> Outcome:
        """Wait until it is read, for five seconds at most."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for pause_seconds in _pauses():
            said, reading = self._said(), self._reading()
            if said is None or reading is None:
                return Outcome("unknown", "its holder's record is gone")
            if reading.exit is not None or reading.start is None:
                return self._ended(said)
            left = self._unread(reading)
            passed = loop.time() - began
            if left == 0 and said.stage == TEXT:
                if not await self._press_enter():
                    hint = f"anabranch attach {self._effect.stream} shows it"
                    return Outcome("stalled", "somebody typed on in its line meanwhile", hint)
            elif left == 0:
                return Outcome("delivered", f"read within {max(passed, 0.1):.1f} s")
            if passed > self._patience_seconds:
                return self._stalled(said, left)
            await asyncio.sleep(pause_seconds)
        raise AssertionError

    def _stalled(self, said: LineRecord, left: int | None) -> Outcome:
        if left is None:
            return Outcome("unknown", "its terminal cannot be looked at")
        what = "the text" if said.stage == TEXT else "it"
        why = f"{what} was typed, and not read within {self._patience_seconds:g} s"
        return Outcome("stalled", why, "it may still read it; anabranch attention tells how it is")

    def _ended(self, said: LineRecord) -> Outcome:
        """Say what became of a line whose program has ended: the holder looked at the last."""
        if said.unread == 0 and said.stage != TEXT:
            return Outcome("delivered", "read before it ended")
        if said.unread < 0:
            return Outcome("unknown", "its process ended, and nobody saw whether it had read it")
        return Outcome("stalled", "its process ended without having read all of it")

    async def _press_enter(self) -> bool:
        await self._processes.press_enter(*self._whom, self._line.number)
        said = await self._heard(lambda said: said.stage != TEXT)
        return said is not None

    def _unread(self, reading: Reading) -> int | None:
        """Return how many bytes wait to be read; None if nobody can tell."""
        terminal = terminal_record(self._run, *self._whom)
        if reading.start is None or terminal is None or terminal.end is None:
            return None
        try:
            with opened_end(reading.start, terminal.end) as end:
                return unread(end)
        except OSError:
            return None

    # --- what the holder says ------------------------------------------------------------------

    def _reading(self) -> Reading | None:
        return read_attempt(self._attempt)

    def _said(self) -> LineRecord | None:
        """Return what the holder has done with this line, if it has."""
        try:
            content = read_if_there(self._attempt / "line", SMALL_FILE_BYTES)
            said = msgspec.json.decode(content, type=LineRecord) if content else None
        except (*UNDECODABLE, OSError):
            return None
        return said if said and said.number == self._line.number else None

    async def _heard(
        self, is_meant: Callable[[LineRecord], bool] = lambda _: True
    ) -> LineRecord | None:
        """Wait for the holder's word, for two seconds at most."""
        deadline = asyncio.get_running_loop().time() + HOLDER_SECONDS
        while True:
            said = self._said()
            if said is not None and is_meant(said):
                return said
            if asyncio.get_running_loop().time() > deadline:
                return None
            await asyncio.sleep(LOOK_SECONDS)


def _pauses() -> Iterator[float]:
    """Yield how long to pause between looks: short at first, as most is read at once."""
    pause_seconds = LOOK_SECONDS
    while True:
        yield pause_seconds
        pause_seconds = min(2 * pause_seconds, MOST_LOOK_SECONDS)


async def type_input(
    processes: Processes, folder: RunFolder, state: Callable[[], State], effect: fx.TypeInput
) -> inputs.InputTyped | None:
    """Type a line, and return what became of it; None if nobody wants to know any more."""
    known = state().streams[effect.stream].terminal.inputs
    line = next((i for i in known if i.number == effect.number and i.verdict is None), None)
    if line is None:
        return None
    found = await Sending(processes, folder, effect, line).outcome()
    return typed(effect, found)


def typed(effect: fx.TypeInput, found: Outcome) -> inputs.InputTyped:
    """Return an outcome as the engine takes it."""
    return inputs.InputTyped(
        stream=effect.stream,
        number=effect.number,
        verdict=found.verdict,
        evidence=found.evidence,
        hint=found.hint,
        cause=effect.cause,
    )
