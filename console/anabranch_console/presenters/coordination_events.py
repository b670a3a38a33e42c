"""The events of locks, shared state, messages and resources in words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from msgspec import Raw

from anabranch.core import events as ev
from anabranch.core import wording
from anabranch.core.json_values import text_in, text_of
from anabranch.core.model.locks import shown
from anabranch_console.presenters.amounts import amounts_text

WARNINGS = (ev.LockWithdrawn, ev.LockExpired, ev.LeaseDoubted, ev.ResourcesExceeded, ev.MessageDied)
ERRORS = (ev.LockViolated, ev.DeadlockDetected)
_SHORT = 120


def _value(raw: Raw) -> str:
    return (text_in(raw) or "nothing")[:_SHORT]


def _to(event: ev.MessageSent) -> str:
    if event.to is None:
        return f"to all ({event.recipients})"
    return f"to {shown(event.to)}"


def _said(event: ev.MessageSent) -> str:
    body = event.body if isinstance(event.body, str) else text_of(event.body)
    return f"{_to(event)}: {body[:_SHORT]}"


def _load(event: ev.MachineLoadChanged) -> str:
    return event.shortage or f"{event.memory_available_mb:.0f} MB of memory are free"


DETAILS: dict[type[ev.Event], Callable[[Any], str]] = {
    ev.LockQueued: lambda e: f"{e.path} ({e.mode}), which {shown(e.holder)} has",
    ev.LockGranted: lambda e: f"{e.path} ({e.mode}), fence {e.fence}",
    ev.LockReleased: lambda e: f"{e.path} after {wording.age(e.held_seconds)}: {e.reason}",
    ev.LockWithdrawn: lambda e: f"{e.path}: {e.reason}",
    ev.LockViolated: lambda e: f"{e.path}: {e.reason}",
    ev.StateRestored: lambda e: (
        f"{wording.listing(list(e.keys), 4) or 'nothing'} back as in version {e.version}"
        + (f"; left alone: {wording.listing(list(e.left), 4)}" if e.left else "")
        + f" ({e.reason})"
    ),
    ev.StateChanged: lambda e: (
        f"version {e.version}: {e.key} was {_value(e.before)}, is {_value(e.after)}"
    ),
    ev.StateSynced: lambda e: f"version {e.version}: {e.reason}",
    ev.MessageSent: _said,
    ev.MessageDelivered: lambda e: wording.counted(len(e.messages), "message"),
    ev.MessageAcknowledged: lambda e: f"message {e.message}",
    ev.MessageDied: lambda e: f"{wording.listing([str(m) for m in e.messages])}: {e.reason}",
    ev.MessageRequeued: lambda e: f"message {e.message} to {wording.listing(list(e.to))}",
    ev.MachineMeasured: lambda e: amounts_text(e.capacity),
    ev.MachineLoadChanged: _load,
    ev.ResourcesGranted: lambda e: amounts_text(e.amounts),
    ev.ResourcesQueued: lambda e: amounts_text(e.amounts),
    ev.ResourcesReleased: lambda e: amounts_text(e.amounts),
    ev.ResourcesExceeded: lambda e: (
        f"{e.used:g} of {e.granted:g} {e.resource}; answer: {e.response}"
    ),
    ev.StreamHeartbeat: lambda e: e.status,
}
