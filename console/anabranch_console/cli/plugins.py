"""``anabranch plugins``: what is installed, and everything that can be done about it.

These commands load no plugin into their own process, so they work while plugins are broken.
"""

from __future__ import annotations

import sys
from typing import Any

import click
import msgspec

from anabranch import exit_codes
from anabranch.core.views.projections import SCHEMA
from anabranch.core.wording import counted
from anabranch.errors import UsageError
from anabranch.hostile_text import escape_for_terminal
from anabranch.plugin_store.listing import Listed, Listing, list_plugins, shared_names
from anabranch.plugin_store.places import Places
from anabranch.plugin_store.probing import Probed
from anabranch.plugin_store.scaffolding import KINDS, write_plugin
from anabranch.plugin_store.store import Proposal, fault_in_words, suggestion
from anabranch.plugin_store.tools import Index
from anabranch.safe_mode import is_safe_mode
from anabranch_console.cli.main import here
from anabranch_console.cli.meaning import KnownCommands
from anabranch_console.cli.output import json_option, print_json, print_table, say, shown
from anabranch_console.hook_checks import own_store

yes_option = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
closed_option = click.option("--no-index", is_flag=True, help="Ask no package index.")
links_option = click.option(
    "--find-links", multiple=True, metavar="DIR", help="Also look for wheels in DIR."
)


@click.group(cls=KnownCommands)
def command() -> None:
    """Install, check and write plugins. Works also while a plugin is broken."""


@command.command(name="list")
@json_option
def list_all(as_json: bool) -> None:
    """List every plugin: built-in, of the host, and installed."""
    listing = list_plugins(Places.of_this_python())
    if as_json:
        print_json({"schema": SCHEMA, **_plain(listing)})
        return
    print_table(
        ["PLUGIN", "VERSION", "ORIGIN", "STATE", "BRINGS"],
        [[p.name, p.version, p.origin, p.state, _brings(p)] for p in listing.plugins],
    )
    _tell_faults(listing)


@command.command
@click.argument("name")
@json_option
def info(name: str, as_json: bool) -> None:
    """Show all that is known about the plugin NAME."""
    listing = list_plugins(Places.of_this_python())
    found = next((p for p in listing.plugins if p.name == name.partition(":")[0]), None)
    if found is None:
        hint = suggestion(name, [p.name for p in listing.plugins])
        raise UsageError(f"there is no plugin {name!r}", hint)
    if as_json:
        print_json({"schema": SCHEMA, **_plain(found)})
        return
    for label, value in _about(found):
        if value:
            click.echo(f"{label:<12} {shown(value)}")


@command.command
@click.argument("source")
@closed_option
@links_option
@yes_option
@json_option
def install(
    source: str, no_index: bool, find_links: tuple[str, ...], yes: bool, as_json: bool
) -> None:
    """Install SOURCE: the name of a package, a wheel, or the folder of a project.

    It goes into a folder of Anabranch's own; the packages that Anabranch runs with are never
    touched. It is tried out in a process of its own first, and if that fails nothing has changed.
    Only wheels are taken from a package index, so that nothing runs before you agree.
    """
    store = own_store()
    installed = store.install(
        source,
        lambda proposal: _agrees(proposal, yes),
        index=Index(no_index, find_links),
        progress=_progress,
    )
    if installed is None:
        say("nothing was installed")
        click.get_current_context().exit(exit_codes.FAILED)
        return
    warnings = shared_names(installed.name, list_plugins(Places.of_this_python()))
    if as_json:
        print_json({"schema": SCHEMA, "installed": _plain(installed), "warnings": warnings})
        return
    click.echo(f"installed {installed.name} {shown(installed.version)}: {_strategies(installed)}")
    for warning in warnings:
        say(f"  {shown(warning)}")


@command.command
@click.argument("name")
@json_option
def remove(name: str, as_json: bool) -> None:
    """Remove the installed plugin NAME, and what only it needed."""
    removed = own_store().remove(name, progress=_progress)
    if as_json:
        print_json({"schema": SCHEMA, "removed": _plain(removed)})
    else:
        click.echo(f"removed {removed.name} {shown(removed.version)}")
        say("  anabranch plugins rollback brings it back")


@command.command
@click.argument("name")
@json_option
def enable(name: str, as_json: bool) -> None:
    """Enable the plugin NAME: it is loaded again."""
    changed = own_store().enable(name, progress=_progress)
    _tell_switch(name, True, changed, as_json)


@command.command
@click.argument("name")
@json_option
def disable(name: str, as_json: bool) -> None:
    """Disable the plugin NAME: a package, or one plugin of it (PACKAGE:PLUGIN)."""
    changed = own_store().disable(name, progress=_progress)
    _tell_switch(name, False, changed, as_json)


