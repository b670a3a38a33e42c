"""Finding and loading plugins: one entry point at a time, so a broken one harms nobody else.

A plugin that cannot be imported in time, that was made for another host, or that implements what is
no hook, is set aside with the reason; the run goes on without it. The core's own fallbacks make
sure that there always is a strategy of each kind.

A strategy's *id* is ``DISTRIBUTION:NAME``; its bare name will do where nobody else has it. The
built-in ones keep theirs: what comes later never takes the place of what was there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from difflib import get_close_matches
from functools import partial
from itertools import chain, islice
from typing import Any

import msgspec
import pluggy

from anabranch import __version__
from anabranch.bounded_call import in_words, within
from anabranch.core.strategies import Strategies
from anabranch.core.strategies.kinds import KINDS
from anabranch.extending import Extensions
from anabranch.hookspecs import HOOKS_VERSION, PROJECT, EngineHooks
from anabranch.plugin_store.offers import OUR_MODULES, Point
from anabranch.plugin_store.overlay import offered_plugins
from anabranch.safe_mode import is_safe_mode
from anabranch.undisturbed import undisturbed, with_the_same_mask

HOOKS = {kind.field: kind.hook for kind in KINDS}
"""Which hook brings the strategies of which kind (a field of :class:`Strategies`)."""

EXTENSION_HOOKS = {
    "importers": "anabranch_importers",
    "report_formats": "anabranch_report_formats",
    "observers": "anabranch_observers",
    "resource_probes": "anabranch_resource_probes",
    "executors": "anabranch_executors",
}
"""Which hook brings the rest (a field of :class:`Extensions`)."""

NAMED_IN_PLANS = frozenset(kind.field for kind in KINDS if kind.plan_keys)
"""The kinds that a plan chooses by name; of the others all are asked."""

LOAD_SECONDS = 5.0
MOST_BROUGHT = 1_000
_NAME = re.compile(r"[\w.-]{1,100}")
BUILT_IN = "anabranch"


class SetAside(msgspec.Struct, frozen=True):
    """A plugin that is not used, and why."""

    plugin: str
    reason: str


class Note(msgspec.Struct, frozen=True):
    """What a plugin did to this process when it was loaded; it is used all the same."""

    plugin: str
    did: str


class Loaded(msgspec.Struct, frozen=True):
    """What loading brought: the strategies, who brought them, and what was set aside.

    ``brought`` names each strategy of each kind once, with its id; ``extensions`` is the rest.
    """

    strategies: Strategies
    plugins: tuple[str, ...]
    set_aside: tuple[SetAside, ...]
    brought: Mapping[str, Mapping[str, str]] = {}
    extensions: Extensions = Extensions()
    notes: tuple[Note, ...] = ()


class Brought(msgspec.Struct, frozen=True):
    """One strategy as its plugin handed it over; ``source`` is the distribution."""

    source: str
    plugin: str
    name: str
    strategy: Any

    @property
    def id(self) -> str:
        return f"{self.source}:{self.name}"


class Gathered(msgspec.Struct, frozen=True):
    """What the plugins of one group brought, by kind; names may be there more than once."""

    found: Mapping[str, list[Brought]]
    plugins: tuple[str, ...]
    set_aside: tuple[SetAside, ...]
    notes: tuple[Note, ...] = ()


def load_plugins(points: Iterable[Point] | None = None) -> Loaded:
    """Return every installed strategy; never raises because of a plugin.

    ``points`` are the entry points to load; by default those that are installed, in the host or by
    ``anabranch plugins install``, and not disabled; in safe mode the built-in ones only.
    """
    gathered = gather(PROJECT, EngineHooks, {**HOOKS, **EXTENSION_HOOKS}, points)
    found, set_aside = gathered.found, list(gathered.set_aside)
    by_name = {kind: _by_name(kind, brought, set_aside) for kind, brought in found.items()}
    return Loaded(
        Strategies(**{kind: by_name[kind] for kind in HOOKS}),
        gathered.plugins,
        tuple(set_aside),
        {kind: {one.name: one.id for one in brought} for kind, brought in found.items()},
        Extensions(
            **{kind: by_name[kind] for kind in EXTENSION_HOOKS},
            set_aside=tuple((one.plugin, one.reason) for one in set_aside),
        ),
        gathered.notes,
    )


def gather(
    group: str,
    hooks: type,
    kinds: Mapping[str, str],
    points: Iterable[Point] | None = None,
    project: str = PROJECT,
) -> Gathered:
    """Load the plugins of a group of entry points, and ask each what it brings.

    Args:
        group: the group of entry points.
        hooks: the class of hook specifications that they implement.
        kinds: which hook brings which kind.
        points: the entry points; by default all that are installed and not disabled.
        project: the name that the hooks are marked with.
    """
    manager = pluggy.PluginManager(project)
    manager.add_hookspecs(hooks)
    set_aside: list[SetAside] = []
    if points is None:
        offered = offered_plugins(group)
        points = offered.entry_points
        set_aside += [SetAside("installed plugins", fault) for fault in offered.faults]
        if is_safe_mode():
            points = [point for point in points if is_built_in(point)]
    notes: list[Note] = []
    sources: dict[str, str] = {}
    in_order = sorted(points, key=_place)
    shown = _names_to_show(in_order)
    for point in in_order:
        own, did = _own_name(point), list[str]()
        reason = _register(manager, hooks, point, did)
        notes += [Note(shown[own], what) for what in did]
        if reason:
            set_aside.append(SetAside(shown[own], reason))
        else:
            sources[own] = source_of(point)
    found = {
        kind: list(_brought(manager, hook, sources, shown, set_aside, notes))
        for kind, hook in kinds.items()
    }
    plugins = tuple(shown[name] for name, _ in manager.list_name_plugin())
    return Gathered(found, plugins, tuple(set_aside), tuple(dict.fromkeys(notes)))


def _own_name(point: Point) -> str:
    """Return the name that no other plugin has: two packages may well call theirs the same."""
    return f"{source_of(point)}:{point.name}"


def _names_to_show(points: Iterable[Point]) -> dict[str, str]:
    """Return what each plugin is called to people: its bare name, if nobody else has that."""
    found = Counter(point.name for point in points)
    return {_own_name(p): p.name if found[p.name] == 1 else _own_name(p) for p in points}


def is_built_in(point: Point) -> bool:
    """Return whether an entry point is one of ours, whatever it calls itself."""
    return point.module.partition(".")[0] == OUR_MODULES


def source_of(point: Point) -> str:
    """Return the distribution that an entry point comes from, by its canonical name."""
    if is_built_in(point):
        return BUILT_IN
    name = point.dist.name if point.dist else point.name
    return name.lower().replace("_", "-").replace(".", "-")


def _place(point: Point) -> tuple[bool, str]:
    """Built-in plugins come first, so that nobody can take a name of theirs; else by name."""
    return not is_built_in(point), point.name


# --- one plugin ----------------------------------------------------------------------------------


def _register(
    manager: pluggy.PluginManager, hooks: type, point: Point, did: list[str]
) -> str | None:
    """Load one plugin; return why it could not be, or None. ``did`` gets what it did besides."""
    own = _own_name(point)
    if manager.has_plugin(own):
        return "it is there twice"
    try:
        fault = _fault_of_host(point)
        if fault:
            return fault
        plugin = point.load() if is_built_in(point) else _undisturbed(point.load, did)
        fault = _fault_of_hooks(manager, hooks, plugin)
        if fault:
            return fault
        manager.register(plugin, name=own)
        manager.check_pending()
    except TimeoutError:
        return f"its import did not end within {LOAD_SECONDS:g} s"
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        if manager.has_plugin(own):
            manager.unregister(name=own)
        return in_words(error)
    return None


def _undisturbed(call: Callable[[], Any], did: list[str]) -> Any:
    """Make a call of a stranger's for a limited time, and undo what it does to this process."""
    with undisturbed(did):
        return within(LOAD_SECONDS, lambda: with_the_same_mask(call, did))


