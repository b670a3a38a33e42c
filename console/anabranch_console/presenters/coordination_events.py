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

WARNINGS = (
    ev.LockWithdrawn,
    ev.LockExpired,
    ev.LeaseDoubted,
    ev.DiskUseChanged,
    ev.ResourcesExceeded,
    ev.MessageDied,
    ev.QuestionAsked,
    ev.PromptFound,
)
ERRORS = (ev.LockViolated, ev.DeadlockDetected)
_SHORT = 120
_MOST_RUNS = 3


def _value(raw: Raw) -> str:
    return (text_in(raw) or "nothing")[:_SHORT]


def _to(event: ev.MessageSent) -> str:
    if event.to is None:
        return f"to all ({event.recipients})"
    return f"to {shown(event.to)}"


def _said(event: ev.MessageSent) -> str:
    found = event.body
    if isinstance(found, dict) and isinstance(found.get("text"), str):
        found = found["text"]
    body = found if isinstance(found, str) else text_of(found)
    return f"{_to(event)}: {body[:_SHORT]}"


def is_of_guardian(event: ev.Event) -> bool:
    """Say whether a message is one that the guardian sent."""
    body = event.body if isinstance(event, ev.MessageSent) and not event.stream else None
    return isinstance(body, dict) and "diagnosis" in body


def _asked(event: ev.QuestionAsked) -> str:
    choices = f" ({wording.listing(list(event.choices))})" if event.choices else ""
    return f"{event.question[:_SHORT]}{choices}"


def _load(event: ev.MachineLoadChanged) -> str:
    return event.shortage or f"{event.memory_available_mb:.0f} MB of memory are free"


def _disk(event: ev.DiskUseChanged) -> str:
    used = wording.disk_size(event.used_bytes)
    return event.shortage or f"{used} are used; streams start again"


def _old_runs(event: ev.OldRunsRemoved) -> str:
    size = wording.disk_size(event.removed_bytes)
    gone = f"removed {wording.listing(list(event.removed), _MOST_RUNS)}, {size}"
    parts = [gone] if event.removed else []
    first = list(event.kept.items())[:_MOST_RUNS]
    parts += [f"{run} stays: {reason}" for run, reason in first]
    if len(event.kept) > len(first):
        parts.append(f"{wording.counted(len(event.kept) - len(first), 'other')} too")
    return "; ".join(parts) or "no older run is due any more"


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
    ev.QuestionAsked: _asked,
    ev.QuestionAnswered: lambda e: e.answer[:_SHORT],
    ev.QuestionWithdrawn: lambda e: e.reason,
    ev.PromptFound: lambda e: e.text[:_SHORT],
    ev.InputRequested: lambda e: e.text[:_SHORT],
    ev.InputSent: lambda e: f"{e.verdict}: {e.evidence}",
    ev.MachineMeasured: lambda e: amounts_text(e.capacity),
    ev.DiskUseChanged: _disk,
    ev.OldRunsRemoved: _old_runs,
    ev.MachineLoadChanged: _load,
    ev.ResourcesGranted: lambda e: amounts_text(e.amounts),
    ev.ResourcesQueued: lambda e: amounts_text(e.amounts),
    ev.ResourcesReleased: lambda e: amounts_text(e.amounts),
    ev.ResourcesExceeded: lambda e: (
        f"{e.used:g} of {e.granted:g} {e.resource}; answer: {e.response}"
    ),
    ev.StreamHeartbeat: lambda e: e.status,
}