@command.command
@json_option
def rollback(as_json: bool) -> None:
    """Go back to what was installed before the last change."""
    left, now = own_store().rollback(progress=_progress)
    if as_json:
        print_json({"schema": SCHEMA, "left": left, "generation": _plain(now)})
        return
    names = ", ".join(f"{p.name} {shown(p.version)}" for p in now.plugins) or "no plugin"
    click.echo(f"back to generation {now.number} (from {left}): {names}")


@command.command
@click.argument("name")
@click.option("--kind", type=click.Choice(list(KINDS)), default="convergence", show_default=True)
@json_option
def new(name: str, kind: str, as_json: bool) -> None:
    """Write a complete, tested package of a plugin that brings the strategy NAME."""
    folder = write_plugin(name, kind, here())
    shown_folder = folder.relative_to(here())
    if as_json:
        print_json({"schema": SCHEMA, "folder": str(folder), "kind": kind})
        return
    click.echo(f"wrote {shown_folder}/")
    say(f"  anabranch plugins check {shown_folder}")
    say(f"  anabranch plugins install ./{shown_folder} --yes")


@command.command
@click.argument("target")
@closed_option
@json_option
def check(target: str, no_index: bool, as_json: bool) -> None:
    """Hold every strategy of TARGET to the rules: a folder, a wheel, or an installed plugin.

    Exits with 1 if a rule is broken, and shows the smallest example found.
    """
    found = own_store().check(target, index=Index(no_index), progress=_progress)
    if as_json:
        print_json({"schema": SCHEMA, "ok": not found.faults, **_plain(found)})
    else:
        _tell_check(found)
    if found.faults:
        click.get_current_context().exit(exit_codes.FAILED)


# --- telling -------------------------------------------------------------------------------------


def _progress(step: str) -> None:
    say(f"  {shown(step)} …")


def _agrees(proposal: Proposal, yes: bool) -> bool:
    facts = proposal.plugin
    by = f" by {shown(facts.author, 60)}" if facts.author else ""
    say(f"{facts.name} {shown(facts.version)}{by}: {shown(facts.summary) or 'no description'}")
    if proposal.replaces:
        say(f"  replaces {shown(proposal.replaces)}")
    if proposal.built_by:
        say(f"  built here by {shown(proposal.built_by)}")
    for extra in proposal.extra:
        say(f"  brings along {shown(extra)}")
    say(f"  {proposal.file_count} files; its code runs with your permissions")
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("there is nobody to agree", "say --yes to install it without being asked")
    return click.confirm("Install it?", err=True)


def _tell_switch(name: str, on: bool, changed: bool, as_json: bool) -> None:
    word = "enabled" if on else "disabled"
    if as_json:
        print_json({"schema": SCHEMA, "name": name, "enabled": on, "changed": changed})
    else:
        click.echo(f"{shown(name)} is {word}" + ("" if changed else ", as before"))


def _tell_check(found: Probed) -> None:
    for kind, ids in found.strategies.items():
        for name in ids:
            click.echo(f"{kind:<12} {shown(name)}")
    for fault in found.faults:
        for line in fault_in_words(fault).splitlines():
            click.echo(escape_for_terminal(line))
    if not found.faults:
        if found.checked:
            click.echo(counted(found.checked, "strategy conforms", "strategies conform"))
        if found.others:
            others = counted(found.others, "thing besides works", "things besides work")
            click.echo(f"{others} as the hooks say")
        if not (found.checked or found.others):  # who brings nothing at all has a fault
            click.echo("what it brings to the console is as the hooks say")


def _tell_faults(listing: Listing) -> None:
    for plugin in listing.plugins:
        for fault in plugin.faults:
            say(f"{plugin.name}: {shown(fault)}")
    for fault in listing.faults:
        say(shown(fault))
    if is_safe_mode():
        say("safe mode: only what is built in is loaded")
    for other in listing.elsewhere:
        say(f"plugins are also installed for another Python ({other}); install them again for this")


def _brings(plugin: Listed) -> str:
    if not plugin.strategies:
        return ", ".join(plugin.plugins)
    return _strategies(plugin)


def _strategies(plugin: Any) -> str:
    strategies = (f"{kind} {', '.join(ids)}" for kind, ids in plugin.strategies.items())
    return shown("; ".join(strategies)) or "no strategies"


def _about(plugin: Listed) -> list[tuple[str, str]]:
    return [
        ("name", plugin.name),
        ("version", plugin.version),
        ("origin", plugin.origin),
        ("state", plugin.state),
        ("summary", plugin.summary),
        ("author", plugin.author),
        ("plugins", ", ".join(plugin.plugins)),
        ("disabled", ", ".join(plugin.disabled)),
        *((kind, ", ".join(ids)) for kind, ids in plugin.strategies.items()),
        ("packages", ", ".join(plugin.packages)),
        ("source", plugin.source),
        ("installed", plugin.installed),
        *(("fault", fault) for fault in plugin.faults),
    ]


def _plain(value: Any) -> dict[str, Any]:
    plain: dict[str, Any] = msgspec.to_builtins(value)
    return plain