def _fault_of_host(point: Point) -> str | None:
    """Return why the plugin's distribution wants another host than this one."""
    if point.dist is None or is_built_in(point):
        return None
    from anabranch.plugin_store.requirements import applying

    for requirement in applying(point.dist.requires or (), point.dist.name):
        if requirement.name.lower() != PROJECT:
            continue
        if not requirement.specifier.contains(__version__, prereleases=True):
            return f"it needs {PROJECT}{requirement.specifier}, and this is {__version__}"
    return None


def _fault_of_hooks(manager: pluggy.PluginManager, hooks: type, plugin: Any) -> str | None:
    """Return which hook of a plugin is not one of this version's."""
    wanted = getattr(plugin, "HOOKS_VERSION", HOOKS_VERSION)
    if isinstance(wanted, int) and wanted > HOOKS_VERSION:
        return f"it was written for hooks version {wanted}, and this Anabranch has {HOOKS_VERSION}"
    known = sorted(name for name in vars(hooks) if name.startswith(PROJECT))
    for name in dir(plugin):
        if name in known or manager.parse_hookimpl_opts(plugin, name) is None:
            continue
        near = get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"hooks: {', '.join(known)}"
        return f"it implements {name!r}, which is not a hook of this version; {hint}"
    return None


# --- what they bring -----------------------------------------------------------------------------


