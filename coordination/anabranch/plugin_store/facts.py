"""What a distribution says of itself, read from where it lies without importing anything of it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path

import msgspec

from anabranch.errors import UsageError
from anabranch.plugin_store.names import canonical

_NAME = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")
_VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9.!+_-]*")


class Facts(msgspec.Struct, frozen=True):
    """What a distribution says of itself. ``entry_points`` are ``group:name``."""

    name: str
    version: str
    summary: str
    author: str
    requires: tuple[str, ...]
    requires_python: str
    entry_points: tuple[str, ...]


def read_facts(folder: Path, what: str) -> Facts:
    """Return what the one distribution unpacked in a folder says. Raises UsageError.

    ``what`` is named in the error.
    """
    found = folder / facts_folder((path.name for path in folder.glob("*.dist-info")), what)
    try:
        return _facts(PathDistribution(found))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{what} has metadata that cannot be read: {error}") from None


def facts_folder(names: Iterable[str], what: str) -> str:
    """Return the one name of a distribution's top level that holds its metadata.

    Raises UsageError, naming ``what``, if there is none or more than one.
    """
    found = [name for name in names if name.endswith(".dist-info")]
    if len(found) != 1:
        raise UsageError(
            f"{what} is not a wheel: it holds {len(found)} .dist-info folders, not one"
        )
    return found[0]


def _facts(distribution: Distribution) -> Facts:
    metadata = distribution.metadata
    name, version = canonical(str(metadata["Name"])), str(metadata["Version"])
    if not _NAME.fullmatch(name) or not _VERSION.fullmatch(version):
        raise ValueError(f"{name!r} is not a name, or {version!r} is not a version")
    author = metadata["Author"] or metadata["Author-email"] or ""
    return Facts(
        name=name,
        version=version,
        summary=str(metadata["Summary"] or ""),
        author=str(author),
        requires=tuple(distribution.requires or ()),
        requires_python=str(metadata["Requires-Python"] or ""),
        entry_points=tuple(f"{point.group}:{point.name}" for point in distribution.entry_points),
    )
