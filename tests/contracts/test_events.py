"""How events are built: what would be journalled for ever cannot be swapped by its position."""

from __future__ import annotations

import importlib
import inspect
import pkgutil

import msgspec
import pytest

from anabranch.core import events as ev

BASES = (ev.StreamEvent, ev.PointEvent, ev.CallEvent)
BY_POSITION = (*BASES, ev.Recorded)
"""Structs whose own fields are given by position: bases of events, and an event's place."""


def structs() -> list[type[msgspec.Struct]]:
    """Return every struct that a module of events defines."""
    found = []
    for module in pkgutil.iter_modules(ev.__path__, f"{ev.__name__}."):
        for value in vars(importlib.import_module(module.name)).values():
            is_struct = isinstance(value, type) and issubclass(value, msgspec.Struct)
            if is_struct and value.__module__ == module.name and value not in BY_POSITION:
                found.append(value)
    return found


@pytest.mark.parametrize("struct", structs(), ids=lambda struct: struct.__name__)
def test_by_position_stands_only_whom_an_event_is_about(struct: type[msgspec.Struct]) -> None:
    base = next((base for base in BASES if issubclass(struct, base)), None)
    by_position = [
        name
        for name, parameter in inspect.signature(struct).parameters.items()
        if parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    ]
    assert by_position == list(base.__struct_fields__ if base else ())


def test_there_are_events_to_look_at() -> None:
    assert set(ev.event_types()) <= set(structs())