def _brought(
    manager: pluggy.PluginManager,
    hook: str,
    sources: Mapping[str, str],
    shown: Mapping[str, str],
    set_aside: list[SetAside],
    notes: list[Note],
) -> Iterator[Brought]:
    """Ask each plugin by itself what it brings, so that one that fails spoils no other's answer."""
    plugins = manager.list_name_plugin()
    for own, plugin in plugins:
        others = [other for _, other in plugins if other is not plugin]
        caller = manager.subset_hook_caller(hook, others)
        if not caller.get_hookimpls():
            continue
        source, name, did = sources[own], shown[own], list[str]()
        try:
            take = partial(_taken, caller, source, name)
            found = take() if source == BUILT_IN else _undisturbed(take, did)
            notes += [Note(name, what) for what in did]
        except TimeoutError:
            set_aside.append(SetAside(name, f"{hook} did not end within {LOAD_SECONDS:g} s"))
            continue
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            set_aside.append(SetAside(name, in_words(error)))
            continue
        yield from found


def _taken(caller: Callable[[], Any], source: str, name: str) -> list[Brought]:
    """Return what a hook of one plugin answers. It may be a generator, even one without an end."""
    every = chain.from_iterable(caller())
    found = [Brought(source, name, str(one.name), one) for one in islice(every, MOST_BROUGHT + 1)]
    if len(found) > MOST_BROUGHT:
        raise ValueError(f"it brings more than {MOST_BROUGHT} of a kind")
    unfit = [one.name for one in found if not _NAME.fullmatch(one.name)]
    if unfit:
        raise ValueError(f"{unfit[0][:40]!r} is not a name: letters, digits, '-', '_' and '.'")
    return found


def _by_name(kind: str, brought: list[Brought], set_aside: list[SetAside]) -> dict[str, Any]:
    """Return strategies by the names that lead to them: ids, and bare names of which one is."""
    found: dict[str, Any] = {}
    for (own, plugin), count in Counter((one.id, one.plugin) for one in brought).items():
        if count > 1:
            set_aside.append(SetAside(plugin, f"it brings {own!r} twice; the first one counts"))
    for one in brought:
        rivals = [other for other in brought if other.name == one.name and other.id != one.id]
        is_first = not any(other.source == BUILT_IN for other in rivals)
        if not rivals or one.source == BUILT_IN:
            found.setdefault(one.name, one.strategy)
        else:
            others = ", ".join(other.source for other in rivals)
            how = f"also brought by {others}" if is_first else "already taken"
            set_aside.append(SetAside(one.plugin, f"{one.name!r} is {how}; it is {one.id!r}"))
            found[one.id] = one.strategy
    if kind in NAMED_IN_PLANS:
        for one in brought:
            found.setdefault(one.id, one.strategy)
    return found
