"""The installed plugins, as the process that loads them sees them: more folders to import from.

The folders come after everything the host has, so nothing installed here can replace a module of
the host or of Python. Only loading plugins calls this; every command that repairs things does not.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable

import msgspec

from anabranch.errors import WorldError
from anabranch.plugin_store.choices import Choices, read_choices
from anabranch.plugin_store.generations import current_generation
from anabranch.plugin_store.offers import Point, points_of
from anabranch.plugin_store.places import Places


class Offered(msgspec.Struct, frozen=True):
    """What may be loaded: entry points, and what is wrong with the store itself."""

    entry_points: tuple[Point, ...]
    faults: tuple[str, ...] = ()


def offered_plugins(group: str, places: Places | None = None) -> Offered:
    """Return the entry points of a group, the installed plugins' included, the disabled ones not.

    Never raises because of what is installed: an unreadable store is a fault in the answer.
    """
    places = places or Places.of_this_python()
    faults: list[str] = []
    try:
        open_overlay(places)
    except WorldError as error:
        faults.append(f"{error.message}; {error.hint}")
    choices = Choices()
    try:
        choices = read_choices(places)
    except WorldError as error:
        faults.append(f"{error.message}; {error.hint}")
    found = tuple(point for point in points_of(group) if choices.allows(point))
    return Offered(found, tuple(faults))


def open_overlay(places: Places) -> None:
    """Let this process import what the generation in force lists. Raises WorldError."""
    add_folders(str(places.packages / p.folder) for p in current_generation(places).packages)


def add_folders(folders: Iterable[str]) -> None:
    """Add folders at the end of where modules are looked for, each of them once."""
    fresh = [folder for folder in folders if folder not in sys.path]
    sys.path.extend(fresh)
    if fresh:
        importlib.invalidate_caches()
