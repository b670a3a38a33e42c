"""The process in which a plugin is tried out: loads it, asks what it brings, checks each strategy.

Started by :mod:`anabranch.plugin_store.probing` with two files: what to do, and where to say what
was found. It ends with its parent, whatever the plugin does to it.
"""

from __future__ import annotations

import ctypes
import importlib
import signal
import sys
from collections.abc import Iterator
from hashlib import blake2b
from importlib.metadata import EntryPoint, distributions
from pathlib import Path
from typing import IO, Any

import msgspec

from anabranch.core.strategies.kinds import KINDS
from anabranch.hookspecs import PROJECT
from anabranch.plugin_store.names import canonical
from anabranch.plugin_store.overlay import add_folders
from anabranch.plugin_store.probing import Assignment, Beginning, Brought, Done, Fault, Line
from anabranch.undisturbed import EndedPython, undisturbed, with_the_same_mask

_DIE_WITH_PARENT = 1


def main(request: str, said: str) -> None:
    """Do what the file ``request`` asks for, and say in the file ``said`` what was found."""
    ctypes.CDLL(None).prctl(_DIE_WITH_PARENT, signal.SIGKILL)
    assignment = msgspec.json.decode(Path(request).read_bytes(), type=Assignment)
    with open(said, "ab", buffering=0) as file:
        add_folders(assignment.folders)
        for line in findings(assignment):
            _say(file, line)


def findings(assignment: Assignment) -> Iterator[Line]:
    """Yield what is about to be done, what was found, and at last that it is done."""
    checked, others, digest = 0, 0, blake2b(digest_size=8)
    for point in entry_points_of(assignment.distribution):
        yield Beginning(f"{point.name} importing {point.value}")
        strategies: dict[str, list[Any]] = {}
        extensions: dict[str, list[Any]] = {}
        yield from _load(point, assignment, strategies, extensions)
        for found in strategies.values():
            for strategy in found:
                name = str(getattr(strategy, "name", "?"))
                yield Beginning(f"{name} checking {name}")
                faults, decided = _check(strategy, assignment)
                yield from faults
                digest.update(decided.encode())
                checked += 1
        for field, brought in extensions.items():
            for extension in brought:
                name = str(getattr(extension, "name", "?"))
                yield Beginning(f"{name} trying {name}")
                yield from _try(field, extension, assignment)
                others += 1
    yield Done(checked, digest.hexdigest(), others)


def entry_points_of(distribution: str) -> list[EntryPoint]:
    """Return the plugins of one distribution, the engine's and the console's."""
    for found in distributions():
        if canonical(str(found.metadata["Name"])) == distribution:
            points = found.entry_points
            return [p for p in points if p.group in (PROJECT, f"{PROJECT}.console")]
    return []


def _load(
    point: EntryPoint,
    assignment: Assignment,
    strategies: dict[str, list[Any]],
    extensions: dict[str, list[Any]],
) -> Iterator[Line]:
    """Load one plugin as the console would, and gather what it brings."""
    from anabranch.plugins import EXTENSION_HOOKS, load_plugins

    if point.group != PROJECT:
        did: list[str] = []
        try:
            with undisturbed(did):
                with_the_same_mask(point.load, did)
        except (Exception, SystemExit, EndedPython) as error:
            yield Fault(point.name, f"{type(error).__name__}: {error}")
        for what in did:
            yield Fault(point.name, f"when it was loaded, {what}")
        if assignment.console_checks:
            checks = importlib.import_module(assignment.console_checks)
            for about, fault in checks.faults_of_console_plugin(point):
                yield Fault(about, fault)
        return
    loaded = load_plugins([point])
    for aside in loaded.set_aside:
        yield Fault(point.name, aside.reason)
    for note in loaded.notes:
        yield Fault(point.name, f"when it was loaded, {note.did}")
    names: dict[str, tuple[str, ...]] = {}
    for kind in KINDS:
        brought = loaded.brought[kind.field]
        found = getattr(loaded.strategies, kind.field)
        strategies.setdefault(kind.name, []).extend(
            found.get(n, found.get(i)) for n, i in brought.items()
        )
        if brought:
            names[kind.name] = tuple(brought)
    for field in EXTENSION_HOOKS:
        brought = loaded.brought[field]
        found = getattr(loaded.extensions, field)
        extensions[field] = [found[n] if n in found else found[i] for n, i in brought.items()]
        if brought:
            names[field.removesuffix("s").replace("_", " ")] = tuple(brought)
    if not names and not loaded.set_aside:
        yield Fault(point.name, "it brings nothing: no hook of this version returned anything")
    yield Brought(point.name, names)


def _try(field: str, extension: Any, assignment: Assignment) -> list[Fault]:
    from anabranch.testing.extension_checks import faults_of_extension

    found = faults_of_extension(field, extension, is_thorough=assignment.is_thorough)
    return [Fault(fault.strategy, fault.message, fault.example) for fault in found]


def _check(strategy: Any, assignment: Assignment) -> tuple[list[Fault], str]:
    from anabranch.testing import conformance

    thorough = assignment.is_thorough
    faults = conformance.find_faults(
        strategy,
        examples=conformance.THOROUGH_EXAMPLES if thorough else conformance.QUICK_EXAMPLES,
        seed=assignment.seed,
        with_hypothesis=None if thorough else False,
    )
    found = [Fault(fault.strategy, fault.message, fault.example) for fault in faults]
    return found, "" if found else conformance.decisions_digest(strategy)


def _say(file: IO[bytes], line: Line) -> None:
    file.write(msgspec.json.encode(line) + b"\n")


if __name__ == "__main__":
    main(*sys.argv[1:3])
