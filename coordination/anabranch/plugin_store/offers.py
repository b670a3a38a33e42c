"""What is installed as a plugin, told without the library that reads the facts about packages.

Loading that takes longer than loading all plugins of our own, and most people have no others.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import os
import sys
from collections.abc import Iterator
from typing import Any, Protocol

import msgspec

OUR_DISTRIBUTION = "anabranch"
OUR_MODULES = "anabranch_plugins"
_FACTS = (".dist-info", ".egg-info")
_NOT_READ_HERE = (".egg", ".egg-link", "EGG-INFO")


class Point(Protocol):
    """An entry point: one of ours, or one that ``importlib.metadata`` tells of."""

    @property
    def name(self) -> str: ...
    @property
    def module(self) -> str: ...
    @property
    def dist(self) -> Any: ...
    def load(self) -> Any: ...


class OwnPoint(msgspec.Struct, frozen=True):
    """An entry point of our own distribution, which is a module."""

    name: str
    module: str
    dist: None = None

    def load(self) -> Any:
        return importlib.import_module(self.module)


class _Others(Exception):
    """Somebody else has plugins, or may have some where we do not look."""


def points_of(group: str) -> tuple[Point, ...]:
    """Return the entry points of a group, of everything that can be imported."""
    try:
        return tuple(_own_points(group))
    except _Others:
        from importlib.metadata import entry_points  # here, as it takes so long

        return tuple(entry_points(group=group))


def _own_points(group: str) -> Iterator[OwnPoint]:
    """Yield our own entry points. Raises _Others unless it is certain that there are no others."""
    for finder in sys.meta_path:
        is_usual = finder is importlib.machinery.PathFinder
        if hasattr(finder, "find_distributions") and not is_usual:
            raise _Others
    is_found = False
    for name, facts in _all_facts():
        if group.encode() not in facts:
            continue
        if name.partition("-")[0] != OUR_DISTRIBUTION:
            raise _Others
        if not is_found:  # the first on the path is the one that counts
            yield from _points_in(facts.decode(), group)
        is_found = True


def _all_facts() -> Iterator[tuple[str, bytes]]:
    """Yield for each distribution its folder's name and its entry points. Raises _Others."""
    for folder in dict.fromkeys(sys.path):
        try:
            names = os.listdir(folder or ".")
        except NotADirectoryError:  # an archive
            raise _Others from None
        except OSError:
            continue
        for name in names:
            if name.endswith(_NOT_READ_HERE):
                raise _Others
            if name.endswith(_FACTS):
                yield name, _read(os.path.join(folder, name, "entry_points.txt"))


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:  # most have none
        return b""


def _points_in(facts: str, group: str) -> Iterator[OwnPoint]:
    section = ""
    for line in map(str.strip, facts.splitlines()):
        if line.startswith("["):
            section = line
        elif section == f"[{group}]" and line and not line.startswith("#"):
            name, _, module = (part.strip() for part in line.partition("="))
            if not all(part.isidentifier() for part in module.split(".")):
                raise _Others
            yield OwnPoint(name, module)
