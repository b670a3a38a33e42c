"""What is typed has its effect in the order in which it was typed, however fast it comes.

The toolkit hands each key on at once. Some then act at once (those that go to the next line), some
when the line that has the focus gets to it, some when the key has come up through all that lies
around that line (enter, backspace): of several in one burst a later one may act first, or meet a
line that has not taken in what was typed there, or a dialog that is not there yet.

So each key, and each paste, waits until the one before has come all the way up. That is known by a
mark that goes the same way behind it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import Any

from textual.dom import DOMNode
from textual.events import Event, Key, Paste
from textual.message import Message
from textual.message_pump import MessagePump

ROUNDS = 3
"""How often a mark goes up behind a key: what a round has had posted is before the next one."""

LOST_SECONDS = 0.02
"""How long a mark may be under way before it is looked whether what carried it has gone."""

PATIENCE_SECONDS = 2.0
"""How long a key waits for one before it whose effect has no end."""


class TakenIn(Message, bubble=True):
    """A mark behind something typed: where this has come, that has been before."""

    def __init__(self, rounds_left: int, carrier: DOMNode) -> None:
        super().__init__()
        self.rounds_left, self.carrier = rounds_left, carrier


class TakesTurns(MessagePump):
    """An application in which what is typed takes effect one by one."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._typed: deque[Event] = deque()
        self._mark: TakenIn | None = None
        self._since = 0.0

    @property
    def is_taking_in(self) -> bool:
        """Whether something that was typed has not had its whole effect."""
        return self._mark is not None

    async def on_event(self, event: Event) -> None:
        """Let what was typed wait for its turn."""
        if not isinstance(event, Key | Paste) or event.is_forwarded:
            await super().on_event(event)
        elif self._mark is None:
            await self._hand_on(event)
        else:
            self._typed.append(event)

    async def _hand_on(self, event: Event) -> None:
        self._since = monotonic()
        await super().on_event(event)
        self._send_mark(ROUNDS)

    def _send_mark(self, rounds: int) -> None:
        """Have a mark go up from where the next key would go to."""
        if not self.app.screen_stack:
            return
        carrier = self.app.focused or self.app.screen
        mark = self._mark = TakenIn(rounds, carrier)
        _ = carrier.post_message(mark) or self.app.screen.post_message(mark)
        asyncio.get_running_loop().call_later(LOST_SECONDS, self._look_for, mark)

    def _look_for(self, mark: TakenIn) -> None:
        """Send another mark if one went down with what carried it."""
        if self._mark is not mark or not self.app.is_running:
            return
        if monotonic() - self._since > PATIENCE_SECONDS:
            self.call_later(self._next)
        elif mark.carrier.is_attached and mark.carrier.screen in self.app.screen_stack:
            asyncio.get_running_loop().call_later(LOST_SECONDS, self._look_for, mark)
        else:
            self._send_mark(mark.rounds_left)

    async def on_taken_in(self, mark: TakenIn) -> None:
        """Send the next round, or let the next of what was typed have its turn."""
        mark.stop()
        if mark is not self._mark:
            return
        if mark.rounds_left > 1:
            self._send_mark(mark.rounds_left - 1)
        else:
            await self._next()

    async def _next(self) -> None:
        self._mark = None
        if self._typed:
            await self._hand_on(self._typed.popleft())
