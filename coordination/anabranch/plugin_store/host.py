"""The host: the packages Anabranch runs with. Plugins are fitted to it; it is never touched."""

from __future__ import annotations

import importlib.machinery
import os
import sys
from importlib.metadata import distributions
from pathlib import Path

import msgspec

from anabranch.plugin_store.names import canonical


class Host(msgspec.Struct, frozen=True):
    """What the host has: versions by name, and the folders that it imports from."""

    versions: dict[str, str]
    path: tuple[str, ...]

    def constraints(self) -> str:
        """Return the host's versions as a constraints file, which forbids to change any."""
        return "".join(f"{name}=={version}\n" for name, version in sorted(self.versions.items()))

    def shadowed(self, top: str, *, is_whole: bool) -> str:
        """Return why a module of this name may not be installed; nothing if it may.

        ``is_whole`` tells a module or package from a part of a namespace package, which may be
        shared.
        """
        if top in sys.stdlib_module_names or top in sys.builtin_module_names:
            return f"its module {top!r} has the name of one of Python's own"
        spec = self._find(top)
        if spec is None or (spec.origin is None and not is_whole):
            return ""
        return f"its module {top!r} has the name of one that Anabranch runs with"

    def _find(self, top: str) -> importlib.machinery.ModuleSpec | None:
        for finder in sys.meta_path:
            if finder is importlib.machinery.PathFinder:
                found = importlib.machinery.PathFinder.find_spec(top, list(self.path))
            else:
                found = finder.find_spec(top, None)
            if found is not None:
                return found
        return None


def survey_host(overlay: Path) -> Host:
    """Return what this process runs with, leaving out what lies in the overlay folder."""
    here = os.getcwd()
    path = tuple(
        folder
        for folder in sys.path
        if folder not in ("", here) and not Path(folder).is_relative_to(overlay)
    )
    found: dict[str, str] = {}
    for distribution in distributions(path=list(path)):
        name = distribution.metadata["Name"]
        if name:
            found.setdefault(canonical(name), distribution.version)
    return Host(found, path)
