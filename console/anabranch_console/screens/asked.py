"""A screen over the others that asks for something and can be left once, whoever leaves it.

Keys, clicks and the palette may leave a screen twice before it has gone: a doubled key is in the
queue already when the first one takes effect. What comes second means nothing.
"""

from __future__ import annotations

from time import monotonic
from typing import TypeVar

from textual.await_complete import AwaitComplete
from textual.events import Event, Key
from textual.screen import ModalScreen

from anabranch_console.containing import Contained

Answer = TypeVar("Answer")

HOLD_OFF_SECONDS = 0.3
"""How long a fresh question takes no yes, so that a key typed for something else does not count."""


class AskedOnce(Contained, ModalScreen[Answer]):
    """Every dialog, menu, help and palette."""

    key = ""
    """The last key that was pressed here."""

    _is_left = False
    _fresh_until = 0.0
    _hold_off_seconds = 0.0

    async def on_event(self, event: Event) -> None:
        """Keep in mind which key it is that may leave it."""
        if isinstance(event, Key):
            self.key = event.key
        await super().on_event(event)

    def hold_off(self, seconds: float) -> None:
        """Take no click and no enter for so long: it may be the second half of a doubled one."""
        self._hold_off_seconds = seconds
        self.freshen()

    def freshen(self) -> None:
        """Take none for as long again, as what it shows is something else now."""
        self._fresh_until = monotonic() + self._hold_off_seconds

    @property
    def is_fresh(self) -> bool:
        """Whether it has come up so lately that nobody can have read it."""
        return monotonic() < self._fresh_until

    def dismiss(self, result: Answer | None = None) -> AwaitComplete:
        """Leave with an answer: the first time, and only while nothing else lies above."""
        if self._is_left or self.app.screen is not self:
            return AwaitComplete()
        self._is_left = True
        return super().dismiss(result)
