"""Every plugin there is, built-in, of the host, or installed, listed without loading any."""

from __future__ import annotations

from importlib.metadata import Distribution, distributions
from pathlib import Path

import msgspec
from msgspec.structs import replace

from anabranch.errors import UsageError, WorldError
from anabranch.hookspecs import PROJECT
from anabranch.plugin_store.choices import Choices, read_choices
from anabranch.plugin_store.facts import read_facts
from anabranch.plugin_store.generations import (
    Generation,
    InstalledPlugin,
    current_generation,
)
from anabranch.plugin_store.host import survey_host
from anabranch.plugin_store.names import canonical
from anabranch.plugin_store.places import Places, plugins_home
from anabranch.plugin_store.requirements import needs_of, still_needed
from anabranch.safe_mode import is_safe_mode

BUILT_IN = "anabranch"


class Listed(msgspec.Struct, frozen=True):
    """One distribution with plugins.

    ``origin`` is ``built-in``, ``host`` (beside Anabranch, by another tool) or ``installed``;
    ``state`` is ``ok``, ``disabled``, ``partly`` (some of its plugins are), ``broken``, then with
    ``faults``, or ``not loaded``: what would be ok, or partly, in safe mode. ``plugins`` are its
    entry points, ``strategies`` ids by kind as of its last trial.
    """

    name: str
    version: str
    origin: str
    state: str
    summary: str
    author: str
    plugins: tuple[str, ...]
    disabled: tuple[str, ...]
    strategies: dict[str, tuple[str, ...]]
    packages: tuple[str, ...]
    source: str
    installed: str
    faults: tuple[str, ...]


class Listing(msgspec.Struct, frozen=True):
    """All of them, the generation in force, and what is wrong with the store itself."""

    generation: int
    plugins: tuple[Listed, ...]
    faults: tuple[str, ...]
    elsewhere: tuple[str, ...]


def list_plugins(places: Places) -> Listing:
    """Return every plugin there is. Never raises because of what is installed."""
    faults: list[str] = []
    current, choices = Generation(), Choices()
    try:
        current = current_generation(places)
    except WorldError as error:
        faults.append(f"{error.message}; {error.hint}")
    try:
        choices = read_choices(places)
    except WorldError as error:
        faults.append(f"{error.message}; {error.hint}")
    host = survey_host(places.root)
    found = [
        _of_host(distribution, choices)
        for distribution in distributions(path=list(host.path))
        if _points(distribution)
    ]
    unique = {listed.name: listed for listed in reversed(found)}
    there = {**host.versions, **{p.name: p.version for p in current.packages}}
    for plugin in current.plugins:
        unique[plugin.name] = _of_store(plugin, current, places, choices, there)
    shown = map(_in_safe_mode, unique.values()) if is_safe_mode() else unique.values()
    ordered = sorted(shown, key=lambda p: (p.origin != "built-in", p.name))
    return Listing(current.number, tuple(ordered), tuple(faults), _elsewhere(places))


def shared_names(name: str, listing: Listing) -> list[str]:
    """Say which names of a plugin somebody else's plugin has too, and how to tell them apart."""
    own = next((p for p in listing.plugins if p.name == name), None)
    clashes: list[str] = []
    for other in listing.plugins:
        if own is None or other is own:
            continue
        points = sorted(set(own.plugins) & set(other.plugins))
        clashes += [
            f"the plugin {p!r} is also one of {other.name}; it is {name}:{p}" for p in points
        ]
        for kind, ids in own.strategies.items():
            theirs = {i.rpartition(":")[2] for i in other.strategies.get(kind, ())}
            both = sorted(theirs & {i.rpartition(":")[2] for i in ids})
            clashes += [
                f"{kind} {n!r} is also brought by {other.name}; in a plan write {name}:{n}"
                for n in both
            ]
    return clashes


def known_names(places: Places) -> list[str]:
    """Return every name that can be disabled: distributions, and plugins as ``dist:name``."""
    listing = list_plugins(places)
    names = [p.name for p in listing.plugins if p.origin != "built-in"]
    return [*names, *(f"{p.name}:{point}" for p in listing.plugins for point in p.plugins)]


def _of_host(distribution: Distribution, choices: Choices) -> Listed:
    name = canonical(distribution.metadata["Name"])
    points = _points(distribution)
    disabled = _disabled(name, points, choices)
    return Listed(
        name=name,
        version=distribution.version,
        origin="built-in" if name == BUILT_IN else "host",
        state=_state(points, disabled, ()),
        summary=str(distribution.metadata["Summary"] or ""),
        author=str(distribution.metadata["Author"] or ""),
        plugins=points,
        disabled=disabled,
        strategies={},
        packages=(),
        source="",
        installed="",
        faults=(),
    )


def _of_store(
    plugin: InstalledPlugin,
    current: Generation,
    places: Places,
    choices: Choices,
    there: dict[str, str],
) -> Listed:
    points = tuple(dict.fromkeys(point.partition(":")[2] for point in plugin.entry_points))
    disabled = _disabled(plugin.name, points, choices)
    needed = still_needed([plugin.name], current.packages)
    packages = tuple(p for p in current.packages if p.name in needed)
    faults = [
        f"its folder is gone: {places.packages / package.folder}"
        for package in packages
        if not (places.packages / package.folder).is_dir()
    ]
    if not faults:
        for package in packages:
            faults += _misfits(places.packages / package.folder, there)
    return Listed(
        name=plugin.name,
        version=plugin.version,
        origin="installed",
        state=_state(points, disabled, faults),
        summary=plugin.summary,
        author=plugin.author,
        plugins=points,
        disabled=disabled,
        strategies=plugin.strategies,
        packages=tuple(f"{p.name} {p.version}" for p in packages),
        source=plugin.source,
        installed=plugin.installed,
        faults=tuple(faults),
    )


def _misfits(folder: Path, there: dict[str, str]) -> list[str]:
    """Return what a package needs that this host does not have any more, as after an upgrade."""
    try:
        needs = needs_of(read_facts(folder, folder.name), there)
    except UsageError as error:
        return [error.message]
    return [*needs.conflicts, *(f"it needs {line}, which is not here" for line in needs.missing)]


def _points(distribution: Distribution) -> tuple[str, ...]:
    groups = (PROJECT, f"{PROJECT}.console")
    return tuple(point.name for point in distribution.entry_points if point.group in groups)


def _disabled(name: str, points: tuple[str, ...], choices: Choices) -> tuple[str, ...]:
    names = {canonical(choice) for choice in choices.disabled}
    return tuple(p for p in points if name in names or f"{name}:{p}" in names)


def _state(points: tuple[str, ...], disabled: tuple[str, ...], faults: object) -> str:
    if faults:
        return "broken"
    if not disabled:
        return "ok"
    return "disabled" if len(disabled) == len(points) else "partly"


def _in_safe_mode(listed: Listed) -> Listed:
    """Return a plugin as listed by a process that does without those of others."""
    is_left_out = listed.origin != "built-in" and listed.state in ("ok", "partly")
    return replace(listed, state="not loaded") if is_left_out else listed


def _elsewhere(places: Places) -> tuple[str, ...]:
    """Return the other Pythons that plugins were installed for, as after an upgrade of Python."""
    home = plugins_home()
    if places.root.parent != home or not home.is_dir():
        return ()
    others = (p.name for p in home.iterdir() if p.name != places.root.name)
    return tuple(sorted(name for name in others if (home / name / "current").is_symlink()))
