"""Folds of one part of the state, lifted to the whole of it."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, Literal, TypeVar

from msgspec.structs import replace

from anabranch.core.events import Recorded
from anabranch.core.model.state import State

PartT = TypeVar("PartT")
EventT = TypeVar("EventT")


def of_part(
    name: Literal["messages", "resources"], fold: Callable[[PartT, Recorded, EventT], PartT]
) -> Callable[[State, Recorded, EventT], State]:
    """Return the fold of the state that does ``fold`` to its part ``name``."""

    @wraps(fold)
    def folded(state: State, record: Recorded, event: EventT) -> State:
        changed: dict[str, Any] = {name: fold(getattr(state, name), record, event)}
        return replace(state, **changed)

    return folded
