"""Getting what is to be installed into a folder of its own: unpacked, looked at, not yet used."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from anabranch.errors import PluginRefused, UsageError, machine_errors
from anabranch.plugin_store.building import build_wheel
from anabranch.plugin_store.facts import Facts, read_facts
from anabranch.plugin_store.host import Host
from anabranch.plugin_store.requirements import check_wheel_name, name_of, needs_of
from anabranch.plugin_store.tools import Index, Pin, find_tool, needed_tool
from anabranch.plugin_store.wheels import (
    NOTHING_CHANGED,
    check_distribution,
    entries_of,
    faults_in,
    refuse,
    unpack,
)

Progress = Callable[[str], None]
"""Told what is being done, a few words a step."""


class Staged(msgspec.Struct, frozen=True):
    """A distribution, unpacked in a folder. ``built_by`` is empty if it came as a wheel."""

    facts: Facts
    folder: Path
    built_by: str = ""


class Filling(msgspec.Struct, frozen=True):
    """What was staged: the plugin, and ``extra`` distributions it needs that are not here.

    ``kept`` are the versions by name of what stays installed beside it.
    """

    main: Staged
    extra: tuple[Staged, ...]
    kept: Mapping[str, str]

    @property
    def all(self) -> tuple[Staged, ...]:
        return (self.main, *self.extra)


class Stage(msgspec.Struct, frozen=True):
    """Where things are staged, and the host they have to fit.

    ``kept_beside`` tells, for the name of a plugin, the versions of what other plugins need.
    """

    folder: Path
    host: Host
    kept_beside: Callable[[str], Mapping[str, str]]
    index: Index
    progress: Progress

    def fill(self, source: str) -> Filling:
        """Stage what a user named, and all it needs that is not here.

        Raises UsageError if there is no such thing, PluginRefused if it may not come in or does
        not fit what is here, WorldError if the machine cannot get it.
        """
        if is_local(source):
            main = self.local(Path(source))
            kept = self.kept_beside(main.facts.name)
            self._check_fit(main, kept)
            missing = needs_of(main.facts, {**self.host.versions, **kept}).missing
            pins = self._resolve(missing, kept, f"getting {', '.join(missing)}") if missing else []
        else:
            name = name_of(source)
            if name in self.host.versions:
                raise UsageError(f"{name} {self.host.versions[name]} is part of the host already")
            kept = self.kept_beside(name)
            pins = self._resolve([source], kept, f"getting {source}")
            chosen = next((pin for pin in pins if pin.name == name), None)
            if chosen is None:
                raise PluginRefused(f"{source} cannot be got from the package index")
            pins.remove(chosen)
            main = self._fetch(chosen)
            self._check_fit(main, kept)
        extra = tuple(self._fetch(pin) for pin in pins if kept.get(pin.name) != pin.version)
        return Filling(main, extra, kept)

    def local(self, path: Path) -> Staged:
        """Stage a wheel, or a folder that is built to one."""
        built_by = ""
        if not path.exists():
            hint = "give a name such as anabranch-quorum, a wheel (.whl), or a folder"
            raise UsageError(f"there is no file or folder {path}", hint)
        if path.is_dir():
            self.progress(f"building {path.resolve().name}")
            path, built_by = build_wheel(path.resolve(), self.folder, self.index, find_tool())
        return msgspec.structs.replace(self._unpacked(path), built_by=built_by)

    def _unpacked(self, wheel: Path) -> Staged:
        check_wheel_name(wheel.name)
        self.progress(f"looking into {wheel.name}")
        folder = self._fresh(wheel.stem)
        unpack(wheel, folder, self.host)
        facts = read_facts(folder, wheel.name)
        check_distribution(wheel.name, facts.name)
        return Staged(facts, folder)

    def _resolve(self, specs: Sequence[str], kept: Mapping[str, str], purpose: str) -> list[Pin]:
        tool = needed_tool(purpose)
        self.progress(f"resolving with {tool.name}, against what is here")
        constraints = self.folder / "constraints.txt"
        known = Host({**self.host.versions, **kept}, ()).constraints()
        with machine_errors():
            constraints.write_text(known, "utf-8")
        return tool.resolve(specs, constraints, self.index)

    def _fetch(self, pin: Pin) -> Staged:
        self.progress(f"fetching {pin.name} {pin.version}")
        came = needed_tool("fetching packages").fetch(
            pin, self._fresh(f"fetched-{pin.name}"), self.index
        )
        if came.is_file():
            return self._unpacked(came)
        refuse(f"{pin.name} {pin.version}", faults_in(entries_of(came), self.host))
        return Staged(read_facts(came, pin.name), came)

    def _check_fit(self, staged: Staged, kept: Mapping[str, str]) -> None:
        name = staged.facts.name
        if name in self.host.versions:
            here = f"{name} {self.host.versions[name]}"
            raise PluginRefused(f"{name} has the name of what Anabranch runs with ({here})")
        conflicts = needs_of(staged.facts, {**self.host.versions, **kept}).conflicts
        if conflicts:
            raise PluginRefused("it does not fit: " + "; ".join(conflicts), NOTHING_CHANGED)

    def _fresh(self, name: str) -> Path:
        folder = self.folder / name
        with machine_errors():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        return folder


def is_local(source: str) -> bool:
    """Return whether what a user named is a file or a folder rather than a package."""
    is_path = os.sep in source or source.endswith(".whl") or source in (".", "..")
    return is_path or Path(source).is_dir()
