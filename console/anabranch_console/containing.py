"""Faults stay where they happen: shown and kept, and the console goes on.

A toolkit ends its application with whatever a handler raises. The console may be hosting a run, so
one bad key must not be its end: every part of it hands what nobody foresaw to the application,
which tells it once and keeps the whole story in a file.
"""

from __future__ import annotations

from typing import Protocol, cast

from textual.message import Message
from textual.message_pump import MessagePump


class Catcher(Protocol):
    """The application, as far as it takes what nobody foresaw."""

    def contains(self, error: Exception) -> bool:
        """Tell and keep a fault; False if there is no console yet that could go on without it."""


class Contained(MessagePump):
    """A part of the console that outlives the faults of its own handlers."""

    async def _dispatch_message(self, message: Message) -> None:
        try:
            await super()._dispatch_message(message)
        except Exception as error:
            if not self.contain(error):
                raise

    def contain(self, error: Exception) -> bool:
        """Hand a fault to the application; False if it has to end."""
        return cast("Catcher", cast("object", self.app)).contains(error)
