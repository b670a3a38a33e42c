"""Finding and loading plugins: one entry point at a time, so a broken one harms nobody else.

A plugin that cannot be imported, or that brings a name which is already taken, is set aside with
the reason; the run goes on without it. The core's own fallbacks make sure that there always is a
strategy of each kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from importlib.metadata import EntryPoint
from typing import Any

import msgspec
import pluggy

from anabranch.core.strategies import Strategies
from anabranch.hookspecs import PROJECT, EngineHooks
from anabranch.plugin_store.overlay import offered_plugins

HOOKS = {
    "convergence": "anabranch_convergence_types",
    "balancers": "anabranch_load_balancers",
    "recovery": "anabranch_recovery_strategies",
    "remedies": "anabranch_remedies",
    "classifiers": "anabranch_failure_classifiers",
}
"""Which hook brings the strategies of which kind (a field of :class:`Strategies`)."""


class SetAside(msgspec.Struct, frozen=True):
    """A plugin that is not used, and why."""

    plugin: str
    reason: str


class Loaded(msgspec.Struct, frozen=True):
    """What loading brought: the strategies, who brought them, and what was set aside."""

    strategies: Strategies
    plugins: tuple[str, ...]
    set_aside: tuple[SetAside, ...]


def load_plugins(points: Iterable[EntryPoint] | None = None) -> Loaded:
    """Return every installed strategy; never raises because of a plugin.

    ``points`` are the entry points to load; by default those that are
    installed, in the host or by ``anabranch plugins install``, and not disabled.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(EngineHooks)
    set_aside: list[SetAside] = []
    if points is None:
        offered = offered_plugins(PROJECT)
        points = offered.entry_points
        set_aside += [SetAside("installed plugins", fault) for fault in offered.faults]
    for point in sorted(points, key=_place):
        reason = _register(manager, point)
        if reason:
            set_aside.append(SetAside(point.name, reason))
    found = {kind: _strategies(manager, hook, set_aside) for kind, hook in HOOKS.items()}
    names = tuple(name for name, _ in manager.list_name_plugin())
    return Loaded(Strategies(**found), names, tuple(set_aside))


def _place(point: EntryPoint) -> tuple[bool, str]:
    """Built-in plugins come first, so that nobody can take a name of theirs; else by name."""
    return not point.name.startswith("builtin."), point.name


def _register(manager: pluggy.PluginManager, point: EntryPoint) -> str | None:
    """Load one plugin; return why it could not be, or None."""
    if manager.has_plugin(point.name):
        return "another plugin has the same name"
    try:
        plugin = point.load()
        manager.register(plugin, name=point.name)
        manager.check_pending()
    except (Exception, SystemExit) as error:
        if manager.has_plugin(point.name):
            manager.unregister(name=point.name)
        return f"{type(error).__name__}: {error}"
    return None


def _strategies(
    manager: pluggy.PluginManager, hook: str, set_aside: list[SetAside]
) -> dict[str, Any]:
    """Ask each plugin by itself what it brings, so that one that fails spoils no other's answer."""
    found: dict[str, Any] = {}
    plugins = manager.list_name_plugin()
    for name, plugin in plugins:
        others = [other for _, other in plugins if other is not plugin]
        try:
            batches = manager.subset_hook_caller(hook, others)()
            brought = {strategy.name: strategy for batch in batches for strategy in batch}
        except (Exception, SystemExit) as error:
            set_aside.append(SetAside(name, f"{type(error).__name__}: {error}"))
            continue
        for strategy in brought:
            if strategy in found:
                set_aside.append(SetAside(name, f"{strategy!r} is already taken"))
            else:
                found[strategy] = brought[strategy]
    return found
